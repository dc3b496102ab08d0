module example.com/bench/panicparse

go 1.27.3

require github.com/maruel/panicparse/v2 v2.5.0
