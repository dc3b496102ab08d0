"""`python -m bench.leakbench peers`: peers' rules and ours on the long ruler, side by side; out/leakbench/peers.json.

The services, looks and seeds of the long ruler; every rule gets the same events. How it is scored:
- *Found*: the first accusation **raised** at or after the onset that names the leaking site, or the whole process. One that already
  stood and goes on says nothing new and does not count. A process-wide alarm counts although it does not say where, and although it may
  be for another reason: its false alarms in healthy time are the other half of that. (Ours must name the site, and only `leak` counts.)
- *False*: in healthy services, each accused site (or the process) at most once per service and day, however often the rule went off.
- The leaking goroutines wait in a channel operation, the only kind that LeakProf looks at.
- Ours in the same healthy services is measured by `long` (a day of it costs more than one of all peers together).
- A leak is watched for a day after its onset; what was not found by then is not found.

Looks are 60 s apart, for all, as ours are. A rule that samples more often has those samples only: holmes' ring of ten is then ten minutes
instead of fifty seconds, so that it sees slower growth, and more of the healthy swings, too. `--looks 5` gives everybody 5 s.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.leakbench.long import events
from bench.leakbench.long.batches import Row, run
from bench.leakbench.long.cases import Case
from bench.leakbench.long.command import keep
from bench.leakbench.long.judges import OURS
from bench.leakbench.long.run import healthy_tasks, leak_tasks
from bench.leakbench.peers import peers

OUT = Path("out/leakbench/peers.json")
RATES = (1.0, 6.0, 60.0, 360.0, 3600.0, 36_000.0)
"""Leaks an hour: the long ruler's, and two more at which thresholds on counts begin to see."""
HORIZON_H = 24.0
QUICK = {"runs": 2, "healthy": 3}


@dataclass(frozen=True)
class DayLong(Case):
    """A case that is watched for a day after its onset, at any rate; nothing is promised."""

    @property
    def target_min(self) -> float | None:
        return None

    @property
    def wait(self) -> str:
        return "chan receive"

    @property
    def horizon_s(self) -> float:
        return HORIZON_H * 3600


def cases(rates: Sequence[float] = RATES) -> list[Case]:
    """One leak among ten healthy goroutines of its site, steady load; counts only: what all peers can see."""
    return [DayLong(per_h, alone=False, load="flat", census_s=0.0) for per_h in rates]


def rules() -> list[str]:
    """Ours first."""
    return [OURS, *(peer.name for peer in peers())]


def main(argv: Sequence[str]) -> int:
    """Measure and keep; the tables are `score`'s."""
    parser = argparse.ArgumentParser(prog="python -m bench.leakbench peers", description=__doc__.split("\n\n")[0])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--runs", type=int, default=20, help="leaks of each rate (20)")
    parser.add_argument("--healthy", type=int, default=300, metavar="DAYS", help="healthy instance-days (300)")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--minutes", type=float, help="stop after so long, with what there is")
    parser.add_argument("--rules", action="append", metavar="NAME", help="only these (default: ours and all peers)")
    parser.add_argument("--looks", type=float, default=events.PROFILE_S, metavar="S", help="between two looks (60)")
    parser.add_argument("--quick", action="store_true", help="a minute or two, to see that it runs")
    parser.add_argument("--out", type=Path, default=OUT)
    told = parser.parse_args(argv)
    if told.quick:
        told.runs, told.healthy = QUICK["runs"], QUICK["healthy"]
    if told.looks != events.PROFILE_S:
        if multiprocessing.get_start_method() != "fork":
            parser.error("--looks needs worker processes that are forks")
        events.PROFILE_S = told.looks
    began = time.monotonic()
    wanted = told.rules or rules()
    todo = leak_tasks(told.seed, cases(), told.runs, wanted, HORIZON_H * 3600)
    if others := [name for name in wanted if name != OURS]:
        todo += healthy_tasks(told.seed, "ordinary", told.healthy, 300.0, others)

    def keep_them(rows: list[Row]) -> None:
        keep(told.out, [row | {"looks_s": told.looks} for row in rows])

    rows = run(
        todo, told.jobs, lambda text: print(f"{(time.monotonic() - began) / 60:6.1f} min  {text}", file=sys.stderr, flush=True),
        keep=keep_them, limit_s=told.minutes * 60 if told.minutes else math.inf,
    )  # fmt: skip
    print(
        f"{sum(r['instance_days'] for r in rows):,.0f} instance-days in {time.monotonic() - began:,.0f} s; {told.out}"
    )
    return 0
