// Package stream runs a codec for each client and copies what it makes to the client.
package stream

import (
	"expvar"
	"fmt"
	"io"
	"log"
	"net/http"
	"os/exec"
	"sync"
	"sync/atomic"
)

const maxSessions = 400

// A Transcoder serves films. It is an http.Handler for `/stream/{film}`.
type Transcoder struct {
	codec []string
	next  atomic.Int64

	mu       sync.Mutex
	closed   bool
	sessions map[string]*Session
	children map[string]*exec.Cmd
}

// NewTranscoder re-encodes with the given command line.
func NewTranscoder(codec ...string) *Transcoder {
	t := &Transcoder{codec: codec, sessions: map[string]*Session{}, children: map[string]*exec.Cmd{}}
	expvar.Publish("sessions", expvar.Func(func() any { n, _ := t.count(); return n }))
	expvar.Publish("codecs", expvar.Func(func() any { _, n := t.count(); return n }))
	return t
}

// ServeHTTP streams one film to one client.
func (t *Transcoder) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id := fmt.Sprintf("%s-%06d", r.PathValue("film"), t.next.Add(1))
	session, err := t.start(id, r.PathValue("film"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	w.Header().Set("Content-Type", "video/mp4")
	if _, err := io.Copy(w, session.Reader()); err != nil {
		return // the client has gone away; the session and its codec stay behind
	}
	t.forget(id)
}

// start runs a codec between the film and a new session.
func (t *Transcoder) start(id, name string) (*Session, error) {
	session := newSession()
	cmd := exec.Command(t.codec[0], t.codec[1:]...)
	cmd.Stdin = openFilm(name)
	cmd.Stdout = session

	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed || len(t.sessions) >= maxSessions {
		return nil, fmt.Errorf("no room for another stream")
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("codec: %w", err)
	}
	t.sessions[id], t.children[id] = session, cmd
	go t.wait(id, cmd, session)
	return session, nil
}

// wait reaps the codec.
func (t *Transcoder) wait(id string, cmd *exec.Cmd, session *Session) {
	if err := cmd.Wait(); err != nil {
		log.Printf("transcoder: codec of %s: %v", id, err)
	}
	session.End()
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.children, id)
}

func (t *Transcoder) forget(id string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.sessions, id)
}

func (t *Transcoder) count() (sessions, codecs int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.sessions), len(t.children)
}

// Close ends all codecs: no process outlives the service.
func (t *Transcoder) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	for _, cmd := range t.children {
		cmd.Process.Kill()
	}
}
