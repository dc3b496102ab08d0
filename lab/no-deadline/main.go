// Command no-deadline is a gateway that asks partners for quotes and reads their answers without a deadline. Some partners have gone
// silent: they take the question and never answer. Each such read stands for ever and keeps its connection; file descriptors
// run out in the end.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"net"

	"example.com/breaking"
)

type gateway struct {
	service *breaking.Service
	partner string
}

func main() {
	silent := flag.Bool("partner", false, "be the silent partner")
	flag.Parse()
	if *silent {
		breaking.BePeer(takeAndSayNothing)
		return
	}
	g := &gateway{}
	g.service = breaking.New(breaking.Kind{
		Name: "silent-partner", Holds: "connections that are read without a deadline", Limit: "fd-limit", Leak: g.ask,
	})
	g.partner = breaking.Peer("-partner")
	g.service.Serve()
}

// ask sends a question to a partner and leaves the reading of the answer to a goroutine.
func (g *gateway) ask() error {
	conn, err := net.Dial("tcp", g.partner)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintln(conn, "quote EUR/USD"); err != nil {
		conn.Close()
		return err
	}
	go g.quote(conn)
	return nil
}

// quote reads the answer. No SetReadDeadline: that is the fault.
func (g *gateway) quote(conn net.Conn) {
	defer conn.Close()
	lines := bufio.NewReader(conn)
	g.service.HoldsBelow()
	_, _ = lines.ReadString('\n')
}

// takeAndSayNothing is the partner: it accepts, keeps the connection, and never writes.
func takeAndSayNothing(listener net.Listener) {
	var kept []net.Conn
	for {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		kept = append(kept, conn)
	}
}
