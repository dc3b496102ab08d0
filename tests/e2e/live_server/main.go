// Liveserver leaks a goroutine every few milliseconds and tells its address; test_live_e2e.py looks at it.
package main

import (
	_ "expvar"
	"flag"
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof"
	"runtime"
	"time"
)

func abandoned(results chan int) { results <- 1 }

func main() {
	standing := flag.Int("standing", 50, "goroutines that are there from the start")
	every := flag.Duration("every", 10*time.Millisecond, "leak one so often")
	flag.Parse()
	runtime.SetBlockProfileRate(1)
	runtime.SetMutexProfileFraction(1)
	wait := make(chan int)
	for i := 0; i < *standing; i++ {
		go func() { <-wait }()
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr())
	go func() {
		for range time.Tick(*every) {
			go abandoned(make(chan int))
		}
	}()
	panic(http.Serve(listener, nil))
}
