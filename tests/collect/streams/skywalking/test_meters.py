"""An agent's meters."""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from parkwarden.collect.streams.skywalking import meters as module
from parkwarden.collect.streams.skywalking.meters import Histogram, batches, quantile
from parkwarden.protos import skywalking_pb2 as pb
from tests.collect.streams.skywalking.agent import HISTOGRAM, meters


def histogram(bounds: Sequence[float], counts: Sequence[int]) -> Histogram:
    return Histogram(array("d", bounds), array("q", counts))


def test_the_runtime_s_meters_become_fields_for_what_they_are() -> None:
    """`os_threads_num` is GOMAXPROCS, `heap_alloc_size` all that was ever allocated; sums as runtime.MemStats makes them."""
    told = meters(
        "shop", "i", 1_790_000_000_000, {"goroutines": 42, "total_alloc": 7e9, "num_gc": 9, "heap_alloc": 100}
    )
    (batch,) = batches(told)
    assert (batch.service, batch.instance, batch.at, batch.points) == ("shop", "i", 1_790_000_000.0, len(told))
    assert batch.values == {
        "goroutines": 42,
        "gomaxprocs": 2,
        "total_alloc": 7e9,
        "num_gc": 9,
        "next_gc": 4 << 20,
        "heap_objects": 900,
        "sys": 10 << 20,
        "heap_alloc": 100,
        "heap_inuse": 100 + (1 << 16),
        "heap_idle": 1 << 20,
        "stack_inuse": 65_536,
    }
    assert batch.histograms == {"sched_latencies": histogram(HISTOGRAM, (0, 1, 2, 3))}
    assert batch.of_go


def test_requests_are_all_that_began_with_a_trace_sampled_or_not() -> None:
    """The agent's own counters, over their labels; an agent of another language has no runtime of Go."""
    names = [
        "sw_go_created_tracing_context_counter",
        "sw_go_created_ignored_context_counter",
        "sw_go_created_tracing_context_counter",
    ]
    told = [
        pb.MeterData(
            service="s", serviceInstance="i", timestamp=1, singleValue=pb.MeterSingleValue(name=name, value=value)
        )
        for name, value in zip([*names, "instance_jvm_cpu"], (5, 6, 7, 8), strict=True)
    ]
    (batch,) = batches(told)
    assert batch.values == {"requests_total": 18}
    assert (batch.of_go, batch.unused) == (False, 1)


def test_only_histograms_that_are_read_are_kept() -> None:
    """A sender makes up names and buckets: they take no memory."""
    values = [pb.MeterBucketValue(bucket=i, count=i) for i in range(module.MAX_BUCKETS + 50)]
    names = [
        f"instance_golang_{name}" for name in ("gc_pauses", "gc_heap_allocs_by_size", *(f"x{i}" for i in range(50)))
    ]
    told = [
        pb.MeterData(service="s", serviceInstance="i", histogram=pb.MeterHistogram(name=n, values=values))
        for n in names
    ]
    (batch,) = batches(told)
    assert {name: len(kept.counts) for name, kept in batch.histograms.items()} == {"gc_pauses": module.MAX_BUCKETS}
    assert (batch.of_go, batch.unused) == (True, 51)


def test_what_follows_without_a_name_is_of_the_one_before() -> None:
    """Within one message or stream; nobody's is what comes before any name."""
    nameless = pb.MeterData(singleValue=pb.MeterSingleValue(name="instance_golang_live_goroutines_num", value=1))
    found = list(
        batches([nameless, *meters("a", "1", 1_000, {}), *meters("b", "1", 1_000, {}), *meters("b", "1", 2_000, {})])
    )
    assert [(b.service, b.at) for b in found] == [("", 0), ("a", 1), ("b", 1), ("b", 2)]


def test_a_share_of_a_histogram_is_told_by_lower_bounds_between_two_reports() -> None:
    """Counts are since the process began: the difference counts, all of it after a restart."""
    bounds = (-math.inf, 0.0, 10.0, 100.0)
    before, now = histogram(bounds, (0, 100, 0, 0)), histogram(bounds, (0, 101, 98, 1))
    assert quantile(now, before, 0.5) == 10.0
    assert quantile(now, before, 0.999) == 100.0
    assert quantile(now, None, 0.5) == 0.0
    assert quantile(histogram(bounds, (0, 5, 0, 0)), now, 0.5) == 0.0
    assert quantile(now, now, 0.5) is None


@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.sampled_from(["", "x", "instance_golang_y"]), st.floats()), max_size=20
    )
)
def test_no_meter_is_lost_or_counted_twice(told: list[tuple[str, str, float]]) -> None:
    """Whatever comes: each is in one batch, and what is no number is told as none."""
    found = list(
        batches(
            pb.MeterData(
                service=who, serviceInstance="i", timestamp=1, singleValue=pb.MeterSingleValue(name=name, value=value)
            )
            for who, name, value in told
        )
    )
    assert sum(batch.points for batch in found) == len(told)
    assert all(math.isfinite(value) for batch in found for value in batch.values.values())
