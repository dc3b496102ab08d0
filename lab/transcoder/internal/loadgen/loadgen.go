// Package loadgen is the audience of this lab: some watch properly, many read a few bytes a second, some vanish.
package loadgen

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxClients  = 400
	arrival     = 90 * time.Millisecond // between two clients
	slowBytes   = 64
	slowPause   = 250 * time.Millisecond
	receiveBuf  = 16 << 10 // a small socket buffer, as on a phone, so that a slow reader is felt soon
	vanishAfter = 2 * time.Second
)

type counts struct{ watched, slow, stalled, vanished, refused atomic.Int64 }

// Run lets n clients watch films at base and returns when all have gone, at the latest after the given time.
// Of eight clients one watches properly, four are slow, two stop reading without a word and one goes away.
func Run(ctx context.Context, base string, n int, length time.Duration) string {
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	target, err := url.Parse(base)
	if err != nil {
		return fmt.Sprintf("load: %v", err)
	}
	var all sync.WaitGroup
	var c counts
	for i := range min(n, maxClients) {
		select {
		case <-ctx.Done():
		case <-time.After(arrival):
			all.Add(1)
			go func() {
				defer all.Done()
				watch(ctx, target.Host, i, &c)
			}()
		}
	}
	all.Wait()
	return fmt.Sprintf("load: %d watched to the end, %d slow, %d stalled, %d vanished, %d refused",
		c.watched.Load(), c.slow.Load(), c.stalled.Load(), c.vanished.Load(), c.refused.Load())
}

func watch(ctx context.Context, host string, i int, c *counts) {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	conn, err := dialer.DialContext(ctx, "tcp", host)
	if err != nil {
		c.refused.Add(1)
		return
	}
	defer conn.Close()
	if tcp, ok := conn.(*net.TCPConn); ok {
		tcp.SetReadBuffer(receiveBuf)
	}
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	fmt.Fprintf(conn, "GET /stream/film-%02d HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", i%12, host)
	switch i % 8 {
	case 0:
		c.watched.Add(1)
		io.Copy(io.Discard, conn)
	case 1, 2, 3, 4:
		c.slow.Add(1)
		slowly(ctx, conn)
	case 5, 6:
		c.stalled.Add(1)
		bufio.NewReaderSize(conn, slowBytes).ReadByte()
		<-ctx.Done()
	default:
		c.vanished.Add(1)
		io.CopyN(io.Discard, conn, slowBytes)
		pause(ctx, vanishAfter)
	}
}

func slowly(ctx context.Context, conn net.Conn) {
	buf := make([]byte, slowBytes)
	for {
		if _, err := conn.Read(buf); err != nil || !pause(ctx, slowPause) {
			return
		}
	}
}

// pause waits and says whether there is still time.
func pause(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
