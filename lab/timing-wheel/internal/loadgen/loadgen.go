// Package loadgen is the load of this lab: a broker that pushes batches of orders at a steady rate.
package loadgen

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"example.com/shop/consumer/internal/orders"
)

const (
	tick    = 20 * time.Millisecond
	maxRate = 20_000
)

// Run pushes rate messages per second to the consumer at base for the given time and says how many it took.
func Run(ctx context.Context, base string, rate int, length time.Duration) string {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	perTick := max(1, min(rate, maxRate)*int(tick/time.Millisecond)/1000)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	client := &http.Client{Timeout: 5 * time.Second}
	sent, refused := 0, 0
	for {
		select {
		case <-ctx.Done():
			return fmt.Sprintf("load: %d messages taken, %d refused", sent, refused)
		case <-ticker.C:
			if err := push(ctx, client, base, batch(sent, perTick)); err != nil {
				refused += perTick // the consumer is down or restarting; keep knocking, as a broker does
				continue
			}
			sent += perTick
		}
	}
}

func batch(from, n int) []byte {
	messages := make([]orders.Message, n)
	for i := range messages {
		k := from + i
		messages[i] = orders.Message{
			Tenant: fmt.Sprintf("tenant-%02d", k%20),
			SKUs:   []string{fmt.Sprintf("SKU-%06d", k*31%40_000), fmt.Sprintf("SKU-%06d", k*17%40_000)},
		}
	}
	body, err := json.Marshal(messages)
	if err != nil {
		panic(err) // strings only: cannot happen
	}
	return body
}

func push(ctx context.Context, client *http.Client, base string, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/push", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusAccepted {
		return fmt.Errorf("consumer answered %s", resp.Status)
	}
	return nil
}
