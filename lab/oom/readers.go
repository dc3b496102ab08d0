package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"time"
)

const (
	receiveBuffer = 4 << 10 // of a reader; the kernel doubles it
	readBytes     = 16      // a second
)

// readSlowly brings readers at random, perS a second on average, until the context ends. Each asks for a report and reads it a few
// bytes a second.
func readSlowly(ctx context.Context, base string, rows int, perS float64, chance *rand.Rand) {
	at, err := url.Parse(base)
	if err != nil {
		fmt.Println(err)
		return
	}
	due := time.Now()
	for {
		due = due.Add(time.Duration(chance.ExpFloat64() / perS * float64(time.Second)))
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Until(due)):
		}
		go readOne(ctx, at.Host, rows)
	}
}

func readOne(ctx context.Context, host string, rows int) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", host)
	if err != nil {
		return
	}
	defer conn.Close()
	if err := conn.(*net.TCPConn).SetReadBuffer(receiveBuffer); err != nil {
		return
	}
	fmt.Fprintf(conn, "GET /report?rows=%d HTTP/1.1\r\nHost: %s\r\n\r\n", rows, host)
	piece := make([]byte, readBytes)
	for {
		if _, err := conn.Read(piece); err != nil {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
}
