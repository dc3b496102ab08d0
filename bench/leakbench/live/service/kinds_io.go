package main

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"os/exec"
	"sync"
)

// maxChildren bounds what is dear; they are in the service's process group and end with it.
const maxChildren = 60

// dial reaches the back end that neither reads nor writes.
func dial() (net.Conn, bool) {
	at := backend.Load()
	if at == nil {
		return nil, false
	}
	conn, err := net.Dial("tcp", at.peer)
	return conn, err == nil
}

func ioRead(c call) {
	if conn, ok := dial(); ok {
		go readAnswer(conn)
		c.later(func() { conn.Close() })
	}
}

func readAnswer(conn net.Conn) {
	_, _ = bufio.NewReader(conn).ReadString('\n')
	conn.Close()
}

func ioWrite(c call) {
	if conn, ok := dial(); ok {
		_ = conn.(*net.TCPConn).SetWriteBuffer(16 << 10)
		go sendBulk(conn)
		c.later(func() { conn.Close() })
	}
}

func sendBulk(conn net.Conn) {
	block := make([]byte, 64<<10)
	for range 1000 {
		if _, err := conn.Write(block); err != nil {
			break
		}
	}
	conn.Close()
}

func acceptOne(c call) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err == nil {
		go awaitCallback(listener)
		c.later(func() { listener.Close() })
	}
}

func awaitCallback(listener net.Listener) {
	if conn, err := listener.Accept(); err == nil {
		conn.Close()
	}
}

func ioCopy(c call) { download(c.w, io.LimitReader(zeros{}, 1<<32)) }

func download(w io.Writer, file io.Reader) { _, _ = io.Copy(w, file) }

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }

func httpBody(c call) {
	at := backend.Load()
	if at == nil {
		return
	}
	ask, err := http.NewRequestWithContext(context.Background(), http.MethodGet, at.web+"/bulk", http.NoBody)
	if err != nil {
		return
	}
	if answer, err := bulkClient.Do(ask); err == nil {
		c.later(func() { answer.Body.Close() }) // otherwise never
	}
}

var bulkClient = &http.Client{Transport: &http.Transport{}}

// serveReservation blocks in the handler itself; that the client has gone is not looked at.
func serveReservation(c call) {
	freed := make(chan struct{})
	c.later(func() { close(freed) })
	<-freed
}

var (
	childrenMu sync.Mutex
	children   int
)

func childPipe(c call) {
	childrenMu.Lock()
	defer childrenMu.Unlock()
	if children >= maxChildren {
		return
	}
	child := exec.Command("sleep", "600")
	out, err := child.StdoutPipe()
	if err != nil || child.Start() != nil {
		return
	}
	children++
	go readChild(out)
	c.later(func() {
		_ = child.Process.Kill()
		_ = child.Wait()
		childrenMu.Lock()
		children--
		childrenMu.Unlock()
	})
}

func readChild(out io.Reader) { _, _ = io.ReadAll(out) }
