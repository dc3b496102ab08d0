"""`python -m bench.leakbench long`: measure, print the tables, keep out/leakbench/long.json."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

from bench.leakbench.long.cases import cases
from bench.leakbench.long.events import save
from bench.leakbench.long.judges import OURS
from bench.leakbench.long.run import run, tasks
from bench.leakbench.long.worlds import HOUR
from bench.leakbench.score import long_tables

OUT = Path("out/leakbench")
QUICK = {"runs": 2, "healthy": 6, "onset_h": 2.0, "per_h": 6.0}
"""What ends within two minutes on two cores, without leaks slower than `per_h`: enough to see that it runs, too little to believe."""


def main(argv: list[str]) -> int:
    """See the module."""
    parser = argparse.ArgumentParser(prog="python -m bench.leakbench long", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=20, help="of each case (20)")
    parser.add_argument(
        "--healthy", type=int, default=200, metavar="DAYS", help="healthy instance-days of each mode (200)"
    )
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--census", type=float, choices=[300.0, 0.0], help="only with censuses, or only without")
    parser.add_argument(
        "--only", default=None, metavar="TEXT", help="cases whose name (census/60/among/flat) has it; `healthy`"
    )
    parser.add_argument("--rules", action="append", metavar="NAME", help="parkwarden (default), a peer, or `peers`")
    parser.add_argument("--onset-h", type=float, default=24.0, help="the leak begins before this hour (24)")
    parser.add_argument(
        "--span",
        type=int,
        default=1,
        metavar="DAYS",
        help="each healthy service is watched so long (1: all days are first days)",
    )
    parser.add_argument("--quick", action="store_true", help="two minutes, to see that it runs")
    parser.add_argument(
        "--save", type=Path, metavar="DIR", help="write the subjects as recordings instead of judging them"
    )
    parser.add_argument("--out", type=Path, default=OUT / "long.json")
    told = parser.parse_args(argv)
    if told.quick:
        told.runs, told.healthy, told.onset_h = QUICK["runs"], QUICK["healthy"], QUICK["onset_h"]
    census = [300.0, 0.0] if told.census is None else [told.census]
    chosen = [case for one in census for case in cases(one) if told.only is None or told.only in case.name]
    if told.quick:
        chosen = [case for case in chosen if case.per_h >= QUICK["per_h"]]
    if told.only is not None and told.only not in "healthy":
        told.healthy = 0
    todo = tasks(
        told.seed, chosen, told.runs, int(told.healthy), census, told.rules or [OURS], told.onset_h * HOUR, told.span
    )
    if told.save:
        told.save.mkdir(parents=True, exist_ok=True)
        for task in todo:
            for subject in task.subjects():
                mode = "census" if task.census_s else "counts"
                name = subject.name if task.case else f"{mode}/{subject.name}"
                save(told.save / (name.replace("/", "-") + ".jsonl"), subject.names, subject.instances, subject.until)
        return 0
    began = time.monotonic()
    rows = run(
        todo, told.jobs, lambda text: print(f"{time.monotonic() - began:6.0f} s  {text}", file=sys.stderr, flush=True)
    )
    told.out.parent.mkdir(parents=True, exist_ok=True)
    told.out.write_text(json.dumps(rows, indent=1))
    print(long_tables(rows))
    print(
        f"{sum(r['instance_days'] for r in rows):,.0f} instance-days in {time.monotonic() - began:,.0f} s, {told.jobs} jobs; {told.out}"
    )
    return 0
