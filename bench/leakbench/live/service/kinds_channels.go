package main

import (
	"context"
	"sync"
	"time"
)

// --- channels nobody else knows

func chanSend(c call) {
	answer := make(chan int)
	go sendQuote(answer)
	c.later(func() { <-answer })
}

func sendQuote(answer chan<- int) { answer <- hash(1) }

func chanReceive(c call) {
	confirmed := make(chan error)
	go awaitConfirmation(confirmed)
	c.later(func() { close(confirmed) })
}

func awaitConfirmation(confirmed <-chan error) {
	if err := <-confirmed; err != nil {
		panic(err)
	}
}

func chanRange(c call) {
	rows := make(chan int)
	go writeRows(rows)
	for i := range 3 {
		rows <- i
	}
	c.later(func() { close(rows) })
}

func writeRows(rows <-chan int) {
	for row := range rows {
		hash(row)
	}
}

func nilChannel(c call) {
	var prices chan int
	if c.ttl > 0 {
		prices = make(chan int)
		c.later(func() { close(prices) })
	}
	go followPrice(prices)
}

func followPrice(prices <-chan int) { hash(<-prices) }

func selectNoExit(c call) {
	added, removed := make(chan int), make(chan int)
	go watchCart(added, removed)
	c.later(func() { close(added) })
}

func watchCart(added, removed <-chan int) {
	for open := true; open; {
		select {
		case _, open = <-added:
		case <-removed:
		}
	}
}

func selectTicker(c call) { go pollStock(c.quit()) }

func pollStock(quit <-chan struct{}) {
	ticker := time.NewTicker(2 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			hash(2)
		case <-quit:
			return
		}
	}
}

func contextLost(c call) {
	ctx, cancel := context.WithCancel(context.Background()) // the request's own is not passed on
	c.later(cancel)
	go refreshUntil(ctx, make(chan int))
}

func refreshUntil(ctx context.Context, news <-chan int) {
	for {
		select {
		case one := <-news:
			hash(one)
		case <-ctx.Done():
			return
		}
	}
}

func pipeline(c call) {
	quit := c.quit()
	lines := make(chan int)
	go parseLines(lines, quit)
	hash(<-lines) // the first is enough; the rest is never asked for
}

func parseLines(lines chan<- int, quit <-chan struct{}) {
	for i := range 1000 {
		select {
		case lines <- i:
		case <-quit:
			return
		}
	}
}

// --- channels that the whole process can reach: nobody can prove that they stay silent

var (
	repliesMu sync.Mutex
	replies   = map[int]chan int{}
	nextReply int
	slots     = make(chan struct{}, 4)
	quietHub  = newHub()
	busyHub   = newHub()
	publish   sync.Once
)

func globalChannel(c call) {
	repliesMu.Lock()
	nextReply++
	id, reply := nextReply, make(chan int)
	replies[id] = reply
	repliesMu.Unlock()
	go awaitReply(reply)
	c.later(func() {
		repliesMu.Lock()
		delete(replies, id)
		repliesMu.Unlock()
		close(reply)
	})
}

func awaitReply(reply <-chan int) { hash(<-reply) }

func semaphore(c call) {
	if c.ttl > 0 {
		healthy := make(chan struct{})
		c.later(func() { <-healthy })
		go takeSlot(healthy)
		return
	}
	go takeSlot(slots) // and on the error path it is never given back
}

func takeSlot(slots chan<- struct{}) { slots <- struct{}{} }

func subscribeQuiet(c call) {
	events := quietHub.join()
	go followQuietly(events)
	c.later(func() { quietHub.leave(events) })
}

func followQuietly(events <-chan int) {
	for one := range events {
		hash(one)
	}
}

// subscribeBusy: the subscriber has gone, its goroutine still gets every event.
func subscribeBusy(c call) {
	publish.Do(func() { go rng.every(2, func() { busyHub.publish(1) }) })
	events := busyHub.join()
	go followBusily(events)
	c.later(func() { busyHub.leave(events) })
}

func followBusily(events <-chan int) {
	for one := range events {
		hash(one)
	}
}
