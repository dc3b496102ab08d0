"""Which inputs helped, and which did not, and why: the engineer should know what to save next time."""

from __future__ import annotations

from collections.abc import Callable

from parkwarden.judge import heap_retention
from parkwarden.model import Artefact, Case, Finding, InputEntry, Kind, Verdict
from parkwarden.stacks.modules import is_runtime_function

MIB = 1 << 20

FEW_SAMPLES = 20
"""CPU samples below which a profile says nothing (0.2 s at the usual 100 Hz)."""


def entries(case: Case, findings: list[Finding]) -> list[InputEntry]:
    """One row per artefact, in the order given. An input was used if a finding above `ok` rests on it; where there is no
    such finding, if it holds the goroutines that were found innocent."""
    cited: dict[str, list[Finding]] = {}
    for finding in findings:
        for evidence in finding.evidence:
            cited.setdefault(evidence.source, []).append(finding)
    guilty = any(f.verdict is not Verdict.OK for f in findings)
    return [_entry(a, cited.get(a.name, []), guilty) for a in case.artefacts]


def _entry(artefact: Artefact, cited: list[Finding], guilty: bool) -> InputEntry:
    told = [f for f in cited if f.verdict is not Verdict.OK]
    population = artefact.snapshot is not None and artefact.snapshot.rows > 0
    if told:
        used, why = True, f"supports {', '.join(dict.fromkeys(f'{f.code} {f.pattern}' for f in told[:6]))}"
    elif population and artefact.snapshot is not None:
        used, why = not guilty, f"{artefact.snapshot.total:,} goroutines judged, none of them accused by it"
    else:
        used, why = False, _why_not(artefact)
    return InputEntry(
        name=artefact.name,
        kind=artefact.kind.value,
        bytes=artefact.size,
        records=artefact.records,
        problems=artefact.problems,
        used=used,
        why=why,
    )


def _why_not(artefact: Artefact) -> str:
    explain = _WHY.get(artefact.kind)
    if explain is None:
        return artefact.problems[0].text if artefact.problems else "nothing in it bears on a leak"
    return explain(artefact)


def _heap(artefact: Artefact) -> str:
    return heap_retention.useless(artefact) or (
        f"{heap_retention.in_use(artefact) / MIB:.0f} MiB in use, spread over many places: no single line of your code holds "
        f"{heap_retention.MIN_SHARE:.0%} of it"
    )


def _cpu(artefact: Artefact) -> str:
    profile = artefact.profile
    values = profile.column("samples") if profile else None
    total = 0 if values is None else int(values.sum())
    if profile is None or values is None or total < FEW_SAMPLES:
        return f"only {total} CPU samples: a leak waits, it does not compute"
    leafs: dict[str, int] = {}
    for stack, value in zip(profile.stack.tolist(), values.tolist(), strict=True):
        frames = profile.stacks[stack].frames
        name = next(
            (f.function for f in frames if not is_runtime_function(f.function)), frames[0].function if frames else "?"
        )
        leafs[name] = leafs.get(name, 0) + value
    name, most = max(leafs.items(), key=lambda item: item[1])
    return f"shows what ran, not what waits: {total:,} samples, most in {name} ({most / total:.0%}), none that spins without end"


def _contention(artefact: Artefact) -> str:
    values = artefact.profile.column("delay") if artefact.profile else None
    if values is None or not values.size or not values.sum():
        return "empty: this profile is off unless the service switches it on (SetBlockProfileRate, SetMutexProfileFraction)"
    return (
        f"{values.sum() / 1e9:.1f} s of waiting in all since the process began, finished waits only: what leaks is still waiting "
        "and not in it"
    )


def _threads(artefact: Artefact) -> str:
    values = artefact.profile.values if artefact.profile else None
    total = 0 if values is None else int(values.sum())
    return f"{total} threads: far from Go's limit of 10,000, so threads are not what leaks"


def _trace(artefact: Artefact) -> str:
    trace = artefact.trace
    if trace is None:
        return artefact.problems[0].text if artefact.problems else "no trace could be read from it"
    return f"{trace.created:,} goroutines were created in {trace.duration_s:.1f} s and {trace.ended:,} ended: no crowd stayed behind"


def _numbers(artefact: Artefact) -> str:
    reading = artefact.reading
    told = [] if reading is None else [
        f"{name} {value:,}" for name, value in (("goroutines", reading.goroutines), ("threads", reading.threads)) if value is not None
    ]  # fmt: skip
    return f"numbers at one moment, no stacks{': ' + ', '.join(told) if told else ''}; growth needs a second page"


def _crash(artefact: Artefact) -> str:
    return "an end somebody asked for, no fault in it" if artefact.crashes else "no cause of death recognised in it"


_WHY: dict[Kind, Callable[[Artefact], str]] = {
    Kind.HEAP_PROFILE: _heap,
    Kind.ALLOCS_PROFILE: lambda _a: (
        "allocations since the process began: shows churn, not what is kept; save /debug/pprof/heap"
    ),
    Kind.CPU_PROFILE: _cpu,
    Kind.BLOCK_PROFILE: _contention,
    Kind.MUTEX_PROFILE: _contention,
    Kind.THREADCREATE_PROFILE: _threads,
    Kind.GOROUTINELEAK_PROFILE: lambda _a: (
        "the runtime proved no goroutine leaked (what globals or timers can reach it cannot see)"
    ),
    Kind.TRACE: _trace,
    Kind.EXPVAR: _numbers,
    Kind.METRICS: _numbers,
    Kind.CRASH_LOG: _crash,
    Kind.KERNEL_LOG: _crash,
}
