"""The labs' services really break as their stories tell, and nothing of them outlives a run."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from parkwarden.model.errors import ParkwardenError
from parkwarden.run import _lab_process
from parkwarden.run.lab import LabResult, run_lab, running

pytestmark = pytest.mark.e2e

PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def timing_wheel(tmp_path_factory: pytest.TempPathFactory) -> LabResult:
    return run_lab("timing-wheel", tmp_path_factory.mktemp("lab") / "timing-wheel")


@pytest.fixture(scope="module")
def transcoder(tmp_path_factory: pytest.TempPathFactory) -> LabResult:
    return run_lab("transcoder", tmp_path_factory.mktemp("lab") / "transcoder")


@pytest.fixture(scope="module")
def reporter_recursion(tmp_path_factory: pytest.TempPathFactory) -> LabResult:
    return run_lab("reporter-recursion", tmp_path_factory.mktemp("lab") / "reporter-recursion")


def pprof(go: str, *args: object) -> str:
    """What `go tool pprof` says of a file."""
    env = {**os.environ, "GOTOOLCHAIN": "local"}
    command = [go, "tool", "pprof", *map(str, args)]
    return subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=60).stdout


def total_mib(told: str) -> float:
    """The total of a heap profile's `-top`."""
    found = re.search(r"of ([0-9.]+)(kB|MB|GB) total", told)
    assert found, told
    return float(found[1]) * {"kB": 1 / 1024, "MB": 1, "GB": 1024}[found[2]]


def assert_complete(result: LabResult) -> None:
    """All that lab.json promises is there, and no more."""
    assert {name for name, _size in result.files} == set(result.lab.saves)
    assert {path.name for path in result.folder.iterdir()} == set(result.lab.saves)
    assert all(size > 0 for _name, size in result.files)


def test_timing_wheel_saves_the_six_files(timing_wheel: LabResult) -> None:
    """C: the six files of the story, from a process that was killed at its memory limit and restarted."""
    assert_complete(timing_wheel)
    assert dict(timing_wheel.files)["trace.out"] < 20 << 20
    assert (timing_wheel.folder / "trace.out").read_bytes().startswith(b"go 1.2")
    assert any("killed at its memory limit" in note for note in timing_wheel.notes), timing_wheel.notes


def test_timing_wheel_builds_thousands_of_wheels(timing_wheel: LabResult, go: str) -> None:
    """C: goroutines that timing wheels started wait in the block profile; the heap is that of a fresh process."""
    assert "collection.(*TimingWheel).run" in pprof(go, "-top", timing_wheel.folder / "block.pprof")
    assert "pricing.NewPriceBook" in pprof(go, "-top", "-cum", timing_wheel.folder / "cpu.pprof")
    heap = pprof(go, "-top", timing_wheel.folder / "mem.pprof")
    assert total_mib(heap) < 40
    assert "TimingWheel" not in heap


def test_timing_wheel_trace_shows_the_creations(timing_wheel: LabResult, go: str) -> None:
    """C: the trace names the wheel's `go` statement, the user's constructor above it, thousands of times a second."""
    env = {**os.environ, "GOTOOLCHAIN": "local"}
    command = [go, "tool", "trace", "-d=parsed", str(timing_wheel.folder / "trace.out")]
    said = subprocess.run(command, env=env, capture_output=True, text=True, check=True, timeout=120).stdout
    creations = re.findall(r"NotExist->Runnable", said)
    assert len(creations) > 4000
    assert said.count("collection.NewTimingWheelWithTicker") > 2000
    assert "pricing.NewPriceBook" in said


def test_transcoder_retains_buffers(transcoder: LabResult, go: str) -> None:
    """B1, B2: at least 85 % of the heap is under bytes.(*Buffer), written by the user's session."""
    assert_complete(transcoder)
    told = pprof(go, "-top", "-cum", transcoder.folder / "heap.pprof")
    assert total_mib(told) > 50
    buffer = re.search(r"([0-9.]+)%\s+bytes\.\(\*Buffer\)\.Write\b", told)
    assert buffer, told
    assert float(buffer[1]) >= 85, told
    assert "stream.(*Session).Write" in told


def test_transcoder_waits_behind_slow_clients(transcoder: LabResult) -> None:
    """B3: most handlers wait in io.Copy for a socket that nobody reads."""
    dump = (transcoder.folder / "goroutine.txt").read_text(encoding="utf-8")
    behind = [
        one
        for one in dump.split("\n\n")
        if "[IO wait" in one and "waitWrite" in one and "io.Copy" in one and "stream.(*Transcoder).ServeHTTP" in one
    ]
    assert len(behind) >= 36


def test_transcoder_piles_up_handlers_not_codecs(transcoder: LabResult, go: str) -> None:
    """B3: between the two looks handlers behind slow clients pile up; codecs come and go."""
    first = pprof(go, "-top", "-cum", transcoder.folder / "goroutine.pprof")
    dump = (transcoder.folder / "goroutine.txt").read_text(encoding="utf-8")

    def before(function: str) -> int:
        found = re.search(rf"^\s*\S+\s+\S+\s+\S+\s+(\d+)\s+\S+\s+{re.escape(function)}", first, re.MULTILINE)
        assert found, first
        return int(found[1])

    handlers = before("example.com/media/transcoder/internal/stream.(*Transcoder).ServeHTTP")
    codecs = before("os/exec.(*Cmd).Wait")
    assert dump.count("stream.(*Transcoder).ServeHTTP(") >= handlers + 15
    assert dump.count("os/exec.(*Cmd).Wait(") <= codecs + 15


def test_reporter_recursion_dies_of_stack_overflow(reporter_recursion: LabResult) -> None:
    """D: a real death, its cycle in the crash log, frames elided in the middle as Go does."""
    assert_complete(reporter_recursion)
    log = (reporter_recursion.folder / "crash.log").read_text(encoding="utf-8")
    assert re.search(r"goroutine stack exceeds \d+-byte limit", log)
    assert "fatal error: stack overflow" in log
    assert re.search(r"\.\.\.\d+ frames elided\.\.\.", log)
    for function in ("(*Reporter).Report(", "(*Reporter).drop(", "(*Logger).emit("):
        assert log.count(f"checkout/internal/agent.{function}") >= 10
    assert any("exit code 2" in note for note in reporter_recursion.notes)


def test_reporter_recursion_profile_shows_the_senders(reporter_recursion: LabResult, go: str) -> None:
    """D: shortly before, the senders wait for the answer of a back end that never gives one."""
    told = pprof(go, "-traces", reporter_recursion.folder / "goroutine.pprof")
    assert "agent.(*Reporter).sendLoop" in told
    assert "net/http.(*persistConn).roundTrip" in told


def diagnose(result: LabResult) -> dict[str, Any]:
    """The report of `parkwarden diagnose DIR --format json`."""
    command = [sys.executable, "-c", "from parkwarden.cli import main; main()", "diagnose", str(result.folder)]
    told = subprocess.run([*command, "--format", "json"], capture_output=True, text=True, check=False, timeout=120)
    assert told.returncode in (0, 1), told.stderr
    report: dict[str, Any] = json.loads(told.stdout)
    assert all(one["used"] or one["why"] for one in report["inputs"])
    return report


def test_timing_wheel_is_diagnosed(timing_wheel: LabResult) -> None:
    """C1, C2: first finding: the creating line, the rate, the user's constructor; the heap file is listed as useless."""
    report = diagnose(timing_wheel)
    first = report["findings"][0]
    assert first["verdict"] == "leak"
    assert first["pattern"] == "constructor-per-request"
    assert "collection.NewTimingWheel" in first["site"]["created_by"]["function"]
    assert first["culprit"]["function"] == "example.com/shop/consumer/internal/pricing.NewPriceBook"
    assert first["count"] > 2000
    assert first["rate_per_min"] / 60 > 1000
    heap = next(one for one in report["inputs"] if one["name"].endswith("mem.pprof"))
    assert not heap["used"]
    assert "in use" in heap["why"]


def test_transcoder_is_diagnosed(transcoder: LabResult) -> None:
    """B2, B3: who retains the heap comes first, and who is stuck behind the slow clients is named beside it."""
    findings = diagnose(transcoder)["findings"]
    assert "[]byte under bytes.Buffer" in findings[0]["title"]
    assert re.search(r"\b(8[5-9]|9\d)% of the heap", findings[0]["title"])
    assert findings[0]["culprit"]["function"].endswith("stream.(*Session).Write")
    stuck = next(one for one in findings if one["pattern"] == "io-copy-slow-client")
    assert stuck["verdict"] in ("suspect", "leak")
    assert stuck["culprit"]["function"].endswith("stream.(*Transcoder).ServeHTTP")
    assert stuck["count"] >= 36


def test_reporter_recursion_is_diagnosed(reporter_recursion: LabResult) -> None:
    """D3: the cycle is named, all four functions of it."""
    first = diagnose(reporter_recursion)["findings"][0]
    assert first["verdict"] == "leak"
    assert first["pattern"] == "stack-overflow"
    for function in ("(*Reporter).Report", "(*Reporter).drop", "(*Logger).Warn", "(*Logger).emit"):
        assert f"checkout/internal/agent.{function}" in first["title"]


@pytest.mark.parametrize("innocent", [False, True])
def test_leaks_runs_one_pattern(tmp_path: Path, innocent: bool) -> None:
    """A7: one pattern, guilty or innocent: two dumps and the cheaper looks; only the guilty one grows."""
    result = run_lab("leaks", tmp_path / "out", pattern="send-without-receiver", innocent=innocent)
    assert_complete(result)
    counts = [
        len(re.findall(rb"^goroutine \d+ ", (result.folder / name).read_bytes(), re.MULTILINE))
        for name in ("goroutine-1.txt", "goroutine-2.txt")
    ]
    assert (counts[1] >= counts[0] + 30) is not innocent


def test_running_serves_and_ends() -> None:
    """`running` hands out a live URL, and afterwards nothing listens there."""
    with running("leaks") as service:
        assert service.alive
        assert b"goroutine profile" in service.get("/debug/pprof/goroutine?debug=1")
        url = service.url
    assert not service.alive
    with pytest.raises(OSError):
        urllib.request.urlopen(url + "/scenarios", timeout=2)


def test_children_of_a_service_end_with_it() -> None:
    """The transcoder's codecs are in its group: when the service is killed, so are they."""
    with running("transcoder") as service:
        viewer = urllib.request.urlopen(service.url + "/stream/film-01", timeout=10)
        assert viewer.read(10)
        assert json.loads(service.get("/debug/vars"))["codecs"] == 1
        assert members(service.pid) == 2
        service.kill()
        wait_for(lambda: members(service.pid) == 0)
        viewer.close()
    assert members(service.pid) == 0


def test_a_program_that_dies_at_once_tells_its_last_words(tmp_path: Path) -> None:
    """No readiness, no hanging: the error carries the end of the log."""
    program = tmp_path / "dies"
    program.write_text("#!/bin/sh\necho out of luck >&2\nexit 3\n")
    program.chmod(0o755)
    with pytest.raises(ParkwardenError) as caught:
        _lab_process.start_service("dies", program, tmp_path / "log")
    assert caught.value.code == "lab-not-ready"
    assert "out of luck" in caught.value.context


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_leaves_no_process_and_no_file(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C and `kill` in the middle of the load: exit code 130, no child, no folder, no scratch files."""
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    command = [sys.executable, "-c", "from parkwarden.cli import main; main()", "lab", "run", "transcoder", "-o", "out"]
    env = {**os.environ, "TMPDIR": str(scratch)}
    with killed_at_the_end(subprocess.Popen(command, cwd=tmp_path, env=env, stdout=subprocess.DEVNULL)) as run:
        wait_for(lambda: any(scratch.glob("*/logs/load.log")))
        started = children_of(run.pid)
        assert len(started) == 2
        run.send_signal(number)
        assert run.wait(timeout=PATIENCE_S) == 130
    assert all(members(pid) == 0 for pid in started)
    assert not (tmp_path / "out").exists()
    assert not list(scratch.iterdir())


@contextlib.contextmanager
def killed_at_the_end(process: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    try:
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()


def wait_for(happened: object) -> None:
    until = time.monotonic() + PATIENCE_S
    while not happened():  # type: ignore[operator]
        assert time.monotonic() < until, "it did not happen in time"
        time.sleep(0.05)


def processes() -> list[tuple[int, int, int]]:
    """(pid, parent, group) of all live processes; zombies are not alive."""
    said = subprocess.run(["ps", "-eo", "pid=,ppid=,pgid=,stat="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in said.splitlines()]
    return [(int(pid), int(parent), int(group)) for pid, parent, group, state in rows if not state.startswith("Z")]


def members(group: int) -> int:
    return sum(1 for _pid, _parent, g in processes() if g == group)


def children_of(parent: int) -> list[int]:
    return [pid for pid, p, _group in processes() if p == parent]
