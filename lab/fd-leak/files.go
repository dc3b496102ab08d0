package main

import "os"

const uploadBytes = 4 << 10

// accept keeps an upload in a temporary file that has no name any more, as careful programs do, and hands it to an uploader.
func (m *media) accept() error {
	file, err := os.CreateTemp("", "upload-*")
	if err != nil {
		return err
	}
	if err := os.Remove(file.Name()); err != nil {
		file.Close()
		return err
	}
	if _, err := file.Write(make([]byte, uploadBytes)); err != nil {
		file.Close()
		return err
	}
	go m.awaitUploader(file)
	return nil
}

// awaitUploader holds the file until the uploader is there. There is none.
func (m *media) awaitUploader(file *os.File) {
	defer file.Close()
	m.service.HoldsBelow()
	<-m.uploader
	_, _ = file.Seek(0, 0)
}
