"""What the numbers of a Go service are called: Prometheus' names and OpenTelemetry's, today's and older ones, to fields of Reading. Pure.

Sources: prometheus/client_golang `prometheus/go_collector*.go`, `process_collector.go`; open-telemetry/semantic-conventions
`docs/runtime/go-metrics.md`, `docs/system/process-metrics.md`; opentelemetry-go-contrib `instrumentation/runtime` 0.20 to 0.72,
`instrumentation/host`; opentelemetry-collector-contrib `receiver/hostmetricsreceiver` (process scraper).
"""

from __future__ import annotations

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
FLOATS = {"last_gc_at", "gc_cpu_fraction", "gc_cpu_s", "cpu_s", "start_time"}
NO_LIMIT = 1 << 62
"""GOMEMLIMIT off is exported as MaxInt64, rounded by float."""
