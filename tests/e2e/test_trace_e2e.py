"""Our reading of a trace beside Go's own: every event, every creation, every profile `go tool trace` can make."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest

from parkwarden.formats import _trace_scan, trace

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
VERSIONS = ["1.22", "1.23", "1.24", "1.25", "1.26", "1.27"]


@pytest.fixture(scope="module")
def busy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A fresh trace of a busy program, 2 MB."""
    out = tmp_path_factory.mktemp("trace") / "busy.trace"
    subprocess.run([sys.executable, str(ROOT / "bench" / "gen_trace.py"), str(out), "--mb", "2"], check=True)
    return out


def run(*command: str) -> bytes:
    return subprocess.run(
        command, check=True, stdout=subprocess.PIPE, env={**os.environ, "GOTOOLCHAIN": "local"}
    ).stdout


def check_events(go: str, path: Path) -> None:
    """Events of every kind as `go tool trace -d=parsed` lists them."""
    lines = [x for x in run(go, "tool", "trace", "-d=parsed", str(path)).decode().splitlines() if x.startswith("M=")]
    found = trace.read(path.read_bytes()).trace
    assert found is not None
    counts = _trace_scan.scan(path.read_bytes(), int(found.version[2:])).counts
    switches = int(counts[45] + counts[46])  # Go shows each as three events
    samples = sum(" Sample " in x for x in lines)
    syncs = sum(" Sync " in x for x in lines)
    assert syncs == found.generations + 1
    assert found.events == len(lines) - syncs - samples - 2 * switches
    created = sum(bool(re.search(r"GoID=\d+ NotExist->(Runnable|Waiting)", x)) for x in lines)
    ended = sum("->NotExist" in x and "GoID" in x for x in lines)
    assert (found.created, found.ended) == (created, ended)
    alive = {m[1] for x in lines if (m := re.search(r" GoID=(\d+) \w+->(?!NotExist)", x))}
    alive -= {m[1] for x in lines if (m := re.search(r" GoID=(\d+) \w+->NotExist", x))}
    assert found.census is not None
    assert {str(g) for g in found.census.goid.tolist()} == alive


@pytest.mark.parametrize("version", VERSIONS)
def test_events_of_goldens_are_go_s_own(go: str, data: Path, version: str) -> None:
    """Nothing is missed and nothing invented in the traces of any Go version."""
    check_events(go, data / "trace" / version / "sample.trace")


def test_events_of_a_busy_trace_are_go_s_own(go: str, busy: Path) -> None:
    """The same for some 400,000 events on several threads."""
    check_events(go, busy)


def check_timeline(go: str, path: Path) -> None:
    """Who is in which state at every edge that no event is near, and for how long, as Go's own reader has it."""
    data = path.read_bytes()
    found = trace.read(data, timeline=True).trace
    assert found is not None
    line = found.timeline
    assert line is not None
    begin = _trace_scan.scan(data, int(found.version[2:])).begin_ns
    text = run(go, "tool", "trace", "-d=parsed", str(path)).decode()
    seen = re.findall(r"StateTransition Time=(\d+) GoID=(\d+) (\w+)->(\w+) Reason=\"(.*?)\"", text)
    place = {state: i for i, state in enumerate(line.states)}
    times: list[float] = []
    changes: list[tuple[float, int, int]] = []
    now: dict[str, int] = {}
    for at, goid, before, after, reason in seen:
        t = float(at) - begin
        times.append(t)
        name = (reason or "waiting") if after == "Waiting" else after.lower()
        if name == "waiting" and before != "Undetermined":
            name = "coroutine" if "coroutine" in place else name  # Go tells no reason where one coroutine runs another
        state = place.get(name, -1)
        assert (state < 0) == (after == "NotExist"), name
        if before == "Undetermined" and goid not in now:
            t = -1.0  # in this state since before the trace
        if (old := now.get(goid, -1)) >= 0:
            changes.append((t, old, -1))
        if state >= 0:
            changes.append((t, state, 1))
        now[goid] = state
    changes.sort(key=lambda c: c[0])
    when = np.array([c[0] for c in changes])
    counts = np.zeros((len(changes) + 1, len(place)), dtype=np.int64)
    for i, (_, state, sign) in enumerate(changes):
        counts[i + 1] = counts[i]
        counts[i + 1, state] += sign
    edges = line.time_ns(np.arange(1, line.bins, max(line.bins // 2000, 1)))
    all_times = np.sort(np.array(times))
    # Go lets every event be a nanosecond after the one before, we do not
    alone = np.searchsorted(all_times, edges + 100) == np.searchsorted(all_times, edges - 100)
    assert alone.sum() > 100  # the busier the machine the fewer
    theirs = counts[np.searchsorted(when, edges[alone])]
    assert np.array_equal(line.counts[edges[alone] // line.bin_ns], theirs)
    spent = np.zeros(len(place))
    for i in range(len(changes)):
        until = when[i + 1] if i + 1 < len(changes) else line.duration_ns
        spent += counts[i + 1] * (max(until, 0.0) - max(when[i], 0.0))
    assert line.spent[-1] == pytest.approx(spent, rel=0.002, abs=2_000)


@pytest.mark.parametrize("version", VERSIONS)
def test_states_over_time_of_goldens_are_go_s_own(go: str, data: Path, version: str) -> None:
    """Every Go version's statuses, statuses with stacks, switches and system calls lead to the states Go's reader tells."""
    check_timeline(go, data / "trace" / version / "sample.trace")


def test_states_over_time_of_a_busy_trace_are_go_s_own(go: str, busy: Path) -> None:
    """The same for 400,000 events on several threads, with collections."""
    check_timeline(go, busy)


@pytest.mark.parametrize("kind", ["sched", "syscall", "net", "sync"])
def test_waits_equal_go_tool_trace_s_profiles(go: str, busy: Path, tmp_path: Path, kind: str) -> None:
    """Counts by stack are equal and times within 1 %, over all ended waits."""
    reasons = {
        "sched": lambda r: r == "scheduler",
        "syscall": lambda r: r == "syscall",
        "net": lambda r: r == "network",
        "sync": lambda r: "chan" in r or "sync" in r or "select" in r,  # cmd/trace/pprof.go: computePprofBlock
    }[kind]
    theirs = profile(go, run(go, "tool", "trace", f"-pprof={kind}", str(busy)), tmp_path)
    found = _trace_scan.scan(busy.read_bytes(), 26)
    words = trace._Words(found)
    ours: dict[tuple[str, ...], list[int]] = defaultdict(lambda: [0, 0])
    for count, total, _most, stack, reason, _state in found.waits.tolist():
        if count and reasons(words.reason(reason)):
            # a frame that has no name in the trace's strings is one for us; `go tool pprof` leaves it out
            key = tuple(f.function for f in words.frames(stack) if f.function)
            ours[key][0] += count
            ours[key][1] += total
    assert theirs
    assert set(theirs) <= set(ours)
    more = {key: ours[key][0] - theirs[key][0] for key in ours if ours[key][0] != theirs[key][0]}
    # Go leaves out what is before a goroutine's first run in the trace (cmd/trace/pprof.go: pprofMatchingGoroutines);
    # for those born in it we call that "first run", of the few older ones it is here
    assert all(n > 0 for n in more.values())
    assert sum(more.values()) <= (20 if kind == "sched" else 0)
    for key, (count, total) in theirs.items():
        if key not in more:
            assert ours[key][1] == pytest.approx(total, rel=0.01, abs=10 * count), key


def profile(go: str, packed: bytes, folder: Path) -> dict[tuple[str, ...], list[int]]:
    """Stack (functions, leaf first) -> [count, nanoseconds] of a profile, as pprof itself reads it."""
    path = folder / "profile.pb.gz"
    path.write_bytes(packed)
    text = run(go, "tool", "pprof", "-raw", str(path)).decode()
    functions = dict(re.findall(r"^ +(\d+): 0x[0-9a-f]+ (?:M=\d+ )?(\S+) ", text, re.M))
    found: dict[tuple[str, ...], list[int]] = defaultdict(lambda: [0, 0])
    for count, total, stack in re.findall(r"^ +(\d+) +(\d+):((?: \d+)*)", text[text.index("Samples") :], re.M):
        key = tuple(functions[i] for i in stack.split())
        found[key][0] += int(count)
        found[key][1] += int(total)
    return found


def test_ten_thousand_blocked_goroutines_in_50_ms(go: str, tmp_path: Path) -> None:
    """A short trace of a program with 10,000 blocked goroutines is a census of all of them, each with its stack."""
    (tmp_path / "go.mod").write_text("module crowd\n\ngo 1.23\n")
    (tmp_path / "main.go").write_text(CROWD)
    env = {**os.environ, "GOTOOLCHAIN": "local", "CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false"}
    subprocess.run([go, "build", "-o", "crowd", "."], cwd=tmp_path, env=env, check=True)
    subprocess.run([str(tmp_path / "crowd"), "10000"], cwd=tmp_path, check=True)
    artefact = trace.read((tmp_path / "out.trace").read_bytes())
    census = artefact.snapshot
    assert census is not None
    blocked = [i for i, s in enumerate(census.stacks) if any(f.function in ("main.even", "main.odd") for f in s.frames)]
    rows = [int(r) for r in census.stack if r in blocked]
    assert len(rows) == 10_000
    assert {census.stacks[r].frames[-1].function for r in rows} == {"main.even", "main.odd"}
    assert not [p for p in artefact.problems if p.code != "unknown-site"]


CROWD = r"""
package main

import (
	"os"
	"runtime/trace"
	"strconv"
	"time"
)

func even(c chan int) { <-c }
func odd(c chan int)  { c <- 1 }

func main() {
	n, _ := strconv.Atoi(os.Args[1])
	receivers, senders := make(chan int), make(chan int)
	for i := 0; i < n; i++ {
		if i%2 == 0 {
			go even(receivers)
		} else {
			go odd(senders)
		}
	}
	time.Sleep(100 * time.Millisecond)
	file, _ := os.Create("out.trace")
	trace.Start(file)
	time.Sleep(50 * time.Millisecond)
	trace.Stop()
	file.Close()
}
"""


def test_go_s_own_cases_of_order_are_understood(go: str) -> None:
    """Go's test cases for hard orders (stolen processors, threads that come again): every event, nothing by force."""
    cases = Path(run(go, "env", "GOROOT").decode().strip()) / "src" / "internal" / "trace" / "testdata" / "tests"
    seen = 0
    for path in sorted(cases.glob("*.test")):
        text = path.read_text()
        if "-- expect --\nSUCCESS" not in text:
            continue
        raw, events = assemble(text[text.index("-- trace --\n") + 12 :])
        artefact = trace.read(raw)
        odd = {p.code for p in artefact.problems} - {"unknown-site", "no-events"}
        assert (path.name, odd, artefact.records) == (path.name, set(), events)
        seen += 1
    assert seen >= 15


NAMES = re.findall(
    r"\w+",
    "EventBatch Stacks Stack Strings String CPUSamples CPUSample Frequency ProcsChange ProcStart ProcStop ProcSteal "
    "ProcStatus GoCreate GoCreateSyscall GoStart GoDestroy GoDestroySyscall GoStop GoBlock GoUnblock GoSyscallBegin "
    "GoSyscallEnd GoSyscallEndBlocked GoStatus STWBegin STWEnd GCActive GCBegin GCEnd GCSweepActive GCSweepBegin "
    "GCSweepEnd GCMarkAssistActive GCMarkAssistBegin GCMarkAssistEnd HeapAlloc HeapGoal GoLabel UserTaskBegin "
    "UserTaskEnd UserRegionBegin UserRegionEnd UserLog GoSwitch GoSwitchDestroy GoCreateBlocked GoStatusStack "
    "ExperimentalBatch Sync ClockSnapshot EndOfGeneration",
)
TIMED = {name for i, name in enumerate(NAMES, 1) if 9 <= i <= 48}


def assemble(text: str) -> tuple[bytes, int]:
    """Go's text form of a trace (internal/trace/raw) as bytes, and how many timed events it holds."""
    lines = text.splitlines()
    out = [lines[0].replace("Trace Go", "go ").encode() + b" trace\0\0\0"]
    batch: list[bytes] = []
    head: list[int] = []
    events = 0

    def flush() -> None:
        if head:
            data = b"".join(batch)
            out.append(b"\x01" + b"".join(map(uvarint, (*head, len(data)))) + data)
        batch.clear()
        head.clear()

    for line in lines[1:]:
        words = line.split()
        if not words:
            continue
        if line.startswith("\tdata="):
            value = line[len("\tdata=") :].strip('"').encode()
            batch.append(uvarint(len(value)) + value)
            continue
        values = [int(v, 0) for _, _, v in (w.partition("=") for w in words) if v]
        if line.startswith("\t"):
            batch.append(b"".join(map(uvarint, values)))
            continue
        kind = NAMES.index(words[0]) + 1
        events += words[0] in TIMED
        if words[0] == "EventBatch":
            flush()
            head.extend(values[:3])
        elif words[0] == "EndOfGeneration":
            flush()
            out.append(b"\x34")
        else:
            batch.append(bytes([kind]) + b"".join(map(uvarint, values)))
    flush()
    return b"".join(out), events


def uvarint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
