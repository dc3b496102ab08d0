"""What agents are asked for: pprof tasks (`skywalking.v10`), one at a time, when the ladder of looks says so.

    tasks.suspect("shop/1", "goroutine-trend")         # plans looks, as for every instance
    task = tasks.poll("shop/1", last_ms)               # the agent asks every 20 s whether there is something to do
    task = tasks.take(task_id)                         # and brings it; done(task) or failed(task) follows

An agent can be asked for a goroutine and a heap profile: censuses, dumps and leak profiles are none of its tasks. Ladder and budgets are
those of all instances; what is on beat elsewhere is not asked of agents, who write a line for each task into their host's log.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace

from parkwarden.collect.fleet.budgets import WAIT, Budgets
from parkwarden.collect.fleet.ladder import Facts, Ladder, about_memory
from parkwarden.collect.fleet.prices import Look, stall_s
from parkwarden.collect.fleet.settings import CollectSettings
from parkwarden.model.instance import Instance

EVENTS = {Look.PROFILE: "goroutine", Look.HEAP: "heap"}
"""What a task is called for each look."""
CLOSE_WATCH_S = 240.0
"""Longer than elsewhere: judges need eight profiles in a row, and agents ask every 20 s."""
TASK_S = 90.0
"""From the answer that carries a task to its profile: agents give themselves 60 s for sending it."""
POLLS_S = 120.0
"""Who has not asked for so long asks no more: agents do every 20 s."""


@dataclass(frozen=True, slots=True)
class Task:
    """One profile asked of one instance; `at_ms` is the time agents tell tasks apart by."""

    id: str
    instance: Instance
    look: Look
    why: str
    at_ms: int
    until: float


class _Asked:
    """One instance: its ladder, when its agent last asked, and the task it has now."""

    __slots__ = ("goroutines", "ladder", "last_ms", "polled", "task")

    def __init__(self, ladder: Ladder) -> None:
        self.ladder = ladder
        self.polled: float | None = None
        self.task: Task | None = None
        self.last_ms = 0
        self.goroutines: int | None = None


class Tasks:
    """See the module. `clock` gives Unix seconds, `monotonic` those that looks are planned by."""

    def __init__(self, settings: CollectSettings, clock: Callable[[], float], monotonic: Callable[[], float]) -> None:
        settings = replace(settings, close_watch_s=max(settings.close_watch_s, CLOSE_WATCH_S))
        self._settings = replace(
            settings,
            profile_every_s=0,
            census_every_s=0,
            census=False,
            text_dump=False,
            leak_profile=False,
            longer_trace=False,
        )
        self._budgets = Budgets(settings)
        self._clock = clock
        self._monotonic = monotonic
        self._asked: dict[str, _Asked] = {}
        self._open: dict[str, Task] = {}

    def polls(self, instance_id: str) -> bool:
        """Whether its agent asks for tasks at all (from 0.7 on)."""
        asked = self._asked.get(instance_id)
        return asked is not None and asked.polled is not None and self._monotonic() - asked.polled < POLLS_S

    def wanted(self, instance_id: str, why: str) -> bool:
        """Whether a suspicion is news: the same was not followed lately."""
        return self._of(instance_id).ladder.wanted(why, self._monotonic())

    def suspect(self, instance: Instance, why: str, goroutines: int | None) -> bool:
        """Plan what a suspicion (that is `wanted`) calls for; False where enough replicas of its service are watched closely."""
        now, asked = self._monotonic(), self._of(instance.id)
        asked.goroutines = goroutines
        close = not about_memory(why) and not asked.ladder.suspected(now)
        if close and not self._budgets.close_watch(now, instance.id, instance.service):
            return False
        asked.ladder.suspect(why, now, self._facts(asked))
        return True

    def nearing(self, instance_id: str, limit: str, low_s: float) -> bool:
        return self._of(instance_id).ladder.nearing(limit, low_s, self._monotonic())

    def last_chance(self, instance: Instance, limit: str, low_s: float, goroutines: int | None) -> None:
        """Plan what is to be saved before a limit is reached (where `nearing`)."""
        asked = self._of(instance.id)
        asked.goroutines = goroutines
        asked.ladder.last_chance(limit, low_s, self._monotonic(), self._facts(asked))

    def poll(self, instance: Instance, last_ms: int) -> Task | None:
        """The agent asks; what it is to do now, None for nothing. `last_ms` is the time of the last task it had."""
        now, asked = self._monotonic(), self._of(instance.id)
        asked.polled = now
        self.tidy()
        if asked.task is not None:
            return None
        while (ask := asked.ladder.due(now, self._facts(asked))) is not None:
            price = stall_s(ask.look, asked.goroutines or 0)
            reason = self._budgets.refusal(now, instance.id, instance.service, ask.look, price)
            if not reason:
                self._budgets.began(now, instance.id, instance.service, ask.look, price)
                at_ms = asked.last_ms = max(int(self._clock() * 1000), last_ms + 1, asked.last_ms + 1)
                task = Task(secrets.token_hex(16), instance, ask.look, ask.why, at_ms, now + TASK_S)
                asked.task = self._open[task.id] = task
                return task
            if reason in WAIT:
                asked.ladder.postpone(ask, now)
                return None
        return None

    def take(self, task_id: str) -> Task | None:
        """The task of that id, whose profile begins to come: it comes once, and `done` or `failed` must follow."""
        self.tidy()
        return self._open.pop(task_id, None)

    def done(self, task: Task) -> None:
        """Its profile is here."""
        if (asked := self._close(task)) is not None:
            asked.ladder.answered()

    def failed(self, task: Task) -> None:
        """Nothing came of it: the next ones wait longer."""
        if (asked := self._close(task)) is not None:
            asked.ladder.failed(self._monotonic())

    def gone(self, instance_id: str) -> None:
        asked = self._asked.get(instance_id)
        if asked is not None and asked.task is not None:
            self._close(asked.task)
        self._asked.pop(instance_id, None)

    def tidy(self) -> None:
        """Tasks that were not brought in time have failed."""
        now = self._monotonic()
        for task in [task for task in self._open.values() if task.until < now]:
            self.failed(task)

    def _of(self, instance_id: str) -> _Asked:
        asked = self._asked.get(instance_id)
        if asked is None:
            asked = self._asked[instance_id] = _Asked(Ladder(self._settings, 0.0, self._monotonic()))
        return asked

    def _facts(self, asked: _Asked) -> Facts:
        return Facts(goroutines=asked.goroutines, profiles=frozenset(EVENTS.values()))

    def _close(self, task: Task) -> _Asked | None:
        self._open.pop(task.id, None)
        asked = self._asked.get(task.instance.id)
        if asked is None or asked.task is not task:
            return None
        asked.task = None
        self._budgets.ended(task.instance.id, task.instance.service, task.look)
        return asked
