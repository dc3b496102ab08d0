"""The lab's shop and its load, built and started for measuring; processes end with the block."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.measure import GO, OUT, ROOT, go_env
from parkwarden.run._lab_process import LabProcess, start_service

FETCH_S = 120.0


def build(name: str) -> Path:
    """A program of lab/, in bench/out."""
    out = OUT / f"lab-{name}"
    OUT.mkdir(parents=True, exist_ok=True)
    subprocess.run([str(GO), "build", "-o", str(out), "."], cwd=ROOT / "lab" / name, env=go_env(), check=True)
    return out


@contextlib.contextmanager
def shop(*args: str, cpus: Sequence[int] = ()) -> Iterator[LabProcess]:
    """The shop on a free port; with `cpus`, its threads run there only, and first."""
    program = build("shop")
    with tempfile.TemporaryDirectory(prefix="parkwarden-bench-") as folder:
        service = start_service("shop", program, Path(folder, "shop.log"), args)
        try:
            if cpus:
                pin(service.pid, cpus)
            yield service
        finally:
            service.stop()


def pin(pid: int, cpus: Sequence[int]) -> None:
    """Keep a process, all its threads, on some CPUs, and before all others there, where the system lets us (Linux, root): a
    neighbour's work on this machine is not what is measured."""
    if hasattr(os, "sched_setaffinity"):
        for thread in map(int, os.listdir(f"/proc/{pid}/task")):
            os.sched_setaffinity(thread, set(cpus))
            with contextlib.suppress(OSError):
                os.sched_setscheduler(thread, os.SCHED_RR, os.sched_param(1))


def pinned(cpus: Sequence[int], first: bool = False) -> Callable[[], None]:
    """For `preexec_fn`: on some CPUs only, and with `first` before all others there, where the system lets us (root)."""

    def set_up() -> None:
        if cpus and hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, set(cpus))
        if first and hasattr(os, "sched_setscheduler"):
            with contextlib.suppress(OSError):
                os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))

    return set_up


def get(url: str) -> bytes:
    """One answer, never through a proxy."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=FETCH_S) as answer:
        body: bytes = answer.read()
    return body


def load(url: str, rate: float, seconds: float, cpus: Sequence[int] = ()) -> dict[str, Any]:
    """Latencies of the shop under a constant rate, as lab/load tells them."""
    command = [str(OUT / "lab-load"), "-url", url, "-rate", str(rate), "-for", f"{seconds}s", "-warmup", "1s"]
    env = {**go_env(), "GOMAXPROCS": "1"}
    ran = subprocess.run(command, env=env, check=True, capture_output=True, preexec_fn=pinned(cpus, first=True))
    told: dict[str, Any] = json.loads(ran.stdout)
    return told


def keep(begin: str, text: str, end: str) -> None:
    """Replace what stands between two marks of docs/looks.md."""
    page = (ROOT / "docs" / "looks.md").read_text(encoding="utf-8")
    first = page.index(begin) + len(begin)
    (ROOT / "docs" / "looks.md").write_text(page[:first] + text + page[page.index(end, first) :], encoding="utf-8")


def machine() -> str:
    """The machine in a few words: cores, processor, system, Go."""
    model = ""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                model = line.partition(":")[2].strip()
                break
    go = subprocess.run([str(GO), "env", "GOVERSION"], env=go_env(), capture_output=True, text=True, check=True)
    return f"{go.stdout.strip()}, {os.cpu_count()} cores ({model or 'unknown processor'}), {sys.platform}"
