package tested

import (
	"os"
	"path/filepath"
	"runtime/pprof"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	dump("before.txt")
	code := m.Run()
	time.Sleep(100 * time.Millisecond) // what is about to end may end
	dump("after.txt")
	os.Exit(code)
}

func dump(name string) {
	file, err := os.Create(filepath.Join(os.Getenv("DUMPS"), name))
	if err == nil {
		err = pprof.Lookup("goroutine").WriteTo(file, 2)
	}
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		panic(err)
	}
}
