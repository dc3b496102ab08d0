"""Findings about the same place become one; then all are ranked, worst first.

Three joins, each stated by the rule it follows: a creation burst takes in the crowds it made; both ends of one thing (the read and
write loop of a connection) are one finding; a heap held by the very function that goroutines are stuck in bears both out.
"""

from __future__ import annotations

from dataclasses import replace

from parkwarden.model import Evidence, Finding, Frame, Verdict

BORNE_OUT = 0.1
"""Added to the confidence of two findings of different kinds that name the same function; never up to certainty."""

MAX_CONFIDENCE = 0.99
"""What inference may reach; 1.0 is for what the runtime itself states."""

CRASH_PREFIX = "PW2"


def fuse(findings: list[Finding]) -> list[Finding]:
    """Joined and sorted: verdict, then causes of death, then confidence, then count."""
    joined = _join_bursts(_without_explained(findings))
    joined = _join_ends(joined)
    _bear_out(joined)
    return sorted(joined, key=_rank)


def _without_explained(findings: list[Finding]) -> list[Finding]:
    """A crowd in system calls that a leak pattern explains needs no second finding."""
    explained = {f.site.id for f in findings if f.site and f.code.startswith("PW1")}
    return [f for f in findings if not (f.code.startswith("PW4") and f.site and f.site.id in explained)]


def _rank(finding: Finding) -> tuple[int, bool, float, int, str, str]:
    return (
        -finding.verdict.rank,
        not finding.code.startswith(CRASH_PREFIX),
        -round(finding.confidence, 2),
        -(finding.count or 0),
        finding.code,
        finding.site.id if finding.site else "",
    )


def _creating(finding: Finding) -> tuple[str, int] | None:
    """The `go` statement, by function and line."""
    frame = finding.site.created_by if finding.site else None
    return (frame.function, frame.line) if frame else None


def _entry(finding: Finding) -> str | None:
    return finding.site.frames[-1].function if finding.site and finding.site.frames else None


def _join_bursts(findings: list[Finding]) -> list[Finding]:
    """A crowd whose creating statement (or, where that is not told, whose entry function) a burst names belongs to it."""
    bursts = [f for f in findings if f.pattern == "constructor-per-request" and f.rate_per_min]
    rest = [f for f in findings if f not in bursts]
    for burst in bursts:
        for crowd in list(rest):
            same = _creating(crowd) == _creating(burst) if _creating(crowd) else _entry(crowd) == _entry(burst)
            if crowd.code.startswith("PW1") and same:
                burst.evidence += crowd.evidence
                burst.wait_min_s = burst.wait_min_s if burst.wait_min_s is not None else crowd.wait_min_s
                burst.since = burst.since or crowd.since
                rest.remove(crowd)
    return bursts + rest


def _join_ends(findings: list[Finding]) -> list[Finding]:
    """Same pattern, same creating function, same culprit: the ends of one thing; the larger speaks for both."""
    out: list[Finding] = []
    by_key: dict[tuple[str | None, str, Frame | None], Finding] = {}
    for finding in sorted(findings, key=lambda f: (-f.verdict.rank, -(f.count or 0))):
        creating = finding.site.created_by.function if finding.site and finding.site.created_by else None
        key = (finding.pattern, creating or "", finding.culprit)
        first = by_key.get(key) if creating and finding.code.startswith("PW1") else None
        if first is None:
            by_key[key] = finding
            out.append(finding)
        elif finding.site is not None:
            where = f"{finding.site.function} ({finding.site.file.rsplit('/', 1)[-1]}:{finding.site.line})"
            first.evidence.append(
                Evidence(finding.evidence[0].source, "its other end", f"{finding.count:,} at {where}")
            )
            first.evidence += [e for e in finding.evidence if e.source not in {x.source for x in first.evidence}]
    return out


def _bear_out(findings: list[Finding]) -> None:
    for i, finding in enumerate(findings):
        for other in findings[i + 1 :]:
            kinds = finding.code[:3] != other.code[:3]
            both = finding.verdict.rank >= Verdict.SUSPECT.rank and other.verdict.rank >= Verdict.SUSPECT.rank
            if kinds and both and finding.culprit and other.culprit and _same_place(finding.culprit, other.culprit):
                for one, two in ((finding, other), (other, finding)):
                    one.confidence = max(one.confidence, min(MAX_CONFIDENCE, one.confidence + BORNE_OUT))
                    one.evidence.append(replace(two.evidence[0], what=f"{two.code} names {two.culprit.function} too"))  # type: ignore[union-attr]


def _same_place(one: Frame, two: Frame) -> bool:
    """The same function, closures within it included."""
    a, b = one.function.split(".func", 1)[0], two.function.split(".func", 1)[0]
    return a == b
