package runtimemetrics

import (
	sampled "runtime/metrics"

	"github.com/apache/skywalking-go/plugins/core/metrics"
)

//skywalking:init
func registerRuntimeMeters() {
	runtimeMeter("instance_golang_live_goroutines_num", "", "/sched/goroutines:goroutines")
	runtimeMeter("instance_golang_os_threads_num", "", "/sched/gomaxprocs:threads")
	runtimeMeter("instance_golang_gc_count_labeled", "automatic", "/gc/cycles/automatic:gc-cycles")
	runtimeMeter("instance_golang_gc_count_labeled", "forced", "/gc/cycles/forced:gc-cycles")
	runtimeMeter("instance_golang_gc_count_labeled", "total", "/gc/cycles/total:gc-cycles")
	runtimeMeter("instance_golang_heap_alloc_size", "", "/gc/heap/allocs:bytes")
	runtimeMeter("instance_golang_heap_alloc_objects", "", "/gc/heap/allocs:objects")
	runtimeMeter("instance_golang_heap_frees", "", "/gc/heap/frees:bytes")
	runtimeMeter("instance_golang_heap_frees_objects", "", "/gc/heap/frees:objects")
	runtimeMeter("instance_golang_memory_heap_labeled", "free", "/memory/classes/heap/free:bytes")
	runtimeMeter("instance_golang_memory_heap_labeled", "objects", "/memory/classes/heap/objects:bytes")
	runtimeMeter("instance_golang_memory_heap_labeled", "released", "/memory/classes/heap/released:bytes")
	runtimeMeter("instance_golang_memory_heap_labeled", "stacks", "/memory/classes/heap/stacks:bytes")
	runtimeMeter("instance_golang_memory_heap_labeled", "unused", "/memory/classes/heap/unused:bytes")
	runtimeMeter("instance_golang_metadata_mcache_labeled", "free", "/memory/classes/metadata/mcache/free:bytes")
	runtimeMeter("instance_golang_metadata_mcache_labeled", "inuse", "/memory/classes/metadata/mcache/inuse:bytes")
	runtimeMeter("instance_golang_metadata_mspan_labeled", "free", "/memory/classes/metadata/mspan/free:bytes")
	runtimeMeter("instance_golang_metadata_mspan_labeled", "inuse", "/memory/classes/metadata/mspan/inuse:bytes")
	runtimeMeter("instance_golang_cgo_calls", "", "/cgo/go-to-c-calls:calls")
	runtimeMeter("instance_golang_gc_heap_goal", "", "/gc/heap/goal:bytes")
	runtimeMeter("instance_golang_gc_heap_objects", "", "/gc/heap/objects:objects")
	runtimeMeter("instance_golang_gc_heap_tiny_allocs", "", "/gc/heap/tiny/allocs:objects")
	runtimeMeter("instance_golang_gc_limiter_last_enabled", "", "/gc/limiter/last-enabled:gc-cycle")
	runtimeMeter("instance_golang_gc_stack_starting_size", "", "/gc/stack/starting-size:bytes")
	runtimeMeter("instance_golang_memory_metadata_other", "", "/memory/classes/metadata/other:bytes")
	runtimeMeter("instance_golang_memory_os_stacks", "", "/memory/classes/os-stacks:bytes")
	runtimeMeter("instance_golang_memory_other", "", "/memory/classes/other:bytes")
	runtimeMeter("instance_golang_memory_profiling_buckets", "", "/memory/classes/profiling/buckets:bytes")
	runtimeMeter("instance_golang_memory_total", "", "/memory/classes/total:bytes")
}

func runtimeMeter(name string, kind string, source string) {
	getter := func() float64 {
		samples := make([]sampled.Sample, 1)
		samples[0].Name = source
		sampled.Read(samples)
		if samples[0].Value.Kind() != sampled.KindUint64 {
			return 0
		}
		return float64(samples[0].Value.Uint64())
	}
	if kind == "" {
		metrics.NewGauge(name, getter)
	} else {
		metrics.NewGauge(name, getter, metrics.WithLabel("type", kind))
	}
}
