package main

import (
	"context"
	"io"
	"maps"
	"runtime/pprof"
	"slices"
	"sync"
	"time"
	"weak"
)

// kinds are the ways this shop can leak: each starts one goroutine that never ends by itself and returns how to cure it.
//
// The cure is held by a weak pointer only. Anything else would make the leak reachable from here, and Go's leak profile would
// rightly not call it one.
var kinds = map[string]func() weak.Pointer[leak]{
	"send-without-receiver": sendWithoutReceiver,
	"receive-never-closed":  receiveNeverClosed,
	"lock-never-released":   lockNeverReleased,
	"context-not-passed":    contextNotPassed,
	"ticker-never-stopped":  tickerNeverStopped,
}

// leak is what a leaked goroutine waits on. The goroutine keeps it alive, nobody else does.
type leak struct {
	answer chan int
	done   chan struct{}
	mu     sync.Mutex
	cancel context.CancelFunc
	cured  bool
	cure   func(*leak)
}

// sendWithoutReceiver: the caller has given up waiting for the price, which is then sent to nobody.
func sendWithoutReceiver() weak.Pointer[leak] {
	l := &leak{answer: make(chan int), cure: func(l *leak) { <-l.answer }}
	go l.quote()
	return weak.Make(l)
}

func (l *leak) quote() {
	l.answer <- 42
	l.cured = true
}

// receiveNeverClosed: whoever should have confirmed the payment returned early.
func receiveNeverClosed() weak.Pointer[leak] {
	l := &leak{done: make(chan struct{}), cure: func(l *leak) { close(l.done) }}
	go l.awaitPayment()
	return weak.Make(l)
}

func (l *leak) awaitPayment() {
	<-l.done
	l.cured = true
}

// lockNeverReleased: an early return between Lock and Unlock, and the next one waits for ever.
func lockNeverReleased() weak.Pointer[leak] {
	l := &leak{cure: func(l *leak) { l.mu.Unlock() }}
	l.mu.Lock()
	go l.book()
	return weak.Make(l)
}

func (l *leak) book() {
	l.mu.Lock()
	l.cured = true
	l.mu.Unlock()
}

// contextNotPassed: the worker got a context of its own in place of the request's, and nobody cancels it.
func contextNotPassed() weak.Pointer[leak] {
	ctx, cancel := context.WithCancel(context.Background())
	l := &leak{done: make(chan struct{}), cancel: cancel, cure: func(l *leak) { l.cancel() }}
	go l.refresh(ctx)
	return weak.Make(l)
}

func (l *leak) refresh(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-l.done:
	}
	l.cured = true
}

// tickerNeverStopped: a poller per request, each woken every five seconds for nobody.
func tickerNeverStopped() weak.Pointer[leak] {
	l := &leak{done: make(chan struct{}), cure: func(l *leak) { close(l.done) }}
	go l.poll()
	return weak.Make(l)
}

func (l *leak) poll() {
	ticker := time.NewTicker(5 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
		case <-l.done:
			l.cured = true
			return
		}
	}
}

// leaker leaks at a rate and remembers what it leaked, weakly.
type leaker struct {
	mu      sync.Mutex
	kind    string
	perS    float64
	quit    chan struct{}
	leaked  []weak.Pointer[leak]
	strong  []*leak // only while they are being cured
	started time.Time
}

// start leaks perS goroutines a second from now on, the first one at once.
func (k *leaker) start(kind string, perS float64) {
	k.stop()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.kind, k.perS, k.started = kind, perS, time.Now()
	k.quit = make(chan struct{})
	go k.run(kinds[kind], perS, k.quit)
}

func (k *leaker) run(one func() weak.Pointer[leak], perS float64, quit chan struct{}) {
	began := time.Now()
	for n := 0; ; n++ {
		due := began.Add(time.Duration(float64(n) / perS * float64(time.Second)))
		select {
		case <-quit:
			return
		case <-time.After(time.Until(due)):
		}
		k.mu.Lock()
		k.leaked = append(k.leaked, one())
		k.mu.Unlock()
	}
}

func (k *leaker) stop() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.quit != nil {
		close(k.quit)
		k.quit, k.kind, k.perS = nil, "", 0
	}
}

// release ends every goroutine leaked so far, and the leaking; how many there were.
//
// A goroutine that the leak profile has marked must not be woken: the runtime throws "bad g->status in ready". So they are made
// reachable first, and the profile is run again: it takes the marks off.
func (k *leaker) release() int {
	k.stop()
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, pointer := range k.leaked {
		if l := pointer.Value(); l != nil {
			k.strong = append(k.strong, l)
		}
	}
	k.leaked = nil
	if profile := pprof.Lookup("goroutineleak"); profile != nil {
		_ = profile.WriteTo(io.Discard, 0)
	}
	for _, l := range k.strong {
		l.cure(l)
	}
	released := len(k.strong)
	k.strong = nil
	return released
}

func (k *leaker) count() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	return len(k.leaked)
}

func (k *leaker) state() map[string]any {
	k.mu.Lock()
	defer k.mu.Unlock()
	state := map[string]any{"kind": k.kind, "per_s": k.perS, "leaked": len(k.leaked), "kinds": slices.Sorted(maps.Keys(kinds))}
	if k.quit != nil {
		state["started"] = float64(k.started.UnixMilli()) / 1000
	}
	return state
}
