"""Running cases: start each, let it warm up, ask `parkwarden check`, compare with what was planted.

Several cases run side by side; each is two processes (the service, and its clients and back end). Everything that was started ends
with its case, and with Ctrl-C.
"""

from __future__ import annotations

import json
import random
import re
import shutil
import subprocess
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from bench.leakbench.live.cases import Case
from bench.leakbench.live.score import is_at, judge
from bench.measure import BIN, GO, go_env
from parkwarden.model.errors import ParkwardenError
from parkwarden.run._lab_process import spawn, start_service, terminated_like_interrupted

SERVICE = Path(__file__).parent / "service"

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


def stacks(profile: str) -> list[tuple[int, list[str]]]:
    """(goroutines, functions from the blocked one on) of each stack of a debug=1 profile. Source: runtime/pprof: printStackRecord."""
    found = []
    for block in profile.split("\n\n"):
        lines = block.splitlines()
        count = next((int(m[1]) for line in lines if (m := _COUNT.match(line))), 0)
        found.append((count, [m[1] for line in lines if (m := _FRAME.match(line))]))
    return found


def standing(profile: str, functions: Sequence[str]) -> int:
    """How many goroutines of a debug=1 profile stand in one of these functions."""
    return sum(count for count, frames in stacks(profile) if any(is_at(frame, functions) for frame in frames))


class Runner:
    """Runs cases; `stop` ends those that are under way."""

    def __init__(
        self, program: Path, folder: Path, for_s: float, warm_up_s: tuple[float, float], keep: Path | None
    ) -> None:
        self.program, self.folder, self.for_s, self.warm_up_s, self.keep = program, folder, for_s, warm_up_s, keep
        self._stopping = threading.Event()

    def stop(self) -> None:
        """No further step of any case; what runs is ended by its own thread."""
        self._stopping.set()

    def run(self, case: Case, mode: str, seed: int) -> dict[str, Any]:
        """One check of one case: a row of live.json."""
        draw = random.Random(f"{seed} {case.text} {mode}")
        warm_up_s = draw.uniform(*self.warm_up_s)
        args = ["-case", case.text, "-seed", str(seed)]
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        service = start_service("leakbench", self.program, folder / "service.log", args)
        driver = None
        try:
            driver = spawn("drive", [str(self.program), "-drive", service.url, *args], folder / "drive.log")
            self._stopping.wait(warm_up_s)
            recording = folder / "seen.jsonl.zst"
            answer = self._check(service.url, mode, folder, recording)
            truth = json.loads(service.get("/truth"))
            now = service.get("/debug/pprof/goroutine?debug=1").decode()
            proven = service.get("/debug/pprof/goroutineleak?debug=1").decode()
            if not driver.alive:
                raise RuntimeError(f"the driver of {case.name} ended: {driver.said()}")
        except ParkwardenError as error:
            raise RuntimeError(f"{error.message} ({error.context}): {service.said() or 'nothing said'}") from error
        finally:
            for process in (driver, service):
                if process is not None:
                    process.stop()
        functions = {one["kind"]: one["functions"] for one in truth}
        anywhere = [f for one in truth for f in (*one["functions"], *(one["beside"] or ()))]
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
            "took_s": answer["took_s"],
            "truth": truth,
            "recording": self._kept(recording, f"{seed}-{mode}-{case.name}"),
            "planted": planted,
            "proven_elsewhere": [
                [count, *frames[:2]]
                for count, frames in stacks(proven)
                if frames and not any(is_at(f, anywhere) for f in frames)  # Go names nothing of a main in select {}
            ],
            **judge(answer["report"]["findings"], truth),
        }
        for p in planted:
            p["verdict"] = row["best"][p["kind"]]
        return row

    def _kept(self, recording: Path, name: str) -> str | None:
        """The recording under a name of its own, where they are kept."""
        if self.keep is None:
            return None
        self.keep.mkdir(parents=True, exist_ok=True)
        to = self.keep / (re.sub(r"[^a-z0-9.]+", "-", name.lower()) + ".jsonl.zst")
        shutil.move(recording, to)
        return str(to)

    def _check(self, url: str, mode: str, folder: Path, recording: Path) -> dict[str, Any]:
        command = [str(BIN / "parkwarden"), "check", url, "--for", f"{self.for_s:g}s", "--format", "json", *MODES[mode]]
        if self.keep is not None:
            command += ["--record", str(recording)]
        with (folder / "check.json").open("wb") as out, (folder / "check.log").open("wb") as log:
            process = subprocess.Popen(
                command, stdout=out, stderr=log, stdin=subprocess.DEVNULL, env=go_env(), start_new_session=True
            )
            # a session of its own: Linux shares the processor between sessions, and the checks of a busy machine would share one share
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


@dataclass(slots=True)
class Measured:
    """Rows of live.json, and what could not be measured and why."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)


def run_all(
    wanted: Sequence[tuple[Case, str, int]],
    for_s: float,
    jobs: int = SIDE_BY_SIDE,
    warm_up_s: tuple[float, float] = WARM_UP_S,
    keep: Path | None = None,
    into: Measured | None = None,
    tell: Callable[[int, str], None] = lambda _done, _trouble: None,
) -> Measured:
    """Every (case, mode, seed). `keep`: a folder for what each check saw, to be judged again. `into` has what was measured also where
    this is interrupted. `tell` hears how many are done, and each trouble."""
    measured = Measured() if into is None else into
    rows, failed = measured.rows, measured.failed
    with tempfile.TemporaryDirectory(prefix="leakbench-") as name:
        runner = Runner(build(Path(name)), Path(name), for_s, warm_up_s, keep)
        with terminated_like_interrupted(), ThreadPoolExecutor(jobs) as pool:
            futures = {pool.submit(runner.run, *one): one for one in wanted}
            try:
                for done in as_completed(futures):
                    case, mode, _seed = futures[done]
                    trouble = ""
                    try:
                        rows.append(done.result())
                    except Exception as error:  # one case that cannot be measured costs itself, and is told
                        trouble = f"{mode}: {case.name}: {error}"
                        failed.append(trouble)
                    tell(len(rows) + len(failed), trouble)
            except BaseException:
                runner.stop()
                pool.shutdown(cancel_futures=True)
                raise
    return measured


def mark_provable(rows: Sequence[dict[str, Any]]) -> None:
    """A kind is one that Go's leak profile can see if it ever proved one of it: asked, not guessed."""
    seen = Counter({p["kind"]: 0 for row in rows for p in row["planted"]})
    for row in rows:
        for p in row["planted"]:
            seen[p["kind"]] += p["proven"] > 0
    for row in rows:
        for p in row["planted"]:
            p["provable"] = seen[p["kind"]] > 0
