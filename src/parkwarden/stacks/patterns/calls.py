"""Patterns of calling: loops that spin, and owners of background goroutines built once per request."""

from __future__ import annotations

import re

from parkwarden.stacks.libraries import identify
from parkwarden.stacks.modules import is_stdlib, package_of
from parkwarden.stacks.patterns.base import (
    ATOMIC_READ,
    ON_PROCESSOR,
    SPIN_OPERATIONS,
    Entry,
    LifeCycle,
    Pattern,
    View,
    Weight,
    weigh,
    words_of,
)
from parkwarden.stacks.patterns.statements import EMPTY_LOOP
from parkwarden.stacks.patterns.vocabulary import BACKGROUND, CONSTRUCTORS, STARTERS

SPIN = Pattern(
    id="spinning-loop",
    code="PW116",
    title="A loop that spins instead of waiting",
    wait_reasons=("running", "runnable"),
    meaning="The goroutines want a processor all the time and make no progress.",
    why="`for {}`, a select with `default`, or a loop over an atomic flag never parks. Since Go 1.14 the scheduler preempts "
    "it (asyncPreempt), so nothing hangs; it just burns a core for each, for ever, and everybody else waits in line.",
    look_for="`running` and `runnable` at one line, the same ids at every look, a CPU profile with that function on top, "
    "runtime.selectnbrecv or an atomic load at the leaf. Many runnable goroutines alone mean load, not a leak.",
    cure="Block: take `default` out of the select, receive from a done channel instead of polling a flag, sleep or use a "
    "ticker if polling is needed, and end on ctx.Done().",
    before="for !s.closed.Load() {\n\tselect {\n\tcase b := <-s.bids:\n\t\ts.handle(b)\n\tdefault:\n\t}\n}",
    after="for {\n\tselect {\n\tcase b := <-s.bids:\n\t\ts.handle(b)\n\tcase <-s.closed:\n\t\treturn\n\t}\n}",
    life=LifeCycle.RUNNING,
    twin="A computation that is busy, and finite; a crowd that is runnable because the machine is overloaded.",
    provable=False,
)

_BUSY_WAITS = (
    "sync/atomic.",
    "internal/runtime/atomic.",
    "sync.(*Mutex).TryLock",
    "sync.(*RWMutex).TryLock",
    "runtime.Gosched",
    "time.Now",
    "time.Since",
    "context.(*cancelCtx).Err",
)


POLL_SHARE = 0.25
"""Of the busy stacks seen, caught in an atomic read. Default 0.25: a loop that only polls spends about half its time there;
a computation that looks at a flag now and then spends a few per cent. Lower takes computations for spins."""


def spins_by_nature(view: View) -> str:
    """Why this busy loop waits rather than computes, "" if nothing says so."""
    for operation in view.context.operations:
        if operation in SPIN_OPERATIONS:
            return f"runtime.{operation} at the leaf: a poll that does not block"
    operations = view.context.operations
    on = sum(n for operation, n in operations.items() if operation in ON_PROCESSOR)
    if operations[ATOMIC_READ] >= max(1.0, POLL_SHARE * on):
        return "caught in an atomic read again and again: a flag is polled"
    if view.functions and view.functions[0].startswith(_BUSY_WAITS):
        return f"{view.functions[0]} at the leaf: a flag is polled"
    if re.search(r"\bdefault:", view.statement):
        return "the statement polls without blocking"
    if EMPTY_LOOP.search(view.body):
        return "an empty loop waits by burning a processor"
    return ""


def is_busy(view: View) -> bool:
    """Running or runnable: more of its goroutines are busy than wait."""
    if view.reason in ("running", "runnable"):
        return True
    if view.reason:
        return False
    busy = sum(n for state, n in view.cluster.states.items() if state in ("running", "runnable"))
    operations = view.context.operations
    on = sum(n for operation, n in operations.items() if operation in ON_PROCESSOR)
    return busy * 2 > max(1, view.cluster.count) or on * 2 > max(1, operations.total())


def _spin(view: View) -> Weight | None:
    if not is_busy(view) or view.has_prefix("runtime/pprof.", "runtime/trace."):
        return None
    nature = spins_by_nature(view)
    return weigh(
        0.7,
        (True, 0.0, "on a processor or in line for one, not waiting"),
        (nature, 0.7, nature),
        (view.context.left == 0 and (view.context.span_s or 0) >= 10, 0.5, "the same goroutines at every look"),
    )


CONSTRUCTOR = Pattern(
    id="constructor-per-request",
    code="PW119",
    title="The owner of a background goroutine built once per request",
    wait_reasons=("select", "chan receive", "sleep", "IO wait", "sync.Cond.Wait"),
    meaning="A library starts a goroutine in its constructor, to be built once per process; it is built again and again.",
    why="Caches, pools, clients, timing wheels, loggers and exporters start their janitor in New and end it in Close. Built "
    "per request and dropped, each leaves its goroutine (and what it reaches) behind; the garbage collector cannot take "
    "an owner whose own goroutine still uses it.",
    look_for="One `created by …New…` for a crowd in a method of the same package; in a trace one `go` statement with "
    "thousands of creations a second under many callers.",
    cure="Build it once (package variable, sync.OnceValue, dependency injection) and share it; where it must be short-lived, "
    "defer its Close or Stop.",
    before="func handle(w http.ResponseWriter, r *http.Request) {\n\tcache := ttlcache.New(time.Minute) // starts a janitor\n\tserve(cache, w, r)\n}",
    after="var cache = ttlcache.New(time.Minute)\n\nfunc handle(w http.ResponseWriter, r *http.Request) {\n\tserve(cache, w, r)\n}",
    life=LifeCycle.OWNED,
    twin="The same constructor called once, or once per pooled connection up to the pool's limit.",
    provable=False,
)


def is_constructor(function: str, names: tuple[str, ...] = CONSTRUCTORS) -> bool:
    """Whether a function is named as a constructor: `cache.New`, `pkg.(*Opener).Open`, `timingwheel.newWheel.func1`."""
    tail = function[function.rfind("/") + 1 :].partition(".")[2]
    name = tail.rpartition(").")[2] if ")." in tail else tail
    name = name.split(".")[0].removesuffix("[...]")
    return name.lower().startswith(names)


def _constructor(view: View) -> Weight | None:
    if is_busy(view):
        return None
    library = identify(view.cluster.site)
    if library is not None and library.role.per_owner:
        return weigh(0.9, (True, 0.0, f"{library.name}: {library.expected}"), (view.cluster.count >= 50, 0.5, ""))
    creator, root = view.creator, view.root
    owner = package_of(root)
    if not owner or is_stdlib(owner) or view.reason not in CONSTRUCTOR.wait_reasons:
        return None
    foreign = owner != "main"
    background = min(words_of(root) & BACKGROUND, default="")
    own = bool(creator) and package_of(creator) == owner
    built = own and is_constructor(creator)
    # What a library starts runs the library's code; a helper that runs functions for others waits in theirs.
    itself = bool(view.own) and package_of(view.own[0]) == owner
    started = own and foreign and itself and not built and is_constructor(creator, STARTERS)
    if not (built or started) and not (foreign and background and not creator):
        return None
    creations = sum(creation.count for creation in view.context.creations)
    return weigh(
        0.45 if built else 0.4,
        (built, 0.0, f"started in a constructor ({creator})"),
        (started, 0.0, f"started by its own package ({creator})"),
        (built and foreign, 0.55, "of a package of its own"),
        (background and foreign, 0.4, f"its function is named like a background loop ({background})"),
        # Every leak has births; that they come from a constructor of a package of its own is what makes it this one.
        (built and foreign and creations >= 10, 0.5, f"a trace saw {creations} of them created"),
    )


ENTRIES = (Entry(SPIN, _spin), Entry(CONSTRUCTOR, _constructor))
