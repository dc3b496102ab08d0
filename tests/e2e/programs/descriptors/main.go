// Descriptors opens descriptors of every kind when asked to, and says how long it was held up while somebody looked at it.
//
//	/open?kind=pipe&n=1000    n descriptors: pipe, file, deleted-file, socket, eventpoll, eventfd, inotify, timerfd
//	/transcode?n=10           n child processes that never end, each with a copied standard output and a goroutine that waits
//	/stall                    longest time in ms that a goroutine that wants to run every 0.2 ms did not, since the last question
package main

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	_ "net/http/pprof"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

const every = 200 * time.Microsecond

var (
	mu   sync.Mutex
	held []io.Closer
	raw  []int
	gap  atomic.Int64
)

func keep(closers ...io.Closer) {
	mu.Lock()
	defer mu.Unlock()
	held = append(held, closers...)
}

func check(err error) {
	if err != nil {
		log.Panic(err)
	}
}

func open(kind string, n int, listener net.Listener) {
	for i := 0; i < n; i++ {
		switch kind {
		case "pipe":
			r, w, err := os.Pipe()
			check(err)
			keep(r, w)
			i++
		case "socket":
			client, err := net.Dial("tcp", listener.Addr().String())
			check(err)
			keep(client)
			go readForever(client)
			i++ // the other end is ours, too
		case "file", "deleted-file":
			file, err := os.CreateTemp("", "upload-*")
			check(err)
			if kind == "deleted-file" {
				check(os.Remove(file.Name()))
			}
			keep(file)
		default:
			raw = append(raw, bare(kind))
		}
	}
}

// bare makes a descriptor that the standard library has no word for.
func bare(kind string) int {
	var fd uintptr
	var err error
	switch kind {
	case "eventpoll":
		made, failed := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
		fd, err = uintptr(made), failed
	case "inotify":
		made, failed := syscall.InotifyInit1(syscall.IN_CLOEXEC)
		fd, err = uintptr(made), failed
	case "eventfd":
		made, _, code := syscall.Syscall(eventfd2, 0, syscall.O_CLOEXEC, 0)
		fd, err = made, failure(code)
	case "timerfd":
		made, _, code := syscall.Syscall(timerfdCreate, 1, syscall.O_CLOEXEC, 0)
		fd, err = made, failure(code)
	default:
		err = fmt.Errorf("no such kind: %s", kind)
	}
	check(err)
	return int(fd)
}

func failure(code syscall.Errno) error {
	if code != 0 {
		return code
	}
	return nil
}

// readForever is a client that waits for what never comes.
func readForever(client net.Conn) {
	_, _ = client.Read(make([]byte, 1))
}

// accept serves connections by saying nothing.
func accept(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		keep(conn)
	}
}

// transcode waits for a child that never ends; its output is copied by a goroutine of os/exec.
func transcode(self string) {
	var film bytes.Buffer
	command := exec.Command(self, "-child")
	command.Stdout = &film
	input, err := command.StdinPipe()
	check(err)
	defer input.Close()
	if err := command.Run(); err != nil {
		log.Print(err)
	}
}

func meter() {
	last := time.Now()
	for {
		time.Sleep(every)
		now := time.Now()
		if late := int64(now.Sub(last) - every); late > gap.Load() {
			gap.Store(late)
		}
		last = now
	}
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "-child" {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends with its parent, who holds the other end
		return
	}
	self, err := os.Executable()
	check(err)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	go accept(listener)
	go meter()
	number := func(r *http.Request) int {
		n, err := strconv.Atoi(r.FormValue("n"))
		check(err)
		return n
	}
	http.HandleFunc("/open", func(w http.ResponseWriter, r *http.Request) {
		open(r.FormValue("kind"), number(r), listener)
	})
	http.HandleFunc("/transcode", func(w http.ResponseWriter, r *http.Request) {
		for range make([]struct{}, number(r)) {
			go transcode(self)
		}
	})
	http.HandleFunc("/stall", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%.3f\n", time.Duration(gap.Swap(0)).Seconds()*1000)
	})
	pages, err := net.Listen("tcp", "127.0.0.1:0")
	check(err)
	fmt.Println(pages.Addr())
	log.Fatal(http.Serve(pages, nil))
}
