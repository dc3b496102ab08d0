package main

import (
	"bufio"
	"io"
	"os/exec"
)

// transcode hands a film to a codec and comes back: the caller wants the first frames soon. Nobody ever closes the codec's input, so
// it waits for more, its output never ends, and Wait is never reached: each film keeps a child, two pipes and its pidfd.
func (m *media) transcode() error {
	codec := exec.Command("cat") // any filter does; this one is on every system
	in, err := codec.StdinPipe()
	if err != nil {
		return err
	}
	out, err := codec.StdoutPipe()
	if err != nil {
		in.Close()
		return err
	}
	if err := codec.Start(); err != nil { // closes both pipes
		return err
	}
	go m.frames(codec, in, out)
	return nil
}

// frames reads what the codec makes and would clean up behind it. It waits for ever.
func (m *media) frames(codec *exec.Cmd, in io.WriteCloser, out io.Reader) {
	_, _ = io.WriteString(in, "header\n")
	lines := bufio.NewScanner(out)
	m.service.HoldsBelow()
	for lines.Scan() {
		continue
	}
	in.Close()
	_ = codec.Wait()
}
