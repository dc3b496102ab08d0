"""A library's `go` statement that runs once per request instead of once: who in the user's code built the owner again and again.

Watches the creations of execution traces. Input: `Trace.creations` (call chain of the `go` statement, count, alive at the end). A
library constructor that starts a background goroutine belongs at start-up; under a request handler it leaves one goroutine behind per
request. Verdict `leak` when many were created, and nearly all of them still live when the trace ends; `suspect` when about half do.

Blind spots: owners that are closed only after the trace's end; constructors in the user's own module are judged by the atlas.
Source: runtime/traceevent.go (GoCreate).
"""

from __future__ import annotations

from parkwarden.model import Artefact, Case, Evidence, Finding, Frame, Grade, Site, Stack, Verdict
from parkwarden.stacks.culprit import PerRequest, constructor_per_request
from parkwarden.stacks.normalise import site_of
from parkwarden.stacks.patterns import PATTERNS

MIN_ALIVE = 50
"""Of those created during the trace, still there at its end. Lower: a start-up burst is blamed."""

LEAK_ALIVE_SHARE = 0.9
"""Share alive at the end for `leak`: workers that end with their request are gone by then."""

SUSPECT_ALIVE_SHARE = 0.5
"""The same for `suspect`: half of them ended, so they can end; the others may belong to requests still running."""

MAX_FINDINGS = 8
"""Distinct `go` statements reported per trace."""

PATTERN = "constructor-per-request"


def judge(case: Case) -> list[Finding]:
    """One finding per library `go` statement that made a crowd which stayed."""
    findings = []
    for artefact in case.artefacts:
        trace = artefact.trace
        if trace is None:
            continue
        for found in constructor_per_request(trace.creations, case.user_modules, trace.duration_s)[:MAX_FINDINGS]:
            share = found.alive / found.count
            if found.alive >= MIN_ALIVE and share >= SUSPECT_ALIVE_SHARE:
                findings.append(_finding(artefact, case, found, share))
    return findings


def _finding(artefact: Artefact, case: Case, found: PerRequest, alive: float) -> Finding:
    leak = alive >= LEAK_ALIVE_SHARE
    site = _site(case, found)
    pattern = PATTERNS[PATTERN]
    total = case.looks[-1].snapshot.total if case.looks else 0
    count = max(found.alive, _standing(case, site))
    evidence = [
        Evidence(
            artefact.name,
            "created",
            f"{found.count:,} goroutines at {found.per_s:,.0f}/s (peak {found.peak_per_s:,.0f}/s)",
        ),
        Evidence(artefact.name, "alive at the end", f"{found.alive:,} ({alive:.0%})"),
        Evidence(artefact.name, "creating line", f"{found.creating.function} ({_at(found.creating)})"),
        Evidence(
            artefact.name, "called from", "; ".join(f"{f.function} ({_at(f)}) x {n:,}" for f, n in found.callers[:3])
        ),
    ]
    if found.entry is not None:
        evidence.append(Evidence(artefact.name, "request enters at", f"{found.entry.function} ({_at(found.entry)})"))
    return Finding(
        code=pattern.code,
        verdict=Verdict.LEAK if leak else Verdict.SUSPECT,
        confidence=min(0.97, 0.6 + 0.4 * alive) if leak else 0.5,
        title=f"{found.per_s:,.0f} goroutines/s by {found.creating.function}, built again and again by {found.caller.function}",
        pattern=PATTERN,
        site=site,
        culprit=found.caller,
        count=count,
        share=min(1.0, count / total) if total else None,
        rate_per_min=found.per_s * 60,
        since=None,
        advice=f"{found.caller.function} builds what {found.module} means to be built once: build it at start-up and share it, or close "
        f"it when the request ends.\n\n{pattern.cure}",
        explanation=pattern.why,
        evidence=evidence,
        grade=Grade.RED,
        path=(*found.path, *[f for f in reversed(site.frames) if f not in found.path]),
    )


def _site(case: Case, found: PerRequest) -> Site:
    """The crowd's own site if a snapshot shows it, else the start function as a site of its own."""
    for cluster in case.clusters:
        if cluster.site.frames and cluster.site.frames[-1].function == found.start.function:
            return Site(
                id=cluster.site.id,
                wait_reason=cluster.site.wait_reason,
                function=cluster.site.function,
                file=cluster.site.file,
                line=cluster.site.line,
                frames=cluster.site.frames,
                created_by=found.creating,
            )
    return site_of(Stack((found.start,), created_by=found.creating), "")


def _standing(case: Case, site: Site) -> int:
    return next((c.count for c in case.clusters if c.site.id == site.id), 0)


def _at(frame: Frame) -> str:
    return frame.spot
