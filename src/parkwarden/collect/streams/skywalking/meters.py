"""A Go agent's meters -> values by field of Reading. Pure.

Source: apache/skywalking-go `plugins/runtimemetrics/registers.go` (33 meters, of Go's runtime/metrics). What their names hide:
`os_threads_num` is GOMAXPROCS; `heap_alloc_size` is all that was ever allocated; histograms count from the process's begin, each bucket
from its lower bound on. Only the first meter of a batch says whose it is and when.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from parkwarden.protos.skywalking_pb2 import MeterBucketValue, MeterData

PREFIX = "instance_golang_"
"""What only a Go agent's runtime meters are called."""
MAX_BUCKETS = 1_000
"""Of one histogram that are kept: Go's own have up to 1,000."""
LATENCIES = {"sched_latencies": "goroutines waited to run", "gc_pauses": "the collector stopped the world"}
"""Histograms that are kept, and what they count; the others tell nothing that is read here."""

SINGLE = {
    "live_goroutines_num": "goroutines",
    "os_threads_num": "gomaxprocs",
    "heap_alloc_size": "total_alloc",
    "gc_heap_goal": "next_gc",
    "gc_heap_objects": "heap_objects",
    "memory_total": "sys",
}
"""Meters without a label to fields."""
LABELLED = {
    ("gc_count_labeled", "total"): "num_gc",
    ("memory_heap_labeled", "objects"): "heap_alloc",
    ("memory_heap_labeled", "stacks"): "stack_inuse",
}
"""(meter, its label `type`) to fields."""
SUMS = {
    "heap_inuse": (("memory_heap_labeled", "objects"), ("memory_heap_labeled", "unused")),
    "heap_idle": (("memory_heap_labeled", "free"), ("memory_heap_labeled", "released")),
}
"""Fields that are the sum of two meters, as runtime.MemStats adds them up; told only where both are."""
REQUESTS = ("sw_go_created_tracing_context_counter", "sw_go_created_ignored_context_counter")
"""Of the agent itself: what began with a trace, sampled or not. Their sum over all labels are the requests."""


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts (int64) by lower bound (float64), rising, since the process began: every agent has some kept all the time."""

    bounds: array[float]
    counts: array[int]


@dataclass(slots=True)
class Batch:
    """What one instance told of one time. `at` is 0 where it does not say."""

    service: str
    instance: str
    at: float
    values: dict[str, float] = field(default_factory=dict)
    """By field of Reading."""
    histograms: dict[str, Histogram] = field(default_factory=dict)
    """By meter."""
    points: int = 0
    unused: int = 0
    """Points that are no field and no histogram of the runtime."""
    of_go: bool = False
    """Whether there are meters that only a Go agent's runtime has."""


def batches(meters: Iterable[MeterData]) -> Iterator[Batch]:
    """The batches of meters that follow each other in one message or stream: one begins where a meter names another instance or time,
    and what follows without a name is of the one before. Nameless meters before the first name are a batch of nobody."""
    held: list[MeterData] = []
    service, instance, stamp = "", "", 0
    for meter in meters:
        told = (meter.service or service, meter.serviceInstance or instance, meter.timestamp or stamp)
        if told != (service, instance, stamp):
            if held:
                yield _batch(service, instance, stamp, held)
                held = []
            service, instance, stamp = told
        held.append(meter)
    if held:
        yield _batch(service, instance, stamp, held)


def quantile(now: Histogram, before: Histogram | None, share: float) -> float | None:
    """The lower bound of the bucket in which `share` of what came between two histograms lies; of all, where `before` is None, has other
    buckets, or counted more (another life). None where nothing came."""
    counts: Sequence[int] = now.counts
    if before is not None and before.bounds == now.bounds:
        apart = [n - b for n, b in zip(now.counts, before.counts, strict=True)]
        counts = apart if min(apart, default=0) >= 0 else counts
    total, seen = sum(counts), 0
    if total <= 0:
        return None
    for bound, count in zip(now.bounds, counts, strict=True):
        seen += count
        if seen >= share * total:
            return bound
    return None


def _histogram(told: Iterable[MeterBucketValue]) -> Histogram:
    pairs = sorted((-math.inf if v.isNegativeInfinity else v.bucket, v.count) for v in told)[:MAX_BUCKETS]
    return Histogram(array("d", [bound for bound, _ in pairs]), array("q", [count for _, count in pairs]))


def _batch(service: str, instance: str, stamp: int, meters: list[MeterData]) -> Batch:
    batch = Batch(service, instance, stamp / 1000, points=len(meters))
    told: dict[tuple[str, str], float] = {}
    requests: float | None = None
    for meter in meters:
        if meter.HasField("singleValue"):
            single = meter.singleValue
            value = single.value if math.isfinite(single.value) else -1.0
            name = single.name.removeprefix(PREFIX)
            if len(name) < len(single.name):
                batch.of_go = True
                told[name, next((label.value for label in single.labels if label.name == "type"), "")] = value
            elif single.name in REQUESTS:
                requests = (requests or 0.0) + value
            else:
                batch.unused += 1
        elif (name := meter.histogram.name).startswith(PREFIX):
            batch.of_go = True
            if (name := name.removeprefix(PREFIX)) in LATENCIES:
                batch.histograms[name] = _histogram(meter.histogram.values)
            else:
                batch.unused += 1
        else:
            batch.unused += 1
    values = batch.values
    used = set()
    for (name, kind), value in told.items():
        field_ = SINGLE.get(name) if not kind else LABELLED.get((name, kind))
        if field_ is not None:
            values[field_] = value
            used.add((name, kind))
    for field_, keys in SUMS.items():
        parts = [told.get(key, -1.0) for key in keys]
        if min(parts) >= 0:
            values[field_] = sum(parts)
            used.update(keys)
    batch.unused += len(told.keys() - used)
    if requests is not None:
        values["requests_total"] = requests
    return batch
