// Command sample writes an execution trace with known numbers in it: `sample OUT`.
package main

import (
	"log"
	"os"
	"runtime/trace"
	"sync"
	"time"
)

func main() {
	file, err := os.Create(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	never := make(chan int)
	for i := 0; i < 12; i++ {
		go old(never) // before
	}
	time.Sleep(20 * time.Millisecond)
	if err := trace.Start(file); err != nil {
		log.Fatal(err)
	}
	short()
	deep(5, make(chan int))
	var mu sync.Mutex
	mu.Lock()
	for i := 0; i < 3; i++ {
		go locked(&mu) // locked
	}
	for i := 0; i < 7; i++ {
		time.Sleep(5 * time.Millisecond) // sleep
	}
	coroutines()
	time.Sleep(1300 * time.Millisecond) // the runtime begins a new generation once a second
	short()
	nested()
	time.Sleep(10 * time.Millisecond)
	trace.Stop()
	if err := file.Close(); err != nil {
		log.Fatal(err)
	}
}

// old goroutines do nothing while the trace runs.
func old(never <-chan int) {
	<-never
}

// short makes 37 goroutines that end.
func short() {
	var done sync.WaitGroup
	for i := 0; i < 37; i++ {
		done.Add(1)
		go work(&done) // short
	}
	done.Wait()
}

func work(done *sync.WaitGroup) {
	defer done.Done()
}

// deep makes one goroutine that stays at each of n depths.
func deep(n int, never chan<- int) {
	if n == 0 {
		return
	}
	go stuck(never) // deep
	deep(n-1, never)
}

func stuck(never chan<- int) {
	never <- 1
}

func locked(mu *sync.Mutex) {
	mu.Lock()
}

// nested has 4 parents make 6 goroutines each at one line.
func nested() {
	var done sync.WaitGroup
	for i := 0; i < 4; i++ {
		done.Add(1)
		go func() {
			defer done.Done()
			for i := 0; i < 6; i++ {
				done.Add(1)
				go work(&done) // nested
			}
		}()
	}
	done.Wait()
}
