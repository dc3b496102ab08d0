// Command consumer prices the shop's orders: it takes messages from a broker and looks prices up.
//
// It is part of Parkwarden's lab and broken on purpose: see internal/pricing. With -load it is the broker instead.
package main

import (
	"context"
	_ "expvar" // /debug/vars
	"flag"
	"log"
	"net/http"
	_ "net/http/pprof" // /debug/pprof
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"example.com/shop/consumer/internal/broker"
	"example.com/shop/consumer/internal/loadgen"
	"example.com/shop/consumer/internal/orders"
	"example.com/shop/consumer/internal/pricing"
)

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "listen on `host:port`")
	load := flag.String("load", "", "be the load instead: push messages to the consumer at `URL`")
	rate := flag.Int("rate", 2500, "load: messages per second")
	length := flag.Duration("for", 10*time.Second, "load: stop after this long")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *load != "" {
		log.Print(loadgen.Run(ctx, *load, *rate, *length))
		return
	}

	// What people who profile their services set: one contention event in 5, one blocking event per 10 us blocked.
	runtime.SetMutexProfileFraction(5)
	runtime.SetBlockProfileRate(10_000)

	handler := &orders.Handler{Catalogue: pricing.LoadCatalogue()}
	consumer := broker.NewConsumer(handler.Handle)
	go consumer.Run(ctx)
	http.Handle("POST /push", consumer)

	server := &http.Server{Addr: *addr, ReadHeaderTimeout: 5 * time.Second}
	go func() {
		<-ctx.Done()
		server.Close()
	}()
	log.Printf("consumer: listening on http://%s", *addr)
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		log.Fatal(err)
	}
}
