"""Judging subjects on virtual time: when was the leak first suspected, when called a leak, who else was wrongly accused.

Several subjects are judged by one judge at once, each a service of its own: they share nothing but the columns that are walked together. A judge is
asked after every look; a subject whose leak was found is over.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

from bench.leakbench.long.cases import LEAK, Case, Subject, healthy, healthy_runs, leaking
from bench.leakbench.long.events import beat, beats
from bench.leakbench.long.judges import OURS, Judge, judges
from bench.leakbench.long.worlds import DAY, MINUTE
from parkwarden.model import Gone

TICK_LAG_S = 2.0
"""Judged so long after a look: a census is in by then."""
TOGETHER = 24
"""Subjects judged at once: enough that columns are worth walking, few enough for 100 MB."""
WHY = 400
"""Characters kept of what a false accusation was based on."""


@dataclass
class Outcome:
    """What a judge said of one subject. Seconds from the onset; None = never. `false`: each site (and day) wrongly called a leak, once."""

    subject: str
    instance_days: float
    suspect_s: float | None = None
    leak_s: float | None = None
    false: list[dict[str, Any]] = field(default_factory=list)
    _said: set[tuple[str, int]] = field(default_factory=set)

    def accused(self, subject: Subject, site: str, sure: bool, at: float, why: str, ours: bool) -> None:
        """Weigh one accusation. A peer that accuses the whole process of a leaking one is right; we have to name the site."""
        guilty = subject.onset is not None and at >= subject.onset and (site == LEAK or (site == "" and not ours))
        if guilty:
            since = at - (subject.onset or 0.0)
            self.suspect_s = since if self.suspect_s is None else self.suspect_s
            self.leak_s = since if sure and self.leak_s is None else self.leak_s
        elif sure and (key := (site, int(at // DAY))) not in self._said:
            self._said.add(key)
            self.false.append({"subject": self.subject, "site": site, "hour": round(at / 3600, 2), "why": why[:WHY]})


def judge(subjects: Sequence[Subject], make: Callable[[], Judge], ours: bool) -> list[Outcome]:
    """All subjects through one judge, beat by beat."""
    judge_ = make()
    outcomes = [Outcome(s.name, s.instance_days) for s in subjects]
    of = {i.id: n for n, s in enumerate(subjects) for i in s.instances}
    for subject in subjects:
        judge_.named([i.id for i in subject.instances], subject.names)
    alive = set(range(len(subjects)))
    for k in range(max(beats(s.until) for s in subjects)):
        at = beat(k)
        for n in sorted(alive):
            subject, outcome = subjects[n], outcomes[n]
            if at >= subject.until or outcome.leak_s is not None:
                outcome.instance_days = len(subject.instances) * min(at, subject.until) / DAY
                alive.discard(n)
                for instance in subject.instances:
                    judge_.feed(Gone(at, instance.id))
                continue
            for instance in subject.instances:
                for event in instance.events(k):
                    judge_.feed(event)
        for accused in judge_.tick(at + TICK_LAG_S):
            n = of[accused.instance]
            if n in alive:
                outcomes[n].accused(subjects[n], accused.site, accused.sure, at, accused.why, ours)
        if not alive:
            break
    return outcomes


@dataclass(frozen=True)
class Task:
    """One batch: runs of one case, or (`case` None) healthy services with this census beat."""

    seed: int
    case: Case | None
    census_s: float
    runs: tuple[int, ...]
    rules: tuple[str, ...]
    onset_within: float = DAY
    days: int = 1
    """Healthy services are watched so long: the first day is the hardest, nothing of before is known."""

    def subjects(self) -> list[Subject]:
        if self.case is None:
            return [healthy(self.seed, self.census_s, run, self.days) for run in self.runs]
        return [leaking(self.seed, self.case, run, self.onset_within) for run in self.runs]


def work(task: Task) -> tuple[Task, dict[str, list[Outcome]]]:
    """Simulate once, judge by each of the rules."""
    subjects = task.subjects()
    makers = judges(list(task.rules))
    return task, {name: judge(subjects, make, name == OURS) for name, make in makers.items()}


def tasks(
    seed: int, cases: Iterable[Case], runs: int, healthy_days: int, census: Sequence[float], rules: Sequence[str],
    onset_within: float = DAY, days: int = 1,
) -> list[Task]:  # fmt: skip
    """Everything to be measured, in batches."""
    names = tuple(rules)
    found = [
        Task(seed, case, case.census_s, batch, names, onset_within) for case in cases for batch in _batches(range(runs))
    ]
    for census_s in census:
        runs_of = healthy_runs(math.ceil(healthy_days / days))
        found += [Task(seed, None, census_s, batch, names, days=days) for batch in _batches(runs_of)]
    return found


def _batches(runs: Iterable[int]) -> Iterator[tuple[int, ...]]:
    rest = iter(runs)
    while batch := tuple(islice(rest, TOGETHER)):
        yield batch


def run(todo: Sequence[Task], jobs: int, tell: Callable[[str], None]) -> list[dict[str, Any]]:
    """Rows of the result (see score.py), one per case and rule."""
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    results: dict[Task, dict[str, list[Outcome]]] = {}
    longest_first = sorted(todo, key=lambda t: -(len(t.runs) * (t.case.horizon_s if t.case else 2 * t.days * DAY)))
    with ProcessPoolExecutor(jobs) as pool:
        try:
            for future in as_completed([pool.submit(work, task) for task in longest_first]):
                task, by_rule = future.result()
                results[task] = by_rule
                tell(f"{len(results)}/{len(todo)} {_name(task)}")
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            tell("interrupted: what was measured so far counts")
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for task in todo:
        for rule, outcomes in results.get(task, {}).items():
            _add(rows, task, rule, outcomes)
    return list(rows.values())


def _name(task: Task) -> str:
    return task.case.name if task.case else f"healthy/{task.census_s:.0f}"


def _add(rows: dict[tuple[str, str], dict[str, Any]], task: Task, rule: str, outcomes: Sequence[Outcome]) -> None:
    row = rows.setdefault(
        (_name(task), rule),
        {
            "ruler": "long", "rules": rule, "seed": task.seed,
            "case": {"name": _name(task), "census_s": task.census_s, **(
                {**asdict(task.case), "target_min": task.case.target_min, "horizon_min": task.case.horizon_s / MINUTE}
                if task.case else {}
            )},
            "runs": 0, "found": 0, "times_min": [], "suspect_min": [], "instance_days": 0.0, "false": [],
        },
    )  # fmt: skip
    for outcome in outcomes:
        row["runs"] += 1
        row["found"] += outcome.leak_s is not None
        row["times_min"].append(_minutes(outcome.leak_s))
        row["suspect_min"].append(_minutes(outcome.suspect_s))
        row["instance_days"] += outcome.instance_days
        row["false"] += outcome.false


def _minutes(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds / MINUTE, 2)
