package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"time"
)

func init() {
	register(&scenario{
		ID:       "http-connection-not-closed",
		Leak:     "the response's status is read, its body is never closed",
		Innocent: "bodies drained and closed; idle keep-alive connections inside MaxIdleConnsPerHost",
		leak:     func(n int) error { return each(n, func(int) { supplierStatusForgetful() }) },
		innocent: func(n int) error { return fetchAll(n) },
	})
	register(&scenario{
		ID:       "transport-per-request",
		Pattern:  "http-connection-not-closed",
		Leak:     "a new http.Transport per call: its idle connection is never used again and never closed",
		Innocent: "one Transport, its idle connections reused",
		leak:     func(n int) error { return each(n, func(int) { freshTransport() }) },
		innocent: func(n int) error { return fetchAll(n) },
	})
	register(&scenario{
		ID:       "io-without-deadline",
		Leak:     "a reply is read from a peer that stays silent, without a deadline",
		Innocent: "long polls of the same peer with a deadline",
		leak:     func(n int) error { return each(n, func(i int) { askTerminal(i, 0) }) },
		innocent: func(n int) error { return each(n, func(i int) { askTerminal(i, 1500*time.Millisecond) }) },
	})
	register(&scenario{
		ID:       "io-copy-slow-client",
		Leak:     "downloads stream into clients that stopped reading",
		Innocent: "downloads into clients that read on",
		leak:     func(n int) error { return each(n, func(int) { download(false) }) },
		innocent: func(n int) error { return each(n, func(int) { download(true) }) },
	})
	register(&scenario{
		ID:       "child-process-pipe",
		Leak:     "a converter waits for the end of its input, which is never closed; its output is read for ever",
		Innocent: "a converter whose input is closed, output read, and which is waited for",
		leak:     func(n int) error { return each(n, func(int) { printInvoice(false) }) },
		innocent: func(n int) error { return each(n, func(int) { printInvoice(true) }) },
	})
}

// --- HTTP client

var supplier = sync.OnceValue(func() string {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, strings.Repeat("in stock\n", 600))
	})
	mux.HandleFunc("GET /invoice", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.Copy(w, io.LimitReader(zeros{}, 64<<20))
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() { _ = http.Serve(listener, mux) }()
	return listener.Addr().String()
})

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

func supplierStatusForgetful() {
	response, err := http.Get("http://" + supplier() + "/status")
	if err != nil {
		return
	}
	_ = response.StatusCode // response.Body.Close() is missing
}

var pooled = sync.OnceValue(func() *http.Client {
	return &http.Client{Transport: &http.Transport{
		MaxIdleConns: 200, MaxIdleConnsPerHost: 200, MaxConnsPerHost: 200, IdleConnTimeout: 90 * time.Second,
	}}
})

// fetchAll makes min(n, 100) calls at a time: the connections stay idle in the pool and are used again.
func fetchAll(n int) error {
	var calls sync.WaitGroup
	for range min(n, 100) {
		calls.Go(func() {
			response, err := pooled().Get("http://" + supplier() + "/status")
			if err != nil {
				return
			}
			defer response.Body.Close()
			_, _ = io.Copy(io.Discard, response.Body)
		})
	}
	calls.Wait()
	return nil
}

func freshTransport() {
	client := &http.Client{Transport: &http.Transport{}} // IdleConnTimeout 0: never
	response, err := client.Get("http://" + supplier() + "/status")
	if err != nil {
		return
	}
	_, _ = io.Copy(io.Discard, response.Body)
	_ = response.Body.Close()
}

// --- plain connections

// silent is a card terminal that accepts connections and never says a word.
var silent = sync.OnceValue(func() string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	go func() {
		var held []net.Conn
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			held = append(held, conn)
		}
	}()
	return listener.Addr().String()
})

func askTerminal(till int, patience time.Duration) { go terminalStatus(till, patience) }

func terminalStatus(_ int, patience time.Duration) {
	conn, err := net.Dial("tcp", silent())
	if err != nil {
		return
	}
	defer conn.Close()
	if patience > 0 {
		_ = conn.SetReadDeadline(time.Now().Add(patience))
	}
	_, _ = bufio.NewReader(conn).ReadString('\n')
}

// --- downloads

// vanished holds the connections of clients that are there and do not read.
var vanished struct {
	sync.Mutex
	conns []net.Conn
}

func download(reads bool) {
	conn, err := net.Dial("tcp", supplier())
	if err != nil {
		return
	}
	fmt.Fprintf(conn, "GET /invoice HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n\r\n")
	if reads {
		go func() {
			defer conn.Close()
			_, _ = io.CopyN(io.Discard, conn, 1<<20)
		}()
		return
	}
	_ = conn.(*net.TCPConn).SetReadBuffer(4096)
	vanished.Lock()
	vanished.conns = append(vanished.conns, conn)
	vanished.Unlock()
}

// --- child processes

func printInvoice(closeInput bool) { go convert(closeInput) }

func convert(closeInput bool) {
	converter := exec.Command("cat")
	input, err := converter.StdinPipe()
	if err != nil {
		return
	}
	output, err := converter.StdoutPipe()
	if err != nil {
		return
	}
	if err := converter.Start(); err != nil {
		return
	}
	_, _ = io.WriteString(input, "page 1\n")
	if closeInput {
		time.AfterFunc(500*time.Millisecond, func() { _ = input.Close() })
	}
	_, _ = io.Copy(io.Discard, output)
	_ = converter.Wait()
	_ = input.Close()
}
