package main

import (
	"math/bits"
	"time"
)

// fine is the number of bits that are kept of a latency: buckets are 1/256 wide, so a quantile is right within 0.4 %.
const fine = 8

// histogram counts latencies in buckets that grow with them: bounded memory, whatever comes.
type histogram struct {
	counts [(64 - fine + 1) << fine]int64
	total  int64
	max    time.Duration
	sum    time.Duration
}

func (h *histogram) add(latency time.Duration) {
	latency = max(latency, 0)
	h.counts[bucket(uint64(latency))]++
	h.total++
	h.sum += latency
	h.max = max(h.max, latency)
}

func (h *histogram) merge(other *histogram) {
	for i, n := range other.counts {
		h.counts[i] += n
	}
	h.total += other.total
	h.sum += other.sum
	h.max = max(h.max, other.max)
}

// quantile is the upper edge of the bucket in which share (0..1) of all latencies has been reached.
func (h *histogram) quantile(share float64) time.Duration {
	wanted := int64(share*float64(h.total) + 0.5)
	seen := int64(0)
	for i, n := range h.counts {
		if seen += n; n > 0 && seen >= wanted {
			return min(edge(i), h.max)
		}
	}
	return h.max
}

// bucket is exact below 2^fine ns; above, the octave and its next `fine` bits.
func bucket(ns uint64) int {
	shift := max(bits.Len64(ns)-fine-1, 0)
	return shift<<fine + int(ns>>shift)
}

// edge is the first latency that is above bucket i, less one.
func edge(i int) time.Duration {
	if i < 2<<fine {
		return time.Duration(i)
	}
	shift := i>>fine - 1
	mantissa := uint64(i&(1<<fine-1) | 1<<fine)
	return time.Duration((mantissa+1)<<shift - 1)
}
