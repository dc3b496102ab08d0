"""`parkwarden open`: what it refuses, and what it says first. Serving is tested in a browser (tests/e2e)."""

from __future__ import annotations

from pathlib import Path

import pytest

from parkwarden.cli.open import _address
from parkwarden.collect.limits import quiet
from parkwarden.formats.recording import write
from parkwarden.model import Instance, ParkwardenError, Read, Reading, Started, UsageError
from parkwarden.run.board.opened import open_files
from parkwarden.run.diagnose import Options


def test_it_serves_this_machine_only() -> None:
    """Nobody is asked for a token, so nobody else may reach it; a port is a port."""
    assert _address("127.0.0.1:0") == ("127.0.0.1", 0)
    assert _address("[::1]:8000") == ("::1", 8000)
    for listen, code in (
        ("0.0.0.0:80", "not-this-machine"),
        ("shop.example:80", "not-this-machine"),
        ("nonsense", "bad-listen"),
    ):
        with pytest.raises(UsageError) as error:
            _address(listen)
        assert error.value.code == code


def test_recordings_are_told_from_everything_else(tmp_path: Path) -> None:
    """By their content: a recording is the host's fleet, the rest is one bag; without files there is an empty explorer."""
    recording = tmp_path / "looks-like.txt"
    events = [Started(Instance(id="i1", labels={"service": "shop"}), 0.0)]
    events += [Read(5.0 * n, "i1", Reading(at=5.0 * n, goroutines=10)) for n in range(40)]  # type: ignore[misc]
    recording.write_bytes(b"".join(map(write, events)))
    dump = tmp_path / "dump.jsonl"
    dump.write_text("goroutine 1 [select]:\nmain.main()\n\t/src/main.go:7 +0x1d\n")
    opened = open_files([str(recording), str(dump)], Options(), lambda: 1_700_000_000.0, quiet)
    assert opened.recordings == (str(recording),)
    assert list(opened.host.engine.instances) == ["i1"]
    assert opened.bag is not None
    assert opened.bag.goroutines == 1
    nothing = open_files([], Options(), lambda: 1_700_000_000.0, quiet)
    assert (nothing.bag, nothing.recordings, list(nothing.bags)) == (None, (), [])
    assert nothing.host.now() == 1_700_000_000.0
    assert (nothing.host.incidents(), nothing.host.status().targets.total()) == ([], 0)


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    """A name without a file ends it, with the words of every command."""
    with pytest.raises(ParkwardenError, match="gone"):
        open_files([str(tmp_path / "gone.txt")], Options(), lambda: 0.0, quiet)
