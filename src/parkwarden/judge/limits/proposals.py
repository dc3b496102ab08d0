"""Values that fit together: for a profile, at a load, beside what is in force. Each with its reason.

What is in force and enough is kept. The proposals hold every rule of `rules` when they are put in force together
(a property test drives that).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from parkwarden.judge.limits.facts import GO_GOGC, Facts, Profile, Server, Unit
from parkwarden.judge.limits.needs import Need, What
from parkwarden.judge.limits.presets import HEADER_TIMEOUT_S, THREAD_SHARE
from parkwarden.judge.limits.rules import (
    FD_MARGIN,
    GC_ROOM,
    GOMEMLIMIT_LEAST,
    GOMEMLIMIT_MOST,
    GOMEMLIMIT_SHARE,
    THREADS_ROOM,
    idle_s,
    most_procs,
    number,
    round_up,
)
from parkwarden.model.words import percent

DEFAULT_LOAD = 1_000
"""Concurrent requests proposals are made for where no load was asked about; twice the present if that is more."""

ROOM = 1.25
"""Of what the load takes: measured needs are a present's, and a service restarts into a crowd."""

MIN_MEMORY = 256 << 20
"""A memory limit proposed at least: below, the runtime and one burst are most of it."""

STEP_MEMORY = 64 << 20
"""Memory limits are proposed in steps of this, threads in steps of STEP_THREADS."""
STEP_THREADS = 256


@dataclass(frozen=True, slots=True)
class Proposal:
    """One value: `now` as in force (None = not visible, infinite = none), `value` infinite = leave unset."""

    name: str
    now: float | None
    value: float
    unit: Unit
    why: str

    @property
    def changes(self) -> bool:
        """Whether it differs from what is known to be in force."""
        return self.now != self.value


def propose(facts: Facts, profile: Profile, needs: Mapping[What, Need]) -> list[Proposal]:
    """All values together. The server's timeouts are `proposed_server`'s."""
    load = load_of(facts)
    max_threads, process_limit = _threads(facts, profile, needs, load)
    memory = _memory(facts, needs, load)
    found = [max_threads, process_limit, *_pids(facts, process_limit), _descriptors(facts, profile, needs, load)]
    if memory is not None:
        found += [memory, _go_memory(facts, memory.value)]
    if facts.limit("address-space") is not None:
        why = "none: it counts what Go reserves and never touches; the memory limit counts what is used"
        found.append(Proposal("address-space", facts.value("address-space"), math.inf, Unit.BYTES, why))
    return [*found, _gogc(facts), _procs(facts), *_timeouts(facts, profile)]


def load_of(facts: Facts) -> int:
    """Concurrent requests the proposals are made for."""
    return facts.load if facts.load is not None else max(DEFAULT_LOAD, 2 * (facts.now.requests or 0))


def proposed_server(profile: Profile, peer_keepalive_s: float | None) -> Server:
    """The timeouts proposed, seconds; 0 = none."""
    return Server(
        where="proposed",
        read_header_s=min(profile.timeout_s, HEADER_TIMEOUT_S),
        read_s=0.0 if profile.streaming else profile.timeout_s,
        write_s=0.0 if profile.streaming else profile.timeout_s,
        idle_s=idle_s(profile, peer_keepalive_s),
    )


def _up(value: float, step: int) -> int:
    return math.ceil(value / step) * step


def _threads(facts: Facts, profile: Profile, needs: Mapping[What, Need], load: int) -> tuple[Proposal, Proposal]:
    """SetMaxThreads of the profile, more where the load takes more; the process limit above it and everybody else."""
    need, now = needs.get(What.THREADS), facts.now
    wanted = max(need.at(load) if need is not None else 0.0, float(now.threads or 0)) / THREADS_ROOM + 1
    most = profile.max_threads if wanted <= profile.max_threads else _up(wanted, STEP_THREADS)
    others = max((now.user_threads or 0) - (now.threads or 0), 0, (now.group_threads or 0) - (now.threads or 0))
    least = max(most / THREAD_SHARE, most + others)
    # the quarter is there for children, and others of the user need their own place
    limit = profile.process_limit if least <= profile.process_limit else _up(least, STEP_THREADS)
    grown = (
        ""
        if most == profile.max_threads
        else f", raised from the profile's {profile.max_threads:,}: {load:,} requests take {wanted:,.0f}"
    )
    beside = f", and the {others:,} that others hold" if others else ""
    return (
        Proposal(
            "go-max-threads", facts.value("go-max-threads"), float(most), Unit.THREADS,
            f"below the process limit, so that Go's own message names the crash; no protection{grown}",
        ),
        Proposal(
            "process-limit", facts.value("process-limit"), float(limit), Unit.THREADS,
            f"SetMaxThreads is at most {percent(THREAD_SHARE)} of it: the rest is for child processes{beside}; counts the whole user, never binds root",
        ),
    )  # fmt: skip


def _pids(facts: Facts, process_limit: Proposal) -> list[Proposal]:
    if facts.value("pids-limit") is None:
        return []
    why = "the same for the service's own group (TasksMax): it binds root too, and nobody else counts there"
    return [Proposal("pids-limit", facts.value("pids-limit"), process_limit.value, Unit.THREADS, why)]


def _descriptors(facts: Facts, profile: Profile, needs: Mapping[What, Need], load: int) -> Proposal:
    now, need = facts.value("fd-limit"), needs.get(What.DESCRIPTORS)
    each, basis = (
        (need.each, need.text)
        if need is not None
        else (profile.fds_per_request, "assumed: open descriptors are not told")
    )
    wanted = (need.at(load) if need is not None else 64 + profile.fds_per_request * load) * max(ROOM, 1 + FD_MARGIN)
    enough = now is not None and now >= wanted
    value = now if enough and now is not None else float(round_up(wanted))
    kept = "kept: " if enough else ""
    why = f"{kept}{load:,} requests at {number(each)} each ({basis}) and a quarter of room take {wanted:,.0f}"
    return Proposal("fd-limit", now, value, Unit.DESCRIPTORS, why)


def _memory(facts: Facts, needs: Mapping[What, Need], load: int) -> Proposal | None:
    """The group's limit: kept if it holds the load; None where neither a limit nor any use of memory is told."""
    need, now, limit = needs.get(What.MEMORY), facts.value("memory-limit"), facts.limit("memory-limit")
    takes = need.at(load) if need is not None else 0.0
    live = max(takes, float(facts.now.memory or 0), (facts.now.heap or 0) / GC_ROOM)
    if limit is None and live <= 0:
        return None
    said = (
        f"{load:,} requests take {number(takes, 'bytes')} ({need.text})"
        if need is not None
        else "what requests take is not told"
    )
    wanted = live * ROOM / GOMEMLIMIT_SHARE
    if limit is not None and limit >= wanted:
        return Proposal("memory-limit", now, limit, Unit.BYTES, f"kept: {said}")
    value = float(max(MIN_MEMORY, _up(wanted, STEP_MEMORY)))
    return Proposal(
        "memory-limit", now, value, Unit.BYTES, f"{said}; with room for the collector and what Go does not count"
    )


def _go_memory(facts: Facts, limit: float) -> Proposal:
    now = facts.limit("gomemlimit")
    fits = (
        now is not None
        and GOMEMLIMIT_LEAST * limit <= now <= GOMEMLIMIT_MOST * limit
        and (facts.now.heap or 0) <= GC_ROOM * now
    )
    value = now if fits and now is not None else float(int(limit * GOMEMLIMIT_SHARE) >> 20 << 20)
    why = f"{percent(GOMEMLIMIT_SHARE)} of the memory limit: the collector works harder before the kernel kills"
    return Proposal("gomemlimit", facts.value("gomemlimit"), value, Unit.BYTES, f"kept: {why}" if fits else why)


def _gogc(facts: Facts) -> Proposal:
    """Never touched where it is a decision that holds; `off` stays off only where it was, now that there is a GOMEMLIMIT."""
    now = facts.value("gogc")
    if now is not None and math.isinf(now):
        knows = facts.limit("gomemlimit") is not None
        why = "kept off: GOMEMLIMIT starts the collections" if knows else "off without a GOMEMLIMIT never collects"
        return Proposal("gogc", now, now if knows else float(GO_GOGC), Unit.PERCENT, why)
    return Proposal(
        "gogc",
        now,
        now if now is not None else float(GO_GOGC),
        Unit.PERCENT,
        "GOMEMLIMIT lowers the goal by itself where memory is short",
    )


def _procs(facts: Facts) -> Proposal:
    now, cpus = facts.value("gomaxprocs"), facts.limit("cpus")
    if cpus is None:
        return Proposal(
            "gomaxprocs",
            now,
            now if now is not None else math.inf,
            Unit.PROCESSORS,
            "no quota: as many as the machine has",
        )
    if facts.go is not None and facts.go < (1, 25):
        return Proposal(
            "gomaxprocs",
            now,
            float(math.ceil(cpus)),
            Unit.PROCESSORS,
            f"the quota of {number(cpus)}: this Go does not see it",
        )
    most = most_procs(cpus)
    value = now if now is not None and now <= most else float(most)
    return Proposal(
        "gomaxprocs",
        now,
        value,
        Unit.PROCESSORS,
        f"leave it unset: Go 1.25 and later follow the quota of {number(cpus)} by themselves",
    )


TIMEOUTS = ("read-header-timeout", "read-timeout", "write-timeout", "idle-timeout")


_UNSEEN = Server(where="", read_header_s=None, read_s=None, write_s=None, idle_s=None)
"""Timeouts that nobody told."""


def _timeouts(facts: Facts, profile: Profile) -> list[Proposal]:
    server = proposed_server(profile, facts.peer_keepalive_s)
    found = facts.servers[0] if len(facts.servers) == 1 else _UNSEEN
    longer = (
        f"longer than the {facts.peer_keepalive_s:g} s that callers keep connections"
        if facts.peer_keepalive_s
        else "give --peer-keepalive: it must be longer"
    )
    rows = (
        (TIMEOUTS[0], server.read_header_s, found.read_header_s, "who sends no header is dropped"),
        (TIMEOUTS[1], server.read_s, found.read_s,
         "0, with SetReadDeadline per read: uploads may take long" if profile.streaming else "header and body together"),
        (TIMEOUTS[2], server.write_s, found.write_s,
         f"0, with SetWriteDeadline {profile.timeout_s:g} s ahead of each write: it would cut every stream"
         if profile.streaming else "until the answer is out; the handler's time is in it"),
        (TIMEOUTS[3], server.idle_s, found.idle_s, f"keep-alive; {longer}"),
    )  # fmt: skip
    return [Proposal(name, now, value or 0.0, Unit.SECONDS, why) for name, value, now, why in rows]
