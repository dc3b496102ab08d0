"""How long each look holds up the watched service: `python -m bench stall`, and `python -m bench.stall --write` for docs/looks.md.

A goroutine of the shop wants to run every 0.2 ms; the longest time it could not while a look was answered is that look's stall.
N other goroutines stand on 24 stacks. Each look is taken several times, the median counts, and a row without any look says what the
machine does by itself.
"""

from __future__ import annotations

import json
import os
import sys
import time
from dataclasses import dataclass
from statistics import median

from bench.sections import Row
from bench.service import get, keep, machine, shop

SIZES = (1_000, 10_000, 100_000)
LOOKS = {
    "nothing, for 0.3 s": "",
    "/metrics": "/metrics",
    "/debug/vars": "/debug/vars",
    "goroutine profile (protobuf)": "/debug/pprof/goroutine",
    "goroutine?debug=1": "/debug/pprof/goroutine?debug=1",
    "**census** (trace, 50 ms)": "/debug/pprof/trace?seconds=0.05",
    "heap": "/debug/pprof/heap",
    "leak profile": "/debug/pprof/goroutineleak",
    "leak profile, all of them leaked": "/debug/pprof/goroutineleak",
    "text dump (debug=2)": "/debug/pprof/goroutine?debug=2",
}
LEAKED = "leak profile, all of them leaked"
"""Its price depends on what it finds: goroutines that something running can reach are cheap to clear."""
DEAR = ("leak profile", LEAKED, "text dump (debug=2)")
DEAR_RUNS = 3
"""The dear ones take seconds each at 100,000."""
SETTLE_S = 0.3
CPUS = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
"""All; the service goes first on them (where we may), so that a neighbour's work is not taken for a stall."""
BEGIN, END = "<!-- measured by `python -m bench.stall --write` -->\n", "<!-- end -->"


@dataclass(frozen=True)
class Price:
    """Medians of one look at one size: the longest gap, the whole answer, its bytes."""

    stall_ms: float
    took_s: float
    size: int
    worst_ms: float


def prices(runs: int, sizes: tuple[int, ...] = SIZES) -> dict[tuple[str, int], Price]:
    """All looks at all sizes."""
    found = {}
    for n in sizes:
        with shop(cpus=CPUS) as service:
            get(f"{service.url}/park?n={n}")
            time.sleep(SETTLE_S)
            get(f"{service.url}/stall/start")
            for name, path in LOOKS.items():
                if name != LEAKED:
                    print(f"bench: {n:,} goroutines: {name}", file=sys.stderr)
                    found[name, n] = _price(service.url, path, DEAR_RUNS if name in DEAR else runs)
        with shop(cpus=CPUS) as service:
            get(f"{service.url}/forget?n={n}")
            get(f"{service.url}/stall/start")
            print(f"bench: {n:,} goroutines: {LEAKED}", file=sys.stderr)
            found[LEAKED, n] = _price(service.url, LOOKS[LEAKED], DEAR_RUNS)
    return found


def _price(url: str, path: str, runs: int) -> Price:
    gaps, times, size = [], [], 0
    for _ in range(runs):
        time.sleep(SETTLE_S)  # what the look before left behind is no part of this one
        get(f"{url}/stall")
        began = time.perf_counter()
        if path:
            size = len(get(url + path))
        else:
            time.sleep(SETTLE_S)
        times.append(time.perf_counter() - began)
        gaps.append(float(json.loads(get(f"{url}/stall"))["max_ms"]))
    return Price(median(gaps), median(times), size, max(gaps))


def section(runs: int, quick: bool) -> list[Row]:
    """Rows for the table: what a look stalls beside what the text dump does, with the same number of goroutines."""
    sizes = SIZES[:2] if quick else SIZES
    found = prices(max(runs, 5), sizes)
    print(table(found, sizes), file=sys.stderr)
    rows = []
    for n in sizes:
        dump = found["text dump (debug=2)", n]
        for name in LOOKS:
            if name not in DEAR and LOOKS[name]:
                one = found[name, n]
                note = f"answer in {one.took_s:.3f} s, {_size(one.size)}; worst stall {one.worst_ms:.1f} ms"
                rows.append(
                    Row(f"stall by {name.strip('*')}, {n:,} goroutines", "text dump", one.stall_ms / 1000,
                        dump.stall_ms / 1000, None, note)
                )  # fmt: skip
    return rows


def table(found: dict[tuple[str, int], Price], sizes: tuple[int, ...]) -> str:
    """The table of docs/looks.md: stall, and in brackets the whole answer."""
    head = " | ".join(f"{n:,} goroutines" for n in sizes)
    lines = [f"| look | {head} | size at {sizes[-1]:,} |", "|---|" + "---|" * (len(sizes) + 1)]
    for name in LOOKS:
        cells = [f"{_ms(found[name, n].stall_ms)} ({_ms(found[name, n].took_s * 1000)})" for n in sizes]
        size = found[name, sizes[-1]].size
        lines.append(f"| {name} | {' | '.join(cells)} | {_size(size) if size else ''} |")
    return "\n".join(lines)


def _ms(value: float) -> str:
    if value >= 10:
        return f"{value:,.0f} ms"
    return f"{value:.1f} ms"


def _size(size: int) -> str:
    return f"{size / (1 << 20):.1f} MB" if size >= 1 << 20 else f"{size / 1024:.1f} kB"


def main() -> int:
    found = prices(7)
    text = f"\n{machine()}, {time.strftime('%Y-%m-%d', time.gmtime())}:\n\n{table(found, SIZES)}\n\n"
    print(text)
    if "--write" in sys.argv[1:]:
        keep(BEGIN, text, END)
    return 0


if __name__ == "__main__":
    sys.exit(main())
