package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"strings"
	"time"
)

// driver is everybody around the service: healthy clients, those that make it leak, and its back end.
type driver struct {
	url, host string
	perS      float64
	client    *http.Client
}

func newDriver(url string, seed uint64, perS float64) *driver {
	rng = newDice(seed + 1)
	return &driver{
		url: url, host: strings.TrimPrefix(url, "http://"), perS: perS,
		client: &http.Client{Timeout: 100 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 8}},
	}
}

func (d *driver) run(items []item) {
	web := webPeer()
	go func() {
		for conn := range keep {
			kept = append(kept, conn)
		}
	}()
	d.get(d.client, fmt.Sprintf("/begin?peer=%s&echo=%s&web=%s", peer(neverAnswer), peer(echo), web))
	for _, path := range []string{"/work", "/work", "/read", "/fan"} {
		go rng.every(d.perS/4, func() { go d.get(d.client, path) })
	}
	for _, one := range items {
		switch {
		case one.what == "leak":
			go rng.every(one.p.get("rate", 1), func() { d.ask(one.name, 0) })
			go rng.every(one.p.get("mix", 0), func() { d.ask(one.name, one.p.life()) })
		case one.what == "heal":
			go rng.every(one.p.get("rate", 1), func() { d.ask(one.name, one.p.life()) })
		case likes[one.name].drive != nil:
			go likes[one.name].drive(d, one.p)
		}
	}
	fmt.Println("listening on", web) // ready
	select {}
}

// ask makes one goroutine of a kind, that heals after ttl where it is above 0.
func (d *driver) ask(name string, ttl time.Duration) {
	path := fmt.Sprintf("/leak/%s?ttl=%s", name, ttl)
	switch kinds[name].client {
	case plain:
		go d.get(d.client, path)
	case goesAway:
		go d.get(&http.Client{Timeout: max(ttl, 300*time.Millisecond), Transport: &http.Transport{DisableKeepAlives: true}}, path)
	case noReader:
		go d.askAndNeverRead(path, ttl)
	}
}

// get reads an answer whole; errors are what some clients expect.
func (d *driver) get(client *http.Client, path string) {
	answer, err := client.Get(d.url + path)
	if err == nil {
		_, _ = io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
	}
}

var kept []net.Conn // a connection nobody refers to would be closed by its finalizer

func (d *driver) askAndNeverRead(path string, ttl time.Duration) {
	conn, err := net.Dial("tcp", d.host)
	if err != nil {
		return
	}
	fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, d.host)
	if ttl > 0 {
		time.Sleep(ttl)
		conn.Close()
		return
	}
	keep <- conn
}

var keep = make(chan net.Conn)

// peer accepts at an address of its own and serves each connection.
func peer(serve func(net.Conn)) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				log.Fatal(err)
			}
			go serve(conn)
		}
	}()
	return listener.Addr().String()
}

func neverAnswer(conn net.Conn) { keep <- conn }

func echo(conn net.Conn) {
	_, _ = io.Copy(conn, conn)
	conn.Close()
}

// webPeer is the back end: /quick answers soon, /bulk streams more than anybody reads.
func webPeer() string {
	pages := http.NewServeMux()
	pages.HandleFunc("GET /quick", func(w http.ResponseWriter, _ *http.Request) {
		time.Sleep(rng.between(0.001, 0.02))
		fmt.Fprintln(w, "quick")
	})
	pages.HandleFunc("GET /bulk", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.Copy(w, io.LimitReader(zeros{}, 1<<30)) })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Fatal((&http.Server{Handler: pages, ReadHeaderTimeout: 10 * time.Second}).Serve(listener)) }()
	return "http://" + listener.Addr().String()
}

// --- clients that look like a leak

func longPolls(d *driver, p params) {
	rng.every(p.get("rate", 2), func() { go d.get(d.client, fmt.Sprintf("/poll?wait=%s", p.life())) })
}

// ramp raises the load from `from` to `to` requests a second within `over` seconds; then it stays.
func ramp(d *driver, p params) {
	from, to, over := p.get("from", 1), p.get("to", 30), p.get("over", 60)
	began := time.Now()
	for {
		perS := from + (to-from)*min(1, time.Since(began).Seconds()/over)
		time.Sleep(rng.between(0.5/perS, 1.5/perS))
		go d.get(d.client, fmt.Sprintf("/slow?wait=%s", p.life()))
	}
}

func streams(d *driver, p params) {
	rng.every(p.get("rate", 2), func() { go d.stream(p.life()) })
}

func (d *driver) stream(life time.Duration) {
	ctx, cancel := context.WithTimeout(context.Background(), life)
	defer cancel()
	ask, err := http.NewRequestWithContext(ctx, http.MethodGet, d.url+"/stream", http.NoBody)
	if err != nil {
		return
	}
	if answer, err := d.client.Do(ask); err == nil {
		_, _ = io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
	}
}

// follow calls f as often as a crowd needs that follows the sun of a short day: n at noon, few at midnight; a check may fall on any hour.
func follow(p params, f func(life time.Duration)) {
	length, mean := p.get("day", 90), (p.get("min", 1)+p.get("max", 5))/2
	began := time.Now().Add(-rng.between(0, length))
	for {
		sun := 0.5 - 0.5*math.Cos(2*math.Pi*time.Since(began).Seconds()/length)
		perS := max(sun*p.get("n", 60)/mean, 0.2)
		time.Sleep(rng.between(0.5/perS, 1.5/perS))
		go f(p.life())
	}
}

func day(d *driver, p params) { follow(p, d.stream) }

func sockets(d *driver, p params) {
	follow(p, func(life time.Duration) { d.socket(life, p.get("talk", 5)) })
}

// socket says something now and then, until it leaves.
func (d *driver) socket(life time.Duration, talkS float64) {
	conn, err := net.Dial("tcp", d.host)
	if err != nil {
		return
	}
	defer conn.Close()
	go func() { _, _ = io.Copy(io.Discard, conn) }()
	fmt.Fprintf(conn, "GET /socket HTTP/1.1\r\nHost: %s\r\n\r\n", d.host)
	for until := time.Now().Add(life); time.Now().Before(until); {
		time.Sleep(min(rng.between(0.5*talkS, 1.5*talkS), time.Until(until)))
		if _, err := conn.Write([]byte("hello")); err != nil {
			return
		}
	}
}

// idleConns opens keep-alive connections that say one thing and are kept, up to n.
func idleConns(d *driver, p params) {
	for range p.n() {
		if conn, err := net.Dial("tcp", d.host); err == nil {
			fmt.Fprintf(conn, "GET /fan HTTP/1.1\r\nHost: %s\r\n\r\n", d.host)
			keep <- conn
		}
		time.Sleep(rng.between(0.5/p.get("rate", 5), 1.5/p.get("rate", 5)))
	}
}
