"""before: the last answers on beat, in bounded memory."""

from __future__ import annotations

from parkwarden.collect.fleet.before import MAX_ONE_BYTES, Before
from parkwarden.model.capture import Capture


def capture(instance: str, kind: str = "trace", size: int = 10, at: float = 0.0) -> Capture:
    return Capture(instance=instance, service="s", kind=kind, at=at, body=b"x" * size, why="on beat")


def test_the_last_of_each_kind_once() -> None:
    """A newer answer takes the place of the older, and becomes evidence once."""
    before = Before(1_000)
    before.put(capture("a", at=1))
    before.put(capture("a", at=2))
    before.put(capture("a", "goroutine-profile", at=3))
    before.put(capture("b"))
    assert [c.at for c in before.take("a")] == [2, 3]
    assert list(before.take("a")) == []
    assert before.bytes == 10


def test_memory_is_bounded() -> None:
    """The oldest give way; one that is too large is not kept at all, nor the one it would have replaced."""
    before = Before(100)
    for i in range(50):
        before.put(capture(f"i{i}"))
    assert before.bytes == 100
    assert list(before.take("i0")) == []
    assert len(list(before.take("i49"))) == 1
    before.put(capture("i48", size=MAX_ONE_BYTES + 1))
    assert list(before.take("i48")) == []
    before.forget("i47")
    assert before.bytes == 70
