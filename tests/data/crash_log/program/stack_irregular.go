package main

import "runtime/debug"

func init() { causes["stack-irregular"] = stackIrregular }

//go:noinline
func visitExpr(n uint32) uint32 {
	if n&0x40000 != 0 {
		return visitStmt(n*1664525+1013904223) + 1
	}
	return visitExpr(n*1664525+1013904223) + 2
}

//go:noinline
func visitStmt(n uint32) uint32 {
	if n&0x20000 != 0 {
		return visitStmt(n*1664525+1013904223) + 3
	}
	return visitExpr(n*1664525+1013904223) + 4
}

func stackIrregular() {
	debug.SetMaxStack(1 << 20)
	println(visitExpr(7))
}
