"""Who may hold the lock that a site waits for, as far as stacks tell. Pure.

A dump does not say who holds a lock. But whoever is in the function that the waiters call Lock in, at a line behind that call, has come past
it (`PASSED`): where that is a goroutine that waits for something else, it waits with the lock in its hands, or has let go of it on the way.
Weaker, whoever is in another method of the same receiver and waits for something else may have taken the receiver's lock there (`SAME_TYPE`).

Blind: a holder that returned without Unlock is on no stack; a lock handed to another function; two receivers of one type (stacks do not tell
whose lock it is), so this is a place to look at, never a verdict.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from parkwarden.model import Cluster, Frame, Site
from parkwarden.stacks.normalise import is_machinery

PASSED = "passed"
SAME_TYPE = "same-type"

MAX_HOLDERS = 5
"""Candidates shown; with more of them stacks do not tell enough."""

_LOCKED = ("sync.Mutex.", "sync.RWMutex.")
_CALLS = ("sync.(*Mutex).Lock", "sync.(*RWMutex).Lock", "sync.(*RWMutex).RLock", "internal/sync.(*Mutex).lockSlow")


@dataclass(frozen=True, slots=True)
class LockHolder:
    """Goroutines that may hold the lock: their cluster, the frame in which they have it, and how that is known (`PASSED`, `SAME_TYPE`)."""

    cluster: Cluster
    frame: Frame
    by: str


def waits_for_lock(site: Site) -> bool:
    """Whether the goroutines of a site wait for a Mutex or RWMutex."""
    if site.wait_reason.startswith(_LOCKED):
        return True
    return site.wait_reason == "semacquire" and any(f.function in _CALLS for f in site.frames)


def lock_holders(site: Site, clusters: Sequence[Cluster]) -> list[LockHolder]:
    """Candidates, those that passed the lock first, then by goroutines; [] where the site waits for no lock or nobody fits."""
    if not waits_for_lock(site):
        return []
    caller = next((f for f in site.frames if not is_machinery(f.function)), None)
    if caller is None:
        return []
    receiver = _receiver(caller.function)
    found: list[LockHolder] = []
    for cluster in clusters:
        if cluster.site.id == site.id or cluster.count <= 0:
            continue
        own = [f for f in cluster.site.frames if not is_machinery(f.function)]
        passed = next((f for f in own if f.function == caller.function and f.line > caller.line), None)
        if passed is not None:
            found.append(LockHolder(cluster, passed, PASSED))
        elif receiver and not waits_for_lock(cluster.site):
            same = next((f for f in own if _receiver(f.function) == receiver and f.function != caller.function), None)
            if same is not None:
                found.append(LockHolder(cluster, same, SAME_TYPE))
    found.sort(key=lambda h: (h.by != PASSED, -h.cluster.count, h.cluster.site.id))
    if found and found[0].by == PASSED:
        found = [h for h in found if h.by == PASSED]
    return found[:MAX_HOLDERS]


def _receiver(function: str) -> str:
    """`pkg.(*T)` of a method, "" of a function."""
    head, dot, _method = function.rpartition(")")
    return f"{head})" if dot and ".(" in head else ""
