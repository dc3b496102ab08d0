"""The pictures of docs/accuracy.md, drawn from out/leakbench/*.json: how soon at which rate, and how often wrong. SVG, the same bytes each time.

One small panel per rule rather than twenty lines in one: every line has its name, none hides another. Colours are Okabe and Ito's, told
apart by dash and width, too; the ground is white, so that the pictures read in a dark page as well.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("svg")
matplotlib.rcParams |= {
    "svg.hashsalt": "leakbench", "svg.fonttype": "none", "font.family": "DejaVu Sans", "font.size": 8,
    "axes.spines.top": False, "axes.spines.right": False, "savefig.facecolor": "white", "figure.facecolor": "white",
}  # fmt: skip

from matplotlib import pyplot as plt  # noqa: E402
from matplotlib.axes import Axes  # noqa: E402

from bench.leakbench.score import group, poisson, quantile  # noqa: E402

Row = Mapping[str, Any]
OURS = "parkwarden"
BLUE, SKY, ORANGE, GREY = "#0072B2", "#56B4E9", "#D55E00", "#777777"
NEVER = 24 * 60 * 2.2
"""Where the row "not within 24 h" is drawn, in minutes."""
COLUMNS = 4
FULL, HALF = 0.95, 0.5
"""Shares found from which a marker is full, or half full."""
PER = 1000.0
OFTEN = 0.1
"""False alarms a day from which a panel says so in colour: once in ten days of one healthy instance is no alarm that anybody answers."""
TICKS_MIN = {1: "1 min", 10: "10 min", 60: "1 h", 360: "6 h", 1440: "24 h", NEVER: "not in 24 h"}
TITLES = {
    "leakprof": "LeakProf: > 10,000 at a line, daily", "leakprof-1000": "LeakProf lowered: > 1,000, each profile",
    "leakprof-100": "LeakProf lowered: > 100, each profile", "holmes": "holmes, defaults",
    "holmes-readme": "holmes, README (10, 25 %, 2,000)", "holmes-readme-2": "holmes, README (500, 25 %, 20,000)",
    "goroutinedumper": "CockroachDB goroutinedumper", "eve-watcher": "EVE watcher", "monigo": "MoniGo: growing",
    "monigo-stale": "MoniGo: stale for 24 h", "goroscope": "goroscope", "goleaked": "goleaked",
}  # fmt: skip
"""Names in the picture; a rule of Prometheus has its own."""


def title(rules: str) -> str:
    return TITLES.get(rules, rules.replace("prom ", "Prometheus: ", 1))


def line(rows: Sequence[Row]) -> list[tuple[float, float, float]]:
    """(leaks an hour, median minutes or NEVER, share found) by rate."""
    points = []
    for row in sorted(rows, key=lambda r: float(r["case"]["per_h"])):
        median = quantile(row["times_min"], 0.5)
        share = row["found"] / row["runs"] if row["runs"] else 0.0
        points.append((row["case"]["per_h"], median if math.isfinite(median) else NEVER, share))
    return points


def _draw(
    axes: Axes, points: Sequence[tuple[float, float, float]], colour: str, *, thin: bool = False, dashed: bool = False
) -> None:
    axes.plot(
        [p[0] for p in points], [max(p[1], 0.5) for p in points], color=colour, lw=1.0 if thin else 1.8,
        ls="--" if dashed else "-", zorder=2 if thin else 3,
    )  # fmt: skip
    if thin:
        return
    for per_h, median, share in points:
        style = "full" if share >= FULL else "bottom" if share >= HALF else "none"
        axes.plot(
            [per_h], [max(median, 0.5)], marker="o", ms=5, fillstyle=style, color=colour, markerfacecoloralt="white",
            markeredgewidth=1.0, zorder=4,
        )  # fmt: skip


def _panel(axes: Axes, heading: str) -> None:
    axes.set(xscale="log", yscale="log", ylim=(0.4, NEVER * 1.6), xlim=(0.6, 60_000))
    axes.set_yticks(list(TICKS_MIN), list(TICKS_MIN.values()))
    axes.set_xticks([1, 6, 60, 360, 3600, 36_000], ["1", "6", "60", "360", "3,600", "36,000"], fontsize=7)
    axes.minorticks_off()
    axes.axhline(24 * 60 * 1.45, color=GREY, lw=0.6, ls=":")
    axes.set_title(heading, fontsize=8, loc="left")
    axes.grid(color="#dddddd", lw=0.5)
    axes.set_axisbelow(True)


def rates_to_times(long: Sequence[Row], peers: Sequence[Row], out: Path) -> None:
    """A panel per rule: leak rate against median time to its verdict; ours thin in each for comparison."""
    leaks = [row for row in peers if "per_h" in row["case"]]
    healthy = {row["rules"]: row for row in peers if "per_h" not in row["case"]}
    healthy |= {row["rules"]: row for row in long if (row["rules"], row["case"]["name"]) == (OURS, "ordinary/0")}
    names = list(dict.fromkeys(row["rules"] for row in leaks))
    counts = line([row for row in leaks if row["rules"] == OURS])
    census = line([
        row for row in long
        if row["rules"] == OURS and row["case"].get("load") == "flat" and row["case"]["census_s"] and not row["case"]["alone"]
    ])  # fmt: skip
    height = math.ceil(len(names) / COLUMNS)
    figure, grid = plt.subplots(
        height, COLUMNS, figsize=(3.1 * COLUMNS, 2.1 * height + 0.5), sharex=True, sharey=True, squeeze=False
    )
    for axes, rules in zip(grid.flat, names, strict=False):
        mine = rules == OURS
        heading = "Parkwarden" if mine else title(rules)
        _panel(axes, heading)
        if mine:
            _draw(axes, counts, BLUE)
            _draw(axes, census, SKY, dashed=True)
            axes.text(900, 16, "counts only", color=BLUE, fontsize=7)
            if census:
                axes.text(1.2, 6, "with censuses", color="#2a7fae", fontsize=7)
        else:
            _draw(axes, counts, BLUE, thin=True)
            _draw(axes, line([row for row in leaks if row["rules"] == rules]), ORANGE)
        if rules in healthy:
            days, wrong = healthy[rules]["instance_days"], len(healthy[rules]["false"])
            said = f"{wrong:,} false in {days:,.0f} healthy days"
            often = wrong >= OFTEN * days
            axes.text(0.02, 0.03, said, transform=axes.transAxes, fontsize=7, color=ORANGE if often else "#333333")
    for axes in grid.flat[len(names) :]:
        axes.set_visible(False)
    for axes in grid.flat[max(len(names) - COLUMNS, 0) : len(names)]:
        axes.tick_params(labelbottom=True)
    figure.supxlabel("goroutines leaked an hour", fontsize=9)
    figure.supylabel("from onset to verdict, median", fontsize=9)
    figure.suptitle(
        "How soon is a leak found? Marker full: found in 95 % of the runs within 24 h; half: in 50 %; empty: in fewer. Thin blue: Parkwarden, counts only.",
        fontsize=9, x=0.01, ha="left",
    )  # fmt: skip
    figure.tight_layout(rect=(0.01, 0.01, 1, 0.99))
    _save(figure, out)


def false_alarms(long: Sequence[Row], peers: Sequence[Row], out: Path) -> None:
    """False alarms per 1,000 healthy instance-days with their 95 % interval, ours in blue."""
    bars: list[tuple[str, str, Row]] = []
    for row in long:
        if row["rules"] == OURS and group(row) == "ordinary":
            sees = "censuses" if row["case"]["census_s"] else "counts only"
            bars.append((f"Parkwarden, {sees}", BLUE, row))
    for row in peers:
        if "per_h" not in row["case"] and not (row["rules"] == OURS and bars):
            bars.append(
                (
                    title(row["rules"]) if row["rules"] != OURS else "Parkwarden",
                    BLUE if row["rules"] == OURS else ORANGE,
                    row,
                )
            )
    bars = [bar for bar in bars if bar[2]["instance_days"]]
    bars.sort(key=lambda bar: (-len(bar[2]["false"]) / bar[2]["instance_days"], bar[0]))
    figure, axes = plt.subplots(figsize=(9, 0.3 * len(bars) + 1.1))
    least = 0.1
    for y, (_name, colour, row) in enumerate(bars):
        n, days = len(row["false"]), row["instance_days"]
        low, high = (PER * x / days for x in poisson(n))
        axes.plot([max(low, least), max(high, least)], [y, y], color=colour, lw=2, solid_capstyle="butt")
        axes.plot(
            [PER * n / days if n else least], [y], color=colour, ms=6, marker="o" if n else "<",
            fillstyle="full" if n else "none",
        )  # fmt: skip
        axes.text(
            max(high, least) * 1.25, y, f"{PER * n / days:,.1f}  ({n:,} in {days:,.0f} days)", va="center", fontsize=7
        )
    axes.axvline(1.0, color=GREY, lw=0.8, ls="--")
    axes.text(1.05, len(bars) - 0.45, "our target: 1", fontsize=7, color="#333333")
    axes.set(xscale="log", xlim=(least * 0.8, 1e6), ylim=(-0.6, len(bars)))
    axes.set_yticks(range(len(bars)), [name for name, _colour, _row in bars])
    axes.set_xlabel(
        "false alarms per 1,000 healthy instance-days of some 34 sites, 95 % interval (arrow: none seen; each site counts once a day)"
    )
    axes.grid(axis="x", color="#dddddd", lw=0.5)
    axes.set_axisbelow(True)
    figure.tight_layout()
    _save(figure, out)


def _save(figure: Any, out: Path) -> None:
    out.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    plt.close(figure)


def draw(files: Mapping[str, Any], folder: Path) -> list[Path]:
    """Both pictures, where the peers were measured; their paths."""
    if "peers" not in files:
        return []
    long, peers = files.get("long", []), files["peers"]
    made = [folder / "accuracy-times.svg", folder / "accuracy-false-alarms.svg"]
    rates_to_times(long, peers, made[0])
    false_alarms(long, peers, made[1])
    return made


__all__ = ["draw", "false_alarms", "line", "rates_to_times"]
