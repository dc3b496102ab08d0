package main

import (
	"sync"
	"time"
)

func mutexHeld(c call) {
	mu := new(sync.Mutex)
	mu.Lock()
	go book(mu)
	c.later(mu.Unlock)
}

func book(mu *sync.Mutex) {
	mu.Lock()
	defer mu.Unlock()
	hash(3)
}

func rwmutexHeld(c call) {
	mu := new(sync.RWMutex)
	mu.Lock()
	go readCatalog(mu)
	c.later(mu.Unlock)
}

func readCatalog(mu *sync.RWMutex) {
	mu.RLock()
	defer mu.RUnlock()
	hash(4)
}

func waitGroup(c call) {
	parts := new(sync.WaitGroup)
	parts.Add(2)
	go parts.Done() // the other one returned early
	go awaitParts(parts)
	c.later(parts.Done)
}

func awaitParts(parts *sync.WaitGroup) {
	parts.Wait()
	hash(5)
}

func condWait(c call) {
	restocked := sync.NewCond(new(sync.Mutex))
	go awaitRestock(restocked)
	c.later(restocked.Broadcast)
}

func awaitRestock(restocked *sync.Cond) {
	restocked.L.Lock()
	defer restocked.L.Unlock()
	restocked.Wait()
}

var (
	ledger     sync.Mutex
	ledgerLost sync.Once
	audit      sync.WaitGroup
	auditLost  sync.Once
)

func globalMutex(c call) {
	if c.ttl > 0 {
		mu := new(sync.Mutex)
		mu.Lock()
		c.later(mu.Unlock)
		go updateLedger(mu)
		return
	}
	ledgerLost.Do(ledger.Lock)
	go updateLedger(&ledger)
}

func updateLedger(mu *sync.Mutex) {
	mu.Lock()
	defer mu.Unlock()
	hash(6)
}

func globalWaitGroup(c call) {
	if c.ttl > 0 {
		all := new(sync.WaitGroup)
		all.Add(1)
		c.later(all.Done)
		go awaitAudit(all)
		return
	}
	auditLost.Do(func() { audit.Add(1) })
	go awaitAudit(&audit)
}

func awaitAudit(all *sync.WaitGroup) {
	all.Wait()
	hash(7)
}

// --- those that wake for nobody

func tickerRange(c call) { go reportEvery(c.quit()) }

func reportEvery(quit <-chan struct{}) {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for range ticker.C {
		select {
		case <-quit:
			return
		default:
			hash(8)
		}
	}
}

func sleepLoop(c call) { go probeEvery(c.quit()) }

func probeEvery(quit <-chan struct{}) {
	for {
		time.Sleep(500 * time.Millisecond)
		select {
		case <-quit:
			return
		default:
			hash(9)
		}
	}
}

// wheel is a timing wheel: its constructor starts what only a Stop, which nobody calls, would end.
type wheel struct {
	ticker *time.Ticker
	tasks  chan func()
	stop   chan struct{}
}

func newWheel(stop chan struct{}) *wheel {
	w := &wheel{time.NewTicker(250 * time.Millisecond), make(chan func()), stop}
	go w.turn()
	return w
}

func (w *wheel) turn() {
	defer w.ticker.Stop()
	for {
		select {
		case <-w.ticker.C:
		case task := <-w.tasks:
			task()
		case <-w.stop:
			return
		}
	}
}

func constructor(c call) { newWheel(c.quit()).tasks <- func() { hash(10) } }
