"""The raw stacks behind a cluster: what near-equal call chains looked like before they were normalised and merged. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from parkwarden.model import Snapshot, Stack
from parkwarden.model.snapshot import Ints

IDS_SHOWN = 12
"""Goroutine ids told of one raw stack, oldest first."""


@dataclass(frozen=True, slots=True)
class RawStack:
    """One distinct stack as the producer told it, and the goroutines on it."""

    stack: Stack
    count: int
    states: tuple[tuple[str, int], ...]
    """What was told, most goroutines first."""
    goids: tuple[int, ...]
    wait_min: int | None
    """The longest wait told, in minutes."""


def raw_stacks(snapshot: Snapshot, of_stack: Ints, cluster: int, limit: int) -> tuple[list[RawStack], int]:
    """The stacks of one cluster (`of_stack` as in `Grouping`), most goroutines first, and how many distinct ones are left out."""
    ours = np.flatnonzero(of_stack[snapshot.stack] == cluster)
    stacks, which = np.unique(snapshot.stack[ours], return_inverse=True)
    goroutines = np.bincount(which, weights=snapshot.count[ours], minlength=stacks.size).astype(np.int64)
    out: list[RawStack] = []
    for at in np.argsort(-goroutines, kind="stable")[:limit].tolist():
        rows = ours[which == at]
        told: dict[str, int] = {}
        for state, number in zip(snapshot.state[rows].tolist(), snapshot.count[rows].tolist(), strict=True):
            told[snapshot.states[state]] = told.get(snapshot.states[state], 0) + number
        goids = snapshot.goid[rows]
        wait = int(snapshot.wait_min[rows].max(initial=-1))
        out.append(
            RawStack(
                stack=snapshot.stacks[int(stacks[at])],
                count=int(goroutines[at]),
                states=tuple(sorted(((s, n) for s, n in told.items() if s), key=lambda item: (-item[1], item[0]))),
                goids=tuple(np.sort(goids[goids > 0])[:IDS_SHOWN].tolist()),
                wait_min=None if wait < 0 else wait,
            )
        )
    return out, max(0, int(stacks.size) - limit)
