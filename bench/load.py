"""What watching costs the requests of the watched: p99 of the shop under load, with and without us. `python -m bench load`.

Fair and quiet, and rather against us:

- The service has one core to itself and GOMAXPROCS=1: whatever a look costs is taken from the requests, there is no idle core
  to hide it on. It does real work at 25-40 % of that core, and has 2,000 goroutines standing on 24 stacks.
- Load and watcher share the other core (on more cores: one each). The load generator goes first there (SCHED_RR, where we may), or
  its own waiting for the watcher's Python would be counted as the service's latency; its latencies begin when a request
  was due (no coordinated omission) unless it was itself woken late. The service goes first on its core, too: what else runs on
  this machine is not our question.
- Beats are much denser than by default, so that each kind falls into every run several times: a reading every 2.5 s (default 5 s), a
  goroutine profile every 8 s (60 s), a census every 12 s (300 s). Not denser still: a census is 50 ms, and if looks filled more than 1 % of
  a run, its p99 would tell how often we look, not what a look costs (by default they fill 0.03 %). p99.9 and the longest do show single looks.
- Watching is `parkwarden watch` itself, judging, writing its history and all.
- Runs come in pairs, with and without, first and second by turns; the median of the pairs' ratios counts: what the machine
  does besides hits both.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from bench.measure import BIN, go_env
from bench.sections import Row
from bench.service import build, get, keep, load, machine, pinned, shop
from parkwarden.run._lab_process import free_port

QUANTILES = ("p50_ms", "p99_ms", "p99_9_ms", "max_ms")
BEGIN, END = "<!-- measured by `python -m bench.load --write` -->\n", "<!-- end of load -->"
PAIRS = 7
SECONDS = 30.0
RATE = 1000.0
PARKED = 2_000
WANTED = 1.05
START_S, STOP_S = 30.0, 30.0
_LOOKS = re.compile(r'^parkwarden_looks_total\{kind="([a-z]+)",outcome="ok"\} (\S+)', re.MULTILINE)
_READINGS = re.compile(r'^parkwarden_scrapes_total\{outcome="ok"\} (\S+)', re.MULTILINE)
BEATS = {
    "interval_s": 2.5,
    "timeout_s": 2.4,
    "profile_every_s": 8.0,
    "census_every_s": 12.0,
    "stall_s_per_hour": 3600.0,
}


Pairs = list[tuple[dict[str, Any], dict[str, Any]]]
"""(alone, watched) as lab/load tells them."""


def section(runs: int, quick: bool) -> list[Row]:
    """One row per quantile; p99 is the promise."""
    found, beats = measure(3 if quick else PAIRS)
    return [_row(found, key, beats) for key in QUANTILES]


def measure(pairs: int) -> tuple[Pairs, dict[str, int]]:
    """Runs in pairs, and how many looks of each kind fell into one."""
    build("load")
    found: Pairs = []
    service_cpu, load_cpu, watch_cpu = _cpus()
    beats: dict[str, int] = {}
    with shop("-procs", "1", cpus=service_cpu) as service:
        get(f"{service.url}/park?n={PARKED}")
        url = f"{service.url}/buy?item=7"
        load(url, RATE, 2.0, load_cpu)
        for number in range(pairs):
            told: dict[bool, dict[str, Any]] = {}
            for watched in (False, True) if number % 2 == 0 else (True, False):
                if watched:
                    told[True], beats = _watched(service.url, url, load_cpu, watch_cpu)
                else:
                    told[False] = load(url, RATE, SECONDS, load_cpu)
            found.append((told[False], told[True]))
            print(
                f"bench: pair {number + 1}: p99 {told[False]['p99_ms']:.3f} ms alone, {told[True]['p99_ms']:.3f} ms watched",
                file=sys.stderr,
            )
    return found, beats


def _row(found: Pairs, key: str, beats: dict[str, int]) -> Row:
    """The pair of median ratio; `ratio` = alone / watched, so 1 / 1.05 is wanted of p99."""
    ratios = [watched[key] / alone[key] for alone, watched in found]
    alone, watched = median(a[key] for a, _ in found), median(w[key] for _, w in found)
    each = ", ".join(f"{r:.3f}" for r in ratios)
    middle = median(ratios)
    note = f"{RATE:.0f} requests/s; watched / alone: median {middle:.3f} of {each}; looks in a run: {_words(beats)}"
    # the median of the ratios counts, not the ratio of the medians
    return Row(
        f"latency {key.removesuffix('_ms')} while watched",
        "the same service alone",
        alone * middle / 1000 if alone else watched / 1000,
        alone / 1000,
        1 / WANTED if key == "p99_ms" else None,
        note,
    )


def table(found: Pairs, beats: dict[str, int]) -> str:
    """What docs/looks.md keeps."""
    lines = [
        f"{RATE:,.0f} requests/s, {PARKED:,} goroutines standing, {len(found)} pairs of {SECONDS:.0f} s; looks in a watched run: "
        f"{_words(beats)}.",
        "",
        "| latency | alone | watched | watched / alone, median of the pairs | least | most |",
        "|---|---|---|---|---|---|",
    ]
    for key in QUANTILES:
        ratios = sorted(watched[key] / alone[key] for alone, watched in found)
        alone, watched = median(a[key] for a, _ in found), median(w[key] for _, w in found)
        lines.append(
            f"| {key.removesuffix('_ms').replace('_', '.')} | {alone:.3f} ms | {watched:.3f} ms | {median(ratios):.3f} | {ratios[0]:.3f} | "
            f"{ratios[-1]:.3f} |"
        )
    return "\n".join(lines)


def _words(beats: dict[str, int]) -> str:
    return ", ".join(f"{n} {name}" for name, n in sorted(beats.items()))


def _watched(base: str, url: str, load_cpu: list[int], watch_cpu: list[int]) -> tuple[dict[str, Any], dict[str, int]]:
    """A run under the eyes of `parkwarden watch`, from when its own pages answer."""
    with tempfile.TemporaryDirectory(prefix="parkwarden-bench-") as folder:
        config = Path(folder, "parkwarden.yaml")
        config.write_text(json.dumps({"collect": BEATS}))  # JSON is YAML
        own = f"127.0.0.1:{free_port()}"
        command = [str(BIN / "parkwarden"), "watch", base, "-c", str(config), "--data", folder, "--listen", own]
        watcher = subprocess.Popen(
            command, env=go_env(), stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT, preexec_fn=pinned(watch_cpu)
        )
        try:
            _until_it_answers(f"http://{own}/healthz")
            told = load(url, RATE, SECONDS, load_cpu)
            page = get(f"http://{own}/metrics").decode()
        finally:
            watcher.terminate()
            try:
                watcher.wait(timeout=STOP_S)
            except subprocess.TimeoutExpired:
                watcher.kill()
                watcher.wait()
    looks = {kind: int(float(n)) for kind, n in _LOOKS.findall(page)}
    readings = _READINGS.search(page)
    if not {"goroutine", "trace"} <= looks.keys() or readings is None:
        raise RuntimeError(f"watching did not take every kind of look: {looks}")
    return told, {
        "readings": int(float(readings[1])),
        "profiles": looks["goroutine"],
        "censuses": looks["trace"],
    }


def _until_it_answers(url: str) -> None:
    until = time.monotonic() + START_S
    while True:
        try:
            get(url)
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.1)
        else:
            return


def _cpus() -> tuple[list[int], list[int], list[int]]:
    """CPUs of service, load and watcher: one each if there are three, else load and watcher share one."""
    have = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if len(have) < 2:
        return [], [], []
    return [have[0]], [have[1]], [have[2] if len(have) > 2 else have[1]]


def main() -> int:
    found, beats = measure(PAIRS)
    text = f"\n{machine()}, {time.strftime('%Y-%m-%d', time.gmtime())}: {table(found, beats)}\n\n"
    print(text)
    if "--write" in sys.argv[1:]:
        keep(BEGIN, text, END)
    return 0


if __name__ == "__main__":
    sys.exit(main())
