// Package codec is a toy re-encoder: what comes out is three times as long as what went in.
package codec

import (
	"bufio"
	"io"
)

const (
	// Growth is how many bytes come out for each byte in.
	Growth = 3
	chunk  = 16 << 10
)

// Run re-encodes in to out until in ends.
func Run(in io.Reader, out io.Writer) error {
	w := bufio.NewWriterSize(out, Growth*chunk)
	buf := make([]byte, chunk)
	frame := make([]byte, 0, Growth*chunk)
	last := byte(0)
	for {
		n, err := in.Read(buf)
		frame = frame[:0]
		for _, b := range buf[:n] {
			frame = append(frame, b, b^last, b>>1|last<<7)
			last = b
		}
		if _, werr := w.Write(frame); werr != nil {
			return werr
		}
		if err == io.EOF {
			return w.Flush()
		}
		if err != nil {
			return err
		}
	}
}
