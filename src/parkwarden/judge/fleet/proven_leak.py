"""The runtime itself proved goroutines at this site leaked.

Watches     leak profiles (`goroutineleak`, Go 1.27; 1.26 with an experiment), as kept in `SiteTable.proofs`.
Why         what the profile names can never run again: nothing that still runs reaches what it waits for.
Input       per row the most goroutines any leak profile of this life proved.
Verdicts    `leak`. A later profile that is silent takes nothing back: the same goroutine may come and go between runs (golang/go#79452). It
            ends with the life, or when the site has fewer goroutines than were proven.
Parameters  `ProofRule`.
If wrong    the design has no false positives; custom wait primitives below the runtime's (gVisor's) are the known hazard.
Blind       anything reachable from a global or a running goroutine, timers, I/O, system calls, sleeps, spinning.
Example     leak profile: 6 at worker.go:42; the next one: none; the site still has 6: leak.
Source      golang/proposal design/74609; runtime/pprof, Go 1.27.
"""

from __future__ import annotations

from dataclasses import dataclass

from parkwarden.aggregate.sites import SiteTable
from parkwarden.model import Signal, Verdict

NAME = "proven-leak"
CODE = "PW513"


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofRule:
    """Thresholds of proof."""

    count: int = 1
    """Proven goroutines at one site from which on it is said. One is enough; raise it where a known handful is accepted."""


def judge(table: SiteTable, rule: ProofRule) -> list[int]:
    """Rows with enough proven goroutines."""
    return [row for row, proof in table.proofs.items() if proof.count >= rule.count]


def signals(table: SiteTable, rows: list[int], now: float) -> list[Signal]:
    """What to say about them."""
    names = {row: site for site, row in table.rows.items()}
    out = []
    for row in rows:
        proof = table.proofs[row]
        count = int(table.recent[row, -1])
        again = "" if proof.looks == 1 else f", again in {proof.looks - 1} later profiles"
        silent = table.asked_at is not None and table.asked_at > proof.last_at
        sticky = "; the last profile was silent, which takes nothing back" if silent else ""
        out.append(
            Signal(
                detector=NAME,
                code=CODE,
                at=now,
                instance=table.instance.id,
                site=names[row],
                verdict=Verdict.LEAK,
                confidence=0.99,
                count=max(count, proof.count),
                since=proof.first_at,
                numbers={"proven": proof.count, "profiles": proof.looks, "proven_at": proof.first_at},
                text=f"the runtime proved {proof.count} goroutines leaked here{again}{sticky}",
            )
        )
    return out
