package main

import (
	"os"
	"runtime/debug"
	"syscall"
	"time"
)

func init() { causes["threads"] = threads }

// threads blocks goroutines in read(2) on pipes the netpoller does not know: each holds a thread.
func threads() {
	debug.SetMaxThreads(24)
	for i := 0; i < 64; i++ {
		var p [2]int
		if err := syscall.Pipe(p[:]); err != nil {
			println(err.Error())
			os.Exit(7)
		}
		go func(fd int) {
			var b [1]byte
			syscall.Read(fd, b[:])
		}(p[0])
	}
	time.Sleep(20 * time.Second)
}
