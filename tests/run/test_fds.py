"""`fds`: targets, two looks, and what is said where little is to be had."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from parkwarden.model import Artefact, Frame, Kind, Reading, Source, Stack, UnreachableError, UsageError, make_snapshot
from parkwarden.model.local import Local
from parkwarden.run import fds as module
from parkwarden.run.fds import FdsOptions, _Seen, fds

ONCE = FdsOptions(for_s=0)
WAITING = Stack((Frame("runtime.gopark"), Frame("runtime.chanrecv1"), Frame("main.upload", "/src/main.go", 7)))
LOOP = Stack((Frame("runtime.gopark"), Frame("runtime.selectgo"), Frame("net/http.(*persistConn).readLoop")))


def profile(waiting: int, loops: int = 1) -> Artefact:
    snapshot = make_snapshot(Source.PROFILE, [WAITING, LOOP], [0, 1], count=[waiting, loops])
    return Artefact(name="goroutine", kind=Kind.GOROUTINE_PROFILE, size=1, snapshot=snapshot)


def local(files: int, at: float) -> Local:
    return Local(
        pid=7, at=at, kinds={"deleted-file": files, "socket": 3}, open_fds=files + 3, max_fds=100, command="media"
    )


@pytest.fixture
def looking(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Looks that the test makes, in turn."""

    def script(*seen: _Seen | Exception) -> None:
        left = list(seen)

        def ask(_url: str, _options: FdsOptions) -> _Seen:
            one = left.pop(0)
            if isinstance(one, Exception):
                raise one
            return one

        monkeypatch.setattr(module, "_ask", ask)
        monkeypatch.setattr(module, "_wait", lambda *_: None)

    return script


def test_two_looks_tell_growth_and_who_holds_it(looking: Callable[..., None]) -> None:
    """Kinds with what they were, the line whose goroutines grew as the kind did, and the rest."""
    looking(_Seen(100.0, local(20, 100.0), [profile(21)], []), _Seen(110.0, local(50, 110.0), [profile(51)], []))
    found = fds("http://me:secret@h:1", FdsOptions(for_s=10))
    assert found.name == "http://h:1"
    assert (found.open_fds, found.open_before, found.growth_per_min) == (53, 23, 180.0)
    assert [(row.kind, row.count, row.before) for row in found.kinds] == [("deleted-file", 50, 20), ("socket", 3, 3)]
    first = found.holders[0]
    assert first.line is not None
    assert (first.kind, first.descriptors, first.by, first.line.function) == (
        "deleted-file",
        50,
        "growth",
        "main.upload",
    )
    assert found.source == "host"


def test_another_host_has_its_pages_numbers(looking: Callable[..., None]) -> None:
    """Without /proc the page's numbers are told, with the words that this is all; frames still say who holds connections."""
    page = Artefact(name="metrics", kind=Kind.METRICS, size=1, reading=Reading(open_fds=60, max_fds=100, goroutines=40))
    looking(_Seen(1.0, None, [profile(3, 30), page], []))
    found = fds("http://far:1", ONCE)
    assert (found.source, found.open_fds, found.max_fds, found.kinds) == ("pages", 60, 100, ())
    assert [(h.kind, h.descriptors) for h in found.holders] == [("socket", 30)]
    assert [p.code for p in found.problems] == ["not-here"]


def test_a_second_look_that_fails_costs_itself(looking: Callable[..., None]) -> None:
    """A process that ends between the looks is told as it was, with the problem; one that was never there is an error."""
    looking(_Seen(1.0, local(20, 1.0), [], []), UnreachableError("no-such-process", "gone"))
    found = fds("http://h:1", FdsOptions(for_s=1))
    assert found.open_fds == 23
    assert found.growth_per_min is None
    assert found.problems[0].code == "no-such-process"
    looking(UnreachableError("connection-failed", "nobody"))
    with pytest.raises(UnreachableError):
        fds("http://h:1", ONCE)


@pytest.mark.parametrize("target", ["nonsense", "0", "99999999999999", ""])
def test_no_target_is_a_usage_error(target: str) -> None:
    """What is neither a pid nor a URL is told so, with an example."""
    with pytest.raises(UsageError) as told:
        fds(target, ONCE)
    assert told.value.hint


def test_a_duration_has_bounds() -> None:
    """Hours are for watch."""
    with pytest.raises(UsageError, match="--for"):
        fds("1", FdsOptions(for_s=1e9))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads the real /proc")
def test_ourselves(tmp_path: Path) -> None:
    """A process without pprof is told by kind; that nobody says which goroutines is a problem, no error."""
    with open(tmp_path / "open", "wb"):
        found = fds(str(os.getpid()), ONCE)
    assert found.pid == os.getpid()
    assert any(row.kind == "file" for row in found.kinds)
    assert "no-pprof" in {p.code for p in found.problems}


def test_no_proc_and_no_process(tmp_path: Path) -> None:
    """Both are errors with a next step."""
    for proc, code in ((str(tmp_path), "no-procfs"), ("/proc", "no-such-process")):
        if proc == "/proc" and not sys.platform.startswith("linux"):
            continue
        with pytest.raises(UnreachableError) as told:
            fds(str(1 << 22), FdsOptions(for_s=0, proc=proc))
        assert told.value.code == code


def test_nothing_is_said_to_be_nothing(looking: Callable[..., None]) -> None:
    """A service that tells neither numbers nor goroutines, and is not ours to look at: an answer with its two reasons."""
    looking(_Seen(1.0, None, [], []))
    found = fds("http://far:1", ONCE)
    assert (found.open_fds, found.holders) == (None, ())
    assert [p.code for p in found.problems] == ["not-here", "no-profile"]
