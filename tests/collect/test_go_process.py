"""What the host tells of a Go process: its settings, its version, its user's threads - and nothing else of its environment."""

from __future__ import annotations

import math
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkwarden.collect.go_process import Around, look_around, look_go, memory_of, percent_of

MIB = 1 << 20


def proc(root: Path, pid: int, *, environ: bytes = b"", uid: int = 1000, threads: int = 3, exe: bytes = b"") -> None:
    """A process in a proc filesystem of our own."""
    folder = root / str(pid)
    folder.mkdir(parents=True)
    (folder / "environ").write_bytes(environ)
    (folder / "exe").write_bytes(exe)
    (folder / "status").write_text(f"Name:\tx\nUid:\t{uid}\t0\t0\t0\nThreads:\t{threads}\nVmSize:\t 1048576 kB\n")


def test_only_gos_own_variables_are_kept(tmp_path: Path) -> None:
    """GOGC, GOMEMLIMIT, GOMAXPROCS and two words of GODEBUG; secrets that begin alike are dropped."""
    environ = b"GOGC=50\0PASSWORD=x\0GOMEMLIMIT=1GiB\0GOOGLE_KEY=secret\0GOMAXPROCS=2\0GODEBUG=http2debug=1,containermaxprocs=0,token=y\0GOGC=70\0"
    proc(tmp_path, 7, environ=environ)
    told = look_go(7, root=str(tmp_path))
    assert told.environment == {
        "GOGC": "50",
        "GOMEMLIMIT": "1GiB",
        "GOMAXPROCS": "2",
        "GODEBUG": "containermaxprocs=0",
    }


def test_an_environment_that_may_not_be_read_is_a_problem(tmp_path: Path) -> None:
    """Refused or gone is told, never raised: the settings are then hidden, not default."""
    told = look_go(9, root=str(tmp_path))
    assert told.environment is None
    assert {one.code for one in told.problems} == {"environment-unread", "binary-unread"}
    assert look_around(9, root=str(tmp_path)) == Around()


def test_the_version_is_the_linkers(tmp_path: Path) -> None:
    """From the build info in the binary, from Go 1.18 on; the same magic in somebody's data is passed over."""
    info = b"\xff Go buildinf:"
    exe = (
        b"\x7fELF" + bytes(100) + info + bytes(40) + info + b"\x08\x02" + bytes(16) + b"\x08" + b"go1.27.3" + bytes(64)
    )
    proc(tmp_path, 7, exe=exe)
    proc(tmp_path, 8, exe=bytes(200))
    assert look_go(7, root=str(tmp_path)).version == (1, 27)
    other = look_go(8, root=str(tmp_path))
    assert other.version is None
    assert [one.code for one in other.problems] == ["no-build-info"]


def test_threads_of_a_user_are_those_of_all_its_processes(tmp_path: Path) -> None:
    """RLIMIT_NPROC counts the user, so all its visible processes are counted; the machine's come from loadavg."""
    proc(tmp_path, 7, threads=10)
    proc(tmp_path, 8, threads=5)
    proc(tmp_path, 9, threads=99, uid=0)
    (tmp_path / "loadavg").write_text("0.1 0.2 0.3 2/345 9999\n")
    told = look_around(7, root=str(tmp_path))
    assert told == Around(user_threads=15, system_threads=345, address_space=1 << 30)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("off", math.inf),
        ("", math.inf),
        ("100", 100.0),
        ("64MiB", 64.0 * MIB),
        ("2GiB", 2048.0 * MIB),
        ("7B", 7.0),
        ("64MB", None),
        ("-1", None),
        ("1.5GiB", None),
        ("9223372036854775807", math.inf),
    ],
)
def test_gomemlimit_is_read_as_go_reads_it(text: str, value: float | None) -> None:
    """runtime/string.go: parseByteCount: whole numbers in binary units, `off`; the rest Go refuses to start with."""
    assert memory_of(text) == value


@pytest.mark.parametrize(
    ("text", "value"), [("off", math.inf), ("50", 50.0), ("0", 0.0), ("-1", math.inf), ("many", 100.0), ("", None)]
)
def test_gogc_is_read_as_go_reads_it(text: str, value: float | None) -> None:
    """runtime/mgcpacer.go: readGOGC: off and negative never collect, what is no number is 100."""
    assert percent_of(text) == value


@given(st.text(max_size=80))
def test_no_value_of_a_variable_breaks_the_reader(text: str) -> None:
    """Whatever stands in the environment: a number, infinite or None."""
    for value in (memory_of(text), percent_of(text)):
        assert value is None or value >= 0


def test_our_own_process_is_told() -> None:
    """On a real /proc: an environment, at least one thread of ours, and more on the machine."""
    told = look_go(os.getpid())
    assert told.environment is not None
    assert told.version is None
    around = look_around(os.getpid())
    assert around.user_threads is not None
    assert around.system_threads is not None
    assert min(around.system_threads, around.user_threads) >= 1
    assert around.address_space is not None
