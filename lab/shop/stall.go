package main

import (
	"sync"
	"time"
)

const (
	every = 200 * time.Microsecond
	// over counts a gap as a stall: timers of an idle machine are late by tens of microseconds.
	over = 5 * time.Millisecond
)

// stallMeter is a goroutine that wants to run every 0.2 ms and writes down how long it could not.
type stallMeter struct {
	mu     sync.Mutex
	quit   chan struct{}
	last   time.Time
	max    time.Duration
	wakes  int
	stalls int
}

// stallReport is what happened since the meter was last asked. Times in milliseconds.
type stallReport struct {
	MaxMs   float64 `json:"max_ms"`
	Wakes   int     `json:"wakes"`
	Stalls  int     `json:"stalls"` // gaps above 5 ms
	OverMs  float64 `json:"over_ms"`
	Running bool    `json:"running"`
}

func (m *stallMeter) start() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.quit == nil {
		m.quit = make(chan struct{})
		m.last = time.Now()
		go m.run(m.quit)
	}
}

func (m *stallMeter) stop() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.quit != nil {
		close(m.quit)
		m.quit = nil
	}
}

func (m *stallMeter) run(quit chan struct{}) {
	for {
		select {
		case <-quit:
			return
		default:
		}
		time.Sleep(every)
		m.mu.Lock()
		m.wake(time.Now())
		m.mu.Unlock()
	}
}

func (m *stallMeter) wake(now time.Time) {
	gap := now.Sub(m.last) - every
	m.last = now
	m.wakes++
	m.max = max(m.max, gap)
	if gap > over {
		m.stalls++
	}
}

// take reports and begins anew. A gap that is not over yet counts up to now.
func (m *stallMeter) take() stallReport {
	m.mu.Lock()
	defer m.mu.Unlock()
	worst := m.max
	if m.quit != nil {
		worst = max(worst, time.Since(m.last)-every)
	}
	report := stallReport{
		MaxMs: worst.Seconds() * 1000, Wakes: m.wakes, Stalls: m.stalls, OverMs: over.Seconds() * 1000, Running: m.quit != nil,
	}
	m.max, m.wakes, m.stalls = 0, 0, 0
	return report
}
