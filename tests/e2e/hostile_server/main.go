// Hostileserver leaks a goroutine every 20 ms from a function whose file is called what nobody would call a file; the page must stay whole.
package main

import (
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof"
	"time"
)

func main() {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr())
	go func() {
		for range time.Tick(20 * time.Millisecond) {
			go abandoned(make(chan int))
		}
	}()
	panic(http.Serve(listener, nil))
}

//line /src/<script>alert(1)</script>/<img src=x onerror=alert(2)>"'&/evil.go:7
func abandoned(results chan int) { results <- 1 }
