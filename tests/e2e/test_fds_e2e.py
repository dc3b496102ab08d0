"""Real Go programs that hold descriptors: by kind, who holds them, and a fleet that is told of them."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from parkwarden.collect.fleet.collector import Collector
from parkwarden.collect.fleet.settings import CollectSettings
from parkwarden.collect.procfs import look, owner_of, process_of
from parkwarden.model.errors import UnreachableError
from parkwarden.model.events import Descriptors, Event, Read
from parkwarden.model.instance import Target
from parkwarden.run._lab_limits import memory_group
from parkwarden.run._lab_process import start_service
from parkwarden.run.check import CheckOptions, check
from parkwarden.run.fds import FdsOptions, fds

pytestmark = [pytest.mark.e2e, pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")]

PROGRAM = Path(__file__).parent / "programs" / "descriptors"
LAB = Path(__file__).parents[2] / "lab" / "fd-leak"
ALLOWED_S = 0.150
"""A look at 10,000 descriptors: our own processor time, the quickest of several, since the tests share their machine (bench/local_depth.py
goes first on it and measures the whole time)."""


class Holding:
    """The program: `open` makes descriptors."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.pid = process.pid
        self.address = process.stdout.readline().strip()
        self.url = f"http://{self.address}"

    def get(self, path: str) -> str:
        with urllib.request.urlopen(f"{self.url}{path}", timeout=60) as answer:
            return str(answer.read().decode())

    def open(self, kind: str, n: int) -> None:
        self.get(f"/open?kind={kind}&n={n}")


@pytest.fixture
def holding(go_build: Callable[..., Path]) -> Iterator[Holding]:
    process = subprocess.Popen([go_build(PROGRAM)], stdout=subprocess.PIPE, text=True)
    try:
        yield Holding(process)
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def test_every_kind_is_counted(holding: Holding) -> None:
    """What the program opened is what the look counts, to the last one, and the port is the program's."""
    before = look(holding.pid).kinds or {}
    wanted = {
        "pipe": 40, "file": 7, "deleted-file": 9, "socket": 30, "eventpoll": 3, "eventfd": 4, "inotify": 2, "timerfd": 5,
    }  # fmt: skip
    for kind, n in wanted.items():
        holding.open(kind, n)
    local = look(holding.pid)
    assert local.kinds is not None
    more = {kind: local.kinds.get(kind, 0) - before.get(kind, 0) for kind in wanted}
    keep_alive = more["socket"] - wanted["socket"]
    assert 0 <= keep_alive <= 1
    assert {**more, "socket": 30} == wanted
    groups = {g.what: g.count for g in local.open_files if g.kind == "socket"}
    assert max(groups.values()) == 15
    host, port = holding.address.split(":")
    assert owner_of(host, int(port)) == holding.pid
    assert process_of(host, int(port), holding.get("/debug/pprof/cmdline").encode()) == holding.pid
    assert process_of(host, int(port), b"kubectl\0port-forward") is None


def test_ten_thousand_descriptors_cost_little_and_hold_nobody_up(holding: Holding) -> None:
    """A look at 10,000 descriptors of mixed kinds takes no more than it may, and the program runs on meanwhile as it does without one."""
    for kind, n in {"pipe": 4000, "socket": 3400, "file": 1000, "deleted-file": 1000, "timerfd": 600}.items():
        holding.open(kind, n)
    times, stalls = [], []
    for _ in range(7):
        holding.get("/stall")
        began = time.thread_time()
        local = look(holding.pid)
        times.append(time.thread_time() - began)
        stalls.append(float(holding.get("/stall")))
    assert local.open_fds is not None
    assert local.open_fds >= 10_000
    assert min(times) <= ALLOWED_S
    assert min(stalls) < 20.0  # ms; a stopped world would be as long as the look, each time


def test_who_holds_what_of_a_url_and_of_a_pid(holding: Holding) -> None:
    """The line that runs commands holds their pipes and pidfds, the one that reads holds its sockets; a pid finds its own pprof."""
    holding.get("/transcode?n=30")
    holding.open("socket", 40)
    for target in (holding.url, str(holding.pid)):
        found = fds(target, FdsOptions(for_s=0))
        held = {(h.words, h.line.function, h.descriptors) for h in found.holders if h.line is not None}
        assert ("os/exec pipes", "main.transcode", 30) in held
        assert ("child processes", "main.transcode", 30) in held
        assert ("connections", "main.readForever", 20) in held
        assert found.pid == holding.pid


@pytest.mark.parametrize(
    ("kind", "what", "line"),
    [
        ("child-pipes", "pipe", "main.(*media).frames"),
        ("streaming-bodies", "socket", "main.(*media).listen"),
        ("temp-files", "deleted-file", "main.(*media).awaitUploader"),
    ],
)
def test_the_labs_leaks_are_named(
    go_build: Callable[..., Path], tmp_path: Path, kind: str, what: str, line: str
) -> None:
    """Of each of the lab's leaks the kind that grows and the line that holds it are named within seconds."""
    service = start_service("fd-leak", go_build(LAB), tmp_path / "log", ["-kind", kind, "-leak-per-s", "20"])
    try:
        found = fds(service.url, FdsOptions(for_s=3))
    finally:
        service.stop()
    most = max(found.kinds, key=lambda row: row.grown)
    assert most.kind == what
    assert most.grown > 20
    lines = [h.line.function for h in found.holders if h.kind == what and h.line is not None and (h.grown or 0) > 20]
    assert lines
    assert set(lines) == {line}
    assert found.growth_per_min is not None
    assert found.growth_per_min > 400


def test_a_check_is_told_by_the_host(holding: Holding, tmp_path: Path) -> None:
    """A service without any page of numbers: check hears and records what the host tells, descriptors by kind too."""
    holding.open("pipe", 50)
    check([holding.url], CheckOptions(for_s=2.0, record=tmp_path / "r.jsonl"))
    lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    counted = [line["descriptors"] for line in lines if "descriptors" in line]
    assert counted
    assert counted[-1]["pipe"] >= 50
    assert any("open_fds" in line and "threads" in line for line in lines)


def test_a_fleet_is_told_by_the_host(holding: Holding) -> None:
    """The collector fills in what the pages do not tell, and tells descriptors by kind, of the same process only."""
    holding.open("pipe", 60)
    events: list[Event] = []

    async def watch() -> None:
        collector = Collector(CollectSettings(interval_s=0.2, timeout_s=2.0), events.append, lambda _: None)
        collector.set_targets([Target(id="media", url=holding.url)])
        task = asyncio.create_task(collector.run())
        try:
            async with asyncio.timeout(30):
                while not any(isinstance(e, Descriptors) for e in events):
                    await asyncio.sleep(0.02)
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert collector.counters.looks["local", "ok"] >= 1

    asyncio.run(watch())
    counted = next(e for e in events if isinstance(e, Descriptors))
    assert counted.kinds["pipe"] >= 60
    reading = next(e.reading for e in events if isinstance(e, Read))
    assert (reading.open_fds or 0) >= 60
    assert reading.max_fds is not None
    assert reading.start_time is not None


def test_the_command_prints_text_and_json(holding: Holding) -> None:
    """As a user types it: a table that names the kinds, and a document of the schema."""
    import jsonschema

    holding.open("deleted-file", 112)
    binary = Path(sys.executable).with_name("parkwarden")
    ran = subprocess.run([binary, "fds", str(holding.pid), "--for", "0"], capture_output=True, text=True, check=True)
    assert re.search(r"11[2-4]\W+deleted-file", ran.stdout)
    ran = subprocess.run(
        [binary, "fds", holding.url, "--for", "200ms", "--format", "json"], capture_output=True, text=True, check=True
    )
    schema = json.loads((Path(__file__).parents[2] / "docs" / "schema" / "fds-1.json").read_text())
    jsonschema.validate(json.loads(ran.stdout), schema)


def test_a_real_memory_group(holding: Holding) -> None:
    """The limit of a control group made for the program is the one that is told, and what the program uses counts against it."""
    with memory_group("fds-e2e", 64 << 20) as group:
        if group is None:
            pytest.skip("no memory cgroup can be made here")
        (group.folder / "cgroup.procs").write_text(str(holding.pid))
        found = look(holding.pid).cgroup
        assert found is not None
        assert found.mem_limit == 64 << 20
        assert found.mem_used is not None
        assert found.oom_kills == 0


LISTENER = """
import socket, time
one = socket.socket()
one.bind(("0.0.0.0", 0))
one.listen()
print(one.getsockname()[1], flush=True)
time.sleep(600)
"""


def test_another_network_namespace() -> None:
    """A process with a network of its own is told by its own tables; netlink's part is a problem, and its loopback is not ours."""
    command = [sys.executable, "-c", LISTENER]
    process = subprocess.Popen(
        ["unshare", "--net", *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    try:
        port = process.stdout.readline().strip()
        if not port:
            pytest.skip("no network namespace can be made here")
        local = look(process.pid)
        assert f"tcp LISTEN 0.0.0.0:{port}" in {g.what for g in local.open_files}
        assert [p.code for p in local.problems] == ["other-namespace"]
        assert owner_of("127.0.0.1", int(port)) is None
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


def test_processes_that_end_meanwhile() -> None:
    """Looks at processes that end under them give an answer or say that there is nobody; never anything else, and nothing stays open."""
    open_before = len(os.listdir("/proc/self/fd"))
    answers = {"looked": 0, "no-such-process": 0}

    def looked(pid: int) -> None:
        try:
            look(pid)
            answers["looked"] += 1
        except UnreachableError as error:
            answers[error.code] += 1

    for _ in range(60):
        process = subprocess.Popen(["sleep", "0.01"])
        try:
            for _ in range(8):
                looked(process.pid)
        finally:
            process.wait()
        looked(process.pid)  # until it is waited for it is a zombie, which is somebody
    assert answers["looked"]
    assert answers["no-such-process"]
    assert len(os.listdir("/proc/self/fd")) == open_before
