"""A live service that runs here: the host is asked, too, where it is surely the process that answers."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from parkwarden.collect.live import LiveOptions
from parkwarden.model.artefact import Artefact
from parkwarden.model.local import Local
from tests.collect.test_live import DUMP, INDEX, QUICK, answer, ask, notes, pages

pytestmark = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the real /proc")

TABLE = {"/debug/pprof/": answer(INDEX % 1), "/debug/pprof/goroutine": answer(DUMP)}


def ourselves() -> dict[str, bytes]:
    """Pages that tell our own command line, as pprof does: without the last zero byte."""
    return {**TABLE, "/debug/pprof/cmdline": answer(Path("/proc/self/cmdline").read_bytes().rstrip(b"\0"))}


def test_the_host_tells_of_a_service_that_runs_here() -> None:
    """The process that listens and has the command line pprof tells is looked at, at a price that is noted."""
    bag = ask(pages(ourselves()))
    assert bag.local is not None
    assert bag.local.pid == os.getpid()
    assert bag.local.kinds
    assert "not asked" in notes(bag)["host"]


@pytest.mark.parametrize(
    ("table", "options"),
    [
        ({**TABLE, "/debug/pprof/cmdline": answer(b"kubectl\0port-forward")}, QUICK),
        (TABLE, QUICK),
        (ourselves(), replace(QUICK, local=False)),
        (ourselves(), replace(QUICK, proc="/nowhere")),
    ],
)
def test_nobody_else_is_taken_for_it(table: dict[str, bytes], options: LiveOptions) -> None:
    """Another command line (a port forward), none at all, switched off, no /proc: the host says nothing, and nothing fails."""
    bag = ask(pages(table), options=options)
    assert bag.local is None
    assert bag.artefacts


def test_a_brief_look_asks_three_pages() -> None:
    """What `fds` needs and no more: of a service that runs here its pages are not asked for numbers."""
    brief = replace(QUICK, brief=True)
    assert [c.what for c in ask(pages(ourselves()), options=brief).costs] == ["cmdline", "host", "goroutine"]
    assert [c.what for c in ask(pages(TABLE), options=brief).costs] == ["cmdline", "goroutine", "metrics"]


def test_a_close_look_hears_the_host_before_the_numbers() -> None:
    """check hears what the host tells, so that it goes with the reading that follows."""
    heard: list[str] = []

    def host(_service: str, local: Local, _at: float) -> None:
        heard.append(f"host {local.pid}")

    def look(_service: str, artefact: Artefact, _at: float) -> bool:
        heard.append(artefact.kind.value)
        return artefact.snapshot is not None

    table = {**ourselves(), "/debug/vars": answer(b'{"memstats": {"Alloc": 1, "HeapAlloc": 1, "NumGC": 1}}')}
    options = LiveOptions(interval_s=0.2, heard=look, heard_local=host, census=False, endpoint_timeout_s=2)
    bag = ask(pages(table), options=options)
    assert bag.local is not None
    assert heard[0] == f"host {os.getpid()}"
