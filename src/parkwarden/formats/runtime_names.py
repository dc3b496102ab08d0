"""What the numbers of a Go service are called: Prometheus' names and OpenTelemetry's, today's and older ones, to fields of Reading. Pure.

Sources: prometheus/client_golang `prometheus/go_collector*.go`, `process_collector.go`; open-telemetry/semantic-conventions
`docs/runtime/go-metrics.md`, `docs/system/process-metrics.md`; opentelemetry-go-contrib `instrumentation/runtime` 0.20 to 0.72,
`instrumentation/host`; opentelemetry-collector-contrib `receiver/hostmetricsreceiver` (process scraper).
"""

from __future__ import annotations

from typing import NamedTuple

FIELDS = {
    "go_goroutines": "goroutines",
    "go_sched_goroutines_goroutines": "goroutines",
    "go_goroutine_count": "goroutines",
    "go_sched_goroutines_waiting_goroutines": "blocked",
    "go_threads": "threads",
    "go_memstats_alloc_bytes": "heap_alloc",
    "go_memstats_heap_alloc_bytes": "heap_alloc",
    "go_memstats_heap_inuse_bytes": "heap_inuse",
    "go_memstats_heap_idle_bytes": "heap_idle",
    "go_memstats_heap_objects": "heap_objects",
    "go_memstats_stack_inuse_bytes": "stack_inuse",
    "go_memstats_sys_bytes": "sys",
    "go_memstats_alloc_bytes_total": "total_alloc",
    "go_memstats_next_gc_bytes": "next_gc",
    "go_gc_heap_goal_bytes": "next_gc",
    "go_gc_cycles_total_gc_cycles_total": "num_gc",
    "go_gc_duration_seconds_count": "num_gc",
    "go_memstats_last_gc_time_seconds": "last_gc_at",
    "go_memstats_gc_cpu_fraction": "gc_cpu_fraction",
    "go_cpu_classes_gc_total_cpu_seconds_total": "gc_cpu_s",
    "go_sched_gomaxprocs_threads": "gomaxprocs",
    "go_gc_gomemlimit_bytes": "mem_limit",
    "go_memory_classes_total_bytes": "sys",
    "go_gc_heap_objects_objects": "heap_objects",
    "go_memory_classes_heap_stacks_bytes": "stack_inuse",
    "process_open_fds": "open_fds",
    "process_max_fds": "max_fds",
    "process_resident_memory_bytes": "rss",
    "process_start_time_seconds": "start_time",
    "process_cpu_seconds_total": "cpu_s",
}
"""Families of a Prometheus page to fields; where several fill one field the first seen counts."""
REQUEST_NAMES = (
    "http_requests_total",
    "http_server_requests_total",
    "http_request_duration_seconds_count",
    "http_server_request_duration_seconds_count",
    "http_server_requests_seconds_count",
    "grpc_server_handled_total",
    "requests_total",
)
"""Names request totals are exported under; the first of them on the page counts, summed over its series."""
FLOATS = {"last_gc_at", "gc_cpu_fraction", "gc_cpu_s", "cpu_s", "mem_stall_share", "start_time"}
"""Fields of Reading that are no whole numbers."""
NO_LIMIT = 1 << 62
"""GOMEMLIMIT off is exported as MaxInt64, rounded by float."""


class Rule(NamedTuple):
    """What one OpenTelemetry metric tells: `field` of Reading (or UPTIME), as value x `scale`.

    `counted`: it is a histogram or summary, and its count is what counts. `by` and `of`: only points of which one of the attributes `by` has one
    of the values `of`; those are added up.
    """

    field: str
    counted: bool = False
    by: tuple[str, ...] = ()
    of: frozenset[str] = frozenset()
    scale: float = 1.0


UPTIME = "uptime"
"""Seconds since the process began; no field of Reading."""
ADDED = frozenset(("cpu_s", "requests_total", "sys"))
"""Fields of which a metric tells several points at a time."""
RISING = frozenset(("total_alloc", "num_gc", "gc_cpu_s", "cpu_s", "requests_total"))
"""Fields that only ever rise while a process lives."""

_CPU_STATE = ("cpu.mode", "process.cpu.state", "state")
_BUSY = frozenset(("user", "system"))

OTEL: dict[str, Rule] = {
    **{name: Rule(field) for name, field in FIELDS.items() if not name.endswith("_count")},
    "go_gc_duration_seconds": Rule("num_gc", counted=True),
    **{name: Rule("requests_total") for name in REQUEST_NAMES if not name.endswith("_count")},
    **{name.removesuffix("_count"): Rule("requests_total", True) for name in REQUEST_NAMES if name.endswith("_count")},
    # semantic conventions of today
    "go.goroutine.count": Rule("goroutines"),
    "go.memory.used": Rule("sys"),
    "go.memory.limit": Rule("mem_limit"),
    "go.memory.allocated": Rule("total_alloc"),
    "go.memory.gc.goal": Rule("next_gc"),
    "go.memory.gc.cycles": Rule("num_gc"),
    "go.memory.gc.pause.duration": Rule("num_gc", counted=True),
    "go.cpu.time": Rule("gc_cpu_s", by=("go.cpu.state", "state"), of=frozenset(("gc",))),
    "go.processor.limit": Rule("gomaxprocs"),
    "process.cpu.time": Rule("cpu_s", by=_CPU_STATE, of=_BUSY),
    "process.memory.usage": Rule("rss"),
    "process.thread.count": Rule("threads"),
    "process.unix.file_descriptor.count": Rule("open_fds"),
    "process.uptime": Rule(UPTIME),
    "http.server.request.duration": Rule("requests_total", counted=True),
    "rpc.server.call.duration": Rule("requests_total", counted=True),
    # and what they were called before
    "process.memory.physical_usage": Rule("rss"),
    "process.threads": Rule("threads"),
    "process.open_file_descriptors": Rule("open_fds"),
    "process.open_file_descriptor.count": Rule("open_fds"),
    "http.server.duration": Rule("requests_total", counted=True),
    "rpc.server.duration": Rule("requests_total", counted=True),
    "runtime.uptime": Rule(UPTIME, scale=1e-3),
    **{
        f"{prefix}.{name}": Rule(field)
        for prefix in ("process.runtime.go", "runtime.go")
        for name, field in {
            "goroutines": "goroutines",
            "gc.count": "num_gc",
            "mem.heap_alloc": "heap_alloc",
            "mem.heap_idle": "heap_idle",
            "mem.heap_inuse": "heap_inuse",
            "mem.heap_objects": "heap_objects",
        }.items()
    },
}
"""OpenTelemetry metrics by name: the conventions', and those of Prometheus as its bridge and the Collector's receiver hand them on."""

_GO = ("go.", "go_", "process.runtime.go.", "runtime.go.")


def of_go(name: str) -> bool:
    """Whether only a Go program tells a metric of this name."""
    return name.startswith(_GO)
