package main

import (
	"context"
	"crypto/sha256"
	"sync"
	"sync/atomic"
	"time"

	"example.com/shop/leaks/ttlcache"
)

func init() {
	register(&scenario{
		ID:       "spinning-loop",
		Leak:     "select with default in a loop: it waits by burning a CPU",
		Innocent: "a computation that is busy, and finite",
		leak:     func(n int) error { return each(n, func(i int) { openAuction(i) }) },
		innocent: func(n int) error { return each(n, func(i int) { verify(i) }) },
	})
	register(&scenario{
		ID:       "context-not-passed",
		Leak:     "the request's context is replaced by context.Background(): nothing can end the wait",
		Innocent: "the same wait under a context with a deadline",
		leak:     func(n int) error { return each(n, func(i int) { reserve(context.Background(), i) }) },
		innocent: func(n int) error {
			return each(n, func(i int) {
				ctx, cancel := context.WithTimeout(context.Background(), 1500*time.Millisecond)
				context.AfterFunc(ctx, cancel)
				reserve(ctx, i)
			})
		},
	})
	register(&scenario{
		ID:       "constructor-per-request",
		Leak:     "a cache with a janitor goroutine is built per request and never closed",
		Innocent: "the cache is built once",
		leak:     func(n int) error { return each(n, func(i int) { recommend(i, ttlcache.New(time.Minute)) }) },
		innocent: func(n int) error { return each(n, func(i int) { recommend(i, shared()) }) },
	})
}

var shared = sync.OnceValue(func() *ttlcache.Cache { return ttlcache.New(time.Minute) })

func recommend(user int, cache *ttlcache.Cache) {
	if _, known := cache.Get(user); !known {
		cache.Put(user, user*7)
	}
}

type auction struct {
	lot    int
	closed atomic.Bool
	bids   chan int
}

func openAuction(lot int) {
	a := &auction{lot: lot}
	go a.watchBids()
}

func (a *auction) watchBids() {
	for !a.closed.Load() {
		select {
		case bid := <-a.bids:
			a.lot = bid
		default: // meant to keep the loop from blocking
		}
	}
}

func verify(seed int) { go checksum(seed) }

func checksum(seed int) [32]byte {
	sum := sha256.Sum256([]byte{byte(seed)})
	for range 20000 {
		sum = sha256.Sum256(sum[:])
	}
	return sum
}

type reservation struct {
	item      int
	confirmed chan struct{}
}

func reserve(ctx context.Context, item int) {
	r := &reservation{item: item, confirmed: make(chan struct{})}
	ctx, cancel := context.WithCancel(ctx)
	context.AfterFunc(ctx, cancel)
	go r.holdUntilCancelled(ctx)
}

func (r *reservation) holdUntilCancelled(ctx context.Context) {
	select {
	case <-r.confirmed:
	case <-ctx.Done():
		r.item = 0
	}
}
