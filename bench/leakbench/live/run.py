"""`python -m bench.leakbench live`: start each case, let it warm up, ask `parkwarden check`, compare with what was planted.

Several cases run side by side; each is two processes (the service, and its clients and back end). Everything that was started ends
with its case, and with Ctrl-C. Results: out/leakbench/live.json.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.leakbench.live.cases import Case, innocents, leaks
from bench.leakbench.live.score import is_at, judge, tally
from bench.measure import BIN, GO, ROOT, go_env
from parkwarden.run._lab_process import spawn, start_service, terminated_like_interrupted

SERVICE = Path(__file__).parent / "service"
OUT = ROOT / "out" / "leakbench" / "live.json"

MODES = {
    "proof": (),
    "census": ("--no-leak-profile",),
    "counts": ("--no-leak-profile", "--no-census"),
}
"""What a check may use: everything; no leak profile (before Go 1.27); neither it nor a census (before Go 1.23)."""

WARM_UP_S = (3.0, 15.0)
"""A check begins at any moment of a service's life; drawn by seed."""

SIDE_BY_SIDE = 8
"""Cases at once on two cores: each takes 2-10 % of one; more would measure the machine."""

_COUNT = re.compile(r"^(\d+) @")
_FRAME = re.compile(r"^#\s+0x[0-9a-f]+\s+(\S+?)\+0x[0-9a-f]+\s")


def build(folder: Path) -> Path:
    """The service's program."""
    program = folder / "leakbench-service"
    subprocess.run([str(GO), "build", "-o", str(program), "."], cwd=SERVICE, env=go_env(), check=True)
    return program


def standing(profile: str, functions: Sequence[str]) -> int:
    """How many goroutines of a debug=1 profile stand in one of these functions."""
    total = 0
    for block in profile.split("\n\n"):
        count = next((int(m[1]) for line in block.splitlines() if (m := _COUNT.match(line))), 0)
        frames = [m[1] for line in block.splitlines() if (m := _FRAME.match(line))]
        total += count * any(is_at(frame, functions) for frame in frames)
    return total


class Runner:
    """Runs cases; `stop` ends those that are under way."""

    def __init__(self, program: Path, folder: Path, for_s: float) -> None:
        self.program, self.folder, self.for_s = program, folder, for_s
        self._stopping = threading.Event()

    def stop(self) -> None:
        """No further step of any case; what runs is ended by its own thread."""
        self._stopping.set()

    def run(self, case: Case, mode: str, seed: int) -> dict[str, Any]:
        """One check of one case: a row of live.json."""
        draw = random.Random(f"{seed} {case.text} {mode}")
        warm_up_s = draw.uniform(*WARM_UP_S)
        args = ["-case", case.text, "-seed", str(seed)]
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        service = start_service("leakbench", self.program, folder / "service.log", args)
        driver = None
        try:
            driver = spawn("drive", [str(self.program), "-drive", service.url, *args], folder / "drive.log")
            self._stopping.wait(warm_up_s)
            answer = self._check(service.url, mode, folder)
            truth = json.loads(service.get("/truth"))
            now = service.get("/debug/pprof/goroutine?debug=1").decode()
            proven = service.get("/debug/pprof/goroutineleak?debug=1").decode()
            if not driver.alive:
                raise RuntimeError(f"the driver of {case.name} ended: {driver.said()}")
        finally:
            for process in (driver, service):
                if process is not None:
                    process.stop()
        functions = {one["kind"]: one["functions"] for one in truth}
        planted = [
            {
                **asdict(p),
                "stand": standing(now, functions[p.kind]),
                "proven": standing(proven, functions[p.kind]),
            }
            for p in case.planted
        ]
        row = {
            "case": case.name,
            "text": case.text,
            "mode": mode,
            "seed": seed,
            "warm_up_s": round(warm_up_s, 2),
            "planted": planted,
            **judge(answer["report"]["findings"], truth),
        }
        for p in planted:
            p["verdict"] = row["best"][p["kind"]]
        return row

    def _check(self, url: str, mode: str, folder: Path) -> dict[str, Any]:
        command = [str(BIN / "parkwarden"), "check", url, "--for", f"{self.for_s:g}s", "--format", "json", *MODES[mode]]
        with (folder / "check.json").open("wb") as out, (folder / "check.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=out, stderr=log, stdin=subprocess.DEVNULL, env=go_env())
            try:
                while process.poll() is None:
                    if self._stopping.wait(0.1):
                        raise RuntimeError("stopped")
            finally:
                if process.poll() is None:
                    process.terminate()
                    process.wait()
        if process.returncode not in (0, 1):
            raise RuntimeError(f"check ended with {process.returncode}: {(folder / 'check.log').read_text()[-500:]}")
        answer: dict[str, Any] = json.loads((folder / "check.json").read_bytes())
        return answer


def run_all(wanted: Sequence[tuple[Case, str, int]], for_s: float, jobs: int) -> tuple[list[dict[str, Any]], list[str]]:
    """Every (case, mode, seed); rows, and what could not be measured and why."""
    rows: list[dict[str, Any]] = []
    failed: list[str] = []
    with tempfile.TemporaryDirectory(prefix="leakbench-") as name:
        runner = Runner(build(Path(name)), Path(name), for_s)
        with terminated_like_interrupted(), ThreadPoolExecutor(jobs) as pool:
            futures = {pool.submit(runner.run, *one): one for one in wanted}
            try:
                for done in as_completed(futures):
                    case, mode, _seed = futures[done]
                    try:
                        rows.append(done.result())
                    except Exception as error:  # one case that cannot be measured costs itself, and is told
                        failed.append(f"{mode}: {case.name}: {error}")
                    _tell(len(rows), len(wanted), failed)
            except BaseException:
                runner.stop()
                pool.shutdown(cancel_futures=True)
                raise
    return rows, failed


def _tell(done: int, of: int, failed: Sequence[str]) -> None:
    print(f"\rlive: {done} of {of} checks, {len(failed)} could not be measured ", end="", file=sys.stderr, flush=True)


def mark_provable(rows: Sequence[dict[str, Any]]) -> None:
    """A kind is one that Go's leak profile can see if it ever proved one of it: asked, not guessed."""
    seen = Counter({p["kind"]: 0 for row in rows for p in row["planted"]})
    for row in rows:
        for p in row["planted"]:
            seen[p["kind"]] += p["proven"] > 0
    for row in rows:
        for p in row["planted"]:
            p["provable"] = seen[p["kind"]] > 0


def picked(seed: int, only: str | None, what: str) -> list[Case]:
    """The cases of a seed whose text contains `only` (several: parted by commas)."""
    cases = [*(leaks(seed) if what != "innocent" else ()), *(innocents(seed) if what != "leaks" else ())]
    wanted = [word.strip() for word in (only or "").split(",") if word.strip()]
    return [case for case in cases if not wanted or any(word in case.text for word in wanted)]


def table(scores: dict[str, Any]) -> str:
    """The scores as Markdown."""

    def shown(one: dict[str, Any]) -> str:
        if not one["of"]:
            return "-"
        return f"{one['hits']}/{one['of']} = {one['hits'] / one['of']:.1%} ({one['low']:.0%}-{one['high']:.0%})"

    lines = ["| | " + " | ".join(scores) + " |", "|---|" + "---|" * len(scores)]
    keys = ["recall", "precision", "go_leak_profile_alone", "lookalikes_accused", "lookalikes_suspected"]
    lines += [f"| {key} | " + " | ".join(shown(s[key]) for s in scores.values()) + " |" for key in keys]
    for group in ("by_rate", "by_mixed", "by_proof", "by_kind"):
        for value in dict.fromkeys(v for s in scores.values() for v in s[group]):
            cells = [shown(s[group][value]) if value in s[group] else "-" for s in scores.values()]
            lines.append(f"| {group.removeprefix('by_')} {value} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(argv: Sequence[str]) -> int:
    """The command line; 0 once it is measured, 1 if a case could not be."""
    parser = argparse.ArgumentParser(prog="leakbench live", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=1, help="each with the next seed")
    parser.add_argument("--for", dest="for_s", type=float, default=30.0, metavar="S", help="length of each check")
    parser.add_argument("--modes", default=",".join(MODES), help="of " + ", ".join(MODES))
    parser.add_argument("--only", metavar="TEXT", help="cases whose text contains this; several parted by commas")
    parser.add_argument("--what", choices=("all", "leaks", "innocent"), default="all")
    parser.add_argument("--jobs", type=int, default=SIDE_BY_SIDE, help="cases side by side")
    parser.add_argument("--output", type=Path, default=OUT)
    args = parser.parse_args(argv)
    modes = args.modes.split(",")
    if unknown := set(modes) - set(MODES):
        parser.error(f"unknown mode {', '.join(sorted(unknown))}")
    seeds = range(args.seed, args.seed + args.repeats)
    wanted = [(case, mode, seed) for seed in seeds for case in picked(seed, args.only, args.what) for mode in modes]
    began = time.monotonic()
    rows, failed = run_all(wanted, args.for_s, args.jobs)
    mark_provable(rows)
    scores = {mode: tally([row for row in rows if row["mode"] == mode]) for mode in modes}
    args.output.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "ruler": "live", "seed": args.seed, "repeats": args.repeats, "for_s": args.for_s, "side_by_side": args.jobs,
        "cpus": os.cpu_count(), "took_s": round(time.monotonic() - began), "scores": scores, "runs": rows, "failed": failed,
    }  # fmt: skip
    args.output.write_text(json.dumps(document, indent=1), encoding="utf-8")
    print("\n" + table(scores))
    for line in failed:
        print(f"not measured: {line}", file=sys.stderr)
    return 1 if failed else 0
