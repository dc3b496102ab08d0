package main

import "time"

func init() {
	causes["map-writes"] = mapWrites
	causes["map-read-write"] = mapReadWrite
	causes["map-iteration"] = mapIteration
}

func mapWrites() {
	m := map[int]int{}
	for g := 0; g < 4; g++ {
		go func() {
			for i := 0; ; i++ {
				m[i%512] = i
			}
		}()
	}
	time.Sleep(20 * time.Second)
}

func mapReadWrite() {
	m := map[int]int{}
	go func() {
		for i := 0; ; i++ {
			m[i%512] = i
		}
	}()
	for g := 0; g < 4; g++ {
		go func() {
			for i := 0; ; i++ {
				_ = m[i%512]
			}
		}()
	}
	time.Sleep(20 * time.Second)
}

func mapIteration() {
	m := map[int]int{}
	for i := 0; i < 512; i++ {
		m[i] = i
	}
	go func() {
		for i := 0; ; i++ {
			m[i%1024] = i
		}
	}()
	for {
		for range m {
		}
	}
}
