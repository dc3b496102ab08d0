"""Running programs and measuring them: wall time and peak memory of a whole process."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "bench" / "out"
BIN = Path(sys.prefix) / "bin"
GO = BIN / "go"


@dataclass(frozen=True)
class Run:
    """One finished process: seconds of wall time, peak resident set in bytes, what it printed."""

    seconds: float
    peak: int
    stdout: bytes


def go_env() -> dict[str, str]:
    """The environment for Go: this toolchain only, no C."""
    return {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=mod -buildvcs=false", "CGO_ENABLED": "0"}


def run(command: list[str], *, stdout_to: Path | None = None, timeout_s: float = 900.0) -> Run:
    """Run a command to its end; raises if it fails, so that a failed peer never looks fast."""
    target = stdout_to or OUT / "stdout.tmp"
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("wb") as sink:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=sink, stderr=subprocess.PIPE, env=go_env())
        assert process.stderr is not None
        errors = process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode not in (0, 1) or (process.returncode == 1 and "parkwarden" not in command[0]):
        raise RuntimeError(
            f"{' '.join(command)} ended with {process.returncode}: {errors.decode(errors='replace')[-500:]}"
        )
    if seconds > timeout_s:
        raise RuntimeError(f"{command[0]} took {seconds:.0f} s")
    return Run(seconds, usage.ru_maxrss * 1024, b"" if stdout_to else target.read_bytes())


def median_run(command: list[str], runs: int, *, stdout_to: Path | None = None) -> Run:
    """The run of median time of several."""
    all_runs = sorted((run(command, stdout_to=stdout_to) for _ in range(runs)), key=lambda r: r.seconds)
    return all_runs[len(all_runs) // 2]


def build_peer(name: str) -> Path:
    """Build bench/peers/NAME with the Go toolchain beside Python; its modules come by the ordinary Go client."""
    out = OUT / f"peer-{name}"
    out.parent.mkdir(parents=True, exist_ok=True)
    subprocess.run(
        [str(GO), "build", "-o", str(out), "."], cwd=ROOT / "bench" / "peers" / name, env=go_env(), check=True
    )
    return out


def timed_lines(stdout: bytes) -> tuple[float, list[str]]:
    """Median of the first column (seconds) over the lines a peer printed, and the last line's other columns."""
    rows = [line.split() for line in stdout.decode().splitlines() if line.strip()]
    return median(float(r[0]) for r in rows), rows[-1][1:]
