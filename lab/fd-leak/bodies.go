package main

import (
	"io"
	"net/http"
	"time"
)

// direct is a client without an overall timeout, since programmes are long. That is one half of the fault.
var direct = &http.Client{Transport: &http.Transport{Proxy: nil, DisableKeepAlives: true}}

// relay begins to relay a programme. The listener goes away soon; nobody tells the goroutine that holds the body, which is neither
// read to its end nor closed: the connection and its two goroutines stay.
func (m *media) relay() error {
	answer, err := direct.Get(m.upstream)
	if err != nil {
		return err
	}
	left := make(chan struct{})
	go m.listen(answer.Body, left)
	return nil
}

// listen waits for a listener who has left without saying so.
func (m *media) listen(body io.ReadCloser, left chan struct{}) {
	defer body.Close()
	m.service.HoldsBelow()
	<-left
}

// broadcast is the station: a little music a second, for as long as somebody is connected.
func broadcast(w http.ResponseWriter, r *http.Request) {
	beat := time.NewTicker(time.Second)
	defer beat.Stop()
	for {
		if _, err := io.WriteString(w, "la la la\n"); err != nil {
			return
		}
		w.(http.Flusher).Flush()
		select {
		case <-beat.C:
		case <-r.Context().Done():
			return
		}
	}
}
