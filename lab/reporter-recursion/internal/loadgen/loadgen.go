// Package loadgen is the load of this lab: customers who buy at a steady rate until the checkout is gone.
package loadgen

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxRate  = 5000
	inFlight = 8
)

// Run sends rate orders per second to base for the given time and says how many were taken.
func Run(ctx context.Context, base string, rate int, length time.Duration) string {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	ticker := time.NewTicker(time.Second / time.Duration(max(1, min(rate, maxRate))))
	defer ticker.Stop()
	client := &http.Client{Timeout: 2 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: inFlight}}
	slots := make(chan struct{}, inFlight)
	var taken, failed atomic.Int64
	var all sync.WaitGroup
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			all.Wait()
			return fmt.Sprintf("load: %d orders taken, %d failed", taken.Load(), failed.Load())
		case <-ticker.C:
			slots <- struct{}{}
			all.Add(1)
			go func() {
				defer all.Done()
				defer func() { <-slots }()
				if buy(ctx, client, base, n) {
					taken.Add(1)
				} else {
					failed.Add(1)
				}
			}()
		}
	}
}

func buy(ctx context.Context, client *http.Client, base string, n int) bool {
	body := fmt.Sprintf(`{"basket": "b-%06d", "cents": %d}`, n, 500+n*37%9_500)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/orders", strings.NewReader(body))
	if err != nil {
		return false
	}
	resp, err := client.Do(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode == http.StatusCreated
}
