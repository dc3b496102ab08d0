"""Make a big, real text goroutine dump: input of the dump benchmark.

Usage: python bench/gen_dump.py OUT [--goroutines 100003] [--keep-source DIR]

Builds a Go program (generated here, standard library only) with the Go toolchain beside this Python. It parks that many
goroutines on 24 different stacks of a made-up order service (channels, select, mutexes, wait groups, conditions,
sleeps, HTTP-like layers), a fifth of them under pprof labels, every one with arguments of its own, and writes
`runtime.Stack(buf, all)` to OUT: the text of `/debug/pprof/goroutine?debug=2` without its 64 MB limit. Function names,
lines, arguments and order are the same on every run; addresses and a few wait texts are the runtime's.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

STACKS = 24
LABELLED = 5
"""Every fifth goroutine carries labels, as measured on services that label requests."""

HEAD = """package main

import (
	"context"
	"os"
	"runtime"
	"runtime/pprof"
	"strconv"
	"sync"
	"time"
)

type order struct{ id, lines int; note string }

type block struct {
	ch    chan *order
	done  chan struct{}
	mu    sync.Mutex
	rw    sync.RWMutex
	wg    sync.WaitGroup
	cond  *sync.Cond
	ready chan int
}

var parked sync.WaitGroup
var sink int
"""

WAITS = [
    "o := <-b.ch; if o != nil { sink += o.id }",
    "b.ch <- &order{id: id, note: note}",
    "select { case o := <-b.ch: if o != nil { sink += o.id }; case <-b.done: }",
    "b.mu.Lock(); sink += id; b.mu.Unlock()",
    "b.rw.RLock(); sink += id; b.rw.RUnlock()",
    "b.wg.Wait(); sink += id",
    "b.cond.L.Lock(); b.cond.Wait(); b.cond.L.Unlock(); sink += id",
    "time.Sleep(time.Duration(id)*time.Second + time.Hour); sink += id",
]


def source() -> str:
    """The Go program."""
    out = [HEAD]
    packages = ["intake", "pricing", "stock", "invoice", "courier", "audit"]
    for k in range(STACKS):
        kind = f"{packages[k % len(packages)]}Handler{k}"
        depth = k % 3 % 2
        out.append(f"type {kind} struct{{ b *block; served int }}\n")
        for d in range(depth):
            call = f"h.step{d + 1}(o, id+1, note)" if d + 1 < depth else "h.wait(h.b, id, note)\n\tsink += o.lines"
            out.append(
                f"//go:noinline\nfunc (h *{kind}) step{d}(o *order, id int, note string) int {{\n\to.lines += id\n\t{call}\n"
                f"\treturn id + len(note)\n}}\n"
            )
        out.append(
            f"//go:noinline\nfunc (h *{kind}) wait(b *block, id int, note string) {{\n\tparked.Done()\n\t{WAITS[k % len(WAITS)]}\n"
            f"\th.served += len(note)\n}}\n"
        )
        out.append(
            f"//go:noinline\nfunc start{kind.capitalize()}(h *{kind}, id int, labels pprof.LabelSet, labelled bool) {{\n"
            f"\to := &order{{id: id}}\n\tnote := strconv.Itoa(id)\n\tgo func(n int, s string) {{\n"
            f"\t\tif labelled {{\n\t\t\tpprof.SetGoroutineLabels(pprof.WithLabels(context.Background(), labels))\n\t\t}}\n"
            f"\t\to.lines++\n\t\t{'sink += h.step0(o, n, s)' if depth else 'h.wait(h.b, n, s)'}\n\t}}(id, note)\n}}\n"
        )
    out.append("func main() {\n\tn, _ := strconv.Atoi(os.Args[1])\n\tparked.Add(n - 1)\n")
    out.append(
        "\tb := &block{ch: make(chan *order), done: make(chan struct{})}\n\tb.cond = sync.NewCond(new(sync.Mutex))\n"
    )
    out.append("\tsend := &block{ch: make(chan *order)}\n\tb.mu.Lock()\n\tb.rw.Lock()\n\tb.wg.Add(1)\n")
    for k in range(STACKS):
        kind = f"{packages[k % len(packages)]}Handler{k}"
        out.append(f"\th{k} := &{kind}{{b: {'send' if k % len(WAITS) == 1 else 'b'}}}\n")
    out.append("\tfor i := 1; i < n; i++ {\n")
    out.append(
        f"\t\tlabelled := i%{LABELLED} == 0\n\t\tvar labels pprof.LabelSet\n\t\tif labelled {{\n"
        '\t\t\tlabels = pprof.Labels("tenant", "acme-"+strconv.Itoa(i%7), "route", "/orders/"+strconv.Itoa(i%31))\n\t\t}\n'
    )
    out.append(f"\t\tswitch i % {STACKS} {{\n")
    for k in range(STACKS):
        kind = f"{packages[k % len(packages)]}Handler{k}"
        out.append(f"\t\tcase {k}:\n\t\t\tstart{kind.capitalize()}(h{k}, i, labels, labelled)\n")
    out.append("\t\t}\n\t}\n\tparked.Wait()\n\ttime.Sleep(200 * time.Millisecond)\n")
    out.append("\tbuf := make([]byte, n*1200+1<<20)\n\tbuf = buf[:runtime.Stack(buf, true)]\n")
    out.append("\tif err := os.WriteFile(os.Args[2], buf, 0o644); err != nil {\n\t\tpanic(err)\n\t}\n}\n")
    return "".join(out)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--goroutines", type=int, default=100_003)
    parser.add_argument("--keep-source", type=Path)
    options = parser.parse_args()
    go = Path(sys.prefix) / "bin" / "go"
    with tempfile.TemporaryDirectory() as scratch:
        folder = options.keep_source or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "go.mod").write_text("module shop.example/orders\n\ngo 1.27\n")
        (folder / "main.go").write_text(source())
        program = Path(scratch) / "orders"
        env = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false", "CGO_ENABLED": "0"}
        build = [str(go) if go.exists() else "go", "build", "-trimpath", "-o", str(program), "."]
        subprocess.run(build, cwd=folder, env=env, check=True)
        subprocess.run([str(program), str(options.goroutines), str(options.out.resolve())], check=True)
    print(f"{options.out}: {options.out.stat().st_size:,} bytes, {options.goroutines:,} goroutines asked for")


if __name__ == "__main__":
    main()
