package main

import "runtime/debug"

func init() { causes["stack-direct"] = stackDirect }

type node struct{ next *node }

func (n *node) depth(seen int) int {
	var pad [64]int
	pad[seen%64] = seen
	return n.next.depth(seen+1) + pad[(seen+1)%64]
}

func stackDirect() {
	debug.SetMaxStack(1 << 20)
	ring := &node{}
	ring.next = ring
	println(ring.depth(0))
}
