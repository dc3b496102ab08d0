r"""Reads the go_* and process_* part of a Prometheus or OpenMetrics page.

Input: the text exposition format 0.0.4 or OpenMetrics 1.0 as a Go service's `/metrics` answers. `read` gives an
Artefact with `reading`; `records` counts all samples, of which only the families below are read. Raises FormatError
if no line is a sample of a known family, LimitError beyond MAX_BYTES. Sources: prometheus/client_golang
`prometheus/go_collector*.go`, `process_collector.go`, `promhttp`; prometheus/docs `exposition_formats.md`.

A scanner of our own, since prometheus_client's parser builds objects for every sample (1 to 2 MB/s), stops at the
first bad line, and a page may hold 100,000 series of which 40 lines are ours. Labels may hold escaped quotes,
backslashes and newlines; time stamps (seconds in OpenMetrics, milliseconds before) and exemplars are skipped but
for the time; NaN and Inf mean "not told"; `# EOF` ends an OpenMetrics page.
"""

from __future__ import annotations

import math
import re

from parkwarden.formats._problems import Problems
from parkwarden.formats._profile_model import SNIPPET
from parkwarden.formats.runtime_names import FIELDS, FLOATS, NO_LIMIT, REQUEST_NAMES
from parkwarden.model import Artefact, BuildInfo, FormatError, Kind, LimitError, Reading

MAX_BYTES = 64 << 20
"""Bytes of a page; Prometheus itself is often told to refuse 10 MB and more."""
MAX_LINE = 64 << 10
"""Bytes of one line that are read; labels beyond are no Go runtime's."""

_NAME = re.compile(rb"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL = re.compile(rb'\s*([a-zA-Z_][a-zA-Z0-9_]*)\s*=\s*"((?:[^"\\]|\\.)*)"\s*,?', re.S)
_REST = re.compile(rb"\s*([^\s#]{1,64})(?:\s+(-?[0-9.eE+]{1,32}))?\s*(?:#.*)?$", re.S)
_HEAD = re.compile(rb"^(?:# (?:HELP|TYPE|UNIT) \S|(?:go|process|promhttp)_[a-z0-9_]+(?:\{| )|# EOF)", re.M)


def sniff(head: bytes) -> bool:
    """Whether the head looks like an exposition page: `# HELP`, `# TYPE` or a go_/process_ sample at a line's begin."""
    return b"\0" not in head and _HEAD.search(head.replace(b"\r\n", b"\n")) is not None


def read(data: bytes, name: str = "") -> Artefact:
    """The reading in `data`. Raises FormatError, LimitError."""
    return _scan(data, name).finish(name, data)


class Reader:
    """Reads the pages one target answers, one after another: `read(page)` is the Reading that the module's `read` finds.

    Pages of one program differ in their values only, so where our lines stand is learnt from one page and the next is
    read by looking for just those, in order: 20 us for 10 kB instead of 150. A page with another number of lines, without one of the
    known ones, with time stamps or in OpenMetrics is read in full, as is one in RELEARN. Raises as `read` does.
    """

    __slots__ = ("_age", "_layout", "full")

    def __init__(self) -> None:
        self._layout: _Layout | None = None
        self._age = 0
        self.full = 0
        """Pages read in full."""

    def read(self, data: bytes) -> Reading:
        """The numbers of a page. Raises FormatError, LimitError."""
        layout = self._layout
        if layout is not None and self._age < RELEARN and len(data) <= MAX_BYTES:
            self._age += 1
            found = _follow(layout, data)
            if found is not None:
                return found
        self.full += 1
        self._age = 0
        page = _scan(data, "")
        reading = page.finish("", data).reading
        self._layout = page.layout(data)
        assert reading is not None  # finish always sets it
        return reading


RELEARN = 60
"""Pages after which one is read in full again: five minutes at 5 s, for what takes another's place line by line."""
MAX_LAYOUTS = 4_096
"""Layouts shared between targets: a fleet has as many as it has programs and versions; beyond, each has its own."""
MAX_LAYOUT_BYTES = 8 << 10
"""Names and labels of one layout: ours have 2 kB. A page of another make each time must not fill the memory with what was learnt of it."""

_Layout = tuple[int, tuple[tuple[bytes, str], ...], re.Pattern[bytes] | None, str | None]
"""Lines of the page; (newline, name and labels up to the value; field) in page order; the requests' lines; Go's version."""
_layouts: dict[object, _Layout] = {}


def _follow(layout: _Layout, data: bytes) -> Reading | None:
    """The reading of a page laid out like the one learnt from, None if it is not."""
    lines, keys, requests, go_version = layout
    if data.count(b"\n") != lines:
        return None
    at = 0
    values: dict[str, float] = {}
    find = data.find
    try:
        for key, attribute in keys:
            at = find(key, at)
            if at < 0:
                return None
            at += len(key)
            end = find(b"\n", at)
            value = float(data[at:end])
            if attribute in values or not 0 <= value < _TOO_MUCH:  # NaN is not in the range either
                continue
            if attribute in FLOATS:
                if value or attribute != "last_gc_at":
                    values[attribute] = value
            elif attribute and (value < NO_LIMIT or attribute != "mem_limit"):
                values[attribute] = int(value)
            at = end
        reading = Reading(**values)  # type: ignore[arg-type]
        reading.go_version = go_version
        if requests is not None:
            counts = [v for v in map(float, requests.findall(data)) if 0 <= v < math.inf]
            total = sum(counts)
            if not counts or total >= 2**63:
                return None  # another family may tell them
            reading.requests_total = int(total)
    except ValueError:
        return None
    return reading


_TOO_MUCH = 2.0**64


def _scan(data: bytes, name: str) -> _Page:
    if len(data) > MAX_BYTES:
        raise LimitError("metrics-too-big", "The metrics page is longer than the limit allows.",
                         context=f"{len(data):,} bytes, limit {MAX_BYTES:,}")  # fmt: skip
    if _HEAD.search(data if b"\r" not in data else data.replace(b"\r\n", b"\n")) is None:
        raise FormatError("not-metrics", "This is not a Prometheus or OpenMetrics page.", context=name)
    page = _Page()
    for number, line in enumerate(data.split(b"\n"), 1):
        if line.startswith(b"#"):
            if line.rstrip() == b"# EOF":
                page.ended = True
                break
            page.openmetrics |= line.startswith(b"# UNIT ")
        elif line.strip():
            page.sample(line, number)
    return page


class _Page:
    def __init__(self) -> None:
        self.reading = Reading()
        self.keys: list[tuple[bytes, str]] = []
        self.problems = Problems()
        self.records = 0
        self.lost = 0
        self.ended = False
        self.openmetrics = False
        self.odd = False
        """Whether requests were counted with what is no count: the family they are read from may be another next time."""
        self.times: list[float] = []
        self.requests: dict[str, float] = {}
        self.read = 0

    def sample(self, line: bytes, number: int) -> None:
        """One sample line; those of other families are only counted."""
        self.records += 1
        match = _NAME.match(line)
        if match is None:
            self._damaged(line, number)
            return
        family = match.group().decode()
        known = family in FIELDS or family in REQUEST_NAMES or family == "go_info"
        if not known:
            return
        parsed = _parse(line[:MAX_LINE], match.end())
        if parsed is None:
            self._damaged(line, number)
            return
        labels, value, stamp, begin = parsed
        if family not in REQUEST_NAMES:
            self.keys.append((b"\n" + line[:begin], FIELDS.get(family, "")))
        if stamp is not None:
            self.times.append(stamp)
        if family == "go_info":
            self.reading.go_version = labels.get("version", "")[:64] or None
            self.read += 1
        elif family in FIELDS:
            self._set(FIELDS[family], value)
        elif math.isfinite(value) and value >= 0:
            self.requests[family] = self.requests.get(family, 0.0) + value
        else:
            self.odd = True

    def _set(self, attribute: str, value: float) -> None:
        self.read += 1
        if not math.isfinite(value) or value < 0 or value >= 2**64 or getattr(self.reading, attribute) is not None:
            return
        if attribute == "mem_limit" and value >= NO_LIMIT:
            return
        if attribute == "last_gc_at" and value == 0:  # no collection yet
            return
        setattr(self.reading, attribute, value if attribute in FLOATS else int(value))

    def _damaged(self, line: bytes, number: int) -> None:
        self.lost += 1
        shown = line[:SNIPPET].decode("utf-8", "replace")
        self.problems.add("damaged-sample", f"line {number}", f"is no sample: {shown!r}")

    def layout(self, data: bytes) -> _Layout | None:
        """Where to look on the next page, None where only a full reading will do."""
        if (
            self.times
            or self.openmetrics
            or self.ended
            or self.odd
            or self.lost
            or not data.startswith(b"#")
            or b"\r" in data
        ):
            return None
        if not self.keys or not data.endswith(b"\n") or sum(len(key) for key, _ in self.keys) > MAX_LAYOUT_BYTES:
            return None
        family = next((f.encode() for f in REQUEST_NAMES if f in self.requests), None)
        lines = data.count(b"\n")
        known = (lines, tuple(self.keys), family, self.reading.go_version)
        found = _layouts.get(known)
        if found is None:
            pattern = None
            if family is not None:
                pattern = re.compile(rb"\n%s(?:\{[^\n]*\}|) ([^\s]+)(?=\n)" % re.escape(family))
            found = (lines, known[1], pattern, self.reading.go_version)
            if len(_layouts) < MAX_LAYOUTS:
                _layouts[known] = found
        return found

    def finish(self, name: str, data: bytes) -> Artefact:
        newlines = data.count(b"\n")
        if self.openmetrics and not self.ended:
            self.problems.add("truncated", f"line {newlines + 1}", "an OpenMetrics page without # EOF")
        if self.read == 0:
            self.problems.add("no-go-metrics", "", "the page holds no go_* or process_* metrics")
        for family in REQUEST_NAMES:
            if family in self.requests and self.requests[family] < 2**63:
                self.reading.requests_total = int(self.requests[family])
                break
        if self.times:
            newest = max(self.times)
            self.reading.at = newest / 1000 if newest > 1e11 else newest  # milliseconds unless OpenMetrics
        artefact = Artefact(name=name, kind=Kind.METRICS, size=len(data), records=self.records, reading=self.reading)
        if self.reading.go_version:
            artefact.build = BuildInfo(go_version=self.reading.go_version)
        artefact.taken_at = self.reading.at
        artefact.lost = self.lost
        artefact.problems = self.problems.listed()
        return artefact


def _parse(line: bytes, at: int) -> tuple[dict[str, str], float, float | None, int] | None:
    """Labels, value, time stamp and where the value begins of a sample line whose name ends at `at`; None if it is malformed."""
    labels: dict[str, str] = {}
    if line[at : at + 1] == b"{":
        at += 1
        while line[at : at + 1] != b"}":
            label = _LABEL.match(line, at)
            if label is None:
                return None
            labels[label[1].decode()] = _unescape(label[2])
            at = label.end()
        at += 1
    rest = _REST.match(line, at)
    if rest is None:
        return None
    try:
        return labels, float(rest[1]), float(rest[2]) if rest[2] else None, rest.start(1)
    except ValueError:
        return None


def _unescape(value: bytes) -> str:
    text = re.sub(rb"\\(.)", lambda m: {b"n": b"\n"}.get(m[1], m[1]), value, flags=re.S)
    return text.decode("utf-8", "replace")
