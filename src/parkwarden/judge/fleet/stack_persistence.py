"""Many goroutines that stay on one stack: A5's two thresholds, count and persistence.

Watches     each site's last `samples` counts.
Why         a leak shows as many goroutines on one stack that is there look after look; hot caches and drifting stacks are not.
Input       `Rows.recent`, shape (rows, RECENT), goroutines, one column per look (60 s beat, 5 s on suspicion).
Verdicts    `suspect` when the site has at least `count` goroutines now and had them in at least `share` of the last `samples`
            looks; never more, since a standing pool looks just like that. `unknown` with fewer looks than `samples`.
Parameters  `PersistenceRule`; the two sets of A5 are `SET_A` (80 / 0.5) and `SET_B` (50 / 0.7, the default).
If wrong    a pool is named as a suspicion of low confidence; it leads to a closer look, not to a page.
Blind       below `count`; a leak spread over many lines.
Example     62 goroutines in 10 of the last 10 looks: suspect. 62 in 6 of 10: nothing.
Source      the map's A5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from parkwarden.aggregate.sites import NOT_TOLD, Rows
from parkwarden.model import Signal, Verdict

NAME = "stack-persistence"
CODE = "PW510"
CONFIDENCE = 0.3
"""Alone it says little: standing pools and websocket crowds look the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PersistenceRule:
    """A5's thresholds. Two sets can run side by side (`--compare`)."""

    count: int = 50
    """Goroutines on one stack. Lower: pools are named; higher: later. A5's set B."""
    share: float = 0.7
    """Of the last `samples` looks that had at least `count`, 0..1. Lower: drifting stacks are named; higher: one dip hides a leak."""
    samples: int = 10
    """Looks that are judged, at most 16: ten minutes on the usual beat, 50 s on suspicion."""


SET_A = PersistenceRule(count=80, share=0.5)
SET_B = PersistenceRule()


@dataclass(frozen=True, slots=True)
class Judged:
    """By row: is it suspect, was there enough data, and the numbers it rests on."""

    suspect: npt.NDArray[np.bool_]
    enough: npt.NDArray[np.bool_]
    share: npt.NDArray[np.float64]
    count: npt.NDArray[np.int32]


def judge(rows: Rows, rule: PersistenceRule) -> Judged:
    """All rows at once."""
    last = rows.recent[:, -rule.samples :]
    told = (last != NOT_TOLD).sum(axis=1)
    share = (last >= rule.count).sum(axis=1) / rule.samples
    count = rows.recent[:, -1]
    enough = told >= rule.samples
    return Judged((count >= rule.count) & (share >= rule.share) & enough, enough, share, count)


def signals(rows: Rows, judged: Judged, now: float, rule: PersistenceRule) -> list[Signal]:
    """What to say about the suspect rows."""
    out = []
    suspect = np.flatnonzero(judged.suspect)
    lowest = rows.recent[suspect, -rule.samples :].min(axis=1).tolist()
    told = (suspect.tolist(), judged.count[suspect].tolist(), judged.share[suspect].tolist(), lowest)
    for i, n, share, least in zip(*told, strict=True):
        out.append(
            Signal(
                detector=NAME,
                code=CODE,
                at=now,
                instance=rows.instance(i).id,
                site=rows.sites[i],
                verdict=Verdict.SUSPECT,
                confidence=CONFIDENCE,
                count=n,
                since=float(rows.first_at[i]) if rows.first_at[i] == rows.first_at[i] else None,
                numbers={"count": n, "least_count": least, "persistence_share": share, "looks": rule.samples},
                text=f"{n:,} goroutines on this stack, at least {rule.count} in {share:.0%} of the last {rule.samples} looks",
            )
        )
    return out
