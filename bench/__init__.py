"""Side-by-side measurements against peers: same machine, same inputs, one run. `make bench`."""
