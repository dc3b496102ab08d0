// Command service is the subject of leakbench's live ruler: a small Go service with healthy traffic in which leaks and innocent
// look-alikes are switched on by `-case`, and, with `-drive URL`, the clients and the back end around it, in a process of their own.
//
//	service -case "leak chan-send rate=5 ; like long-poll rate=2 min=25 max=60"
//	service -case "…the same…" -drive http://127.0.0.1:1234
//
// Ground truth: GET /truth tells for each leak the functions its goroutines stand in, told by the functions themselves.
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"math/rand/v2"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
	"os/signal"
	"runtime"
	"sync/atomic"
	"syscall"
	"time"
)

var requests atomic.Int64

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "listen on `host:port`")
	text := flag.String("case", "", "what happens: items parted by ;")
	drive := flag.String("drive", "", "be the clients and the back end of the service at this `URL`")
	seed := flag.Uint64("seed", 1, "of gaps and lifetimes")
	perS := flag.Float64("load", 20, "healthy requests a second")
	flag.Parse()
	items, err := parse(*text)
	if err != nil {
		log.Fatal(err)
	}
	if *drive != "" {
		newDriver(*drive, *seed, *perS).run(items)
		return
	}
	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	rng = newDice(*seed)
	startBackground()
	routes(items)
	fmt.Printf("listening on http://%s\n", listener.Addr())
	go func() { log.Fatal((&http.Server{ReadHeaderTimeout: 10 * time.Second}).Serve(listener)) }()
	go stopOnSignal()
	select {}
}

func stopOnSignal() {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	<-signals
	os.Exit(0)
}

func routes(items []item) {
	http.HandleFunc("GET /truth", func(w http.ResponseWriter, _ *http.Request) { tellTruth(w, items) })
	http.HandleFunc("GET /begin", func(_ http.ResponseWriter, r *http.Request) {
		begin(items, addresses{r.FormValue("peer"), r.FormValue("echo"), r.FormValue("web")})
	})
	http.HandleFunc("GET /leak/{kind}", func(w http.ResponseWriter, r *http.Request) {
		k, known := kinds[r.PathValue("kind")]
		if !known {
			http.NotFound(w, r)
			return
		}
		ttl, _ := time.ParseDuration(r.FormValue("ttl"))
		k.start(call{ttl: ttl, w: w, r: r})
	})
	http.HandleFunc("GET /metrics", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, "# TYPE go_goroutines gauge\ngo_goroutines %d\n", runtime.NumGoroutine())
		fmt.Fprintf(w, "# TYPE http_requests_total counter\nhttp_requests_total{code=\"200\"} %d\n", requests.Load())
	})
}

// begin starts those look-alikes that live inside the service; the driver asks for it once its back end answers.
func begin(items []item, at addresses) {
	backend.Store(&at)
	for _, one := range items {
		if one.what == "like" {
			if start := likes[one.name].boot; start != nil {
				go start(one.p)
			}
		}
	}
}

type truth struct {
	Kind      string   `json:"kind"`
	Functions []string `json:"functions"`
	Beside    []string `json:"beside"`
}

func tellTruth(w http.ResponseWriter, items []item) {
	told := []truth{}
	for _, one := range items {
		if one.what == "leak" {
			told = append(told, truth{one.name, kinds[one.name].in, kinds[one.name].beside})
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(told)
}

// addresses are those of the back end: peer accepts and neither reads nor writes, echo says what it hears, web speaks HTTP.
type addresses struct{ peer, echo, web string }

var backend atomic.Pointer[addresses]

// dice are safe for all goroutines.
type dice struct{ next chan float64 }

var rng *dice

func newDice(seed uint64) *dice {
	d := &dice{next: make(chan float64, 64)}
	source := rand.New(rand.NewPCG(seed, 27))
	go func() {
		for {
			d.next <- source.Float64()
		}
	}()
	return d
}

// between draws a time, in seconds a..b.
func (d *dice) between(a, b float64) time.Duration {
	return time.Duration((a + (b-a)*<-d.next) * float64(time.Second))
}

// every calls f at a rate, with gaps of half to one and a half times the mean; it never returns.
func (d *dice) every(perS float64, f func()) {
	if perS <= 0 {
		return
	}
	due := time.Now()
	for {
		due = due.Add(d.between(0.5/perS, 1.5/perS))
		time.Sleep(time.Until(due))
		f()
	}
}
