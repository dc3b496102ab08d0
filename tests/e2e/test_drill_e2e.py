"""`parkwarden drill`: real services with real telemetry, and a back end that goes away."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from parkwarden.collect.limits import quiet
from parkwarden.run._desk_build import build_desk
from parkwarden.run._lab_process import free_port

pytestmark = pytest.mark.e2e

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "schema" / "drill-1.json").read_text())
COMMAND = [sys.executable, "-c", "from parkwarden.cli import main; main()", "drill", "backend-unreachable"]


def drill(*options: str, timeout: float) -> tuple[int, dict[str, Any]]:
    """Exit code and answer; skips, and says so, where the Go modules cannot be fetched."""
    command = [*COMMAND, "--format", "json", *options]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=timeout, check=False)
    if ran.returncode == 4 and "lab-modules-unreachable" in ran.stderr:
        pytest.skip(f"no Go modules here: {ran.stderr[-300:]}")
    assert ran.returncode in (0, 1), ran.stderr
    told: dict[str, Any] = json.loads(ran.stdout)
    jsonschema.validate(told, SCHEMA)
    return ran.returncode, told


def lost(trial: dict[str, Any], signal_name: str) -> int:
    """Items lost, of which some were made."""
    one = next(one for one in trial["telemetry"] if one["signal"] == signal_name)
    assert one["made"] > one["lost"], one
    return int(one["lost"])


def assert_leak_found(trial: dict[str, Any]) -> None:
    """The planted leak is found while the back end is gone, and its line is named."""
    during = next(phase for phase in trial["phases"] if phase["name"] == "during")
    found = [one for one in during["findings"] if one["verdict"] == "leak"]
    assert any("(*desk).awaitConfirmation" in one["title"] for one in found), trial


def test_opentelemetry_behind_a_refused_back_end() -> None:
    """OpenTelemetry's SDK: the service goes on, spans are lost and counted, telemetry comes back, a planted leak is found; it cannot end at once.

    The SDK's third try comes up to 17 s after its second (5 s, half as long again each time, by chance half as much or as little)."""
    options = "--service otel --backend refused --before 2s --during 8s --after 20s --plant-leak 40 --exit-limit 2s"
    code, told = drill(*options.split(), timeout=180)
    (trial,) = told["trials"]
    assert (code, trial["harm"], trial["died"]) == (1, "harmed", None)
    assert all(phase["requests"] and not phase["errors"] for phase in trial["phases"])
    assert lost(trial, "spans") > 0
    assert trial["recovered_s"] is not None
    assert "did not end within 2 s of SIGTERM" in trial["reasons"]
    assert_leak_found(trial)


def test_an_agent_that_dies_of_its_full_queue() -> None:
    """A back end that never answers ends this service: the drill says in which phase, and names the cycle from its crash log."""
    options = "--service reporter-recursion --backend silent --before 2s --during 6s --after 2s"
    code, told = drill(*options.split(), timeout=120)
    (trial,) = told["trials"]
    assert (code, trial["harm"]) == (1, "died")
    assert trial["died"] == "died during: exit code 2"
    assert any("(*Reporter).drop" in reason for reason in trial["reasons"]), trial["reasons"]
    assert trial["exit_s"] is None


@pytest.mark.full
@pytest.mark.parametrize("fault", ["refused", "black-hole", "hang", "slow-drain"])
def test_the_skywalking_agent_lives(fault: str) -> None:
    """The real agent, built with its toolexec: whatever its back end does, the service answers, and ends at once."""
    options = f"--service skywalking --backend {fault} --before 6s --during 20s --after 25s"
    _code, told = drill(*options.split(), timeout=600)
    (trial,) = told["trials"]
    assert trial["died"] is None
    assert all(phase["requests"] and not phase["errors"] for phase in trial["phases"]), trial["phases"]
    assert lost(trial, "segments") > 0
    assert trial["exit_s"] is not None
    assert trial["exit_s"] < 5


@pytest.mark.full
def test_the_skywalking_agents_service_with_a_leak() -> None:
    """A leak planted beside the fault is found in a service that the agent has rewritten, and its line named."""
    options = "--service skywalking --backend refused --before 6s --during 20s --after 10s --plant-leak 20"
    _code, told = drill(*options.split(), timeout=600)
    assert_leak_found(told["trials"][0])


@pytest.mark.full
def test_a_service_of_ones_own(tmp_path: Path) -> None:
    """A command and a URL: started for each back end with its address, loaded, judged, ended; what arrived is counted."""
    program = build_desk("otel", tmp_path, quiet)
    address = f"127.0.0.1:{free_port()}"
    options = f"--backend unimplemented --backend reset --before 6s --during 3s --after 3s --url http://{address}/order?item=1"
    _code, told = drill(*options.split(), "--", str(program), "-addr", address, timeout=180)
    assert [(one["service"], one["fault"]) for one in told["trials"]] == [
        ("desk-otel", "unimplemented"),
        ("desk-otel", "reset"),
    ]
    for trial in told["trials"]:
        assert trial["died"] is None
        assert all(phase["requests"] and not phase["errors"] and phase["goroutines_max"] for phase in trial["phases"])
        spans = next(one for one in trial["telemetry"] if one["signal"] == "spans")
        assert spans["made"] is None
        assert spans["arrived"] > 1000


@pytest.mark.full
def test_a_command_that_does_not_serve_is_told(tmp_path: Path) -> None:
    """A service that ends at once: an error with its last words, not a verdict."""
    options = f"--backend refused --url http://127.0.0.1:{free_port()}/ -- sh -c".split()
    command = [*COMMAND, *options, "echo out of luck; exit 3"]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 3
    assert "drill-not-ready" in ran.stderr
    assert "out of luck" in ran.stderr


@pytest.mark.full
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_drill_leaves_nothing(tmp_path: Path, number: signal.Signals) -> None:
    """Ctrl-C and `kill` under load: exit code 130, no process, no scratch file."""
    scratch = tmp_path / "tmp"
    scratch.mkdir()
    env = {**os.environ, "TMPDIR": str(scratch)}
    run = subprocess.Popen([*COMMAND, "--service", "otel", "--backend", "hang"], env=env, stdout=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 240
        while not (list(scratch.glob("*/*/load-before.json")) and len(_children(run.pid)) >= 2):
            assert run.poll() is None, "ended by itself"
            assert time.monotonic() < until
            time.sleep(0.1)
        started = _children(run.pid)
        run.send_signal(number)
        assert run.wait(timeout=30) == 130
    finally:
        if run.poll() is None:
            run.kill()
        run.wait()
    assert [Path(f"/proc/{pid}/stat").read_text() for pid in started if Path(f"/proc/{pid}").exists()] == []
    assert not list(scratch.iterdir())


def _children(pid: int) -> list[int]:
    return [int(one) for path in Path(f"/proc/{pid}/task").glob("*/children") for one in path.read_text().split()]


@pytest.mark.full
@pytest.mark.parametrize("service", ["otel", "skywalking"])
def test_without_modules_it_says_so(tmp_path: Path, service: str) -> None:
    """No module proxy and nothing cached: exit code 4 and the next step, no traceback."""
    cache = tmp_path / "modules"
    env = {**os.environ, "GOPROXY": "off", "GOMODCACHE": str(cache), "PARKWARDEN_CACHE_DIR": str(tmp_path / "cache")}
    command = [*COMMAND, "--service", service, "--backend", "refused"]
    ran = subprocess.run(command, env=env, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 4, ran.stderr
    assert "lab-modules-unreachable" in ran.stderr
    assert "GOPROXY" in ran.stderr
    assert "Traceback" not in ran.stderr
