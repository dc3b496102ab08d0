// Package broker receives batches of messages and works on them, a bounded number at a time.
package broker

import (
	"context"
	"encoding/json"
	"expvar"
	"log"
	"net/http"
	"sync/atomic"
)

const (
	maxBatchBytes = 1 << 20
	inFlight      = 64
	backlog       = 4096
)

var handled, failed atomic.Int64

func init() {
	expvar.Publish("messages_handled", expvar.Func(func() any { return handled.Load() }))
	expvar.Publish("messages_failed", expvar.Func(func() any { return failed.Load() }))
}

// Handle works on one message.
type Handle func(ctx context.Context, message json.RawMessage) error

// A Consumer takes pushed batches (it is an http.Handler) and starts a goroutine for each message, never more than
// inFlight of them. These goroutines end; they are not the leak.
type Consumer struct {
	handle   Handle
	messages chan json.RawMessage
	slots    chan struct{}
}

// NewConsumer is a consumer that has not begun yet: call Run.
func NewConsumer(handle Handle) *Consumer {
	return &Consumer{handle: handle, messages: make(chan json.RawMessage, backlog), slots: make(chan struct{}, inFlight)}
}

// ServeHTTP takes one batch, a JSON list.
func (c *Consumer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var batch []json.RawMessage
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxBatchBytes)).Decode(&batch); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	for _, m := range batch {
		select {
		case c.messages <- m:
		case <-r.Context().Done():
			return
		}
	}
	w.WriteHeader(http.StatusAccepted)
}

// Run works on messages until ctx ends.
func (c *Consumer) Run(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-c.messages:
			c.slots <- struct{}{}
			go c.work(ctx, m)
		}
	}
}

func (c *Consumer) work(ctx context.Context, m json.RawMessage) {
	defer func() { <-c.slots }()
	if err := c.handle(ctx, m); err != nil {
		failed.Add(1)
		log.Printf("consumer: %v", err)
		return
	}
	handled.Add(1)
}
