// Package codec is a toy re-encoder: what comes out is three times as long as what went in, at an encoder's pace.
package codec

import (
	"bufio"
	"io"
	"time"
)

const (
	growth = 3
	chunk  = 16 << 10
	pace   = 48 * time.Millisecond // for each chunk: about 1 MB/s comes out, whatever the machine
)

// Run re-encodes in to out until in ends.
func Run(in io.Reader, out io.Writer) error {
	w := bufio.NewWriterSize(out, growth*chunk)
	buf := make([]byte, chunk)
	frame := make([]byte, 0, growth*chunk)
	last := byte(0)
	for {
		n, err := io.ReadFull(in, buf)
		frame = frame[:0]
		for _, b := range buf[:n] {
			frame = append(frame, b, b^last, b>>1|last<<7)
			last = b
		}
		if _, werr := w.Write(frame); werr != nil {
			return werr
		}
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return w.Flush()
		}
		if err != nil {
			return err
		}
		time.Sleep(pace)
	}
}
