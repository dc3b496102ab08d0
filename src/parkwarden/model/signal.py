"""Signals: what single detectors say about one instance or one of its sites, before they are fused into findings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from parkwarden.model.finding import Verdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """One detector's statement, `suspect` or worse (or `unknown` with a cause, where somebody must be told).

    `detector` is the symptom's kebab-case name (`goroutine-trend`), `code` its finding code (`PW501`). `confidence` 0..1 is
    how sure this witness alone is. `rate_per_min` goroutines per minute (None = not told). `since` Unix seconds at which
    it began by this witness. `numbers` what it rests on, units last in the names. `text` one sentence with the numbers.
    """

    detector: str
    code: str
    at: float
    instance: str
    site: str | None
    verdict: Verdict
    confidence: float
    text: str
    rate_per_min: float | None = None
    since: float | None = None
    count: int | None = None
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLeft:
    """How long until the nearest limit, with an interval: seconds from `at`. `high_s` is infinite where growth may be none."""

    limit: str
    """memory-limit, fd-limit, thread-limit, goroutine-budget."""
    at: float
    seconds: float
    low_s: float
    high_s: float
    value: float
    limit_value: float
    rate_per_s: float
    coverage: float = 0.9
    """Share of cases in which the truth should lie between low_s and high_s."""
