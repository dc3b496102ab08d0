"""Who holds the open descriptors: sites of goroutines beside counts by kind. Pure.

    holders, unexplained = explain(sites, kinds, ("main",))

Frames prove what a goroutine holds (stacks/holders.py). What no frame tells (a temporary file kept by somebody who waits on a
channel, the parent's end of a child's input) is matched by numbers: a site of the user's whose goroutines grew by as many as a kind of
descriptor did, or by half or a third as many (two pipes for each command), held what grew. Where nothing grew, or both grew though not
alike (a few between two looks that are not of the same instant), equal numbers are a hint, and said to be one.

Blind: descriptors that no goroutine waits for (kept in a map or a pool), and several sites that share one kind in no even ratio.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from parkwarden.model import Frame, Site
from parkwarden.model.fds import Holder
from parkwarden.stacks.holders import describe, each, holder_line, holds

MIN_MATCHED = 5
"""Fewer goroutines or descriptors than this are alike by chance: every service has a handful of each."""
MAX_RATIO = 4
"""Descriptors of one kind per goroutine: a command has up to three pipes, a proxied request two sockets."""
CLOSE = 0.15
"""How far a ratio may be from a whole number: the two looks at descriptors and goroutines are not taken at the same instant."""
EQUAL = 0.03
"""The same of numbers alone: they are alike by chance much more often."""
MATCHED = {
    "pipe": "pipes", "socket": "connections", "file": "files", "deleted-file": "temporary files", "pidfd": "child processes",
    "inotify": "file watches", "eventpoll": "pollers", "timerfd": "timers", "eventfd": "event counters",
}  # fmt: skip
"""Kinds that are matched by numbers; devices and the rest are no one thing."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Goroutines at one site; `before` None where there was one look."""

    site: Site
    count: int
    before: int | None = None

    @property
    def grown(self) -> int | None:
        return None if self.before is None else self.count - self.before


def explain(
    sites: Sequence[Standing], kinds: Mapping[str, tuple[int, int | None]], user_modules: Sequence[str]
) -> tuple[list[Holder], dict[str, int]]:
    """(holders, most descriptors first; descriptors by kind that nobody explains). `kinds`: (count, count at the first look)."""
    left = {kind: count for kind, (count, _) in kinds.items() if count}
    grown = {kind: count - before for kind, (count, before) in kinds.items() if before is not None}
    found: list[Holder] = []
    counts = [(one.site, one.count) for one in sites]
    known = [(one, holder_line(one.site, user_modules, counts)) for one in sites]
    # who can be named goes first: a connection's two loops in net/http and the line that reads its body count for one socket
    for one, line in sorted(known, key=lambda pair: (pair[1] is None, -pair[0].count, pair[0].site.id)):
        kind = holds(one.site)
        if kind is None or not each(one.site) or not left.get(kind):
            continue
        number = min(one.count * each(one.site), left[kind])
        left[kind] -= number
        if one.grown:
            grown[kind] = grown.get(kind, 0) - one.grown
        by = "frames"
        if line is None and (match := _match(one.count, one.grown or 0, known)) is not None:
            line, by = match.line, match.by  # net/http's loops serve a line of the user's that grew with them
        found.append(Holder(one.site, line, kind, describe(one.site), one.count, one.grown, number, by))
    for kind, words in MATCHED.items():
        match = _match(left.get(kind, 0), grown.get(kind, 0), known)
        if match is not None:
            one, number = match.standing, min(left[kind], match.ratio * match.standing.count)
            left[kind] -= number
            found.append(Holder(one.site, match.line, kind, words, one.count, one.grown, number, match.by))
    found.sort(key=lambda holder: (-holder.descriptors, holder.site.id))
    return found, {kind: count for kind, count in left.items() if count}


@dataclass(frozen=True, slots=True)
class _Match:
    """A site of the user's that fits; `ratio` descriptors for each of its goroutines."""

    standing: Standing
    line: Frame
    ratio: int
    by: str


def _match(left: int, grown: int, known: Sequence[tuple[Standing, Frame | None]]) -> _Match | None:
    """The site of the user's that fits descriptors best: by growth where both grew, else by number."""
    best: tuple[tuple[bool, float, int, str], _Match] | None = None
    for one, line in known:
        more = one.grown or 0
        together = grown == more == 0 or min(grown, more) > 0
        for by, descriptors, goroutines, close in (
            ("growth", grown, more, CLOSE),
            ("number", left if together else 0, one.count, EQUAL),
        ):
            if line is None or min(descriptors, goroutines, left) < MIN_MATCHED:
                continue
            ratio = descriptors / goroutines
            whole = round(ratio)
            if not 1 <= whole <= MAX_RATIO or abs(ratio - whole) > close * whole:
                continue
            rank = (by != "growth", abs(ratio - whole) + whole, -one.count, one.site.id)
            if best is None or rank < best[0]:
                best = rank, _Match(one, line, whole, by)
    return None if best is None else best[1]
