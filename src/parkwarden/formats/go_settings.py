"""The Go runtime's own settings on a metrics page: GOGC, GOMEMLIMIT, GOMAXPROCS.

Input: the same page as `formats/metrics_page` reads (which has them not, or where GOMEMLIMIT is one memory limit among others). `settings` gives what
is there by setting, never raises. Source: prometheus/client_golang `prometheus/go_collector_latest.go` (from 1.20 on in the default
collector): `go_gc_gogc_percent`, `go_gc_gomemlimit_bytes`, `go_sched_gomaxprocs_threads`, from runtime/metrics `/gc/gogc:percent` and
its like. GOGC=off is MaxUint64 there, no GOMEMLIMIT MaxInt64: both infinite here.
"""

from __future__ import annotations

import math
import re

NAMES = {
    b"go_gc_gogc_percent": "gogc",
    b"go_gc_gomemlimit_bytes": "gomemlimit",
    b"go_sched_gomaxprocs_threads": "gomaxprocs",
}
_LINE = re.compile(
    rb"^(%s)(?:\{[^\n]{0,1024}\})?[ \t]+([0-9.eE+]{1,32})[ \t\r]*(?:[0-9. \t\r]*)$" % b"|".join(NAMES), re.M
)
_NO_LIMIT = float(1 << 62)
"""From here on it is Go's way of saying none."""


def settings(page: bytes) -> dict[str, float]:
    """`gogc` in percent, `gomemlimit` in bytes, `gomaxprocs`; the first of each counts, what is no number is not told."""
    found: dict[str, float] = {}
    for name, text in _LINE.findall(page):
        try:
            value = float(text)
        except ValueError:
            continue
        if value >= 0 and NAMES[name] not in found:
            found[NAMES[name]] = math.inf if value >= _NO_LIMIT else value
    return found
