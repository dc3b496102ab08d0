package main

import (
	"runtime"
	"sync"
)

func init() {
	causes["deadlock"] = deadlock
	causes["deadlock-goexit"] = runtime.Goexit
}

func deadlock() {
	var wg sync.WaitGroup
	results := make(chan int)
	for i := 0; i < 3; i++ {
		wg.Add(1)
		go func(i int) {
			defer wg.Done()
			results <- i
		}(i)
	}
	wg.Wait()
}
