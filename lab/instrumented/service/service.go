// Package service is a small order desk, the same whoever instruments it: what it does is here, what is told of it is its main's.
//
//	/order?item=N              the work: asks itself for the price over HTTP, as it would ask another service
//	/price?item=N              that other service
//	/leak/start?per_s=20       leave a goroutine behind so often, until /leak/stop
//	/truth                     what was planted and served, and what the telemetry says of itself
//	/metrics, /debug/vars, /debug/pprof
//
// SIGTERM and Ctrl-C let requests end, then close the telemetry, and say on stderr how long that took.
package service

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"expvar"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	_ "net/http/pprof" // /debug/pprof
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"example.com/shop/gometrics"
)

const (
	maxPerS    = 1000
	hashRounds = 100 // of 1 KiB: about 60 µs, what a small handler costs
	drain      = 2 * time.Second
	askTimeout = 5 * time.Second
)

// Telemetry is what a main brings: how a request is seen, and what is told of it. Every field may be left out.
type Telemetry struct {
	Name      string
	Handler   func(route string, handler http.Handler) http.Handler
	Transport http.RoundTripper
	Order     func(ctx context.Context, item int) // tells of an order, as a log line would
	State     func() map[string]any               // for /truth
	Close     func(ctx context.Context) error     // at the end
}

type desk struct {
	telemetry      Telemetry
	self           string
	client         *http.Client
	requests       atomic.Int64 // of all routes
	served, failed atomic.Int64
	leaked         atomic.Int64

	mu   sync.Mutex
	quit chan struct{}
}

var (
	addr   = flag.String("addr", "127.0.0.1:8080", "listen on `host:port`")
	perS   = flag.Float64("leak-per-s", 0, "leave so many goroutines behind a second from the start (0 = until /leak/start)")
	within = flag.Duration("close-within", 0, "how long closing the telemetry may take (0 = as long as it wants)")
)

// Run serves until SIGTERM or Ctrl-C. Call after flag.Parse.
func Run(telemetry Telemetry) {
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	d := &desk{telemetry: telemetry, self: "http://" + listener.Addr().String()}
	d.client = &http.Client{Transport: telemetry.Transport, Timeout: askTimeout}
	server := &http.Server{Handler: d.routes(), ReadHeaderTimeout: 10 * time.Second}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if *perS > 0 {
		d.start(*perS)
	}
	fmt.Printf("listening on %s\n", d.self)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		log.Fatal(err)
	case <-ctx.Done():
	}
	d.end(server)
}

func (d *desk) end(server *http.Server) {
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "shutdown:", err)
	}
	if d.telemetry.Close == nil {
		return
	}
	began := time.Now()
	ctx = context.Background()
	if *within > 0 {
		ctx, cancel = context.WithTimeout(ctx, *within)
		defer cancel()
	}
	err := d.telemetry.Close(ctx)
	fmt.Fprintf(os.Stderr, "telemetry closed in %.2f s: %v\n", time.Since(began).Seconds(), err)
}

func (d *desk) routes() http.Handler {
	expvar.Publish("truth", expvar.Func(func() any { return d.truth() }))
	mux := http.NewServeMux()
	mux.Handle("GET /order", d.seen("/order", d.order))
	mux.Handle("GET /price", d.seen("/price", d.price))
	mux.HandleFunc("GET /leak/start", d.startLeak)
	mux.HandleFunc("GET /leak/stop", func(w http.ResponseWriter, _ *http.Request) {
		d.stop()
		answer(w, d.truth())
	})
	mux.HandleFunc("GET /truth", func(w http.ResponseWriter, _ *http.Request) { answer(w, d.truth()) })
	mux.HandleFunc("GET /metrics", d.metrics)
	mux.Handle("/debug/", http.DefaultServeMux)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.requests.Add(1)
		mux.ServeHTTP(w, r)
	})
}

func (d *desk) seen(route string, handler http.HandlerFunc) http.Handler {
	if d.telemetry.Handler == nil {
		return handler
	}
	return d.telemetry.Handler(route, handler)
}

// order asks for the price over HTTP and answers with it.
func (d *desk) order(w http.ResponseWriter, r *http.Request) {
	item, err := strconv.Atoi(r.URL.Query().Get("item"))
	if err != nil {
		d.refuse(w, "item must be a number", http.StatusBadRequest)
		return
	}
	price, err := d.ask(r.Context(), item)
	if err != nil {
		d.refuse(w, err.Error(), http.StatusBadGateway)
		return
	}
	if d.telemetry.Order != nil {
		d.telemetry.Order(r.Context(), item)
	}
	d.served.Add(1)
	w.Write(price)
}

func (d *desk) refuse(w http.ResponseWriter, why string, code int) {
	d.failed.Add(1)
	http.Error(w, why, code)
}

func (d *desk) ask(ctx context.Context, item int) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, fmt.Sprintf("%s/price?item=%d", d.self, item), nil)
	if err != nil {
		return nil, err
	}
	response, err := d.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1024))
	if err == nil && response.StatusCode != http.StatusOK {
		err = errors.New(response.Status)
	}
	return body, err
}

func (d *desk) price(w http.ResponseWriter, r *http.Request) {
	item, _ := strconv.Atoi(r.URL.Query().Get("item"))
	var block [1024]byte
	block[0], block[1] = byte(item), byte(item>>8)
	for range hashRounds {
		sum := sha256.Sum256(block[:])
		copy(block[:], sum[:])
	}
	fmt.Fprintf(w, "%d\n", block[0])
}

// The leak: an order is confirmed by a goroutine of its own, and nobody ever confirms.

func (d *desk) startLeak(w http.ResponseWriter, r *http.Request) {
	rate, err := strconv.ParseFloat(r.URL.Query().Get("per_s"), 64)
	if err != nil || !(rate > 0 && rate <= maxPerS) {
		http.Error(w, fmt.Sprintf("per_s must be above 0 and at most %d", maxPerS), http.StatusBadRequest)
		return
	}
	d.start(rate)
	answer(w, d.truth())
}

func (d *desk) start(rate float64) {
	d.stop()
	d.mu.Lock()
	defer d.mu.Unlock()
	d.quit = make(chan struct{})
	go d.leak(time.Duration(float64(time.Second)/rate), d.quit)
}

func (d *desk) stop() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.quit != nil {
		close(d.quit)
		d.quit = nil
	}
}

func (d *desk) leak(every time.Duration, quit chan struct{}) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-quit:
			return
		case <-ticker.C:
			d.leaked.Add(1)
			go d.awaitConfirmation(make(chan int))
		}
	}
}

func (d *desk) awaitConfirmation(confirmed chan int) {
	d.served.Add(int64(<-confirmed)) // the planted leak
}

func (d *desk) truth() map[string]any {
	told := map[string]any{
		"telemetry": d.telemetry.Name, "requests": d.requests.Load(), "served": d.served.Load(), "failed": d.failed.Load(), "leaked": d.leaked.Load(),
		"holder": "example.com/instrumented/service.(*desk).awaitConfirmation", "goroutines": runtime.NumGoroutine(),
	}
	if d.telemetry.State != nil {
		told["told"] = d.telemetry.State()
	}
	return told
}

func (d *desk) metrics(w http.ResponseWriter, _ *http.Request) {
	families := append(gometrics.Runtime(), gometrics.Process()...)
	families = append(families, gometrics.Family{
		Name: "http_requests_total", Help: "Requests served.", Kind: gometrics.Counter, Samples: []gometrics.Sample{
			{Labels: `{code="200",path="/order"}`, Value: float64(d.served.Load())},
			{Labels: `{code="500",path="/order"}`, Value: float64(d.failed.Load())},
		},
	})
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	w.Write(gometrics.Write(families))
}

func answer(w http.ResponseWriter, what any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(what); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}
