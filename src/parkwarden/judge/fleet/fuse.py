"""Signals of many witnesses -> one finding per site and service, and per process where no site explains it.

Rules
- Witnesses of one kind (two counts of the same goroutines) do not bear each other out; witnesses of different kinds do: the
  confidence is the chance that not all kinds are wrong (noisy or), the best of each kind counted once.
- The worst verdict of a witness is the finding's: suspicions add up to confidence, never to a leak. What grows is seen by several
  witnesses at once, and each states its own rate of errors.
- A process whose growth is explained by its sites has no finding of its own: its witnesses are the sites' evidence.
- Numbers (count, rate, time left) are those of the worst instance; all instances are named, worst first.
- A limit is a finding of its own beside the leak that drives it: it says what runs out and when, and its site is who holds it. What waits without a
  deadline is the evidence of the site's finding where there is one, and never makes it surer: both see the same goroutines stay.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache, partial
from operator import is_
from typing import TYPE_CHECKING

from parkwarden.judge.codes import CODES
from parkwarden.judge.fleet import waits_without_deadline
from parkwarden.judge.fleet.time_left import time_left
from parkwarden.judge.fuse import MAX_CONFIDENCE, rank
from parkwarden.judge.grade import ADVICE, grade
from parkwarden.judge.site_leak import when
from parkwarden.model import Cluster, Evidence, Finding, Frame, Instance, ServiceKey, Signal, Site, TimeLeft, Verdict
from parkwarden.model.words import RUNS_OUT, goroutines, percent, within
from parkwarden.stacks import holders
from parkwarden.stacks.culprit import culprit, leak_path
from parkwarden.stacks.patterns import PATTERNS, Pattern, match

if TYPE_CHECKING:
    from parkwarden.aggregate.windows import Windows
    from parkwarden.judge.fleet.rules import Rules

KINDS: Mapping[str, str] = {
    "goroutine-trend": "count",
    "goroutine-excess": "count",
    "blocked-share": "count",
    "gc-pressure": "pressure",
    "heap-jump": "heap",
    "stack-persistence": "standing",
    "site-floor-growth": "growth",
    "load-growth": "load",
    "survivors": "life",
    "close-look": "life",
    "replica-age": "age",
    "new-since-deploy": "deploy",
    "proven-leak": "proof",
    "fd-exhaustion": "limit",
    "thread-exhaustion": "limit",
    "memory-exhaustion": "limit",
    "memory-and-descriptors": "limit",
    "event-loop-health": "probe",
    "waits-without-deadline": "deadline",
}
"""What each detector looks at; detectors of one kind see the same thing."""

LIMITS = frozenset(name for name, kind in KINDS.items() if kind in ("limit", "probe"))
"""Detectors of what runs out: process-wide, whoever holds it."""

LIMIT_OF = {
    "fd-exhaustion": "fd-limit",
    "thread-exhaustion": "thread-limit",
    "memory-exhaustion": "memory-limit",
    "memory-and-descriptors": "fd-limit",
}

HELD_KINDS = {
    "socket": "connections",
    "pipe": "pipes",
    "file": "open files",
    "deleted-file": "deleted temporary files",
    "pidfd": "child processes",
    "inotify": "file watches",
}
"""Kinds of descriptors in words, where no frames say it better; any other is called by its name."""

LIMIT_ADVICE = {
    "fd-exhaustion": "Close what this line opens on every way out. Until then: restart in turns before the time is up; a higher ulimit -n only moves the end.",
    "thread-exhaustion": "Bound what blocks there (a semaphore, a deadline). Until then: restart before the time is up.",
    "memory-exhaustion": "Save a heap profile now (parkwarden watch does) and look who retains. Until then: restart in turns before the kernel does.",
    "memory-and-descriptors": "Look at what holds the descriptors: its buffers are the memory.",
    "event-loop-health": "See what holds the descriptors and the heap (parkwarden fds, parkwarden diagnose). Where this is the service's usual size, set rules: loop:.",
}

SEES_GOROUTINES = frozenset(["life", "proof"])
"""Kinds that tell goroutines apart: their rates come first."""

PROCESS_WIDE = {"goroutine-trend": "goroutines", "goroutine-excess": "goroutines", "blocked-share": "goroutines"}
"""Process-level detectors that are one symptom; any other is its own."""

EXPLAINED = 0.5
"""Share of a process's growth that its accused sites must have for the process to need no finding of its own."""

MAX_INSTANCES = 50
"""Instances named in one finding; a service may have thousands."""

CROWD = 50
"""Goroutines from which a site is a crowd to the atlas."""

MAX_KNOWN = 20_000
"""Sites of which the atlas's answer is remembered."""

CURE = "Find who should have served or ended this wait, and make sure that it does on every way out."
"""Where the atlas knows none."""

SUSPECT_RANK = Verdict.SUSPECT.rank

Ends = Mapping[str, TimeLeft]
"""Instance -> the end its limits' detectors foretell."""

_OWN = frozenset((float, int, type(None)))

MAX_WITNESSES = 24
"""Witnesses' sentences kept in one finding, surest first."""


@dataclass(frozen=True, slots=True)
class Scene:
    """What the fusing needs to know beside the signals; the engine has it."""

    windows: Windows
    site: Callable[[str], Site]
    instance: Callable[[str], Instance]
    modules: Callable[[ServiceKey], tuple[str, ...]]
    """The user's own modules of a service."""
    version_at: Callable[[ServiceKey, float], str]
    """The version of a service that ran at a time."""
    present: Callable[[str], Sequence[tuple[Site, int]]] = lambda _: ()
    """An instance's sites and how many goroutines are there now."""
    told: dict[tuple[ServiceKey, str], _Told] = field(default_factory=dict)
    """What the witnesses of each site said last, put into words."""
    known: dict[tuple[str, bool, bool], _What] = field(default_factory=dict)
    """What was found out about sites, for the next time: neither stack nor modules change often."""


@dataclass(frozen=True)
class _What:
    """What a site is, whatever its numbers are: the atlas's pattern, whose line it is, the way there."""

    site: Site
    modules: tuple[str, ...]
    pattern: Pattern | None
    culprit: Frame | None
    path: tuple[Frame, ...]

    @cached_property
    def where(self) -> str:
        return self.site.where

    @cached_property
    def kind(self) -> str:
        return self.pattern.title if self.pattern else f"goroutines in `{self.site.wait_reason or 'wait'}`"

    @cached_property
    def explanation(self) -> str:
        return f"{self.pattern.meaning} {self.pattern.why}" if self.pattern else ""

    @property
    def cure(self) -> str:
        return self.pattern.cure if self.pattern else CURE


def fuse(signals: Sequence[Signal], scene: Scene, now: float, rules: Rules) -> list[Finding]:
    """Findings, worst first. One per (service, env, site); process-wide ones only where no site explains them."""
    keys: dict[str, ServiceKey] = {}
    places: dict[tuple[ServiceKey, str], list[Signal]] = defaultdict(list)
    processes: dict[tuple[ServiceKey, str], list[Signal]] = defaultdict(list)
    limits: dict[tuple[ServiceKey, str], list[Signal]] = defaultdict(list)
    waits: dict[tuple[ServiceKey, str], list[Signal]] = defaultdict(list)
    for signal in signals:
        key = keys.get(signal.instance)
        if key is None:
            key = keys[signal.instance] = scene.instance(signal.instance).service_key
        if signal.detector in LIMITS:
            limits[key, signal.detector].append(_plain(signal))
        elif signal.site is not None and signal.detector == waits_without_deadline.NAME:
            waits[key, signal.site].append(_plain(signal))
        elif signal.site is not None:
            places[key, signal.site].append(signal)
        else:
            processes[key, PROCESS_WIDE.get(signal.detector, signal.detector)].append(_plain(signal))
    for place in [place for place in scene.told if place not in places]:
        del scene.told[place]
    ends = _ends(limits, now)
    findings = [_place(key, site, said, scene, now, rules, ends) for (key, site), said in places.items()]
    by_service: dict[ServiceKey, list[Finding]] = defaultdict(list)
    for (key, _), finding in zip(places, findings, strict=True):
        by_service[key].append(finding)
    for (key, name), said in processes.items():
        rest = _unexplained(said, by_service[key], scene, now, rules, ends) if name == "goroutines" else said
        if not rest or (name == "gc-pressure" and (key, "goroutines") in processes):
            continue  # pressure beside growth is a co-signal of that growth, not a second finding
        beside = processes.get((key, "gc-pressure"), []) if name == "goroutines" else []
        findings.append(_process(key, name, rest, beside, scene, now, rules, ends))
    findings += [_limit(key, name, said, scene, now) for (key, name), said in limits.items()]
    known = dict(zip(places, findings, strict=False))
    for place, said in waits.items():
        if place in known:
            known[place].evidence += _evidence(said)
        else:
            findings.append(_wait(*place, said, scene, now))
    return sorted(findings, key=rank)


def _plain(signal: Signal) -> Signal:
    """Python's own numbers for NumPy's: findings are stored and sent."""
    numbers = (signal.confidence, signal.rate_per_min, signal.since, signal.count)
    if _OWN.issuperset(map(type, numbers)):
        return signal
    return replace(
        signal,
        confidence=float(signal.confidence),
        rate_per_min=None if signal.rate_per_min is None else float(signal.rate_per_min),
        since=None if signal.since is None else float(signal.since),
        count=None if signal.count is None else int(signal.count),
    )


def _place(
    key: ServiceKey, site_id: str, said: Sequence[Signal], scene: Scene, now: float, rules: Rules, ends: Ends
) -> Finding:
    """One site's finding. What its witnesses told stands while they, the site and the instances are the same; the present is added."""
    known = scene.told.get((key, site_id))
    if known is None or not known.stands(key, site_id, said, scene):
        known = scene.told[key, site_id] = _tell(key, site_id, said, scene)
    total = scene.windows.last(known.worst, "goroutines")
    return known.finding(
        share=min(known.count / total, 1.0) if known.count and total > 0 else None,
        evidence=list(known.evidence),
        last_seen=now,
        time_left=_left(known.worst, known.since, known.rate, scene, now, rules, ends),
    )


@dataclass(frozen=True, slots=True)
class _Told:
    """One site's finding as far as its witnesses tell it, and what it was told of."""

    said: Sequence[Signal]
    what: _What
    accused: list[Instance]
    version: str
    worst: str
    count: int | None
    rate: float | None
    since: float | None
    proven: bool
    evidence: list[Evidence]
    finding: Callable[..., Finding]

    def stands(self, key: ServiceKey, site_id: str, said: Sequence[Signal], scene: Scene) -> bool:
        """Whether nothing it was told of has changed."""
        return (
            len(said) == len(self.said)
            and all(map(is_, said, self.said))
            and _what(scene.site(site_id), scene, scene.modules(key), self.count or 0, self.proven) is self.what
            and all(scene.instance(instance.id) is instance for instance in self.accused)
            and _version(key, self.since, scene) == self.version
        )


def _tell(key: ServiceKey, site_id: str, witnesses: Sequence[Signal], scene: Scene) -> _Told:
    said = [_plain(signal) for signal in witnesses]
    site = scene.site(site_id)
    worst, verdict, confidence, instances = _weigh(said)
    of_worst = [s for s in said if s.instance == worst]
    rate = _rate(of_worst)
    since = min((s.since for s in said if s.since is not None), default=None)
    count = max((s.count for s in of_worst if s.count is not None), default=None)
    proven = any(s.detector == "proven-leak" for s in said)
    what = _what(site, scene, scene.modules(key), count or 0, proven)
    pattern = what.pattern
    version = _version(key, since, scene)
    finding = partial(
        Finding,
        code=pattern.code if pattern else "PW100",
        verdict=verdict,
        confidence=confidence,
        title=f"{what.kind}: {goroutines(count or 0)} at {what.where}",
        pattern=pattern.id if pattern else "goroutine-leak",
        service=key[0],
        instance=instances[0] if len(instances) == 1 else None,
        instances=tuple(instances[:MAX_INSTANCES]),
        labels=_labels(instances, scene),
        site=site,
        culprit=what.culprit,
        count=count,
        rate_per_min=rate,
        since=_when(since),
        since_version=version,
        advice="\n\n".join(part for part in (ADVICE[grade(rate)], what.cure) if part),
        explanation=what.explanation,
        grade=grade(rate),
        path=what.path,
    )
    accused = [scene.instance(name) for name in instances[:MAX_INSTANCES]]
    return _Told(witnesses, what, accused, version, worst, count, rate, since, proven, _evidence(said), finding)


_when = lru_cache(4096)(when)
"""Growth begins once and is told every minute."""


def _version(key: ServiceKey, since: float | None, scene: Scene) -> str:
    return "" if since is None else scene.version_at(key, since)


def _process(
    key: ServiceKey,
    name: str,
    said: Sequence[Signal],
    beside: Sequence[Signal],
    scene: Scene,
    now: float,
    rules: Rules,
    ends: Ends,
) -> Finding:
    worst, verdict, confidence, instances = _weigh(
        [*said, *(s for s in beside if s.instance in {x.instance for x in said})]
    )
    chief = max((s for s in said if s.instance == worst), key=lambda s: (s.verdict.rank, s.confidence), default=said[0])
    rate = _rate([s for s in said if s.instance == worst])
    since = min((s.since for s in said if s.since is not None), default=None)
    code = CODES.get(chief.code)
    return Finding(
        code=chief.code,
        verdict=verdict,
        confidence=confidence,
        title=chief.text,
        pattern=chief.detector,
        service=key[0],
        instance=instances[0] if len(instances) == 1 else None,
        instances=tuple(instances[:MAX_INSTANCES]),
        labels=_labels(instances, scene),
        count=chief.count,
        rate_per_min=rate,
        since=when(since),
        since_version=_version(key, since, scene),
        advice=ADVICE[grade(rate)] if name == "goroutines" else "",
        explanation=code.text if code else "",
        evidence=_evidence([*said, *beside]),
        grade=grade(rate),
        last_seen=now,
        time_left=_left(worst, since, rate, scene, now, rules, ends),
    )


def _limit(key: ServiceKey, name: str, said: Sequence[Signal], scene: Scene, now: float) -> Finding:
    """What runs out, when, and who holds it, by the worst instance."""
    worst, verdict, confidence, instances = _weigh(said)
    chief = next(s for s in said if s.instance == worst)
    site = scene.site(chief.site) if chief.site else None
    modules = scene.modules(key)
    what = _what(site, scene, modules, chief.count or 0, False) if site is not None else None
    line = holders.holder_line(site, modules, scene.present(worst)) if site is not None else None
    left = _limit_left(name, chief, now)
    since = min((s.since for s in said if s.since is not None), default=None)
    return Finding(
        code=chief.code,
        verdict=verdict,
        confidence=confidence,
        title=_limit_title(name, chief, left) + _held_by(name, chief, site, line),
        pattern=name,
        service=key[0],
        instance=instances[0] if len(instances) == 1 else None,
        instances=tuple(instances[:MAX_INSTANCES]),
        labels=_labels(instances, scene),
        site=site,
        culprit=line,
        path=what.path if what is not None else (),
        count=chief.count,
        share=chief.numbers.get("share"),
        rate_per_min=chief.rate_per_min,
        since=_when(since),
        since_version=_version(key, since, scene),
        advice="\n\n".join(p for p in (LIMIT_ADVICE[name], what.pattern.cure if what and what.pattern else "") if p),
        explanation=CODES[chief.code].text,
        evidence=_evidence(said),
        last_seen=now,
        time_left=left,
    )


def _limit_left(name: str, chief: Signal, now: float) -> TimeLeft | None:
    n = chief.numbers
    if "left_s" not in n:
        return None
    return TimeLeft(
        limit="memory-limit" if n.get("of_memory") else LIMIT_OF[name],
        at=now,
        seconds=n["left_s"],
        low_s=n["left_low_s"],
        high_s=n["left_high_s"],
        value=n["value"],
        limit_value=n["limit"],
        rate_per_s=n["rate_per_s"],
    )


def _limit_title(name: str, chief: Signal, left: TimeLeft | None) -> str:
    """`file descriptors run out in 41 min (25-70)`, or how full it is."""
    if name == "event-loop-health":
        return chief.text
    if left is None and name != "memory-and-descriptors":
        return chief.text.partition(";")[0]
    together = "memory and file descriptors get tight together" if name == "memory-and-descriptors" else ""
    if left is None:
        n = chief.numbers
        return f"{together}: {percent(n['fd_share'])} of the descriptors, {percent(n['memory_share'])} of the memory"
    runs = RUNS_OUT[left.limit]
    when_ = f"{runs} in {within(left.seconds, left.low_s, left.high_s)}" if left.seconds > 0 else f"{runs} now"
    return f"{together}: {when_}" if together else when_


def _held_by(name: str, chief: Signal, site: Site | None, line: Frame | None) -> str:
    """`, held by os/exec pipes from main.transcode main.go:88`."""
    kind = _kind(chief)
    if site is None:
        return f", held by {HELD_KINDS.get(kind, kind)}" if kind else ""
    frame = line or Frame(site.function, site.file, site.line)
    where = f"{frame.function} {frame.spot}" if frame.function else f"site {site.id}"
    if name == "memory-exhaustion":
        return f", beside growing goroutines of {where}"
    if name == "thread-exhaustion":
        return f", held by system calls from {where}"
    return f", held by {holders.describe(site) or HELD_KINDS.get(kind, kind) or 'what is opened'} from {where}"


def _kind(chief: Signal) -> str:
    """The kind of descriptor that grows most; the most numerous one where they stand."""
    by = "_per_min" if chief.rate_per_min else "_open"
    told = {key.removesuffix(by): n for key, n in chief.numbers.items() if key.endswith(by)}
    best = max(told, key=lambda kind: told[kind], default="")
    return best if best and told[best] > 0 else ""


def _wait(key: ServiceKey, site_id: str, said: Sequence[Signal], scene: Scene, now: float) -> Finding:
    """A site of which nothing else is said: its goroutines wait without a deadline."""
    worst, verdict, confidence, instances = _weigh(said)
    count = max((s.count or 0 for s in said if s.instance == worst), default=0)
    site = scene.site(site_id)
    what = _what(site, scene, scene.modules(key), count, False)
    pattern = PATTERNS["io-without-deadline"]
    return Finding(
        code=said[0].code,
        verdict=verdict,
        confidence=confidence,
        title=f"waits without a deadline: {goroutines(count)} at {what.where}",
        pattern=said[0].detector,
        service=key[0],
        instance=instances[0] if len(instances) == 1 else None,
        instances=tuple(instances[:MAX_INSTANCES]),
        labels=_labels(instances, scene),
        site=site,
        culprit=what.culprit,
        path=what.path,
        count=count,
        advice=pattern.cure,
        explanation=f"{pattern.meaning} {pattern.why}",
        evidence=_evidence(said),
        last_seen=now,
    )


def _weigh(said: Sequence[Signal]) -> tuple[str, Verdict, float, list[str]]:
    """The worst instance, the verdict and confidence over all witnesses, the instances worst first."""
    by_instance: dict[str, list[Signal]] = defaultdict(list)
    for signal in said:
        by_instance[signal.instance].append(signal)
    if len(by_instance) == 1:
        return said[0].instance, *_verdict(said), [said[0].instance]
    judged = {name: _verdict(signals) for name, signals in by_instance.items()}
    most = {name: max((s.count or 0 for s in signals), default=0) for name, signals in by_instance.items()}
    order = sorted(judged, key=lambda n: (-judged[n][0].rank, -round(judged[n][1], 2), -most[n], n))
    worst = order[0]
    accused = [n for n in order if judged[n][0].rank >= Verdict.SUSPECT.rank] or order
    return worst, *judged[worst], accused


def _verdict(said: Sequence[Signal]) -> tuple[Verdict, float]:
    """Verdict and confidence of one instance's witnesses; see the module's rules."""
    best: dict[str, float] = {}
    verdict = said[0].verdict
    for signal in said:
        if signal.verdict.rank > verdict.rank:
            verdict = signal.verdict
        if signal.verdict.rank >= SUSPECT_RANK:
            kind = KINDS.get(signal.detector, signal.detector)
            best[kind] = max(best.get(kind, 0.0), signal.confidence)
    doubt = 1.0
    for confidence in best.values():
        doubt *= 1.0 - min(confidence, 1.0)
    top = 1.0 if best.get("proof", 0.0) >= 1.0 else MAX_CONFIDENCE
    return verdict, round(min(1.0 - doubt, top), 3)


def _rate(said: Sequence[Signal]) -> float | None:
    """Net growth a minute by the witness that knows best: one that saw single goroutines, else the surest."""
    told = [s for s in said if s.rate_per_min is not None]
    if not told:
        return None
    chief = max(told, key=lambda s: (KINDS.get(s.detector) in SEES_GOROUTINES and bool(s.rate_per_min), s.confidence))
    return chief.rate_per_min


def _unexplained(
    said: Sequence[Signal], places: Sequence[Finding], scene: Scene, now: float, rules: Rules, ends: Ends
) -> list[Signal]:
    """Process-wide signals of instances whose accused sites do not account for the growth; the others become evidence there.

    A site accused by proof alone has no rate of its own yet: where most goroutines of the process are its own, the process's growth is.
    The process-wide count is a witness of another kind than the site's, so the site's finding is surer by it.
    """
    rest = []
    folded: dict[str, list[Signal]] = defaultdict(list)
    chiefs: dict[str, Finding] = {}
    for signal in said:
        here = [f for f in places if signal.instance in f.instances and f.verdict.rank >= Verdict.SUSPECT.rank]
        grown = sum(f.rate_per_min or 0.0 for f in here)
        chief = next((f for f in here if f.rate_per_min is None and (f.share or 0.0) >= EXPLAINED), None)
        if here and grown and grown >= EXPLAINED * (signal.rate_per_min or 0.0):
            chief = here[0]
        elif chief is not None and signal.rate_per_min is not None:
            chief.rate_per_min, chief.grade = signal.rate_per_min, grade(signal.rate_per_min)
            chief.time_left = _left(signal.instance, signal.since, signal.rate_per_min, scene, now, rules, ends)
        if chief is None or chief.site is None:
            rest.append(signal)
        else:
            chiefs[chief.site.id] = chief
            folded[chief.site.id].append(signal)
    for site_id, signals in folded.items():
        chief = chiefs[site_id]
        chief.evidence += [e for e in _evidence(signals) if e not in chief.evidence]
        doubt = (1.0 - chief.confidence) * (1.0 - max(s.confidence for s in signals))
        chief.confidence = round(max(chief.confidence, min(1.0 - doubt, MAX_CONFIDENCE)), 3)
    return rest


def _evidence(said: Sequence[Signal]) -> list[Evidence]:
    ordered = sorted(said, key=lambda s: (-s.verdict.rank, -s.confidence, s.detector, s.instance))
    return [Evidence(s.instance, s.detector, s.text) for s in ordered[:MAX_WITNESSES]]


def _left(
    worst: str, since: float | None, rate: float | None, scene: Scene, now: float, rules: Rules, ends: Ends
) -> TimeLeft | None:
    """The limits' own forecast where there is one: its interval was checked on real services, that of `time_left` is too narrow."""
    budget = scene.instance(worst).goroutine_budget
    if worst in ends and not (budget or rules.time_left.goroutine_budget):
        return ends[worst]
    return time_left(
        scene.windows, worst, now, rules.time_left, since=since, rate_per_min=rate or 0.0, goroutine_budget=budget
    )


def _ends(limits: Mapping[tuple[ServiceKey, str], Sequence[Signal]], now: float) -> Ends:
    """By instance the limit that is reached first, of those on the way to one."""
    ends: dict[str, TimeLeft] = {}
    for (_, name), said in limits.items():
        for signal in said:
            left = _limit_left(name, signal, now)
            if left is not None and (signal.instance not in ends or left.seconds < ends[signal.instance].seconds):
                ends[signal.instance] = left
    return ends


def _labels(instances: Sequence[str], scene: Scene) -> dict[str, str]:
    """Labels all the instances agree on."""
    if len(instances) == 1:
        return dict(sorted(scene.instance(instances[0]).labels.items()))
    sets = [set(scene.instance(name).labels.items()) for name in instances[:MAX_INSTANCES]]
    return dict(sorted(set.intersection(*sets))) if sets else {}


def _what(site: Site, scene: Scene, modules: tuple[str, ...], count: int, proven: bool) -> _What:
    """The site as the atlas reads it; asked anew where the site, the user's modules or the kind of evidence changed."""
    key = (site.id, count >= CROWD, proven)
    known = scene.known.get(key)
    if known is None or known.site is not site or known.modules != modules:
        if len(scene.known) >= MAX_KNOWN:
            scene.known.clear()
        leaked = count if proven else 0
        cluster = Cluster(site=site, count=count, share=0.0, counts=(count,), members=(site.id,), leaked=leaked)
        best = next(iter(match(cluster)), None)
        pattern = best.pattern if best else None
        known = _What(site, modules, pattern, culprit(site, modules), leak_path(site, modules))
        scene.known[key] = known
    return known
