"""What was measured as numbers with their denominators and intervals, and as Markdown tables.

Shares have Wilson's interval (E. B. Wilson 1927), rates of rare events the exact one of a Poisson count (F. Garwood 1936), both 95 %.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import NormalDist
from typing import Any

CONFIDENCE = 0.95
Row = Mapping[str, Any]


def wilson(hits: int, of: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Interval of a share; (0, 1) where nothing was tried."""
    if of == 0:
        return 0.0, 1.0
    z = NormalDist().inv_cdf((1 + confidence) / 2)
    share, zz = hits / of, z * z / of
    middle, half = (share + zz / 2) / (1 + zz), z / (1 + zz) * math.sqrt(share * (1 - share) / of + zz / of / 4)
    return max(middle - half, 0.0), min(middle + half, 1.0)


def poisson(events: int, confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Exact interval of the mean of a Poisson count."""
    tail = (1 - confidence) / 2
    low = _solve(lambda mean: 1 - _at_most(events - 1, mean), tail) if events else 0.0
    return low, _solve(lambda mean: -_at_most(events, mean), -tail)


def _at_most(n: int, mean: float) -> float:
    """P(count <= n)."""
    return sum(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(n + 1)) if mean > 0 else 1.0


def _solve(rising: Callable[[float], float], value: float) -> float:
    low, high = 0.0, 1.0
    while rising(high) < value:
        high *= 2
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if rising(middle) < value else (low, middle)
    return (low + high) / 2


def quantile(times: Sequence[float | None], share: float) -> float:
    """The least time by which `share` of all runs were done; None counts as never (infinite)."""
    ordered = sorted(math.inf if t is None else t for t in times)
    return ordered[max(math.ceil(share * len(ordered)) - 1, 0)] if ordered else math.nan


def median_interval(times: Sequence[float | None], confidence: float = CONFIDENCE) -> tuple[float, float]:
    """Distribution-free interval of the median, from order statistics (binomial, 1/2)."""
    n = len(times)
    ordered = sorted(math.inf if t is None else t for t in times)
    if not n:
        return math.nan, math.nan
    below, rank = 0.0, 0
    while rank < n // 2 and below + math.comb(n, rank) / 2**n <= (1 - confidence) / 2:
        below += math.comb(n, rank) / 2**n
        rank += 1
    rank = max(rank - 1, 0)
    return ordered[rank], ordered[n - 1 - rank]


def minutes(t: float) -> str:
    """A time in minutes as people say it; never found is an em dash."""
    if not math.isfinite(t):
        return "-"
    return f"{t / 60:.1f} h" if t >= 120 else f"{t:.0f} min"


def percent(hits: int, of: int) -> str:
    """`97 % (19/20, 76-99)`."""
    low, high = wilson(hits, of)
    return f"{hits / of:.0%} ({hits}/{of}; {100 * low:.0f}-{100 * high:.0f})" if of else "-"


def per_thousand_days(events: int, days: float) -> str:
    """`0.7 (2 in 3,000 days; 0.1-2.4)` false leaks per 1,000 instance-days."""
    low, high = poisson(events)
    f = 1000 / days if days else math.nan
    return f"{events * f:,.2f} ({events:,} in {days:,.0f} days; {low * f:,.2f}-{high * f:,.2f})"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def group(row: Row) -> str:
    """`leak`, `ordinary`, `hostile` or `first-day`."""
    return "leak" if "per_h" in row["case"] else row["case"]["group"]


def merged(rows: Sequence[Row]) -> list[Row]:
    """One row per case and rule, whatever the seeds, in order of first sight; `seeds` says which."""
    found: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        key = row["case"]["name"], row["rules"]
        if key not in found:
            found[key] = {**row, "seeds": row.get("seeds", [row["seed"]])}
            continue
        into = found[key]
        for name in ("runs", "found", "instance_days", "times_min", "suspect_min", "false"):
            into[name] = into[name] + row[name]
        into["seeds"] = sorted({*into["seeds"], *row.get("seeds", [row["seed"]])})
    return list(found.values())


def seeds(rows: Sequence[Row]) -> str:
    """`seed 7`, `seeds 1, 2`."""
    all_of_them = sorted({seed for row in rows for seed in row.get("seeds", [row["seed"]])})
    return f"seed{'s' if len(all_of_them) > 1 else ''} {', '.join(map(str, all_of_them))}"


def found_in_time(row: Row) -> int:
    """Runs whose leak was found before three times the target (or within the horizon where there is none)."""
    return sum(t is not None and t <= row["case"]["horizon_min"] for t in row["times_min"])


def long_tables(rows: Sequence[Row]) -> str:
    """Everything of the long ruler, by rule."""
    rows, parts = merged(rows), []
    for rules in dict.fromkeys(row["rules"] for row in rows):
        mine = [row for row in rows if row["rules"] == rules]
        parts.append(f"## {rules}\n\n" + _times([r for r in mine if "per_h" in r["case"]]))
        parts.append(_false(mine))
    return "\n\n".join(part for part in parts if part) + "\n"


def _times(rows: Sequence[Row]) -> str:
    if not rows:
        return ""
    lines = []
    for row in rows:
        case = row["case"]
        median, target = quantile(row["times_min"], 0.5), case["target_min"]
        low, high = median_interval(row["times_min"])
        kept = (
            ""
            if target is None
            else "yes"
            if median <= target and found_in_time(row) >= 0.95 * row["runs"]
            else "**no**"
        )
        lines.append([
            case["name"], minutes(quantile(row["suspect_min"], 0.5)), f"{minutes(median)} ({minutes(low)} to {minutes(high)})",
            minutes(quantile(row["times_min"], 0.95)), percent(found_in_time(row), row["runs"]),
            "" if target is None else minutes(target), kept, str(len(row["false"])),
        ])  # fmt: skip
    head = ["case", "suspect, median", "leak, median (95 %)", "95 % by", "found in time", "target", "kept", "false"]
    return table(head, lines)


def _false(rows: Sequence[Row]) -> str:
    healthy = sorted((row for row in rows if group(row) != "leak"), key=group, reverse=True)
    if not healthy:
        return ""
    lines = []
    for row in healthy:
        shapes = Counter(f["site"].split("/")[0] or "whole process" for f in row["false"])
        told = ", ".join(f"{shape} {n}" for shape, n in shapes.most_common())
        first = sum(f["hour"] < 24 for f in row["false"])
        with_any = len({f["subject"] for f in row["false"]})
        lines.append([
            group(row), "census" if row["case"]["census_s"] else "counts only", per_thousand_days(len(row["false"]), row["instance_days"]),
            f"{with_any} of {row['runs']}", f"{first} of {len(row['false'])}", told,
        ])  # fmt: skip
    return table(
        [
            "services",
            "sees",
            "false leaks per 1,000 instance-days (95 %)",
            "services with any",
            "on the first day",
            "by shape",
        ],
        lines,
    )
