"""docs/accuracy.md's tables: blocks between marks, filled with what out/leakbench holds and with nothing else.

A block is `<!-- leakbench:NAME SEAL -->` ... `<!-- /leakbench:NAME -->`; the seal is a digest of what is between, so a number that was
written by hand shows (a test looks). A block whose measurement is not there stays as it was.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.leakbench.score import group, merged, minutes, per_thousand_days, quantile, seeds, table, wilson

Row = Mapping[str, Any]
OURS = "parkwarden"
NOT_YET = "Not measured yet."

_BLOCK = re.compile(r"<!-- leakbench:([a-z-]+) ([0-9a-f]*) ?-->\n(.*?)<!-- /leakbench:\1 -->", re.DOTALL)

LOADS = {
    "flat": "steady", "told": "day's swing, requests told", "untold": "day's swing, untold", "restarts": "restarts every 6 h",
    "start": "leaks from its start", "ongoing": "leaked before we came",
}  # fmt: skip
MODES = {"proof": "all", "census": "`--no-leak-profile`", "counts": "neither leak profile nor census"}


def seal(body: str) -> str:
    """What a block's opening mark must say of its content."""
    return hashlib.sha256(body.encode()).hexdigest()[:12]


def blocks(page: str) -> dict[str, tuple[str, str]]:
    """Name -> (seal, content)."""
    return {m[1]: (m[2], m[3]) for m in _BLOCK.finditer(page)}


def fill(page: str, found: Mapping[str, str]) -> str:
    """The page with these blocks replaced."""

    def one(match: re.Match[str]) -> str:
        body = found.get(match[1])
        body = match[3] if body is None else f"\n{body.strip()}\n\n"
        return f"<!-- leakbench:{match[1]} {seal(body)} -->\n{body}<!-- /leakbench:{match[1]} -->"

    return _BLOCK.sub(one, page)


def measured(folder: Path) -> dict[str, Any]:
    """What there is, by file: `long` and `peers` are rows, merged over seeds, `live` is its document. Rows of `long-*` are `long`'s, too."""
    found: dict[str, Any] = {}
    for file in sorted(folder.glob("*.json")):
        told, name = json.loads(file.read_text()), "long" if file.stem.startswith("long-") else file.stem
        found[name] = [*found.get(name, []), *told] if isinstance(told, list) else told
    return {name: merged(told) if isinstance(told, list) else told for name, told in found.items()}


def render(files: Mapping[str, Any]) -> dict[str, str]:
    """Block -> Markdown, for those whose measurement is there."""
    ours = [row for row in files.get("long", []) if row["rules"] == OURS and group(row) == "ordinary"]
    makers: dict[str, tuple[str, Callable[[Any], str]]] = {
        "long-times": ("long", long_times), "long-false": ("long", long_false),
        "long-first-day": ("long", first_day), "live": ("live", live),
        "live-kinds": ("live", live_kinds), "peers-times": ("peers", peer_times),
        "peers-false": ("peers", lambda rows: peer_false([*ours, *rows])),
    }  # fmt: skip
    if not any(group(row) == "first-day" for row in files.get("long", [])):
        del makers["long-first-day"]
    return {name: make(files[file]) for name, (file, make) in makers.items() if file in files}


def write(page: Path, folder: Path) -> list[str]:
    """Fill the page; the names of the blocks that have no measurement."""
    files = measured(folder)
    found = render(files)
    text = page.read_text()
    page.write_text(fill(text, found))
    return sorted(set(blocks(text)) - set(found))


def in_time(row: Row) -> int:
    """Runs found within the case's horizon."""
    return sum(t is not None and t <= row["case"]["horizon_min"] for t in row["times_min"])


def cell(row: Row) -> str:
    """`17 min (26), 95 %`: median, the time by which 95 % were found, share found within the horizon."""
    late = quantile(row["times_min"], 0.95)
    share = f"{in_time(row)}/{row['runs']}"
    return f"{minutes(quantile(row['times_min'], 0.5))} (95 % by {minutes(late)}), {share}"


def long_times(rows: Sequence[Row]) -> str:
    """Ours: one row per mode, rate and kind of site, one column per load."""
    mine = [row for row in rows if row["rules"] == OURS and "per_h" in row["case"]]
    loads = [load for load in LOADS if any(row["case"]["load"] == load for row in mine)]
    by = {(r["case"]["census_s"] > 0, r["case"]["per_h"], r["case"]["alone"], r["case"]["load"]): r for r in mine}
    lines = []
    for census, per_h, alone in dict.fromkeys(key[:3] for key in by):
        cells = [by.get((census, per_h, alone, load)) for load in loads]
        target = next((c["case"]["target_min"] for c in cells if c and c["case"]["target_min"]), None)
        lines.append([
            "censuses" if census else "counts only", f"{per_h:g}/h", "only leaks" if alone else "healthy ones, too",
            "-" if target is None else minutes(target), *("" if c is None else cell(c) for c in cells),
        ])  # fmt: skip
    head = ["sees", "leak", "its site", "target", *(LOADS[load] for load in loads)]
    return table(head, lines) + "\n\n" + _about(mine)


def long_false(rows: Sequence[Row]) -> str:
    """Ours in healthy services; and in leaking ones, before the onset and at other sites."""
    mine = [row for row in rows if row["rules"] == OURS]
    head, lines = _false_lines([row for row in mine if group(row) in ("ordinary", "hostile")])
    for census, sees in ((True, "censuses"), (False, "counts only")):
        some = [row for row in mine if "per_h" in row["case"] and (row["case"]["census_s"] > 0) == census]
        wrong, days = [f for row in some for f in row["false"]], sum(row["instance_days"] for row in some)
        if some:
            any_of, runs = len({false["subject"] for false in wrong}), sum(row["runs"] for row in some)
            lines.append(
                [f"elsewhere in leaking services, {sees}", per_thousand_days(len(wrong), days), f"{any_of} of {runs}"]
            )
    return table(head, lines) + "\n\n" + _about([row for row in mine if group(row) != "first-day"])


def first_day(rows: Sequence[Row]) -> str:
    """Ours in services that cannot be known on their first day: that one, and those after it."""
    mine = [row for row in rows if row["rules"] == OURS and group(row) == "first-day"]
    lines = []
    for row in mine:
        first = [false for false in row["false"] if false["hour"] < 24]
        days, shapes = row["instance_days"], Counter(false["site"].split("/")[0] for false in row["false"])
        lines.append([
            "censuses" if row["case"]["census_s"] else "counts only", per_thousand_days(len(first), days / 2),
            per_thousand_days(len(row["false"]) - len(first), days / 2), f"{len({f['subject'] for f in row['false']})} of {row['runs']}",
            ", ".join(f"{shape} {n}" for shape, n in shapes.most_common()),
        ])  # fmt: skip
    head = [
        "sees",
        "`leak` on the first day, per 1,000 instance-days (95 %)",
        "on the second",
        "services with any",
        "of these shapes",
    ]
    return table(head, lines) + "\n\n" + _about(mine)


def peer_times(rows: Sequence[Row]) -> str:
    """Every rule: median and share found at each rate."""
    leaks = [row for row in rows if "per_h" in row["case"]]
    rates = sorted({row["case"]["per_h"] for row in leaks})
    by = {(row["rules"], row["case"]["per_h"]): row for row in leaks}
    lines = []
    for rules in dict.fromkeys(row["rules"] for row in leaks):
        cells = [by.get((rules, rate)) for rate in rates]
        lines.append([
            f"`{rules}`", *("" if c is None else f"{minutes(quantile(c['times_min'], 0.5))}, {in_time(c)}/{c['runs']}" for c in cells)
        ])  # fmt: skip
    return table(["rule", *(f"{rate:,.0f}/h" for rate in rates)], lines) + "\n\n" + _about(rows)


def peer_false(rows: Sequence[Row]) -> str:
    """Every rule in the same healthy services (ours with censuses and without), fewest first."""
    healthy = [row for row in rows if group(row) == "ordinary"]
    healthy.sort(key=lambda row: len(row["false"]) / max(row["instance_days"], 1e-9))
    return table(*_false_lines(healthy, by_rule=True)) + "\n\n" + _about(rows)


def _false_lines(rows: Sequence[Row], *, by_rule: bool = False) -> tuple[list[str], list[list[str]]]:
    lines = []
    for row in rows:
        any_of = len({false["subject"] for false in row["false"]})
        sees = "censuses" if row["case"]["census_s"] else "counts only"
        first = (
            f"{group(row)} services, {sees}"
            if not by_rule
            else f"`{row['rules']}`" + (f", {sees}" if row["rules"] == OURS else "")
        )
        lines.append([first, per_thousand_days(len(row["false"]), row["instance_days"]), f"{any_of} of {row['runs']}"])
    return [
        "rule" if by_rule else "where, and what is seen",
        "false per 1,000 instance-days (95 %)",
        "services with any",
    ], lines


def _about(rows: Sequence[Row]) -> str:
    """Size and seed: a number without them is none."""
    runs = sorted({row["runs"] for row in rows if "per_h" in row["case"]})
    healthy = sorted({round(row["instance_days"]) for row in rows if group(row) != "leak"})
    said = [seeds(rows)]
    said += (
        [f"{runs[0]}-{runs[-1]} runs of each case" if len(runs) > 1 else f"{runs[0]} runs of each case"] if runs else []
    )
    said += [f"{'/'.join(f'{d:,}' for d in healthy)} healthy instance-days"] if healthy else []
    said += [f"looks {looks:g} s apart" for looks in sorted({row["looks_s"] for row in rows if "looks_s" in row})]
    return f"*Measured: {', '.join(said)}.*"


def _share(of: Mapping[str, Any]) -> str:
    low, high = wilson(of["hits"], of["of"])
    return (
        f"{of['hits'] / of['of']:.1%} ({of['hits']}/{of['of']}; {100 * low:.1f}-{100 * high:.1f})" if of["of"] else "-"
    )


def live(document: Mapping[str, Any]) -> str:
    """The live ruler: one column per mode."""
    scores = document["scores"]
    names = {
        "recall": "recall: leaking sites called `leak`", "precision": "precision: `leak` findings that are right",
        "lookalikes_accused": "look-alikes with a `leak`", "lookalikes_suspected": "look-alikes with a suspicion",
        "go_leak_profile_alone": "for comparison: sites Go's leak profile proves alone",
        "go_leak_profile_wrong_services": "for comparison: services in which Go's leak profile accuses what does not leak",
    }  # fmt: skip
    told = [key for key in names if all(key in score for score in scores.values())]
    lines = [[names[key], *(_share(score[key]) for score in scores.values())] for key in told]
    for proven, text in (("False", "recall, what the leak profile cannot see"), ("True", "recall, what it can see")):
        if any(proven in score["by_proof"] for score in scores.values()):
            empty = {"hits": 0, "of": 0}
            lines.insert(1, [text, *(_share(score["by_proof"].get(proven, empty)) for score in scores.values())])
    return table(["", *(MODES.get(mode, mode) for mode in scores)], lines) + "\n\n" + _live_about(document)


def live_kinds(document: Mapping[str, Any]) -> str:
    """Recall by kind and rate."""
    scores = document["scores"]
    lines = []
    for part, unit in (("by_rate", "/s"), ("by_kind", "")):
        for value in dict.fromkeys(v for score in scores.values() for v in score[part]):
            cells = [score[part].get(value) for score in scores.values()]
            lines.append([f"{value}{unit}", *("" if c is None else f"{c['hits']}/{c['of']}" for c in cells)])
    return table(["found", *(MODES.get(mode, mode) for mode in scores)], lines) + "\n\n" + _live_about(document)


def _live_about(document: Mapping[str, Any]) -> str:
    failed = f" ({len(document['failed'])} more failed)" if document.get("failed") else ""
    return (
        f"*Measured: {seeds([{'seed': n} for n in document['seeds']])}; {len(document['runs'])} checks{failed} of {document['for_s']:g} s, "
        f"{document['side_by_side']} services side by side on {document['cpus']} CPUs.*"
    )
