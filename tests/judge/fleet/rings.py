"""Readings for the count detectors' tests: a fleet of one, told in columns."""

from __future__ import annotations

from collections.abc import Sequence

from parkwarden.aggregate.windows import Windows
from parkwarden.model import Reading

EVERY_S = 5.0


def one(every_s: float = EVERY_S, begin: float = 0.0, **columns: Sequence[float | None]) -> tuple[Windows, float]:
    """Windows with one instance `a` whose fields take these values, one reading per `every_s`; and the last one's time."""
    windows = Windows()
    now = begin
    for i, values in enumerate(zip(*columns.values(), strict=True)):
        now = begin + i * every_s
        windows.read("a", now, Reading(**dict(zip(columns, values, strict=True))))  # type: ignore[arg-type]
    return windows, now


def ramp(n: int, per_s: float, base: float = 300.0, flat: int = 0, every_s: float = EVERY_S) -> list[float]:
    """n samples: `flat` of them at `base`, then a line."""
    return [base + per_s * every_s * max(0, i - flat) for i in range(n)]
