"""The count detectors said again in plain Python, slowly and after their docstrings: what the kernels must agree with."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from parkwarden.judge.fleet.blocked_share import BlockedRule
from parkwarden.judge.fleet.gc_pressure import GcPressureRule
from parkwarden.judge.fleet.goroutine_trend import TrendRule
from parkwarden.judge.fleet.heap_jump import HeapJumpRule

ABOVE = 1.0 + 1e-9


@dataclass
class Ring:
    """One instance's readings, as a list; the rules of aggregate/windows.py."""

    samples: int = 128
    rows: list[tuple[float, dict[str, float]]] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    dropped: int = 0
    lives: int = 1
    memory: dict[str, float] = field(default_factory=dict)

    def clear(self) -> None:
        self.rows.clear()
        self.late.clear()
        self.memory.clear()

    def restart(self) -> None:
        self.clear()
        self.lives += 1

    def read(self, at: float, values: dict[str, float | None]) -> None:
        if self.rows and at <= self.rows[-1][0]:
            if at != self.rows[-1][0] and (not self.late or at != self.late[-1]):
                self.late = [*self.late, at] if not self.late or at > self.late[-1] else [at]
            if len(self.late) < 3 or at != self.late[-1] or at == self.rows[-1][0]:
                self.dropped += 1
                return
            self.clear()
        self.late = []
        self.rows.append((at, {k: v for k, v in values.items() if v is not None}))
        del self.rows[: -self.samples]

    def told(self, name: str, now: float) -> list[tuple[float, float]]:
        return [(t, v[name]) for t, v in self.rows if t <= now and name in v]


def trend(ring: Ring, now: float, rule: TrendRule) -> tuple[str, float, float] | None:
    """(ok | suspect, sigma, slope), None = unknown."""
    told = [(t, v) for t, v in ring.told("goroutines", now) if t > now - rule.window_s]
    if not told or now - told[-1][0] > rule.max_gap_s:
        return None
    for i in range(len(told) - 1, 0, -1):
        if told[i][0] - told[i - 1][0] > rule.max_gap_s:
            told = told[i:]
            break
    if len(told) < rule.min_samples or told[-1][0] - told[0][0] < rule.min_span_s:
        return None
    n = len(told)
    mt = sum(t for t, _ in told) / n
    mv = sum(v for _, v in told) / n
    sigma = (sum((v - mv) ** 2 for _, v in told) / n) ** 0.5
    slope = sum((t - mt) * (v - mv) for t, v in told) / sum((t - mt) ** 2 for t, _ in told)
    return ("fires" if sigma > rule.sigma * ABOVE and slope > rule.slope_per_s * ABOVE else "rests"), sigma, slope


def heap(ring: Ring, now: float, rule: HeapJumpRule) -> bool | None:
    """Whether the heap is up after a jump; None = unknown."""

    def up(low: float, high: float) -> bool:
        return high - low > rule.growth_b and (high - low) * ABOVE >= rule.growth_share * low

    told = ring.told("heap_inuse", now)
    if not told or now - told[-1][0] > rule.max_gap_s:
        return None
    newest = told[-1][1]
    after = ring.memory.get("seen", now - rule.max_gap_s)
    ring.memory["seen"] = told[-1][0]
    if "base" in ring.memory and (not up(ring.memory["base"], newest) or now - ring.memory["at"] > rule.hold_s):
        del ring.memory["base"]
    judged = False
    for i in range(1, len(told)):
        (t0, v0), (t1, v1) = told[i - 1], told[i]
        if t1 - t0 > rule.max_gap_s:
            continue
        if v0 == 0 < v1 and (i < 2 or told[i - 2][1] != 0):
            continue
        judged = judged or i == len(told) - 1
        if t1 > after and up(v0, v1) and up(v0, newest) and "base" not in ring.memory:
            ring.memory.update(base=v0, at=t1)
    return True if "base" in ring.memory else (False if judged else None)


def gc(ring: Ring, now: float, rule: GcPressureRule) -> bool | None:
    """Whether the collector takes too much; None = unknown."""
    window: list[tuple[float, dict[str, float]]] = []
    before = now
    for t, values in reversed([r for r in ring.rows if r[0] <= now]):
        if t <= now - rule.window_s or before - t > rule.max_gap_s:
            break
        window.insert(0, (t, values))
        before = t
    cycles = [(t, v["num_gc"]) for t, v in window if "num_gc" in v]
    ran = cycles[-1][1] - cycles[0][1] if len(cycles) > 1 else None
    if ran is not None and ran < 0:
        return None
    seconds = [(t, v["gc_cpu_s"], v["cpu_s"]) for t, v in window if "gc_cpu_s" in v and "cpu_s" in v]
    if seconds:
        span = seconds[-1][0] - seconds[0][0]
        used, busy = seconds[-1][1] - seconds[0][1], seconds[-1][2] - seconds[0][2]
        if span < rule.min_span_s or used < 0 or busy < 0 or (busy == 0 and used > 0):
            return None
        if not (used > 0 if ran is None else ran >= 1) or used * ABOVE < rule.min_gc_cores * span:
            return False
        return busy > 0 and min(used / busy, 1.0) > rule.gc_share * ABOVE
    averages = [v["gc_cpu_fraction"] for _, v in window if "gc_cpu_fraction" in v]
    if not averages or ran is None or cycles[-1][0] - cycles[0][0] < rule.min_span_s:
        return None
    return ran >= 1 and min(averages[-1], 1.0) > rule.gc_share * ABOVE


def blocked(ring: Ring, now: float, rule: BlockedRule) -> bool | None:
    """Whether the share of blocked goroutines jumped and is up; None = unknown. Every reading of the ring is judged anew."""
    base = n = 0.0
    fired: float | None = None
    seen: float | None = None
    for t, values in (r for r in ring.rows if r[0] <= now):
        if "blocked_share" not in values or "goroutines" not in values:
            continue
        share, goroutines = values["blocked_share"], values["goroutines"]
        if fired is None and seen is not None and t - seen > rule.max_age_s:
            base = n = 0.0
        if fired is not None:
            if share <= base + rule.jump / 2:
                fired = None
            elif t - fired > rule.hold_s:
                fired, base, n = None, share, 1.0
        elif (
            n >= rule.min_samples
            and share - base > rule.jump * ABOVE
            and (share - base) * goroutines * ABOVE >= rule.min_extra
        ):
            fired = t
        else:
            weight = 1 - math.exp(-(t - (seen or 0.0)) / rule.mean_s) if n >= rule.min_samples else 1 / (n + 1)
            base, n = base + weight * (share - base), n + 1
        seen = t
    if seen is None or now - seen > rule.max_age_s or (fired is None and n < rule.min_samples):
        return None
    return fired is not None
