"""From what was measured to harm or none: pure, and each threshold with its reason."""

from __future__ import annotations

from parkwarden.model.drill import Harm, Phase, Trial

SLOWER_RATIO, SLOWER_MS = 3.0, 20.0
"""The p99 may triple or rise by 20 ms, whichever is more: below that it is this machine's noise, with our own looks in it."""
NOISY_MS = 10.0
"""Where the load generator itself is woken so late, its p99 is something else's doing: latencies are not compared then. A service that
takes the processors itself is found by CORES."""
CORES_RATIO, CORES = 2.0, 0.5
"""It may use twice the processor time or half a core more, whichever is more."""
ERROR_SHARE = 0.001
"""Requests that may fail: a connection that is cut as the load ends."""
GROWN_RATIO, GROWN_BYTES = 1.5, 64 << 20
"""Memory may grow by half or by 64 MiB, whichever is more: full queues of a few thousand spans, and no pile."""
PILE = 200
"""Goroutines more than the most before; a sender has a handful, and a request under load some."""
EXIT_S = 5.0
"""To end: half of what a container's orchestrator commonly leaves (Kubernetes: 30 s) would be generous; what waits for more delays
every deployment of the fleet."""
NOISE_PER_MIN = 60.0
"""Lines of the telemetry's own in the service's log."""


def judge(trial: Trial) -> None:
    """Fill in harm, reasons and doubts from the rest."""
    reasons = []
    trial.doubts = [
        f"{phase.name}: latencies not compared: this machine was so busy that the load generator itself was {phase.late_ms:.0f} ms late"
        for phase in trial.phases
        if _noisy(phase)
    ]
    before = trial.phase("before")
    for phase in trial.phases:
        if phase is not before:
            reasons += _compared(phase, before)
    for phase in trial.phases:
        for one in phase.growing:
            if one.verdict == "leak":
                reasons.append(f"{phase.name}: {one.title}")
    if trial.died:
        trial.harm, trial.reasons = Harm.DIED, [trial.died, *reasons]
        return
    if trial.exit_limit_s and trial.exit_s is None:
        reasons.append(f"did not end within {trial.exit_limit_s:.0f} s of SIGTERM")
    elif trial.exit_s is not None and trial.exit_s > EXIT_S:
        reasons.append(f"took {trial.exit_s:.1f} s to end")
    trial.harm, trial.reasons = (Harm.HARMED if reasons else Harm.UNHARMED), reasons


def _compared(phase: Phase, before: Phase | None) -> list[str]:
    """What is worse than before, by phase."""
    reasons = []
    if phase.requests is None:
        reasons.append(f"{phase.name}: the load did not end")
    elif phase.errors and phase.errors > ERROR_SHARE * phase.requests:
        reasons.append(f"{phase.name}: {phase.errors:,} of {phase.requests:,} requests failed")
    if before is None:
        return reasons
    slower = _above(before.p99_ms, phase.p99_ms, SLOWER_RATIO, SLOWER_MS)
    if slower and not _noisy(phase):
        reasons.append(f"{phase.name}: p99 rose from {slower[0]:.1f} to {slower[1]:.1f} ms")
    busier = _above(before.cpu_cores, phase.cpu_cores, CORES_RATIO, CORES)
    if busier:
        reasons.append(f"{phase.name}: it kept {busier[1]:.1f} processors busy, {busier[0]:.1f} before")
    larger = _above(before.rss_max, phase.rss_max, GROWN_RATIO, GROWN_BYTES)
    if larger:
        reasons.append(f"{phase.name}: memory rose from {larger[0] / 2**20:.0f} to {larger[1] / 2**20:.0f} MiB")
    more = _above(before.goroutines_max, phase.goroutines_max, 1.0, PILE)
    if more:
        reasons.append(f"{phase.name}: goroutines rose from {more[0]:,} to {more[1]:,}")
    if phase.said_lines and phase.said_lines > NOISE_PER_MIN * max(1.0, phase.seconds / 60):
        reasons.append(f"{phase.name}: {phase.said_lines:,} lines of telemetry's own in the service's log")
    return reasons


def _noisy(phase: Phase) -> bool:
    return phase.late_ms is not None and phase.late_ms > NOISY_MS


def _above(before: float | None, now: float | None, ratio: float, more: float) -> tuple[float, float] | None:
    """Both, if both are known and `now` is above `before` by more than the larger of the two allowances."""
    if before is None or now is None or now <= max(before * ratio, before + more):
        return None
    return before, now
