"""Control groups of both versions, as folders."""

from __future__ import annotations

from pathlib import Path

from parkwarden.collect.procfs import look
from parkwarden.model.local import Cgroup
from tests.collect.procfs.tree import PID, grow

MIB = 1 << 20


def group(tmp_path: Path, cgroup: str, mounts: str, files: dict[str, str]) -> Cgroup | None:
    """The control group that a look tells; `files` below a folder `cg`."""
    for name, text in files.items():
        path = tmp_path / "cg" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    told = {f"{PID}/cgroup": cgroup, "self/mountinfo": mounts.format(cg=tmp_path / "cg")}
    return look(PID, root=grow(tmp_path / "proc", files=told)).cgroup


V2 = "30 23 0:26 / {cg} rw - cgroup2 cgroup2 rw\n"


def test_version_2_the_lowest_limit_on_the_way_binds(tmp_path: Path) -> None:
    """A parent's lower limit counts, with the parent's use; page cache that nobody misses does not count as used."""
    found = group(
        tmp_path,
        "0::/pods/media\n",
        V2,
        {
            "pods/media/memory.max": f"{512 * MIB}\n",
            "pods/media/memory.current": f"{100 * MIB}\n",
            "pods/media/memory.stat": f"anon 1\ninactive_file {10 * MIB}\n",
            "pods/media/memory.events": "low 0\nhigh 0\nmax 9\noom 2\noom_kill 2\n",
            "pods/media/memory.high": "max\n",
            "pods/media/cpu.max": "200000 100000\n",
            "pods/media/pids.max": "max\n",
            "pods/memory.max": f"{256 * MIB}\n",
            "pods/memory.high": f"{200 * MIB}\n",
            "pods/memory.current": f"{200 * MIB}\n",
            "pods/memory.stat": f"inactive_file {50 * MIB}\n",
            "pods/memory.pressure": "some avg10=4.00 avg60=0.00 avg300=0.00 total=1\n",
            "pods/pids.max": "100\n",
            "pods/pids.current": "42\n",
            "pods/cpu.max": "150000 100000\n",
        },
    )
    assert found == Cgroup(
        version=2, path="/pods/media", mem_limit=256 * MIB, mem_high=200 * MIB, mem_current=200 * MIB, mem_used=150 * MIB,
        pids_limit=100, pids_current=42, cpus=1.5, mem_stall_share=0.04, oom_kills=2,
    )  # fmt: skip


def test_version_1_each_controller_has_its_own_way(tmp_path: Path) -> None:
    """Memory, pids and cpu stand in hierarchies of their own; a parent's limit that cannot be seen is told by memory.stat."""
    found = group(
        tmp_path,
        "8:pids:/p\n4:memory:/docker/abc\n1:cpu,cpuacct:/\n0::/\n",
        "35 31 0:32 /docker/abc {cg}/memory rw - cgroup cgroup rw,memory\n"
        "36 31 0:33 / {cg}/pids rw - cgroup cgroup rw,pids\n"
        "37 31 0:34 / {cg}/cpu rw - cgroup cgroup rw,cpu,cpuacct\n"
        "38 31 0:35 / {cg}/unified rw - cgroup2 cgroup2 rw\n",
        {
            "memory/memory.limit_in_bytes": "9223372036854771712\n",
            "memory/memory.usage_in_bytes": f"{80 * MIB}\n",
            "memory/memory.stat": f"hierarchical_memory_limit {128 * MIB}\ninactive_file 1\ntotal_inactive_file {30 * MIB}\n",
            "memory/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 1\n",
            "pids/p/pids.max": "50\n",
            "pids/p/pids.current": "7\n",
            "cpu/cpu.cfs_quota_us": "50000\n",
            "cpu/cpu.cfs_period_us": "100000\n",
        },
    )
    assert found == Cgroup(
        version=1, path="/docker/abc", mem_limit=128 * MIB, mem_current=80 * MIB, mem_used=50 * MIB, pids_limit=50, pids_current=7,
        cpus=0.5, oom_kills=1,
    )  # fmt: skip


def test_no_limits_and_no_control_groups(tmp_path: Path) -> None:
    """Without limits they are None; without a mount that shows the group, or a path that leads out of ours, there is no group."""
    found = group(tmp_path / "a", "0::/x\n", V2, {"x/memory.max": "max\n", "x/memory.current": "5\n"})
    assert found is not None
    assert (found.mem_limit, found.mem_used, found.pids_limit, found.cpus, found.oom_kills) == (
        None,
        5,
        None,
        None,
        None,
    )
    assert group(tmp_path / "b", "0::/x\n", "", {}) is None
    assert group(tmp_path / "c", "0::/../other\n", V2, {"x/memory.max": "1\n"}) is None
    assert group(tmp_path / "d", "nonsense", V2, {}) is None


def test_a_container_with_groups_of_its_own(tmp_path: Path) -> None:
    """Where our own mounts do not show the group, those of the process do, below its root."""
    inside = tmp_path / "proc" / str(PID) / "root" / "sys" / "fs" / "cgroup"
    inside.mkdir(parents=True)
    (inside / "memory.max").write_text("1048576\n")
    mounts = "30 23 0:26 /../media /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"
    files = {f"{PID}/cgroup": "0::/\n", f"{PID}/mountinfo": mounts}
    found = look(PID, root=grow(tmp_path / "proc", files=files)).cgroup
    assert found is not None
    assert found.mem_limit == MIB
