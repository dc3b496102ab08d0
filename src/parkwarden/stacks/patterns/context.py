"""What a case knows about each of its clusters beside the cluster itself: from all looks and traces, in columns."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from parkwarden.model import Case, Cluster, Creation, Frame, Snapshot, SourceExcerpt, Stack
from parkwarden.model.snapshot import Ints
from parkwarden.stacks.cluster import Grouping, ids_at
from parkwarden.stacks.culprit import creations_of
from parkwarden.stacks.modules import is_runtime_function
from parkwarden.stacks.names import clean_frame
from parkwarden.stacks.normalise import site_of
from parkwarden.stacks.patterns.accusing import MOMENT_S, SPIN_MIN
from parkwarden.stacks.patterns.base import ATOMIC_READ, ON_PROCESSOR, RUNNING, PatternContext

MAX_MOMENTS = 64
"""Moments whose ids are compared, the latest ones: a recording of hours holds more, and memory goes with them."""

MAX_PREEMPTED_SHARE = 1.25
"""Goroutines preempted without a site that may belong to the one busy crowd, as a share of the most ever seen there."""

MIN_EXCERPT = 10
"""Goroutines at a site from which on its source is looked at: it orders candidates, and few need that."""

MAX_EXCERPTS = 200
"""Sites whose source is looked at, those of most goroutines first: each is a file to parse, a few milliseconds."""

Excerpt = Callable[[Frame], SourceExcerpt | None]

_PARKED = frozenset(["runtime.gopark", "runtime.goparkunlock"])
_PREEMPTION = frozenset(["runtime.asyncPreempt", "runtime.asyncPreempt2", "runtime.gopreempt_m", "runtime.goschedImpl"])
_SYSTEM_CALLS = ("syscall.", "internal/runtime/syscall", "runtime/internal/syscall", "internal/syscall/")


def contexts(case: Case, grouping: Grouping, excerpt: Excerpt | None = None) -> dict[str, PatternContext]:
    """A PatternContext per cluster, by the id of its site. `grouping` is the one `case.clusters` came from.

    `excerpt` finds the source of a blocked line (`--source`), None where it is not to be had; it is asked for crowds of
    at least `MIN_EXCERPT` goroutines only.
    """
    looks = grouping.snapshots[: grouping.looks]
    times = tuple(look.at for look in case.looks)
    at = [times[i] if i < len(times) else snapshot.taken_at for i, snapshot in enumerate(looks)]
    index = {site.id: i for i, site in enumerate(grouping.named)}
    moves = _Moves(grouping, at)
    operations, creators = _told_by_stacks(grouping)
    creations = [c for artefact in case.artefacts if artefact.trace for c in artefact.trace.creations]
    wakeups = _wakeups(case, {m.id: i for i, members in enumerate(grouping.members) for m in members})
    # A leak profile, or a dump with (leaked) marks, is the only thing that makes "not proven" mean something.
    proof = len(grouping.snapshots) > grouping.looks
    spinning = _spinning(operations, grouping)
    if spinning is not None:
        moves.give_preempted(spinning, grouping)
    sources, total = tuple(snapshot.source for snapshot in looks), looks[-1].total if looks else 0
    watched = [artefact.trace.duration_s for artefact in case.artefacts if artefact.trace is not None]
    shown = _excerpts(case, excerpt)
    out: dict[str, PatternContext] = {}
    for cluster in case.clusters:
        i = index.get(cluster.site.id)
        if i is None:
            continue
        made = _creations(cluster, creations)
        out[cluster.site.id] = replace(
            moves.of(i),
            looks=len(looks),
            sources=sources,
            times=tuple(at),
            total=total,
            leak_profile=proof,
            operations=operations[i],
            creators=creators[i],
            creations=made,
            wakeups=max(0, wakeups[i] - sum(c.count for c in made)) if wakeups is not None else None,
            watched_s=sum(watched) if watched else None,
            source=shown.get(cluster.site.id),
        )
    return out


class _Moves:
    """Who stayed, left and was born, per cluster, over the moments that name goroutine ids."""

    def __init__(self, grouping: Grouping, at: list[float | None]) -> None:
        naming = [i for i in range(grouping.looks) if grouping.snapshots[i].goid.any()][-MAX_MOMENTS:]
        moments: list[list[int]] = []
        for i in naming:
            previous = moments[-1][-1] if moments else None
            here, before = at[i], at[previous] if previous is not None else None
            if here is not None and before is not None and here - before < MOMENT_S:
                moments[-1].append(i)
            else:
                moments.append([i])
        self.looks = moments
        self.moments: list[dict[int, Ints]] = [_union(grouping, moment) for moment in moments]
        whens = [at[moment[-1]] for moment in moments]
        told = [when for when in whens if when is not None]
        self.span_s = told[-1] - told[0] if len(told) == len(whens) and len(told) > 1 else None
        self.when = [when - told[0] for when in told] if self.span_s else [float(i) for i in range(len(moments))]

    def of(self, cluster: int) -> PatternContext:
        """A context with only what ids tell."""
        empty = np.zeros(0, dtype=np.int64)
        ids = [moment.get(cluster, empty) for moment in self.moments]
        last = ids[-1] if ids else empty
        spread = int(last[-1] - last[0]) + 1 if last.size else None
        if len(ids) < 2:
            return PatternContext(id_spread=spread)
        # Sets, one moment at a time: most clusters are small, where they beat NumPy, and memory stays with the distinct.
        first, earlier, latest = set(ids[0].tolist()), set[int](), 0
        here: set[int] = set()
        for i, array in enumerate(ids):
            earlier |= here
            here = set(array.tolist())
            if i and not here <= earlier:
                latest = i
        stayed = len(here & earlier)
        return PatternContext(
            stayed=stayed,
            left=len(earlier) - stayed,
            born=len(here - first),
            quiet=1.0 - self.when[latest] / self.when[-1],
            span_s=self.span_s,
            id_spread=spread,
        )

    def give_preempted(self, cluster: int, grouping: Grouping) -> None:
        """Count goroutines that a census shows preempted, without any frame of their own, to the one busy crowd.

        Only where they are about as many as the crowd is at most; see `_spinning`.
        """
        for looks, ids in zip(self.looks, self.moments, strict=True):
            if cluster in ids:
                continue
            found = [_preempted(grouping.snapshots[i]) for i in looks]
            most = max(found, key=len, default=np.zeros(0, dtype=np.int64))
            if 0 < most.size <= MAX_PREEMPTED_SHARE * int(grouping.counts[cluster].max(initial=0)):
                ids[cluster] = most


def _union(grouping: Grouping, looks: list[int]) -> dict[int, Ints]:
    """Cluster -> goroutine ids (rising) there in the last of some looks at one moment that names them."""
    ids, cluster = ids_at(grouping.snapshots[looks[-1]], grouping.of_stack[looks[-1]])
    for i in looks[:-1]:
        more, at = ids_at(grouping.snapshots[i], grouping.of_stack[i])
        fresh = np.isin(more, ids, invert=True)
        ids, cluster = np.concatenate([ids, more[fresh]]), np.concatenate([cluster, at[fresh]])
    order = np.lexsort((ids, cluster))
    ids, cluster = ids[order], cluster[order]
    edges = np.flatnonzero(np.diff(cluster)) + 1
    return {int(cluster[at[0]]): ids[at] for at in np.split(np.arange(ids.size), edges) if at.size}


def operation_of(stack: Stack) -> str:
    """The runtime's function a raw stack stands in, next to the first ordinary frame: `chanrecv2`, `selectnbrecv`, ….

    "" where the artefact hides the runtime's frames (text dumps) or there is none.
    """
    last = ""
    for frame in stack.frames:
        if not is_runtime_function(frame.function):
            if frame.function.startswith("sync/atomic.") and ("Load" in frame.function or "Compare" in frame.function):
                return ATOMIC_READ
            break
        last = frame.function
    return last.rpartition(".")[2] if last and last not in _PARKED else ""


def _spinning(operations: list[Counter[str]], grouping: Grouping) -> int | None:
    """The cluster that most busy goroutines are in, None if no profile or dump shows one that stands out.

    A leaf function without a frame of its own, preempted in a loop, is shown by traces as runtime.asyncPreempt alone
    (frame pointers cannot be followed from there), so its ids have no site. Where one site has nearly all the busy
    goroutines, they are its own.
    """
    # Whoever takes the look is busy with it; one or two others are a request or a tracer at work.
    looking = [any(frame.function.startswith("runtime/pprof.") for frame in site.frames) for site in grouping.named]
    busy = [
        0 if itself else sum(n for operation, n in told.items() if operation in ON_PROCESSOR)
        for told, itself in zip(operations, looking, strict=True)
    ]
    busy = [n if n >= SPIN_MIN else 0 for n in busy]
    if not busy or max(busy) < MIN_EXCERPT or max(busy) < 0.9 * sum(busy):
        return None
    return busy.index(max(busy))


def _preempted(snapshot: Snapshot) -> Ints:
    """Ids, rising, of goroutines whose whole stack is the preemption of unknown code."""
    lost = [
        bool(stack.frames) and all(frame.function in _PREEMPTION for frame in stack.frames) for stack in snapshot.stacks
    ]
    if not any(lost):
        return np.zeros(0, dtype=np.int64)
    ids = snapshot.goid[np.array(lost)[snapshot.stack]]
    return np.unique(ids[ids > 0])


def _shows_parking(snapshot: Snapshot) -> bool:
    """Whether a look shows the runtime's frames: then a stack without them at its leaf was running, not parked."""
    return any(stack.frames and stack.frames[0].function in _PARKED for stack in snapshot.stacks)


def _runs(stack: Stack) -> bool:
    """Whether a stack of such a look is on a processor or in line for one: its leaf is ordinary code."""
    leaf = stack.frames[0].function if stack.frames else "runtime."
    return not is_runtime_function(leaf) and not leaf.startswith(_SYSTEM_CALLS)


def _told_by_stacks(grouping: Grouping) -> tuple[list[Counter[str]], list[Counter[str]]]:
    """Per cluster the runtime's operations and the creating functions, by goroutines, over all snapshots."""
    operations: list[Counter[str]] = [Counter() for _ in grouping.named]
    creators: list[Counter[str]] = [Counter() for _ in grouping.named]
    for snapshot, of_stack, rows in zip(grouping.snapshots, grouping.of_stack, grouping.rows, strict=True):
        parking = _shows_parking(snapshot)
        for stack, _reason, number in rows:
            cluster = int(of_stack[stack])
            if cluster < 0:
                continue
            operation = operation_of(snapshot.stacks[stack])
            if operation:
                operations[cluster][operation] += number
            elif parking and _runs(snapshot.stacks[stack]):
                operations[cluster][RUNNING] += number
            by = snapshot.stacks[stack].created_by
            if by is not None:
                creators[cluster][clean_frame(by).function] += number
    return operations, creators


def _creations(cluster: Cluster, creations: list[Creation]) -> tuple[Creation, ...]:
    return tuple(creations_of(cluster.site, creations)) if creations else ()


def _excerpts(case: Case, excerpt: Excerpt | None) -> dict[str, SourceExcerpt | None]:
    """The source of the blocked line by site, of the largest crowds."""
    if excerpt is None:
        return {}
    crowds = [c for c in case.clusters if max(c.count, c.leaked) >= MIN_EXCERPT or _may_spin(c)]
    crowds.sort(key=lambda c: -max(c.count, c.leaked))
    sites = [cluster.site for cluster in crowds[:MAX_EXCERPTS]]
    return {site.id: excerpt(Frame(site.function, site.file, site.line)) for site in sites}


def _may_spin(cluster: Cluster) -> bool:
    """A handful of busy goroutines is a crowd already: each has a processor."""
    return cluster.count >= SPIN_MIN and cluster.states["running"] + cluster.states["runnable"] > 0


def _wakeups(case: Case, of_site: dict[str, int]) -> Counter[int] | None:
    """Waits that began while a trace ran, per cluster, by goroutines that were there before; None without a trace.

    Who blocks at a site during the trace had been awake just before: a tick, a sleep's end, a job. The old goroutines
    that did not move are told with the coarse reason `waiting`; those born meanwhile are taken off by the caller.
    """
    traces = [artefact.trace for artefact in case.artefacts if artefact.trace is not None]
    if not traces:
        return None
    out = Counter[int]()
    for trace in traces:
        for wait in trace.waits:
            cluster = of_site.get(site_of(wait.stack).id)
            if cluster is not None:
                out[cluster] += wait.count if wait.reason not in _UNMOVED else wait.count - wait.open
    return out


_UNMOVED = frozenset(["", "waiting", "unspecified"])
