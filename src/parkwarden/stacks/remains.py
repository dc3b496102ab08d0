"""What a process has more of than it began with: standing goroutines of snapshots, compared by where they began.

    before = standing(first)
    for one in remains(before, [standing(s) for s in last]): one.start, one.more, one.sites

Goroutines are compared by the function they began in, not by site: a worker that was idle and is now busy is the same worker. A
new line number does not make a new goroutine either. Where several snapshots tell the end, the fewest count: a burst has no
floor. Left out are those that come from looking and from being asked (`passing`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace

from parkwarden.model import Snapshot, Stack
from parkwarden.model.baseline import Remainder, Standing
from parkwarden.stacks.cluster import count_pairs, is_system
from parkwarden.stacks.modules import is_stdlib_function, package_of
from parkwarden.stacks.names import clean_frame
from parkwarden.stacks.normalise import place, wait_reason

LOOKING = frozenset(["net/http/pprof", "runtime/pprof", "runtime/trace", "expvar"])
"""Packages whose frames say that a goroutine answers a look, ours or another's."""

SERVING = (
    "net/http.(*conn).serve",
    "net/http.(*connReader).",
    "net/http.(*http2serverConn).",
    "net/http/internal/http2.(*serverConn).",
    "golang.org/x/net/http2.(*serverConn).",
)
"""Where goroutines of a served connection begin. With nothing but the standard library on its stack it waits for the next
request or reads one: how many there are is up to the clients."""

STANDARD = frozenset(["os/signal.loop", "runtime.ensureSigM.func1"])
"""Started once, by the first use of a package, and never ended by design (os/signal/signal_unix.go)."""


def passing(stack: Stack) -> bool:
    """Whether a goroutine is nobody's to end: the runtime's own, one that answers a look, an idle served connection."""
    if is_system(stack):
        return True
    frames = stack.frames
    if any(package_of(frame.function) in LOOKING for frame in frames):
        return True
    began = next((f.function for f in reversed(frames) if f.function != "runtime.goexit"), "")
    if began in STANDARD:
        return True
    return began.startswith(SERVING) and all(is_stdlib_function(frame.function) for frame in frames)


def standing(snapshot: Snapshot) -> list[Standing]:
    """All goroutines of a snapshot that count, by site, in a stable order (function, file, line, reason, id)."""
    stack, state, number = count_pairs(
        snapshot.stack, snapshot.state, len(snapshot.stacks), len(snapshot.states), snapshot.count
    )
    counts: Counter[str] = Counter()
    found: dict[str, Standing] = {}
    for i, j, n in zip(stack.tolist(), state.tolist(), number.tolist(), strict=True):
        raw = snapshot.stacks[i]
        if passing(raw):
            continue
        site, _depth = place(raw)
        if not site.frames:  # just created, or a damaged record: nobody could say where it is
            continue
        counts[site.id] += n
        if site.id not in found:
            found[site.id] = Standing(
                site_id=site.id,
                start=site.frames[-1].function,
                function=site.function,
                file=site.file,
                line=site.line,
                wait_reason=wait_reason(snapshot.states[j], raw.frames),
                count=0,
                created_by=clean_frame(raw.created_by) if raw.created_by else None,
            )
    return in_order(replace(one, count=counts[one.site_id]) for one in found.values())


def remains(before: Sequence[Standing], ends: Sequence[Sequence[Standing]]) -> list[Remainder]:
    """What there is more of at the end, most first: per function of begin the fewest of all `ends` against `before`."""
    if not ends:
        return []
    had = _by_start(before)
    have = [_by_start(end) for end in ends]
    at_site = {one.site_id: one.count for one in before}
    found = []
    for start, count in have[-1].items():
        now = min(count, *(end[start] for end in have))
        if now > had[start]:
            sites = [(one, at_site.get(one.site_id, 0)) for one in ends[-1] if one.start == start]
            grown = sorted((s for s in sites if s[0].count > s[1]), key=lambda s: (s[1] - s[0].count, s[0].site_id))
            found.append(Remainder(start=start, before=had[start], now=now, sites=tuple(grown)))
    return sorted(found, key=lambda one: (-one.more, one.start))


def in_order(sites: Iterable[Standing]) -> list[Standing]:
    """By place: the order a file of them is written in, so that two of them can be compared by eye."""
    return sorted(sites, key=lambda s: (s.function, s.file, s.line, s.wait_reason, s.site_id))


def _by_start(sites: Sequence[Standing]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for one in sites:
        counts[one.start] += one.count
    return counts
