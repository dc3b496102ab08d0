"""Make 100 goroutine and 100 heap profiles of one realistic Go service: input of the merge benchmark.

Usage: python bench/gen_profiles.py OUT [--files 100] [--stacks 400]

Builds a Go program (generated here, standard library only) with the Go toolchain beside this Python, and lets it save
`OUT/goroutine/NNN.pb.gz` and `OUT/heap/NNN.pb.gz`. The service has a few hundred distinct goroutine stacks of 8 to 30
frames in 40 generated subsystems, live HTTP and JSON traffic, and memory held by some hundred call chains; between
two profiles goroutines come and go and memory is held and dropped, as in a scrape every few seconds.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

SUBSYSTEMS = 40
"""Generated Go types, each with its own methods: the breadth of a mid-sized service."""
LAYERS = 24
"""Methods per subsystem that call each other, so that stacks are 8 to 30 frames deep."""

MAIN = """package main

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"strconv"
	"strings"
	"sync"
	"time"
)

type node struct {
	Name     string
	Children []node
	Tags     map[string]string
}

var (
	mu   sync.Mutex
	held [4096]any
)

func hold(v any) {
	mu.Lock()
	held[rand.Intn(len(held))] = v
	mu.Unlock()
}

func tree(depth int) node {
	n := node{Name: "n" + strconv.Itoa(depth), Tags: map[string]string{"k": strings.Repeat("v", depth)}}
	for i := 0; depth > 0 && i < 3; i++ {
		n.Children = append(n.Children, tree(depth-1))
	}
	return n
}

func handle(w http.ResponseWriter, r *http.Request) {
	var in node
	if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
		http.Error(w, err.Error(), 400)
		return
	}
	hold(in)
	json.NewEncoder(w).Encode(in)
}

func save(dir, name string, i int) {
	out, err := os.Create(filepath.Join(dir, name, fmt.Sprintf("%03d.pb.gz", i)))
	if err != nil {
		panic(err)
	}
	if err := pprof.Lookup(name).WriteTo(out, 0); err != nil {
		panic(err)
	}
	if err := out.Close(); err != nil {
		panic(err)
	}
}

func main() {
	runtime.MemProfileRate = 64 << 10
	files, _ := strconv.Atoi(os.Args[2])
	stop := make(chan struct{})
	var quiet net.Listener
	server := httptest.NewUnstartedServer(http.HandlerFunc(handle))
	quiet = server.Listener
	server.Start()
	body, _ := json.Marshal(tree(4))
	for i := 0; i < 20; i++ {
		conn, err := net.Dial("tcp", quiet.Addr().String())
		if err == nil {
			hold(conn)
		}
	}
	for i := 0; i < files; i++ {
		for _, start := range starts {
			for n := rand.Intn(4); n > 0; n-- {
				start(stop)
			}
		}
		for n := 0; n < 4; n++ {
			response, err := http.Post(server.URL, "application/json", strings.NewReader(string(body)))
			if err == nil {
				io.Copy(io.Discard, response.Body)
				response.Body.Close()
			}
		}
		time.Sleep(5 * time.Millisecond)
		runtime.GC()
		save(os.Args[1], "goroutine", i)
		save(os.Args[1], "heap", i)
		if i%10 == 9 {
			close(stop)
			stop = make(chan struct{})
		}
	}
}
"""

LEAVES = (
    "<-stop",
    "select {\n\tcase <-stop:\n\tcase <-s.inbox:\n\t}",
    "select {\n\tcase <-stop:\n\tcase s.outbox <- 1:\n\t}",
    "t := time.NewTimer(time.Hour)\n\tdefer t.Stop()\n\tselect {\n\tcase <-stop:\n\tcase <-t.C:\n\t}",
    "var wg sync.WaitGroup\n\twg.Add(1)\n\tgo func() { <-stop; wg.Done() }()\n\twg.Wait()",
)
"""How a generated goroutine ends up waiting."""


def subsystem(index: int, rng: random.Random, chains: int) -> str:
    """Go source of one subsystem: LAYERS methods, `chains` entry points that start goroutines at random depths."""
    name = f"Subsystem{index:02d}"
    out = [
        f"package main\n\nimport (\n\t\"sync\"\n\t\"time\"\n)\n\ntype {name} struct {{\n\tinbox, outbox chan int\n}}\n",
        f"var the{name} = &{name}{{make(chan int), make(chan int)}}\n",
        "var _ = sync.Mutex{}\nvar _ = time.Now\n",
    ]  # fmt: skip
    for layer in range(LAYERS):
        leaf = LEAVES[rng.randrange(len(LEAVES))]
        down = (
            f"s.layer{layer + 1:02d}(depth-1, stop)"
            if layer + 1 < LAYERS
            else f"s.layer{layer // 2:02d}(depth-1, stop)"
        )
        out.append(
            f"//go:noinline\nfunc (s *{name}) layer{layer:02d}(depth int, stop chan struct{{}}) {{\n"
            f"\tif depth%7 == 3 {{\n\t\thold(make([]byte, {64 << rng.randrange(9)}))\n\t}}\n"
            f"\tif depth > 0 {{\n\t\t{down}\n\t\treturn\n\t}}\n\t{leaf}\n}}\n"
        )
    starts = ",\n".join(
        f"\tfunc(stop chan struct{{}}) {{ go the{name}.layer{rng.randrange(6):02d}({rng.randrange(6, 28)}, stop) }}"
        for _ in range(chains)
    )
    out.append(f"func init() {{\n\tstarts = append(starts, []func(chan struct{{}}){{\n{starts},\n}}...)\n}}\n")
    return "\n".join(out)


def generate(out: Path, files: int, stacks: int) -> None:
    """Write, build and run the service; the profiles end up in `out`."""
    rng = random.Random(1)
    for name in ("goroutine", "heap"):
        (out / name).mkdir(parents=True, exist_ok=True)
    go = Path(sys.prefix) / "bin" / "go"
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        (folder / "go.mod").write_text("module example.com/service\n\ngo 1.21\n")
        (folder / "main.go").write_text(MAIN)
        (folder / "starts.go").write_text("package main\n\nvar starts []func(chan struct{})\n")
        for index in range(SUBSYSTEMS):
            (folder / f"subsystem{index:02d}.go").write_text(subsystem(index, rng, max(1, stacks // SUBSYSTEMS)))
        env = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false", "CGO_ENABLED": "0"}
        subprocess.run([str(go), "build", "-o", "service", "."], cwd=folder, env=env, check=True)
        subprocess.run([str(folder / "service"), str(out.resolve()), str(files)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--files", type=int, default=100)
    parser.add_argument("--stacks", type=int, default=400)
    args = parser.parse_args()
    generate(args.out, args.files, args.stacks)
    for name in ("goroutine", "heap"):
        sizes = [p.stat().st_size for p in sorted((args.out / name).iterdir())]
        print(f"{name}: {len(sizes)} profiles, {sum(sizes):,} bytes")


if __name__ == "__main__":
    main()
