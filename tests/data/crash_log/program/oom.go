package main

func init() { causes["oom"] = oom }

var kept [][]byte

// oom needs a limit on address space (ulimit -v) to be harmless.
func oom() {
	for {
		b := make([]byte, 256<<20)
		for i := 0; i < len(b); i += 1 << 20 {
			b[i] = 1
		}
		kept = append(kept, b)
		if len(kept) > 64 {
			return
		}
	}
}
