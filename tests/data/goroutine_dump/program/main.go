// Program parked parks goroutines of a dozen kinds and prints their stacks.
//
//	parked debug2 FILE   runtime/pprof goroutine profile, debug=2
//	parked stack FILE    runtime.Stack(buf, true)
//	parked quit          waits for SIGQUIT
//	parked panic         panics beside the parked goroutines
//	parked nil           nil dereference in a goroutine with two ancestors
//	parked deep          the same under 150 frames: some are elided
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/pprof"
	"sync"
	"time"
)

type store struct {
	mu   sync.Mutex
	rw   sync.RWMutex
	cond *sync.Cond
	wg   sync.WaitGroup
	ch   chan string
	none chan int
	sum  int
}

type list[T any] struct{ items []T }

func (l *list[T]) wait(ch chan T) T { return <-ch }

//go:noinline
func (s *store) send(parts []string, n int, f float64) {
	for _, p := range parts {
		s.ch <- p
	}
	s.sum += n + int(f)
}

func lock(s *store) { s.mu.Lock(); s.sum++; s.mu.Unlock() }

func (s *store) park(ctx context.Context) {
	s.mu.Lock()
	s.rw.Lock()
	s.wg.Add(1)
	go s.send([]string{"a"}, 7, 1.5)
	go func() { <-make(chan int) }()
	go lock(s)
	go func() { s.rw.RLock(); defer s.rw.RUnlock() }()
	go func() { s.wg.Wait() }()
	go func() { s.cond.L.Lock(); s.cond.Wait() }()
	go func() { select {} }()
	go func() {
		select {
		case <-make(chan string):
		case <-ctx.Done():
		}
	}()
	go func() { <-s.none }()
	go time.Sleep(time.Hour)
	go (&list[string]{}).wait(make(chan string))
	go func() { runtime.LockOSThread(); <-ctx.Done() }()
	go pprof.Do(ctx, pprof.Labels("tenant", "acme", "note", "a \"quoted\" ]}: ü"), func(ctx context.Context) { <-ctx.Done() })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go l.Accept()
}

//go:noinline
func deep(n int, p *int) int {
	if n == 0 {
		return *p
	}
	return deep(n-1, p) + n
}

func nested(depth int) {
	var wg sync.WaitGroup
	wg.Add(1)
	go func() {
		defer wg.Done()
		go func() { deep(depth, nil) }()
		select {}
	}()
	wg.Wait()
}

func main() {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s := &store{ch: make(chan string)}
	s.cond = sync.NewCond(new(sync.Mutex))
	mode := os.Args[1]
	if mode != "nil" && mode != "deep" {
		s.park(ctx)
		time.Sleep(50 * time.Millisecond)
	}
	switch mode {
	case "debug2":
		f, _ := os.Create(os.Args[2])
		pprof.Lookup("goroutine").WriteTo(f, 2)
		f.Close()
	case "stack":
		buf := make([]byte, 1<<20)
		os.WriteFile(os.Args[2], buf[:runtime.Stack(buf, true)], 0o644)
	case "quit":
		fmt.Println("ready")
		<-ctx.Done()
	case "panic":
		panic(fmt.Sprintf("sum is %d", s.sum))
	case "nil":
		nested(2)
	case "deep":
		nested(150)
	}
}
