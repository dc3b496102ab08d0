package main

import (
	"fmt"
	"io"
	"runtime/debug"
)

func init() { causes["stack-mutual"] = stackMutual }

// reporter logs that its queue is full by logging: the recursion of three methods through fmt.
type reporter struct{ full bool }

//go:noinline
func (r *reporter) Log(what string) { r.enqueue(what) }

//go:noinline
func (r *reporter) enqueue(what string) {
	if r.full {
		fmt.Fprintf(r, "queue full: %.20s", what)
	}
}

func (r *reporter) Write(line []byte) (int, error) {
	r.Log(string(line))
	return len(line), nil
}

var _ io.Writer = (*reporter)(nil)

func stackMutual() {
	debug.SetMaxStack(1 << 20)
	r := &reporter{full: true}
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.Log("first")
	}()
	<-done
}
