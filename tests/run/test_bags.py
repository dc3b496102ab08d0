"""Inputs to bags: files together, each service apart, names short."""

from __future__ import annotations

from pathlib import Path

import pytest

from parkwarden.collect.limits import quiet
from parkwarden.model import Artefact, Kind, UnreachableError
from parkwarden.run.bags import collect_bags, is_url, shorten


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("http://h:6060", True), ("HTTPS://h/debug/pprof/", True), ("localhost:6060", True), ("10.0.0.1:80/x", True),
        ("[::1]:6060", True), ("unix:/run/app.sock", True), ("goroutine.txt", False), ("-", False), ("C:\\dump.txt", False),
    ],
)  # fmt: skip
def test_what_is_a_service(text: str, url: bool) -> None:
    """URLs and host:port are services, everything else is a path."""
    assert is_url(text) is url


def test_a_file_named_like_a_port_is_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What exists on disk is a file, whatever it is called."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dump:123").write_text("x")
    assert is_url("dump:123") is False


def test_names_lose_the_folder_they_share() -> None:
    """Names are as short as they can be and stay apart; members of an archive keep its name."""

    def named(*names: str) -> list[str]:
        artefacts = [Artefact(name=n, kind=Kind.UNKNOWN, size=0) for n in names]
        shorten(artefacts)
        return [a.name for a in artefacts]

    assert named("/a/b/heap", "/a/b/trace") == ["heap", "trace"]
    assert named("/a/b/heap", "/a/c/heap") == ["b/heap", "c/heap"]
    assert named("/a/bag.zip!x/dump") == ["bag.zip!x/dump"]
    assert named("early.txt", "late.txt") == ["early.txt", "late.txt"]
    assert named("/heap") == ["heap"]
    assert named("http://h:1/debug/pprof/heap", "http://h:1/debug/vars") == ["pprof/heap", "vars"]
    assert named() == []


def test_files_are_one_bag_and_a_silent_service_costs_itself(tmp_path: Path) -> None:
    """A service that does not answer beside files is one unreadable input; alone it is an error."""
    (tmp_path / "vars.json").write_text('{"memstats": {"Alloc": 1}}')
    bags = collect_bags([str(tmp_path), "http://user:pw@127.0.0.1:9"], None, None, quiet)
    assert [bag.unreachable for bag in bags] == [False, True]
    assert bags[1].artefacts[0].problems
    assert "pw" not in bags[1].artefacts[0].name
    with pytest.raises(UnreachableError):
        collect_bags(["http://127.0.0.1:9"], None, None, quiet)
