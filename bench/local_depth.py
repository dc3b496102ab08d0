"""What a look of the host at a process costs: `python -m bench local-depth`, and `python -m bench.local_depth --write` for docs/looks.md.

A real Go program holds N descriptors of mixed kinds (a third of them sockets); each look is timed, and how long the program itself was
held up: the longest time a goroutine of its own that wants to run every 0.2 ms did not. A row without any look says what the machine
does by itself. Nothing is asked of the program while it is looked at.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from statistics import median

from bench.measure import GO, OUT, ROOT, go_env
from bench.sections import Row
from bench.service import get, keep, machine, pin
from bench.stall import CPUS

SIZES = (1_000, 10_000)
MIX = {
    "socket": 0.34, "pipe": 0.3, "file": 0.1, "deleted-file": 0.1, "eventfd": 0.05, "timerfd": 0.05, "eventpoll": 0.04, "inotify": 0.02,
}  # fmt: skip
"""Shares of the descriptors; inotify has a limit per user (fs.inotify.max_user_instances, often 128)."""
INOTIFY = 100
SETTLE_S = 0.3
ALLOWED_S = 0.150
"""What the issue allows for 10,000."""
BEGIN, END = "<!-- measured by `python -m bench.local_depth --write` -->\n", "<!-- end of local depth -->"


@dataclass(frozen=True)
class Price:
    """Medians of one look: its time, and the longest time the program was held up meanwhile; and the worst of all."""

    took_s: float
    worst_s: float
    stall_ms: float
    worst_stall_ms: float


LOOKS: dict[str, dict[str, bool] | None] = {
    "nothing, for 0.1 s": None,
    "numbers only (a reading's)": {"files": False},
    "descriptors by kind": {"sockets": False},
    "with sockets by state and peer": {"tcp_info": False},
    "with tcp_info: the whole look": {},
}


@contextlib.contextmanager
def program(n: int) -> Iterator[tuple[int, str]]:
    """The program with about n descriptors: (pid, address of its pages)."""
    folder = ROOT / "tests" / "e2e" / "programs" / "descriptors"
    out = OUT / "descriptors"
    OUT.mkdir(parents=True, exist_ok=True)
    subprocess.run([str(GO), "build", "-o", str(out), "."], cwd=folder, env=go_env(), check=True)
    process = subprocess.Popen([out], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        url = f"http://{process.stdout.readline().strip()}"
        for kind, share in MIX.items():
            get(f"{url}/open?kind={kind}&n={min(int(n * share), INOTIFY) if kind == 'inotify' else int(n * share)}")
        pin(process.pid, CPUS)
        yield process.pid, url
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def prices(runs: int, sizes: tuple[int, ...] = SIZES) -> dict[tuple[str, int], Price]:
    """All looks at all sizes."""
    found: dict[tuple[str, int], Price] = {}
    pin(os.getpid(), CPUS)  # as the program: what a neighbour takes is no price of ours
    try:
        for n in sizes:
            found |= _prices(n, runs)
    finally:
        if hasattr(os, "sched_setscheduler"):
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    return found


def _prices(n: int, runs: int) -> dict[tuple[str, int], Price]:
    from parkwarden.collect.procfs import look

    found = {}
    with program(n) as (pid, url):
        print(f"bench: {look(pid).open_fds:,} descriptors", file=sys.stderr)
        for name, options in LOOKS.items():
            times, gaps = [], []
            for _ in range(runs):
                time.sleep(SETTLE_S)
                get(f"{url}/stall")
                began = time.perf_counter()
                if options is None:
                    time.sleep(0.1)
                else:
                    look(pid, **options)
                times.append(time.perf_counter() - began)
                gaps.append(float(get(f"{url}/stall")))
            found[name, n] = Price(median(times), max(times), median(gaps), max(gaps))
    return found


def section(runs: int, quick: bool) -> list[Row]:
    """Rows: the look at 10,000 descriptors beside what is allowed."""
    found = prices(max(runs, 5), SIZES)
    print(table(found), file=sys.stderr)
    return [
        Row(f"{name}, {n:,} descriptors", "allowed", one.took_s, ALLOWED_S, None, f"stall {one.stall_ms:.1f} ms")
        for (name, n), one in found.items()
        if LOOKS[name] is not None
    ]


def table(found: dict[tuple[str, int], Price]) -> str:
    """How long each look took; in brackets how long the program was held up meanwhile."""
    lines = [f"| look | {' | '.join(f'{n:,} descriptors' for n in SIZES)} |", "|---|" + "---|" * len(SIZES)]
    for name in LOOKS:
        cells = [f"{(one := found[name, n]).took_s * 1000:.1f} ms ({one.stall_ms:.1f} ms)" for n in SIZES]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    found = prices(9)
    text = f"\n{machine()}, {time.strftime('%Y-%m-%d', time.gmtime())}:\n\n{table(found)}\n\n"
    print(text)
    for (name, n), one in found.items():
        print(
            f"{name}, {n:,}: worst {one.worst_s * 1000:.1f} ms, worst stall {one.worst_stall_ms:.1f} ms",
            file=sys.stderr,
        )
    if "--write" in sys.argv[1:]:
        keep(BEGIN, text, END)
    return 0


if __name__ == "__main__":
    sys.exit(main())
