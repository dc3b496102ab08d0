"""Who holds the heap."""

from __future__ import annotations

from parkwarden.judge import heap_retention
from parkwarden.model import Case, Frame, Stack, Verdict
from tests.judge.cases import USER, heap

MIB = 1 << 20
BUFFER = Stack(
    (
        Frame("bytes.growSlice", "buffer.go", 249),
        Frame("bytes.(*Buffer).ReadFrom", "buffer.go", 217),
        Frame("io.Copy", "io.go", 388),
        Frame("example.com/shop/codec.(*Session).collect", "session.go", 61),
    )
)
OTHER = Stack((Frame("strings.Clone", "clone.go", 25), Frame("main.cache", "main.go", 9)))


def judged(*heaps: object) -> list[object]:
    return list(heap_retention.judge(Case(artefacts=list(heaps), user_modules=USER)))  # type: ignore[arg-type]


def test_the_greatest_holder_is_named() -> None:
    """Most of a big heap under one user line: that line, the kind of memory and the share."""
    (finding,) = heap_retention.judge(
        Case(artefacts=[heap("heap", (BUFFER, 92 * MIB), (OTHER, 8 * MIB))], user_modules=USER)
    )
    assert finding.culprit is not None
    assert finding.culprit.function == "example.com/shop/codec.(*Session).collect"
    assert finding.title.startswith("[]byte under bytes.Buffer: 92% of the heap (92 MiB)")
    assert finding.verdict is Verdict.SUSPECT


def test_growth_between_two_profiles_is_a_leak() -> None:
    """The same line holding twice as much later is more than a share."""
    heaps = [heap("h1", (BUFFER, 40 * MIB), (OTHER, 30 * MIB)), heap("h2", (BUFFER, 90 * MIB), (OTHER, 30 * MIB))]
    (finding,) = heap_retention.judge(Case(artefacts=heaps, user_modules=USER))
    assert finding.verdict is Verdict.LEAK


def test_a_spread_or_small_heap_accuses_nobody() -> None:
    """Below the share, or below the least heap, there is no finding."""
    spread = [(Stack((Frame("make", "", 0), Frame(f"main.f{i}", "main.go", i))), 20 * MIB) for i in range(1, 6)]
    assert judged(heap("spread", *spread)) == []
    assert judged(heap("small", (BUFFER, 62 * MIB))) == []


def test_useless_heaps_say_why() -> None:
    """A heap of a process that has hardly run says that it was taken after a restart."""
    young = heap("mem.pprof", (BUFFER, 20 * MIB), allocated=22 * MIB)
    assert "just after a restart: 20.0 MiB in use" in (heap_retention.useless(young) or "")
    assert "holds only 20.0 MiB" in (heap_retention.useless(heap("old", (BUFFER, 20 * MIB), allocated=900 * MIB)) or "")
    assert heap_retention.useless(heap("good", (BUFFER, 64 * MIB))) is None


def test_who_retains_a_small_heap_is_told_to_who_knows_that_memory_runs_out() -> None:
    """Without the least size, still with the share: the holder and the bytes in use."""
    found = heap_retention.retains_most(heap("small", (BUFFER, 9 * MIB), (OTHER, 3 * MIB)), USER)
    assert found is not None
    holder, total = found
    assert (holder.frame.function, holder.bytes, total) == (
        "example.com/shop/codec.(*Session).collect",
        9 * MIB,
        12 * MIB,
    )
    spread = [(Stack((Frame("make", "", 0), Frame(f"main.f{i}", "main.go", i))), 2 * MIB) for i in range(1, 6)]
    assert heap_retention.retains_most(heap("spread", *spread), USER) is None
