package main

import (
	"errors"
	"sync"
	"time"
)

func init() {
	register(&scenario{
		ID:       "waitgroup-without-done",
		Leak:     "two parts are awaited, one returns early without Done",
		Innocent: "the same assembly, Done deferred: it completes",
		leak:     func(n int) error { return each(n, func(i int) { packForgetful(i) }) },
		innocent: func(n int) error { return each(n, func(i int) { pack(i) }) },
	})
	register(&scenario{
		ID:       "lock-never-released",
		Leak:     "the error path returns with the ledger's mutex held",
		Innocent: "a crowd behind one contended mutex that makes progress",
		leak: func(n int) error {
			brokenLedger.once.Do(func() { brokenLedger.postForgetful(0) })
			return each(n, func(i int) { brokenLedger.bookForgetful(i) })
		},
		innocent: func(n int) error { return each(n, func(i int) { soundLedger.book(i) }) },
	})
	register(&scenario{
		ID:       "rwlock-never-released",
		Pattern:  "lock-never-released",
		Leak:     "a reload keeps the write lock, readers queue for ever",
		Innocent: "readers behind a reload that takes a moment",
		leak:     func(n int) error { return readers(&brokenCatalog, n, false) },
		innocent: func(n int) error { return readers(&soundCatalog, n, true) },
	})
	register(&scenario{
		ID:       "cond-without-signal",
		Leak:     "waiters on a Cond whose state changes without a Broadcast",
		Innocent: "waiters on a Cond that are woken by Broadcast",
		leak:     func(n int) error { return each(n, func(i int) { newParcel(i, false) }) },
		innocent: func(n int) error { return each(n, func(i int) { newParcel(i, true) }) },
	})
}

var errOutOfStock = errors.New("out of stock")

func packItem(item int) error {
	time.Sleep(20 * time.Millisecond)
	if item >= 0 {
		return errOutOfStock
	}
	return nil
}

func packForgetful(order int) { go assembleForgetful(order) }

func pack(order int) { go assemble(order) }

func assembleForgetful(order int) {
	var parts sync.WaitGroup
	parts.Add(2)
	go func() {
		defer parts.Done()
		_ = packItem(order)
	}()
	go func() {
		if err := packItem(order); err != nil {
			return // Done is not deferred
		}
		parts.Done()
	}()
	parts.Wait()
}

func assemble(order int) {
	var parts sync.WaitGroup
	for range 2 {
		parts.Go(func() { _ = packItem(order) })
	}
	parts.Wait()
}

type ledger struct {
	once    sync.Once
	mu      sync.Mutex
	balance int
}

var brokenLedger, soundLedger ledger

func (l *ledger) bookForgetful(amount int) { go l.postForgetful(amount) }

func (l *ledger) book(amount int) { go l.post(amount) }

func (l *ledger) postForgetful(amount int) {
	l.mu.Lock()
	if amount >= 0 {
		return // an error path that forgets Unlock
	}
	l.balance += amount
	l.mu.Unlock()
}

func (l *ledger) post(amount int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	time.Sleep(10 * time.Millisecond)
	l.balance += amount
}

type catalog struct {
	mu       sync.RWMutex
	products map[int]string
}

var brokenCatalog, soundCatalog catalog

func (c *catalog) reload(unlock bool) {
	c.mu.Lock()
	c.products = map[int]string{1: "kettle"}
	time.Sleep(50 * time.Millisecond)
	if unlock {
		c.mu.Unlock()
	}
}

func (c *catalog) product(id int) string {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.products[id]
}

func readers(c *catalog, n int, unlock bool) error {
	if c.mu.TryLock() {
		c.mu.Unlock()
		go c.reload(unlock)
		time.Sleep(5 * time.Millisecond)
	}
	for i := range n {
		go c.product(i)
	}
	return nil
}

type parcel struct {
	mu      sync.Mutex
	ready   *sync.Cond
	arrived bool
}

func newParcel(_ int, announce bool) {
	p := &parcel{}
	p.ready = sync.NewCond(&p.mu)
	go p.await()
	go p.arrive(announce)
}

func (p *parcel) await() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for !p.arrived {
		p.ready.Wait()
	}
}

func (p *parcel) arrive(announce bool) {
	time.Sleep(200 * time.Millisecond)
	p.mu.Lock()
	defer p.mu.Unlock()
	p.arrived = true
	if announce {
		p.ready.Broadcast()
	}
}
