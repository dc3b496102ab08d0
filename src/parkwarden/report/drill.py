"""A drill's answer as text and JSON (`parkwarden.drill/1`)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from parkwarden.model.drill import Harm, Phase, Trial
from parkwarden.report.safe import inert

if TYPE_CHECKING:
    from rich.console import Console

    from parkwarden.model.drill import Drill

DRILL_SCHEMA = "parkwarden.drill/1"
MAX_REASONS = 8
"""Per trial in text; JSON has all."""
_HEAD = ("service", "back end", "verdict", "p99 before", "during", "lost", "exit")
_STYLES = {Harm.UNHARMED: "bold green", Harm.HARMED: "bold yellow", Harm.DIED: "bold red"}


def drill_to_json(drill: Drill) -> str:
    """The answer for machines, by docs/schema/drill-1.json. Bytes and counts are whole numbers, times seconds or milliseconds."""
    document = {
        "schema": DRILL_SCHEMA,
        "drill": drill.name,
        "begun_at": drill.begun_at,
        "took_s": round(drill.took_s, 1),
        "rate_per_s": drill.rate_per_s,
        "versions": drill.versions,
        "harm": drill.harm.value,
        "trials": [_trial(one) for one in drill.trials],
    }
    return json.dumps(document, indent=2, allow_nan=False)


def _trial(one: Trial) -> dict[str, Any]:
    return {
        "service": one.service,
        "fault": one.fault,
        "harm": one.harm.value,
        "reasons": one.reasons,
        "doubts": one.doubts,
        "died": one.died or None,
        "phases": [_phase(phase) for phase in one.phases],
        "telemetry": [
            {"signal": told.signal, "made": told.made, "arrived": told.arrived, "lost": told.lost} for told in one.told
        ],
        "recovered_s": _rounded(one.recovered_s),
        "exit_s": _rounded(one.exit_s),
        "exit_limit_s": one.exit_limit_s,
    }


def _phase(phase: Phase) -> dict[str, Any]:
    return {
        "name": phase.name,
        "seconds": phase.seconds,
        "requests": phase.requests,
        "errors": phase.errors,
        "p50_ms": _rounded(phase.p50_ms),
        "p99_ms": _rounded(phase.p99_ms),
        "max_ms": _rounded(phase.max_ms),
        "late_ms": _rounded(phase.late_ms),
        "cpu_cores": _rounded(phase.cpu_cores),
        "rss_max": phase.rss_max,
        "goroutines_max": phase.goroutines_max,
        "goroutines_end": phase.goroutines_end,
        "said_lines": phase.said_lines,
        "findings": [
            {"code": one.code, "verdict": one.verdict, "title": one.title, "place": one.place or None}
            for one in phase.growing
        ],
        "not_judged": phase.not_judged or None,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def print_drill(drill: Drill, console: Console) -> None:
    """A row for each trial, then each trial's phases, what is wrong with it and what the detectors suspect."""
    versions = ", ".join(f"{name} {version}" for name, version in drill.versions.items())
    trials = f"{len(drill.trials)} trial{'s' * (len(drill.trials) != 1)}"
    console.print(
        f"{drill.name}: {trials} at {drill.rate_per_s:g} requests/s, {drill.took_s:.0f} s ({inert(versions)})",
        soft_wrap=True,
    )
    rows = [_HEAD, *(_cells(one) for one in drill.trials)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:  # no rich table: it would cut names to the terminal's width
        console.print("  ".join(map(str.ljust, row, widths)).rstrip(), soft_wrap=True)
    for one in drill.trials:
        _print_trial(one, console)


def _cells(one: Trial) -> tuple[str, ...]:
    before, during = one.phase("before"), one.phase("during")
    made = sum(told.made or 0 for told in one.told)
    return (
        inert(one.service, 40),
        one.fault,
        one.harm.value,
        _ms(before.p99_ms if before else None),
        _ms(during.p99_ms if during else None),
        f"{sum(told.lost or 0 for told in one.told) / made:.0%}" if made else "-",
        _exit(one),
    )


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"


def _exit(one: Trial) -> str:
    if one.exit_s is not None:
        return f"{one.exit_s:.1f} s"
    return f"> {one.exit_limit_s:.0f} s" if one.exit_limit_s else "-"


def _print_trial(one: Trial, console: Console) -> None:
    console.print()
    console.print(one.harm.value.upper(), style=_STYLES[one.harm], end="  ")
    console.print(f"{one.service}, back end {one.fault}", style="bold")
    for phase in one.phases:
        console.print(f"      {phase.name:6}  {_numbers(phase)}", soft_wrap=True)
    if one.told:
        known = [f"{told.lost:,} of {told.made:,} {told.signal}" for told in one.told if told.made is not None]
        came = [f"{told.arrived:,} {told.signal}" for told in one.told if told.made is None]
        for word, parts in (("lost", known), ("arrived", came)):
            if parts:
                console.print(f"      {word:7} {', '.join(parts)}", soft_wrap=True)
    if one.recovered_s is not None:
        console.print(f"      back    {one.recovered_s:.1f} s after the fault")
    reasons = [*one.reasons[:MAX_REASONS]]
    if len(one.reasons) > MAX_REASONS:
        reasons.append(f"and {len(one.reasons) - MAX_REASONS} more reasons")
    for reason in reasons:
        console.print(f"    ! {inert(reason, 600)}", soft_wrap=True)
    for doubt in one.doubts:
        console.print(f"    ? {inert(doubt, 300)}", soft_wrap=True)
    for phase in one.phases:
        for found in phase.growing:
            if found.verdict != "leak":  # leaks are reasons
                console.print(f"    ? {phase.name}: {inert(found.title, 600)}", soft_wrap=True)
        if phase.not_judged:
            console.print(f"    ? {phase.name}: not judged: {inert(phase.not_judged, 300)}", soft_wrap=True)


def _numbers(phase: Phase) -> str:
    said = []
    if phase.requests is None:
        said.append("the load did not end")
    else:
        said.append(f"p50 {_ms(phase.p50_ms)}, p99 {_ms(phase.p99_ms)}, max {_ms(phase.max_ms)}")
        said.append(f"{phase.errors or 0:,} of {phase.requests:,} failed")
    if phase.cpu_cores is not None:
        said.append(f"{phase.cpu_cores:.2f} cores")
    if phase.rss_max is not None:
        said.append(f"{phase.rss_max >> 20} MiB")
    if phase.goroutines_max is not None:
        said.append(f"{phase.goroutines_max:,} goroutines")
    if phase.said_lines:
        said.append(f"{phase.said_lines:,} lines logged")
    return ", ".join(said)
