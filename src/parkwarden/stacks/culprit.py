"""Who is to blame: the user's own line on the way from where a goroutine is blocked to where it was created.

A goroutine that waits inside a library, created by the library, has no user frame of its own. Then a trace helps: it saw
the whole call chain of the `go` statement, and the first user frame above it is who called the library.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from parkwarden.model import Creation, Frame, Site, Stack
from parkwarden.stacks.modules import is_stdlib_function, is_user_function, module_of, package_of
from parkwarden.stacks.names import clean_frame, is_wrapper
from parkwarden.stacks.normalise import is_machinery

MAX_PATH = 40
"""Frames of a leak path that are drawn; of a longer one both ends are kept."""

MIN_CREATED = 10
"""Fewer goroutines than this from one `go` statement during a trace are start-up work, not a constructor per request."""

_DISPATCHERS = (
    ".ServeHTTP",
    ".Next",
    ".handleStream",
    ".processUnaryRPC",
    ".processStreamingRPC",
    ".Handle",
    ".serveHTTP",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class PerRequest:
    """One `go` statement in a library that ran again and again under the user's requests."""

    creating: Frame
    """The library's `go` statement."""
    start: Frame
    """What the new goroutines run."""
    module: str
    caller: Frame
    """The user's frame that called into the library: what it makes there should have been made once."""
    callers: tuple[tuple[Frame, int], ...]
    """All such frames and how many goroutines each made, most first."""
    entry: Frame | None
    """The user's handler that the request came in by, None where the chain shows no dispatcher."""
    path: tuple[Frame, ...]
    """Root to leaf: entry (or outermost user frame) -> caller -> ... -> creating line, of the most frequent chain."""
    count: int
    alive: int
    parents: int
    """Distinct goroutines that ran the statement (the most that one call chain is known to have had, summed)."""
    per_s: float
    peak_per_s: float


def culprit(of: Site | Stack, user_modules: Sequence[str], creations: Sequence[Creation] = ()) -> Frame | None:
    """The first frame of the user's own from the blocked line to the creating line and, with a trace, beyond it.

    In order: the goroutine's own frames, its creating frame, the call chain of the `go` statement as a trace saw it
    (the most frequent chain that has a user frame). None if nobody on the way is the user.
    """
    own = _first_user(of.frames, user_modules)
    if own is not None:
        return own
    if of.created_by is not None and is_user_function(of.created_by.function, user_modules):
        return clean_frame(of.created_by)
    for creation in creations_of(of, creations):
        caller = _first_user(creation.stack.frames, user_modules)
        if caller is not None:
            return caller
    return None


def creations_of(of: Site | Stack, creations: Sequence[Creation]) -> list[Creation]:
    """The `go` statements in a trace that make goroutines like this one, most frequent first.

    By the creating line where it is told, else by the function the goroutine runs (its entry).
    """
    if of.created_by is not None:
        by = clean_frame(of.created_by)
        found = [c for c in creations if c.stack.frames and _same_line(clean_frame(c.stack.frames[0]), by)]
    else:
        entry = next((f for f in reversed(of.frames) if not is_wrapper(f)), None)
        name = clean_frame(entry).function if entry is not None else ""
        found = [c for c in creations if name and clean_frame(c.start).function == name]
    return sorted(found, key=lambda c: (-c.count, c.stack.frames))


def leak_path(of: Site | Stack, user_modules: Sequence[str], creations: Sequence[Creation] = ()) -> tuple[Frame, ...]:
    """Outermost first, as drawn: culprit -> ... -> creating line -> ... -> blocked line.

    Where the culprit is among the goroutine's own frames the path begins at the creating line (or the entry function).
    """
    blocked = 0
    if isinstance(of, Site):
        blocked = next((i for i, f in enumerate(of.frames) if f.function == of.function and f.line == of.line), 0)
    else:
        blocked = next((i for i, f in enumerate(of.frames) if not is_machinery(f.function)), 0)
    own = [clean_frame(frame) for frame in reversed(of.frames[blocked:])]
    made: list[Frame] = []
    user = any(is_user_function(frame.function, user_modules) for frame in of.frames)
    if of.created_by is not None:
        made = [clean_frame(of.created_by)]
        user = user or is_user_function(of.created_by.function, user_modules)
    if not user:
        for creation in creations_of(of, creations):
            chain = _from_user(creation.stack.frames, user_modules)
            if chain:
                made = chain
                break
    path = made + own
    return tuple(path if len(path) <= MAX_PATH else path[: MAX_PATH // 2] + path[-MAX_PATH // 2 :])


def constructor_per_request(
    creations: Sequence[Creation], user_modules: Sequence[str], duration_s: float | None = None
) -> list[PerRequest]:
    """Library `go` statements that the user's requests ran at least `MIN_CREATED` times, most goroutines first.

    Left out: `go` statements in the user's own code and in the standard library (a server's goroutine per connection is
    its way of working), chains without a user frame, and chains that begin in main.main without a dispatcher on the
    way (start-up code runs once). Rates are over `duration_s`, else over the time between first and last creation.
    """
    groups: dict[Frame, list[Creation]] = {}
    for creation in creations:
        if not creation.stack.frames:
            continue
        creating = clean_frame(creation.stack.frames[0])
        if is_user_function(creating.function, user_modules) or is_stdlib_function(creating.function):
            continue
        frames = creation.stack.frames
        if _first_user(frames, user_modules) is None or _is_start_up(frames):
            continue
        groups.setdefault(creating, []).append(creation)
    found: list[PerRequest] = []
    for creating, members in groups.items():
        count = sum(member.count for member in members)
        if count < MIN_CREATED:
            continue
        callers = Counter[Frame]()
        for member in members:
            caller = _first_user(member.stack.frames, user_modules)
            if caller is not None:
                callers[caller] += member.count
        ranked = sorted(callers.items(), key=lambda item: (-item[1], item[0]))
        chief = max(
            (m for m in members if _first_user(m.stack.frames, user_modules) == ranked[0][0]), key=lambda m: m.count
        )
        span = duration_s or max(m.last_s for m in members) - min(m.first_s for m in members)
        found.append(
            PerRequest(
                creating=creating,
                start=clean_frame(chief.start),
                module=module_of(package_of(creating.function)),
                caller=ranked[0][0],
                callers=tuple(ranked),
                entry=_entry(chief.stack.frames, user_modules),
                path=tuple(_from_outermost_user(chief.stack.frames, user_modules)),
                count=count,
                alive=sum(member.alive for member in members),
                parents=sum(member.parents for member in members),
                per_s=count / span if span > 0 else 0.0,
                peak_per_s=max(member.peak_per_s for member in members),
            )
        )
    found.sort(key=lambda item: (-item.count, item.creating))
    return found


def _first_user(frames: Sequence[Frame], user_modules: Sequence[str]) -> Frame | None:
    """The user's frame nearest the leaf."""
    return next(
        (clean_frame(f) for f in frames if is_user_function(f.function, user_modules) and not is_wrapper(f)), None
    )


def _from_user(frames: Sequence[Frame], user_modules: Sequence[str]) -> list[Frame]:
    """From the user's frame nearest the leaf down to the leaf, outermost first; empty without a user frame."""
    at = next((i for i, f in enumerate(frames) if is_user_function(f.function, user_modules)), None)
    return [] if at is None else [clean_frame(frame) for frame in reversed(frames[: at + 1])]


def _from_outermost_user(frames: Sequence[Frame], user_modules: Sequence[str]) -> list[Frame]:
    at = max(i for i, f in enumerate(frames) if is_user_function(f.function, user_modules))
    path = [clean_frame(frame) for frame in reversed(frames[: at + 1])]
    return path if len(path) <= MAX_PATH else path[: MAX_PATH // 2] + path[-MAX_PATH // 2 :]


def _entry(frames: Sequence[Frame], user_modules: Sequence[str]) -> Frame | None:
    """The user's frame nearest the leaf that a dispatcher (`ServeHTTP`, gRPC, a router) called directly."""
    for frame, above in pairwise(frames):
        if is_user_function(frame.function, user_modules) and _dispatches(above, user_modules):
            return clean_frame(frame)
    return None


def _dispatches(frame: Frame, user_modules: Sequence[str]) -> bool:
    return frame.function.endswith(_DISPATCHERS) and not is_user_function(frame.function, user_modules)


def _is_start_up(frames: Sequence[Frame]) -> bool:
    """Whether a chain is of main.main (or an init) itself, with no dispatcher on the way."""
    names = [frame.function for frame in frames]
    starts = any(name == "main.main" or name in ("runtime.main", "runtime.doInit", "runtime.doInit1") for name in names)
    return starts and not any(name.endswith(_DISPATCHERS) for name in names)


def _same_line(one: Frame, other: Frame) -> bool:
    return one.function == other.function and (one.line == other.line or not one.line or not other.line)
