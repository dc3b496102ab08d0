"""What a pattern is, what a match is, and how a matcher sees a cluster. Pure data and text; no thresholds of accusation.

A *pattern* says what kind of wait this is. Whether it is an accusation is another question, answered with numbers in
`accusing`: the innocent twin of every pattern has the very same stack.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property, lru_cache

from parkwarden.model import Cluster, Creation, Frame, Source, SourceExcerpt
from parkwarden.stacks.modules import is_stdlib, package_of


class LifeCycle(StrEnum):
    """Where a goroutine of this pattern stands in its life."""

    FOREVER = "waits for ever: nothing that still runs can wake it"
    WAITING = "waits for somebody who may never come"
    IN_IO = "waits for the outside world, which owes no answer"
    PERIODIC = "sleeps and wakes in turns, and has no way to end"
    RUNNING = "runs all the time: load unless it never ends"
    OWNED = "is alive because its owner was never closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Pattern:
    """One entry of the atlas. Texts are plain sentences; `before` and `after` are Go."""

    id: str
    code: str
    title: str
    wait_reasons: tuple[str, ...]
    """In Go's own words; () = any."""
    meaning: str
    why: str
    """Why it leaks, on what the runtime really does."""
    look_for: str
    """What to look for in a dump, a profile or a trace."""
    cure: str
    before: str
    after: str
    life: LifeCycle
    twin: str
    """The innocent code that shows the same stack."""
    provable: bool
    """Whether the goroutine leak profile (Go 1.27) can prove it."""


@dataclass(frozen=True, slots=True)
class Match:
    """A cluster shows this pattern; `confidence` 0..1 that this is the kind of wait, not that it is a leak."""

    pattern: Pattern
    confidence: float
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PatternContext:
    """What the case knows beside the cluster. Every field has a "not told" value; times are Unix seconds.

    `stayed`, `left` and `born` compare goroutine ids over all looks that name them, `span_s` seconds apart: seen earlier
    and still there, seen earlier and gone, there now and not at the first look. None where fewer than two name ids.
    """

    looks: int = 1
    sources: tuple[Source, ...] = ()
    times: tuple[float | None, ...] = ()
    total: int = 0
    """Goroutines in the last look."""
    leak_profile: bool = False
    """A leak profile was taken: channels and locks it does not name can still be reached."""
    stayed: int | None = None
    left: int | None = None
    born: int | None = None
    quiet: float | None = None
    """Share of the time watched that passed since the last birth was seen: 0 = at the last look, 1 = no births."""
    span_s: float | None = None
    id_spread: int | None = None
    """Greatest minus least goroutine id of the cluster, plus one: about `count` if they were all born in one go."""
    creators: Counter[str] = field(default_factory=Counter)
    """Functions holding the `go` statement, by how many goroutines, from any look that tells."""
    creations: tuple[Creation, ...] = ()
    """What a trace saw created for this very site."""
    wakeups: int | None = None
    """Times that a goroutine came back to wait at this site while a trace ran; None without a trace."""
    watched_s: float | None = None
    """Seconds that traces watched in all; None without a trace."""
    operations: Counter[str] = field(default_factory=Counter)
    """The runtime's functions on top of the raw stacks (`chanrecv2`, `selectnbrecv`), where an artefact shows them."""
    source: SourceExcerpt | None = None
    """The blocked statement in its function."""


RUNNING = "running"
"""In `PatternContext.operations`: stacks without a parking function on top, in looks that show the runtime's frames."""

SPIN_OPERATIONS = frozenset(["selectnbrecv", "selectnbsend", "Gosched", "goschedImpl", "procyield", "osyield"])
"""Runtime functions that only a loop which refuses to block stands in."""

ATOMIC_READ = "atomic read"
"""Stacks caught in an atomic load (or compare-and-swap), inlined into the function that does it."""

ON_PROCESSOR = SPIN_OPERATIONS | {RUNNING, ATOMIC_READ, "asyncPreempt", "asyncPreempt2"}
"""Operations of goroutines that run, or would if they got a processor."""

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")


@lru_cache(maxsize=16_384)
def words_of(function: str) -> frozenset[str]:
    """The words of a function's name without its package's path: `shop/pay.(*tickerLoop).onTick` -> ticker, loop, on, tick."""
    return frozenset(word.lower() for word in _WORD.findall(function[function.rfind("/") + 1 :]))


class View:
    """A cluster as matchers ask about it. Made once per cluster, thrown away after."""

    def __init__(self, cluster: Cluster, context: PatternContext) -> None:
        self.cluster = cluster
        self.context = context
        self.reason = cluster.site.wait_reason
        self.frames = cluster.site.frames

    @cached_property
    def functions(self) -> tuple[str, ...]:
        return tuple([frame.function for frame in self.frames])

    @cached_property
    def own(self) -> tuple[str, ...]:
        """Functions outside the standard library, leaf first."""
        return tuple([f for f in self.functions if not is_stdlib(package_of(f))])

    @cached_property
    def root(self) -> str:
        """The function the goroutine was started with."""
        return self.functions[-1] if self.functions else ""

    @cached_property
    def creator(self) -> str:
        """The function holding the `go` statement, "" if no look tells."""
        made = self.cluster.site.created_by
        if made is not None:
            return made.function
        if self.context.creators:
            return self.context.creators.most_common(1)[0][0]
        if self.context.creations:
            return _statement(max(self.context.creations, key=lambda c: c.count)).function
        return ""

    @cached_property
    def words(self) -> frozenset[str]:
        """Words in the names of the functions that are not the standard library's, the creator's included."""
        named = [*self.own, self.creator] if self.creator and not is_stdlib(package_of(self.creator)) else self.own
        return frozenset().union(*(words_of(function) for function in named))

    @cached_property
    def statement(self) -> str:
        """The blocked statement's own text, "" without source."""
        source = self.context.source
        if source is None:
            return ""
        first, last = source.statement
        return "\n".join(source.lines[max(0, first - source.first_line) : max(0, last - source.first_line + 1)])

    @cached_property
    def body(self) -> str:
        """The text of the function around the statement, "" without source."""
        return "\n".join(self.context.source.lines) if self.context.source else ""

    @property
    def reachable(self) -> bool:
        """A leak profile was taken and did not name these: something that lives can still reach what they wait on."""
        return self.context.leak_profile and not self.cluster.leaked

    @property
    def grows(self) -> bool:
        """Goroutines were born between the looks, or the counts say so."""
        counts = self.cluster.counts
        return bool(self.context.born) or (len(counts) > 1 and counts[-1] > counts[0])

    def has(self, *functions: str) -> bool:
        return any(function in self.functions for function in functions)

    def has_prefix(self, *prefixes: str) -> bool:
        return any(function.startswith(prefixes) for function in self.functions)

    def speaks_of(self, vocabulary: frozenset[str]) -> str:
        """One word of the vocabulary that the names hold, "" if none."""
        return min(self.words & vocabulary, default="")


def _statement(creation: Creation) -> Frame:
    """The frame of the `go` statement: the first that is not the runtime's own."""
    for frame in creation.stack.frames:
        if not frame.function.startswith("runtime."):
            return frame
    return creation.stack.frames[0] if creation.stack.frames else creation.start


Weight = tuple[float, tuple[str, ...]]
"""Confidence and the reasons for it."""

Matcher = Callable[[View], "Weight | None"]


@dataclass(frozen=True, slots=True)
class Entry:
    """A pattern and the function that recognises it: confidence and reasons, or None."""

    pattern: Pattern
    matcher: Matcher


def weigh(base: float, *evidence: tuple[object, float, str]) -> Weight:
    """`base`, moved by each piece of evidence that holds, kept within 0.02..0.98.

    Evidence is (whether it holds, how far it moves towards 1 (or, negative, towards 0), in words). Moves are fractions
    of the way that is left, so that several weak pieces never add up to certainty.
    """
    confidence, reasons = base, []
    for holds, step, words in evidence:
        if holds:
            confidence += step * ((1.0 - confidence) if step > 0 else confidence)
            if words:
                reasons.append(words)
    return min(0.98, max(0.02, confidence)), tuple(reasons)
