"""Texts of the kernel, and of nobody the kernel knows."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from parkwarden.collect.procfs import texts
from parkwarden.collect.procfs.texts import Mount
from tests.collect.procfs.tree import LIMITS, stat

LINES = st.lists(st.text(max_size=60), max_size=8).map("\n".join)


def test_limits_are_soft_and_hard() -> None:
    """Both columns are read, `unlimited` is no number."""
    told = texts.limits(LIMITS)
    assert told["Max open files"] == (1024, 524288)
    assert told["Max processes"] == (4096, 8192)
    assert told["Max address space"] == (None, None)


def test_a_name_may_hold_brackets_and_blanks() -> None:
    """The name ends at the last bracket: a process may call itself `a) R 1 (b`."""
    assert texts.stat(stat("a) R 1 (b", 77)) == ("a) R 1 (b", "S", 77)
    assert texts.stat("1 (cut") is None
    assert texts.stat("1 (cut) S 1 2") is None


def test_no_limit_is_no_number() -> None:
    """`max`, the largest page count of cgroup v1, a negative quota and nothing at all mean: none."""
    assert texts.number("104857600\n") == 104857600
    assert [texts.number(word) for word in ("max", "9223372036854771712", "-1", "", "12x", None, "9" * 30)] == [
        None
    ] * 7


def test_a_quota_is_processors() -> None:
    """150,000 us of each 100,000 us are one and a half processors."""
    assert texts.quota("150000 100000\n") == 1.5
    assert [texts.quota(word) for word in ("max 100000", "1 0", "", None, "a b")] == [None] * 5


def test_pressure_is_a_share() -> None:
    """`some avg10` in per cent becomes a share of time."""
    assert (
        texts.stall_share("some avg10=12.50 avg60=1.00 avg300=0.00 total=9\nfull avg10=90.00 avg60=0 avg300=0 total=0")
        == 0.125
    )
    assert texts.stall_share("full avg10=90.00") is None
    assert texts.stall_share(None) is None


def test_numbers_of_several_files() -> None:
    """`status` has colons and units, `memory.stat` has neither, words that are no numbers are left out."""
    assert texts.numbers("Threads:\t17\nVmRSS:\t  2048 kB\nName:\tmedia\n") == {"Threads": 17, "VmRSS": 2048}
    assert texts.numbers("oom_kill_disable 0\nunder_oom 0\noom_kill 3\n")["oom_kill"] == 3


def test_mounts_and_paths() -> None:
    """Mounts of control groups with their root and point (octal escapes undone), other mounts left out; paths by controller."""
    told = (
        "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n"
        "35 31 0:32 /kubepods/a\\040b /sys/fs/cgroup/memory ro,nosuid shared:9 - cgroup cgroup rw,memory\n"
        "1 1 0:1 / / rw - ext4 /dev/vda rw\nbroken\n"
    )
    assert texts.cgroup_mounts(told) == [
        Mount("/", "/sys/fs/cgroup", 2, frozenset(["rw", "nsdelegate"])),
        Mount("/kubepods/a b", "/sys/fs/cgroup/memory", 1, frozenset(["rw", "memory"])),
    ]
    paths = texts.cgroup_paths("4:memory:/m\n3:cpu,cpuacct:/c\n0::/u:x\n")
    assert paths == {"memory": "/m", "cpu": "/c", "cpuacct": "/c", "": "/u:x"}


@given(LINES)
def test_any_text_is_answered(text: str) -> None:
    """Whatever stands in a file, no reader raises and no number is negative."""
    assert all(value >= 0 for value in texts.numbers(text).values())
    assert all(len(pair) == 2 for pair in texts.limits(text).values())
    share, number, quota = texts.stall_share(text), texts.number(text), texts.quota(text)
    assert share is None or 0 <= share <= 1
    assert number is None or number >= 0
    assert quota is None or quota >= 0
    assert texts.stat(text) is None or texts.stat(text)[2] >= 0  # type: ignore[index]
    assert isinstance(texts.cgroup_mounts(text), list)
    assert isinstance(texts.cgroup_paths(text), dict)
