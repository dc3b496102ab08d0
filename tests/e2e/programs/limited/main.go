// Limited serves requests that stay, and blocks threads on demand: test_limits_command_e2e.py drives it into its limits.
package main

import (
	_ "expvar"
	"flag"
	"fmt"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"syscall"
	"time"
)

const headerTimeout = 10 * time.Second

// hold answers at once and stays until the client leaves; meanwhile it keeps files=n files open and kb=n KiB in use.
func hold(w http.ResponseWriter, r *http.Request) {
	n, _ := strconv.Atoi(r.FormValue("files"))
	for i := 0; i < n; i++ {
		file, err := os.Open("/dev/null")
		if err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		defer file.Close()
	}
	kb, _ := strconv.Atoi(r.FormValue("kb"))
	kept := make([]byte, kb<<10)
	for i := 0; i < len(kept); i += 4096 {
		kept[i] = 1
	}
	w.WriteHeader(http.StatusOK)
	w.(http.Flusher).Flush()
	<-r.Context().Done()
	runtime.KeepAlive(kept)
}

// block keeps n threads in a system call that never returns.
func block(n int) {
	for i := 0; i < n; i++ {
		var ends [2]int
		if err := syscall.Pipe(ends[:]); err != nil {
			panic(err)
		}
		go func() {
			syscall.Read(ends[0], make([]byte, 1))
		}()
		time.Sleep(time.Millisecond)
	}
}

func main() {
	threads := flag.Int("threads", 0, "threads to block at once, after which it ends")
	most := flag.Int("max-threads", 0, "debug.SetMaxThreads")
	flag.Parse()
	if *most > 0 {
		debug.SetMaxThreads(*most)
	}
	if *threads > 0 {
		block(*threads)
		fmt.Println("alive")
		return
	}
	http.HandleFunc("/hold", hold)
	http.HandleFunc("/block", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.FormValue("n"))
		block(n)
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println("http://" + listener.Addr().String())
	server := &http.Server{ReadHeaderTimeout: headerTimeout, IdleTimeout: 2 * time.Minute}
	panic(server.Serve(listener))
}
