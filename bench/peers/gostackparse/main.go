// Times gostackparse's parse of one text dump: the peer of `parkwarden.cluster`, which parses and clusters.
package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"time"

	"github.com/DataDog/gostackparse"
)

func main() {
	data, err := os.ReadFile(os.Args[1])
	if err != nil {
		panic(err)
	}
	runs, _ := strconv.Atoi(os.Args[2])
	for range runs {
		began := time.Now()
		goroutines, errs := gostackparse.Parse(bytes.NewReader(data))
		fmt.Printf("%.6f %d %d\n", time.Since(began).Seconds(), len(goroutines), len(errs))
	}
}
