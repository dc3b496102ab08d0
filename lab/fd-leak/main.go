// Command fd-leak is a media service that runs out of file descriptors, in one of three ways (-kind):
//
//	child-pipes       films are re-encoded by a child process whose Wait is never called: its pipes stay
//	streaming-bodies  programmes are relayed from a station whose answers nobody closes: their connections stay
//	temp-files        uploads wait in temporary files for an uploader that never comes: deleted, and still open
package main

import (
	"flag"

	"example.com/breaking"
)

func main() {
	station := flag.Bool("station", false, "be the station that programmes are relayed from")
	flag.Parse()
	if *station {
		breaking.BePeer(breaking.ServeHTTP(broadcast))
		return
	}
	m := &media{}
	m.service = breaking.New(
		breaking.Kind{Name: "child-pipes", Holds: "pipes of child processes", Limit: "fd-limit", Leak: m.transcode},
		breaking.Kind{Name: "streaming-bodies", Holds: "streaming HTTP bodies", Limit: "fd-limit", Leak: m.relay},
		breaking.Kind{Name: "temp-files", Holds: "deleted temporary files", Limit: "fd-limit", Leak: m.accept},
	)
	m.upstream = "http://" + breaking.Peer("-station") + "/programme"
	m.uploader = make(chan struct{})
	m.service.Serve()
}

type media struct {
	service  *breaking.Service
	upstream string
	uploader chan struct{}
}
