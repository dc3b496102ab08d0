"""`python bench/gen_trace.py OUT [--mb 75]`: a real execution trace of at least so many megabytes, from a busy Go program.

Channels passed to and fro, a contended mutex, sleepers, loopback TCP and one short goroutine per some 150 events, so
that creations, waits, system calls and scheduling all occur. The program stops as soon as the writer has seen the
bytes asked for, so the size is the same within one generation, on every machine; how long it takes is not.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

PROGRAM = r"""
package main

import (
	"bufio"
	"io"
	"log"
	"net"
	"os"
	"runtime/trace"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// meter counts what was written and closes full at the size asked for.
type meter struct {
	w    io.Writer
	seen atomic.Int64
	want int64
	once sync.Once
	full chan struct{}
}

func (m *meter) Write(p []byte) (int, error) {
	n, err := m.w.Write(p)
	if m.seen.Add(int64(n)) >= m.want {
		m.once.Do(func() { close(m.full) })
	}
	return n, err
}

// pingPong hands a number to and fro and starts a short goroutine every 20 rounds.
func pingPong(stop <-chan struct{}, results chan<- int) {
	there, back := make(chan int), make(chan int)
	go func() {
		for v := range there {
			back <- v + 1
		}
		close(back)
	}()
	for v := 0; ; {
		select {
		case <-stop:
			close(there)
			return
		case there <- v:
			v = <-back
		}
		if v%20 == 0 {
			var done sync.WaitGroup
			done.Add(1)
			go handle(&done, results, v)
			done.Wait()
		}
	}
}

func contend(stop <-chan struct{}, mu *sync.Mutex, shared *int) {
	for {
		select {
		case <-stop:
			return
		default:
		}
		mu.Lock()
		*shared++
		time.Sleep(20 * time.Microsecond)
		mu.Unlock()
	}
}

func echo(listener net.Listener) {
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		go io.Copy(conn, conn)
	}
}

func talk(stop <-chan struct{}, address string) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	buf := make([]byte, 64)
	for {
		select {
		case <-stop:
			return
		default:
		}
		conn.Write(buf)
		io.ReadFull(conn, buf)
		time.Sleep(200 * time.Microsecond)
	}
}

func handle(done *sync.WaitGroup, results chan<- int, i int) {
	defer done.Done()
	results <- i
}

func main() {
	want, err := strconv.ParseInt(os.Args[2], 10, 64)
	if err != nil {
		log.Fatal(err)
	}
	file, err := os.Create(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	buffered := bufio.NewWriterSize(file, 1<<20)
	out := &meter{w: buffered, want: want, full: make(chan struct{})}
	if err := trace.Start(out); err != nil {
		log.Fatal(err)
	}
	stop := make(chan struct{})
	go echo(listener)
	var mu sync.Mutex
	shared := 0
	results := make(chan int)
	go func() {
		for range results {
		}
	}()
	for i := 0; i < 4; i++ {
		go pingPong(stop, results)
		go talk(stop, listener.Addr().String())
		go contend(stop, &mu, &shared)
	}
	<-out.full
	trace.Stop()
	close(stop)
	if err := buffered.Flush(); err != nil {
		log.Fatal(err)
	}
	if err := file.Close(); err != nil {
		log.Fatal(err)
	}
}
"""


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--mb", type=float, default=75.0)
    args = parser.parse_args()
    go = Path(sys.prefix) / "bin" / "go"
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "main.go").write_text(PROGRAM)
        Path(folder, "go.mod").write_text("module busy\n\ngo 1.22\n")
        env = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false", "CGO_ENABLED": "0"}
        subprocess.run([str(go), "build", "-o", "busy", "."], cwd=folder, env=env, check=True)
        subprocess.run([str(Path(folder, "busy")), str(args.out.resolve()), str(int(args.mb * 1e6))], check=True)
    print(f"{args.out}: {args.out.stat().st_size / 1e6:.1f} MB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
