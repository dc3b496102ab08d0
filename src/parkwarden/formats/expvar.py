"""Reads `/debug/vars`: the JSON that Go's package expvar publishes.

Input: one JSON object with `memstats` (runtime.MemStats, field by field; expvar/expvar.go: memstats) and usually
`cmdline`. `read` gives an Artefact with `reading` and `build.binary`; other variables are counted in `records`, and
looked at only for a number of goroutines under a usual name. runtime.MemStats has no such number itself.
Raises FormatError if it is no such object, LimitError beyond MAX_BYTES or MAX_DEPTH.
"""

from __future__ import annotations

import json
import math
from typing import Any

from parkwarden.formats._problems import Problems
from parkwarden.model import Artefact, BuildInfo, FormatError, Kind, LimitError, Reading

MAX_BYTES = 16 << 20
"""Bytes of JSON; memstats makes 4 kB, and programs publish some hundred kB of their own at most."""
MAX_DEPTH = 100
"""Nesting; deeper is made to exhaust the parser's stack."""
MAX_NAME = 4096
"""Characters of the program's path that are kept."""

_MEMSTATS = {
    "HeapAlloc": "heap_alloc", "HeapInuse": "heap_inuse", "HeapIdle": "heap_idle", "HeapObjects": "heap_objects",
    "StackInuse": "stack_inuse", "Sys": "sys", "TotalAlloc": "total_alloc", "NextGC": "next_gc", "NumGC": "num_gc",
}  # fmt: skip
_GOROUTINES = ("goroutines", "num_goroutine", "num_goroutines", "numgoroutine", "numgoroutines", "goroutine_count",
               "runtime.goroutines", "runtime.numgoroutine")  # fmt: skip
"""Names programs publish runtime.NumGoroutine() under, in lower case."""
_VERSIONS = ("goversion", "go_version", "version.go", "runtime.version")


def sniff(head: bytes) -> bool:
    """Whether the head begins a JSON object that has `memstats` or begins with `cmdline`, as expvar writes it."""
    text = head.lstrip(b"\xef\xbb\xbf \t\r\n")
    return text.startswith(b"{") and (b'"memstats"' in text or text[1:64].lstrip().startswith(b'"cmdline"'))


def read(data: bytes, name: str = "") -> Artefact:
    """The reading in `data`. Raises FormatError, LimitError."""
    if len(data) > MAX_BYTES:
        raise LimitError("expvar-too-big", "The expvar page is longer than the limit allows.",
                         context=f"{len(data):,} bytes, limit {MAX_BYTES:,}")  # fmt: skip
    if _depth(data) > MAX_DEPTH:
        raise LimitError("expvar-too-deep", "The expvar page is nested deeper than the limit allows.",
                         context=f"limit {MAX_DEPTH}")  # fmt: skip
    try:
        page: Any = json.loads(data.decode("utf-8-sig", "replace"), parse_int=_parse_int)
    except (ValueError, RecursionError) as error:
        raise FormatError("not-expvar", "This is not the JSON of /debug/vars.", context=str(error)[:100]) from None
    if not isinstance(page, dict) or not ("memstats" in page or "cmdline" in page):
        raise FormatError("not-expvar", "This JSON is not what /debug/vars answers.", context=name)
    problems = Problems()
    reading = Reading()
    stats = page.get("memstats")
    if isinstance(stats, dict):
        lost = _memstats(stats, reading, problems)
    else:
        lost = 1
        problems.add("no-memstats", "memstats", "the page does not hold memstats")
    _others(page, reading)
    artefact = Artefact(name=name, kind=Kind.EXPVAR, size=len(data), records=len(page), reading=reading, lost=lost)
    ignored = len(page.keys() - {"memstats", "cmdline"})
    if ignored:
        problems.add("ignored-variables", "", f"{ignored:,} other variables were not used")
    line = page.get("cmdline")
    binary = str(line[0])[:MAX_NAME] if isinstance(line, list) and line else ""
    if binary or reading.go_version:
        artefact.build = BuildInfo(binary=binary, go_version=reading.go_version or "")
    artefact.problems = problems.listed()
    return artefact


def _parse_int(text: str) -> int | float:
    """Python refuses integers of thousands of digits; nothing of ours has more than 20."""
    return int(text) if len(text) <= 21 else math.inf


def _depth(data: bytes) -> int:
    """Greatest possible nesting: brackets in strings count too, which only errs on the safe side for long runs."""
    deepest = depth = 0
    quoted = escaped = False
    if data.count(b"{") + data.count(b"[") <= MAX_DEPTH:
        return 0
    for byte in data:
        if quoted:
            if escaped:
                escaped = False
            elif byte == 0x5C:
                escaped = True
            elif byte == 0x22:
                quoted = False
        elif byte == 0x22:
            quoted = True
        elif byte in (0x7B, 0x5B):
            depth += 1
            deepest = max(deepest, depth)
        elif byte in (0x7D, 0x5D):
            depth -= 1
    return deepest


def _memstats(stats: dict[str, Any], reading: Reading, problems: Problems) -> int:
    """Fill the reading; the number of fields that hold something else than a number."""
    lost = 0
    for key, attribute in _MEMSTATS.items():
        value = stats.get(key)
        if _is_count(value):
            setattr(reading, attribute, value)
        elif value is not None:
            lost += 1
            problems.add("not-a-number", f"memstats.{key}", f"is no count: {str(value)[:60]!r}")
    last = stats.get("LastGC")
    if _is_count(last) and last:
        reading.last_gc_at = last / 1e9
    fraction = stats.get("GCCPUFraction")
    if isinstance(fraction, int | float) and 0 <= fraction <= 1:
        reading.gc_cpu_fraction = float(fraction)
    return lost


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 64


def _others(page: dict[str, Any], reading: Reading) -> None:
    """A number of goroutines and Go's version, if the program publishes them, at the top or one level down."""
    levels = [page, *(v for k, v in page.items() if isinstance(v, dict) and k != "memstats")]
    for level in levels:
        for key, value in level.items():
            name = str(key).lower()
            if reading.goroutines is None and name in _GOROUTINES and _is_count(value):
                reading.goroutines = value
            elif reading.go_version is None and name in _VERSIONS and isinstance(value, str):
                reading.go_version = value[:64]
