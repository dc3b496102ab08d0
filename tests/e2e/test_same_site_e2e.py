"""One process, four kinds of look, two runs: the same goroutines must be the same sites with the same counts."""

from __future__ import annotations

import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from parkwarden.formats.detect import read_bytes
from parkwarden.model import Cluster, Snapshot
from parkwarden.stacks.cluster import clusters
from parkwarden.stacks.normalise import site_of

PROGRAM = Path(__file__).parent / "programs" / "samesite"
LOOKS = ("dump.txt", "text.txt", "goroutine.pb.gz", "trace.out")
KINDS = 35
"""Ways of blocking in the program, of which some share a line."""

REASONS = {
    "main.parkReceive": "chan receive",
    "main.parkSend": "chan send",
    "main.parkNilReceive": "chan receive",
    "main.parkNilSend": "chan send",
    "main.parkSelect": "select",
    "main.parkSelectNone": "select (no cases)",
    "main.parkMutex": "sync.Mutex.Lock",
    "main.parkRWLock": "sync.Mutex.Lock",  # another writer holds it: Go waits for the mutex inside
    "main.parkRWRLock": "sync.RWMutex.RLock",
    "main.parkWaitGroup": "sync.WaitGroup.Wait",
    "main.parkCond": "sync.Cond.Wait",
    "main.parkSleep": "sleep",
    "main.parkAccept": "IO wait",
    "main.parkNetRead": "IO wait",
    "main.parkPipe": "IO wait",
    "main.parkSyscall": "syscall",
}


@pytest.fixture(scope="module")
def looks(go_build: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Snapshot]:
    """(run, file) -> snapshot; the second run recurses deeper and has other addresses and ids."""
    program = go_build(PROGRAM)
    found: dict[tuple[str, str], Snapshot] = {}
    for run, depth in (("first", "5"), ("second", "20")):
        out = tmp_path_factory.mktemp(run)
        subprocess.run([program, out, depth], check=True, timeout=60)
        for name in LOOKS:
            (artefact,) = read_bytes((out / name).read_bytes(), name)
            assert artefact.snapshot is not None, (name, artefact.problems)
            found[run, name] = artefact.snapshot
    return found


def _parked(snapshot: Snapshot) -> Counter[str]:
    """Site id -> goroutines, of those that the program parked on purpose."""
    sites: Counter[str] = Counter()
    for stack, count in zip(snapshot.stack.tolist(), snapshot.count.tolist(), strict=True):
        site = site_of(snapshot.stacks[stack])
        if any(".park" in frame.function and frame.function.startswith("main.") for frame in site.frames):
            sites[site.id] += count
    return sites


@pytest.mark.e2e
def test_site_ids_and_counts_are_equal_across_artefacts_and_restarts(
    looks: dict[tuple[str, str], Snapshot],
) -> None:
    """Dump, debug=1 text, protobuf profile and trace of one process, and of the next: equal ids, equal counts."""
    first = _parked(looks["first", "dump.txt"])
    assert len(first) >= KINDS - 2
    assert first.total() >= KINDS
    for key, snapshot in looks.items():
        assert _parked(snapshot) == first, key


@pytest.mark.e2e
def test_clusters_over_all_looks_count_alike(looks: dict[tuple[str, str], Snapshot]) -> None:
    """Joint clusters see every parked goroutine in every look, whatever it came from."""
    found = clusters(list(looks.values()))
    parked = [c for c in found if ".park" in c.site.function]
    assert parked
    for cluster in parked:
        assert len(set(cluster.counts)) == 1, cluster.site


@pytest.mark.e2e
@pytest.mark.parametrize("name", ["dump.txt", "goroutine.pb.gz", "trace.out"])
def test_wait_reasons_are_equal_across_artefacts(looks: dict[tuple[str, str], Snapshot], name: str) -> None:
    """From a header's state, a profile's frames or a trace's statuses: Go's one word (nil channels only dumps know)."""
    found: dict[str, Cluster] = {c.site.function: c for c in clusters([looks["first", name]])}
    told = {function: found[function].site.wait_reason.removesuffix(" (nil chan)") for function in REASONS}
    assert told == REASONS
