// Crash dies in the way its argument names; its standard error is a golden of tests/data/crash_log.
package main

import (
	"fmt"
	"os"
	"sort"
)

var causes = map[string]func(){}

func main() {
	if len(os.Args) == 2 {
		if die, ok := causes[os.Args[1]]; ok {
			die()
			fmt.Fprintln(os.Stderr, "still alive")
			os.Exit(9)
		}
	}
	names := []string{}
	for name := range causes {
		names = append(names, name)
	}
	sort.Strings(names)
	fmt.Fprintln(os.Stderr, "usage: crash", names)
	os.Exit(8)
}
