module example.com/bench/gostackparse

go 1.27.3

require github.com/DataDog/gostackparse v0.7.0
