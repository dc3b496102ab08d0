// Goldens: a small program whose goroutines, heap, locks and CPU time are known, and which writes every profile of it.
//
// Usage: goldens DIR. Writes NAME.pb.gz and NAME.txt (debug=1) per profile, and vars.json (/debug/vars).
package main

import (
	"context"
	_ "expvar"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"sync"
	"time"
)

var (
	kept  [][]byte
	gate  sync.Mutex
	hot   sync.Mutex
	total int
)

func recvForever(c chan int) int { return <-c }

func sendForever(c chan int) { c <- 1 }

func selectForever(a, b chan int) {
	select {
	case <-a:
	case b <- 2:
	}
}

func lockForever() {
	gate.Lock()
	defer gate.Unlock()
	total++
}

// Pool is generic, so that shape names show up in the profile.
type Pool[T any] struct{ items chan T }

//go:noinline
func (p *Pool[T]) take() T { return <-p.items }

type worker struct{ wg sync.WaitGroup }

func (w *worker) wait() { w.wg.Wait() }

//go:noinline
func keep(n, size int) {
	for i := 0; i < n; i++ {
		kept = append(kept, make([]byte, size))
	}
}

func burn(d time.Duration) int {
	x := 1
	for end := time.Now().Add(d); time.Now().Before(end); {
		for i := 0; i < 1000; i++ {
			x = x*31 + i
		}
	}
	return x
}

func contend() {
	var wg sync.WaitGroup
	for i := 0; i < 4; i++ {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for j := 0; j < 50; j++ {
				hot.Lock()
				burn(200 * time.Microsecond)
				hot.Unlock()
			}
		}()
	}
	wg.Wait()
}

func leak() {
	for i := 0; i < 7; i++ {
		go recvForever(make(chan int))
	}
	for i := 0; i < 3; i++ {
		go sendForever(make(chan int))
	}
	for i := 0; i < 2; i++ {
		go selectForever(make(chan int), make(chan int))
	}
	for i := 0; i < 5; i++ {
		go func() { (&Pool[string]{items: make(chan string)}).take() }()
	}
	for i := 0; i < 4; i++ {
		go pprof.Do(context.Background(), pprof.Labels("tenant", "acme \"x\"", "worker", "7"), func(context.Context) {
			recvForever(make(chan int))
		})
	}
	gate.Lock()
	for i := 0; i < 6; i++ {
		go lockForever()
	}
	w := &worker{}
	w.wg.Add(1)
	go w.wait()
	go time.Sleep(time.Hour)
}

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	dir := os.Args[1]
	check(os.MkdirAll(dir, 0o755))
	runtime.SetBlockProfileRate(1)
	runtime.SetMutexProfileFraction(1)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	go http.Serve(listener, nil)

	cpu, err := os.Create(filepath.Join(dir, "cpu.pb.gz"))
	check(err)
	check(pprof.StartCPUProfile(cpu))
	pprof.Do(context.Background(), pprof.Labels("phase", "burn"), func(context.Context) { burn(400 * time.Millisecond) })
	contend()
	pprof.StopCPUProfile()
	check(cpu.Close())

	keep(100, 64<<10)
	keep(4000, 512)
	leak()
	time.Sleep(50 * time.Millisecond)
	runtime.GC()

	response, err := http.Get("http://" + listener.Addr().String() + "/debug/vars")
	check(err)
	vars, err := io.ReadAll(response.Body)
	check(err)
	check(response.Body.Close())
	check(os.WriteFile(filepath.Join(dir, "vars.json"), vars, 0o644))

	for _, name := range []string{"goroutine", "goroutineleak", "threadcreate", "heap", "allocs", "block", "mutex"} {
		profile := pprof.Lookup(name)
		if profile == nil {
			continue // goroutineleak exists from Go 1.26 on
		}
		for debug, suffix := range []string{".pb.gz", ".txt"} {
			out, err := os.Create(filepath.Join(dir, name+suffix))
			check(err)
			check(profile.WriteTo(out, debug))
			check(out.Close())
		}
	}
	fmt.Println(len(kept), total)
}
