"""`python -m bench.leakbench long`: measure, print the tables, keep out/leakbench/long.json."""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

from bench.leakbench.long.batches import Row, run
from bench.leakbench.long.cases import cases
from bench.leakbench.long.events import save
from bench.leakbench.long.judges import OURS
from bench.leakbench.long.run import Task, healthy_tasks, leak_tasks, undone
from bench.leakbench.long.worlds import HOUR, MINUTE
from bench.leakbench.score import long_tables

OUT = Path("out/leakbench/long.json")
QUICK = {"runs": 1, "healthy": 3, "hostile": 2, "first_day": 2, "onset_h": 2.0, "per_h": 6.0}
"""What ends within two minutes on two cores, without leaks slower than `per_h`: enough to see that it runs, too little to believe."""


def main(argv: list[str]) -> int:
    """See the module."""
    told = _told(argv)
    todo = chosen(told)
    if told.save:
        return _save(todo, told.save)
    kept: list[Row] = json.loads(told.out.read_text()) if told.append and told.out.exists() else []
    todo = undone(todo, kept)
    if not todo:
        print(f"nothing to do: {told.out} has all of it")
        return 0
    began = time.monotonic()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    rows = run(
        todo, told.jobs, _progress(began), kept, lambda rows: keep(told.out, rows),
        told.minutes * MINUTE if told.minutes else math.inf,
    )  # fmt: skip
    print(long_tables(rows))
    days = sum(row["instance_days"] for row in rows)
    print(f"{days:,.0f} instance-days kept, {time.monotonic() - began:,.0f} s, {told.jobs} jobs; {told.out}")
    return 0


def _told(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.leakbench long", description=__doc__)
    say = parser.add_argument
    say("--seed", type=int, default=1)
    say("--runs", type=int, default=20, help="of each case (20); a quarter of the cases that nothing is promised for")
    say(
        "--healthy",
        type=int,
        default=200,
        metavar="DAYS",
        help="healthy instance-days of each mode, ordinary services (200)",
    )
    say("--hostile", type=int, metavar="DAYS", help="the same of services of nothing but look-alikes (a tenth)")
    say(
        "--first-day",
        type=int,
        metavar="DAYS",
        help="the same of services that cannot be known on their first day (a tenth)",
    )
    say("--jobs", type=int, default=os.cpu_count() or 1)
    say(
        "--minutes",
        type=float,
        help="stop after so long, with what there is: all cases and groups get about the same share",
    )
    say(
        "--append",
        action="store_true",
        help="add to --out what it does not hold yet: other seeds, more runs, what was cut off",
    )
    say("--census", type=float, choices=[300.0, 0.0], help="only with censuses, or only without")
    say(
        "--only",
        metavar="TEXT",
        help="cases whose name (census/60/among/flat) has it; `ordinary`, `hostile`, `first-day`",
    )
    say("--rules", action="append", metavar="NAME", help="parkwarden (default), a peer, or `peers`")
    say("--onset-h", type=float, default=8.0, help="the leak begins before this hour (8)")
    say(
        "--span",
        type=int,
        default=1,
        metavar="DAYS",
        help="each healthy service is watched so long (1: all days are first days)",
    )
    say("--quick", action="store_true", help="two minutes, to see that it runs")
    say("--save", type=Path, metavar="DIR", help="write the subjects as recordings instead of judging them")
    say("--out", type=Path, default=OUT)
    told = parser.parse_args(argv)
    told.hostile = math.ceil(told.healthy / 10) if told.hostile is None else told.hostile
    told.first_day = math.ceil(told.healthy / 10) if told.first_day is None else told.first_day
    if told.quick:
        vars(told).update({name: value for name, value in QUICK.items() if name in vars(told)})
    return told


def chosen(told: argparse.Namespace) -> list[Task]:
    """What the options ask for, in batches."""
    rules = told.rules or [OURS]
    todo: list[Task] = []
    for census_s in [300.0, 0.0] if told.census is None else [told.census]:
        some = [case for case in cases(census_s) if told.only is None or told.only in case.name]
        some = [case for case in some if not told.quick or case.per_h >= QUICK["per_h"]]
        todo += leak_tasks(told.seed, some, told.runs, rules, told.onset_h * HOUR)
        for group, days, span in (
            ("ordinary", told.healthy, told.span), ("hostile", told.hostile, told.span), ("first-day", told.first_day, 2),
        ):  # fmt: skip
            if told.only is None or told.only in group:
                todo += healthy_tasks(told.seed, group, int(days), census_s, rules, span)
    return todo


def keep(out: Path, rows: list[Row]) -> None:
    """All at once: who kills a run finds what it had."""
    out.parent.mkdir(parents=True, exist_ok=True)
    new = out.with_suffix(".new")
    new.write_text(json.dumps(rows, indent=None))
    new.replace(out)


def _progress(began: float) -> Any:
    return lambda text: print(f"{(time.monotonic() - began) / 60:6.1f} min  {text}", file=sys.stderr, flush=True)


def _save(todo: list[Task], folder: Path) -> int:
    folder.mkdir(parents=True, exist_ok=True)
    for task in todo:
        for subject in task.subjects():
            mode = "census" if task.census_s else "counts"
            name = subject.name if task.case else f"{mode}/{subject.name}"
            save(folder / (name.replace("/", "-") + ".jsonl"), subject.names, subject.instances, subject.until)
    return 0
