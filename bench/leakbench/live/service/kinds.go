package main

import (
	"net/http"
	"time"
)

// kind is one way to leak. The same code heals after `ttl` where that is above 0: then it is healthy traffic at the very same place.
// What heals holds a reference only then; a leak is held by nobody else unless the kind says so.
type kind struct {
	in     []string // the functions its goroutines stand in: the ground truth
	beside []string // those of goroutines that stay with them: to accuse them is right, not to is no miss
	start  func(call)
	// how clients behave; "" is a plain request
	client client
}

type client int

const (
	plain    client = iota
	goesAway        // gives up after 0.3 s and closes its connection
	noReader        // never reads the answer
)

type call struct {
	ttl time.Duration
	w   http.ResponseWriter
	r   *http.Request
}

// later heals.
func (c call) later(cure func()) {
	if c.ttl > 0 {
		time.AfterFunc(c.ttl, cure)
	}
}

// quit is what ends a loop; where nothing heals it stays open for ever.
func (c call) quit() chan struct{} {
	quit := make(chan struct{})
	c.later(func() { close(quit) })
	return quit
}

var kinds = map[string]kind{
	"chan-send":        {in: names(sendQuote), start: chanSend},
	"chan-receive":     {in: names(awaitConfirmation), start: chanReceive},
	"chan-range":       {in: names(writeRows), start: chanRange},
	"nil-channel":      {in: names(followPrice), start: nilChannel},
	"select-no-exit":   {in: names(watchCart), start: selectNoExit},
	"select-ticker":    {in: names(pollStock), start: selectTicker},
	"context-lost":     {in: names(refreshUntil), start: contextLost},
	"pipeline":         {in: names(parseLines), start: pipeline},
	"global-channel":   {in: names(awaitReply), start: globalChannel},
	"semaphore":        {in: names(takeSlot), start: semaphore},
	"subscriber-quiet": {in: names(followQuietly), start: subscribeQuiet},
	"subscriber-busy":  {in: names(followBusily), start: subscribeBusy},
	"mutex":            {in: names(book), start: mutexHeld},
	"rwmutex":          {in: names(readCatalog), start: rwmutexHeld},
	"waitgroup":        {in: names(awaitParts), start: waitGroup},
	"cond":             {in: names(awaitRestock), start: condWait},
	"global-mutex":     {in: names(updateLedger), start: globalMutex},
	"global-waitgroup": {in: names(awaitAudit), start: globalWaitGroup},
	"ticker-range":     {in: names(reportEvery), start: tickerRange},
	"sleep-loop":       {in: names(probeEvery), start: sleepLoop},
	"constructor":      {in: names((*wheel).turn), start: constructor},
	"io-read":          {in: names(readAnswer), start: ioRead},
	"io-write":         {in: names(sendBulk), start: ioWrite},
	"accept":           {in: names(awaitCallback), start: acceptOne},
	"io-copy":          {in: names(download), start: ioCopy, client: noReader, beside: []string{"net/http.(*connReader).backgroundRead"}},
	"child-pipe":       {in: names(readChild), start: childPipe},
	"http-body":        {in: []string{"net/http.(*persistConn).readLoop", "net/http.(*persistConn).writeLoop"}, start: httpBody},
	"handler":          {in: names(serveReservation), start: serveReservation, client: goesAway},
}
