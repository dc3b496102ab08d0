"""Makes the goldens beside it: `python tests/data/patterns/make.py` with the environment's own Go.

For each scenario of lab/leaks and its twin: two text dumps with a round of 60 callers before each, and the goroutine
and leak profiles after the second. Built with -trimpath, so no file names this machine.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

HERE = Path(__file__).parent
LEAKS = HERE.parents[2] / "lab" / "leaks"
CALLERS = 60
BETWEEN_S = 1.7


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:
        body: bytes = answer.read()
        return body


def start(program: Path) -> tuple[subprocess.Popen[str], str]:
    service = subprocess.Popen(
        [program, "-addr", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True, env={**os.environ, "GOMAXPROCS": "1"}
    )
    assert service.stdout is not None
    return service, service.stdout.readline().split()[-1]


def make(program: Path, name: str, side: str) -> None:
    folder = HERE / name / side
    folder.mkdir(parents=True, exist_ok=True)
    service, base = start(program)
    try:
        for number in (1, 2):
            get(f"{base}/{side}/{name}?n={CALLERS}")
            time.sleep(0.4)
            dump = get(f"{base}/debug/pprof/goroutine?debug=2")
            (folder / f"dump{number}.txt.gz").write_bytes(gzip.compress(dump, mtime=0))
            if number == 1:
                time.sleep(BETWEEN_S)
        for kind in ("goroutine", "goroutineleak"):
            (folder / f"{kind}.pb.gz").write_bytes(get(f"{base}/debug/pprof/{kind}"))
    finally:
        service.kill()
        service.wait()


def main() -> None:
    go = Path(sys.prefix) / "bin" / "go"
    with tempfile.TemporaryDirectory() as scratch:
        program = Path(scratch) / "leaks"
        env = {**os.environ, "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}
        subprocess.run(
            [go, "build", "-trimpath", "-buildvcs=false", "-o", program, "."], cwd=LEAKS, env=env, check=True
        )
        service, base = start(program)
        names = sorted(json.loads(get(f"{base}/scenarios")))
        service.kill()
        service.wait()
        jobs = [(name, side) for name in names for side in ("leak", "innocent")]
        with ThreadPoolExecutor(6) as pool:
            list(pool.map(lambda job: make(program, *job), jobs))


if __name__ == "__main__":
    main()
