// Package ttlcache is a small cache with a background janitor, as many libraries have one: whoever builds a Cache owns
// a goroutine until Close.
package ttlcache

import (
	"sync"
	"time"
)

type entry struct {
	value   int
	expires time.Time
}

// Cache forgets its entries after a while.
type Cache struct {
	mu      sync.Mutex
	entries map[int]entry
	ttl     time.Duration
	stop    chan struct{}
}

// New starts the janitor; Close ends it.
func New(ttl time.Duration) *Cache {
	c := &Cache{entries: map[int]entry{}, ttl: ttl, stop: make(chan struct{})}
	go c.janitor()
	return c
}

// Close ends the janitor.
func (c *Cache) Close() { close(c.stop) }

// Get returns the value of key if it has not expired.
func (c *Cache) Get(key int) (int, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, known := c.entries[key]
	return e.value, known && time.Now().Before(e.expires)
}

// Put keeps value under key for the cache's time to live.
func (c *Cache) Put(key, value int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries[key] = entry{value, time.Now().Add(c.ttl)}
}

func (c *Cache) janitor() {
	sweep := time.NewTicker(c.ttl / 2)
	defer sweep.Stop()
	for {
		select {
		case now := <-sweep.C:
			c.sweep(now)
		case <-c.stop:
			return
		}
	}
}

func (c *Cache) sweep(now time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, e := range c.entries {
		if now.After(e.expires) {
			delete(c.entries, key)
		}
	}
}
