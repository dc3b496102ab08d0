// Samesite blocks goroutines in every way the standard library offers and writes the four looks at itself:
// a text dump, a debug=1 text, a protobuf goroutine profile and a 50 ms execution trace.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"reflect"
	"runtime"
	"runtime/pprof"
	"runtime/trace"
	"sync"
	"syscall"
	"time"
)

var (
	never   = make(chan int) // nobody sends
	full    = make(chan int) // nobody receives
	nilChan chan int
	mu      sync.Mutex
	rw      sync.RWMutex
	wg      sync.WaitGroup
	once    sync.Once
	held    sync.Map // listeners and pipe ends that the garbage collector must not close
)

func parkReceive()    { <-never }
func parkSend()       { full <- 1 }
func parkNilReceive() { <-nilChan }
func parkNilSend()    { nilChan <- 1 }
func parkSelectNone() { select {} }
func parkMutex()      { mu.Lock() }
func parkRWLock()     { rw.Lock() }
func parkRWRLock()    { rw.RLock() }
func parkWaitGroup()  { wg.Wait() }
func parkSleep()      { time.Sleep(time.Hour) }
func parkOnce()       { once.Do(parkReceive) }

func parkSelect(ctx context.Context) {
	select {
	case <-never:
	case <-ctx.Done():
	}
}

func parkRange() {
	for range never {
	}
}

func parkCond() {
	c := sync.NewCond(&sync.Mutex{})
	c.L.Lock()
	c.Wait()
}

func parkTicker() {
	t := time.NewTicker(time.Hour)
	for range t.C {
	}
}

func parkAccept() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	_, err = l.Accept()
	check(err)
}

func parkNetRead() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	held.Store(l, true)
	c, err := net.Dial("tcp", l.Addr().String())
	check(err)
	_, err = c.Read(make([]byte, 1))
	check(err)
}

func parkServe() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	go func() {
		_, err := http.Get("http://" + l.Addr().String() + "/park")
		check(err)
	}()
	check(http.Serve(l, http.HandlerFunc(parkHandler)))
}

func parkHandler(http.ResponseWriter, *http.Request) { <-never }

func parkPipe() {
	r, w, err := os.Pipe()
	check(err)
	held.Store(w, true)
	_, err = r.Read(make([]byte, 1))
	check(err)
}

func parkSyscall() {
	var fds [2]int
	check(syscall.Pipe(fds[:]))
	_, err := syscall.Read(fds[0], make([]byte, 1))
	check(err)
}

func parkGeneric[T any](c chan T) { <-c }

func parkDirect(depth int) {
	if depth == 0 {
		<-never
	}
	parkDirect(depth - 1)
}

func parkEven(depth int) {
	if depth == 0 {
		<-never
	}
	parkOdd(depth - 1)
}

func parkOdd(depth int) { parkEven(depth - 1) }

type base struct{ c chan int }

func (b *base) parkMethod() { <-b.c }

type outer struct{ *base }

type parker interface{ parkMethod() }

func parkThrough(p parker) { p.parkMethod() }

func parkDeferred() {
	defer func() { <-never }()
	panic("the deferred call waits")
}

func parkIterator(yield func(int) bool) { <-never }

func parkFinalizer() {
	runtime.SetFinalizer(&base{never}, func(b *base) { <-b.c })
	runtime.GC()
}

func parkSignal() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGUSR1)
	<-c
}

func parkLocked() {
	runtime.LockOSThread()
	<-never
}

func start(depth int) {
	mu.Lock()
	rw.Lock()
	wg.Add(1)
	plain := []func(){
		parkReceive, parkSend, parkNilReceive, parkNilSend, parkSelectNone, parkMutex, parkRWLock, parkRWRLock,
		parkWaitGroup, parkSleep, parkOnce, parkOnce, parkRange, parkCond, parkTicker, parkAccept, parkNetRead,
		parkServe, parkPipe, parkSyscall, parkDeferred, parkFinalizer, parkSignal, parkLocked,
	}
	for _, f := range plain {
		go f()
	}
	go parkSelect(context.Background())
	go parkGeneric(make(chan string))
	go parkGeneric(make(chan []int))
	go parkDirect(depth)
	go parkEven(2 * depth)
	go parkThrough(outer{&base{never}})
	go (&base{never}).parkMethod()
	go func() {
		func() { <-never }()
	}()
	go reflect.ValueOf(parkReceive).Call(nil)
	time.AfterFunc(0, parkReceive)
	pprof.Do(context.Background(), pprof.Labels("tenant", "acme"), func(context.Context) { go parkReceive() })
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func profile(path string, debug int) {
	f, err := os.Create(path)
	check(err)
	check(pprof.Lookup("goroutine").WriteTo(f, debug))
	check(f.Close())
}

func main() {
	dir, depth := os.Args[1], 5
	if len(os.Args) > 2 {
		_, err := fmt.Sscan(os.Args[2], &depth)
		check(err)
	}
	start(depth)
	time.Sleep(300 * time.Millisecond) // all are where they will stay
	profile(filepath.Join(dir, "dump.txt"), 2)
	profile(filepath.Join(dir, "text.txt"), 1)
	profile(filepath.Join(dir, "goroutine.pb.gz"), 0)
	f, err := os.Create(filepath.Join(dir, "trace.out"))
	check(err)
	check(trace.Start(f))
	time.Sleep(50 * time.Millisecond)
	trace.Stop()
	check(f.Close())
}
