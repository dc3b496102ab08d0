package main

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"os"
	"os/signal"
	"sync"
	"time"
)

// like is innocent and looks like a leak for a while: `boot` lives in the service, `drive` in its clients; both get the item's numbers.
type like struct {
	boot  func(params)
	drive func(*driver, params)
}

var likes = map[string]like{}

func init() { // in an initializer, parse and what drives would refer to each other
	likes = map[string]like{
		"pool-warmup":   {boot: warmUpPool},
		"burst":         {boot: bursts},
		"standing":      {boot: standing},
		"parked":        {boot: parked},
		"signals":       {boot: waitForSignals},
		"cron":          {boot: cron},
		"contended":     {boot: contended},
		"queue-at-lock": {boot: queueAtLock},
		"conn-pool":     {boot: connPool},
		"transport":     {boot: transportPool},
		"retry":         {boot: retryLater},
		"afterfunc":     {boot: afterFuncs},
		"errgroup":      {boot: batches},
		"graceful":      {boot: graceful},
		"slow-backend":  {boot: slowBackend},
		"janitor":       {boot: janitors},
		"subscribers":   {boot: comeAndGo},
		"long-poll":     {drive: longPolls},
		"ramp":          {drive: ramp},
		"sse":           {drive: streams},
		"day":           {drive: day},
		"idle-conns":    {drive: idleConns},
		"sockets":       {drive: sockets},
	}
	http.HandleFunc("GET /poll", servePoll)
	http.HandleFunc("GET /slow", serveSlow)
	http.HandleFunc("GET /stream", serveStream)
	http.HandleFunc("GET /socket", serveSocket)
}

func (p params) life() time.Duration { return rng.between(p.get("min", 1), p.get("max", 5)) }

// warmUpPool hires a worker at a time until there are n; they work ever after.
func warmUpPool(p params) {
	jobs := make(chan int)
	go rng.every(p.get("jobs", 20), func() { jobs <- 1 })
	for range p.n() {
		go poolWorker(jobs)
		time.Sleep(rng.between(0.5/p.get("rate", 5), 1.5/p.get("rate", 5)))
	}
}

func poolWorker(jobs <-chan int) {
	for job := range jobs {
		hash(job)
		time.Sleep(5 * time.Millisecond)
	}
}

func bursts(p params) {
	time.Sleep(time.Duration(p.get("after", 0) * float64(time.Second)))
	for {
		for range p.n() {
			go burstTask(p.life())
		}
		time.Sleep(time.Duration(p.get("every", 20) * float64(time.Second)))
	}
}

func burstTask(life time.Duration) {
	<-time.After(life)
	hash(11)
}

// standing is a crew hired at boot that mostly waits.
func standing(p params) {
	orders := make(chan int)
	go rng.every(p.get("jobs", 1), func() { orders <- 1 })
	for range p.n() {
		go standingWorker(orders)
	}
}

func standingWorker(orders <-chan int) {
	for one := range orders {
		hash(one)
	}
}

func parked(p params) {
	for range p.n() {
		go parkForGood()
	}
}

func parkForGood() {
	hash(12)
	select {}
}

func waitForSignals(p params) {
	for range p.n() {
		go waitForSignal()
	}
}

func waitForSignal() {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, os.Interrupt)
	<-hangups
}

func cron(p params) {
	for {
		var all sync.WaitGroup
		for range p.n() {
			all.Go(func() { cronJob(p.life()) })
		}
		time.Sleep(time.Duration(p.get("every", 10) * float64(time.Second)))
		all.Wait()
	}
}

func cronJob(length time.Duration) {
	time.Sleep(length)
	hash(13)
}

// contended is a crew that fights for one lock all day.
func contended(p params) {
	mu := new(sync.Mutex)
	for range p.n() {
		go contender(mu, time.Duration(p.get("hold", 0.01)*float64(time.Second)))
	}
}

func contender(mu *sync.Mutex, hold time.Duration) {
	for {
		mu.Lock()
		time.Sleep(hold)
		mu.Unlock()
		time.Sleep(hold)
	}
}

// queueAtLock: arrivals queue for a lock that is held for long now and then.
func queueAtLock(p params) {
	mu := new(sync.Mutex)
	go func() {
		for {
			mu.Lock()
			time.Sleep(p.life())
			mu.Unlock()
			time.Sleep(time.Second)
		}
	}()
	rng.every(p.get("rate", 5), func() { go queueUp(mu) })
}

func queueUp(mu *sync.Mutex) {
	mu.Lock()
	hash(14)
	mu.Unlock()
}

// connPool is made by hand: connections, each with a reader, are opened as the load rises up to n, kept, and used at random.
func connPool(p params) {
	pool := make(chan net.Conn, p.n())
	go rng.every(p.get("use", 20), func() {
		conn := <-pool
		_, _ = conn.Write([]byte("query\n"))
		pool <- conn
	})
	for range p.n() {
		if conn, err := net.Dial("tcp", backend.Load().echo); err == nil {
			go pooledReader(conn)
			pool <- conn
		}
		time.Sleep(rng.between(0.5/p.get("rate", 2), 1.5/p.get("rate", 2)))
	}
}

func pooledReader(conn net.Conn) {
	answers := bufio.NewScanner(conn)
	for answers.Scan() {
		hash(len(answers.Bytes()))
	}
}

// transportPool: calls of a slow back end; more of them at once each second, until the pool's limit, which stays.
func transportPool(p params) {
	client := &http.Client{Transport: &http.Transport{MaxConnsPerHost: p.n(), MaxIdleConnsPerHost: p.n()}}
	for range p.n() {
		go callForEver(client, p.life)
		time.Sleep(rng.between(0.5/p.get("rate", 2), 1.5/p.get("rate", 2)))
	}
}

func callForEver(client *http.Client, pause func() time.Duration) {
	for {
		if answer, err := client.Get(backend.Load().web + "/quick"); err == nil {
			answer.Body.Close()
		}
		time.Sleep(pause())
	}
}

// retryLater: calls that fail are tried again after 0.2, 0.4, 0.8 … s and given up in the end.
func retryLater(p params) {
	rng.every(p.get("rate", 2), func() { go tryAgain(p.life()) })
}

func tryAgain(patience time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	for wait := 200 * time.Millisecond; ; wait *= 2 {
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

func afterFuncs(p params) {
	rng.every(p.get("rate", 10), func() {
		time.AfterFunc(p.life(), func() { time.Sleep(rng.between(0.05, 0.5)) })
	})
}

func batches(p params) {
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		results, limit := make(chan int), make(chan struct{}, max(p.n()/2, 1))
		var all sync.WaitGroup
		for range p.n() {
			all.Go(func() { batchTask(ctx, limit, results, p.life()) })
		}
		go func() { all.Wait(); close(results) }()
		for range results {
		}
		cancel()
		time.Sleep(time.Duration(p.get("every", 3) * float64(time.Second)))
	}
}

func batchTask(ctx context.Context, limit chan struct{}, results chan<- int, length time.Duration) {
	limit <- struct{}{}
	defer func() { <-limit }()
	select {
	case <-time.After(length):
		results <- 1
	case <-ctx.Done():
	}
}

// graceful workers are told to end after a while, and others take their place.
func graceful(p params) {
	for range p.n() {
		go func() {
			for {
				ctx, cancel := context.WithTimeout(context.Background(), p.life())
				gone := make(chan struct{})
				go gracefulWorker(ctx, gone)
				<-gone
				cancel()
			}
		}()
	}
}

func gracefulWorker(ctx context.Context, gone chan<- struct{}) {
	<-ctx.Done()
	close(gone)
}

// slowBackend: calls of one that has stopped answering; each ends at its time-out.
func slowBackend(p params) {
	client := &http.Client{Timeout: p.life(), Transport: &http.Transport{}}
	rng.every(p.get("rate", 3), func() { go callPatiently(client) })
}

func callPatiently(client *http.Client) {
	answer, err := client.Get("http://" + backend.Load().peer + "/")
	if err == nil {
		answer.Body.Close()
	}
}

// janitors: one per cache entry, gone with it.
func janitors(p params) {
	rng.every(p.get("rate", 3), func() { go evictAfter(p.life()) })
}

func evictAfter(ttl time.Duration) {
	time.Sleep(ttl)
	hash(15)
}

func comeAndGo(p params) {
	events := newHub()
	go rng.every(p.get("events", 2), func() { events.publish(1) })
	rng.every(p.get("rate", 3), func() {
		mine := events.join()
		go subscriber(mine)
		time.AfterFunc(p.life(), func() { events.leave(mine) })
	})
}

func subscriber(events <-chan int) {
	for one := range events {
		hash(one)
	}
}

// --- handlers for those that clients drive

var news = make(chan int) // nothing new today

func servePoll(w http.ResponseWriter, r *http.Request) {
	requests.Add(1)
	wait, _ := time.ParseDuration(r.FormValue("wait"))
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-news:
	case <-timer.C:
	case <-r.Context().Done():
	}
	w.WriteHeader(http.StatusNoContent)
}

func serveSlow(_ http.ResponseWriter, r *http.Request) {
	requests.Add(1)
	wait, _ := time.ParseDuration(r.FormValue("wait"))
	priced := make(chan int, 1)
	go slowPrice(priced, wait)
	<-priced
}

func slowPrice(priced chan<- int, length time.Duration) {
	time.Sleep(length)
	priced <- hash(16)
}

func serveStream(w http.ResponseWriter, r *http.Request) {
	requests.Add(1)
	control := http.NewResponseController(w)
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			_, _ = w.Write([]byte("data: 1\n\n"))
			_ = control.Flush()
		case <-r.Context().Done():
			return
		}
	}
}

// serveSocket takes the connection over, as a WebSocket library does: one goroutine reads, one writes pings, both end with it.
func serveSocket(w http.ResponseWriter, _ *http.Request) {
	requests.Add(1)
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	closed := make(chan struct{})
	go readSocket(conn, closed)
	go pingSocket(conn, closed)
}

func readSocket(conn net.Conn, closed chan<- struct{}) {
	defer close(closed)
	message := make([]byte, 256)
	for {
		if _, err := conn.Read(message); err != nil {
			return
		}
		hash(17)
	}
}

func pingSocket(conn net.Conn, closed <-chan struct{}) {
	ticker := time.NewTicker(10 * time.Second)
	defer ticker.Stop()
	defer conn.Close()
	for {
		select {
		case <-ticker.C:
			_, _ = conn.Write([]byte("ping"))
		case <-closed:
			return
		}
	}
}
