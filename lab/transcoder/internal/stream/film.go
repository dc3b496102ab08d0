package stream

import (
	"hash/fnv"
	"io"
	"math/rand"
	"time"
)

const (
	filmChunk = 16 << 10
	filmPace  = 80 * time.Millisecond // about 200 KB/s, as it is read off the disk
	filmSize  = 3 << 20
)

// A film is a made-up source: the same bytes for the same name, at the pace of a disk under load.
type film struct {
	rand *rand.Rand
	left int
}

func openFilm(name string) io.Reader {
	h := fnv.New64a()
	h.Write([]byte(name))
	return &film{rand: rand.New(rand.NewSource(int64(h.Sum64()))), left: filmSize}
}

func (f *film) Read(p []byte) (int, error) {
	if f.left <= 0 {
		return 0, io.EOF
	}
	time.Sleep(filmPace)
	n := min(len(p), f.left, filmChunk)
	f.rand.Read(p[:n])
	f.left -= n
	return n, nil
}
