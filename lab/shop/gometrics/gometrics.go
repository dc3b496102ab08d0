// Package gometrics writes a /metrics page in the families that Prometheus' client_golang exports for a Go process, from
// runtime, runtime/metrics and /proc/self, without a third-party module.
package gometrics

import (
	"bytes"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"runtime/pprof"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Kinds of families, as `# TYPE` names them.
const (
	Gauge   = "gauge"
	Counter = "counter"
	Summary = "summary"
)

// Sample is one line: a family's value with labels as they are printed (`{version="go1.27"}`, or empty).
type Sample struct {
	Suffix string // appended to the family's name: _sum, _count
	Labels string
	Value  float64
}

// Family is one metric with its samples.
type Family struct {
	Name, Help, Kind string
	Samples          []Sample
}

// One makes a family of one sample.
func One(name, help, kind string, value float64) Family {
	return Family{name, help, kind, []Sample{{Value: value}}}
}

// Write prints families in the text exposition format 0.0.4, by name.
func Write(families []Family) []byte {
	sorted := slices.Clone(families)
	slices.SortFunc(sorted, func(a, b Family) int { return strings.Compare(a.Name, b.Name) })
	var page bytes.Buffer
	for _, f := range sorted {
		page.WriteString("# HELP " + f.Name + " " + f.Help + "\n# TYPE " + f.Name + " " + f.Kind + "\n")
		for _, s := range f.Samples {
			page.WriteString(f.Name + s.Suffix + s.Labels + " ")
			page.Write(strconv.AppendFloat(page.AvailableBuffer(), s.Value, 'g', -1, 64))
			page.WriteByte('\n')
		}
	}
	return page.Bytes()
}

// Runtime reads all go_* families.
func Runtime() []Family {
	var mem runtime.MemStats
	runtime.ReadMemStats(&mem)
	threads := 0
	if profile := pprof.Lookup("threadcreate"); profile != nil {
		threads = profile.Count()
	}
	families := []Family{
		One("go_goroutines", "Number of goroutines that exist now.", Gauge, float64(runtime.NumGoroutine())),
		One("go_threads", "Number of OS threads created.", Gauge, float64(threads)),
		{"go_info", "About the Go environment.", Gauge, []Sample{{Labels: `{version="` + runtime.Version() + `"}`, Value: 1}}},
		pauses(),
	}
	for _, field := range memstats {
		families = append(families, One("go_memstats_"+field.name, field.help, field.kind, field.read(&mem)))
	}
	return append(families, fromRuntimeMetrics()...)
}

func pauses() Family {
	stats := debug.GCStats{PauseQuantiles: make([]time.Duration, 5)}
	debug.ReadGCStats(&stats)
	family := Family{Name: "go_gc_duration_seconds", Help: "Wall-time pauses of garbage collection cycles.", Kind: Summary}
	for i, pause := range stats.PauseQuantiles {
		quantile := strconv.FormatFloat(float64(i)/4, 'g', -1, 64)
		family.Samples = append(family.Samples, Sample{Labels: `{quantile="` + quantile + `"}`, Value: pause.Seconds()})
	}
	return Family{family.Name, family.Help, family.Kind, append(family.Samples,
		Sample{Suffix: "_sum", Value: stats.PauseTotal.Seconds()}, Sample{Suffix: "_count", Value: float64(stats.NumGC)})}
}

var memstats = []struct {
	name, help, kind string
	read             func(*runtime.MemStats) float64
}{
	{"alloc_bytes", "Bytes allocated in heap and in use.", Gauge, func(m *runtime.MemStats) float64 { return float64(m.Alloc) }},
	{"alloc_bytes_total", "Bytes allocated in heap until now, also if released.", Counter, func(m *runtime.MemStats) float64 { return float64(m.TotalAlloc) }},
	{"buck_hash_sys_bytes", "Bytes used by the profiling bucket hash table.", Gauge, func(m *runtime.MemStats) float64 { return float64(m.BuckHashSys) }},
	{"frees_total", "Heap objects freed.", Counter, func(m *runtime.MemStats) float64 { return float64(m.Frees) }},
	{"gc_sys_bytes", "Bytes used for garbage collection metadata.", Gauge, func(m *runtime.MemStats) float64 { return float64(m.GCSys) }},
	{"heap_alloc_bytes", "Heap bytes allocated and in use.", Gauge, func(m *runtime.MemStats) float64 { return float64(m.HeapAlloc) }},
	{"heap_idle_bytes", "Heap bytes waiting to be used.", Gauge, func(m *runtime.MemStats) float64 { return float64(m.HeapIdle) }},
	{"heap_inuse_bytes", "Heap bytes in spans that are in use.", Gauge, func(m *runtime.MemStats) float64 { return float64(m.HeapInuse) }},
	{"heap_objects", "Objects allocated now.", Gauge, func(m *runtime.MemStats) float64 { return float64(m.HeapObjects) }},
	{"heap_released_bytes", "Heap bytes given back to the system.", Gauge, func(m *runtime.MemStats) float64 { return float64(m.HeapReleased) }},
	{"heap_sys_bytes", "Heap bytes obtained from the system.", Gauge, func(m *runtime.MemStats) float64 { return float64(m.HeapSys) }},
	{"last_gc_time_seconds", "Unix time of the last garbage collection.", Gauge, func(m *runtime.MemStats) float64 { return float64(m.LastGC) / 1e9 }},
	{"mallocs_total", "Heap objects allocated, live and collected.", Counter, func(m *runtime.MemStats) float64 { return float64(m.Mallocs) }},
	{"mcache_inuse_bytes", "Bytes in use by mcache structures.", Gauge, func(m *runtime.MemStats) float64 { return float64(m.MCacheInuse) }},
	{"mcache_sys_bytes", "Bytes for mcache structures obtained from the system.", Gauge, func(m *runtime.MemStats) float64 { return float64(m.MCacheSys) }},
	{"mspan_inuse_bytes", "Bytes in use by mspan structures.", Gauge, func(m *runtime.MemStats) float64 { return float64(m.MSpanInuse) }},
	{"mspan_sys_bytes", "Bytes for mspan structures obtained from the system.", Gauge, func(m *runtime.MemStats) float64 { return float64(m.MSpanSys) }},
	{"next_gc_bytes", "Heap bytes at which the next garbage collection starts.", Gauge, func(m *runtime.MemStats) float64 { return float64(m.NextGC) }},
	{"other_sys_bytes", "Bytes used for other things of the runtime.", Gauge, func(m *runtime.MemStats) float64 { return float64(m.OtherSys) }},
	{"stack_inuse_bytes", "Bytes of stacks in use.", Gauge, func(m *runtime.MemStats) float64 { return float64(m.StackInuse) }},
	{"stack_sys_bytes", "Bytes for stacks obtained from the system.", Gauge, func(m *runtime.MemStats) float64 { return float64(m.StackSys) }},
	{"sys_bytes", "Bytes obtained from the system.", Gauge, func(m *runtime.MemStats) float64 { return float64(m.Sys) }},
}

// fromRuntimeMetrics are the families that client_golang reads from runtime/metrics, named by its rule.
func fromRuntimeMetrics() []Family {
	wanted := []struct{ family, kind, key string }{
		{"go_gc_gogc_percent", Gauge, "/gc/gogc:percent"},
		{"go_gc_gomemlimit_bytes", Gauge, "/gc/gomemlimit:bytes"},
		{"go_sched_gomaxprocs_threads", Gauge, "/sched/gomaxprocs:threads"},
		{"go_sched_goroutines_goroutines", Gauge, "/sched/goroutines:goroutines"},
		{"go_gc_cycles_total_gc_cycles_total", Counter, "/gc/cycles/total:gc-cycles"},
		{"go_gc_heap_goal_bytes", Gauge, "/gc/heap/goal:bytes"},
		{"go_cpu_classes_gc_mark_assist_cpu_seconds_total", Counter, "/cpu/classes/gc/mark/assist:cpu-seconds"},
		{"go_cpu_classes_gc_mark_dedicated_cpu_seconds_total", Counter, "/cpu/classes/gc/mark/dedicated:cpu-seconds"},
		{"go_cpu_classes_gc_mark_idle_cpu_seconds_total", Counter, "/cpu/classes/gc/mark/idle:cpu-seconds"},
		{"go_cpu_classes_gc_pause_cpu_seconds_total", Counter, "/cpu/classes/gc/pause:cpu-seconds"},
		{"go_cpu_classes_gc_total_cpu_seconds_total", Counter, "/cpu/classes/gc/total:cpu-seconds"},
		{"go_cpu_classes_idle_cpu_seconds_total", Counter, "/cpu/classes/idle:cpu-seconds"},
		{"go_cpu_classes_total_cpu_seconds_total", Counter, "/cpu/classes/total:cpu-seconds"},
		{"go_cpu_classes_user_cpu_seconds_total", Counter, "/cpu/classes/user:cpu-seconds"},
	}
	samples := make([]metrics.Sample, len(wanted))
	for i, w := range wanted {
		samples[i].Name = w.key
	}
	metrics.Read(samples)
	var families []Family
	for i, w := range wanted {
		switch samples[i].Value.Kind() {
		case metrics.KindUint64:
			families = append(families, One(w.family, w.key, w.kind, float64(samples[i].Value.Uint64())))
		case metrics.KindFloat64:
			families = append(families, One(w.family, w.key, w.kind, samples[i].Value.Float64()))
		}
	}
	return families
}

const clockTicks = 100 // USER_HZ: the kernel's fixed unit of /proc/*/stat

// Process reads all process_* families; none where there is no /proc.
func Process() []Family {
	stat, err := os.ReadFile("/proc/self/stat")
	if err != nil {
		return nil
	}
	// the command's name in brackets may hold spaces; fields 3.. follow its last bracket
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	at := func(field int) float64 {
		value, _ := strconv.ParseFloat(fields[field-3], 64)
		return value
	}
	fds := 0
	if folder, err := os.Open("/proc/self/fd"); err == nil {
		names, _ := folder.Readdirnames(-1)
		folder.Close()
		fds = len(names) - 1
	}
	limit := syscall.Rlimit{}
	_ = syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit)
	return []Family{
		One("process_cpu_seconds_total", "User and system CPU seconds spent.", Counter, (at(14)+at(15))/clockTicks),
		One("process_open_fds", "Open file descriptors.", Gauge, float64(fds)),
		One("process_max_fds", "Most file descriptors that may be open.", Gauge, float64(limit.Cur)),
		One("process_virtual_memory_bytes", "Virtual memory in bytes.", Gauge, at(23)),
		One("process_virtual_memory_max_bytes", "Most virtual memory available.", Gauge, -1),
		One("process_resident_memory_bytes", "Resident memory in bytes.", Gauge, at(24)*float64(os.Getpagesize())),
		One("process_start_time_seconds", "Unix time at which the process started.", Gauge, startTime(at(22))),
	}
}

func startTime(ticksSinceBoot float64) float64 {
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return math.NaN()
	}
	_, rest, _ := strings.Cut(string(stat), "\nbtime ")
	line, _, _ := strings.Cut(rest, "\n")
	boot, err := strconv.ParseFloat(line, 64)
	if err != nil {
		return math.NaN()
	}
	return boot + ticksSinceBoot/clockTicks
}
