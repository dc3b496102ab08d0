// Command targets answers as a thousand Go services would: /t/N/metrics is a page as client_golang writes it (about 10 kB, 150 series,
// values that move), /t/N/debug/pprof/ this process's own profiles. It prints its address and runs until its input ends.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"runtime"
	"strings"
	"time"
)

var began = time.Now()

type page struct{ b strings.Builder }

func (p *page) family(name, kind, help string) {
	fmt.Fprintf(&p.b, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, kind)
}

func (p *page) one(name, kind, help string, value float64) {
	p.family(name, kind, help)
	fmt.Fprintf(&p.b, "%s %v\n", name, value)
}

// metrics renders one target's page: Go's and the process collector's families, promhttp's, and a handler's histogram.
func metrics(n int) string {
	age := time.Since(began).Seconds()
	var p page
	p.family("go_gc_duration_seconds", "summary", "A summary of the wall-time pause (stop-the-world) duration in garbage collection cycles.")
	for _, q := range []string{"0", "0.25", "0.5", "0.75", "1"} {
		fmt.Fprintf(&p.b, "go_gc_duration_seconds{quantile=%q} %v\n", q, 2.5e-05*(1+float64(n%7)))
	}
	fmt.Fprintf(&p.b, "go_gc_duration_seconds_sum %v\ngo_gc_duration_seconds_count %d\n", age/1000, int(age)/2)
	p.one("go_gc_gogc_percent", "gauge", "Heap size target percentage configured by the user, otherwise 100.", 100)
	p.one("go_gc_gomemlimit_bytes", "gauge", "Go runtime memory limit configured by the user, otherwise math.MaxInt64.", 9.223372036854776e+18)
	p.one("go_goroutines", "gauge", "Number of goroutines that currently exist.", float64(40+n%50))
	p.family("go_info", "gauge", "Information about the Go environment.")
	fmt.Fprintf(&p.b, "go_info{version=%q} 1\n", runtime.Version())
	for i, name := range []string{"alloc", "buck_hash_sys", "gc_sys", "heap_alloc", "heap_idle", "heap_inuse", "heap_objects", "heap_released",
		"heap_sys", "mcache_inuse", "mcache_sys", "mspan_inuse", "mspan_sys", "next_gc", "other_sys", "stack_inuse", "stack_sys", "sys"} {
		p.one("go_memstats_"+name+"_bytes", "gauge", "Number of bytes as told by runtime.MemStats.", float64(4<<20+i<<14+n<<8)+float64(int(age*1000)%9999))
	}
	p.one("go_memstats_last_gc_time_seconds", "gauge", "Number of seconds since 1970 of last garbage collection.", float64(began.Unix())+float64(int(age)))
	p.one("go_memstats_frees_total", "counter", "Total number of heap objects frees.", age*1234)
	p.one("go_memstats_alloc_bytes_total", "counter", "Total number of bytes allocated in heap until now, even if released already.", age*123456)
	p.one("go_sched_gomaxprocs_threads", "gauge", "The current runtime.GOMAXPROCS setting.", 4)
	p.one("go_threads", "gauge", "Number of OS threads created.", float64(9+n%3))
	p.family("http_request_duration_seconds", "histogram", "Time to answer.")
	for _, handler := range []string{"/api/orders", "/api/users", "/healthz"} {
		for _, code := range []string{"200", "404", "500"} {
			for _, le := range []string{"0.005", "0.01", "0.05", "0.1", "0.5", "1", "+Inf"} {
				fmt.Fprintf(&p.b, "http_request_duration_seconds_bucket{code=%q,handler=%q,le=%q} %d\n", code, handler, le, int(age*10)+n)
			}
			fmt.Fprintf(&p.b, "http_request_duration_seconds_sum{code=%q,handler=%q} %v\n", code, handler, age*0.7)
			fmt.Fprintf(&p.b, "http_request_duration_seconds_count{code=%q,handler=%q} %d\n", code, handler, int(age*10)+n)
		}
	}
	p.family("http_requests_total", "counter", "Requests.")
	for _, handler := range []string{"/api/orders", "/api/users", "/healthz"} {
		for _, code := range []string{"200", "404", "500"} {
			fmt.Fprintf(&p.b, "http_requests_total{code=%q,handler=%q} %d\n", code, handler, int(age*10)+n)
		}
	}
	p.one("process_cpu_seconds_total", "counter", "Total user and system CPU time spent in seconds.", age*0.01)
	p.one("process_max_fds", "gauge", "Maximum number of open file descriptors.", 1048576)
	p.one("process_network_receive_bytes_total", "counter", "Number of bytes received by the process over the network.", age*777)
	p.one("process_open_fds", "gauge", "Number of open file descriptors.", float64(11+n%5))
	p.one("process_resident_memory_bytes", "gauge", "Resident memory size in bytes.", float64(23<<20+n<<10))
	p.one("process_start_time_seconds", "gauge", "Start time of the process since unix epoch in seconds.", float64(began.Unix()-int64(n)))
	p.one("process_virtual_memory_bytes", "gauge", "Virtual memory size in bytes.", 1.2e+09)
	p.family("promhttp_metric_handler_requests_total", "counter", "Total number of scrapes by HTTP status code.")
	for _, code := range []string{"200", "500", "503"} {
		fmt.Fprintf(&p.b, "promhttp_metric_handler_requests_total{code=%q} %d\n", code, int(age))
	}
	return p.b.String()
}

func serve(w http.ResponseWriter, r *http.Request) {
	var n int
	var rest string
	if _, err := fmt.Sscanf(r.URL.Path, "/t/%d/%s", &n, &rest); err != nil {
		http.NotFound(w, r)
		return
	}
	switch rest = strings.TrimSuffix(rest, "/"); {
	case rest == "metrics":
		w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8; escaping=underscores")
		io.WriteString(w, metrics(n))
	case rest == "debug/pprof/trace":
		pprof.Trace(w, r)
	case strings.HasPrefix(rest, "debug/pprof"):
		name := strings.Trim(strings.TrimPrefix(rest, "debug/pprof"), "/")
		r.URL.Path = "/debug/pprof/" + name
		pprof.Index(w, r)
	default:
		http.NotFound(w, r)
	}
}

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(listener.Addr())
	go http.Serve(listener, http.HandlerFunc(serve))
	io.Copy(io.Discard, os.Stdin)
}
