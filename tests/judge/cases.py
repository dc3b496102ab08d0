"""Small cases made by hand: the least that a judge needs to see."""

from __future__ import annotations

import numpy as np

from parkwarden.model import (
    Artefact,
    Case,
    Crash,
    Creation,
    Frame,
    Kind,
    Look,
    Profile,
    Snapshot,
    Source,
    Stack,
    Trace,
    make_snapshot,
)
from parkwarden.stacks.cluster import Grouping, group, of_grouping

USER = ("main", "example.com/shop")
BLOCKED = Stack(
    (
        Frame("runtime.gopark", "/go/src/runtime/proc.go", 402),
        Frame("runtime.chansend", "/go/src/runtime/chan.go", 259),
        Frame("runtime.chansend1", "/go/src/runtime/chan.go", 145),
        Frame("example.com/shop/orders.(*Desk).notify", "/src/shop/orders/desk.go", 41),
        Frame("example.com/shop/orders.(*Desk).Take.func1", "/src/shop/orders/desk.go", 30),
    ),
)


def look(name: str, at: float, ids: range, stack: Stack = BLOCKED, state: str = "chan send") -> tuple[Artefact, Look]:
    """A census naming `ids` at one stack."""
    n = len(ids)
    snapshot = make_snapshot(Source.CENSUS, [stack], [0] * n, states=[state], goid=list(ids), taken_at=at)
    artefact = Artefact(name=name, kind=Kind.TRACE, size=1, records=n, snapshot=snapshot, taken_at=at)
    return artefact, Look(artefact=artefact, snapshot=snapshot, at=at)


def case_of(looks: list[tuple[Artefact, Look]], leaks: tuple[Snapshot, ...] = ()) -> tuple[Case, Grouping]:
    """A case over looks, as run/diagnose puts it together."""
    grouping = group([seen.snapshot for _, seen in looks], leaks)
    artefacts = [artefact for artefact, _ in looks]
    artefacts += [Artefact(name="leak.pb.gz", kind=Kind.GOROUTINELEAK_PROFILE, size=1, snapshot=leak) for leak in leaks]
    case = Case(
        artefacts=artefacts,
        looks=[seen for _, seen in looks],
        clusters=of_grouping(grouping),
        user_modules=USER,
    )
    return case, grouping


def heap(name: str, *samples: tuple[Stack, int], allocated: int = 0) -> Artefact:
    """A heap profile: in-use bytes per stack; `allocated` is the total since the process began (default: ten times)."""
    values = np.array([[1, allocated or b * 10, 1, b] for _, b in samples], dtype=np.int64)
    profile = Profile(
        sample_types=[
            ("alloc_objects", "count"),
            ("alloc_space", "bytes"),
            ("inuse_objects", "count"),
            ("inuse_space", "bytes"),
        ],
        stacks=[s for s, _ in samples],
        stack=np.arange(len(samples), dtype=np.int64),
        values=values,
        labels=[{}],
        label=np.zeros(len(samples), dtype=np.int64),
    )
    return Artefact(name=name, kind=Kind.HEAP_PROFILE, size=1, records=len(samples), profile=profile)


def trace(name: str, creations: list[Creation], duration_s: float = 2.0) -> Artefact:
    """A trace that saw these creations."""
    created = sum(c.count for c in creations)
    return Artefact(
        name=name,
        kind=Kind.TRACE,
        size=1,
        trace=Trace(
            version="1.26", duration_s=duration_s, started_at=None, events=10, generations=1, created=created,
            ended=created - sum(c.alive for c in creations), creations=creations, waits=[], census=None,
        ),
    )  # fmt: skip


def crashed(crash: Crash) -> Case:
    """A case of one crash log."""
    return Case(artefacts=[Artefact(name="crash.log", kind=Kind.CRASH_LOG, size=1, crashes=[crash])], user_modules=USER)
