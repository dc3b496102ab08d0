// Times panicparse's parse and grouping (AnyPointer, its default) of one text dump.
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/maruel/panicparse/v2/stack"
)

func main() {
	data, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	runs, _ := strconv.Atoi(os.Args[2])
	for range runs {
		began := time.Now()
		in := io.Reader(bytes.NewReader(data))
		goroutines, buckets := 0, 0
		for {
			snapshot, suffix, err := stack.ScanSnapshot(in, io.Discard, stack.DefaultOpts())
			if snapshot != nil {
				goroutines += len(snapshot.Goroutines)
				buckets += len(snapshot.Aggregate(stack.AnyPointer).Buckets)
			}
			if err != nil {
				break
			}
			in = io.MultiReader(bytes.NewReader(suffix), in)
		}
		fmt.Printf("%.6f %d %d\n", time.Since(began).Seconds(), goroutines, buckets)
	}
}
