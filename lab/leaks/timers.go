package main

import (
	"sync"
	"sync/atomic"
	"time"
)

func init() {
	register(&scenario{
		ID:       "ticker-never-stopped",
		Leak:     "a rate refresher per session loops over its ticker and has no way out",
		Innocent: "one ticker loop of the process, with a done channel",
		leak:     func(n int) error { return each(n, func(i int) { openSession(i) }) },
		innocent: func(int) error { rates.start(); return nil },
	})
	register(&scenario{
		ID:       "ticker-stopped-loop",
		Pattern:  "ticker-never-stopped",
		Leak:     "the ticker is stopped, which does not close its channel: the loop waits for ever",
		Innocent: "ticker loops per session that end through their done channel",
		leak:     func(n int) error { return each(n, func(i int) { openSession(i).logout() }) },
		innocent: func(n int) error { return each(n, func(int) { newBanner() }) },
	})
	register(&scenario{
		ID:       "timer-callback",
		Leak:     "time.AfterFunc callbacks pile up on a channel nobody reads",
		Innocent: "time.AfterFunc callbacks that do a moment's work",
		leak:     func(n int) error { return each(n, func(i int) { shelf.hold(i) }) },
		innocent: func(n int) error { return each(n, func(i int) { shelf.release(i) }) },
	})
	register(&scenario{
		ID:       "sleep-loop",
		Leak:     "polling for a state that never comes, for ever",
		Innocent: "polling with a bounded number of attempts",
		leak:     func(n int) error { return each(n, func(i int) { track(i) }) },
		innocent: func(n int) error { return each(n, func(i int) { trackBriefly(i) }) },
	})
}

type session struct {
	user   int
	ticker *time.Ticker
	rates  int
}

func openSession(user int) *session {
	s := &session{user: user, ticker: time.NewTicker(200 * time.Millisecond)}
	go s.refreshRates()
	return s
}

func (s *session) refreshRates() {
	for range s.ticker.C {
		s.rates++
	}
}

func (s *session) logout() { s.ticker.Stop() }

type rateTable struct {
	once sync.Once
	done chan struct{}
	n    int
}

var rates = rateTable{done: make(chan struct{})}

func (t *rateTable) start() { t.once.Do(func() { go t.refresh() }) }

func (t *rateTable) refresh() {
	ticker := time.NewTicker(200 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			t.n++
		case <-t.done:
			return
		}
	}
}

func newBanner() {
	done := make(chan struct{})
	go rotateBanner(done)
	time.AfterFunc(1200*time.Millisecond, func() { close(done) })
}

func rotateBanner(done <-chan struct{}) {
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for shown := 0; ; shown++ {
		select {
		case <-ticker.C:
		case <-done:
			return
		}
	}
}

type reservations struct {
	expired  chan int
	released atomic.Int64
}

var shelf = reservations{expired: make(chan int)}

func (r *reservations) hold(item int) {
	time.AfterFunc(30*time.Millisecond, func() {
		r.expired <- item // whoever read this channel is gone
	})
}

func (r *reservations) release(item int) {
	time.AfterFunc(30*time.Millisecond, func() {
		time.Sleep(20 * time.Millisecond)
		r.released.Add(int64(item))
	})
}

type shipment struct {
	id        int
	delivered bool
}

func track(id int) {
	s := &shipment{id: id}
	go s.waitDelivered()
}

func trackBriefly(id int) {
	s := &shipment{id: id}
	go s.waitDeliveredAtMost(12)
}

func (s *shipment) arrived() bool { return s.delivered }

func (s *shipment) waitDelivered() {
	for !s.arrived() {
		time.Sleep(100 * time.Millisecond)
	}
}

func (s *shipment) waitDeliveredAtMost(attempts int) {
	for range attempts {
		if s.arrived() {
			return
		}
		time.Sleep(100 * time.Millisecond)
	}
}
