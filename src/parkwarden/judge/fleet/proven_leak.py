"""The runtime itself proved goroutines at this site leaked.

Watches     leak profiles (`goroutineleak`, Go 1.27; 1.26 with an experiment), as kept in `SiteTable.proofs`; the site's counts.
Why         what the profile names can never run again: nothing that still runs reaches what it waits for. A leak is that it happens again
            and again; a program may also park goroutines for ever on purpose, once, when it begins.
Input       per row the most goroutines any leak profile of this life proved, P, and how many were there at each look. P goroutines that can
            never leave are in every count since they came: a look with fewer than P is older than the newest of them.
Method      Standing: the last `late_share` of the time since the site was first seen, `watched_s` at least, has no look with fewer than P, and
            where censuses are seconds apart not `CAME` more are proven than those of the first census who are still there.
Verdicts    `leak`; `suspect` for a single goroutine (P = 1: main parked at its end, a waiter for a signal) and for those that stand. A later
            profile that is silent takes nothing back: the same goroutine may come and go between runs (golang/go#79452). It
            ends with the life, or when the site has fewer goroutines than were proven.
Parameters  `ProofRule`.
If wrong    the design has no false positives; custom wait primitives below the runtime's (gVisor's) are the known hazard. A leak of rate r
            that comes at random is taken to stand with chance e^(-r x late_share x time watched): 0.5 % at 0.2 a second after 30 s. Once more
            of its goroutines come and a profile proves them it is a leak.
Blind       anything reachable from a global or a running goroutine, timers, I/O, system calls, sleeps, spinning. A leak that ended before
            we came stays a suspicion.
Example     leak profile: 6 at worker.go:42, where 4 were a minute ago; the next profile: none; the site still has 6: leak.
Source      golang/proposal design/74609; runtime/pprof, Go 1.27.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from parkwarden.aggregate.sites import FLOORS, LEVELS_S, NOT_TOLD, Proof, SiteTable
from parkwarden.model import Signal, Verdict

CAME = 2
"""Proven goroutines that came after the first census of a close look, from which on they keep coming."""

NAME = "proven-leak"
CODE = "PW513"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofRule:
    """Thresholds of proof."""

    count: int = 1
    """Proven goroutines at one site from which on it is said (one is a suspicion). Raise it where a known handful is accepted."""
    watched_s: float = 10.0
    """Before a site was watched for so long it cannot be said to stand. Longer: programs that park goroutines on purpose are accused at
    their first leak profile; shorter: slow leaks are not."""
    late_share: float = 0.9
    """Part of the time watched in which one of the proven must have come: the first tenth is for what begins with a process. Smaller:
    slow leaks look as if they stood; larger: crowds that are started slowly look as if they leaked."""


@dataclass(frozen=True, slots=True)
class Proven:
    """One row with enough proven goroutines."""

    row: int
    standing: bool
    """Whether none of them came late in the time watched."""


def judge(table: SiteTable, rule: ProofRule) -> list[Proven]:
    """Rows with enough proven goroutines."""
    return [
        Proven(row, _stands(table, row, proof, rule))
        for row, proof in table.proofs.items()
        if proof.count >= rule.count
    ]


def _stands(table: SiteTable, row: int, proof: Proof, rule: ProofRule) -> bool:
    """Whether the site was watched for long enough, and had as many goroutines as are proven all the later time."""
    first, last = float(table.first_at[row]), table.last_at
    if proof.came or last is None or math.isnan(first) or last - first < rule.watched_s:
        return False
    proof.came = (
        _least(table, row, last - rule.late_share * (last - first)) < proof.count
        or _came(table, row, proof.count) >= CAME
    )
    return not proof.came


def _came(table: SiteTable, row: int, proven: int) -> int:
    """How many of the proven must have come since the first census: they are more than those of then who are still there."""
    if table.close is None:
        return 0
    rows = table.close.rows()
    stood = (rows.slot == row) & (rows.first == table.close.at[0]) & ~rows.gone
    scales = table.close.scales()
    return proven - int(stood.sum()) * int(scales[row]) if row < len(scales) else 0


def _least(table: SiteTable, row: int, since: float) -> int:
    """The fewest goroutines there at any look since then, or at the last one before; where the looks kept do not reach back, floors do."""
    before = table.times[table.times <= since]
    told = table.recent[row] != NOT_TOLD
    least = [table.recent[row, told & (table.times >= (before[-1] if len(before) else since))]]
    if not len(before):
        for level, length in enumerate(LEVELS_S):
            starts = (table.bucket[level] - np.arange(FLOORS - 1, -1, -1)) * length
            floors = table.floors[level, row]
            least.append(floors[(floors != NOT_TOLD) & (starts >= since)])
    return min((int(counts.min()) for counts in least if len(counts)), default=0)


def signals(table: SiteTable, judged: list[Proven], now: float) -> list[Signal]:
    """What to say about them."""
    names = {row: site for site, row in table.rows.items()}
    out = []
    for one in judged:
        row = one.row
        proof = table.proofs[row]
        count = int(table.recent[row, -1])
        again = "" if proof.looks == 1 else f", again in {proof.looks - 1} later profile{'s' * (proof.looks > 2)}"
        silent = table.asked_at is not None and table.asked_at > proof.last_at
        sticky = "; the last profile was silent, which takes nothing back" if silent else ""
        leak = proof.count > 1 and not one.standing
        doubt = "" if leak else "; a single one may be parked on purpose" if proof.count == 1 else "; none came lately"
        out.append(
            Signal(
                detector=NAME,
                code=CODE,
                at=now,
                instance=table.instance.id,
                site=names[row],
                verdict=Verdict.LEAK if leak else Verdict.SUSPECT,
                confidence=0.99 if leak else 0.5,
                count=max(count, proof.count),
                since=proof.first_at,
                numbers={"proven": proof.count, "profiles": proof.looks, "proven_at": proof.first_at},
                text=f"the runtime proved {proof.count} goroutines leaked here{again}{sticky}{doubt}",
            )
        )
    return out
