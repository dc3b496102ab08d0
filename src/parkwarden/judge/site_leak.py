"""Goroutines that never leave one place: every cluster of the case, accused or acquitted.

Watches the clusters over all looks. The atlas says what kind of wait it is, the numbers whether it is a leak (both live in
`stacks/patterns`); this module puts it into words a person can act on: which line, whose code, how many, since when, how fast, what to do.

Verdicts: `leak` and `suspect` as accused; `unknown` for crowds that the looks cannot tell from a standing crew (said, since a second
look would); acquitted clusters are silent. Cost of being wrong: see docs/decisions/0004-verdicts.md.
"""

from __future__ import annotations

from datetime import UTC, datetime

from parkwarden.judge.grade import ADVICE, grade
from parkwarden.model import Case, Cluster, Evidence, Finding, Look, Source, Verdict
from parkwarden.model.words import goroutines
from parkwarden.stacks.cluster import Grouping
from parkwarden.stacks.culprit import culprit, leak_path
from parkwarden.stacks.libraries import Library
from parkwarden.stacks.patterns import SPIN_MIN, Accusation, Excerpt, Match, PatternContext, accuse, contexts, match

MAX_UNKNOWN = 5
"""Crowds reported as `unknown`, largest first: more would bury the verdict."""

MIN_UNKNOWN = 50
"""Goroutines of a crowd worth mentioning, as many as accuse: fewer that cannot be told from a crew are noise."""

MAX_FINDINGS = 100
"""Accused sites reported; a process with more has one cause behind most of them."""

GENERIC = frozenset(
    ["select-without-exit", "receive-never-closed", "range-never-closed", "send-without-receiver", "context-not-passed"]
)
"""Patterns that say only how a library's goroutine waits; whose it is says more."""


def judge(case: Case, grouping: Grouping, excerpt: Excerpt | None = None) -> list[Finding]:
    """One finding per cluster that is accused, and a few that cannot be told; most goroutines first.

    `excerpt`: blocked frame -> its source, or None; see `stacks.patterns.contexts`.
    """
    known = contexts(case, grouping, excerpt)
    accused: list[Finding] = []
    unknown: list[Finding] = []
    for cluster in case.clusters:
        context = known.get(cluster.site.id, PatternContext())
        accusation = accuse(cluster, context)
        if accusation.verdict.rank >= Verdict.SUSPECT.rank and len(accused) < MAX_FINDINGS:
            accused.append(_finding(case, cluster, context, accusation))
        elif accusation.verdict is Verdict.UNKNOWN and _worth_saying(cluster) and len(unknown) < MAX_UNKNOWN:
            unknown.append(_finding(case, cluster, context, accusation))
    return accused + unknown


def _worth_saying(cluster: Cluster) -> bool:
    """A crowd, or a handful that each take a processor."""
    busy = cluster.states["running"] + cluster.states["runnable"]
    return cluster.count >= MIN_UNKNOWN or (cluster.count >= SPIN_MIN and busy * 2 > cluster.count)


def _finding(case: Case, cluster: Cluster, context: PatternContext, accusation: Accusation) -> Finding:
    matches = match(cluster, context)
    library = accusation.library
    best = (
        None if library is not None and (not matches or matches[0].pattern.id in GENERIC) else next(iter(matches), None)
    )
    site = cluster.site
    rate = _rate(case, cluster, context)
    count = max(cluster.count, cluster.leaked)
    who = culprit(site, case.user_modules, context.creations)
    return Finding(
        code=best.pattern.code if best else "PW190" if library else "PW100",
        verdict=accusation.verdict,
        confidence=round(accusation.confidence * (0.9 + 0.1 * best.confidence if best else 0.9), 3),
        title=_title(cluster, count, best, library),
        pattern=best.pattern.id if best else "library-multiplied" if library else "goroutine-leak",
        site=site,
        culprit=who,
        count=count,
        share=cluster.share,
        rate_per_min=rate,
        since=when(cluster.since) if cluster.counts and cluster.counts[-1] > min(cluster.counts) else None,
        wait_min_s=None if cluster.wait_min is None or cluster.wait_min[1] < 1 else cluster.wait_min[1] * 60.0,
        advice="\n\n".join(part for part in (ADVICE[grade(rate)], _cure(best, library)) if part),
        explanation=f"{best.pattern.meaning} {best.pattern.why}" if best else library.multiplied if library else "",
        evidence=_evidence(case, cluster, accusation, matches),
        grade=grade(rate),
        path=leak_path(site, case.user_modules, context.creations),
    )


def _title(cluster: Cluster, count: int, best: Match | None, library: Library | None) -> str:
    where = cluster.site.where if cluster.site.function else "a place that is not told"
    if best is not None:
        return f"{best.pattern.title}: {goroutines(count)} at {where}"
    if library is not None:
        return f"{count:,} goroutines of {library.name}, where {library.expected} is usual"
    return f"{goroutines(count)} in `{cluster.site.wait_reason}` at {where}"


def _cure(best: Match | None, library: Library | None) -> str:
    parts = []
    if library is not None:
        parts.append(library.cure)
    if best is not None:
        parts.append(best.pattern.cure)
        if best.pattern.after:
            parts.append(f"```go\n{best.pattern.after.strip()}\n```")
    return (
        "\n\n".join(parts)
        or "Find who should have served or ended this wait, and make sure that it does on every way out."
    )


def _rate(case: Case, cluster: Cluster, context: PatternContext) -> float | None:
    """Net growth per minute: from goroutine ids between looks, from counts, or from what a trace saw created and left alive."""
    if context.born is not None and context.span_s:
        return max(0.0, (context.born - (context.left or 0)) * 60.0 / context.span_s)
    if cluster.growth_per_min is not None and len(case.looks) > 1:
        return max(0.0, cluster.growth_per_min)
    alive = sum(c.alive for c in context.creations)
    duration = max((a.trace.duration_s for a in case.artefacts if a.trace), default=0.0)
    return alive * 60.0 / duration if alive and duration > 0 else None


def when(at: float | None) -> str | None:
    """RFC 3339, or None; an absurd time stamp in an artefact is no time."""
    if at is None:
        return None
    try:
        return datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    except (OverflowError, OSError, ValueError):
        return None


def _evidence(case: Case, cluster: Cluster, accusation: Accusation, matches: list[Match]) -> list[Evidence]:
    said: list[Evidence] = []
    for look, count in zip(case.looks, cluster.counts, strict=False):
        if count:
            said.append(Evidence(look.artefact.name, _kind(look), f"{count:,} goroutines here"))
    if cluster.leaked:
        proof = f"{cluster.leaked:,} proven leaked by the runtime"
        said += [
            Evidence(a.name, "proof", proof)
            for a in case.artefacts
            if a.snapshot is not None and a.snapshot.source is Source.LEAK_PROFILE
        ]
    source = said[-1].source if said else case.artefacts[0].name
    said += [
        Evidence(source, "why accused" if accusation.verdict.rank >= 2 else "why unsure", r) for r in accusation.reasons
    ]
    if matches:
        said += [Evidence(source, f"why {matches[0].pattern.id}", reason) for reason in matches[0].reasons]
        others = ", ".join(f"{m.pattern.id} ({m.confidence:.0%})" for m in matches[1:3])
        if others:
            said.append(Evidence(source, "could also be", others))
    if cluster.stayed is not None:
        said.append(
            Evidence(source, "stayed", f"{cluster.stayed:,} goroutine ids are the same in the first and last look")
        )
    if cluster.objects > 1 or (cluster.objects == 1 and cluster.count > 1):
        said.append(
            Evidence(source, "wait on", f"{cluster.objects:,} distinct address{'es' if cluster.objects > 1 else ''}")
        )
    if cluster.labels:
        said.append(
            Evidence(source, "labels", ", ".join(f"{k}={v} x {n:,}" for (k, v), n in cluster.labels.most_common(3)))
        )
    return said


def _kind(look: Look) -> str:
    return {Source.DUMP: "text dump", Source.PROFILE: "goroutine profile", Source.CENSUS: "census"}.get(
        look.snapshot.source, "look"
    )
