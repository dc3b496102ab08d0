"""Scenarios: a fleet's life written by hand, as events and what is expected of the judges; docs/recording.md is the manual.

    instance gw-1 service=gateway version=1.4.0
    site hub "chan send" shop/cart.(*Hub).Publish hub.go:42 by shop/cart.New hub.go:30
    load 5s goroutines 100+1x240             one value every 5 s, promtool's notation
    crowd hub births 6/h lives forever       who is there; the looks see them
    look census every 5m
    restart gw-1 at 10m
    expect at 20m leak survivors site hub

`read(data)` gives a Scenario; `Scenario.events()` makes its events in time order, in virtual seconds from 0. Nothing is random: noise
and lifetimes come from a fixed sequence, so a scenario means the same everywhere. Raises FormatError with the line's number and what
was expected instead, LimitError beyond MAX_BYTES, MAX_SAMPLES or MAX_BIRTHS.
"""

from __future__ import annotations

import difflib
import math
import re
import shlex
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields
from heapq import merge
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt

from parkwarden.formats._text import snippet
from parkwarden.model.artefact import Reading
from parkwarden.model.descriptors import KINDS
from parkwarden.model.errors import FormatError, LimitError
from parkwarden.model.events import Census, Descriptors, Event, Gone, Leaked, Named, Read, SiteCounts, Started
from parkwarden.model.finding import Grade, Verdict
from parkwarden.model.instance import Instance
from parkwarden.model.site import Site
from parkwarden.model.stack import Frame

MAX_BYTES = 1 << 20
"""Bytes of a scenario: people write them."""

MAX_SAMPLES = 2_000_000
"""Values of all series: a day of five numbers of twenty instances."""

MAX_BIRTHS = 2_000_000
"""Goroutines born in one scenario, over all crowds and instances."""

MAX_EVENTS_AT = 400 * 86_400.0
"""Seconds a scenario may last."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SCALES = {"": 1, "k": 1e3, "M": 1e6, "G": 1e9, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_NUM = r"\d+(?:\.\d+)?(?:[KMG]i|[kMG])?"
_WORDS = re.compile(r"\(|\)(?:x\d+)?|[^\s()]+")
_SERIES = re.compile(rf"({_NUM})(?:([+-])({_NUM}))?(?:~({_NUM}))?(?:x(\d+))?")
_MISSING = re.compile(r"(?:_|stale)(?:x(\d+))?")
_RATE = re.compile(r"(\d+(?:\.\d+)?)/(s|m|min|h|d)")
_PLACE = re.compile(r"(.+):(\d+)")
_FLOAT_FIELDS = frozenset(f.name for f in fields(Reading) if "float" in str(f.type))
_FIELDS = tuple(f.name for f in fields(Reading) if f.name not in ("at", "start_time", "go_version"))
_LOOKS = ("count", "profile", "census", "leaks")
_NUMBERS = ("rate", "count", "time-left", "confidence")
_FOREVER = math.inf


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """`expect [not] at|by|before T | never | always ...`: what the judges should have said when.

    `at` T: at the tick of T; `by` T: at some tick up to T; `before` T: at some tick earlier than T; `always`/`never`: at every / no tick.
    `suspect` is met by a leak too; `ok` by nothing worse than unknown. `name`: a detector, a pattern or a code; "" = any finding.
    """

    line: int
    text: str
    when: str
    at: float
    negated: bool
    verdict: Verdict
    name: str = ""
    site: str = ""
    on: str = ""
    """An instance or a service."""
    grade: Grade | None = None
    limit: str = ""
    numbers: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Least and greatest of `rate` (a minute), `count`, `time-left` (seconds), `confidence`."""


@dataclass(frozen=True, slots=True)
class _Crowd:
    """Goroutines of one site: how many at the start, how many are born, how long they live."""

    site: str
    on: tuple[str, ...]
    initial: int
    per_s: float
    lives: tuple[float, float]
    since: float
    until: float
    provable: bool
    seed: int


@dataclass(frozen=True, slots=True)
class _Turn:
    """Something that happens to an instance at one time: `restart`, `deploy`, `gone`."""

    at: float
    kind: str
    instance: str
    labels: dict[str, str]


@dataclass(slots=True, kw_only=True)
class Scenario:
    """One scenario, read. `ends_at` is the last virtual second in which something happens or is expected."""

    name: str
    instances: dict[str, Instance] = field(default_factory=dict)
    sites: dict[str, Site] = field(default_factory=dict)
    expectations: list[Expectation] = field(default_factory=list)
    ends_at: float = 0.0
    readings: dict[str, dict[float, dict[str, float]]] = field(default_factory=dict)
    """Instance -> time -> field -> value; likewise `counts` and `leaked` by site. A value that is NaN was not told."""
    counts: dict[str, dict[float, dict[str, float]]] = field(default_factory=dict)
    leaked: dict[str, dict[float, dict[str, float]]] = field(default_factory=dict)
    descriptors: dict[str, dict[float, dict[str, float]]] = field(default_factory=dict)
    """The same by kind."""
    crowds: list[_Crowd] = field(default_factory=list)
    looks: dict[tuple[str, str], float] = field(default_factory=dict)
    """(look, instance) -> seconds between two."""
    turns: list[_Turn] = field(default_factory=list)

    def events(self) -> Iterator[Event]:
        """All events in time order: starts and names first, at equal times readings before profiles before censuses."""
        for instance in self.instances.values():
            yield Started(instance, 0.0)
        for site in self.sites.values():
            yield Named(site)
        sources = [self._turn_events(), *(self._instance_events(name) for name in self.instances)]
        for _, _, event in merge(*sources, key=lambda item: item[:2]):
            yield event

    def _turn_events(self) -> Iterator[tuple[float, int, Event]]:
        now = dict(self.instances)
        for turn in sorted(self.turns, key=lambda t: t.at):
            if turn.kind == "gone":
                yield turn.at, 9, Gone(turn.at, turn.instance)
                continue
            before = now[turn.instance]
            labels = {**before.labels, **turn.labels}
            now[turn.instance] = Instance(id=before.id, labels=labels, start_time=turn.at)
            yield turn.at, 0, Started(now[turn.instance], turn.at)

    def _instance_events(self, name: str) -> Iterator[tuple[float, int, Event]]:
        lives = _lives([t.at for t in self.turns if t.instance == name and t.kind != "gone"], self._end_of(name))
        crowds = [(i, crowd) for i, crowd in enumerate(self.crowds) if name in crowd.on]
        columns = (self.readings, self.counts, self.leaked, self.descriptors)
        known = tuple(column.get(name, {}) for column in columns)
        for begin, end in lives:
            crowd = _Life(crowds, begin, end)
            times = {at for column in known for at in column if begin <= at < end}
            beats = {look: set(_beat(every, begin, end)) for look in _LOOKS if (every := self.looks.get((look, name)))}
            for at in sorted(times.union(*beats.values())):
                looked = {look for look, when in beats.items() if at in when}
                yield from self._at(at, name, crowd, looked)

    def _end_of(self, name: str) -> float:
        """Just after the last second in which the instance can be seen."""
        return min((t.at for t in self.turns if t.instance == name and t.kind == "gone"), default=self.ends_at + 0.001)

    def _at(self, at: float, name: str, crowd: _Life, looked: set[str]) -> Iterator[tuple[float, int, Event]]:
        read = dict(self.readings.get(name, {}).get(at, {}))
        counts = crowd.counts(at) if looked & {"count", "profile"} else {}
        if "count" in looked:
            read.setdefault("goroutines", float(sum(counts.values())))
        told = {k: v for k, v in read.items() if not math.isnan(v)}
        if told:
            numbers: dict[str, Any] = {k: v if k in _FLOAT_FIELDS else round(v) for k, v in told.items()}
            yield at, 1, Read(at, name, Reading(at=at, **numbers))
        kinds = {k: v for k, v in self.descriptors.get(name, {}).get(at, {}).items() if not math.isnan(v)}
        if kinds:
            yield at, 1, Descriptors(at, name, {kind: round(n) for kind, n in kinds.items()})
        written = self.counts.get(name, {}).get(at)
        if "profile" in looked or written:
            both = {**(counts if "profile" in looked else {}), **(written or {})}
            if not any(math.isnan(n) for n in both.values()):  # a look that was missed
                yield at, 2, SiteCounts(at, name, {site: round(n) for site, n in both.items()})
        if "census" in looked:
            goids, highest = crowd.census(at)
            yield at, 3, Census(at, name, goids, highest)
        leaked = self.leaked.get(name, {}).get(at)
        if "leaks" in looked or leaked:
            both = {**(crowd.provable(at) if "leaks" in looked else {}), **(leaked or {})}
            if not any(math.isnan(n) for n in both.values()):
                yield at, 4, Leaked(at, name, {site: round(n) for site, n in both.items() if n})


def _lives(restarts: list[float], end: float) -> list[tuple[float, float]]:
    """Begin and end of each life of an instance."""
    edges = [0.0, *sorted(at for at in restarts if at < end), end]
    return [(a, b) for a, b in pairwise(edges) if b > a]


def _beat(every: float, begin: float, end: float) -> Iterator[float]:
    first = math.ceil(begin / every)
    for k in range(first, math.ceil(end / every)):
        yield round(k * every, 6)


class _Life:
    """The goroutines of one life of one instance: births and deaths of each crowd, ids in the order of births."""

    def __init__(self, crowds: list[tuple[int, _Crowd]], begin: float, end: float) -> None:
        births = [_births(crowd, begin, end) for _, crowd in crowds]
        self._crowds = [crowd for _, crowd in crowds]
        self._births = births
        self._deaths = [b + _lifetimes(crowd, len(b)) for crowd, b in zip(self._crowds, births, strict=True)]
        every = np.concatenate(births) if births else np.empty(0)
        order = np.argsort(every, kind="stable")
        ids = np.empty(len(every), np.int64)
        ids[order] = np.arange(1, len(every) + 1)
        cuts = np.cumsum([len(b) for b in births])[:-1]
        self._ids = np.split(ids, cuts) if births else []
        self._all = every[order]

    def counts(self, at: float) -> dict[str, float]:
        """Site -> goroutines there at a time."""
        out: dict[str, float] = {}
        for crowd, births, deaths in zip(self._crowds, self._births, self._deaths, strict=True):
            out[crowd.site] = out.get(crowd.site, 0.0) + float(((births <= at) & (deaths > at)).sum())
        return out

    def provable(self, at: float) -> dict[str, float]:
        """The same, of crowds whose leak the runtime can prove."""
        out: dict[str, float] = {}
        for crowd, births, deaths in zip(self._crowds, self._births, self._deaths, strict=True):
            if crowd.provable:
                out[crowd.site] = out.get(crowd.site, 0.0) + float(((births <= at) & (deaths > at)).sum())
        return out

    def census(self, at: float) -> tuple[dict[str, Any], int]:
        """Site -> goroutine ids, rising; and the highest id handed out."""
        out: dict[str, Any] = {}
        for crowd, births, deaths, ids in zip(self._crowds, self._births, self._deaths, self._ids, strict=True):
            alive = ids[(births <= at) & (deaths > at)]
            out[crowd.site] = np.sort(np.concatenate([out[crowd.site], alive])) if crowd.site in out else np.sort(alive)
        return out, int(np.searchsorted(self._all, at, side="right"))


def _births(crowd: _Crowd, begin: float, end: float) -> npt.NDArray[np.float64]:
    """Times of birth, rising: those of the start, then one every 1/rate, each somewhere within its turn."""
    first = max(begin, crowd.since)
    initial = np.full(crowd.initial if crowd.since < end and crowd.until > begin else 0, first)
    length = min(end, crowd.until) - first
    n = max(0, math.floor(length * crowd.per_s)) if crowd.per_s else 0
    turns = (np.arange(n) + _noise(n, crowd.seed)) / crowd.per_s if n else np.empty(0)
    return np.concatenate([initial, first + turns])


def _lifetimes(crowd: _Crowd, n: int) -> npt.NDArray[np.float64]:
    low, high = crowd.lives
    if math.isinf(low):
        return np.full(n, _FOREVER)
    return low + (high - low) * _noise(n, crowd.seed + 1)


def _noise(n: int, seed: int) -> npt.NDArray[np.float64]:
    """n numbers in 0..1 that look random and are always the same (splitmix64; Steele, Lea, Flood 2014)."""
    with np.errstate(over="ignore"):
        z = (np.arange(1, n + 1, dtype=np.uint64) + np.uint64(seed) * np.uint64(1_000_003)) * np.uint64(
            0x9E3779B97F4A7C15
        )
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z ^= z >> np.uint64(31)
    numbers: npt.NDArray[np.float64] = (z >> np.uint64(11)).astype(np.float64) / float(1 << 53)
    return numbers


# ---- reading


class _Error(Exception):
    """What is wrong with a line, and what to write instead."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


def read(data: bytes, name: str = "") -> Scenario:
    """The scenario in `data`. Raises FormatError with the line's number, LimitError."""
    if len(data) > MAX_BYTES:
        raise LimitError("scenario-too-big", f"a scenario has at most MAX_BYTES = {MAX_BYTES:,} bytes", context=name)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise FormatError("bad-scenario", f"{name or 'the scenario'} is no UTF-8 text", context=str(error)) from None
    parser = _Parser(name)
    for number, line in enumerate(text.splitlines(), 1):
        try:
            parser.line(number, line)
        except _Error as error:
            raise _refusal(name, number, line, error) from None
    try:
        return parser.finish()
    except _Error as error:
        raise _refusal(name, parser.number, parser.text, error) from None


def _refusal(name: str, number: int, line: str, error: _Error) -> FormatError:
    where = f"{name}: line {number}" if name else f"line {number}"
    return FormatError("bad-scenario", f"{where}: {error}", context=snippet(line.strip(), 100), hint=error.hint)


def _near(word: str, known: Iterable[str], what: str) -> _Error:
    known = sorted(known)
    close = difflib.get_close_matches(word, known, 1)
    hint = (
        f"did you mean `{close[0]}`?"
        if close
        else f"known: {', '.join(known[:40])}"
        if known
        else "none is declared yet"
    )
    return _Error(f"there is no {what} {snippet(word, 80)}", hint)


class _Parser:
    """Line by line into a Scenario; `number` and `text` are the line under way."""

    def __init__(self, name: str) -> None:
        self.scenario = Scenario(name=name)
        self.number = 0
        self.text = ""
        self._samples = 0
        self._end: float | None = None
        self._words: dict[str, Callable[[list[str]], None]] = {
            "instance": self._instance,
            "site": self._site,
            "load": self._load,
            "crowd": self._crowd,
            "look": self._look,
            "restart": self._turn,
            "deploy": self._turn,
            "gone": self._turn,
            "until": self._until,
            "expect": self._expect,
        }
        self._intervals: dict[str, float] = {}

    def line(self, number: int, text: str) -> None:
        """Take one line in."""
        self.number, self.text = number, text
        try:
            words = shlex.split(text, comments=True)
        except ValueError as error:
            raise _Error(f"the quotes do not match ({error})", 'write "chan receive" with both quotes') from None
        if not words:
            return
        handler = self._words.get(words[0])
        if handler is None:
            raise _near(words[0], self._words, "statement")
        handler(words)

    def finish(self) -> Scenario:
        """The scenario; what lasts until the end now knows when that is."""
        scenario = self.scenario
        if not scenario.instances:
            raise _Error("no instance is declared", "begin with: instance app service=app")
        last = [
            at
            for column in (scenario.readings, scenario.counts, scenario.leaked, scenario.descriptors)
            for times in column.values()
            for at in times
        ]
        last += [e.at for e in scenario.expectations if math.isfinite(e.at)] + [t.at for t in scenario.turns]
        scenario.ends_at = max(last, default=0.0) if self._end is None else self._end
        births = sum(
            len(c.on) * (c.initial + c.per_s * max(0.0, min(c.until, scenario.ends_at) - c.since))
            for c in scenario.crowds
        )
        if births > MAX_BIRTHS:
            raise LimitError(
                "scenario-too-big",
                f"{births:,.0f} goroutines are born, MAX_BIRTHS = {MAX_BIRTHS:,}",
                context=scenario.name,
            )
        return scenario

    # ---- statements

    def _instance(self, words: list[str]) -> None:
        name, labels = _one(words, "instance NAME [label=value ...] [started=-1h]")
        if name in self.scenario.instances:
            raise _Error(f"instance {snippet(name)} is declared twice")
        pairs = _pairs(labels)
        started = pairs.pop("started", "0s")
        self.scenario.instances[name] = Instance(id=name, labels=pairs, start_time=_seconds(started, negative=True))

    def _site(self, words: list[str]) -> None:
        usage = 'site ID ["wait reason" [FUNCTION [FILE:LINE [by FUNCTION FILE:LINE]]]]'
        site_id, rest = _one(words, usage)
        reason = rest[0] if rest else ""
        by = rest.index("by") if "by" in rest else len(rest)
        here, there = rest[1:by], rest[by + 1 :]
        if len(here) > 2 or len(there) > 2 or (by < len(rest) and not there):
            raise _Error("too many or too few words", usage)
        frame, creator = _frame(here), _frame(there)
        self.scenario.sites[site_id] = Site(
            id=site_id,
            wait_reason=reason,
            function=frame.function,
            file=frame.file,
            line=frame.line,
            frames=(frame,) if here else (),
            created_by=creator if there else None,
        )

    def _load(self, words: list[str]) -> None:
        usage = "load 5s [on A,B] [from 10m] FIELD|site ID|leaked ID|descriptors KIND VALUES, e.g. load 5s goroutines 100+1x120"
        if len(words) < 4:
            raise _Error("too few words", usage)
        every = _positive(words[1])
        options, rest = self._options(words[2:], ("on", "from"))
        if len(rest) < 2:
            raise _Error("too few words", usage)
        what, rest = rest[0], rest[1:]
        if what in ("site", "leaked"):
            key, rest = rest[0], rest[1:]
            self._known_site(key)
            column = self.scenario.counts if what == "site" else self.scenario.leaked
        elif what == "descriptors":
            key, rest, column = rest[0], rest[1:], self.scenario.descriptors
            if key not in KINDS:
                raise _near(key, KINDS, "kind of descriptor")
        elif what in _FIELDS:
            key, column = what, self.scenario.readings
        else:
            raise _near(what, (*_FIELDS, "site", "leaked", "descriptors"), "number")
        if not rest:
            raise _Error("no values", usage)
        values = _series(rest, self.number)
        begin = _seconds(options.get("from", "0s"))
        for name in self._on(options):
            self._samples += len(values)
            if self._samples > MAX_SAMPLES:
                raise LimitError(
                    "scenario-too-big", f"more than MAX_SAMPLES = {MAX_SAMPLES:,} values", context=self.scenario.name
                )
            if what == "site" and self._intervals.setdefault(name, every) != every:
                raise _Error(
                    f"the sites of {name} are loaded every {self._intervals[name]:g} s already",
                    "a profile tells of all sites at once: give them the same interval",
                )
            times = column.setdefault(name, {})
            for i, value in enumerate(values):
                times.setdefault(round(begin + i * every, 6), {})[key] = value

    def _crowd(self, words: list[str]) -> None:
        usage = "crowd SITE [on A,B] [initial N] [births 6/h] [lives 2s..8s|forever] [from T] [until T] [provable]"
        site, rest = _one(words, usage)
        self._known_site(site)
        provable = "provable" in rest
        options, left = self._options(
            [w for w in rest if w != "provable"], ("on", "initial", "births", "lives", "from", "until")
        )
        if left:
            raise _Error(f"{snippet(left[0])} is not understood", usage)
        initial, births = options.get("initial", "0"), options.get("births", "0/s")
        rate = _RATE.fullmatch(births)
        if not initial.isdigit() or not rate:
            raise _Error("`initial` is a number and `births` a rate like 6/h, 3/min or 20/s", usage)
        per_s = float(rate[1]) / _UNITS[{"min": "m"}.get(rate[2], rate[2])]
        self.scenario.crowds.append(
            _Crowd(
                site=site,
                on=self._on(options),
                initial=int(initial),
                per_s=per_s,
                lives=_span(options.get("lives", "forever")),
                since=_seconds(options.get("from", "0s")),
                until=_seconds(options["until"]) if "until" in options else _FOREVER,
                provable=provable,
                seed=self.number * 7919,
            )
        )

    def _look(self, words: list[str]) -> None:
        usage = f"look {'|'.join(_LOOKS)} every 5m [on A,B]"
        what, rest = _one(words, usage)
        if what not in _LOOKS:
            raise _near(what, _LOOKS, "look")
        options, left = self._options(rest, ("every", "on"))
        if left or "every" not in options:
            raise _Error("too many or too few words", usage)
        for name in self._on(options):
            self.scenario.looks[what, name] = _positive(options["every"])

    def _turn(self, words: list[str]) -> None:
        usage = f"{words[0]} INSTANCE at 10m" + (" version=1.5.0" if words[0] == "deploy" else "")
        name, rest = _one(words, usage)
        self._known_instance(name)
        options, left = self._options(rest, ("at",))
        if "at" not in options or (left and words[0] != "deploy"):
            raise _Error("too many or too few words", usage)
        self.scenario.turns.append(_Turn(_seconds(options["at"]), words[0], name, _pairs(left)))

    def _until(self, words: list[str]) -> None:
        if len(words) != 2:
            raise _Error("too many or too few words", "until 2h")
        self._end = _seconds(words[1])

    def _expect(self, words: list[str]) -> None:
        usage = (
            "expect [not] at|by|before TIME, or always|never, then ok|unknown|suspect|leak|tight|exhausting [DETECTOR] [site ID] [on INSTANCE] "
            "[grade red] [limit memory-limit] [rate 2..4] [count 50..60] [time-left 10m..30m] [confidence 0.9..1]"
        )
        rest = words[1:]
        negated = bool(rest) and rest[0] == "not"
        rest = rest[negated:]
        when = rest[0] if rest else ""
        if when not in ("at", "by", "before", "always", "never"):
            raise _Error("it does not say when", usage)
        at, rest = (
            (_FOREVER, rest[1:]) if when in ("always", "never") else (_seconds(rest[1] if rest[1:] else ""), rest[2:])
        )
        if not rest or rest[0] not in list(Verdict):
            raise _Error("it does not say which verdict: ok, unknown, suspect, leak, tight or exhausting", usage)
        options, left = self._options(rest[1:], ("site", "on", "grade", "limit", *_NUMBERS))
        if len(left) > 1:
            raise _Error(f"{snippet(left[1])} is not understood", usage)
        if "site" in options:
            self._known_site(options["site"])
        known = set(self.scenario.instances) | {i.service for i in self.scenario.instances.values()}
        if "on" in options and options["on"] not in known:
            raise _near(options["on"], known, "instance or service")
        grade = options.get("grade")
        if grade is not None and grade != "none" and grade not in list(Grade):
            raise _near(grade, [*(g.value for g in Grade if g), "none"], "grade")
        self.scenario.expectations.append(
            Expectation(
                line=self.number,
                text=shlex.join(words),
                when="before" if when == "never" else when,
                at=at,
                negated=negated != (when == "never"),
                verdict=Verdict(rest[0]),
                name=left[0] if left else "",
                site=options.get("site", ""),
                on=options.get("on", ""),
                grade=None if grade is None else Grade("" if grade == "none" else grade),
                limit=options.get("limit", ""),
                numbers={key: _range(key, options[key]) for key in _NUMBERS if key in options},
            )
        )

    # ---- words

    def _options(self, words: list[str], names: tuple[str, ...]) -> tuple[dict[str, str], list[str]]:
        """`name value` pairs taken out of words, and the words that are left."""
        options: dict[str, str] = {}
        left: list[str] = []
        i = 0
        while i < len(words):
            if words[i] in names:
                if i + 1 == len(words):
                    raise _Error(f"`{words[i]}` needs a value")
                options[words[i]] = words[i + 1]
                i += 2
            else:
                left.append(words[i])
                i += 1
        return options, left

    def _on(self, options: dict[str, str]) -> tuple[str, ...]:
        if "on" not in options:
            if not self.scenario.instances:
                raise _Error("no instance is declared yet", "begin with: instance app service=app")
            return tuple(self.scenario.instances)
        names = tuple(options["on"].split(","))
        for name in names:
            self._known_instance(name)
        return names

    def _known_instance(self, name: str) -> None:
        if name not in self.scenario.instances:
            raise _near(name, self.scenario.instances, "instance")

    def _known_site(self, name: str) -> None:
        if name not in self.scenario.sites:
            raise _near(name, self.scenario.sites, "site")


def _one(words: list[str], usage: str) -> tuple[str, list[str]]:
    if len(words) < 2:
        raise _Error("too few words", usage)
    return words[1], words[2:]


def _pairs(words: list[str]) -> dict[str, str]:
    out = {}
    for word in words:
        key, equals, value = word.partition("=")
        if not key or not equals:
            raise _Error(f"{snippet(word)} is no label", "write label=value, e.g. service=gateway")
        out[key] = value
    return out


def _frame(words: list[str]) -> Frame:
    if not words:
        return Frame("")
    if len(words) == 1:
        return Frame(words[0])
    place = _PLACE.fullmatch(words[1])
    if place is None:
        raise _Error(f"{snippet(words[1])} is no place", "write file:line, e.g. hub.go:42")
    return Frame(words[0], place[1], int(place[2]))


def _seconds(word: str, *, negative: bool = False) -> float:
    sign = -1.0 if negative and word.startswith("-") else 1.0
    bare = word[1:] if sign < 0 else word
    total, at = 0.0, 0
    for part in _DURATION.finditer(bare):
        if part.start() != at:
            break
        total, at = total + float(part[1]) * _UNITS[part[2]], part.end()
    if not bare or at != len(bare):
        raise _Error(f"{snippet(word)} is no time", "write 30s, 5m, 1h30m or 2d")
    if total > MAX_EVENTS_AT:
        raise _Error(f"{word} is longer than a scenario may last", f"at most {MAX_EVENTS_AT / 86400:.0f}d")
    return sign * total


def _positive(word: str) -> float:
    seconds = _seconds(word)
    if seconds < 0.001:
        raise _Error(f"{snippet(word)} is no interval", "an interval is 1ms or more")
    return seconds


def _span(word: str) -> tuple[float, float]:
    if word == "forever":
        return _FOREVER, _FOREVER
    low, dots, high = word.partition("..")
    begin = _seconds(low)
    end = _seconds(high) if dots else begin
    if end < begin:
        raise _Error(f"{word}: the second is shorter than the first")
    return begin, end


def _range(key: str, word: str) -> tuple[float, float]:
    """`2..4`, `2..`, `..4` or one number; times for `time-left`."""
    low, dots, high = word.partition("..")
    try:
        number = _seconds if key == "time-left" else float
        begin = number(low) if low else -math.inf
        end = (number(high) if high else math.inf) if dots else begin
    except ValueError:
        raise _Error(f"{snippet(word)} is no range for `{key}`", f"write {key} 2..4, {key} 2.. or {key} ..4") from None
    return begin, end


def _series(words: list[str], seed: int) -> list[float]:
    """promtool's notation: `a`, `axn` (n+1 times a), `a+bxn`, `a-bxn` (n+1 values), `_`, `_xn`, `stale`; `~c` adds noise of up to c
    either way; `( ... )xn` says it n times. NaN = not told."""
    out: list[float] = []
    group: list[float] | None = None
    for word in _WORDS.findall(" ".join(words)):
        if word == "(":
            if group is not None:
                raise _Error("a group within a group")
            group = []
        elif word[0] == ")":
            if group is None:
                raise _Error("`)` without `(`")
            times = _times(word[2:] or "1")
            if len(group) * times > MAX_SAMPLES:
                raise _Error(f"more than MAX_SAMPLES = {MAX_SAMPLES:,} values")
            out, group = out + group * times, None
        else:
            target = out if group is None else group
            target.extend(_values(word, seed + len(target)))
        if len(out) > MAX_SAMPLES:
            raise _Error(f"more than MAX_SAMPLES = {MAX_SAMPLES:,} values")
    if group is not None:
        raise _Error("`(` without `)`")
    return out


def _values(word: str, seed: int) -> list[float]:
    missing = _MISSING.fullmatch(word)
    if missing:
        return [math.nan] * _times(missing[1] or "1")
    match = _SERIES.fullmatch(word)
    if match is None:
        raise _Error(f"{snippet(word)} is no value", "write 100, 100x9, 100+2x60, 100-2x60, 100~5x60, _ or _x10")
    start, sign, step, noise, times = match.groups()
    n = _times(times or "0") + 1
    grow = _number(step) * (-1 if sign == "-" else 1) if step else 0.0
    values = _number(start) + grow * np.arange(n)
    if noise:
        values = np.maximum(values + _number(noise) * (2 * _noise(n, seed) - 1), 0.0)
    return [float(v) for v in values]


def _times(word: str) -> int:
    if len(word) > 7 or int(word) > MAX_SAMPLES:
        raise _Error(f"{word[:20]} values", f"at most MAX_SAMPLES = {MAX_SAMPLES:,}")
    return int(word)


def _number(word: str) -> float:
    digits = word.rstrip("kKMGi")
    return float(digits) * _SCALES[word[len(digits) :]]
