// Package tested is a small package with a test binary: the one in docs/check.md.
package tested

// Quote asks for a price and takes no answer when the caller is in a hurry: then its goroutine stays.
func Quote(item int, hurry bool) int {
	answer := make(chan int)
	go func() { answer <- item * 100 }()
	if hurry {
		return 0
	}
	return <-answer
}
