"""`parkwarden limits` on real Go processes under lowered limits: what it names first is what breaks first."""

from __future__ import annotations

import json
import os
import resource
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from parkwarden.run._lab_limits import MemoryGroup, memory_group

pytestmark = pytest.mark.e2e

BIN = Path(sys.executable).with_name("parkwarden")
PROGRAM = Path(__file__).parent / "programs" / "limited"
SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "schema" / "limits-1.json").read_text())
NOBODY = 65_534
SECRET = "hunter2-of-the-environment"


@contextmanager
def running(
    binary: Path,
    *,
    fds: int = 1024,
    space: int = resource.RLIM_INFINITY,
    group: MemoryGroup | None = None,
    **environment: str,
) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The program under its own ulimit -n, in a memory cgroup where one is given; its URL."""

    def lowered() -> None:
        resource.setrlimit(resource.RLIMIT_NOFILE, (fds, fds))
        resource.setrlimit(resource.RLIMIT_AS, (space, space))

    process = subprocess.Popen(
        [binary] if group is None else group.wrap([str(binary)]),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={"PATH": os.environ["PATH"], "SECRET": SECRET, **environment},
        preexec_fn=lowered,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        yield process.stdout.readline().strip(), process
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()


def limits(*arguments: str) -> tuple[int, dict[str, Any], str]:
    """Exit code, the JSON, which follows its schema, and all that was written."""
    ran = subprocess.run(
        [BIN, "limits", *arguments, "--format", "json"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    told = json.loads(ran.stdout) if ran.stdout else {}
    if told:
        jsonschema.Draft202012Validator(SCHEMA).validate(told)
    return ran.returncode, told, ran.stdout + ran.stderr


def hold(url: str, what: str = "", timeout: float = 10.0) -> socket.socket | None:
    """One request that stays; None where the service did not take it: so long that a busy machine is not taken for a limit."""
    host, port = url.removeprefix("http://").split(":")
    try:
        connection = socket.create_connection((host, int(port)), timeout=timeout)
        connection.sendall(f"GET /hold?{what} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        if connection.recv(64).startswith(b"HTTP/1.1 200"):
            return connection
    except OSError:
        return None
    connection.close()
    return None


@pytest.mark.parametrize("files", [0, 2])
def test_the_load_it_names_is_the_load_that_breaks_it(go_build: Callable[..., Path], files: int) -> None:
    """With 40 requests in flight it says how many fit into ulimit -n; driven there, the next one is not served."""
    with ExitStack() as stack:
        url, process = stack.enter_context(running(go_build(PROGRAM), fds=200))
        held = [stack.enter_context(one) for _ in range(40) if (one := hold(url, f"files={files}")) is not None]
        assert len(held) == 40
        code, told, _ = limits(url, "--for", "0", "--load", "500")
        assert code == 1
        assert told["pid"] == process.pid
        assert (told["use"]["requests"], told["use"]["kinds"]["socket"]) == (40, 41)
        assert told["first_by_load"] == "fd-limit"
        fits = next(one["requests"] for one in told["limits"] if one["name"] == "fd-limit")
        while (one := hold(url, f"files={files}")) is not None:
            held.append(stack.enter_context(one))
            assert len(held) < 250
        assert abs(len(held) - fits) <= 0.05 * fits, (len(held), fits)


def test_the_memory_it_names_is_the_memory_that_kills(go_build: Callable[..., Path]) -> None:
    """Requests of 256 KiB in a memory cgroup of 96 MiB: it says how many fit before the kernel kills, within a quarter."""
    with memory_group("limits", 96 << 20) as group, ExitStack() as stack:
        if group is None:
            pytest.skip("no memory cgroup can be made here")
        url, process = stack.enter_context(running(go_build(PROGRAM), fds=8192, group=group))
        held = [stack.enter_context(one) for _ in range(60) if (one := hold(url, "kb=256")) is not None]
        code, told, _ = limits(url, "--for", "0", "--load", "1000")
        assert code == 1
        force = {one["name"]: one["value"] for one in told["in_force"]}
        assert force["memory-limit"] == 96 << 20
        assert told["first_by_load"] == "memory-limit"
        assert "memory-told" in {one["rule"] for one in told["breaches"]}
        fits = next(one["requests"] for one in told["limits"] if one["name"] == "memory-limit")
        while (one := hold(url, "kb=256")) is not None and process.poll() is None:
            held.append(stack.enter_context(one))
            assert len(held) < 1000
        assert process.wait(10) == -9
        assert group.oom_kills() >= 1
        assert 0.75 * len(held) <= fits <= 1.25 * len(held), (len(held), fits)


def test_address_space_runs_out_before_memory(go_build: Callable[..., Path]) -> None:
    """Under ulimit -v 2 GiB requests of 4 MiB: it says how many fit, and Go dies there, with less than half of it used."""
    with ExitStack() as stack:
        url, process = stack.enter_context(running(go_build(PROGRAM), fds=8192, space=2 << 30))
        held = [stack.enter_context(one) for _ in range(30) if (one := hold(url, "kb=4096")) is not None]
        _, told, _ = limits(url, "--for", "0", "--load", "1000")
        assert told["first_by_load"] == "address-space"
        assert "address-space" in {one["rule"] for one in told["breaches"]}
        fits = next(one["requests"] for one in told["limits"] if one["name"] == "address-space")
        while (one := hold(url, "kb=4096")) is not None:
            held.append(stack.enter_context(one))
            assert len(held) < 1000
        assert process.stderr is not None
        assert "out of memory" in process.stderr.read(4096)
        process.kill()  # it still writes its stacks, which nobody reads
        assert 0.9 * len(held) <= fits <= 1.1 * len(held), (len(held), fits)


def test_threads_that_block_are_a_trend(go_build: Callable[..., Path]) -> None:
    """Threads that never come back, a hundred a second or what the machine makes of it: Go's own 10,000 is named, and when."""
    with running(go_build(PROGRAM), fds=8192) as (url, _):
        stop = threading.Event()

        def grow() -> None:
            while not stop.wait(0.1):
                urllib.request.urlopen(f"{url}/block?n=10", timeout=30).close()

        thread = threading.Thread(target=grow)
        thread.start()
        try:
            code, told, _ = limits(url, "--for", "3s")
        finally:
            stop.set()
            thread.join()
        assert code == 1
        by_name = {one["name"]: one for one in told["limits"]}
        one = by_name["go-max-threads"]
        assert one["assumed"]
        left = one["time_left"]
        assert left["seconds"] == pytest.approx((10_000 - one["now"]) / left["rate_per_s"], rel=0.1)
        # each blocked thread holds a pipe, two descriptors: with 8,192 of those they run out first
        assert told["first_by_trend"] == "fd-limit"
        assert by_name["fd-limit"]["time_left"]["rate_per_s"] == pytest.approx(2 * left["rate_per_s"], rel=0.2)


def test_the_trend_it_names_is_the_one_that_breaks(go_build: Callable[..., Path]) -> None:
    """Twenty connections a second into ulimit -n 400: what breaks first is named, and when, within its interval and a tenth."""
    with ExitStack() as stack:
        url, _ = stack.enter_context(running(go_build(PROGRAM), fds=400))
        held: list[socket.socket] = []
        broke: list[float] = []
        stop = threading.Event()

        def grow() -> None:
            began, n = time.monotonic(), 0
            while not stop.is_set():
                asked = time.time()
                one = hold(url)
                if one is None:
                    broke.append(asked)
                    return
                held.append(one)
                n += 1
                stop.wait(max(began + n / 20 - time.monotonic(), 0))

        thread = threading.Thread(target=grow)
        thread.start()
        try:
            code, told, _ = limits(url, "--for", "5s")
            at = datetime.fromisoformat(told["checked_at"]).timestamp()  # in whole seconds
            thread.join(60)
        finally:
            stop.set()
            thread.join()
            for one in held:
                one.close()
        assert code == 1
        assert told["first_by_trend"] == "fd-limit"
        left = next(one["time_left"] for one in told["limits"] if one["name"] == "fd-limit")
        real = broke[0] - at
        assert 0.85 * left["low_s"] - 1 <= real <= 1.15 * left["high_s"] + 2, (real, left)


def test_what_is_in_force_is_read_and_nothing_else(go_build: Callable[..., Path]) -> None:
    """GOMEMLIMIT and GOGC come from the environment, descriptors from the kernel, timeouts from source; no other variable is told."""
    with running(go_build(PROGRAM), fds=333, GOMEMLIMIT="64MiB", GOGC="50", GOMAXPROCS="3") as (url, process):
        for target in (url, str(process.pid)):
            _, told, written = limits(target, "--for", "0", "--source", str(PROGRAM), "--snippet", "all")
            force = {one["name"]: (one["value"], one["source"]) for one in told["in_force"]}
            assert force["gomemlimit"] == (64 << 20, "environment")
            assert force["gogc"] == (50, "environment")
            assert force["gomaxprocs"] == (3, "environment")
            assert force["fd-limit"][0] == 333
            assert told["go_version"] == "1.27"
            assert told["command"] == "limited"
            assert told["servers"] == [
                {"where": "main.go:79", "literal": True, "read_header_s": 10, "read_s": 0, "write_s": 0, "idle_s": 120}
            ]
            assert set(told["snippets"]) == {"systemd", "kubernetes", "go"}
            assert SECRET not in written


def test_a_remote_service_tells_what_its_pages_tell(go_build: Callable[..., Path], tmp_path: Path) -> None:
    """Without /proc of its host the limits are not visible, and nothing is guessed."""
    with running(go_build(PROGRAM)) as (url, _):
        _, told, _ = limits(url, "--for", "0", "--proc", str(tmp_path))
    assert told["pid"] is None
    states = {one["name"]: one["state"] for one in told["in_force"]}
    assert states.pop("go-max-threads") == "default"
    assert set(states.values()) == {"hidden"}
    assert told["use"]["heap"] > 0
    assert [one["name"] for one in told["limits"]] == ["go-max-threads"]
    assert told["breaches"] == []


def test_nobody_there_is_told_with_a_next_step() -> None:
    """A pid that is none, and a port where nobody listens, end with 4."""
    assert limits("4194304", "--for", "0")[0] == 4
    code, _, written = limits("http://127.0.0.1:9", "--for", "0")
    assert code == 4
    assert "next:" in written


def test_the_text_fits_narrow_terminals(go_build: Callable[..., Path]) -> None:
    """No line is wider than the terminal, whatever its width; all sections are there."""
    with running(go_build(PROGRAM), fds=100) as (url, _):
        for width in (60, 160):
            ran = subprocess.run(
                [BIN, "limits", url, "--for", "0", "--load", "200"],
                capture_output=True, text=True, check=False, timeout=60, env={**os.environ, "COLUMNS": str(width)},
            )  # fmt: skip
            assert ran.returncode == 1, ran.stderr
            assert max(map(len, ran.stdout.splitlines())) <= width
            for section in ("What breaks first", "In force", "What does not fit together", "Proposed together"):
                assert section in ran.stdout


@pytest.mark.skipif(os.getuid() != 0, reason="only root may become another user")
@pytest.mark.parametrize(
    ("beyond", "message"), [(0, "program exceeds 60-thread limit"), (1, "failed to create new OS thread")]
)
def test_the_rule_of_threads_at_its_boundary(
    go_build: Callable[..., Path], beyond: int, message: str, tmp_path: Path
) -> None:
    """SetMaxThreads as high as the process limit dies of Go's own message, one higher of the kernel's refusal."""
    binary = tmp_path / "limited"
    binary.write_bytes(go_build(PROGRAM).read_bytes())
    binary.chmod(0o755)
    for folder in [tmp_path, *tmp_path.parents]:
        if not folder.stat().st_mode & 0o001:
            folder.chmod(folder.stat().st_mode | 0o011)
    if any(uid_of(pid) == NOBODY for pid in os.listdir("/proc") if pid.isdigit()):
        pytest.skip("somebody else runs as nobody")

    def lowered() -> None:
        resource.setrlimit(resource.RLIMIT_NPROC, (60, 60))

    ran = subprocess.run(
        [binary, "-threads", "100", "-max-threads", str(60 + beyond)],
        capture_output=True, text=True, check=False, timeout=60, preexec_fn=lowered, user=NOBODY, group=NOBODY, extra_groups=[],
        env={"PATH": os.environ["PATH"]},
    )  # fmt: skip
    assert ran.returncode != 0
    assert message in ran.stderr, ran.stderr[:400]


def uid_of(pid: str) -> int | None:
    """Of a process, None once it has ended."""
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except OSError:
        return None
