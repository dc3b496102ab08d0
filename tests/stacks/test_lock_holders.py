"""Who may hold a lock: who came past the same Lock call, else who is in another method of its type."""

from __future__ import annotations

from parkwarden.formats.goroutine_dump import read
from parkwarden.model import Cluster
from parkwarden.stacks.cluster import clusters
from parkwarden.stacks.lock_holders import PASSED, SAME_TYPE, LockHolder, lock_holders

WAITER = """goroutine {n} [sync.Mutex.Lock]:
sync.runtime_SemacquireMutex(0xc00001, 0x0, 0x1)
\t/go/src/runtime/sema.go:95 +0x25
sync.(*Mutex).Lock(...)
\t/go/src/sync/mutex.go:46
main.(*Ledger).Add(0xc00001)
\t/src/ledger.go:20 +0x2d
main.main.func1()
\t/src/main.go:9 +0x1d

"""
INSIDE = """goroutine 90 [IO wait]:
net.(*conn).Read(0xc00002)
\t/go/src/net/net.go:194 +0x45
main.(*Ledger).Add(0xc00001)
\t/src/ledger.go:24 +0x5d
main.main.func1()
\t/src/main.go:9 +0x1d

"""
SIBLING = """goroutine 91 [chan send]:
main.(*Ledger).Flush(0xc00001)
\t/src/ledger.go:40 +0x5d
main.main.func2()
\t/src/main.go:12 +0x1d

"""
STRANGER = """goroutine 92 [select]:
main.(*Other).Flush(0xc00001)
\t/src/other.go:40 +0x5d

"""


def _holders(*others: str) -> list[LockHolder]:
    text = "".join(WAITER.format(n=n) for n in range(1, 4)) + "".join(others)
    found: list[Cluster] = clusters([read(text.encode()).snapshot])  # type: ignore[list-item]
    waiting = next(c for c in found if c.site.wait_reason == "sync.Mutex.Lock")
    return lock_holders(waiting.site, found)


def test_who_came_past_the_lock_is_the_likely_holder() -> None:
    """The goroutine behind the Lock call in the same function, and not the one in a sibling method."""
    (holder,) = _holders(INSIDE, SIBLING, STRANGER)
    assert (holder.by, holder.frame.function, holder.frame.line) == (PASSED, "main.(*Ledger).Add", 24)


def test_another_method_of_the_type_is_a_hint() -> None:
    """Where nobody came past it, who is in another method of the receiver; another type's method never."""
    (holder,) = _holders(SIBLING, STRANGER)
    assert (holder.by, holder.frame.function) == (SAME_TYPE, "main.(*Ledger).Flush")
    assert _holders(STRANGER) == []


def test_only_locks_have_holders() -> None:
    """Who waits for something else has nobody to blame here."""
    (cluster,) = clusters([read(STRANGER.encode()).snapshot])  # type: ignore[list-item]
    assert lock_holders(cluster.site, [cluster]) == []
