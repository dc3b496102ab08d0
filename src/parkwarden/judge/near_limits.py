"""Limits in one look: descriptors, threads and memory beside what they may be, and who holds the descriptors.

Watches what the host tells of the process (`Case.local`), else the number pages among the inputs. One look shows no growth: `tight` from the same share on as
the fleet's detectors (judge/fleet/*_exhaustion.py), `exhausting` only where the next one is refused already; memory and descriptors both tight is one finding
of its own, surer than either. The holder is the site whose goroutines account for most descriptors (stacks/holding.py), where the host told their
kinds; else the crowd whose frames say that it holds some.
Blind: limits nobody told; a look just before or after a burst.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from parkwarden.judge.codes import CODES
from parkwarden.judge.fleet import fd_exhaustion, memory_and_descriptors, memory_exhaustion, thread_exhaustion
from parkwarden.judge.fleet.fuse import LIMIT_ADVICE
from parkwarden.judge.fleet.nearing import REFUSED
from parkwarden.judge.fleet.time_left import NO_LIMIT, THREAD_LIMIT
from parkwarden.model import Case, Cluster, Evidence, Finding, Frame, Site, Verdict
from parkwarden.model.words import percent, size
from parkwarden.stacks.culprit import leak_path
from parkwarden.stacks.holders import describe, holder_line, holds
from parkwarden.stacks.holding import Standing, explain

TIGHT = 0.6
"""Confidence of one number that is near its limit."""
SURE = 0.95
"""Of one that is at it: it was read."""
MIN_HELD = 0.1
"""Share of the open descriptors that a crowd must account for to be named: fewer hold them by chance."""
HOST = "the host (/proc)"
_Told: TypeAlias = tuple[int | None, int | None, str]
"""Used, limit, who says so."""


@dataclass(frozen=True, slots=True)
class _Use:
    """One limit of one look."""

    code: str
    name: str
    used: float
    limit: float
    source: str
    tight_share: float
    said: str

    @property
    def share(self) -> float:
        return self.used / self.limit

    @property
    def full(self) -> bool:
        return self.share >= REFUSED and self.name != memory_exhaustion.NAME  # Go stands at GOMEMLIMIT and lives


def judge(case: Case) -> list[Finding]:
    """A finding for each limit that is near, and one where memory and descriptors are near together."""
    near = [use for use in (_files(case), _threads(case), _memory(case)) if use and use.share >= use.tight_share]
    held = _holder(case) if any(use.name == fd_exhaustion.NAME for use in near) else None
    found = [_finding(use, case, held if use.name == fd_exhaustion.NAME else None) for use in near]
    both = [use for use in near if use.name in (fd_exhaustion.NAME, memory_exhaustion.NAME) and not use.full]
    if len(both) == 2:
        found.append(_together(both, found[0]))
    return found


def _files(case: Case) -> _Use | None:
    told: list[_Told] = [
        (a.reading.open_fds, a.reading.max_fds, a.name) for a in case.artefacts if a.reading is not None
    ]
    if case.local is not None:
        told.append((case.local.open_fds, case.local.max_fds, HOST))
    return _fullest(
        fd_exhaustion.CODE, fd_exhaustion.NAME, told, fd_exhaustion.FdRule().tight_share, "file descriptors are open"
    )


def _threads(case: Case) -> _Use | None:
    told: list[_Told] = [
        (a.reading.threads, min(a.reading.max_threads or THREAD_LIMIT, THREAD_LIMIT), a.name)
        for a in case.artefacts
        if a.reading is not None
    ]
    if case.local is not None:
        told.append((case.local.threads, min(case.local.max_threads or THREAD_LIMIT, THREAD_LIMIT), HOST))
    share = thread_exhaustion.ThreadRule().tight_share
    return _fullest(thread_exhaustion.CODE, thread_exhaustion.NAME, told, share, "threads are there")


def _memory(case: Case) -> _Use | None:
    told: list[_Told] = [
        (r.rss if r.mem_used is None else r.mem_used, r.mem_limit, a.name)
        for a in case.artefacts
        if (r := a.reading) is not None and r.mem_limit is not None and r.mem_limit < NO_LIMIT
    ]
    if case.local is not None and case.local.cgroup is not None:
        told.append((case.local.cgroup.mem_used, case.local.cgroup.mem_limit, HOST))
    share = memory_exhaustion.MemoryRule().tight_share
    return _fullest(memory_exhaustion.CODE, memory_exhaustion.NAME, told, share, "of memory are used")


def _fullest(code: str, name: str, told: list[_Told], tight_share: float, said: str) -> _Use | None:
    uses = [
        _Use(code, name, float(used), float(limit), src, tight_share, said)
        for used, limit, src in told
        if used and limit
    ]
    return max(uses, key=lambda use: use.share, default=None)


def _finding(use: _Use, case: Case, held: tuple[Site, str, Frame | None] | None) -> Finding:
    shown = size if use.name == memory_exhaustion.NAME else _whole
    title = f"{shown(use.used)} of {shown(use.limit)} {use.said} ({percent(use.share)})"
    if use.full:
        title = f"{CODES[use.code].title.replace(' run out', ' have run out')}: {title}"
    if held is not None:
        site, words, line = held
        frame = line or Frame(site.function, site.file, site.line)
        title += f", held by {words} from {frame.function} {frame.spot}"
    kinds = case.local.kinds if case.local is not None and use.name == fd_exhaustion.NAME else None
    evidence = [Evidence(use.source, use.name, f"{shown(use.used)} of {shown(use.limit)}")]
    if kinds:
        by = sorted(kinds.items(), key=lambda item: -item[1])
        evidence.append(Evidence(HOST, "descriptors by kind", ", ".join(f"{kind} {n:,}" for kind, n in by if n)))
    return Finding(
        code=use.code,
        verdict=Verdict.EXHAUSTING if use.full else Verdict.TIGHT,
        confidence=SURE if use.full else TIGHT,
        title=title,
        pattern=use.name,
        site=held[0] if held else None,
        culprit=held[2] if held else None,
        path=leak_path(held[0], case.user_modules) if held else (),
        count=None if use.name == memory_exhaustion.NAME else int(use.used),
        share=min(use.share, 1.0),
        advice=LIMIT_ADVICE[use.name],
        explanation=CODES[use.code].text,
        evidence=evidence,
    )


def _whole(n: float) -> str:
    return f"{n:,.0f}"


def _together(both: list[_Use], files: Finding) -> Finding:
    shares = " and ".join(
        f"{percent(use.share)} of the {'descriptors' if use.name == fd_exhaustion.NAME else 'memory'}" for use in both
    )
    return Finding(
        code=memory_and_descriptors.CODE,
        verdict=Verdict.TIGHT,
        confidence=memory_and_descriptors.TogetherRule().confidence,
        title=f"memory and file descriptors are tight together: {shares}",
        pattern=memory_and_descriptors.NAME,
        site=files.site,
        culprit=files.culprit,
        count=files.count,
        advice=LIMIT_ADVICE[memory_and_descriptors.NAME],
        explanation=CODES[memory_and_descriptors.CODE].text,
        evidence=[Evidence(use.source, use.name, percent(use.share)) for use in both],
    )


def _holder(case: Case) -> tuple[Site, str, Frame | None] | None:
    """Who holds most descriptors: the site, what it holds in words, the user's line."""
    counts = [(cluster.site, cluster.count) for cluster in case.clusters]
    if case.local is not None and case.local.kinds:
        sites = [Standing(c.site, c.count, c.counts[0] if len(c.counts) > 1 else None) for c in case.clusters]
        kinds = {kind: (n, None) for kind, n in case.local.kinds.items()}
        holders, _ = explain(sites, kinds, case.user_modules)
        most = holders[0] if holders else None
        if most is not None and most.descriptors >= MIN_HELD * sum(case.local.kinds.values()):
            return most.site, most.words, most.line
        return None
    crowd = max((c for c in case.clusters if holds(c.site)), key=_number, default=None)
    files = _files(case)
    if crowd is None or files is None or crowd.count < MIN_HELD * files.used:
        return None
    return crowd.site, describe(crowd.site), holder_line(crowd.site, case.user_modules, counts)


def _number(cluster: Cluster) -> int:
    return cluster.count
