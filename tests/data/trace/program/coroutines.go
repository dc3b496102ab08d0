//go:build go1.23

package main

import "iter"

// coroutines leaves 2 of 3 coroutines behind after some switches to and fro.
func coroutines() {
	for i := 0; i < 3; i++ {
		next, stop := iter.Pull(func(yield func(int) bool) {
			for v := 0; v < 5 && yield(v); v++ {
			}
		})
		next()
		next()
		if i == 0 {
			stop()
		}
	}
}
