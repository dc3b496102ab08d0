"""The shop, its load and the fleet do what their pages say: what watching is tested and measured with must be right itself."""

from __future__ import annotations

import json
import os
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from parkwarden.formats.detect import read_bytes
from parkwarden.model import Artefact, Kind, Source, UnreachableError, Verdict
from parkwarden.run._lab_process import LabProcess, fetch, start_service
from parkwarden.run.diagnose import diagnose
from parkwarden.run.lab import run_lab

pytestmark = pytest.mark.e2e

LAB = Path(__file__).parents[2] / "lab"
KINDS = (
    "send-without-receiver",
    "receive-never-closed",
    "lock-never-released",
    "context-not-passed",
    "ticker-never-stopped",
)
UNPROVABLE = ("ticker-never-stopped",)
PATIENCE_S = 60.0


@pytest.fixture(scope="module")
def shop(go_build: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabProcess]:
    service = start_service(
        "shop", go_build(LAB / "shop"), tmp_path_factory.mktemp("shop") / "shop.log", ["-version", "2.7.1"]
    )
    try:
        yield service
    finally:
        service.stop()


def asked(service: LabProcess, path: str) -> Any:
    return json.loads(service.get(path))


def read(service: LabProcess, path: str) -> Artefact:
    return read_bytes(service.get(path), path)[0]


def goroutines(service: LabProcess) -> int:
    return int(asked(service, "/debug/vars")["goroutines"])


def settles(service: LabProcess, at_most: int) -> bool:
    until = time.monotonic() + PATIENCE_S
    while goroutines(service) > at_most:
        if time.monotonic() > until:
            return False
        time.sleep(0.05)
    return True


def test_the_page_of_numbers_has_all_that_we_read(shop: LabProcess) -> None:
    """/metrics is complete in the families client_golang exports: counts, heap, GC, fds, threads, requests, start, version."""
    shop.get("/buy?item=3")
    page = read(shop, "/metrics")
    assert page.kind is Kind.METRICS
    assert page.problems == []
    reading = page.reading
    assert reading is not None
    for name in (
        "goroutines", "heap_inuse", "next_gc", "gc_cpu_s", "cpu_s", "open_fds", "max_fds", "threads", "gomaxprocs", "rss",
        "requests_total", "num_gc", "stack_inuse",
    ):  # fmt: skip
        assert getattr(reading, name) is not None, name
    assert reading.start_time is not None
    assert abs(reading.start_time - time.time()) < 300
    assert b'shop_build_info{version="2.7.1"} 1' in shop.get("/metrics")
    assert read(shop, "/debug/vars").reading is not None


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_leaks_at_its_rate_and_can_be_cured(shop: LabProcess, kind: str) -> None:
    """Leaks come at the rate asked for; the runtime proves all but the ticker's; release ends them, also after a leak profile."""
    before = goroutines(shop)
    asked(shop, f"/leak/start?kind={kind}&per_s=400")
    time.sleep(1.0)
    asked(shop, "/leak/stop")
    leaked = asked(shop, "/leak")["leaked"]
    assert 300 <= leaked <= 500
    proven = read(shop, "/debug/pprof/goroutineleak")
    marked = 0 if proven.snapshot is None else sum(
        int(n) for n, i in zip(proven.snapshot.count, proven.snapshot.stack, strict=True) if proven.snapshot.stacks[i].frames
    )  # fmt: skip
    assert marked == (0 if kind in UNPROVABLE else leaked)
    assert asked(shop, "/leak/release")["released"] == leaked
    assert settles(shop, before + 3)


def test_crowds_come_and_go(shop: LabProcess) -> None:
    """Parked goroutines stand on 24 stacks and are let go; a burst ends by itself; the stall meter sees a text dump."""
    before = goroutines(shop)
    shop.get("/park?n=4800")
    profile = read(shop, "/debug/pprof/goroutine").snapshot
    assert profile is not None
    assert sum(int(n) == 200 for n in profile.count) == 24
    shop.get("/stall/start")
    shop.get("/stall")
    shop.get("/debug/pprof/goroutine?debug=2")
    assert asked(shop, "/stall")["max_ms"] > 2
    shop.get("/stall/stop")
    shop.get("/park?n=0")
    assert settles(shop, before + 3)
    shop.get("/burst?n=500&for=300ms")
    assert goroutines(shop) >= before + 400
    assert settles(shop, before + 3)


def test_bad_requests_are_refused(shop: LabProcess) -> None:
    """A typing error in a URL takes nobody down."""
    for path in ("/park?n=1e9", "/burst?n=-1", "/leak/start?kind=none", "/leak/start?per_s=0", "/leak/start?per_s=nan"):
        with pytest.raises(UnreachableError) as refused:
            shop.get(path)
        assert "400" in refused.value.context, path


def test_a_run_of_the_lab_is_diagnosed(tmp_path: Path) -> None:
    """The saved files name the one leaking line; the crew, the burst and the traffic are not accused."""
    result = run_lab("shop", tmp_path / "shop", seconds=4)
    assert {name for name, _size in result.files} == set(result.lab.saves)
    found = [f for f in diagnose([str(tmp_path / "shop")]).report.findings if f.verdict is Verdict.LEAK]
    assert [f.site.function for f in found if f.site] == ["main.(*leak).quote"]


def test_load_keeps_its_rate_and_hides_no_waiting(shop: LabProcess, go_build: Callable[..., Path], go: str) -> None:
    """An open loop: the rate asked for comes, and a service stopped for half a second is seen by all who were due meanwhile."""
    subprocess.run([go, "test", "."], cwd=LAB / "load", check=True, capture_output=True)
    program = go_build(LAB / "load")
    command = [str(program), "-url", f"{shop.url}/buy?item=1", "-rate", "200", "-for", "2s", "-warmup", "200ms"]
    told = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    assert (told["requests"], told["errors"]) == (400, 0)
    assert told["p50_ms"] <= told["p99_ms"] <= told["p99_9_ms"] <= told["max_ms"]
    with subprocess.Popen([*command, "-conns", "2"], stdout=subprocess.PIPE) as running:
        time.sleep(1.0)
        os.kill(shop.pid, 19)  # SIGSTOP
        time.sleep(0.5)
        os.kill(shop.pid, 18)  # SIGCONT
        out, _ = running.communicate(timeout=30)
    stopped = json.loads(out)
    assert stopped["requests"] == 400
    assert stopped["max_ms"] > 300
    assert stopped["p90_ms"] > 20, "a quarter of the requests were due while the service stood still"


def test_the_fleet_answers_for_all_its_instances(go_build: Callable[..., Path]) -> None:
    """Each instance has numbers of its own, on a path and a port; profiles and censuses are real and read without problems."""
    program = go_build(LAB / "fleet")
    with subprocess.Popen([program, "-instances", "30", "-ports"], stdout=subprocess.PIPE, text=True) as fleet:
        assert fleet.stdout is not None
        try:
            told = json.loads(fleet.stdout.readline())
            targets = json.loads(fetch(told["targets"]))
            assert len(targets) == 30
            counts = set()
            for number, target in enumerate(targets):
                by_port = read_bytes(fetch(target["labels"]["url"] + "/metrics"), "m")[0]
                by_path = read_bytes(fetch(f"{told['base']}/i/{number}/debug/vars"), "v")[0]
                assert by_port.reading is not None
                assert by_path.reading is not None
                counts.add(by_port.reading.goroutines)
            assert len(counts) > 20
            profile = read_bytes(fetch(f"{told['base']}/i/3/debug/pprof/goroutine"), "p")[0]
            census = read_bytes(fetch(f"{told['base']}/i/4/debug/pprof/trace?seconds=0.05"), "t")[0]
            assert profile.snapshot is not None
            assert profile.snapshot.source is Source.PROFILE
            assert census.snapshot is not None
            assert census.snapshot.goid.all()
            assert abs(census.snapshot.total - profile.snapshot.total) < 60
        finally:
            fleet.kill()
