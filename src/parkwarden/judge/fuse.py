"""Findings about the same place become one; then all are ranked, worst first.

Four joins, each stated by the rule it follows: a creation burst takes in the crowds it made; several `go` statements of one library
behind one call of the user's are one finding; both ends of one thing (the read and write loop of a connection) are one finding; a heap
held by the very function that goroutines are stuck in bears both out.
"""

from __future__ import annotations

from parkwarden.model import Evidence, Finding, Frame, Verdict
from parkwarden.stacks.modules import package_of

BORNE_OUT = 0.1
"""Added to the confidence of two findings of different kinds that name the same package; never up to certainty."""

MIN_BORNE_OUT = 0.5
"""What a crowd's confidence is raised to first, when the heap bears it out."""

STREAMING = ("http-connection-not-closed", "child-process-pipe", "io-copy-slow-client")
"""Patterns that hold buffers by their nature, causes last: a child waits because the client does not take what it writes."""

FIRST_CAUSE = 0.05
"""Added to the confidence of the crowd that is named as the cause, so that it comes before its consequences."""

MAX_CONFIDENCE = 0.99
"""What inference may reach; 1.0 is for what the runtime itself states."""

AS_LARGE = 0.9
"""Bursts within a tenth of the largest count as equally large: a trace ends in the middle of a call."""

CRASH_PREFIX = "PW2"


def fuse(findings: list[Finding]) -> list[Finding]:
    """Joined and sorted: verdict, then causes of death, then confidence, then count."""
    joined = _join_bursts(_without_explained(findings))
    joined = _join_ends(_join_calls(joined))
    _bear_out(joined)
    return sorted(joined, key=rank)


def _without_explained(findings: list[Finding]) -> list[Finding]:
    """A crowd in system calls that a leak pattern explains needs no second finding."""
    explained = {f.site.id for f in findings if f.site and f.code.startswith("PW1")}
    return [f for f in findings if not (f.code.startswith("PW4") and f.site and f.site.id in explained)]


def rank(finding: Finding) -> tuple[int, bool, float, int, str, str]:
    """Sort key, worst first: verdict, causes of death, confidence, count; then stable."""
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
                # the numbers count; what the crowd alone looked like is settled by the burst
                burst.evidence += [e for e in crowd.evidence if not e.what.startswith(("why ", "could "))]
                burst.wait_min_s = burst.wait_min_s if burst.wait_min_s is not None else crowd.wait_min_s
                burst.since = burst.since or crowd.since
                rest.remove(crowd)
    return bursts + rest


def _join_calls(findings: list[Finding]) -> list[Finding]:
    """Bursts with the same culprit line come from one call. Among those as large as the largest the one whose `go` statement is in an
    exported function speaks for all: that is the name a person finds in the library's documentation."""
    bursts = [f for f in findings if f.pattern == "constructor-per-request" and f.rate_per_min and f.culprit]
    groups: dict[Frame | None, list[Finding]] = {}
    for burst in bursts:
        groups.setdefault(burst.culprit, []).append(burst)
    out = [f for f in findings if f not in bursts]
    for members in groups.values():
        most = max(f.rate_per_min or 0.0 for f in members)
        as_large = [f for f in members if (f.rate_per_min or 0.0) >= AS_LARGE * most]
        chief = max(as_large, key=lambda f: (_exported(f), f.count or 0))
        for other in members:
            if other is not chief and other.site is not None and other.site.created_by is not None:
                by = other.site.created_by
                per_s = (other.rate_per_min or 0.0) / 60
                where = f"{by.function} ({by.spot})"
                said = f"{other.count:,} goroutines at {per_s:,.0f}/s by {where}"
                more = Evidence(other.evidence[0].source, "the same call also starts", said)
                if more not in chief.evidence:
                    chief.evidence.append(more)
        out.append(chief)
    return out


def _exported(finding: Finding) -> bool:
    frame = finding.site.created_by if finding.site else None
    return frame is not None and frame.function.rpartition(".")[2][:1].isupper()


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
    """Two witnesses of different kinds that name the same package of the user's: each is surer, and says so.

    A crowd that its own numbers could not accuse becomes a suspect when the heap is held in the same package.
    """
    for heap in (f for f in findings if f.pattern == "heap-retained"):
        crowds = [
            f
            for f in findings
            if f.code.startswith("PW1")
            and f.verdict.rank >= Verdict.UNKNOWN.rank
            and _same_package(f.culprit, heap.culprit)
        ]
        for crowd in crowds:
            held = f"{heap.share:.0%} of the heap is held by {heap.culprit.function}" if heap.culprit else "heap held"
            crowd.evidence.append(Evidence(heap.evidence[0].source, "heap in the same package", held))
            crowd.confidence = min(MAX_CONFIDENCE, max(crowd.confidence, MIN_BORNE_OUT) + BORNE_OUT)
            if crowd.verdict is Verdict.UNKNOWN:
                crowd.verdict = Verdict.SUSPECT
        if crowds:
            first = max(
                crowds, key=lambda f: (STREAMING.index(f.pattern) if f.pattern in STREAMING else -1, f.confidence)
            )
            first.confidence = min(MAX_CONFIDENCE, first.confidence + FIRST_CAUSE)
            stuck = f"{first.count:,} goroutines are stuck there ({first.pattern})"
            heap.evidence.append(Evidence(first.evidence[0].source, "goroutines in the same package", stuck))
            heap.title += f", where {stuck.replace(' there', '')}"
            heap.confidence = min(MAX_CONFIDENCE, heap.confidence + BORNE_OUT)


def _same_package(one: Frame | None, two: Frame | None) -> bool:
    """Both in one package of the user's, which for `main` means the same function (all of a small service is main)."""
    if one is None or two is None:
        return False
    package = package_of(one.function)
    if package != package_of(two.function):
        return False
    return package != "main" or one.function.split(".func", 1)[0] == two.function.split(".func", 1)[0]
