"""One place retains most of the heap.

Watches the `inuse_space` of heap profiles. A service in good health spreads its memory; when one line of the user's code holds
most of a heap that is not small, that is where memory goes. One profile shows a share, not growth, so the verdict is `suspect`
by itself, `leak` when an earlier profile of the bag shows that the same line held much less.

Blind spots: a cache that is meant to be big looks the same (the verdict says suspect); memory outside the Go heap.
Source: runtime/mprof.go.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from parkwarden.model import Artefact, Case, Evidence, Finding, Frame, Kind, Site, Stack, Verdict
from parkwarden.stacks.culprit import culprit
from parkwarden.stacks.normalise import site_of

MIN_HEAP_BYTES = 64 << 20
"""A smaller heap tells nothing about a leak: a Go service idles at a few MiB, and a healthy one may well keep a cache or its clients'
buffers of some tens. Lower: false alarms on those; higher: leaks in small containers come late."""

MIN_SHARE = 0.5
"""Of the heap in use, at one user line. Raise it and a leak beside a big cache goes unseen; lower it and caches are blamed."""

GROWTH_FACTOR = 2.0
"""Between the first and the last heap profile of a bag, at the same line, for the verdict `leak`."""

YOUNG_ALLOC_RATIO = 4.0
"""alloc_space below this many times inuse_space, in a small heap: the process has hardly run yet."""

MIB = 1 << 20

ALLOCATORS: tuple[tuple[str, str], ...] = (
    ("bytes.growSlice", "[]byte under bytes.Buffer"),
    ("bytes.(*Buffer)", "[]byte under bytes.Buffer"),
    ("bytes.makeSlice", "[]byte under bytes.Buffer"),
    ("io.ReadAll", "[]byte read by io.ReadAll"),
    ("strings.(*Builder)", "string under strings.Builder"),
    ("bufio.New", "bufio buffers"),
    ("runtime.malg", "goroutine stacks"),
    ("compress/flate", "compressor state"),
)
"""What the allocating leaf says of the type of memory (heap profiles carry no types)."""


@dataclass(frozen=True, slots=True)
class Holder:
    """Who holds memory: the user's line, what it holds (in words), and how much."""

    frame: Frame
    site: Site
    what: str
    bytes: int
    objects: int


def judge(case: Case) -> list[Finding]:
    """At most one finding: the greatest holder of the latest heap profile that is big enough to tell."""
    heaps = [a for a in case.artefacts if a.kind is Kind.HEAP_PROFILE and a.profile is not None and useless(a) is None]
    if not heaps:
        return []
    last = heaps[-1]
    most = retains_most(last, case.user_modules)
    if most is None:
        return []
    top, total = most
    share = top.bytes / total
    grown = _growth(heaps, top, case.user_modules)
    leak = grown is not None and grown >= GROWTH_FACTOR
    evidence = [
        Evidence(last.name, "in use there", f"{top.bytes / MIB:.1f} MiB of {total / MIB:.1f} MiB ({share:.0%})"),
        Evidence(last.name, "objects there", f"{top.objects:,}"),
    ]
    if grown is not None:
        evidence.append(Evidence(heaps[0].name, "growth since", f"{grown:.1f} x"))
    return [
        Finding(
            code="PW301",
            verdict=Verdict.LEAK if leak else Verdict.SUSPECT,
            confidence=min(0.95, 0.45 + share / 2) if leak else min(0.8, 0.2 + share * 0.6),
            title=f"{top.what}: {share:.0%} of the heap ({top.bytes / MIB:.0f} MiB) is held by {top.frame.function}",
            pattern="heap-retained",
            site=top.site,
            culprit=top.frame,
            count=top.objects,
            share=share,
            advice="Find what keeps these objects reachable: a map or slice that only grows, a buffer kept after its request, "
            "a goroutine that never ends. Stream instead of collecting, bound the buffer, and let go when the client has gone.",
            evidence=evidence,
            path=tuple(reversed(top.site.frames)),
        )
    ]


def retains_most(artefact: Artefact, modules: tuple[str, ...]) -> tuple[Holder, int] | None:
    """The line that holds at least MIN_SHARE of a heap profile's memory, and the bytes in use; None where no line does. Of a heap of any
    size: for those who know from elsewhere that memory runs out."""
    total, holders = _holders(artefact, modules)
    if not holders or holders[0].bytes < MIN_SHARE * total:
        return None
    return holders[0], total


def in_use(artefact: Artefact) -> int:
    """Bytes in use by a heap profile, 0 if it has no such column."""
    values = artefact.profile.column("inuse_space") if artefact.profile else None
    return 0 if values is None else int(values.sum())


def useless(artefact: Artefact) -> str | None:
    """Why a heap profile cannot help, in words, or None if it can."""
    used = in_use(artefact)
    if used >= MIN_HEAP_BYTES:
        return None
    allocated = artefact.profile.column("alloc_space") if artefact.profile else None
    total = 0 if allocated is None else int(allocated.sum())
    if used == 0:
        return "heap profile without memory in use: taken before the first collection, or of the wrong process"
    if 0 < total < YOUNG_ALLOC_RATIO * max(used, MIB):
        return (
            f"heap profile taken just after a restart: {used / MIB:.1f} MiB in use, only {total / MIB:.1f} MiB allocated "
            "since the process began, so it does not hold what grew"
        )
    return f"heap profile holds only {used / MIB:.1f} MiB in use (at least {MIN_HEAP_BYTES // MIB} MiB are needed to tell a leak)"


def _holders(artefact: Artefact, modules: tuple[str, ...]) -> tuple[int, list[Holder]]:
    profile = artefact.profile
    assert profile is not None
    space, objects = profile.column("inuse_space"), profile.column("inuse_objects")
    if space is None:
        return 0, []
    per_stack = np.bincount(profile.stack, weights=space, minlength=len(profile.stacks))
    per_stack_objects = np.bincount(
        profile.stack, weights=space * 0 if objects is None else objects, minlength=len(profile.stacks)
    )
    groups: dict[tuple[str, int], list[int]] = {}
    frames: dict[tuple[str, int], Frame] = {}
    for index, stack in enumerate(profile.stacks):
        frame = culprit(stack, modules)
        if frame is not None and per_stack[index] > 0:
            groups.setdefault((frame.function, frame.line), []).append(index)
            frames[(frame.function, frame.line)] = frame
    holders = []
    for key, indexes in groups.items():
        biggest = max(indexes, key=lambda i: per_stack[i])
        stack = profile.stacks[biggest]
        holders.append(
            Holder(
                frame=frames[key],
                site=site_of(stack, ""),
                what=_what(stack),
                bytes=int(per_stack[indexes].sum()),
                objects=int(per_stack_objects[indexes].sum()),
            )
        )
    return int(space.sum()), sorted(holders, key=lambda h: (-h.bytes, h.site.id))


def _what(stack: Stack) -> str:
    for frame in stack.frames[:4]:
        for prefix, what in ALLOCATORS:
            if frame.function.startswith(prefix):
                return what
    return f"memory allocated in {stack.frames[0].function}" if stack.frames else "memory"


def _growth(heaps: list[Artefact], top: Holder, modules: tuple[str, ...]) -> float | None:
    if len(heaps) < 2:
        return None
    _, before = _holders(heaps[0], modules)
    was = next((h.bytes for h in before if h.frame.function == top.frame.function), 0)
    return top.bytes / max(was, MIB)
