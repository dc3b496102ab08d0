module parkwarden.dev/bench/targets

go 1.23
