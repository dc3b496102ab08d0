"""Patterns of package sync: WaitGroup, Mutex, RWMutex, Cond."""

from __future__ import annotations

from parkwarden.stacks.patterns.base import Entry, LifeCycle, Pattern, View, Weight, weigh

WAITGROUP = Pattern(
    id="waitgroup-without-done",
    code="PW110",
    title="WaitGroup.Wait without all its Done calls",
    wait_reasons=("sync.WaitGroup.Wait", "semacquire"),
    meaning="Somebody waits for parts of which at least one ended (or never started) without calling Done.",
    why="Wait parks until the counter is zero (sync/waitgroup.go). A worker that returns early or panics before Done, or an "
    "Add for work that was never started, leaves it above zero for good.",
    look_for="`sync.WaitGroup.Wait` (before Go 1.25 `semacquire` under sync.(*WaitGroup).Wait), and fewer workers than were added.",
    cure="`defer wg.Done()` as the worker's first line, Add just before go; from Go 1.25 on wg.Go(f) does both.",
    before="wg.Add(2)\ngo func() {\n\tif err := pack(); err != nil {\n\t\treturn // no Done\n\t}\n\twg.Done()\n}()\nwg.Wait()",
    after="wg.Go(func() { _ = pack() }) // Add and Done cannot be forgotten\nwg.Wait()",
    life=LifeCycle.FOREVER,
    twin="Callers that wait for parts which do complete: other ids at each look.",
    provable=True,
)


def _waitgroup(view: View) -> Weight | None:
    if not (view.reason.startswith("sync.WaitGroup") or view.has("sync.(*WaitGroup).Wait")):
        return None
    return 0.95, ("blocked in sync.(*WaitGroup).Wait",)


LOCK = Pattern(
    id="lock-never-released",
    code="PW111",
    title="A lock that is never released",
    wait_reasons=("sync.Mutex.Lock", "sync.RWMutex.Lock", "sync.RWMutex.RLock", "semacquire"),
    meaning="A crowd waits for a Mutex or RWMutex whose holder returned, or waits itself, without Unlock.",
    why="Lock parks in a semaphore until Unlock (internal/sync/mutex.go: lockSlow). Go has no lock time-out and frees no "
    "lock when its holder ends. On an RWMutex one waiting writer stops all new readers too.",
    look_for="`sync.Mutex.Lock`, `sync.RWMutex.Lock` or `.RLock` at one line; in text dumps the first argument of the leaf "
    "is the lock's address: one address for all means one lock. Look for the holder among the other stacks.",
    cure="`defer mu.Unlock()` on the line after Lock; never hold a lock across I/O, a channel operation or a callback.",
    before="l.mu.Lock()\nif amount < 0 {\n\treturn errNegative // still locked\n}\nl.balance += amount\nl.mu.Unlock()",
    after="l.mu.Lock()\ndefer l.mu.Unlock()\nif amount < 0 {\n\treturn errNegative\n}\nl.balance += amount",
    life=LifeCycle.WAITING,
    twin="A crowd behind one contended lock that makes progress: ids leave between looks.",
    provable=True,
)

_LOCKS = (
    "sync.(*Mutex).Lock",
    "sync.(*RWMutex).Lock",
    "sync.(*RWMutex).RLock",
    "internal/sync.(*Mutex).Lock",
    "internal/sync.(*Mutex).lockSlow",
    "sync.(*Mutex).lockSlow",
)


def _lock(view: View) -> Weight | None:
    named = view.reason.startswith(("sync.Mutex.", "sync.RWMutex."))
    if not (named or (view.reason == "semacquire" and view.has(*_LOCKS))) or view.has("sync.(*Cond).Wait"):
        return None
    return weigh(
        0.93,
        (True, 0.0, f"blocked in {view.reason if named else 'the slow path of a lock'}"),
        (view.cluster.objects == 1 and view.cluster.count > 1, 0.5, "all wait for the same lock"),
    )


COND = Pattern(
    id="cond-without-signal",
    code="PW112",
    title="Cond.Wait without Signal or Broadcast",
    wait_reasons=("sync.Cond.Wait",),
    meaning="The goroutine waits to be told that a state changed, and nobody tells.",
    why="Wait parks in a list of waiters (runtime/sema.go: notifyListWait) that only Signal and Broadcast serve; changing "
    "the state alone wakes nobody, Signal wakes one only, and a Cond knows no context.",
    look_for="`sync.Cond.Wait`; which code changes the state, and does it Broadcast on every path, the error and close ones too?",
    cure="Broadcast under the lock on each change, on close as well; or use a channel, which a select can leave.",
    before="q.mu.Lock()\nq.closed = true // waiters are not told\nq.mu.Unlock()",
    after="q.mu.Lock()\nq.closed = true\nq.cond.Broadcast()\nq.mu.Unlock()",
    life=LifeCycle.FOREVER,
    twin="Waiters of a queue or pipe that are woken: ids leave between looks.",
    provable=True,
)


def _cond(view: View) -> Weight | None:
    if not (view.reason == "sync.Cond.Wait" or view.has("sync.(*Cond).Wait")):
        return None
    return 0.95, ("blocked in sync.(*Cond).Wait",)


ENTRIES = (Entry(WAITGROUP, _waitgroup), Entry(LOCK, _lock), Entry(COND, _cond))
