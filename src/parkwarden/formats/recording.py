"""Recordings, format v1: what was seen of a fleet, as JSON lines in time order -> model/events.py, and back.

One line says one thing; a line that says several (`goroutines` and `sites`) makes several events:

    {"v":1,"instance":"ID","labels":{"service":"shop"},"start_time":s}         Started; again after a restart or a deploy
    {"site":{"id":"s1","wait_reason":"chan send","function":..,"file":..,"line":n,"created_by":{..}|null}}     Named
    {"t":s,"instance":"ID","goroutines":n,"heap_inuse":b, ...}                 Read: any field of model.Reading
    {"t":s,"instance":"ID","sites":{"s1":n}}                                   SiteCounts; absent = 0
    {"t":s,"instance":"ID","census":{"s1":[goid]},"max_goid":n}                Census
    {"t":s,"instance":"ID","leaked":{"s1":n}}                                  Leaked
    {"t":s,"instance":"ID","descriptors":{"pipe":n}}                           Descriptors; absent = 0

Beyond the format we write `frames` of a site, `at` and `address` of a start, `unknown` and `ran` of a census and `{"t":s,"instance":"ID","gone":true}`.
Every field but `instance` is optional. `write(event)` makes one line; `Reader` takes chunks of bytes as they come and keeps no line
it has read: memory is one line and the names of sites and instances. `write` of what was read from a line of `write` is that line.

Bad input: a line that cannot be read, a number that is none, a time that goes back for its instance, a time that leaps ahead and
is not confirmed by the next one, is a Problem and costs only itself. An instance without a header is started without labels, a site
used before it was named is named by its id alone; keys nobody knows are counted (`unknown_keys`). A last line without its newline is
read if it is whole. Raises FormatError only where the first line says that it is of another version.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from itertools import chain
from math import isfinite
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np
import orjson

from parkwarden.formats._problems import Problems
from parkwarden.formats._text import snippet
from parkwarden.model.artefact import Problem, Reading
from parkwarden.model.descriptors import KINDS
from parkwarden.model.errors import FormatError
from parkwarden.model.events import Census, Descriptors, Event, Gone, Leaked, Named, Read, SiteCounts, Started
from parkwarden.model.instance import Instance
from parkwarden.model.site import Site
from parkwarden.model.stack import Frame

if TYPE_CHECKING:
    from parkwarden.model.snapshot import Ints

VERSION = 1

MAX_LINE = 16 << 20
"""Bytes of one line: a census of a million goroutines has about 11 MB. JSON unpacks to up to 20 times as much in memory."""

MAX_GOIDS = 1_000_000
"""Goroutine ids of one census."""

MAX_SITES = 100_000
"""Sites of one recording, by id. The largest services have some thousand; more is somebody's random numbers."""

MAX_SITES_PER_LINE = 20_000
"""Sites of one profile."""

MAX_INSTANCES = 100_000
"""Instances of one recording."""

MAX_LABELS = 64
"""Labels of one instance."""

MAX_NAME = 512
"""Characters of an id, a label's name or its value; longer ids are refused, longer values cut."""

MAX_TEXT = 4096
"""Characters of a function or a file: Go's longest generic names stay below; longer is cut."""

MAX_FRAMES = 256
"""Frames kept of one site's stack."""

MAX_UNKNOWN_KEYS = 100
"""Distinct keys nobody knows that are counted by name; the rest is counted under `...`."""

MAX_TIME = 1e12
"""Seconds either side of 0; a time in nanoseconds is no time in seconds."""

MAX_LEAP_S = 3600.0
"""A time that leaps ahead further than this waits for the next line to confirm it: one wild time must not make all that follow late."""

_HEAD = ("goroutines", "heap_inuse", "next_gc", "gc_cpu_s", "cpu_s", "open_fds", "max_fds", "threads", "requests_total", "rss", "mem_limit")  # fmt: skip
_FLOATS = frozenset(f.name for f in fields(Reading) if "float" in str(f.type) and f.name != "at")
_FIELDS = (*_HEAD, *(f.name for f in fields(Reading) if f.name not in _HEAD and f.name != "at"))
_INTS = frozenset(_FIELDS) - _FLOATS - {"go_version"}
_KNOWN = frozenset(
    ("t", "instance", "sites", "census", "max_goid", "unknown", "ran", "leaked", "descriptors", "gone", "v")
)
_ALL_KEYS = _KNOWN | frozenset(_FIELDS)
_MOST_KEYS = len(_FIELDS) + 2
_NOT_SEEN = ("a shape that no line had yet",)
_HEADER_KEYS = frozenset(("v", "instance", "labels", "start_time", "at", "address"))
_SITE_KEYS = frozenset(("id", "wait_reason", "function", "file", "line", "frames", "created_by"))
_MAX_INT = 1 << 64
MAX_SHAPES = 1_000
"""Shapes of lines of numbers (which keys, which kinds of number) remembered; a recording has a handful, hostile ones are forgotten."""
_orders: dict[tuple[str, ...], tuple[tuple[str, ...], Callable[[dict[str, Any]], tuple[Any, ...]] | None]] = {}
"""Fields that a reading holds -> those of a line in its order, and what takes them out: a fleet has a handful of such sets, and looking
for every field of every reading costs tenfold."""
_BOM = b"\xef\xbb\xbf"
_MAX_GOID = 1 << 63
_FIRST = re.compile(rb'\s*\{\s*"(?:v"\s*:\s*\d|instance"\s*:\s*"|site"\s*:\s*\{|t"\s*:\s*-?\d)')


def sniff(head: bytes) -> bool:
    """Whether the head begins like a recording: a JSON object whose first key is one of ours."""
    return _FIRST.match(head) is not None


# ---- writing


def write(event: Event) -> bytes:
    """The event as one line, newline included. Text that is no Unicode is made so; numbers that are not finite are left out."""
    record = _record(event)
    options = orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY
    try:
        return orjson.dumps(record, option=options)
    except orjson.JSONEncodeError:  # lone surrogates, numbers beyond 64 bits
        return orjson.dumps(_plain(record), option=options)


def _numbers(told: dict[str, Any]) -> Iterable[tuple[str, Any]]:
    """What a reading tells, in the order of a line."""
    shape = tuple(told)
    order = _orders.get(shape)
    if order is None:
        names = tuple(name for name in _FIELDS if name in told and name != "go_version")  # which is the last of a line
        order = names, itemgetter(*names, "at", "at") if "at" in told else None
        if len(_orders) < MAX_SHAPES:
            _orders[shape] = order
    names, values_of = order
    version = told.get("go_version")
    last = [] if version is None else [("go_version", version)]
    if values_of is not None:
        values = values_of(told)
        try:
            if None not in values and isfinite(sum(values)):  # one that is not finite makes the sum so
                return chain(zip(names, values, strict=False), last)
        except (OverflowError, TypeError):
            pass
    pairs = ((name, told[name]) for name in names)
    return [(n, v) for n, v in pairs if v is not None and not (isinstance(v, float) and not isfinite(v))] + last


def _record(event: Event) -> dict[str, Any]:
    match event:
        case Read():
            record: dict[str, Any] = {"t": event.at, "instance": event.instance}
            record.update(_numbers(vars(event.reading)))
            return record
        case SiteCounts():
            return {"t": event.at, "instance": event.instance, "sites": event.counts}
        case Census():
            record = {"t": event.at, "instance": event.instance, "census": event.goids, "max_goid": event.max_goid}
            if event.unknown:
                record["unknown"] = event.unknown
            if event.ran is not None:
                record["ran"] = event.ran
            return record
        case Leaked():
            return {"t": event.at, "instance": event.instance, "leaked": event.counts}
        case Descriptors():
            return {"t": event.at, "instance": event.instance, "descriptors": event.kinds}
        case Named():
            return {"site": _site_record(event.site)}
        case Started():
            return _header(event)
        case Gone():
            return {"t": event.at, "instance": event.instance, "gone": True}


def _header(event: Started) -> dict[str, Any]:
    instance = event.instance
    record: dict[str, Any] = {"v": VERSION, "instance": instance.id, "labels": instance.labels}
    if instance.start_time is not None:
        record["start_time"] = instance.start_time
    if event.at is not None:
        record["at"] = event.at
    if instance.address:
        record["address"] = instance.address
    return record


def _site_record(site: Site) -> dict[str, Any]:
    by = site.created_by
    record: dict[str, Any] = {
        "id": site.id,
        "wait_reason": site.wait_reason,
        "function": site.function,
        "file": site.file,
        "line": site.line,
        "created_by": by and _frame_record(by),
    }
    if site.frames:
        record["frames"] = [_frame_record(frame) for frame in site.frames]
    return record


def _frame_record(frame: Frame) -> dict[str, Any]:
    return {"function": frame.function, "file": frame.file, "line": frame.line}


def _plain(value: Any) -> Any:
    """The same with text that UTF-8 can hold and numbers that 64 bits can; only for what orjson refused."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, Mapping):
        return {_plain(str(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, int) and not -_MAX_GOID <= value < _MAX_INT:
        return None
    return value


# ---- reading


class _LineError(Exception):
    """A line that cannot be used: its problem's code and text."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text


class Reader:
    """A recording read as it comes: `feed` chunks of any size, then `close`; both give the events that became complete.

    `lines` counts lines seen, `events` what was made of them, `lost` lines that could not be used, `unknown_keys` keys nobody knows.
    """

    def __init__(self) -> None:
        self.lines = 0
        self.events = 0
        self.lost = 0
        self.unknown_keys: Counter[str] = Counter()
        self.newest: float | None = None
        """The greatest time so far."""
        self._problems = Problems()
        self._rest: list[bytes] = []
        self._rest_bytes = 0
        self._last: dict[str, float | None] = {}
        """Instance -> its newest time; the keys are all instances known."""
        self._sites: set[str] = set()
        self._held: tuple[float, str, dict[str, Any]] | None = None
        self._shapes: dict[tuple[Any, ...], tuple[str, ...] | None] = {}
        """Keys and kinds of a line -> its keys to be made floats, where it holds nothing but numbers that we know; else None."""

    @property
    def problems(self) -> list[Problem]:
        """What could not be read, the first ones in full; keys nobody knows come last, in one."""
        listed = self._problems.listed()
        if self.unknown_keys:
            keys = ", ".join(f"{snippet(key, 40)} x {n}" for key, n in self.unknown_keys.most_common(8))
            listed.append(Problem("unknown-keys", "", f"{self.unknown_keys.total():,} keys were passed over: {keys}"))
        return listed

    def feed(self, chunk: bytes) -> list[Event]:
        """Events of all lines that end in this chunk. Raises FormatError where the first line is of another version."""
        out: list[Event] = []
        lines = chunk.split(b"\n")
        if len(lines) > 1:
            first, *whole, last = lines
            self._keep(first)
            self._end_rest(out)
            for line in whole:
                self._line(line, out)
            lines = [last]
        self._keep(lines[0])
        self.events += len(out)
        return out

    def close(self) -> list[Event]:
        """The last line, where it has no newline, and what waited for it. A torn one is a Problem."""
        out: list[Event] = []
        if self._rest:
            self._end_rest(out, torn=True)
        self._release(out)
        self.events += len(out)
        return out

    def _keep(self, part: bytes) -> None:
        """A piece of a line whose end is not there yet; beyond MAX_LINE only its length is remembered."""
        if part:
            self._rest_bytes += len(part)
            if self._rest_bytes <= MAX_LINE:
                self._rest.append(part)
            else:
                self._rest = [self._rest[0][:64] if self._rest else part[:64]]

    def _end_rest(self, out: list[Event], *, torn: bool = False) -> None:
        line = b"".join(self._rest)
        size, self._rest, self._rest_bytes = self._rest_bytes, [], 0
        if size > MAX_LINE:
            self.lines += 1
            text = f"{size:,} bytes, more than MAX_LINE = {MAX_LINE:,}: {snippet(line)}"
            self._lose("line-too-long", text)
        else:
            self._line(line, out, torn=torn)

    def _lose(self, code: str, text: str) -> None:
        self.lost += 1
        self._problems.add(code, f"line {self.lines}", text)

    def _doubt(self, code: str, text: str) -> None:
        """A problem of a line that is used all the same."""
        self._problems.add(code, f"line {self.lines}", text)

    def _line(self, line: bytes, out: list[Event], *, torn: bool = False) -> None:
        self.lines += 1
        if len(line) > MAX_LINE:
            self._lose("line-too-long", f"{len(line):,} bytes, more than MAX_LINE = {MAX_LINE:,}: {snippet(line)}")
            return
        if self.lines == 1 and line.startswith(_BOM):
            line = line[len(_BOM) :]
        try:
            record = orjson.loads(line)
        except orjson.JSONDecodeError as error:
            if line.strip(b" \t\r\0"):
                code = "torn-line" if torn else "bad-line"
                self._lose(code, f"is no JSON ({str(error)[:80]}): {snippet(line)}")
            return
        try:
            if type(record) is not dict:
                raise _LineError("bad-line", f"is no JSON object: {snippet(line)}")
            if not self._plain_reading(record, out):
                self._understand(record, out)
        except _LineError as error:
            self._lose(error.code, error.text)

    def _plain_reading(self, record: dict[str, Any], out: list[Event]) -> bool:
        """Take a line that is what nine of ten are: the numbers of a known instance, at a time of no doubt. Any other is left as it is."""
        shape = (*record, *map(type, record.values())) if len(record) <= _MOST_KEYS else ()
        to_floats = self._shapes.get(shape, _NOT_SEEN)
        if to_floats is _NOT_SEEN:
            if not record or not record.keys() <= _ALL_KEYS:
                return False
            if len(self._shapes) >= MAX_SHAPES:
                self._shapes.clear()
            to_floats = self._shapes[shape] = _to_floats(record)
        if to_floats is None or self._held is not None or self.newest is None:
            return False
        t, instance = float(record["t"]), record["instance"]
        last = self._last.get(instance)
        if last is None or not last <= t <= min(self.newest + MAX_LEAP_S, MAX_TIME):
            return False
        told = record.copy()
        del told["t"], told["instance"]
        if min(told.values()) < 0:
            return False
        for key in to_floats:
            told[key] = float(told[key])
        told["at"] = t
        self._last[instance] = t
        if t > self.newest:
            self.newest = t
        out.append(Read(t, instance, Reading.of(told)))
        return True

    def _understand(self, record: dict[str, Any], out: list[Event]) -> None:
        t = record.get("t")
        if t is not None:
            instance = record.get("instance")
            if type(instance) is not str or not 0 < len(instance) <= MAX_NAME:
                raise _LineError("bad-instance", f"`instance` is no name of 1 to {MAX_NAME} characters")
            if not isinstance(t, (int, float)) or isinstance(t, bool) or not -MAX_TIME <= t <= MAX_TIME:
                raise _LineError("bad-time", f"`t` is no time in seconds: {snippet(str(t))}")
            self._timed(float(t), instance, record, out)
            return
        self._release(out)
        if "site" in record:
            self._named(record, out)
        elif "instance" in record:
            self._started(record, out)
        elif "v" in record:
            self._version(record["v"])
        else:
            self._count_unknown(record.keys())
            raise _LineError("unknown-line", "has neither `t`, `site` nor `instance`")

    def _count_unknown(self, keys: Any) -> None:
        for key in keys:
            name = key[:MAX_NAME]
            if name not in self.unknown_keys and len(self.unknown_keys) >= MAX_UNKNOWN_KEYS:
                name = "..."
            self.unknown_keys[name] += 1

    def _version(self, version: Any) -> None:
        if version == VERSION and type(version) is int:
            return
        if self.lines == 1 and type(version) is int:
            raise FormatError(
                "recording-version",
                f"this recording is of version {version}; this Parkwarden reads version {VERSION}",
                hint="read it with the Parkwarden that wrote it, or a newer one",
            )
        raise _LineError("bad-version", f"`v` is not {VERSION}")

    # ---- starts and names

    def _started(self, record: dict[str, Any], out: list[Event]) -> None:
        self._version(record.get("v", VERSION))
        instance_id = record["instance"]
        if type(instance_id) is not str or not 0 < len(instance_id) <= MAX_NAME:
            raise _LineError("bad-instance", f"`instance` is no name of 1 to {MAX_NAME} characters")
        self._know(instance_id)
        if not record.keys() <= _HEADER_KEYS:
            self._count_unknown(record.keys() - _HEADER_KEYS)
        address = record.get("address")
        instance = Instance(
            id=instance_id,
            labels=self._labels(record.get("labels")),
            address=address[:MAX_NAME] if type(address) is str else "",
            start_time=self._time(record, "start_time"),
        )
        out.append(Started(instance, self._time(record, "at")))

    def _know(self, instance_id: str) -> None:
        """Remember an instance; raises where there are too many."""
        if instance_id not in self._last:
            if len(self._last) >= MAX_INSTANCES:
                raise _LineError("too-many-instances", f"more than MAX_INSTANCES = {MAX_INSTANCES:,} instances")
            self._last[instance_id] = None

    def _time(self, record: dict[str, Any], key: str) -> float | None:
        value = record.get(key)
        if value is None:
            return None
        if isinstance(value, (int, float)) and not isinstance(value, bool) and -MAX_TIME <= value <= MAX_TIME:
            return float(value)
        self._doubt("bad-number", f"`{key}` is no time in seconds: {snippet(str(value))}")
        return None

    def _labels(self, labels: Any) -> dict[str, str]:
        if labels is None:
            return {}
        if type(labels) is not dict:
            self._doubt("bad-labels", "`labels` is no JSON object")
            return {}
        if len(labels) > MAX_LABELS:
            self._doubt("too-many-labels", f"{len(labels):,} labels; the first MAX_LABELS = {MAX_LABELS} are kept")
        kept: dict[str, str] = {}
        for key, value in list(labels.items())[:MAX_LABELS]:
            if isinstance(value, (str, int, float)) and len(key) <= MAX_NAME:
                kept[key] = str(value)[:MAX_NAME]
            else:
                self._doubt("bad-labels", f"label {snippet(key)} has no text")
        return kept

    def _named(self, record: dict[str, Any], out: list[Event]) -> None:
        site = record["site"]
        if type(site) is not dict:
            raise _LineError("bad-site", "`site` is no JSON object")
        site_id = site.get("id")
        if type(site_id) is not str or not 0 < len(site_id) <= MAX_NAME:
            raise _LineError("bad-site", f"a site's `id` is no name of 1 to {MAX_NAME} characters")
        self._know_site(site_id)
        if not site.keys() <= _SITE_KEYS:
            self._count_unknown(site.keys() - _SITE_KEYS)
        frames = site.get("frames")
        frame = _frame(site)
        out.append(
            Named(
                Site(
                    id=site_id,
                    wait_reason=_text(site.get("wait_reason")),
                    function=frame.function,
                    file=frame.file,
                    line=frame.line,
                    frames=tuple(_frame(f) for f in frames[:MAX_FRAMES] if type(f) is dict)
                    if type(frames) is list
                    else (),
                    created_by=_frame(by) if type(by := site.get("created_by")) is dict else None,
                )
            )
        )

    def _know_site(self, site_id: str) -> None:
        if site_id not in self._sites:
            if len(self._sites) >= MAX_SITES:
                raise _LineError("too-many-sites", f"more than MAX_SITES = {MAX_SITES:,} sites")
            self._sites.add(site_id)

    # ---- what happened when

    def _timed(self, t: float, instance: str, record: dict[str, Any], out: list[Event]) -> None:
        """A line with a time: one that leaps far ahead is held until the next one tells whether time really went on."""
        if self._held is not None:
            if t < self._held[0] - MAX_LEAP_S:
                self._lose("time-leaps", f"the line before leapt to {self._held[0]:.15g}, and this one is at {t:.15g}")
                self._held = None
            else:
                self._release(out)
        elif self.newest is not None and t > self.newest + MAX_LEAP_S:
            self._held = (t, instance, record)
            return
        self._happened(t, instance, record, out)

    def _release(self, out: list[Event]) -> None:
        if self._held is not None:
            (t, instance, record), self._held = self._held, None
            self._happened(t, instance, record, out)

    def _happened(self, t: float, instance: str, record: dict[str, Any], out: list[Event]) -> None:
        last = self._last.get(instance)
        if last is None:
            if instance not in self._last:
                self._know(instance)
                self._doubt("no-header", f"instance {snippet(instance)} was never started: it has no labels")
                out.append(Started(Instance(id=instance)))
        elif t < last:
            raise _LineError("time-goes-back", f"{t:.15g} after {last:.15g} for {snippet(instance)}")
        self._last[instance] = t
        if self.newest is None or t > self.newest:
            self.newest = t
        reading = self._reading(record, t)
        if reading is not None:
            out.append(Read(t, instance, reading))
        if "sites" in record:
            out.append(SiteCounts(t, instance, self._counts(record["sites"], "sites", out)))
        if "census" in record:
            out.append(self._census(t, instance, record, out))
        if "leaked" in record:
            out.append(Leaked(t, instance, self._counts(record["leaked"], "leaked", out)))
        if "descriptors" in record:
            out.append(Descriptors(t, instance, self._kinds(record["descriptors"])))
        if record.get("gone") is True:
            out.append(Gone(t, instance))

    def _reading(self, record: dict[str, Any], t: float) -> Reading | None:
        """The line's numbers; None where it has none."""
        told: dict[str, Any] = {}
        for key, value in record.items():
            if key in _INTS:
                if type(value) is int and value >= 0:  # orjson reads no integer beyond 64 bits
                    told[key] = value
                elif value is not None:
                    self._number(key, value, told)
            elif key in _FLOATS:
                if type(value) is float and value >= 0.0:
                    told[key] = value
                elif value is not None:
                    self._number(key, value, told)
            elif key not in _KNOWN:
                if key != "go_version":
                    self._count_unknown((key,))
                elif type(value) is str:
                    told[key] = value[:64]
        return Reading(at=t, **told) if told or len(record) == 2 else None

    def _number(self, key: str, value: Any, told: dict[str, Any]) -> None:
        """A number of another kind than expected: taken where it means the same, else it is not told."""
        if type(value) in (int, float) and 0 <= value < _MAX_INT:
            told[key] = float(value) if key in _FLOATS else int(value)
        else:
            self._doubt("bad-number", f"`{key}` is no number of 0 or more: {snippet(str(value)[:100])}")

    def _kinds(self, kinds: Any) -> dict[str, int]:
        if type(kinds) is not dict:
            raise _LineError("bad-descriptors", "`descriptors` is no JSON object")
        told: dict[str, Any] = {}
        for kind in KINDS:
            if kind in kinds:
                self._number(kind, kinds[kind], told)
        self._count_unknown(kinds.keys() - set(KINDS))
        return {kind: int(n) for kind, n in told.items()}

    def _counts(self, counts: Any, what: str, out: list[Event]) -> dict[str, int]:
        if type(counts) is not dict:
            raise _LineError("bad-sites", f"`{what}` is no JSON object")
        if len(counts) > MAX_SITES_PER_LINE:
            raise _LineError(
                "too-many-sites", f"`{what}` has {len(counts):,}, MAX_SITES_PER_LINE = {MAX_SITES_PER_LINE:,}"
            )
        self._name_unnamed(counts, out)
        if all(type(n) is int and n >= 0 for n in counts.values()):
            return counts
        told: dict[str, Any] = {}
        for site, n in counts.items():
            self._number(site, n, told)
        return {site: int(n) for site, n in told.items()}

    def _name_unnamed(self, sites: dict[str, Any], out: list[Event]) -> None:
        """Sites that no line has named are named by their id alone, so that nothing of them is lost."""
        if sites.keys() <= self._sites:
            return
        for site_id in sites.keys() - self._sites:
            if not 0 < len(site_id) <= MAX_NAME:
                raise _LineError("bad-site", f"a site's id is no name of 1 to {MAX_NAME} characters")
            self._know_site(site_id)
            self._doubt("site-not-named", f"site {snippet(site_id)} is used before it is named")
            out.append(Named(Site(site_id, "", "", "", 0, ())))

    def _census(self, t: float, instance: str, record: dict[str, Any], out: list[Event]) -> Census:
        census = record["census"]
        if type(census) is not dict:
            raise _LineError("bad-census", "`census` is no JSON object")
        if len(census) > MAX_SITES_PER_LINE:
            raise _LineError(
                "too-many-sites", f"`census` has {len(census):,}, MAX_SITES_PER_LINE = {MAX_SITES_PER_LINE:,}"
            )
        total = sum(len(ids) if type(ids) is list else 0 for ids in census.values())
        if total > MAX_GOIDS:
            raise _LineError("too-many-goroutines", f"{total:,} goroutine ids, MAX_GOIDS = {MAX_GOIDS:,}")
        goids = _all_goids(census)
        if goids is None:  # something is wrong, or only not in order: site by site
            goids = {site: ids for site, raw in census.items() if (ids := self._goids(site, raw)) is not None}
        self._name_unnamed(goids, out)
        highest = max((int(ids[-1]) for ids in goids.values() if len(ids)), default=0)
        told = record.get("max_goid")
        unknown = record.get("unknown")
        return Census(
            at=t,
            instance=instance,
            goids=goids,
            max_goid=max(told, highest) if type(told) is int and told < _MAX_GOID else highest,
            unknown=unknown if type(unknown) is int and 0 <= unknown <= MAX_GOIDS else 0,
            ran=self._ran(record.get("ran"), goids),
        )

    def _ran(self, ran: Any, goids: dict[str, Ints]) -> dict[str, Ints] | None:
        """Who did something while the census was taken; sites that the census does not have are left out."""
        if ran is None:
            return None
        if type(ran) is not dict:
            self._doubt("bad-census", "`ran` is no JSON object")
            return None
        told = ((site, self._goids(site, raw)) for site, raw in ran.items() if site in goids)
        return {site: np.intersect1d(ids, goids[site]) for site, ids in told if ids is not None}

    def _goids(self, site: str, raw: Any) -> Ints | None:
        """Goroutine ids, rising, each once; None (and a problem) where they are none."""
        if type(raw) is list:
            if not raw:
                return np.empty(0, np.int64)
            try:
                ids = np.asarray(raw)
            except ValueError:  # nested lists of different lengths
                ids = np.empty(0)
            if ids.ndim == 1 and ids.dtype == np.int64:
                if (np.diff(ids) <= 0).any():
                    ids = np.unique(ids)
                if ids[0] > 0:
                    return ids
        self._doubt("bad-census", f"site {snippet(site)} has something else than goroutine ids")
        return None


def _all_goids(census: dict[str, Any]) -> dict[str, Ints] | None:
    """Goroutine ids by site, all checked at once; None where any of them is not as it should be."""
    lists = census.values()
    if not all(type(raw) is list for raw in lists):
        return None
    flat = list(chain.from_iterable(lists))
    if not set(map(type, flat)) <= {int}:
        return None
    try:
        ids = np.array(flat, np.int64)
    except OverflowError:  # beyond 63 bits
        return None
    ends = np.cumsum([len(raw) for raw in lists], dtype=np.int64)
    rising = np.ones(len(ids) + 1, np.bool_)
    rising[1:-1] = np.diff(ids) > 0
    rising[ends] = True  # the next site's ids begin anew
    if not (rising.all() and ids.min(initial=1) > 0):
        return None
    goids, begin = {}, 0
    for site, end in zip(census, ends.tolist(), strict=True):
        goids[site], begin = ids[begin:end], end
    return goids


def _to_floats(record: dict[str, Any]) -> tuple[str, ...] | None:
    """Which whole numbers of a reading's line are to be floats; None where it is not a time, an instance and numbers alone."""
    keys = record.keys() - {"t", "instance"}
    if len(keys) + 2 != len(record) or not keys:
        return None
    if type(record["t"]) not in (int, float) or type(record["instance"]) is not str:
        return None
    if all(type(record[k]) is int if k in _INTS else k in _FLOATS and type(record[k]) in (int, float) for k in keys):
        return tuple(k for k in keys if k in _FLOATS and type(record[k]) is int)
    return None


def _text(value: Any) -> str:
    return value[:MAX_TEXT] if type(value) is str else ""


def _frame(record: dict[str, Any]) -> Frame:
    line = record.get("line")
    return Frame(
        _text(record.get("function")),
        _text(record.get("file")),
        line if type(line) is int and 0 <= line < 1 << 31 else 0,
    )
