#!/bin/sh
# Usage: make.sh GO OUT [LEVEL...]: golden dumps of one Go toolchain (its go command) into OUT; a SIGQUIT dump for each
# GOTRACEBACK level named.
set -eu
go=$1 out=$2
shift 2
mkdir -p "$out"
here=$(cd "$(dirname "$0")" && pwd)
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
cp "$here/main.go" "$here/go.mod" "$scratch/"
cd "$scratch"
minor=$(GOTOOLCHAIN=local "$go" env GOVERSION | sed 's/^go1\.\([0-9]*\).*/\1/')
# labels in headers follow the module's Go version (Go 1.27)
[ "$minor" -ge 27 ] && sed -i "s/^go 1.21/go 1.$minor/" go.mod
CGO_ENABLED=0 GOTOOLCHAIN=local "$go" build -trimpath -buildvcs=false -o parked .
labels=
[ "$minor" -ge 26 ] && labels=,tracebacklabels=1
export GOMAXPROCS=2
GODEBUG=x=0$labels ./parked debug2 "$out/debug2.txt"
GODEBUG=tracebackancestors=5$labels ./parked stack "$out/ancestors.txt"
for level in "$@"; do
	(ulimit -c 0; GODEBUG=x=0$labels GOTRACEBACK=$level exec ./parked quit) >ready 2>"$out/sigquit-$level.txt" &
	pid=$!
	while ! grep -q ready ready 2>/dev/null; do sleep 0.1; done
	kill -QUIT $pid
	wait $pid || true
	rm ready
done
GODEBUG=x=0$labels GOTRACEBACK=all ./parked panic 2>"$out/panic.txt" || true
GODEBUG=tracebackancestors=5 ./parked nil 2>"$out/nil-ancestors.txt" || true
GOTRACEBACK=all ./parked deep 2>"$out/elided.txt" || true
