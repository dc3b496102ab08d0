package main

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/pprof"
	"runtime"
	"strconv"
	"sync"
	"time"

	"example.com/shop/gometrics"
)

const (
	numbersFor = time.Second            // the process' own numbers are read this often at most
	longTrace  = 500 * time.Millisecond // traces asked for are cut to this: all instances wait behind one
	stands     = 24                     // stacks that parked goroutines stand on
)

// page is one answer of net/http/pprof, kept.
type page struct {
	header http.Header
	status int
	body   []byte
	at     time.Time
}

type pages struct {
	refresh time.Duration

	mu        sync.Mutex
	numbers   []gometrics.Family
	mem       runtime.MemStats
	numbersAt time.Time
	kept      map[string]*slot
}

// slot holds one kind of page; its lock is held while the page is taken anew, and nobody else waits for that.
type slot struct {
	mu   sync.Mutex
	page page
}

func newPages(refresh time.Duration) *pages {
	return &pages{refresh: refresh, kept: map[string]*slot{}}
}

func (p *pages) read() {
	if time.Since(p.numbersAt) >= numbersFor {
		p.numbers = append(gometrics.Runtime(), gometrics.Process()...)
		runtime.ReadMemStats(&p.mem)
		p.numbersAt = time.Now()
	}
}

func (p *pages) families() []gometrics.Family {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.read()
	return p.numbers
}

func (p *pages) memstats() runtime.MemStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.read()
	return p.mem
}

// profile answers as net/http/pprof does. A trace takes as long as it was asked for, as a real one does.
func (p *pages) profile(w http.ResponseWriter, r *http.Request, name string) {
	query := r.URL.Query()
	debug, _ := strconv.Atoi(query.Get("debug")) // a number: what is kept has an end
	key := name + "?debug=" + strconv.Itoa(min(max(debug, 0), 2))
	if name == "trace" {
		seconds, err := strconv.ParseFloat(query.Get("seconds"), 64)
		if err != nil || seconds <= 0 {
			seconds = 1
		}
		length := min(time.Duration(seconds*float64(time.Second)), longTrace)
		key = "trace?" + length.String()
		time.Sleep(length)
	}
	p.mu.Lock()
	one, known := p.kept[key]
	if !known {
		one = &slot{}
		p.kept[key] = one
	}
	p.mu.Unlock()

	one.mu.Lock()
	if time.Since(one.page.at) > p.refresh {
		one.page = taken(r, name)
	}
	answer := one.page
	one.mu.Unlock()
	maps.Copy(w.Header(), answer.header)
	w.WriteHeader(answer.status)
	w.Write(answer.body)
}

var handlers = map[string]http.HandlerFunc{
	"": pprof.Index, "cmdline": pprof.Cmdline, "symbol": pprof.Symbol, "trace": pprof.Trace,
}

func taken(r *http.Request, name string) page {
	handler, known := handlers[name]
	if !known {
		handler = pprof.Handler(name).ServeHTTP
	}
	asked := r.Clone(r.Context())
	asked.URL.Path = "/debug/pprof/" + name
	if name == "trace" {
		query := asked.URL.Query()
		query.Set("seconds", "0.05")
		asked.URL.RawQuery = query.Encode()
	}
	recorder := httptest.NewRecorder()
	handler(recorder, asked)
	return page{recorder.Header(), recorder.Code, recorder.Body.Bytes(), time.Now()}
}

var nobody = make(chan struct{})

// stand blocks a goroutine `depth` calls down: each depth is a stack of its own.
//
//go:noinline
func stand(depth int) {
	if depth > 0 {
		stand(depth - 1)
		return
	}
	<-nobody
}
