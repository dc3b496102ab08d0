// Command transcoder streams films over HTTP, re-encoded by a child process for each client.
//
// It is part of Parkwarden's lab and broken on purpose: see internal/stream. With -codec it is the child process
// (instead of ffmpeg, so that nothing need be installed), with -load it is the audience.
package main

import (
	"context"
	_ "expvar" // /debug/vars
	"flag"
	"log"
	"net"
	"net/http"
	_ "net/http/pprof" // /debug/pprof
	"os"
	"os/signal"
	"syscall"
	"time"

	"example.com/media/transcoder/internal/codec"
	"example.com/media/transcoder/internal/loadgen"
	"example.com/media/transcoder/internal/stream"
)

const sendBuffer = 128 << 10

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "listen on `host:port`")
	asCodec := flag.Bool("codec", false, "be the codec: standard input to standard output")
	load := flag.String("load", "", "be the audience instead: watch films of the transcoder at `URL`")
	clients := flag.Int("clients", 160, "load: how many come, one after the other")
	length := flag.Duration("for", 15*time.Second, "load: stop after this long")
	flag.Parse()

	if *asCodec {
		if err := codec.Run(os.Stdin, os.Stdout); err != nil {
			log.Fatal(err)
		}
		return
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *load != "" {
		log.Print(loadgen.Run(ctx, *load, *clients, *length))
		return
	}

	self, err := os.Executable()
	if err != nil {
		log.Fatal(err)
	}
	transcoder := stream.NewTranscoder(self, "-codec")
	http.Handle("GET /stream/{film}", transcoder)

	// No WriteTimeout: films are long. That is one half of the fault.
	server := &http.Server{Addr: *addr, ReadHeaderTimeout: 5 * time.Second, ConnContext: fairShare}
	go func() {
		<-ctx.Done()
		transcoder.Close()
		server.Close()
	}()
	log.Printf("transcoder: listening on http://%s", *addr)
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
}

// fairShare bounds what the kernel queues for one client; without it a slow client is felt only megabytes later.
func fairShare(ctx context.Context, conn net.Conn) context.Context {
	if tcp, ok := conn.(*net.TCPConn); ok {
		if err := tcp.SetWriteBuffer(sendBuffer); err != nil {
			log.Printf("transcoder: %v", err)
		}
	}
	return ctx
}
