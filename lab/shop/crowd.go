package main

import (
	"sync"
	"time"
)

// stands are the different stacks of parked goroutines.
const stands = 24

// crowd are goroutines that stand around and are no leak.
type crowd struct {
	mu     sync.Mutex
	jobs   chan func()
	parked chan struct{}
}

// hire adds n workers that wait for jobs: a pool.
func (c *crowd) hire(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.jobs == nil {
		c.jobs = make(chan func())
	}
	for range n {
		go worker(c.jobs)
	}
}

func worker(jobs <-chan func()) {
	for job := range jobs {
		job()
	}
}

// park blocks n goroutines on 24 different stacks, and lets go those that were parked before. It returns when all stand.
func (c *crowd) park(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.parked != nil {
		close(c.parked)
	}
	c.parked = make(chan struct{})
	var standing sync.WaitGroup
	standing.Add(n)
	for i := range n {
		go stand(i%stands, &standing, c.parked)
	}
	standing.Wait()
}

// forget blocks n goroutines on 24 stacks, each on a channel that nobody else holds: n proven leaks, which nothing ends.
func forget(n int) {
	var standing sync.WaitGroup
	standing.Add(n)
	for i := range n {
		go stand(i%stands, &standing, make(chan struct{}))
	}
	standing.Wait()
}

// chained lets go of every chain there is.
var chained chan struct{}

// chain blocks n goroutines of which each holds what the one before it waits for, and the program what the first waits for: none
// is a leak, and Go's leak profile finds that out one by one.
func chain(n int) {
	chained = make(chan struct{})
	first := chained
	var standing sync.WaitGroup
	standing.Add(n)
	for range n {
		next := make(chan struct{})
		go link(&standing, first, next)
		first = next
	}
	standing.Wait()
}

func link(standing *sync.WaitGroup, until <-chan struct{}, next chan<- struct{}) {
	standing.Done()
	<-until
	close(next)
}

// stand blocks a goroutine `depth` calls down: each depth is a stack of its own.
//
//go:noinline
func stand(depth int, standing *sync.WaitGroup, until <-chan struct{}) {
	if depth > 0 {
		stand(depth-1, standing, until)
		return
	}
	standing.Done()
	<-until
}

// burst starts n goroutines that end after a while: much at once, and no leak.
func burst(n int, length time.Duration) {
	for range n {
		go func() { time.Sleep(length) }()
	}
}
