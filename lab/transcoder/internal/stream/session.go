package stream

import (
	"bytes"
	"io"
	"sync"
)

// A Session is one client's stream. All that the codec has made is kept, so that the client can seek back: the other
// half of the fault, for nothing bounds it and only a client that reads to the end ever gives it back.
type Session struct {
	mu    sync.Mutex
	grown *sync.Cond
	out   bytes.Buffer
	ended bool
}

func newSession() *Session {
	s := &Session{}
	s.grown = sync.NewCond(&s.mu)
	return s
}

// Write keeps what the codec made.
func (s *Session) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, err := s.out.Write(p)
	s.grown.Broadcast()
	return n, err
}

// End says that nothing more will be written.
func (s *Session) End() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = true
	s.grown.Broadcast()
}

// Reader reads the session from its begin, and waits for what the codec has not made yet.
func (s *Session) Reader() io.Reader { return &sessionReader{session: s} }

type sessionReader struct {
	session *Session
	at      int
}

func (r *sessionReader) Read(p []byte) (int, error) {
	s := r.session
	s.mu.Lock()
	defer s.mu.Unlock()
	for r.at == s.out.Len() {
		if s.ended {
			return 0, io.EOF
		}
		s.grown.Wait()
	}
	n := copy(p, s.out.Bytes()[r.at:])
	r.at += n
	return n, nil
}
