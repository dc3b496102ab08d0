"""The ring."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from parkwarden.telemetry import FinishedSpan, Ring, Segment, SpanKind


def segment(name: int, spans: int) -> Segment:
    one = FinishedSpan(0, -1, SpanKind.LOCAL, "x", "", 0.0, 1.0, False, (), (), ())
    return Segment("t", str(name), "svc", "inst", (one,) * spans)


@given(st.lists(st.integers(1, 8), max_size=30), st.integers(1, 5), st.integers(1, 12))
def test_a_ring_keeps_the_last_within_both_bounds(sizes: list[int], segments: int, spans: int) -> None:
    """Never more segments or spans than it may; what it keeps is the newest; taken = kept + dropped."""
    ring = Ring(segments, spans)
    for name, size in enumerate(sizes):
        ring.take(segment(name, size))
        assert len(ring) <= segments
    taken, dropped = ring.taken, ring.dropped
    kept = ring.drain()
    assert taken == len(kept) + dropped == len(sizes)
    assert sum(len(found.spans) for found in kept) <= spans
    assert [found.segment_id for found in kept] == [str(i) for i in range(len(sizes))][len(sizes) - len(kept) :]
    assert ring.drain() == []
