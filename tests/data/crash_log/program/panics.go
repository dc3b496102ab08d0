package main

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
)

func init() {
	causes["nil"] = nilDereference
	causes["panic-chain"] = panicChain
	causes["panic-repanic"] = panicRepanic
	causes["panic-goexit"] = panicGoexit
	causes["panic-custom"] = panicCustom
	causes["panic-lines"] = func() { panic("first line\nsecond line\n\ngoroutine 7 [running]:\nfake.frame()") }
	causes["index"] = indexOutOfRange
	causes["unlock"] = func() { new(sync.Mutex).Unlock() }
	causes["fault"] = fault
	causes["files"] = files
	causes["http-panic"] = httpPanic
	causes["wait-quit"] = func() { time.Sleep(20 * time.Second) }
	causes["wait-abort"] = func() { time.Sleep(20 * time.Second) }
}

type account struct{ owner *struct{ name string } }

//go:noinline
func ownerName(a *account) string { return a.owner.name }

func nilDereference() { println(ownerName(&account{})) }

func panicChain() {
	defer func() {
		defer func() { panic(fmt.Errorf("third: %w", errors.New("closing"))) }()
		panic("second")
	}()
	panic("first")
}

func panicRepanic() {
	defer func() {
		if r := recover(); r != nil {
			panic(r)
		}
	}()
	panic(errors.New("once and again"))
}

func panicGoexit() {
	defer func() { panic("after Goexit") }()
	runtime.Goexit()
}

type refusal struct{ code int }

func panicCustom() { panic(refusal{418}) }

func indexOutOfRange() {
	s := make([]int, 3)
	i := 5
	if len(os.Args) > 9 {
		i = 1
	}
	println(s[i])
}

func fault() {
	b, err := syscall.Mmap(-1, 0, 4096, syscall.PROT_READ, syscall.MAP_ANON|syscall.MAP_PRIVATE)
	if err != nil {
		panic(err)
	}
	b[0] = 1
}

func files() {
	syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: 16, Max: 16})
	for {
		if _, err := os.Open("/dev/null"); err != nil {
			panic(err)
		}
	}
}

func httpPanic() {
	s := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		var m map[string]int
		m["hits"]++
	}))
	http.Get(s.URL)
	os.Exit(0)
}
