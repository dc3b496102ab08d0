package agent

import (
	"fmt"
	"time"
)

// A Sink takes what a Logger has to say.
type Sink interface {
	Report(e Event)
}

// A Logger sends log lines to the back end, like spans.
type Logger struct {
	sink Sink
}

// Info logs what is good to know.
func (l *Logger) Info(format string, args ...any) { l.emit("INFO", format, args...) }

// Warn logs what should not be.
func (l *Logger) Warn(format string, args ...any) { l.emit("WARN", format, args...) }

func (l *Logger) emit(level, format string, args ...any) {
	l.sink.Report(Event{Kind: "log", Text: level + " " + fmt.Sprintf(format, args...), At: time.Now()})
}
