"""gc-pressure: a collection ran and took more than 0.15 of CPU, by deltas; the average since the process began only as a fallback."""

from __future__ import annotations

import pytest

from parkwarden.aggregate.windows import Windows
from parkwarden.judge.fleet import gc_pressure
from parkwarden.judge.fleet.gc_pressure import GcPressureRule
from parkwarden.model import Instance, Verdict
from tests.judge.fleet.rings import one

RULE = GcPressureRule()


def verdict(windows: Windows, now: float) -> tuple[Verdict, str]:
    return gc_pressure.judge(windows, now, RULE).verdict_of(0)


def pressed(share: float, cores: float = 1.0, n: int = 24, cycles: int = 1) -> tuple[Windows, float]:
    cpu = [1000.0 + cores * 5.0 * i for i in range(n)]
    return one(
        cpu_s=cpu, gc_cpu_s=[700.0 + share * (c - 1000.0) for c in cpu], num_gc=[9] * (n - 1) + [9 + cycles],
        gc_cpu_fraction=[0.7] * n,
    )  # fmt: skip


def test_the_share_at_its_number_and_a_step_above() -> None:
    """Deltas decide, strictly above 0.15; the 0.7 since the process began, in seconds and as a fraction, do not matter."""
    assert verdict(*pressed(0.15))[0] is Verdict.OK
    assert verdict(*pressed(0.151))[0] is Verdict.SUSPECT


def test_without_a_collection_there_is_no_pressure() -> None:
    """At least one ran in the window; where cycles are not told, seconds that grew say that one did."""
    assert verdict(*pressed(0.5, cycles=0))[0] is Verdict.OK
    assert verdict(*one(cpu_s=range(24), gc_cpu_s=[0.5 * i for i in range(24)]))[0] is Verdict.SUSPECT
    assert verdict(*one(cpu_s=range(24), gc_cpu_s=[0.5] * 24))[0] is Verdict.OK


def test_an_idle_process_that_does_nothing_but_collect_is_at_ease() -> None:
    """The absolute floor: 0.01 processors, at it and a step below."""
    assert verdict(*pressed(0.5, cores=0.02))[0] is Verdict.SUSPECT
    assert verdict(*pressed(0.5, cores=0.0198))[0] is Verdict.OK


@pytest.mark.parametrize(("fraction", "expected"), [(0.15, Verdict.OK), (0.16, Verdict.SUSPECT)])
def test_the_fallback_warns(fraction: float, expected: Verdict) -> None:
    """Without seconds the average since the process began is used, and said to be one."""
    windows, now = one(num_gc=range(24), gc_cpu_fraction=[fraction] * 24)
    judged = gc_pressure.judge(windows, now, RULE)
    assert judged.verdict_of(0)[0] is expected
    for signal in gc_pressure.signals(windows, judged):
        assert signal.numbers["fallback"] == 1
        assert "on average since the process began" in signal.text
        assert signal.confidence < 0.3


def test_the_fallback_needs_a_collection_too() -> None:
    """Not told: unknown. Told and none: ok."""
    assert verdict(*one(gc_cpu_fraction=[0.9] * 24)) == (Verdict.UNKNOWN, "the number is not told")
    assert verdict(*one(num_gc=[3] * 24, gc_cpu_fraction=[0.9] * 24))[0] is Verdict.OK


def test_unknown_with_a_cause() -> None:
    """Nothing yet, nothing told, too short, a hole, a counter that fell."""
    windows = Windows()
    windows.started(Instance(id="a"))
    assert verdict(windows, 0.0) == (Verdict.UNKNOWN, "no reading yet")
    assert verdict(*one(goroutines=range(24))) == (Verdict.UNKNOWN, "the number is not told")
    assert verdict(*pressed(0.5, n=5)) == (Verdict.UNKNOWN, "too short a span")
    assert verdict(*pressed(0.5, n=6))[0] is Verdict.SUSPECT
    windows, now = pressed(0.5)
    assert verdict(windows, now + 31.0) == (Verdict.UNKNOWN, "a gap in the readings")
    assert verdict(*one(cpu_s=range(24), gc_cpu_s=range(24, 0, -1))) == (Verdict.UNKNOWN, "a counter fell")
