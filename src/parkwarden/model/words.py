"""Numbers in words, the same in every report and alert."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

UNKNOWN = "?"
"""In place of a number that is none: inputs may lie."""


def count(n: float) -> str:
    """1234567 -> `1,234,567`; `?` for what is no number."""
    if not math.isfinite(n):
        return UNKNOWN
    return f"{int(n):,}"


def goroutines(n: int) -> str:
    """`1 goroutine`, `2,090 goroutines`."""
    return f"{count(n)} goroutine{'s' * (n != 1)}"


def size(n: float) -> str:
    """Bytes in binary units: `46.6 MiB`."""
    value = float(n)
    if not math.isfinite(value):
        return UNKNOWN
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(value) < 1024:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1024
    return f"{value:.1f} TiB"


def seconds(value: float) -> str:
    """A duration a person reads at a glance: `350 µs`, `2.5 s`, `7 min`, `3 h 20 min`, `2 d 4 h`."""
    if not math.isfinite(value) or value < 0:
        return UNKNOWN
    if value < 0.001:
        return f"{value * 1e6:.0f} µs"
    if value < 1:
        return f"{value * 1e3:.3g} ms"
    if value < 100:
        return f"{value:.3g} s"
    minutes = value / 60
    if minutes < 100:
        return f"{minutes:.0f} min"
    hours, rest = divmod(round(minutes), 60)
    if hours < 48:
        return f"{hours} h {rest} min" if rest else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


RUNS_OUT = {
    "fd-limit": "file descriptors run out",
    "thread-limit": "threads run out",
    "memory-limit": "memory runs out",
    "goroutine-budget": "the goroutine budget is used up",
}
"""What happens at a limit, in words."""

UNTIL = {"fd-limit": RUNS_OUT["fd-limit"], "thread-limit": RUNS_OUT["thread-limit"]}
"""What time left is until; other limits are called by their names."""


_SPANS = (("s", 1.0, 100.0), ("min", 60.0, 6000.0), ("h", 3600.0, 172_800.0))
"""Unit, its length in seconds, and up to how many seconds it is read at a glance."""


def within(value: float, low: float, high: float) -> str:
    """A duration and its interval in one unit: `41 min (25-70)`, `12 s (9-never)`."""
    unit, length = next(((u, length) for u, length, until in _SPANS if value < until), ("d", 86_400.0))
    told = (value, low, high)
    shown = [UNKNOWN if math.isnan(v) else "never" if v >= NEVER_S else _digits(v / length) for v in told]
    return f"{shown[0]} {unit} ({shown[1]}-{shown[2]})"


def _digits(n: float) -> str:
    return f"{n:.0f}" if n >= 10 or n == 0 else f"{n:.1f}".removesuffix(".0")


NEVER_S = 1e9
"""Thirty years: whoever reads of a limit so far away need not know when."""


def time_left(left_s: float, limit: str, low_s: float | None = None, high_s: float | None = None) -> str:
    """`12 min until memory limit (9 min to 17 min)`, the interval where it is told; `never` for what has no end; nothing left is `now`."""
    what = UNTIL.get(limit) or limit.replace("-", " ") or "the limit"
    if left_s <= 0:
        return f"now: {what}"
    text = f"{_left(left_s)} until {what}"
    if low_s is None:
        return text
    late = _left(high_s) if high_s is not None and high_s < NEVER_S else "never"
    return f"{text} ({_left(low_s)} to {late})"


def _left(value: float) -> str:
    """A second is as near as anybody can act on."""
    return f"{value:.0f} s" if value < 1 else seconds(value)


def moment(text: str) -> str:
    """`2026-09-21T14:13:20Z` -> `2026-09-21 14:13:20 UTC`; anything else as it is."""
    found = re.fullmatch(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(?:\.\d+)?(?:Z|\+00:00)", text)
    return f"{found[1]} {found[2]} UTC" if found else text


def rate(per_min: float) -> str:
    """Goroutines per minute, or per second where that is easier to grasp."""
    if not math.isfinite(per_min):
        return UNKNOWN
    if abs(per_min) >= 600:
        return f"{per_min / 60:,.0f}/s"
    return f"{per_min:,.0f}/min" if abs(per_min) >= 10 else f"{per_min:.1f}/min"


def percent(share: float) -> str:
    """A share 0..1: `92 %`, `0.4 %`, `< 0.1 %`; never rounded up to all."""
    value = share * 100
    if not math.isfinite(value):
        return UNKNOWN
    if 0 < value < 0.1:
        return "< 0.1 %"
    if value >= 10:
        return f"{min(value, 99.0) if value < 100 else value:.0f} %"
    return f"{value:.1f} %"


_BARS = "▁▂▃▄▅▆▇█"


def sparkline(values: Sequence[float], width: int = 16) -> str:
    """Counts over time as a picture of one line, `▁▁▂▄█`, from 0 to the largest; of more than `width` the last of each stretch.

    Counts within a quarter of each other stand at half height, `▄▄▄▄`: nothing happens. Values that are none are left out;
    fewer than two make no picture.
    """
    told = [v for v in values if math.isfinite(v) and v >= 0]
    if len(told) < 2:
        return ""
    n = min(len(told), width)
    picked = [told[(i + 1) * len(told) // n - 1] for i in range(n)]
    top = max(picked) or 1.0
    if top <= 1.25 * min(picked):
        return _BARS[3] * n
    return "".join(_BARS[min(int(v / top * len(_BARS)), len(_BARS) - 1)] for v in picked)
