// Package agent is a tracing agent as one links it into a service: spans and log lines go to a back end.
package agent

import (
	"expvar"
	"time"
)

// An Agent watches the service it is linked into.
type Agent struct {
	Log      *Logger
	reporter *Reporter
}

// Start starts an agent that reports to the back end at base.
func Start(base string) *Agent {
	a := &Agent{reporter: newReporter(base)}
	a.Log = &Logger{sink: a.reporter}
	a.reporter.log = a.Log
	expvar.Publish("agent_queue", expvar.Func(func() any { return len(a.reporter.queue) }))
	expvar.Publish("agent_queue_max", expvar.Func(func() any { return cap(a.reporter.queue) }))
	for range senders {
		go a.reporter.sendLoop()
	}
	return a
}

// A Span is a piece of work, timed.
type Span struct {
	agent *Agent
	name  string
	began time.Time
}

// Begin starts a span.
func (a *Agent) Begin(name string) *Span { return &Span{agent: a, name: name, began: time.Now()} }

// End ends the span and reports it.
func (s *Span) End() {
	s.agent.reporter.Report(Event{Kind: "span", Text: s.name, At: s.began, Took: time.Since(s.began)})
}
