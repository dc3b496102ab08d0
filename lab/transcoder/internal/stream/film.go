package stream

import (
	"hash/fnv"
	"io"
	"math/rand"
)

const filmSize = 5 << 18

// openFilm is a made-up source: the same bytes for the same name.
func openFilm(name string) io.Reader {
	h := fnv.New64a()
	h.Write([]byte(name))
	return io.LimitReader(rand.New(rand.NewSource(int64(h.Sum64()))), filmSize)
}
