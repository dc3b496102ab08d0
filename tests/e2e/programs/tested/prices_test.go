package tested

import (
	"os"
	"testing"
)

func TestQuote(t *testing.T) {
	for item := range 5 {
		t.Run("item", func(t *testing.T) {
			t.Parallel()
			if Quote(item, os.Getenv("HURRY") != "") < 0 {
				t.Error("a price below nothing")
			}
		})
	}
}
