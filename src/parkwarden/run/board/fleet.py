"""The fleet: services by state, worst first, searched, filtered, sorted and in pages; a service opens to its instances.

Who is there (`Roster`) is read anew only where instances changed; how they are (`Picture`) once per judgement, in columns over the
whole fleet. A page then costs what is on it. Every name comes from the watched: redacted
and capped here, made inert and escaped by the page.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import numpy as np
import numpy.typing as npt

from parkwarden.aggregate.windows import ROW, Floats
from parkwarden.alert.story import key_of, service_of
from parkwarden.model import Finding, Incident, IncidentState, Instance, ServiceKey, TimeLeft, Verdict
from parkwarden.report.redact import Redactor

if TYPE_CHECKING:
    from parkwarden.run.board.host import Host

PER_PAGE = 50
"""Services on one page: two screens, and 50 rows with their pictures are 60 kB."""

MAX_PER_PAGE = 200
MAX_OPEN = 20
"""Services open at once: each brings up to MAX_SHOWN rows."""

MAX_SHOWN = 50
"""Instances shown of one service, the worst first; the rest are counted."""

MAX_WORDS = 12
MAX_QUERY = 300
"""Words and characters of a search."""

MAX_NAME = 200
"""Characters of a name or label, as an incident has them."""

WATCHED_LEAST_S = 120.0
"""Watched for less, a service is not called ok: the shortest window of a judge is not full yet (see goroutine_trend)."""

SPARK_S = 3_600.0
SPARK_POINTS = 32
"""A row's picture: the last hour, in as many points as 96 pixels show."""

MAX_PAIRS = 50_000
"""Labels remembered as they are shown."""

KNOWN = frozenset(("service", "env", "version"))
"""Labels that have a place of their own."""

SORTS = ("state", "service", "instances", "goroutines", "memory", "growth", "time-left", "version")
"""Columns to sort by; `label:NAME` sorts by a label's value. `-` before it turns the order round."""

STATES = (Verdict.LEAK, Verdict.EXHAUSTING, Verdict.SUSPECT, Verdict.TIGHT, Verdict.UNKNOWN, Verdict.OK)
"""In the order in which they are shown."""

Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """The state of the fleet page, as its URL has it."""

    q: str = ""
    """Words that must all be found; `name=value` is a label's, a word alone is looked for in names, labels and culprit lines."""
    states: tuple[Verdict, ...] = ()
    sort: str = "state"
    page: int = 1
    per_page: int = PER_PAGE
    opened: tuple[ServiceKey, ...] = ()

    @classmethod
    def of(cls, parameters: Iterable[tuple[str, str]]) -> Query:
        """From a URL's query; what makes no sense is as if it were not there."""
        told: dict[str, list[str]] = {}
        for name, value in parameters:
            told.setdefault(name, []).append(value)
        sort = told.get("sort", ["state"])[-1][:MAX_NAME]
        name = sort.removeprefix("-")
        return cls(
            q=" ".join(told.get("q", [""])[-1][:MAX_QUERY].split()),
            states=tuple(state for state in STATES if state.value in told.get("state", ())),
            sort=sort if name in SORTS or (name.startswith("label:") and len(name) > 6) else "state",
            page=_whole(told.get("page", ["1"])[-1], 1, 1, 10**6),
            per_page=_whole(told.get("per_page", [""])[-1], PER_PAGE, 1, MAX_PER_PAGE),
            opened=tuple(dict.fromkeys(map(_split, told.get("open", ()))))[:MAX_OPEN],
        )

    def url(self, **changes: Any) -> str:
        """`?q=…` of this view with changes, the usual left out; "?" for the page as it comes."""
        view, usual = replace(self, **changes), Query()
        pairs = [(name, str(getattr(view, name))) for name in ("q", "sort", "page", "per_page")]
        pairs = [(name, value) for name, value in pairs if value != str(getattr(usual, name))]
        pairs += [("state", state.value) for state in view.states]
        return "?" + urlencode(pairs + [("open", joined(key)) for key in view.opened])

    def sorted_by(self, column: str) -> str:
        """What a click on a column's head sorts by."""
        return f"-{column}" if self.sort == column else column

    def toggled(self, key: ServiceKey) -> tuple[ServiceKey, ...]:
        """The open services with this one opened or closed."""
        return tuple(k for k in self.opened if k != key) if key in self.opened else (*self.opened, key)


def joined(key: ServiceKey) -> str:
    """A service and its env as one word of a URL: `prod/checkout`; the env's own slashes are written `%2F`."""
    return f"{key[1].replace('%', '%25').replace('/', '%2F')}/{key[0]}"


def _split(word: str) -> ServiceKey:
    env, _, service = word.partition("/")
    return service[:MAX_NAME], env.replace("%2F", "/").replace("%25", "%")[:MAX_NAME]


def _whole(text: str, usual: int, low: int, high: int) -> int:
    return min(max(int(text), low), high) if text.isascii() and text.isdigit() and len(text) < 8 else usual


# ---- who is there


@dataclass(frozen=True, slots=True)
class Member:
    """One instance as it is shown: names redacted and capped."""

    id: str
    shown: str
    key: ServiceKey
    raw_key: ServiceKey
    labels: tuple[tuple[str, str], ...]
    """All but the service's name, which is `key[0]`."""
    version: str


@dataclass(slots=True)
class Service:
    """One service of the roster: whom it has, and the text a search looks in."""

    key: ServiceKey
    raw_keys: tuple[ServiceKey, ...]
    members: list[Member]
    common: dict[str, str]
    """Labels all its instances agree on, without KNOWN."""
    label_names: tuple[str, ...]
    versions: Counter[str]
    text: str
    """Lower case, one name or `label=value` a line."""


@dataclass(slots=True)
class Roster:
    """All services in the order of their names, and the fleet's instances as columns."""

    services: list[Service]
    ids: list[str]
    service_of: Ints
    """By instance: index into `services`."""
    index: dict[ServiceKey, int]
    label_names: list[str]


class Rosters:
    """The roster of an engine. Where instances came, went or changed, only these and their services are looked at anew."""

    def __init__(self) -> None:
        self._known: dict[str, Instance] = {}
        self._members: dict[str, tuple[Instance, Member]] = {}
        self._services: dict[ServiceKey, Service] = {}
        self._pairs: dict[tuple[str, str], tuple[str, str]] = {}
        """Labels as they are shown: most are those of many instances."""
        self._redactor = Redactor()
        self._roster = self._made()

    def of(self, instances: Mapping[str, Instance]) -> Roster:
        if instances != self._known:
            self._known = dict(instances)
            before, self._members = self._members, {}
            for name, instance in instances.items():
                known = before.get(name)
                if known is None or known[0] is not instance:
                    known = instance, self._member(instance)
                self._members[name] = known
            self._roster = self._made()
        return self._roster

    def _member(self, instance: Instance) -> Member:
        labels = tuple([self._pair(pair) for pair in sorted(instance.labels.items()) if pair[0] != "service"])
        told = dict(labels)
        service = instance.labels.get("service") or instance.id
        key = self._name(service), told.get("env", "")
        shown = key[0] if service == instance.id else self._name(instance.id)
        return Member(instance.id, shown, key, instance.service_key, labels, told.get("version", ""))

    def _pair(self, pair: tuple[str, str]) -> tuple[str, str]:
        shown = self._pairs.get(pair)
        if shown is None:
            if len(self._pairs) >= MAX_PAIRS:
                self._pairs.clear()
            shown = self._name(pair[0]), _capped(self._redactor.label(*pair))
            self._pairs[pair] = shown
        return shown

    def _name(self, text: str) -> str:
        return _capped(self._redactor.text(text))

    def _made(self) -> Roster:
        by_key: dict[ServiceKey, list[Member]] = {}
        for _, member in self._members.values():
            by_key.setdefault(member.key, []).append(member)
        before, self._services = self._services, {}
        for key in sorted(by_key):
            known = before.get(key)
            same = known is not None and known.members == by_key[key]
            self._services[key] = known if same and known is not None else _service(key, by_key[key])
        services = list(self._services.values())
        names = {name for service in services for name in service.label_names}
        return Roster(
            services=services,
            ids=[m.id for service in services for m in service.members],
            service_of=np.repeat(np.arange(len(services)), [len(s.members) for s in services]).astype(np.int64),
            index={key: i for i, key in enumerate(self._services)},
            label_names=sorted(names - KNOWN),
        )


def _capped(text: str) -> str:
    """As findings and incidents have it; half a character of two (a lone surrogate) can be in no address."""
    return text[:MAX_NAME] if text.isascii() else text[:MAX_NAME].encode(errors="replace").decode()


def _service(key: ServiceKey, members: list[Member]) -> Service:
    alike = Counter([pair for member in members for pair in member.labels])
    lines = [*key, f"service={key[0]}", *(f"{name}={value}" for name, value in alike), *(m.shown for m in members)]
    lines = [line.replace("\n", " ") for line in lines]
    return Service(
        key=key,
        raw_keys=tuple(dict.fromkeys([m.raw_key for m in members])),
        members=members,
        common={name: value for (name, value), n in alike.items() if n == len(members) and name not in KNOWN},
        label_names=tuple({name for name, _ in alike}),
        versions=Counter([m.version for m in members]),
        text="\n" + "\n".join(lines).lower() + "\n",
    )


# ---- how they are


@dataclass(slots=True)
class Picture:
    """The fleet at one judgement, columns over the roster's services; NaN = not told."""

    at: float
    roster: Roster
    slots: Ints
    """By instance: its row in the windows, -1 without one."""
    blind_since: Floats
    """By instance: since when it has told nothing, NaN where it tells."""
    began: Floats
    """By instance: first news of its life, NaN where there was none."""
    goroutines: Floats
    memory: Floats
    blind: Ints
    silent: Ints
    """Instances that never told anything."""
    watched_s: Floats
    """How long the longest watched one that is not blind has been watched."""
    verdict: list[Verdict]
    rank: Ints
    """Place in STATES."""
    worst: list[Finding | None]
    """The finding that is shown: the worst."""
    left: list[TimeLeft | None]
    """The nearest limit."""
    left_s: Floats
    growth: Floats
    findings: dict[int, list[Finding]]
    incidents: dict[int, list[Incident]]
    incident_of: dict[str, Incident]
    """Open incidents by their key."""

    @property
    def totals(self) -> dict[Verdict, int]:
        """Services in each state."""
        counts = np.bincount(self.rank, minlength=len(STATES)).tolist()
        return dict(zip(STATES, counts, strict=True))


def picture(host: Host, roster: Roster) -> Picture:
    """The fleet as last judged."""
    engine, tick, n = host.engine, host.tick(), len(roster.services)
    windows, of = engine.windows, roster.service_of
    ids = roster.ids
    slots = np.fromiter((windows.slots.get(name, -1) for name in ids), np.int64, len(ids))
    blind_since = np.fromiter((tick.blind.get(name, math.nan) for name in ids), np.float64, len(ids))
    began = np.fromiter((engine.began.get(name, math.nan) for name in ids), np.float64, len(ids))
    blind, silent = ~np.isnan(blind_since), np.isnan(began)
    watched = np.where(blind | silent, -math.inf, tick.at - began)
    watched_s = np.full(n, -math.inf)
    np.maximum.at(watched_s, of, watched)
    findings: dict[int, list[Finding]] = {}
    for finding in tick.findings:
        at = roster.index.get(service_of(finding))
        if at is not None and finding.verdict.rank >= Verdict.SUSPECT.rank:
            findings.setdefault(at, []).append(finding)
    open_ones = [row for row in host.incidents() if row.state.active]
    incidents: dict[int, list[Incident]] = {}
    for row in sorted(open_ones, key=lambda row: (row.priority, row.since)):
        if (at := roster.index.get(row.service_key)) is not None:
            incidents.setdefault(at, []).append(row)
    verdict = [_verdict(findings.get(i, ()), incidents.get(i, ()), float(watched_s[i])) for i in range(n)]
    worst = [findings[i][0] if i in findings else None for i in range(n)]
    left = [_nearest(findings.get(i, ()), tick.at) for i in range(n)]
    growth = [_fastest(findings.get(i, ())) for i in range(n)]
    return Picture(
        at=tick.at,
        roster=roster,
        slots=slots,
        blind_since=blind_since,
        began=began,
        goroutines=_sum(_latest(windows.latest, "goroutines", slots), of, n),
        memory=_sum(_latest(windows.latest, "heap_inuse", slots), of, n),
        blind=np.bincount(of, blind & ~silent, minlength=n).astype(np.int64),
        silent=np.bincount(of, silent, minlength=n).astype(np.int64),
        watched_s=watched_s,
        verdict=verdict,
        rank=np.array([STATES.index(v) for v in verdict], np.int64),
        worst=worst,
        left=left,
        left_s=np.array([math.inf if one is None else _until(one, tick.at) for one in left]),
        growth=np.array(growth, np.float64),
        findings=findings,
        incidents=incidents,
        incident_of={row.key: row for row in open_ones},
    )


def _latest(latest: Floats, name: str, slots: Ints) -> Floats:
    return np.where(slots >= 0, latest[ROW[name], slots], math.nan)


def _sum(values: Floats, of: Ints, n: int) -> Floats:
    """Sums of what was told; NaN where nothing was."""
    told = ~np.isnan(values)
    total = np.bincount(of[told], values[told], minlength=n)
    return np.where(np.bincount(of[told], minlength=n) > 0, total, math.nan)


def _verdict(findings: Sequence[Finding], incidents: Sequence[Incident], watched_s: float) -> Verdict:
    """The worst that is said of it; `ok` only where somebody was watched for long enough."""
    said = [f.verdict for f in findings] + [i.verdict for i in incidents if i.state is not IncidentState.NO_DATA]
    said = [verdict for verdict in said if verdict.rank >= Verdict.SUSPECT.rank]
    if said:
        return min(said, key=STATES.index)
    return Verdict.OK if watched_s >= WATCHED_LEAST_S else Verdict.UNKNOWN


def _until(left: TimeLeft, now: float) -> float:
    return max(left.seconds - (now - left.at), 0.0)


def _nearest(findings: Sequence[Finding], now: float) -> TimeLeft | None:
    known = [f.time_left for f in findings if f.time_left is not None]
    return min(known, key=lambda left: _until(left, now), default=None)


def _fastest(findings: Sequence[Finding]) -> float:
    return max((f.rate_per_min for f in findings if f.rate_per_min is not None), default=math.nan)


# ---- a page of it


@dataclass(frozen=True, slots=True, kw_only=True)
class InstanceRow:
    """One instance of an open service."""

    id: str
    state: str
    """`up`, `slow`, `failing`, `unreachable`, `starting` as the collector says, else `blind` or `up`."""
    blind_s: float | None
    version: str
    goroutines: float | None
    memory: float | None
    age_s: float | None
    restarts: int
    """Seen since it is watched."""
    labels: dict[str, str]
    """Those that are not common to the service."""
    found: bool
    """Whether a finding names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceRow:
    """One service as the fleet page shows it. Numbers None = not told."""

    key: ServiceKey
    verdict: Verdict
    why: str
    """The worst finding's title, or why it is unknown."""
    function: str = ""
    file: str = ""
    line: int = 0
    """The culprit's, else the blocked line of the worst finding that has one."""
    site: str = ""
    incident: Incident | None = None
    """The open incident of what is shown."""
    incidents: int = 0
    goroutines: float | None
    memory: float | None
    growth_per_min: float | None
    time_left: TimeLeft | None
    left_s: float | None
    """Until then from now, not from when it was judged."""
    spark: tuple[float, ...]
    """Goroutines per instance over the last hour, oldest first; NaN = not told."""
    spark_s: float
    versions: tuple[tuple[str, int], ...]
    instances: int
    blind: int
    silent: int
    labels: dict[str, str]
    opened: tuple[InstanceRow, ...] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class FleetPage:
    """What the page shows. `matching` of `services` match; `totals` are of all."""

    at: float
    query: Query
    rows: list[ServiceRow]
    services: int
    instances: int
    blind: int
    matching: int
    pages: int
    totals: dict[Verdict, int] = field(default_factory=dict)
    label_names: list[str] = field(default_factory=list)


class Fleet:
    """The board: keeps roster and picture between requests."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._rosters = Rosters()
        self._rosters.of(host.engine.instances)  # who is there already is not the first visitor's to wait for
        self._picture: Picture | None = None
        self._stamp: tuple[object, ...] = ()

    def picture(self) -> Picture:
        """As last judged; the same one until the next judgement, or until incidents or instances change."""
        roster = self._rosters.of(self._host.engine.instances)
        stamp = (roster, self._host.tick(), tuple((i.id, i.revision, i.state) for i in self._host.incidents()))
        if self._picture is None or any(a is not b and a != b for a, b in zip(stamp, self._stamp, strict=True)):
            self._picture, self._stamp = picture(self._host, roster), stamp
        return self._picture

    def found(self, query: Query) -> tuple[Picture, Ints]:
        """All services that match, in order: indices into the roster's."""
        now = self.picture()
        found = _matching(now, query)
        return now, found[_order(now, found, query.sort)]

    def page(self, query: Query) -> FleetPage:
        """The services that match, sorted, the page that is asked for (the last one where there are fewer)."""
        now, found = self.found(query)
        pages = max(math.ceil(len(found) / query.per_page), 1)
        page = min(query.page, pages)
        shown = found[(page - 1) * query.per_page : page * query.per_page]
        return FleetPage(
            at=now.at,
            query=query,
            rows=self.rows(now, shown.tolist(), set(query.opened)),
            services=len(now.roster.services),
            instances=len(now.roster.ids),
            blind=int(now.blind.sum() + now.silent.sum()),
            matching=len(found),
            pages=pages,
            totals=now.totals,
            label_names=now.roster.label_names[:MAX_SHOWN],
        )

    def rows(self, now: Picture, which: Sequence[int], opened: set[ServiceKey]) -> list[ServiceRow]:
        """Rows of these services."""
        sparks, span = _sparks(self._host, now, which)
        return [self._row(now, i, spark, span, opened) for i, spark in zip(which, sparks, strict=True)]

    def _row(self, now: Picture, i: int, spark: Floats, span: float, opened: set[ServiceKey]) -> ServiceRow:
        service, finding = now.roster.services[i], now.worst[i]
        incidents = now.incidents.get(i, [])
        incident = now.incident_of.get(key_of(finding)) if finding is not None else None
        place = next((p for f in now.findings.get(i, ()) if (p := f.culprit or f.site) is not None), None)
        key = service.key
        return ServiceRow(
            key=key,
            verdict=now.verdict[i],
            why=_why(now, i),
            function=place.function if place is not None else "",
            file=place.file if place is not None else "",
            line=place.line if place is not None else 0,
            site=finding.site.id if finding is not None and finding.site is not None else "",
            incident=incident or next(iter(incidents), None),
            incidents=len(incidents),
            goroutines=told(now.goroutines[i]),
            memory=told(now.memory[i]),
            growth_per_min=told(now.growth[i]),
            time_left=now.left[i],
            left_s=told(now.left_s[i]),
            spark=tuple(spark.tolist()),
            spark_s=span,
            versions=tuple(service.versions.most_common()),
            instances=len(service.members),
            blind=int(now.blind[i]),
            silent=int(now.silent[i]),
            labels=service.common,
            opened=self.instances(now, i) if key in opened else None,
        )

    def instances(self, now: Picture, i: int) -> tuple[InstanceRow, ...]:
        """The instances of a service, those named by a finding first, then the largest; at most MAX_SHOWN."""
        service = now.roster.services[i]
        mine = np.flatnonzero(now.roster.service_of == i)
        windows, slots = self._host.engine.windows, now.slots[mine]
        latest, lives = windows.latest, windows.lives
        goroutines, memory = _latest(latest, "goroutines", slots), _latest(latest, "heap_inuse", slots)
        named = {name for finding in now.findings.get(i, ()) for name in (*finding.instances, finding.instance)}
        found = np.array([member.shown in named for member in service.members], bool)
        order = np.lexsort((-np.nan_to_num(goroutines), now.blind_since[mine] == now.blind_since[mine], ~found))
        states = self._host.states()
        rows = []
        for j in order[:MAX_SHOWN].tolist():
            member, at = service.members[j], mine[j]
            blind = told(now.at - now.blind_since[at])
            instance = self._host.engine.instance(member.id)
            state, _ = states.get(member.id, (None, 0))
            start = instance.start_time if instance.start_time is not None else told(now.began[at])
            rows.append(
                InstanceRow(
                    id=member.shown,
                    state="blind" if blind is not None and state is None else str(state or "up"),
                    blind_s=blind,
                    version=member.version,
                    goroutines=told(goroutines[j]),
                    memory=told(memory[j]),
                    age_s=None if start is None else max(now.at - start, 0.0),
                    restarts=max(int(lives[slots[j]]) - 1, 0) if slots[j] >= 0 else 0,
                    labels={k: v for k, v in member.labels if k not in service.common and k not in KNOWN},
                    found=bool(found[j]),
                )
            )
        return tuple(rows)


def told(value: float) -> float | None:
    """A number, None for what is none."""
    return float(value) if math.isfinite(value) else None


def _why(now: Picture, i: int) -> str:
    finding, service = now.worst[i], now.roster.services[i]
    if finding is not None:
        return finding.title
    incident = next(iter(now.incidents.get(i, ())), None)
    if incident is not None:
        return incident.title
    if now.verdict[i] is Verdict.OK:
        return ""
    n = len(service.members)
    if now.silent[i] == n:
        return "nothing heard of it yet"
    if now.blind[i] + now.silent[i] == n:
        return "no instance answers"
    return f"watched for {now.watched_s[i]:.0f} s: too short to judge"


def _matching(now: Picture, query: Query) -> Ints:
    """Indices of the services in which every word is found and whose state is wanted."""
    found = np.arange(len(now.roster.services))
    if query.states:
        found = found[np.isin(now.rank, [STATES.index(state) for state in query.states])]
    for word in query.q.lower().split()[:MAX_WORDS]:
        services, worst = now.roster.services, now.worst
        if "=" in word:
            line = f"\n{word}\n"
            found = found[[line in services[i].text for i in found]]
        else:
            found = found[[word in services[i].text or word in _place(worst[i]) for i in found]]
    return found.astype(np.int64)


def _place(finding: Finding | None) -> str:
    """What a search finds of a finding: its line, its title."""
    if finding is None:
        return ""
    place = finding.culprit or finding.site
    return f"{place.function} {place.file}:{place.line} {finding.title}".lower() if place else finding.title.lower()


def _order(now: Picture, found: Ints, sort: str) -> Ints:
    """Order of `found`: by the column, ties by state, then by name. What is not told comes last in either direction."""
    name = sort.removeprefix("-")
    turned = -1.0 if sort.startswith("-") else 1.0
    severity = (
        found,
        -np.nan_to_num(now.growth[found]),
        now.left_s[found],
    )  # rows where nothing is wrong stay in place
    rank = now.rank[found]
    if name == "state":
        return np.lexsort((*severity, turned * rank))
    if name == "service" or name == "version" or name.startswith("label:"):
        texts = [_text(now.roster.services[i], name) for i in found.tolist()]
        places = {text: place for place, text in enumerate(sorted(set(texts)))}
        column = np.array([math.nan if not text else places[text] for text in texts])
    else:
        sizes = {
            "instances": np.array([len(s.members) for s in now.roster.services], np.float64),
            "goroutines": -now.goroutines,
            "memory": -now.memory,
            "growth": -now.growth,
            "time-left": np.where(np.isfinite(now.left_s), now.left_s, math.nan),
        }
        column = sizes[name][found] * (-1.0 if name == "instances" else 1.0)
    missing = np.isnan(column)
    return np.lexsort((*severity, rank, np.where(missing, 0.0, turned * np.nan_to_num(column)), missing))


def _text(service: Service, name: str) -> str:
    if name == "service":
        return f"{service.key[0]}\0{service.key[1]}".lower()
    if name == "version":
        return max(service.versions, default="")
    label = name.removeprefix("label:")
    return service.common.get(label) or min((v for m in service.members for k, v in m.labels if k == label), default="")


def _sparks(host: Host, now: Picture, which: Sequence[int]) -> tuple[list[Floats], float]:
    """Goroutines per instance over the last hour of each of these services, and the seconds that is."""
    services = [now.roster.services[i] for i in which]
    times, means = host.kept.past.series([m.id for s in services for m in s.members], now.at - SPARK_S, ("goroutines",))
    if len(times) < 2:
        return [np.empty(0)] * len(services), 0.0
    points = min(SPARK_POINTS, len(times))
    goroutines = means[0].astype(np.float64)
    told_ = ~np.isnan(goroutines)
    starts = np.cumsum([0, *(len(s.members) for s in services)])[:-1]
    total = np.add.reduceat(np.where(told_, goroutines, 0.0), starts, axis=0)
    count = np.add.reduceat(told_.astype(np.float64), starts, axis=0)
    edges = np.arange(points) * len(times) // points
    total, count = np.add.reduceat(total, edges, axis=1), np.add.reduceat(count, edges, axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        return list(np.where(count > 0, total / count, math.nan)), float(now.at - times[0])
