// Command checkout takes the shop's orders and is watched by a tracing agent.
//
// It is part of Parkwarden's lab and broken on purpose: see internal/agent. With -load it is the customers, with
// -blackhole it is the agent's back end: one that accepts connections and never answers.
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
	"runtime/debug"
	"syscall"
	"time"

	"example.com/shop/checkout/internal/agent"
	"example.com/shop/checkout/internal/checkout"
	"example.com/shop/checkout/internal/loadgen"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "listen on `host:port`")
	backend := flag.String("backend", "", "the agent's back end, a base `URL`; empty: a black hole in this process")
	maxStack := flag.Int("max-stack", 32<<20, "die at this many `bytes` of stack (Go's own limit: 1,000,000,000)")
	load := flag.String("load", "", "be the load instead: buy from the checkout at `URL`")
	rate := flag.Int("rate", 120, "load: orders per second")
	length := flag.Duration("for", 20*time.Second, "load: stop after this long")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *load != "" {
		log.Print(loadgen.Run(ctx, *load, *rate, *length))
		return
	}

	debug.SetMaxStack(*maxStack)
	if *backend == "" {
		hole, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			log.Fatal(err)
		}
		defer hole.Close() // never accepts: the kernel takes the connections, nobody answers
		*backend = "http://" + hole.Addr().String()
	}
	tracing := agent.Start(*backend)
	handler := checkout.NewHandler(tracing)
	http.Handle("POST /orders", handler)
	http.HandleFunc("GET /orders", handler.ServeWalkIn)

	server := &http.Server{Addr: *addr, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		<-ctx.Done()
		server.Close()
	}()
	log.Printf("checkout: listening on http://%s, reporting to %s", *addr, *backend)
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
}
