// Command oom is a reporting service that builds each report in memory and writes it to its reader: behind readers that are slow,
// reports pile up until the memory limit ends the process.
//
// It is part of Parkwarden's lab and broken on purpose: no write deadline, no limit of reports under way, and a report is a []byte
// though it could be written as it is made. With -load it is the readers instead.
package main

import (
	"context"
	"flag"
	"log"
	"math/rand/v2"
	"net/http"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"example.com/breaking"
)

const (
	defaultRows = 4096
	maxRows     = 1 << 20
	rowBytes    = 128
)

func main() {
	load := flag.String("load", "", "be the readers instead: of the service at `URL`")
	perS := flag.Float64("readers-per-s", 2, "load: how many slow readers come a second, at random")
	rows := flag.Int("rows", defaultRows, "load: rows of the report each asks for, 128 bytes apiece")
	seed := flag.Uint64("load-seed", 1, "load: of the random gaps between them")
	length := flag.Duration("for", time.Minute, "load: stop after this long")
	flag.Parse()
	if *load != "" {
		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
		defer stop()
		ctx, done := context.WithTimeout(ctx, *length)
		defer done()
		readSlowly(ctx, *load, *rows, *perS, rand.New(rand.NewPCG(*seed, 0)))
		return
	}
	d := &desk{}
	d.service = breaking.New(breaking.Kind{
		Name: "slow-readers", Holds: "reports in memory behind slow readers", Limit: "memory-limit",
	})
	d.service.Handle("GET /report", d.report)
	d.service.Serve()
}

type desk struct{ service *breaking.Service }

// report answers with a report of ?rows=N. It is held whole until its reader has read to the end.
func (d *desk) report(w http.ResponseWriter, r *http.Request) {
	rows, err := strconv.Atoi(r.URL.Query().Get("rows"))
	if err != nil || rows < 1 || rows > maxRows {
		http.Error(w, "rows must be a number", http.StatusBadRequest)
		return
	}
	page := render(rows)
	d.service.Count(nil)
	d.service.HoldsBelow()
	_, err = w.Write(page)
	if err != nil {
		log.Printf("a reader left: %v", err)
	}
}

// render makes the report.
func render(rows int) []byte {
	page := make([]byte, 0, rows*rowBytes)
	for row := range rows {
		begin := len(page)
		page = strconv.AppendInt(page, int64(row), 10)
		for len(page) < begin+rowBytes-1 {
			page = append(page, '.')
		}
		page = append(page, '\n')
	}
	return page
}
