"""Judging a whole fleet once a tick, beside Prometheus evaluating the same three rules over the same samples.

One invented fleet (`Fleet`): every instance tells goroutines, heap in use, collections, GC seconds and CPU seconds every 5 s; one in a
hundred leaks, one in a hundred collects too much, the heap of one in a hundred jumps in the last sample. Ours: the samples in a `Windows`, all count
detectors (`judge_counts`), one core, a new reading for everybody between two ticks. Theirs: Debian's prometheus scrapes the same samples
with their time stamps into its head block, as it would hold them in production, and then evaluates the rules as alerts; what it took is its own
`prometheus_rule_group_last_duration_seconds`. The rules are pinned to the last sample's time (`@`), so that every evaluation sees the full
two minutes. That both find the same instances is checked: a wrong answer is not timed.

`python -m bench.judging INSTANCES` prints our numbers as JSON (a process of its own, so that memory is this alone).
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from threading import Thread
from urllib.parse import parse_qs, urlparse

import numpy as np

from bench.measure import ROOT
from bench.sections import Row
from parkwarden.run._lab_process import free_port

INSTANCES = 100_000
QUICK_INSTANCES = 20_000
SAMPLES = 25
"""(now - 120 s, now] holds 24 at 5 s, Prometheus' closed range one more."""
EVERY_S = 5.0
SHARD = 5_000
"""Instances per scraped page: 25,000 samples, about 2 MB."""
SCRAPED_PER_S = 30_000
"""Instances Prometheus is asked to take in per second (150,000 samples): a scrape it gives up on would be lost."""
JUDGED_PER_S = 5_000
"""Instances per second of the rules' interval: an evaluation must end before the next begins."""
TICKS = 9
EVALUATIONS = 3
DEADLINE_S = 600.0
MIB = float(1 << 20)

METRICS = {
    "goroutines": "go_goroutines",
    "heap_inuse": "go_memstats_heap_inuse_bytes",
    "num_gc": "go_gc_cycles_total_gc_cycles_total",
    "gc_cpu_s": "go_cpu_classes_gc_total_cpu_seconds_total",
    "cpu_s": "process_cpu_seconds_total",
}


class Fleet:
    """The same numbers for both sides: `at(k)` gives each field's values of sample k, shape (instances,)."""

    def __init__(self, instances: int) -> None:
        self.instances = instances
        self.level = np.random.default_rng(1).integers(50, 400, instances)

    def at(self, k: int) -> dict[str, np.ndarray]:
        who = np.arange(self.instances) % 100
        noise = np.random.default_rng(k + 2)
        pressed = np.where(who == 1, 0.2, 0.02)
        jumped = 10.0 * MIB * ((who == 2) & (k >= SAMPLES - 1))
        return {
            "goroutines": self.level + noise.integers(-5, 6, self.instances) + np.where(who == 0, 100 * k, 0),
            "heap_inuse": 20 * MIB + noise.integers(0, 1 << 18, self.instances) + jumped,
            "num_gc": np.full(self.instances, 100 + k),
            "gc_cpu_s": 50.0 + pressed * 2.0 * k,
            "cpu_s": np.full(self.instances, 500.0 + 2.0 * k),
        }


# ours


def ours(instances: int) -> dict[str, float]:
    """Milliseconds per tick (median) and KiB of memory per instance, one core."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    from parkwarden.aggregate.windows import LIMITS, ROW, Windows
    from parkwarden.judge.fleet.counts import judge_counts
    from parkwarden.judge.fleet.rules import Rules
    from parkwarden.model import Instance

    fleet, windows, rules = Fleet(instances), Windows(), Rules()
    judge_counts(windows, 0.0, rules)  # code is loaded, nothing is there yet
    before = _resident()
    for i in range(instances):
        windows.started(Instance(id=f"i{i}"))
    windows.limits[LIMITS.index("gomaxprocs"), :instances] = 8

    def push(k: int) -> float:
        """One reading of everybody, as `Windows.read` would write it (a quarter of a second of Python, which is not judging)."""
        head = int(windows.head[0])
        windows.columns[1:, :instances, head] = np.nan
        windows.columns[0, :instances, head] = EVERY_S * k
        for field, values in fleet.at(k).items():
            windows.columns[ROW[field], :instances, head] = values
        windows.head[:instances] = (head + 1) % windows.samples
        windows.count[:instances] = min(k + 1, windows.samples)
        return EVERY_S * k

    for k in range(SAMPLES):
        now = push(k)
    found = dict.fromkeys(("PW501", "PW502", "PW503"), 0)
    for signal in judge_counts(windows, now, rules):
        found[signal.code] = found.get(signal.code, 0) + 1
    took, worked = [], []
    for k in range(SAMPLES, SAMPLES + TICKS):
        now = push(k)
        began, cpu = time.perf_counter(), time.thread_time()
        judge_counts(windows, now, rules)
        took.append(time.perf_counter() - began)
        worked.append(time.thread_time() - cpu)
    for k in range(SAMPLES + TICKS, windows.samples):
        push(k)  # the ring filled, for the memory
    return {
        "seconds": median(took),
        "worst_s": max(took),
        "cpu_s": median(worked),
        "kib_per_instance": (_resident() - before) / instances / 1024,
        "ring_kib": windows.bytes_per_instance / 1024,
        **found,
    }


def _resident() -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("no VmRSS in /proc/self/status")


def measure_ours(instances: int, runs: int) -> dict[str, float]:
    """The run of median time of several processes."""
    results = []
    for _ in range(runs):
        process = subprocess.run(
            [sys.executable, "-m", "bench.judging", str(instances)],
            cwd=ROOT, capture_output=True, check=True,
        )  # fmt: skip
        results.append(json.loads(process.stdout))
    return sorted(results, key=lambda r: float(r["seconds"]))[len(results) // 2]


def section(runs: int, quick: bool) -> list[Row]:
    """Rows for the table; raises where the two sides do not find the same instances."""
    mine = measure_ours(INSTANCES, runs)
    note = f"median of {TICKS} ticks, worst {mine['worst_s'] * 1e3:.0f} ms; 4 % of instances suspect; other work on the core counts"
    held = (
        f"ring {mine['ring_kib']:.1f} KiB; with ids, labels and what judges remember {mine['kib_per_instance']:.1f} KiB"
    )
    rows = [
        Row(f"{INSTANCES:,} instances x 24 samples, by the clock", "100 ms", mine["seconds"], 0.1, 1.0, note),
        Row("the same: CPU time", "100 ms", mine["cpu_s"], 0.1, 1.0, "all count detectors, signals included"),
        Row("the same: KiB of memory per instance", "20 KiB", mine["kib_per_instance"], 20.0, 1.0, held),
    ]
    if prometheus() is None:
        print(
            "bench: prometheus is not installed (apt-get install prometheus), judging is not compared", file=sys.stderr
        )
        return rows
    instances = QUICK_INSTANCES if quick else INSTANCES
    if quick:
        mine = measure_ours(instances, runs)
    theirs = measure_prometheus(instances)
    codes = ("PW501", "PW502", "PW503")
    if any(mine[c] != theirs[c] for c in codes):
        raise RuntimeError(
            f"not the same instances: ours {[mine[c] for c in codes]}, theirs {[theirs[c] for c in codes]}"
        )
    note = f"both find {theirs['PW501']:,.0f} + {theirs['PW502']:,.0f} + {theirs['PW503']:,.0f}; CPU {mine['cpu_s']:.3f} s and {theirs['cpu_s']:.3f} s; theirs holds {theirs['resident'] / MIB:,.0f} MiB"
    work = f"three rules over {instances:,} instances"
    its_cpu = "theirs with its garbage collection and its scrapes of empty pages"
    return [
        *rows,
        Row(f"{work}, by the clock", "prometheus, rule group", mine["seconds"], theirs["seconds"], 50.0, note),
        Row(f"{work}, CPU time", "prometheus, process", mine["cpu_s"], theirs["cpu_s"], 50.0, its_cpu),
    ]


# theirs


RULES = """
groups:
- name: counts
  interval: {interval}s
  rules:
  - alert: PW501
    expr: stddev_over_time(go_goroutines[2m] @ {at}) > 30 and deriv(go_goroutines[2m] @ {at}) > 5
  - alert: PW502
    expr: |
      go_memstats_heap_inuse_bytes @ {at} - go_memstats_heap_inuse_bytes @ {at} offset 5s > 2097152
      and go_memstats_heap_inuse_bytes @ {at} / go_memstats_heap_inuse_bytes @ {at} offset 5s >= 1.3
  - alert: PW503
    expr: |
      increase(go_gc_cycles_total_gc_cycles_total[2m] @ {at}) >= 1
      and rate(go_cpu_classes_gc_total_cpu_seconds_total[2m] @ {at}) / rate(process_cpu_seconds_total[2m] @ {at}) > 0.15
"""

CONFIG = """
global: {{scrape_interval: {interval}s, scrape_timeout: {interval}s}}
rule_files: ["{folder}/rules*.yml"]
scrape_configs:
- job_name: shop
  honor_timestamps: true
  static_configs:
{targets}
  relabel_configs:
  - {{source_labels: [shard], target_label: __param_shard}}
"""


class _Pages(ThreadingHTTPServer):
    """Serves sample 0, 1, 2 ... of a shard, one per scrape; then pages without samples."""

    daemon_threads = True

    def __init__(self, fleet: Fleet, begin: float) -> None:
        super().__init__(("127.0.0.1", 0), _Page)
        self.begin = begin
        self.columns = [fleet.at(k) for k in range(SAMPLES)]
        self.shards = [range(i, min(i + SHARD, fleet.instances)) for i in range(0, fleet.instances, SHARD)]
        self.served = [0] * len(self.shards)

    def page(self, shard: int) -> bytes:
        k = self.served[shard]
        if k >= SAMPLES:
            return b"# nothing more\n"
        self.served[shard] = k + 1
        stamp = int((self.begin + EVERY_S * k) * 1000)
        lines = []
        for field, name in METRICS.items():
            values = self.columns[k][field][self.shards[shard].start : self.shards[shard].stop].tolist()
            lines += [
                f'{name}{{pod="shop-{i}",env="prod",version="1.2.3"}} {value} {stamp}\n'
                for i, value in zip(self.shards[shard], values, strict=True)
            ]
        return "".join(lines).encode()


class _Page(BaseHTTPRequestHandler):
    server: _Pages

    def do_GET(self) -> None:
        body = self.server.page(int(parse_qs(urlparse(self.path).query)["shard"][0]))
        self.send_response(200)
        self.send_header("Content-Type", "text/plain; version=0.0.4")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet: the table is the output."""


def prometheus() -> str | None:
    """Debian's prometheus, None where it is not installed."""
    return shutil.which("prometheus")


def measure_prometheus(instances: int) -> dict[str, float]:
    """Seconds of evaluating the three rules (median), and how many alerts each has. Raises where the two sides could not agree."""
    began = time.time()
    pages = _Pages(Fleet(instances), begin=began - EVERY_S * (SAMPLES - 1) - 5.0)
    Thread(target=pages.serve_forever, daemon=True).start()
    try:
        with tempfile.TemporaryDirectory(prefix="judging-") as name, _running(Path(name), pages) as url:
            wanted = instances * SAMPLES * len(METRICS)
            _until(
                lambda: _metric(url, "prometheus_tsdb_head_samples_appended_total") >= wanted, "samples were taken in"
            )
            at = f"{pages.begin + EVERY_S * (SAMPLES - 1):.3f}"
            (Path(name) / "rules.yml").write_text(RULES.format(interval=5 + instances // JUDGED_PER_S, at=at))
            urllib.request.urlopen(urllib.request.Request(f"{url}/-/reload", method="POST"), timeout=60).close()
            return _evaluations(url)
    finally:
        pages.shutdown()
        pages.server_close()


def _evaluations(url: str) -> dict[str, float]:
    """The first evaluation is not counted: it builds the alerts. CPU is the process' between the others' ends."""
    took: list[float] = []
    cpu = []
    done = 0.0
    while len(took) <= EVALUATIONS:
        _until(lambda: _metric(url, "prometheus_rule_group_iterations_total") > done, "rules were evaluated")  # noqa: B023
        done = _metric(url, "prometheus_rule_group_iterations_total")
        took.append(_metric(url, "prometheus_rule_group_last_duration_seconds"))
        cpu.append((done, _metric(url, "process_cpu_seconds_total")))
    with urllib.request.urlopen(f"{url}/api/v1/rules", timeout=60) as answer:
        rules = json.load(answer)["data"]["groups"][0]["rules"]
    if any(rule["health"] != "ok" for rule in rules):
        raise RuntimeError(f"prometheus could not evaluate: {[rule.get('lastError') for rule in rules]}")
    return {
        "seconds": median(took[1:]),
        "cpu_s": (cpu[-1][1] - cpu[0][1]) / (cpu[-1][0] - cpu[0][0]),
        "resident": _metric(url, "process_resident_memory_bytes"),
        **{rule["name"]: len(rule["alerts"]) for rule in rules},
    }


@contextmanager
def _running(folder: Path, pages: _Pages) -> Iterator[str]:
    """A Prometheus of our own on a free loopback port, ended at the end."""
    port = free_port()
    address = f"127.0.0.1:{pages.server_address[1]}"
    interval = 1 + len(pages.shards) * SHARD // SCRAPED_PER_S
    targets = "\n".join(f'  - {{targets: ["{address}"], labels: {{shard: "{i}"}}}}' for i in range(len(pages.shards)))
    (folder / "prometheus.yml").write_text(CONFIG.format(folder=folder, targets=targets, interval=interval))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [str(prometheus()), f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
             f"--web.listen-address=127.0.0.1:{port}", "--web.enable-lifecycle"],
            stdout=log, stderr=log,
        )  # fmt: skip
    url = f"http://127.0.0.1:{port}"
    try:
        _until(lambda: process.poll() is not None or _ready(url), "it was ready")
        if process.poll() is not None:
            raise RuntimeError(f"prometheus ended: {(folder / 'log').read_text()[-500:]}")
        yield url
    finally:
        process.terminate()
        try:
            process.wait(timeout=60)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _ready(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/-/ready", timeout=5):
            return True
    except OSError:
        return False


def _metric(url: str, name: str) -> float:
    """The sum over a family's series on Prometheus' own page."""
    with urllib.request.urlopen(f"{url}/metrics", timeout=60) as answer:
        page = answer.read().decode()
    return sum(float(v) for v in re.findall(rf"(?m)^{name}(?:\{{[^\n]*\}})? (\S+)$", page))


def _until(met: object, what: str) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not met():  # type: ignore[operator]
        if time.monotonic() > deadline:
            raise RuntimeError(f"prometheus: {DEADLINE_S:.0f} s went by before {what}")
        time.sleep(0.5)


if __name__ == "__main__":
    print(json.dumps(ours(int(sys.argv[1]))))
