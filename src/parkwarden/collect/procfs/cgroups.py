"""The control groups of a process, version 1 and 2: its limits and what counts against them.

A limit binds wherever it stands between the process and the root, so the lowest one on the way is told, with the use of the group
it stands at. From inside a container only the part of the way that is mounted can be seen; version 1 tells the lowest memory limit
of all parents anyway (`hierarchical_memory_limit`).

Sources: Documentation/admin-guide/cgroup-v2.rst, cgroup-v1/memory.rst, cgroup-v1/pids.rst, scheduler/sched-bwc.rst.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from parkwarden.collect.procfs import texts
from parkwarden.collect.procfs.files import Proc
from parkwarden.model.local import Cgroup

MAX_DEPTH = 32
"""Groups on the way to the root: Kubernetes makes five; deeper nesting than this is somebody's mistake."""


def cgroup(proc: Proc, pid: int) -> Cgroup | None:
    """The control group that limits a process, None where the system has none or shows none."""
    told = proc.text(proc.path(pid, "cgroup"), wanted=False)
    if not told:
        return None
    paths = texts.cgroup_paths(told)
    mounts = _mounts(proc, pid)
    memory = _way(mounts, paths, "memory")
    if memory is not None and memory.version == 1:
        return _version_1(proc, mounts, paths, memory)
    unified = _way(mounts, paths, "")
    return None if unified is None else _version_2(proc, unified)


@dataclass(frozen=True, slots=True)
class _Way:
    """Folders from the process's own group up to the mount, nearest first."""

    version: int
    path: str
    folders: list[str]


def _mounts(proc: Proc, pid: int) -> list[tuple[texts.Mount, str]]:
    """Mounts with the folder each is reached by: ours, then those of the process itself (a container with groups of its own)."""
    found: list[tuple[texts.Mount, str]] = []
    for who, before in (("self", ""), (str(pid), proc.path(pid, "root"))):
        text = proc.text(proc.path(who, "mountinfo"), wanted=False) or ""
        found += [(mount, before + mount.point) for mount in texts.cgroup_mounts(text)]
    return found


def _way(mounts: list[tuple[texts.Mount, str]], paths: Mapping[str, str], controller: str) -> _Way | None:
    """The way of one controller ("" = version 2), None where its folder cannot be seen."""
    path = paths.get(controller)
    if path is None:
        return None
    for mount, point in mounts:
        if (controller not in mount.controllers) if controller else mount.version != 2:
            continue
        inside = _below(path, mount.root)
        if inside is None:
            continue
        parts = [part for part in inside.split("/") if part][-MAX_DEPTH:]
        folders = ["/".join((point, *parts[:n])) for n in range(len(parts), -1, -1)]
        if os.path.isdir(folders[0]):
            return _Way(mount.version, path, folders)
    return None


def _below(path: str, root: str) -> str | None:
    """The path as seen from a mount of `root`: "" for the root itself, None where it is not below it (`/..` leads out of a namespace)."""
    if "/.." in path:
        return None
    root = root.rstrip("/")
    if not root or path == root or path.startswith(f"{root}/"):
        return path.removeprefix(root).strip("/")
    return None


def _lowest(proc: Proc, way: _Way, name: str) -> tuple[int | None, str]:
    """(the lowest limit on the way, the folder it stands in); without one the process's own folder."""
    best: tuple[int | None, str] = (None, way.folders[0])
    for folder in way.folders:
        limit = texts.number(proc.text(f"{folder}/{name}", wanted=False))
        if limit is not None and (best[0] is None or limit < best[0]):
            best = limit, folder
    return best


def _version_2(proc: Proc, way: _Way) -> Cgroup:
    own = way.folders[0]
    limit, at = _lowest(proc, way, "memory.max")
    current = _number(proc, f"{at}/memory.current")
    stat = texts.numbers(proc.text(f"{at}/memory.stat", wanted=False) or "")
    pids, pids_at = _lowest(proc, way, "pids.max")
    quotas = [q for f in way.folders if (q := texts.quota(proc.text(f"{f}/cpu.max", wanted=False))) is not None]
    events = texts.numbers(proc.text(f"{own}/memory.events", wanted=False) or "")
    pressure = proc.text(f"{at}/memory.pressure", wanted=False) or proc.text(proc.path("pressure/memory"), wanted=False)
    return Cgroup(
        version=2,
        path=way.path,
        mem_limit=limit,
        mem_high=_lowest(proc, way, "memory.high")[0],
        mem_current=current,
        mem_used=_used(current, stat.get("inactive_file")),
        pids_limit=pids,
        pids_current=_number(proc, f"{pids_at}/pids.current"),
        cpus=min(quotas, default=None),
        mem_stall_share=texts.stall_share(pressure),
        oom_kills=events.get("oom_kill"),
    )


def _version_1(proc: Proc, mounts: list[tuple[texts.Mount, str]], paths: Mapping[str, str], way: _Way) -> Cgroup:
    limit, at = _lowest(proc, way, "memory.limit_in_bytes")
    current = _number(proc, f"{at}/memory.usage_in_bytes")
    stat = texts.numbers(proc.text(f"{at}/memory.stat", wanted=False) or "")
    above = stat.get("hierarchical_memory_limit")
    if above is not None and above < texts.NO_LIMIT and (limit is None or above < limit):
        limit = above
    control = texts.numbers(proc.text(f"{way.folders[0]}/memory.oom_control", wanted=False) or "")
    told = Cgroup(
        version=1,
        path=way.path,
        mem_limit=limit,
        mem_current=current,
        mem_used=_used(current, stat.get("total_inactive_file", stat.get("inactive_file"))),
        mem_stall_share=texts.stall_share(proc.text(proc.path("pressure/memory"), wanted=False)),
        oom_kills=control.get("oom_kill"),
    )
    if (pids := _way(mounts, paths, "pids")) is not None:
        most, where = _lowest(proc, pids, "pids.max")
        told = replace(told, pids_limit=most, pids_current=_number(proc, f"{where}/pids.current"))
    if (cpu := _way(mounts, paths, "cpu")) is not None:
        told = replace(told, cpus=min(_quotas_1(proc, cpu), default=None))
    return told


def _quotas_1(proc: Proc, way: _Way) -> Iterator[float]:
    for folder in way.folders:
        most = _number(proc, f"{folder}/cpu.cfs_quota_us")  # -1 = none, which is no number to us
        period = _number(proc, f"{folder}/cpu.cfs_period_us")
        if most and period:
            yield most / period


def _number(proc: Proc, path: str) -> int | None:
    return texts.number(proc.text(path, wanted=False))


def _used(current: int | None, inactive_file: int | None) -> int | None:
    """What cannot be reclaimed without pain: the same sum as the kubelet's working set."""
    return None if current is None else max(0, current - (inactive_file or 0))
