"""From "what kind of wait is this" to "is it a leak": the numbers that tell a leak from its innocent twin.

Every pattern has a twin with the same stack. What tells them apart is, in this order: the runtime's own proof; waits that
cannot end by their nature; and time. A leak is born again and again and never leaves; a standing crew is never born, a
burst has no survivors, a crowd behind a lock moves, a pool that fills stops growing. One look alone knows none of this, so
it may suspect and never convict. Runnable crowds are load, system calls are a suspicion at most.

Blind spots, said plainly: a leak that stopped growing before the first look and that the runtime cannot prove (I/O,
tickers, sleeps) looks like a standing crew; a slow leak at a line where healthy traffic comes and goes hides in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

from parkwarden.model import Cluster, Verdict
from parkwarden.stacks.libraries import Library, identify
from parkwarden.stacks.patterns.base import PatternContext, View
from parkwarden.stacks.patterns.calls import is_busy, spins_by_nature
from parkwarden.stacks.patterns.transfers import waits_to_write

MIN_COUNT = 50
"""Goroutines at one site before numbers accuse. Default 50: half a hundred on one stack is what teams alert on. Lower finds leaks earlier and blames worker pools and
connection pools, whose sizes start at 10-50; raise it for services that hold hundreds of workers at one line."""

MIN_PROVEN = 3
"""Goroutines the leak profile must name. Default 3: it makes no mistakes, but one or two goroutines parked for good on
purpose (a `select {}` beside main) are proven too and cost nothing. 1 reports those, more delays sure findings."""

MIN_FOREVER = 3
"""Goroutines on a nil channel or in `select {}`, which cannot ever be woken. Default 3, for the same reason."""

MIN_STAYED = 20
"""Goroutines that must have been seen at two looks. Default 20: if none of 20 left, at most 15 % would leave in that
time (95 %, the rule of three). Lower convicts on luck, higher waits longer."""

MAX_CHURN = 0.05
"""Share of those seen earlier that may have left. Default 0.05: a leaking line may let some through before it breaks
(slots, retries). Higher blames crowds that move, 0 lets a single one that got away acquit the rest."""

LEAK_SPAN_S = 30.0
"""Seconds between the first and last look from which growth without a single leaving is called a leak. Default 30: the
commonest time-outs of clients, proxies and long polls are up to 30 s, and who outlives them does not wait for one.
Shorter convicts ramps of load, longer is surer and later. Below it the verdict is `suspect`."""

SURE_SPAN_S = 120.0
"""Seconds at which that confidence stops growing: beyond it time-outs are rare."""

QUEUE_SPAN_S = 2.0
"""Seconds in which a queue of `MIN_COUNT` (at a lock, a semaphore, a full channel) must let somebody through. Default 2: a
lock held that long with 50 waiting is an outage, whether it is released one day or not. Higher forgives slow holders."""

STALL_WATCH_S = 0.5
"""Seconds of trace in which none of a crowd of writers got a byte through. Default 0.5: a reader at modem speed empties a
socket's buffer bit by bit and wakes its writer now and then. Higher forgives slower readers and needs a longer trace."""

MOMENT_S = 0.5
"""Looks nearer than this in time are one moment (a census and a dump taken together): nobody could have left between."""

MIN_WAIT_MIN = 1
"""Minutes that a single text dump must show. Default 1: the least that Go prints. Higher for services with long polls."""

ENDED_SHARE = 0.5
"""Share of the time watched without births after which growth is over: a pool that filled, not a leak. Default 0.5: load
comes in waves, a pool's growth ends for good. Lower acquits leaks between two waves, higher blames pools for longer."""

IDLE_LIMIT = 100
"""Idle connections that may only grow for `LEAK_SPAN_S` without suspicion. Default 100: http.DefaultTransport's
MaxIdleConns. Lower suspects pools that fill slowly."""

LONE_COUNT = 1_000
"""Goroutines at one site in a single look that tells no time at all (a profile). Default 1,000: pools, shards and
connection limits are usually set in the hundreds; LeakProf takes 10,000 and finds small services' leaks late. Lower
blames crowds that a second look would acquit."""

MIN_GROWTH_PER_MIN = 3.0
"""Goroutines a minute for growth told by counts alone. Default 3: where the grade yellow begins. Lower drowns in noise."""

SPIN_MIN = 3
"""Busy goroutines at one line. Default 3: each burns a core; one or two may be a batch job."""

SPIN_SPAN_S = 10.0
"""Seconds they must stay busy when nothing at the leaf says they poll. Default 10: longer than an API's time-out."""

BORN_TOGETHER_SLACK = 64
"""Ids a crew started in one go may be spread over beyond twice its size: each P takes ids in batches of 16
(runtime/runtime2.go: `_GoidCacheBatch`)."""

IDLE_REASONS = frozenset(["chan receive", "select", "sync.Cond.Wait", "sleep"])
"""Waits in which a healthy, idle crew stands. Nobody idles in a send, a lock or a WaitGroup."""

_START_UP = ("main.main", "main.init", "runtime.main")


@dataclass(frozen=True, slots=True)
class Accusation:
    """Whether a cluster is a leak; `ok` = looked at and acquitted, `unknown` = the looks do not tell."""

    verdict: Verdict
    confidence: float
    reasons: tuple[str, ...]
    library: Library | None = None
    """Whose goroutine it is, if a well-known library's."""


def accuse(cluster: Cluster, context: PatternContext) -> Accusation:
    """Judge one cluster. The first rule that knows an answer gives it; see the module's docstring for their order."""
    view = View(cluster, context)
    library = identify(cluster.site)
    for rule in (_gone, _proven, _forever, _busy, _few, _usual, _by_ids, _by_counts, _by_one_look):
        found = rule(view, library)
        if found is not None:
            verdict, confidence, reasons = found
            if verdict is Verdict.LEAK and view.reason == "syscall" and not cluster.leaked:
                verdict, confidence = Verdict.SUSPECT, min(confidence, 0.6)
                reasons = (*reasons, "in a system call: a suspicion only")
            return Accusation(verdict, confidence, reasons, library)
    return Accusation(Verdict.UNKNOWN, 0.2, ("the looks do not tell",), library)


_Answer = tuple[Verdict, float, tuple[str, ...]]


def _gone(view: View, _library: Library | None) -> _Answer | None:
    if view.cluster.count or view.cluster.leaked:
        return None
    return Verdict.OK, 0.9, ("none are left at the last look",)


def _proven(view: View, _library: Library | None) -> _Answer | None:
    leaked = view.cluster.leaked
    if not leaked:
        return None
    proof = f"Go's leak profile proves {leaked:,} of them: nothing that still runs can reach what they wait for"
    if leaked >= MIN_PROVEN:
        return Verdict.LEAK, 0.99, (proof,)
    if view.cluster.count >= MIN_COUNT:
        return None  # the others of the crowd are judged by the numbers
    if view.reason == "select (no cases)":
        return Verdict.OK, 0.7, ("a goroutine or two parked in select {} on purpose",)
    return Verdict.UNKNOWN, 0.5, (proof, f"fewer than {MIN_PROVEN}: look whether more come")


def _forever(view: View, _library: Library | None) -> _Answer | None:
    if not (view.reason == "select (no cases)" or view.reason.endswith("(nil chan)")):
        return None
    count = view.cluster.count
    if count >= MIN_FOREVER:
        return Verdict.LEAK, 0.96, (f"{count:,} goroutines in `{view.reason}`, which nothing can ever end",)
    return Verdict.OK, 0.6, (f"{count} parked for good: an idiom where it is done once",)


def _busy(view: View, _library: Library | None) -> _Answer | None:
    if not is_busy(view):
        return None
    context, nature = view.context, spins_by_nature(view)
    span = context.span_s or 0.0
    stay = (context.stayed or 0) >= SPIN_MIN and _churn(context) <= MAX_CHURN
    if stay and nature and span >= LEAK_SPAN_S:
        return Verdict.LEAK, 0.85, (nature, f"the same goroutines are busy at every look over {span:.0f} s")
    if stay and (nature or (context.born and span >= SPIN_SPAN_S)):
        told = (nature,) if nature else (f"more were born meanwhile ({context.born:,})",)
        return Verdict.SUSPECT, 0.65, (*told, "the same goroutines are busy at every look, and none finished")
    if stay and span >= MOMENT_S:
        told_s = f"the same goroutines are busy at every look over {span:.0f} s"
        if span >= SPIN_SPAN_S and view.cluster.count >= MIN_COUNT:
            return Verdict.SUSPECT, 0.5, (told_s, "and none finished")
        return Verdict.UNKNOWN, 0.4, (told_s, f"load, a batch or a spin: look for more than {SPIN_SPAN_S:.0f} s")
    return Verdict.OK, 0.6, ("runnable or running: load, not a leak, unless the same ones never finish",)


def _few(view: View, _library: Library | None) -> _Answer | None:
    count = view.cluster.count
    if count >= MIN_COUNT:
        return None
    if view.context.born and not view.context.left and _grows_still(view.context):
        return Verdict.UNKNOWN, 0.4, (f"{count} and growing, but below {MIN_COUNT}: look again later",)
    return Verdict.OK, 0.7, (f"{count} at this site, below {MIN_COUNT}",)


def _usual(view: View, library: Library | None) -> _Answer | None:
    """A library's goroutines in their usual number, and the look itself."""
    if library is None or view.cluster.count >= library.role.multiplied:
        return None
    if _is_open_body(view):
        return None  # not idle: a response body is open
    told = f"{library.name}: {library.expected}; {library.role.multiplied:,} would be many"
    context = view.context
    if not _grows_still(context) or _churn(context) > MAX_CHURN or (context.stayed or 0) < MIN_STAYED:
        return Verdict.OK, 0.8, (told,)
    growing = f"{context.born:,} born and {context.left or 0:,} left"
    if view.cluster.count >= IDLE_LIMIT and (context.span_s or 0.0) >= LEAK_SPAN_S:
        return Verdict.SUSPECT, 0.55, (told, f"but {growing} over {context.span_s:.0f} s")
    return Verdict.UNKNOWN, 0.4, (told, f"but {growing}: look again")


def _churn(context: PatternContext) -> float:
    seen = (context.stayed or 0) + (context.left or 0)
    return (context.left or 0) / seen if seen else 0.0


def _grows_still(context: PatternContext) -> bool:
    return bool(context.born) and (context.quiet or 0.0) < ENDED_SHARE


def _by_ids(view: View, library: Library | None) -> _Answer | None:
    context = view.context
    if context.stayed is None or context.stayed + (context.left or 0) == 0:
        return None
    churn, stayed, left, born = _churn(context), context.stayed, context.left or 0, context.born or 0
    over = f" over {context.span_s:.0f} s" if context.span_s else ""
    if churn > MAX_CHURN:
        return Verdict.OK, 0.8, (f"they come and go: {left:,} of {stayed + left:,} seen earlier have left{over}",)
    if not born:
        return _standing(view, library, f"the same {stayed:,} goroutines at every look{over}, none born")
    if stayed < MIN_STAYED:
        return Verdict.UNKNOWN, 0.4, (f"only {stayed} were there before: look again",)
    if not _grows_still(context):
        return (
            Verdict.UNKNOWN,
            0.4,
            (f"{born:,} were born, but none for half the time watched: a pool that filled?",),
        )
    told = (f"{born:,} born and {left:,} of {stayed + left:,} left{over}",)
    span = context.span_s if context.span_s is not None else 60.0 * _longest_min(view)
    if span >= LEAK_SPAN_S:
        sure = min(1.0, (span - LEAK_SPAN_S) / (SURE_SPAN_S - LEAK_SPAN_S))
        return Verdict.LEAK, 0.8 + 0.12 * sure, told
    reasons = (*told, f"longer than {LEAK_SPAN_S:.0f} s between looks would make it sure")
    return Verdict.SUSPECT, 0.7 if library is None else 0.6, reasons


def _standing(view: View, library: Library | None, told: str) -> _Answer:
    """Nobody left and nobody was born: a crew, unless no crew stands like this."""
    span, minutes = view.context.span_s or 0.0, _longest_min(view)
    if library is not None and library.role.per_owner:
        return Verdict.SUSPECT, 0.6, (told, f"{library.name}: {library.expected}, and here are {view.cluster.count:,}")
    if _is_queue(view) and span >= QUEUE_SPAN_S:
        return Verdict.SUSPECT, 0.6, (told, f"a queue in `{view.reason}` of which none came through in {span:.0f} s")
    if _is_open_body(view) and span >= QUEUE_SPAN_S:
        return Verdict.SUSPECT, 0.55, (told, "response bodies that nobody reads or closes, or long streams")
    if _is_stalled(view) and span >= QUEUE_SPAN_S:
        watched = f"not one byte got through in {view.context.watched_s:.1f} s of trace"
        return Verdict.SUSPECT, 0.55, (told, watched, "who writes has something to say: nobody idles there")
    lasts = span >= LEAK_SPAN_S or minutes >= MIN_WAIT_MIN
    if not lasts:
        return Verdict.UNKNOWN, 0.4, (told, "a standing crew, or a leak between two waves: look again later")
    if view.reason in IDLE_REASONS:
        return Verdict.OK, 0.6, (told, "a standing crew")
    long = f"waiting {minutes} min or more" if minutes else f"for {span:.0f} s"
    return Verdict.SUSPECT, 0.6, (told, f"{long} in `{view.reason}`, where no idle crew stands")


def _is_queue(view: View) -> bool:
    """Waits that are served one after the other: a lock, a slot, a send into a queue. At the head somebody leaves."""
    return view.reason in ("chan send", "semacquire") or view.reason.startswith(("sync.Mutex.", "sync.RWMutex."))


def _is_open_body(view: View) -> bool:
    return view.reason == "select" and view.has("net/http.(*persistConn).readLoop")


def _is_stalled(view: View) -> bool:
    """Writers to peers that take nothing, as far as a trace saw: not one wake-up. (A silent child may be at work.)"""
    watched = (view.context.watched_s or 0.0) >= STALL_WATCH_S
    return watched and view.context.wakeups == 0 and waits_to_write(view)


def _by_counts(view: View, _library: Library | None) -> _Answer | None:
    """Several looks, no ids to compare: counts that rise at every look."""
    counts = view.cluster.counts
    if len(counts) < 2 or counts[-1] <= counts[0]:
        return None
    rises = all(after >= before for before, after in pairwise(counts))
    per_min = view.cluster.growth_per_min
    if not rises or (per_min is not None and per_min < MIN_GROWTH_PER_MIN):
        return None
    if counts.index(counts[-1]) < ENDED_SHARE * (len(counts) - 1):
        return Verdict.UNKNOWN, 0.4, ("grew, and has stopped growing: a pool that filled?",)
    return Verdict.SUSPECT, 0.55, (f"{counts[0]:,} -> {counts[-1]:,} goroutines, falling at no look",)


def _longest_min(view: View) -> int:
    return view.cluster.wait_min[1] if view.cluster.wait_min else 0


def _by_one_look(view: View, library: Library | None) -> _Answer | None:
    count, longest = view.cluster.count, _longest_min(view)
    if library is not None and library.role.per_owner:
        return Verdict.SUSPECT, 0.55, (f"{library.name}: {library.expected}, and here are {count:,}",)
    if longest >= MIN_WAIT_MIN:
        told = f"{count:,} goroutines at one line, waiting up to {longest} min or more"
        if view.reason not in IDLE_REASONS:
            return Verdict.SUSPECT, 0.65, (told, f"in `{view.reason}`, where no idle crew stands")
        if view.creator in _START_UP or _born_together(view):
            return Verdict.UNKNOWN, 0.4, (told, "all started in one go: a crew, or one burst; look again")
        return Verdict.SUSPECT, 0.55, (told, "started at different times")
    if count >= LONE_COUNT:
        return Verdict.SUSPECT, 0.5, (f"{count:,} goroutines at one line in the only look there is",)
    return Verdict.UNKNOWN, 0.3, (f"{count:,} at one line, in looks that tell no time: look again",)


def _born_together(view: View) -> bool:
    """Whether ids and waits say they were all started in one go."""
    spread, minutes = view.context.id_spread, view.cluster.wait_min
    if minutes is not None and minutes[1] - minutes[0] > 1:
        return False
    return spread is not None and spread <= 2 * view.cluster.count + BORN_TOGETHER_SLACK
