"""The labs of limits break as their stories tell, under real limits, and `watch` names the limit and the line that holds it."""

from __future__ import annotations

import json
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from parkwarden.run._lab_limits import PREFIX, lower, memory_group
from parkwarden.run._lab_process import LabProcess
from parkwarden.run.lab import LabResult, run_lab, running
from tests.e2e.watching import COMMAND, Watching, watching

MAX_FILES = 160
QUICK = """
collect: {interval_s: 1, timeout_s: 0.9, profile_every_s: 5, census_every_s: 30}
rules:
  fds: {min_span_s: 15, min_samples: 8}
  threads: {min_span_s: 15, min_samples: 8}
  time_left: {thread_limit: 120}
"""
WAYS = [
    pytest.param("fd-leak", "child-pipes", "PW520", "main.(*media).frames", marks=pytest.mark.full),
    pytest.param("fd-leak", "streaming-bodies", "PW520", "main.(*media).listen", marks=pytest.mark.e2e),
    pytest.param("fd-leak", "temp-files", "PW520", "main.(*media).awaitUploader", marks=pytest.mark.full),
    pytest.param("no-deadline", "silent-partner", "PW520", "main.(*gateway).quote", marks=pytest.mark.full),
    pytest.param("thread-leak", "pipe-read", "PW521", "main.(*ledger).read", marks=pytest.mark.full),
    pytest.param("thread-leak", "flock", "PW521", "main.(*ledger).lock", marks=pytest.mark.e2e),
    pytest.param("thread-leak", "nanosleep", "PW521", "main.(*ledger).wait", marks=pytest.mark.full),
]
"""Lab, kind, the code of the limit's finding, and the function that holds it. One of each limit in every CI."""


def diagnose(result: LabResult) -> list[dict[str, Any]]:
    out = subprocess.run(
        [*COMMAND, "diagnose", str(result.folder), "--format", "json"], capture_output=True, text=True, timeout=120
    ).stdout
    findings: list[dict[str, Any]] = json.loads(out)["findings"]
    return findings


def named(findings: list[dict[str, Any]]) -> set[str]:
    return {one["culprit"]["function"] for one in findings if one["culprit"]}


def assert_complete(result: LabResult) -> None:
    assert {name for name, _size in result.files} == set(result.lab.saves)
    assert all(size > 0 for _name, size in result.files)


@pytest.mark.e2e
def test_descriptors_of_child_processes_run_out(tmp_path: Path) -> None:
    """EMFILE at the limit set from outside, told in the service's log; `diagnose` of what was saved names the line."""
    result = run_lab("fd-leak", tmp_path / "out", pattern="child-pipes")
    assert_complete(result)
    assert any("open files ran out at their limit of 360" in note for note in result.notes), result.notes
    assert "too many open files" in (result.folder / "service.log").read_text()
    assert "main.(*media).frames" in named(diagnose(result))


@pytest.mark.full
@pytest.mark.parametrize(
    ("name", "kind", "holder"),
    [
        ("fd-leak", "streaming-bodies", "main.(*media).listen"),
        ("fd-leak", "temp-files", "main.(*media).awaitUploader"),
        ("no-deadline", None, "main.(*gateway).quote"),
    ],
)
def test_other_descriptors_run_out(tmp_path: Path, name: str, kind: str | None, holder: str) -> None:
    """As with child processes: the limit is met, and the line is named."""
    result = run_lab(name, tmp_path / "out", pattern=kind)
    assert_complete(result)
    assert any("open files ran out" in note for note in result.notes), result.notes
    assert holder in named(diagnose(result))


@pytest.mark.e2e
@pytest.mark.parametrize("kind", ["flock"])
def test_threads_run_out(tmp_path: Path, kind: str) -> None:
    """Go ends the process at its limit of threads; the crash log says so and `diagnose` reads it."""
    result = run_lab("thread-leak", tmp_path / "out", pattern=kind)
    assert_complete(result)
    assert any("died at Go's limit of 120 threads" in note for note in result.notes), result.notes
    assert "exceeds 120-thread limit" in (result.folder / "crash.log").read_text()
    assert any("thread" in one["title"] for one in diagnose(result))


@pytest.mark.full
def test_memory_runs_out(tmp_path: Path) -> None:
    """The kernel kills it in a memory cgroup, or the runner where none can be made: the notes say which."""
    result = run_lab("oom", tmp_path / "out")
    assert {"heap.pprof", "goroutine.pprof", "trace.out"} <= {name for name, _size in result.files}
    assert any("killed by the kernel" in note or "killed by the runner" in note for note in result.notes), result.notes
    assert "main.(*desk).report" in named(diagnose(result))


@pytest.mark.e2e
def test_without_a_leak_nothing_runs_out(tmp_path: Path) -> None:
    """The same service with its healthy traffic alone reaches no limit and holds what it held."""
    result = run_lab("fd-leak", tmp_path / "out", pattern="temp-files", innocent=True, seconds=5)
    assert any("did not reach its limit" in note for note in result.notes), result.notes
    assert "refused" not in (result.folder / "service.log").read_text()


@pytest.mark.parametrize(("name", "kind", "code", "holder"), WAYS)
def test_watch_names_the_limit_and_who_holds_it(name: str, kind: str, code: str, holder: str, tmp_path: Path) -> None:
    """Before it breaks: which limit, how long until it is reached, and the line of /truth. Half of the way it lives on, which is some
    fifty seconds: a busy machine may take half a minute to say so."""
    args = ["-kind", kind, "-leak-per-s", "0.4" if kind == "child-pipes" else "1", "-leak-after", "8s"]
    if name == "thread-leak":
        args += ["-max-threads", "120"]
    with running(name, args) as service:
        if name != "thread-leak":
            lower(service.pid, files=MAX_FILES)
        file = tmp_path / "parkwarden.yaml"
        file.write_text(
            f"targets:\n  - urls: [{service.url}]\n    labels: {{service: {name}}}\n{QUICK}"
            f"web: {{listen: 127.0.0.1:0}}\nstore: {{folder: {tmp_path / 'data'}}}\n"
        )
        with watching(file) as watch:
            row = watch.wait(lambda: told(file, code, holder, service), 240)
            check(watch, service, row, holder)


@pytest.mark.full
def test_check_fails_for_a_limit_that_is_reached_soon() -> None:
    """The gate of a pipeline: a minute of watching names the limit, the time left and the line, and fails."""
    with running("fd-leak", ["-kind", "temp-files", "-leak-per-s", "2"]) as service:
        lower(service.pid, files=200)
        done = subprocess.run(
            [*COMMAND, "check", service.url, "--for", "70s"], capture_output=True, text=True, timeout=150
        )
    assert done.returncode == 1
    assert "PW520" in done.stdout
    assert "held by deleted temporary files from main.(*media).awaitUploader" in done.stdout


def told(file: Path, code: str, holder: str, service: LabProcess) -> dict[str, Any] | None:
    """The open incident of that code, once it names a line."""
    assert service.alive, "it broke before anything was told"
    out = subprocess.run(
        [*COMMAND, "incidents", "list", "-c", str(file), "--format", "json"], capture_output=True, text=True, timeout=60
    ).stdout
    rows = json.loads(out)["incidents"] if out else []
    return next((row for row in rows if row["code"] == code and holder in row["line"]), None)


def check(watch: Watching, service: LabProcess, row: dict[str, Any], holder: str) -> None:
    truth = json.loads(service.get("/truth"))
    assert truth["holder"]["function"] == holder
    assert row["line"].endswith(f":{truth['holder']['line']}")
    assert row["time_left"]["limit"] == truth["limit"]
    assert row["time_left"]["seconds"] < 300
    assert watch.process.poll() is None


@pytest.mark.e2e
def test_limits_are_lowered_in_a_running_process() -> None:
    """Soft and hard, from outside; the program sees it at once."""
    with running("fd-leak") as service:
        lower(service.pid, files=100, processes=4000)
        assert json.loads(service.get("/truth"))["max_files"] == 100
        limits = Path(f"/proc/{service.pid}/limits").read_text()
        assert [line.split()[3:5] for line in limits.splitlines() if line.startswith("Max open files")] == [["100"] * 2]


@pytest.mark.e2e
def test_a_memory_group_kills_and_leaves_nothing() -> None:
    """Who takes more than its group may have is killed by the kernel; the group is gone afterwards, with whoever was in it."""
    with memory_group("test", 32 << 20) as group:
        if group is None:
            pytest.skip("no memory cgroup can be made here")
        eater = ["python3", "-c", "b = [bytearray(b'x' * (1 << 20)) for _ in range(200)]"]
        assert subprocess.run(group.wrap(eater), check=False, timeout=60).returncode == -9
        assert group.oom_kills() == 1
        sleeper = subprocess.Popen(group.wrap(["sleep", "60"]))
        until = time.monotonic() + 10
        while str(sleeper.pid) not in (group.folder / "cgroup.procs").read_text().split():
            assert time.monotonic() < until
        folder = group.folder
    assert sleeper.wait(10) == -9
    assert not folder.exists()
    assert folder.name.startswith(PREFIX)
