"""Judging subjects on virtual time: when was the leak first suspected, when called a leak, who else was wrongly accused.

Several subjects are judged by one judge at once, each a service of its own: they share nothing but the columns that are walked together. A judge is
asked after every look; a subject whose leak was found is over.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from bench.leakbench.long.cases import GROUPS, LEAK, SEPARATE, Case, Subject, healthy_runs, leaking, replicas
from bench.leakbench.long.events import beat, beats
from bench.leakbench.long.judges import OURS, Judge, judges
from bench.leakbench.long.worlds import DAY
from parkwarden.model import Gone

TICK_LAG_S = 2.0
"""Judged so long after a look: a census is in by then."""
TOGETHER = 12
"""Runs judged at once, at most: more make the judge no faster (measured: a healthy day costs the same by 6 and by 48, a leak's run a fifth more
by 10 than by 40), and what is kept, and balanced, is whole batches."""
SPARSE = 4
"""Cases without a promise get one run of so many."""
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

    def accused(self, subject: Subject, site: str, sure: bool, at: float, why: Callable[[], str], ours: bool) -> None:
        """Weigh one accusation. A peer that accuses the whole process of a leaking one is right; we have to name the site."""
        guilty = subject.onset is not None and at >= subject.onset and (site == LEAK or (site == "" and not ours))
        if guilty:
            since = at - (subject.onset or 0.0)
            self.suspect_s = since if self.suspect_s is None else self.suspect_s
            self.leak_s = since if sure and self.leak_s is None else self.leak_s
        elif sure and (key := (site, int(at // DAY))) not in self._said:
            self._said.add(key)
            self.false.append({"subject": self.subject, "site": site, "hour": round(at / 3600, 2), "why": why()[:WHY]})


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
    """One batch, the work of one core for a minute or so: runs of one case, or (`case` None) healthy services of a group with this census beat."""

    seed: int
    case: Case | None
    census_s: float
    runs: tuple[int, ...]
    rules: tuple[str, ...]
    onset_within: float = DAY
    days: int = 1
    """Healthy services are watched so long: the first day is the hardest, nothing of before is known."""
    group: str = "ordinary"

    @property
    def name(self) -> str:
        return self.case.name if self.case else f"{self.group}/{self.census_s:.0f}"

    @property
    def instance_days(self) -> float:
        """About."""
        if self.case is None:
            return float(self.days * sum(map(replicas, self.runs)))
        return len(self.runs) * (self.onset_within / 2 + self.case.horizon_s) / DAY

    def subjects(self) -> list[Subject]:
        if self.case is None:
            return [GROUPS[self.group](self.seed, self.census_s, run, self.days) for run in self.runs]
        return [leaking(self.seed, self.case, run, self.onset_within) for run in self.runs]


def work(task: Task) -> dict[str, list[Outcome]]:
    """Simulate once, judge by each of the rules."""
    subjects = task.subjects()
    return {name: judge(subjects, make, name == OURS) for name, make in judges(list(task.rules)).items()}


def leak_tasks(
    seed: int, cases: Iterable[Case], runs: int, rules: Sequence[str], onset_within: float = DAY
) -> list[Task]:
    """`runs` of each case in batches; where nothing is promised, a SPARSE part of them."""
    return [
        Task(seed, case, case.census_s, batch, tuple(rules), onset_within)
        for case in cases
        for batch in _batches(range(math.ceil(runs / SPARSE) if case.load in SEPARATE else runs))
    ]


def healthy_tasks(
    seed: int, group: str, instance_days: int, census_s: float, rules: Sequence[str], days: int = 1
) -> list[Task]:
    """Services of a group that have so many instance-days together, each watched for `days`."""
    return [
        Task(seed, None, census_s, batch, tuple(rules), days=days, group=group)
        for batch in _batches(healthy_runs(math.ceil(instance_days / days)))
    ]


def _batches(runs: Iterable[int]) -> Iterator[tuple[int, ...]]:
    """As few as may be, of about the same size."""
    all_of_them = list(runs)
    number = math.ceil(len(all_of_them) / TOGETHER)
    for i in range(number):
        yield tuple(all_of_them[i * len(all_of_them) // number : (i + 1) * len(all_of_them) // number])


def undone(todo: Iterable[Task], rows: Iterable[dict[str, Any]]) -> list[Task]:
    """What `rows` do not hold yet, of these seeds."""
    done = {(row["case"]["name"], row["rules"], row["seed"]): set(row["done"]) for row in rows}
    left = []
    for task in todo:
        common = set.intersection(*(done.get((task.name, rule, task.seed), set()) for rule in task.rules))
        if runs := tuple(run for run in task.runs if run not in common):
            left.append(replace(task, runs=runs))
    return left


def balanced(todo: Sequence[Task]) -> list[Task]:
    """In such an order that wherever it is cut, about the same share of every case and group is done."""
    of: dict[str, int] = {}
    for task in todo:
        of[task.name] = of.get(task.name, 0) + 1
    seen: dict[str, int] = {}
    place: list[tuple[float, int]] = []
    for i, task in enumerate(todo):
        nth = seen[task.name] = seen.get(task.name, 0) + 1
        place.append(((nth - 0.5) / of[task.name], i))
    return [todo[i] for _, i in sorted(place)]
