"""Folding endless recursion: the smallest repeating sequence of calls in the frames a stack overflow shows.

Pure functions over frames. Go prints the 50 innermost and the 50 outermost calls (`runtime/traceback.go: traceback2`), so the
frames come in two runs with a gap; a cycle is looked for in the inner run and its rounds are counted in both.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from parkwarden.model.stack import Frame

MIN_ROUNDS = 3
"""Rounds a sequence must repeat to be called a cycle: two may be chance (a calls b calls a)."""

MAX_FRAMES = 300
"""Frames looked at in one run; Go shows 100, and the search is quadratic in the worst case."""


@dataclass(frozen=True, slots=True)
class Cycle:
    """`frames`: one round, leaf first. `rounds`: whole rounds in the frames shown. `entry`: who called into the cycle from
    outside. `regular` is False where the same functions return in changing order (then `frames` is one way round)."""

    frames: tuple[Frame, ...]
    rounds: int
    entry: Frame | None
    regular: bool


def find_cycle(inner: tuple[Frame, ...], outer: tuple[Frame, ...] = ()) -> Cycle | None:
    """The recursion in a stack's frames: `inner` leaf first up to the elided ones, `outer` those after; None if there is none."""
    inner, outer = inner[:MAX_FRAMES], outer[-MAX_FRAMES:]
    names = [f.function for f in inner]
    found = _regular(names)
    if found is None:
        return _irregular(inner, outer)
    start, period, length = found
    cycle = inner[start : start + period]
    rounds = length // period
    last = start + length
    if last == len(inner) and outer:
        # the cycle went on where frames were left out; find where it stands in the outer run
        more = _continued(tuple(names[start : start + period]), [f.function for f in outer])
        rounds += more // period
        entry = outer[more] if more < len(outer) else None
    else:
        entry = inner[last] if last < len(inner) else None
    return Cycle(cycle, rounds, entry, True)


def _regular(names: list[str]) -> tuple[int, int, int] | None:
    """(start, period, length) of the repetition that covers most; the smallest period among near-equals.

    A repetition of period p is a run where names[i] == names[i + p].
    """
    best: tuple[int, int, int] | None = None
    for period in range(1, len(names) // MIN_ROUNDS + 1):
        run = 0
        for i in range(len(names) - period + 1):
            if i < len(names) - period and names[i] == names[i + period]:
                run += 1
                continue
            length = run + period
            # a longer period must explain clearly more to be preferred to a shorter one
            if length >= MIN_ROUNDS * period and (best is None or length > best[2] + best[1]):
                best = (i - run, period, length)
            run = 0
    if best is None or best[2] * 2 < len(names):
        return None
    return best


def _continued(cycle: tuple[str, ...], outer: list[str]) -> int:
    """How many frames from the begin of `outer` go on with the cycle, at whatever turn of it."""
    period = len(cycle)
    most = 0
    for turn in range(period):
        n = 0
        while n < len(outer) and outer[n] == cycle[(turn + n) % period]:
            n += 1
        most = max(most, n)
    return most


def _irregular(inner: tuple[Frame, ...], outer: tuple[Frame, ...]) -> Cycle | None:
    """Recursion without a fixed order (a tree walker): the function that returns most often and one way back to it."""
    places: dict[str, list[int]] = {}
    for i, frame in enumerate(inner):
        places.setdefault(frame.function, []).append(i)
    if not places:
        return None
    name, at = max(places.items(), key=lambda item: (len(item[1]), -item[1][0]))
    recursive = sum(len(where) for where in places.values() if len(where) >= MIN_ROUNDS)
    if len(at) < MIN_ROUNDS * 2 or recursive * 2 < len(inner):
        return None
    # of all ways round, the one that names most functions tells most; the shortest of those
    ways = [inner[a:b] for a, b in pairwise(at)]
    frames = max(ways, key=lambda way: (len({f.function for f in way}), -len(way)))
    known = {f.function for f in inner if len(places[f.function]) >= MIN_ROUNDS}
    tail = outer or inner
    last = max((i for i, f in enumerate(tail) if f.function in known), default=-1)
    entry = tail[last + 1] if 0 <= last + 1 < len(tail) else None
    rounds = len(at) + sum(1 for f in outer if f.function == name)
    return Cycle(frames, rounds, entry, False)
