package main

import (
	"errors"
	"sync"
	"time"
)

func init() {
	register(&scenario{
		ID:       "send-without-receiver",
		Leak:     "a price lookup answers on an unbuffered channel after its caller gave up",
		Innocent: "producers held back for moments by a bounded queue that drains",
		leak:     func(n int) error { return each(n, func(i int) { _, _ = quote(i, time.Millisecond) }) },
		innocent: func(n int) error { return each(n, func(i int) { orders.place(i) }) },
	})
	register(&scenario{
		ID:       "receive-never-closed",
		Leak:     "a confirmation is awaited whose sender left without answering",
		Innocent: "a fixed crew of workers receiving from one shared channel",
		leak:     func(n int) error { return each(n, func(i int) { checkout(i) }) },
		innocent: func(n int) error { return mailers.deliver(n) },
	})
	register(&scenario{
		ID:       "range-never-closed",
		Leak:     "results are ranged over and the channel is never closed",
		Innocent: "a fixed crew of workers ranging over one shared job channel",
		leak:     func(n int) error { return each(n, func(i int) { exportRows(i) }) },
		innocent: func(n int) error { return thumbnails.resize(n) },
	})
	register(&scenario{
		ID:       "select-without-exit",
		Leak:     "a cart subscription selects over two channels nobody serves any more",
		Innocent: "long-lived subscribers that end when they are told",
		leak:     func(n int) error { return each(n, func(i int) { newCartSubscription(i) }) },
		innocent: func(n int) error { return each(n, func(i int) { newStockSubscription(i) }) },
	})
	register(&scenario{
		ID:       "nil-channel",
		Leak:     "a receive from a channel field that was never made",
		Innocent: "a nil channel that switches one case of a select off, the idiom",
		leak:     func(n int) error { return each(n, func(i int) { followPrice(i) }) },
		innocent: func(n int) error { return each(n, func(i int) { comparePrices(i) }) },
	})
	register(&scenario{
		ID:       "nil-channel-send",
		Pattern:  "nil-channel",
		Leak:     "a send to a channel field that was never made",
		Innocent: "the same feed, built by its constructor",
		leak:     func(n int) error { return each(n, func(i int) { announcePrice(&priceFeed{sku: i}) }) },
		innocent: func(n int) error { return each(n, func(i int) { announcePrice(newPriceFeed(i)) }) },
	})
	register(&scenario{
		ID:       "empty-select",
		Leak:     "select {} at the end of a goroutine started per request",
		Innocent: "one goroutine of the process parked in select {} for good",
		leak:     func(n int) error { return each(n, func(i int) { login(i) }) },
		innocent: func(int) error { standing.Do(func() { go keepProcess() }); return nil },
	})
	register(&scenario{
		ID:       "semaphore-exhausted",
		Leak:     "slots taken and, on the error path, never given back; everybody queues for ever",
		Innocent: "the same queue for the same slots, given back by defer",
		leak:     func(n int) error { return each(n, func(i int) { gateway.payForgetful(i) }) },
		innocent: func(n int) error { return each(n, func(i int) { acquirer.pay(i) }) },
	})
}

// --- send

var errTooSlow = errors.New("price service too slow")

func quote(sku int, patience time.Duration) (int, error) {
	answer := make(chan int) // a buffer of one would cure it
	go func() {
		answer <- computePrice(sku)
	}()
	select {
	case price := <-answer:
		return price, nil
	case <-time.After(patience):
		return 0, errTooSlow
	}
}

func computePrice(sku int) int {
	time.Sleep(5 * time.Millisecond)
	return sku * 100
}

type orderQueue struct {
	once  sync.Once
	queue chan int
}

var orders = orderQueue{queue: make(chan int, 8)}

func (q *orderQueue) place(order int) { go q.publish(order) }

func (q *orderQueue) publish(order int) {
	q.once.Do(func() { go q.consume() })
	q.queue <- order
}

func (q *orderQueue) consume() {
	for range q.queue {
		time.Sleep(10 * time.Millisecond)
	}
}

// --- receive, range

func checkout(order int) {
	confirmed := submit(order)
	go awaitConfirmation(confirmed)
}

func submit(order int) <-chan error {
	confirmed := make(chan error)
	go func() {
		if order >= 0 {
			return // the path that forgets to answer
		}
		confirmed <- nil
	}()
	return confirmed
}

func awaitConfirmation(confirmed <-chan error) {
	if err := <-confirmed; err != nil {
		panic(err)
	}
}

type mailCrew struct {
	once sync.Once
	jobs chan int
	sent sync.Map
}

var mailers = mailCrew{jobs: make(chan int)}

func (c *mailCrew) deliver(n int) error {
	c.once.Do(func() {
		for range n {
			go c.work()
		}
	})
	go func() {
		for i := range n {
			c.jobs <- i
		}
	}()
	return nil
}

func (c *mailCrew) work() {
	for {
		mail := <-c.jobs
		time.Sleep(time.Millisecond)
		c.sent.Store(mail, true)
	}
}

func exportRows(table int) {
	rows := make(chan int)
	go writeCSV(rows)
	for i := range 3 {
		rows <- table + i
	}
	// close(rows) is missing
}

func writeCSV(rows <-chan int) {
	written := 0
	for range rows {
		written++
	}
}

type thumbnailCrew struct {
	once sync.Once
	jobs chan int
}

var thumbnails = thumbnailCrew{jobs: make(chan int, 64)}

func (c *thumbnailCrew) resize(n int) error {
	c.once.Do(func() {
		for range n {
			go c.work()
		}
	})
	go func() {
		for i := range n {
			c.jobs <- i
		}
	}()
	return nil
}

func (c *thumbnailCrew) work() {
	for range c.jobs {
		time.Sleep(time.Millisecond)
	}
}

// --- select

type cartSubscription struct {
	events   chan string
	commands chan int
	seen     int
}

func newCartSubscription(cart int) {
	s := &cartSubscription{events: make(chan string), commands: make(chan int), seen: cart}
	go s.listen()
}

func (s *cartSubscription) listen() {
	for {
		select {
		case <-s.events:
			s.seen++
		case n := <-s.commands:
			s.seen = n
		}
	}
}

type stockSubscription struct {
	events chan string
	done   chan struct{}
	seen   int
}

func newStockSubscription(sku int) {
	s := &stockSubscription{events: make(chan string), done: make(chan struct{}), seen: sku}
	go s.listen()
	time.AfterFunc(1500*time.Millisecond, func() { close(s.done) })
}

func (s *stockSubscription) listen() {
	for {
		select {
		case <-s.events:
			s.seen++
		case <-s.done:
			return
		}
	}
}

// --- nil channel, empty select

type priceFeed struct {
	sku     int
	updates chan int // a literal leaves it nil; newPriceFeed makes it
}

func newPriceFeed(sku int) *priceFeed {
	return &priceFeed{sku: sku, updates: make(chan int, 4)}
}

func followPrice(sku int) {
	feed := &priceFeed{sku: sku}
	go feed.follow()
}

func announcePrice(f *priceFeed) { go f.announce(f.sku) }

func comparePrices(sku int) { go mergeFeeds(sku) }

func (f *priceFeed) follow() {
	price := <-f.updates
	f.sku = price
}

func (f *priceFeed) announce(price int) {
	f.updates <- price
}

func mergeFeeds(sku int) {
	domestic, foreign := make(chan int), make(chan int)
	go feed(domestic, sku)
	go feed(foreign, sku)
	for domestic != nil || foreign != nil {
		select {
		case _, open := <-domestic:
			if !open {
				domestic = nil
			}
		case _, open := <-foreign:
			if !open {
				foreign = nil
			}
		}
	}
}

func feed(out chan<- int, sku int) {
	defer close(out)
	for i := range 3 {
		time.Sleep(100 * time.Millisecond)
		out <- sku + i
	}
}

func login(user int) { go keepSession(user) }

func keepSession(int) {
	select {}
}

var standing sync.Once

func keepProcess() {
	select {}
}

// --- slots

type paymentGateway struct {
	slots chan struct{}
}

var (
	gateway  = paymentGateway{slots: make(chan struct{}, 8)}
	acquirer = paymentGateway{slots: make(chan struct{}, 8)}
)

var errDeclined = errors.New("card declined")

func (g *paymentGateway) payForgetful(order int) { go g.chargeForgetful(order) }

func (g *paymentGateway) pay(order int) { go g.charge(order) }

func (g *paymentGateway) acquire() { g.slots <- struct{}{} }

func (g *paymentGateway) release() { <-g.slots }

func (g *paymentGateway) chargeForgetful(order int) {
	g.acquire()
	if err := authorise(order); err != nil {
		return // the slot is gone
	}
	g.release()
}

func (g *paymentGateway) charge(order int) {
	g.acquire()
	defer g.release()
	_ = authorise(order)
}

func authorise(order int) error {
	time.Sleep(10 * time.Millisecond)
	if order >= 0 {
		return errDeclined
	}
	return nil
}
