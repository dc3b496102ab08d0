// Command shop is a small web shop to be watched: healthy until told otherwise, and told over HTTP.
//
//	/buy?item=N                          the work: a little CPU, and a goroutine per request that ends with it
//	/leak/start?kind=K&per_s=50          leak goroutines of a kind at a rate, until /leak/stop; /leak lists the kinds
//	/leak/release                        cure it: every goroutine leaked so far ends
//	/pool?n=N                            a standing crew of N workers, as a pool started at boot
//	/burst?n=N&for=2s                    N goroutines that live for so long
//	/park?n=N                            N goroutines blocked on 24 different stacks; n=0 lets them go
//	/forget?n=N                          N goroutines blocked there for good: all of them are leaks that the runtime can prove
//	/chain?n=N                           N goroutines of which each holds what the one before waits for: no leak, dear to prove so
//	/stall/start, /stall, /stall/stop    the longest time a goroutine that wants to run every 0.2 ms did not; /stall resets it
//	/metrics, /debug/vars, /debug/pprof  as any Go service has them
package main

import (
	"crypto/sha256"
	"encoding/json"
	"expvar"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	_ "net/http/pprof" // /debug/pprof
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync/atomic"
	"time"

	"example.com/shop/gometrics"
)

const (
	maxGoroutines = 200_000 // one request may ask for: a typing error in a URL must not take the machine down
	maxPerS       = 10_000
	hashRounds    = 100 // of 1 KiB: about 60 µs, what a small handler costs
)

type shop struct {
	version  string
	requests atomic.Int64
	failed   atomic.Int64
	leaks    leaker
	crowd    crowd
	stall    stallMeter
}

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "listen on `host:port`")
	version := flag.String("version", "1.0.0", "the version label it exports")
	procs := flag.Int("procs", 0, "GOMAXPROCS (0 = Go's own)")
	kind := flag.String("leak", "", "leak goroutines of this `kind` from the start")
	perS := flag.Float64("leak-per-s", 50, "how many a second")
	after := flag.Duration("leak-after", 0, "and only after this long")
	memLimit := flag.Int64("memlimit", 0, "soft memory limit in `MiB`, as GOMEMLIMIT sets it (0 = none)")
	pool := flag.Int("pool", 0, "a standing crew of so many workers")
	flag.Parse()
	if *procs > 0 {
		runtime.GOMAXPROCS(*procs)
	}
	if *memLimit > 0 {
		debug.SetMemoryLimit(*memLimit << 20)
	}
	s := &shop{version: *version}
	s.crowd.hire(*pool)
	if *kind != "" {
		if _, known := kinds[*kind]; !known {
			log.Fatalf("no kind of leak named %q", *kind)
		}
		time.AfterFunc(*after, func() { s.leaks.start(*kind, *perS) })
	}
	s.routes()
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("listening on http://%s\n", listener.Addr())
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second}
	log.Fatal(server.Serve(listener))
}

func (s *shop) routes() {
	expvar.Publish("requests", expvar.Func(func() any { return s.requests.Load() }))
	expvar.Publish("goroutines", expvar.Func(func() any { return runtime.NumGoroutine() }))
	expvar.Publish("leaked", expvar.Func(func() any { return s.leaks.count() }))
	expvar.NewString("version").Set(s.version)
	http.HandleFunc("GET /buy", s.buy)
	http.HandleFunc("GET /metrics", s.metrics)
	http.HandleFunc("GET /leak", func(w http.ResponseWriter, _ *http.Request) { answer(w, s.leaks.state()) })
	http.HandleFunc("GET /leak/start", s.startLeak)
	http.HandleFunc("GET /leak/stop", func(w http.ResponseWriter, _ *http.Request) {
		s.leaks.stop()
		answer(w, s.leaks.state())
	})
	http.HandleFunc("GET /leak/release", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]int{"released": s.leaks.release()})
	})
	http.HandleFunc("GET /pool", counted(func(n int, _ *http.Request) { s.crowd.hire(n) }))
	http.HandleFunc("GET /park", counted(func(n int, _ *http.Request) { s.crowd.park(n) }))
	http.HandleFunc("GET /forget", counted(func(n int, _ *http.Request) { forget(n) }))
	http.HandleFunc("GET /chain", counted(func(n int, _ *http.Request) { chain(n) }))
	http.HandleFunc("GET /burst", counted(func(n int, r *http.Request) {
		length, err := time.ParseDuration(r.URL.Query().Get("for"))
		if err != nil {
			length = 2 * time.Second
		}
		burst(n, length)
	}))
	http.HandleFunc("GET /stall/start", func(w http.ResponseWriter, _ *http.Request) { s.stall.start() })
	http.HandleFunc("GET /stall/stop", func(w http.ResponseWriter, _ *http.Request) { s.stall.stop() })
	http.HandleFunc("GET /stall", func(w http.ResponseWriter, _ *http.Request) { answer(w, s.stall.take()) })
}

// buy is the work: a price is computed by a goroutine of its own, and always collected.
func (s *shop) buy(w http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	item, err := strconv.Atoi(r.URL.Query().Get("item"))
	if err != nil {
		s.failed.Add(1)
		http.Error(w, "item must be a number", http.StatusBadRequest)
		return
	}
	price := make(chan int, 1)
	go func() { price <- priceOf(item) }()
	fmt.Fprintf(w, "%d\n", <-price)
}

func priceOf(item int) int {
	var block [1024]byte
	block[0], block[1] = byte(item), byte(item>>8)
	for range hashRounds {
		sum := sha256.Sum256(block[:])
		copy(block[:], sum[:])
	}
	return int(block[0])
}

func (s *shop) metrics(w http.ResponseWriter, _ *http.Request) {
	total, failed := s.requests.Load(), s.failed.Load()
	families := append(gometrics.Runtime(), gometrics.Process()...)
	families = append(families,
		gometrics.Family{Name: "http_requests_total", Help: "Requests served.", Kind: gometrics.Counter, Samples: []gometrics.Sample{
			{Labels: `{code="200",path="/buy"}`, Value: float64(total - failed)},
			{Labels: `{code="400",path="/buy"}`, Value: float64(failed)},
		}},
		gometrics.Family{Name: "shop_build_info", Help: "Which version runs.", Kind: gometrics.Gauge, Samples: []gometrics.Sample{
			{Labels: fmt.Sprintf("{version=%q}", s.version), Value: 1},
		}},
	)
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	w.Write(gometrics.Write(families))
}

func (s *shop) startLeak(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	kind := query.Get("kind")
	if kind == "" {
		kind = "send-without-receiver"
	}
	perS, err := strconv.ParseFloat(query.Get("per_s"), 64)
	if query.Get("per_s") == "" {
		perS, err = 50, nil
	}
	if _, known := kinds[kind]; !known || err != nil || !(perS > 0 && perS <= maxPerS) {
		http.Error(w, fmt.Sprintf("kind must be one of those of /leak, per_s above 0 and at most %d", maxPerS), http.StatusBadRequest)
		return
	}
	s.leaks.start(kind, perS)
	answer(w, s.leaks.state())
}

// counted is a handler of ?n=N.
func counted(do func(n int, r *http.Request)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.URL.Query().Get("n"))
		if err != nil || n < 0 || n > maxGoroutines {
			http.Error(w, fmt.Sprintf("n must be 0 to %d", maxGoroutines), http.StatusBadRequest)
			return
		}
		do(n, r)
		answer(w, map[string]int{"goroutines": runtime.NumGoroutine()})
	}
}

func answer(w http.ResponseWriter, what any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(what); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
}
