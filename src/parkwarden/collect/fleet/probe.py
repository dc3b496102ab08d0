"""Which pages of a target tell its readings: decided once from what the first round told, cheapest sufficient first. Pure.

Prices (docs: what a look costs): /metrics and /debug/vars 1 ms, the index of pprof (counts without a walk over any stack) 1 ms,
goroutine?debug=1 3 to 10 ms. /metrics tells everything where client_golang is; /debug/vars has no number of goroutines.
"""

from __future__ import annotations

import re
from dataclasses import fields
from enum import StrEnum

from parkwarden.formats.runtime_names import RISING
from parkwarden.model.artefact import Reading
from parkwarden.model.instance import START_JITTER_S


class Source(StrEnum):
    """Pages readings come from, in the order they are tried."""

    METRICS = "metrics"
    VARS = "vars"
    INDEX = "index"
    TEXT = "goroutine?debug=1"


WANTED = (
    "goroutines",
    "heap_inuse",
    "next_gc",
    "gc_cpu_s",
    "cpu_s",
    "open_fds",
    "max_fds",
    "threads",
    "start_time",
    "requests_total",
)
"""What the judges of counts use; shown as missing where no page tells it."""

_FIELDS = tuple(f.name for f in fields(Reading) if f.name != "at")
_INDEX_ROW = re.compile(rb"<td>(\d{1,12})</td>\s*<td>\s*<a href=['\"]?(?:[^'\">]*/)?([a-zA-Z0-9_.-]{1,60})\?debug=")
_TOTAL = re.compile(rb"goroutine profile: total (\d{1,12})")


def wanted_next(told: Reading, asked: frozenset[Source]) -> Source | None:
    """The page to try next while probing, None if the readings are sufficient or nothing is left."""
    if Source.METRICS not in asked:
        return Source.METRICS
    if (told.heap_inuse is None and told.heap_alloc is None) and Source.VARS not in asked:
        return Source.VARS
    if told.goroutines is None:
        for source in (Source.INDEX, Source.TEXT):
            if source not in asked:
                return source
    return None


def merge(into: Reading, more: Reading) -> bool:
    """Fill what `into` does not tell yet; whether anything was new."""
    new = False
    for name in _FIELDS:
        value = getattr(more, name)
        if value is not None and getattr(into, name) is None:
            setattr(into, name, value)
            new = True
    return new


def tells(reading: Reading) -> bool:
    """Whether a page told anything a judge could use: some page that merely answers is no source."""
    return any(getattr(reading, name) is not None for name in (*WANTED, "heap_alloc", "rss", "num_gc"))


def missing(reading: Reading) -> tuple[str, ...]:
    """Wanted numbers that are not told."""
    return tuple(name for name in WANTED if getattr(reading, name) is None)


def index_rows(body: bytes) -> dict[str, int]:
    """Profiles listed on pprof's index page and their counts (net/http/pprof/pprof.go: indexTmplExecute)."""
    return {name.decode(): int(count) for count, name in _INDEX_ROW.findall(body)}


def text_total(body: bytes) -> int | None:
    """Goroutines by the first line of goroutine?debug=1 (runtime/pprof/pprof.go: printCountProfile)."""
    found = _TOTAL.match(body)
    return int(found[1]) if found else None


def restarted(last: Reading, now: Reading) -> bool:
    """Whether these are readings of two lives: another start time or, where that is not told, a counter that fell."""
    if last.start_time is not None and now.start_time is not None:
        apart = abs(last.start_time - now.start_time)
        if apart == 0 or apart > START_JITTER_S:
            return apart > 0
    for name in RISING:
        before, after = getattr(last, name), getattr(now, name)
        if before is not None and after is not None and after < before:
            return True
    return False
