package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

const crewSize = 8

type order struct {
	id   int
	done chan int
}

// shopfront is the healthy part: a crew that has work, a cache under a lock, a ticker, a client of the back end, subscribers.
type shopfront struct {
	orders chan order
	mu     sync.Mutex
	prices map[int]int
	client *http.Client
	events *hub
}

var front = shopfront{
	orders: make(chan order), prices: map[int]int{}, events: newHub(),
	client: &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 4}},
}

func startBackground() {
	for range crewSize {
		go front.work()
	}
	go front.flush()
	for range 3 {
		go front.follow(front.events.join())
	}
	http.HandleFunc("GET /work", front.serveWork)
	http.HandleFunc("GET /read", front.serveRead)
	http.HandleFunc("GET /fan", front.serveFan)
}

func (s *shopfront) work() {
	for one := range s.orders {
		one.done <- hash(one.id)
	}
}

func (s *shopfront) flush() {
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for range ticker.C {
		s.mu.Lock()
		clear(s.prices)
		s.mu.Unlock()
		s.events.publish(1)
	}
}

func (s *shopfront) follow(events <-chan int) {
	for range events {
		s.mu.Lock()
		s.prices[-1]++
		s.mu.Unlock()
	}
}

func (s *shopfront) serveWork(w http.ResponseWriter, _ *http.Request) {
	requests.Add(1)
	one := order{int(requests.Load()), make(chan int, 1)}
	s.orders <- one
	price := <-one.done
	s.mu.Lock()
	s.prices[one.id] = price
	time.Sleep(200 * time.Microsecond) // held while others want it
	s.mu.Unlock()
	fmt.Fprintln(w, price)
}

func (s *shopfront) serveRead(w http.ResponseWriter, r *http.Request) {
	requests.Add(1)
	at := backend.Load()
	if at == nil {
		return
	}
	ask, err := http.NewRequestWithContext(r.Context(), http.MethodGet, at.web+"/quick", http.NoBody)
	if err != nil {
		return
	}
	answer, err := s.client.Do(ask)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	_, _ = io.Copy(w, answer.Body)
}

func (s *shopfront) serveFan(w http.ResponseWriter, r *http.Request) {
	requests.Add(1)
	ctx, cancel := context.WithTimeout(r.Context(), time.Second)
	defer cancel()
	var all sync.WaitGroup
	for i := range 4 {
		all.Go(func() {
			select {
			case <-time.After(rng.between(0.001, 0.02)):
				hash(i)
			case <-ctx.Done():
			}
		})
	}
	all.Wait()
	fmt.Fprintln(w, "ok")
}

func hash(id int) int {
	sum := sha256.Sum256([]byte{byte(id), byte(id >> 8)})
	for range 30 {
		sum = sha256.Sum256(sum[:])
	}
	return int(sum[0])
}

// hub hands events to those who joined; a subscriber that is late misses one.
type hub struct {
	mu   sync.Mutex
	subs map[chan int]bool
}

func newHub() *hub { return &hub{subs: map[chan int]bool{}} }

func (h *hub) join() chan int {
	events := make(chan int, 1)
	h.mu.Lock()
	h.subs[events] = true
	h.mu.Unlock()
	return events
}

func (h *hub) leave(events chan int) {
	h.mu.Lock()
	delete(h.subs, events)
	h.mu.Unlock()
	close(events)
}

func (h *hub) publish(event int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for events := range h.subs {
		select {
		case events <- event:
		default:
		}
	}
}
