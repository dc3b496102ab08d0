"""Threads: many more than the service can have use for.

Watches threadcreate profiles and the thread count of number pages. Go gives no thread back, and ends the process at 10,000
(runtime/proc.go: checkmcount), so a count in the thousands is history of a crowd in system calls. Verdict `suspect`: one number shows no growth.
"""

from __future__ import annotations

from parkwarden.judge.fleet.time_left import THREAD_LIMIT
from parkwarden.model import Artefact, Case, Evidence, Finding, Kind, Verdict

MANY_THREADS = 1_000
"""Ten per cent of Go's default limit; a service with a few hundred has a busy disk, one with a thousand a crowd."""


def judge(case: Case) -> list[Finding]:
    """At most one finding, from the input that tells the most threads."""
    told = [(count, a) for a in case.artefacts if (count := threads(a)) is not None and count >= MANY_THREADS]
    if not told:
        return []
    count, artefact = max(told, key=lambda pair: pair[0])
    return [
        Finding(
            code="PW302",
            verdict=Verdict.SUSPECT,
            confidence=min(0.9, 0.5 + count / THREAD_LIMIT / 2),
            title=f"{count:,} operating-system threads; Go ends the process at {THREAD_LIMIT:,}",
            pattern="many-threads",
            count=count,
            share=count / THREAD_LIMIT,
            advice="Find the goroutines in syscall state (parkwarden stacks) and bound that crowd with a semaphore or a deadline.",
            evidence=[Evidence(artefact.name, "threads", f"{count:,}")],
        )
    ]


def threads(artefact: Artefact) -> int | None:
    """How many threads an input tells, None if it does not."""
    if artefact.kind is Kind.THREADCREATE_PROFILE and artefact.profile is not None:
        return int(artefact.profile.values.sum())
    return artefact.reading.threads if artefact.reading is not None else None
