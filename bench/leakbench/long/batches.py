"""Many tasks on few cores: in a balanced order, within a time limit, every batch kept as soon as it is done."""

from __future__ import annotations

import math
import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.leakbench.long.run import Outcome, Task, balanced, work
from bench.leakbench.long.worlds import MINUTE

Row = dict[str, Any]
FIRST_PACE_S = 3.0
"""Seconds that an instance-day takes one core, as long as none was measured."""


@dataclass
class Pace:
    """How long tasks take, learnt from those that are done: seconds per instance-day, by kind of task."""

    took: dict[tuple[str, bool], tuple[float, float]] = field(default_factory=dict)

    def done(self, task: Task, seconds: float) -> None:
        days, spent = self.took.get(_kind(task), (0.0, 0.0))
        self.took[_kind(task)] = days + task.instance_days, spent + seconds

    def expects(self, task: Task) -> float:
        """Seconds; by the mean of all kinds where its own was not measured yet."""
        known = [self.took[_kind(task)]] if _kind(task) in self.took else list(self.took.values())
        days = sum(d for d, _ in known)
        return task.instance_days * (sum(s for _, s in known) / days if days else FIRST_PACE_S)


def _kind(task: Task) -> tuple[str, bool]:
    return ("leak" if task.case else task.group, task.census_s > 0)


def run(
    todo: Sequence[Task],
    jobs: int,
    tell: Callable[[str], None],
    rows: Iterable[Row] = (),
    keep: Callable[[list[Row]], None] = lambda rows: None,
    limit_s: float = math.inf,
) -> list[Row]:
    """Rows of the result (see score.py): one per case, rule and seed, added to `rows`; `keep` gets all of them after each batch.

    Nothing is begun that is expected to end after `limit_s`, what has begun is waited for: to cut short what takes long would leave out the
    leaks that are found late. Interrupted (Ctrl-C), what was kept counts.
    """
    by = {(row["case"]["name"], row["rules"], row["seed"]): row for row in rows}
    began, pace = time.monotonic(), Pace()
    queue, running, ended, left = deque(balanced(todo)), dict[Future[Any], tuple[Task, float]](), 0, 0
    with ProcessPoolExecutor(jobs, initializer=_worker) as pool:
        try:
            while queue or running:
                while queue and len(running) < jobs:
                    task, spent = queue.popleft(), time.monotonic() - began
                    if spent + pace.expects(task) > limit_s:
                        left += 1
                    else:
                        running[pool.submit(work, task)] = task, spent
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    task, since = running.pop(future)
                    pace.done(task, time.monotonic() - began - since)
                    for rule, outcomes in future.result().items():
                        add(by, task, rule, outcomes)
                    keep(list(by.values()))
                    ended += 1
                    ahead = sum(map(pace.expects, queue)) / jobs
                    ends = min(time.monotonic() - began + ahead, limit_s)
                    tell(
                        f"{ended}/{len(todo)} {task.name}; done at {_clock(ends)} of {_clock(ahead + time.monotonic() - began)} needed"
                    )
        except KeyboardInterrupt:
            for worker in multiprocessing.active_children():
                worker.terminate()
            tell("interrupted: what was measured so far is kept")
    if left:
        tell(f"{left} of {len(todo)} batches were not begun: the time was over")
    return list(by.values())


def _worker() -> None:
    """Interrupts are the parent's; it ends its workers."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _clock(seconds: float) -> str:
    return f"{seconds // 60:.0f}:{seconds % 60:02.0f} min"


def add(rows: dict[tuple[str, str, int], Row], task: Task, rule: str, outcomes: Sequence[Outcome]) -> None:
    """One batch into its row."""
    case, about = task.case, {"name": task.name, "census_s": task.census_s}
    if case is None:
        about["group"] = task.group
    else:
        about |= asdict(case) | {"target_min": case.target_min, "horizon_min": case.horizon_s / MINUTE}
    new = {
        "ruler": "long", "rules": rule, "seed": task.seed, "case": about, "runs": 0, "found": 0, "times_min": [], "suspect_min": [],
        "instance_days": 0.0, "false": [], "done": [],
    }  # fmt: skip
    row = rows.setdefault((task.name, rule, task.seed), new)
    row["done"] += task.runs
    for outcome in outcomes:
        row["runs"] += 1
        row["found"] += outcome.leak_s is not None
        row["instance_days"] += outcome.instance_days
        row["false"] += outcome.false
        if case is not None:
            row["times_min"].append(_minutes(outcome.leak_s))
            row["suspect_min"].append(_minutes(outcome.suspect_s))


def _minutes(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds / MINUTE, 2)
