// Command thread-leak is a ledger whose bookings wait in blocking system calls: each takes a thread, and Go ends the process at
// its limit of threads (runtime/debug.SetMaxThreads; 10,000 unless set, here by -max-threads). In one of three ways (-kind):
//
//	pipe-read  a read from a pipe that the runtime's poller does not know: what a device or an old C library's descriptor is
//	flock      the lock of a file that another holder never gives back
//	nanosleep  a driver's way to wait for its device
package main

import (
	"flag"
	"log"
	"os"
	"syscall"
	"time"

	"example.com/breaking"
)

type ledger struct {
	service *breaking.Service
	journal [2]int // a pipe in blocking mode, which nobody writes to
	locked  int    // a file that another descriptor has locked
}

func main() {
	threads := flag.Int("max-threads", 0, "Go's own limit of threads (0 = Go's 10,000)")
	flag.Parse()
	breaking.Threads(*threads)
	l := &ledger{}
	l.service = breaking.New(
		breaking.Kind{Name: "pipe-read", Holds: "threads in a blocking read", Limit: "thread-limit", Leak: l.started(l.read)},
		breaking.Kind{Name: "flock", Holds: "threads that wait for a file's lock", Limit: "thread-limit", Leak: l.started(l.lock)},
		breaking.Kind{Name: "nanosleep", Holds: "threads that sleep in the kernel", Limit: "thread-limit", Leak: l.started(l.wait)},
	)
	l.open()
	l.service.Serve()
}

// started is a job that leaves one goroutine in a system call.
func (l *ledger) started(book func()) func() error {
	return func() error {
		go book()
		return nil
	}
}

func (l *ledger) open() {
	if err := syscall.Pipe(l.journal[:]); err != nil {
		log.Fatal(err)
	}
	file, err := os.CreateTemp("", "ledger-*")
	if err != nil {
		log.Fatal(err)
	}
	other, err := syscall.Open(file.Name(), syscall.O_RDWR, 0)
	if err != nil {
		log.Fatal(err)
	}
	if err := os.Remove(file.Name()); err != nil {
		log.Fatal(err)
	}
	if err := syscall.Flock(other, syscall.LOCK_EX); err != nil {
		log.Fatal(err)
	}
	held, err := syscall.Dup(int(file.Fd())) // Fd of a regular file: not in the poller
	if err != nil {
		log.Fatal(err)
	}
	l.locked = held
}

// read takes the next entry of the journal, whenever that is.
func (l *ledger) read() {
	entry := make([]byte, 64)
	l.service.HoldsBelow()
	_, _ = syscall.Read(l.journal[0], entry)
}

// lock wants the ledger for itself.
func (l *ledger) lock() {
	l.service.HoldsBelow()
	_ = syscall.Flock(l.locked, syscall.LOCK_EX)
}

// wait gives the device an hour.
func (l *ledger) wait() {
	hour := syscall.NsecToTimespec(int64(time.Hour))
	l.service.HoldsBelow()
	_ = syscall.Nanosleep(&hour, nil)
}
