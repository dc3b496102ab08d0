// Command load asks a service at a constant rate, whatever the service does, and prints how long answers took as JSON.
//
// It is an open loop: request number k is due at start + k/rate. One that could not be sent in time because the answers before
// it were late counts from when it was due (no coordinated omission). One that was late only because this process was not woken
// in time counts from when it was sent: that was not the service's doing; `late_p99_ms` says how often it was so.
package main

import (
	"encoding/json"
	"flag"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

type result struct {
	Requests int64   `json:"requests"`
	Errors   int64   `json:"errors"`
	PerS     float64 `json:"per_s"`
	MeanMs   float64 `json:"mean_ms"`
	P50Ms    float64 `json:"p50_ms"`
	P90Ms    float64 `json:"p90_ms"`
	P99Ms    float64 `json:"p99_ms"`
	P999Ms   float64 `json:"p99_9_ms"`
	MaxMs    float64 `json:"max_ms"`
	LateP99  float64 `json:"late_p99_ms"`
}

// caller is one connection: it takes the next request that is due and sees it through.
type caller struct {
	client        *http.Client
	latency, late histogram
	errors        int64
}

func main() {
	url := flag.String("url", "http://127.0.0.1:8080/buy?item=1", "what to ask for")
	rate := flag.Float64("rate", 500, "requests a second")
	length := flag.Duration("for", 10*time.Second, "how long")
	warmup := flag.Duration("warmup", time.Second, "and how long before that, not counted")
	conns := flag.Int("conns", 16, "connections: how many requests may wait for their answer at once")
	timeout := flag.Duration("timeout", 10*time.Second, "for one answer; one that takes longer is an error, and counts as so long")
	flag.Parse()
	if *rate <= 0 || *conns < 1 {
		log.Fatal("-rate and -conns must be above 0")
	}
	run(*url, *rate, *warmup, *conns, *timeout)
	began := time.Now()
	callers := run(*url, *rate, *length, *conns, *timeout)
	took := time.Since(began)

	var latency, late histogram
	errors := int64(0)
	for _, c := range callers {
		latency.merge(&c.latency)
		late.merge(&c.late)
		errors += c.errors
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	report := result{
		Requests: latency.total, Errors: errors, PerS: float64(latency.total) / took.Seconds(),
		MeanMs: ms(latency.sum / time.Duration(max(latency.total, 1))),
		P50Ms:  ms(latency.quantile(0.5)), P90Ms: ms(latency.quantile(0.9)), P99Ms: ms(latency.quantile(0.99)),
		P999Ms: ms(latency.quantile(0.999)), MaxMs: ms(latency.max), LateP99: ms(late.quantile(0.99)),
	}
	if err := json.NewEncoder(os.Stdout).Encode(report); err != nil {
		log.Fatal(err)
	}
}

func run(url string, rate float64, length time.Duration, conns int, timeout time.Duration) []*caller {
	transport := &http.Transport{
		MaxConnsPerHost: conns, MaxIdleConnsPerHost: conns, DisableCompression: true,
		DialContext: (&net.Dialer{Timeout: timeout}).DialContext,
	}
	defer transport.CloseIdleConnections()
	callers := make([]*caller, conns)
	total := int64(rate * length.Seconds())
	var next atomic.Int64
	var all sync.WaitGroup
	start := time.Now()
	for i := range callers {
		c := &caller{client: &http.Client{Transport: transport, Timeout: timeout}}
		callers[i] = c
		all.Go(func() {
			for {
				k := next.Add(1) - 1
				if k >= total {
					return
				}
				c.call(url, start.Add(time.Duration(float64(k)/rate*float64(time.Second))))
			}
		})
	}
	all.Wait()
	return callers
}

func (c *caller) call(url string, due time.Time) {
	from := due
	if wait := time.Until(due); wait > 0 {
		time.Sleep(wait)
		from = time.Now() // was free in time; woken late at most
		c.late.add(from.Sub(due))
	}
	answer, err := c.client.Get(url)
	if err == nil {
		_, err = io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
	}
	c.latency.add(time.Since(from))
	if err != nil || answer.StatusCode != http.StatusOK {
		c.errors++
	}
}
