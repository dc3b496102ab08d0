"""What the protobuf and the text reader of profiles share: the kind, build facts, the snapshot."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from parkwarden.formats._problems import Problems
from parkwarden.model import BuildInfo, Frame, Kind, Mark, Profile, Snapshot, Source, Stack, make_snapshot

MAX_COUNT = 1 << 40
"""Goroutines in one record; more cannot be (each has a stack of 2 kB) and would overflow sums."""
SNIPPET = 60
"""Characters of input shown in a problem."""
GOID, PARENT, STATE, WAIT = (
    "go::goroutine",
    "go::goroutine_created_by",
    "go::goroutine_state",
    "go::goroutine_wait_minutes",
)
"""Labels of vendor runtimes' debug=3 goroutine profiles (CockroachDB's Go: runtime/pprof/pprof.go)."""

_TOOLCHAIN = re.compile(r"/toolchain@v0\.0\.1-(go[0-9][0-9A-Za-z.]{0,20})\.[a-z0-9]+-[a-z0-9]+/")
_MODULE = re.compile(r"(?:^|/pkg/mod/)([^@\s]{1,200})@v[0-9][^/\s]{0,80}/")
_BY_TYPE = {
    "goroutine": Kind.GOROUTINE_PROFILE,
    "goroutines": Kind.GOROUTINE_PROFILE,
    "goroutineleak": Kind.GOROUTINELEAK_PROFILE,
    "threadcreate": Kind.THREADCREATE_PROFILE,
    "cpu": Kind.CPU_PROFILE,
}


def kind_of(types: Sequence[str], default: str, leaves: Iterable[tuple[str, int]]) -> tuple[Kind, bool]:
    """The kind of a profile and whether that is certain.

    `types` are the sample types' names, `default` the default one, `leaves` (function, count) of the stacks' leaves.
    Block and mutex profiles have the same sample and period types (runtime/pprof/pprof.go: printCountCycleProfile), so
    the leaf decides: contention on a mutex is recorded in Unlock (runtime/mprof.go: mutexevent; sync, internal/sync
    and the runtime's own unlock), blocking in what blocks. Without samples it cannot be known and is called block.
    """
    names = set(types)
    for name in types:
        if name in _BY_TYPE:
            return _BY_TYPE[name], True
    if names & {"inuse_space", "inuse_objects"}:
        return (Kind.ALLOCS_PROFILE if default in ("alloc_space", "alloc_objects") else Kind.HEAP_PROFILE), True
    if names & {"alloc_space", "alloc_objects"}:
        return Kind.ALLOCS_PROFILE, True
    if {"contentions", "delay"} <= names:
        unlock = other = 0
        for function, count in leaves:
            package = function.startswith(("sync.", "internal/sync.", "runtime."))
            if package and ("unlock" in function.lower() or "LostContended" in function):
                unlock += max(count, 1)
            else:
                other += max(count, 1)
        return (Kind.MUTEX_PROFILE if unlock > other else Kind.BLOCK_PROFILE), unlock + other > 0
    return Kind.OTHER_PROFILE, True


def build_of(files: Iterable[str], binary: str) -> BuildInfo | None:
    """Facts about the build that file names and the main mapping give away."""
    version = ""
    modules: set[str] = set()
    for file in files:
        if "@" not in file:
            continue
        found = _TOOLCHAIN.search(file)
        if found:
            version = version or found.group(1)
            continue
        module = _MODULE.search(file)
        if module and not module.group(1).endswith("/toolchain"):
            modules.add(re.sub("!([a-z])", lambda m: m.group(1).upper(), module.group(1)))
    if not (version or modules or binary):
        return None
    return BuildInfo(go_version=version, modules=tuple(sorted(modules)), binary=binary)


def snapshot_of(profile: Profile, kind: Kind, problems: Problems) -> tuple[Snapshot, int]:
    """The goroutines of a goroutine or goroutineleak profile, and how many records were lost on the way.

    The vendor labels become goid, parent, state and wait; all others stay labels.
    """
    leak = kind is Kind.GOROUTINELEAK_PROFILE
    counts = profile.values[:, 0] if profile.values.shape[1] else np.zeros(len(profile.stack), dtype=np.int64)
    good = (counts > 0) & (counts <= MAX_COUNT)
    lost = int((~good & (counts != 0)).sum())
    if lost:
        problems.add(
            "implausible-count", "", f"{lost:,} records count less than 0 or more than {MAX_COUNT:,} goroutines"
        )
    if leak:
        bare = np.array([all(f.function in ("", "0x0") for f in stack.frames) for stack in profile.stacks], dtype=bool)
        stale = good & bare[profile.stack] if bare.size else np.zeros_like(good)
        if stale.any():
            # runtime/mgc.go findGoroutineLeaks returns without setting work.goroutineLeak.count where it finds none, and
            # mprof.go makes as many records as the run before had, all of them empty (Go 1.27.3)
            told = int(counts[stale].sum())
            problems.add(
                "stale-count", "", f"{told:,} goroutines without a stack: Go repeats the number of an earlier run"
            )
            good &= ~stale
    rows = np.flatnonzero(good)
    labels, label, columns = _vendor(profile, profile.label[rows])
    states = [""]
    state_ids = {"": 0}
    for text in columns[STATE]:
        if text not in state_ids:
            state_ids[text] = len(states)
            states.append(text)
    pick = columns["row"]
    snapshot = make_snapshot(
        Source.LEAK_PROFILE if leak else Source.PROFILE,
        profile.stacks,
        profile.stack[rows],
        count=counts[rows],
        states=states,
        state=np.array([state_ids[s] for s in columns[STATE]], dtype=np.int64)[pick],
        labels=labels,
        label=label,
        goid=np.array(columns[GOID], dtype=np.int64)[pick],
        parent=np.array(columns[PARENT], dtype=np.int64)[pick],
        wait_min=np.array(columns[WAIT], dtype=np.int64)[pick],
        marks=np.full(len(rows), int(Mark.LEAKED) if leak else 0, dtype=np.int64),
        taken_at=profile.time_nanos / 1e9 if profile.time_nanos > 0 else None,
    )
    return snapshot, lost


def _vendor(profile: Profile, used: npt.NDArray[np.int64]) -> tuple[list[dict[str, str]], npt.NDArray[np.int64], dict]:  # type: ignore[type-arg]
    """Label sets without the vendor's, the rows' indexes into them, and the vendor's values per old label set."""
    labels: list[dict[str, str]] = [{}]
    known: dict[tuple[tuple[str, str], ...], int] = {(): 0}
    columns: dict[str, list] = {GOID: [], PARENT: [], STATE: [], WAIT: []}  # type: ignore[type-arg]
    moved: list[int] = []
    for old in profile.labels:
        rest = {k: v for k, v in old.items() if k not in columns}
        key = tuple(rest.items())
        if key not in known:
            known[key] = len(labels)
            labels.append(rest)
        moved.append(known[key])
        columns[GOID].append(_number(old.get(GOID), 0))
        columns[PARENT].append(_number(old.get(PARENT), 0))
        columns[WAIT].append(_number(old.get(WAIT), -1))
        columns[STATE].append(old.get(STATE, ""))
    return labels, np.array(moved, dtype=np.int64)[used], {**columns, "row": used}


def _number(text: str | None, missing: int) -> int:
    if text is None or not text.isascii() or not text.isdigit() or len(text) > 18:
        return missing
    return int(text)


def intern_stack(frames: tuple[Frame, ...], stacks: list[Stack], known: dict[object, int], elided: int = 0) -> int:
    """Index of the stack with these frames, added to the table if it is new."""
    key = (frames, elided)
    at = known.get(key)
    if at is None:
        at = known[key] = len(stacks)
        stacks.append(Stack(frames, None, elided))
    return at
