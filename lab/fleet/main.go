// Command fleet is many services in one process: it answers the debug pages of N instances, so that a collector can be
// measured against a fleet that one laptop can run.
//
//	/i/<n>/metrics /i/<n>/debug/vars /i/<n>/debug/pprof/...   instance n, under a path of its own
//	/targets                                                  all of them, as Prometheus' HTTP service discovery wants it
//	/counters                                                 how often each kind of page was asked for
//
// With -ports each instance listens on a port of its own as well and answers /metrics there. Pages are real ones, made from
// this process' own runtime; numbers differ by instance and move with time. Profiles and traces are taken anew every
// -refresh and then served to everybody: Go takes one trace at a time, and this is no bench of Go's profiler.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"example.com/shop/gometrics"
)

const leaking = 10 // every tenth instance leaks

type fleet struct {
	base    string // http://host:port
	n       int
	routes  int
	started time.Time
	pages   *pages
	urls    []string

	mu     sync.Mutex
	counts map[string]int64
}

func main() {
	addr := flag.String("addr", "127.0.0.1:0", "listen on `host:port`; the paths of all instances are there")
	instances := flag.Int("instances", 1000, "how many")
	ports := flag.Bool("ports", false, "a port of its own for each instance besides")
	refresh := flag.Duration("refresh", 10*time.Second, "how long a profile or trace is served before it is taken anew")
	park := flag.Int("park", 500, "blocked goroutines of the process, so that profiles are no toys")
	routes := flag.Int("routes", 8, "routes with a histogram on each page of metrics, 12 series each")
	flag.Parse()
	if *instances < 1 || *instances > 20000 {
		log.Fatal("-instances must be 1 to 20000")
	}

	listener, err := net.Listen("tcp", *addr)
	if err != nil {
		log.Fatal(err)
	}
	for i := range *park {
		go stand(i % stands)
	}
	f := &fleet{
		base:    "http://" + listener.Addr().String(),
		n:       *instances,
		routes:  *routes,
		started: time.Now(),
		pages:   newPages(*refresh),
		counts:  map[string]int64{},
	}
	for i := range f.n {
		f.urls = append(f.urls, fmt.Sprintf("%s/i/%d", f.base, i))
	}
	if *ports {
		if err := f.listenOnPorts(); err != nil {
			log.Fatal(err)
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /targets", f.targets)
	mux.HandleFunc("GET /counters", f.counters)
	mux.HandleFunc("GET /i/{n}/", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.Atoi(r.PathValue("n"))
		if err != nil || n < 0 || n >= f.n {
			http.NotFound(w, r)
			return
		}
		f.serve(w, r, n, strings.TrimPrefix(r.URL.Path, "/i/"+r.PathValue("n")))
	})
	json.NewEncoder(os.Stdout).Encode(map[string]any{"base": f.base, "instances": f.n, "targets": f.base + "/targets"})
	log.Fatal(http.Serve(listener, mux))
}

// listenOnPorts opens one listener for each instance on the loopback; their URLs replace those with a path.
func (f *fleet) listenOnPorts() error {
	for i := range f.n {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return fmt.Errorf("instance %d: %w (ulimit -n?)", i, err)
		}
		f.urls[i] = "http://" + listener.Addr().String()
		go http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { f.serve(w, r, i, r.URL.Path) }))
	}
	return nil
}

// targets is Prometheus' HTTP service discovery. A target there is host:port, so the path is a label of its own.
func (f *fleet) targets(w http.ResponseWriter, _ *http.Request) {
	type group struct {
		Targets []string          `json:"targets"`
		Labels  map[string]string `json:"labels"`
	}
	groups := make([]group, f.n)
	for i, url := range f.urls {
		host, path, _ := strings.Cut(strings.TrimPrefix(url, "http://"), "/")
		prefix := ""
		if path != "" {
			prefix = "/" + path
		}
		groups[i] = group{[]string{host}, map[string]string{
			"service": service(i), "env": "bench", "version": "1.0." + strconv.Itoa(i%3), "instance": fmt.Sprintf("fleet-%d", i),
			"__metrics_path__": prefix + "/metrics", "url": url,
		}}
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(groups)
}

func (f *fleet) counters(w http.ResponseWriter, _ *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	json.NewEncoder(w).Encode(f.counts)
}

func service(n int) string { return "service-" + strconv.Itoa(n/10) }

func (f *fleet) serve(w http.ResponseWriter, r *http.Request, n int, path string) {
	f.mu.Lock()
	f.counts[path]++
	f.mu.Unlock()
	profile, isProfile := strings.CutPrefix(path, "/debug/pprof/")
	switch {
	case path == "/metrics":
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
		w.Write(gometrics.Write(f.vary(f.pages.families(), n)))
	case path == "/debug/vars":
		f.vars(w, n)
	case isProfile:
		f.pages.profile(w, r, profile)
	default:
		http.NotFound(w, r)
	}
}

// goroutines of instance n: a level of its own, a daily life, and for the leaking ones a slope (6 to 600 a minute).
func (f *fleet) goroutines(n int) float64 {
	age := time.Since(f.started).Seconds()
	level := 40 + 7*(n%50)
	if n%leaking == 0 {
		return float64(level + int(age*float64(1+n%100)/10))
	}
	return float64(level + int(age)%(3+n%5))
}

// vary makes the process' own numbers instance n's.
func (f *fleet) vary(families []gometrics.Family, n int) []gometrics.Family {
	goroutines := f.goroutines(n)
	heap := 4096 * goroutines
	varied := make([]gometrics.Family, len(families), len(families)+2)
	for i, family := range families {
		switch family.Name {
		case "go_goroutines", "go_sched_goroutines_goroutines":
			family.Samples = []gometrics.Sample{{Value: goroutines}}
		case "go_memstats_heap_inuse_bytes", "go_memstats_heap_alloc_bytes", "go_memstats_alloc_bytes", "process_resident_memory_bytes":
			family.Samples = []gometrics.Sample{{Value: family.Samples[0].Value + heap}}
		case "process_start_time_seconds":
			family.Samples = []gometrics.Sample{{Value: family.Samples[0].Value - float64(60*n)}}
		}
		varied[i] = family
	}
	requests := time.Since(f.started).Seconds() * float64(10+n%90)
	return append(varied, durations(f.routes, requests),
		gometrics.Family{Name: "http_requests_total", Help: "Requests served.", Kind: gometrics.Counter, Samples: []gometrics.Sample{
			{Labels: `{code="200",path="/buy"}`, Value: float64(int(requests))},
			{Labels: `{code="500",path="/buy"}`, Value: float64(int(requests / 1000))},
		}},
		gometrics.Family{Name: "shop_build_info", Help: "What runs.", Kind: gometrics.Gauge, Samples: []gometrics.Sample{
			{Labels: fmt.Sprintf(`{service=%q,version="1.0.%d"}`, service(n), n%3), Value: 1},
		}},
	)
}

func (f *fleet) vars(w http.ResponseWriter, n int) {
	mem := f.pages.memstats()
	extra := uint64(4096 * f.goroutines(n))
	mem.HeapInuse += extra
	mem.HeapAlloc += extra
	mem.Alloc += extra
	var page bytes.Buffer
	if err := json.NewEncoder(&page).Encode(map[string]any{
		"cmdline": os.Args, "goroutines": int(f.goroutines(n)), "memstats": &mem, "version": runtime.Version(),
	}); err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.Write(page.Bytes())
}
