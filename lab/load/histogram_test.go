package main

import (
	"testing"
	"time"
)

// Every latency lies in a bucket whose edge is not below it and at most 0.4 % above: quantiles are right within that.
func TestBucketsAreTight(t *testing.T) {
	for ns := uint64(0); ns < 1<<40; ns += ns/97 + 1 {
		up := uint64(edge(bucket(ns)))
		if up < ns || up > ns+ns/256+1 {
			t.Fatalf("%d ns is in a bucket that ends at %d", ns, up)
		}
		if bucket(up) != bucket(ns) || bucket(up+1) != bucket(ns)+1 {
			t.Fatalf("%d is not the last of bucket %d", up, bucket(ns))
		}
	}
}

// Quantiles of 1..1000 ms are those.
func TestQuantiles(t *testing.T) {
	var h histogram
	for i := range 1000 {
		h.add(time.Duration(i+1) * time.Millisecond)
	}
	for share, wanted := range map[float64]float64{0.5: 500, 0.99: 990, 0.999: 999, 1: 1000} {
		if got := h.quantile(share).Seconds() * 1000; got < wanted || got > wanted*1.004 {
			t.Errorf("quantile %g is %g ms, wanted %g", share, got, wanted)
		}
	}
}
