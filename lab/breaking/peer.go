package breaking

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
)

// sendBuffer bounds what the kernel queues for one client; without it a slow client is felt only megabytes later.
const sendBuffer = 16 << 10

// held keeps the peers' standard inputs from being collected, and so closed.
var held []io.Closer

// smallQueue is a server's ConnContext.
func smallQueue(ctx context.Context, conn net.Conn) context.Context {
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetWriteBuffer(sendBuffer)
	}
	return ctx
}

// Peer starts this program again with one flag more, as the other end of what the service leaks: a process of its own, so that its
// descriptors count against limits of its own. It says its address on its first line and ends when this process does: its standard
// input is then at its end. Call it before limits are lowered.
func Peer(asFlag string) string {
	self, err := os.Executable()
	if err != nil {
		log.Fatal(err)
	}
	peer := exec.Command(self, asFlag)
	peer.Stderr = os.Stderr
	in, err := peer.StdinPipe()
	if err != nil {
		log.Fatal(err)
	}
	held = append(held, in)
	out, err := peer.StdoutPipe()
	if err != nil {
		log.Fatal(err)
	}
	if err := peer.Start(); err != nil {
		log.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		log.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// BePeer listens, says where, runs `serve` and ends with whoever started it.
func BePeer(serve func(net.Listener)) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(listener.Addr())
	go serve(listener)
	_, _ = bufio.NewReader(os.Stdin).ReadByte()
}

// ServeHTTP is a peer that answers with a handler.
func ServeHTTP(handler http.HandlerFunc) func(net.Listener) {
	return func(listener net.Listener) { log.Fatal(http.Serve(listener, handler)) }
}
