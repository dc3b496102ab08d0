"""One judge: the same looks, heard by `check`, fed by `watch`'s collector or replayed from a recording, end in the same findings."""

from __future__ import annotations

from pathlib import Path

import pytest

from parkwarden.collect.fleet.sites import sites_of
from parkwarden.collect.fleet.telling import Teller
from parkwarden.formats.recording import write
from parkwarden.model import (
    Artefact,
    Event,
    Finding,
    Frame,
    Instance,
    Kind,
    Read,
    Reading,
    Source,
    Stack,
    Started,
    Verdict,
    make_snapshot,
)
from parkwarden.report.redact import Redactor
from parkwarden.run.engine import TICK_S, Engine
from parkwarden.run.hearing import Hearing
from parkwarden.run.replay import Options, replay

BEGAN = 1_000_000.0
WHO = "http://127.0.0.1:6060"


def stack(name: str) -> Stack:
    return Stack(
        (Frame("runtime.gopark", "proc.go", 1), Frame(f"main.{name}", "main.go", 7)), Frame("main.up", "m.go", 3)
    )


STACKS = [stack("leak"), stack("pool"), stack("request")]


def artefact(kind: Kind, source: Source, who: dict[int, int]) -> Artefact:
    """One look at goroutines: id -> stack."""
    ids = sorted(who)
    states = {Source.PROFILE: [""], Source.LEAK_PROFILE: [""]}.get(source, ["chan receive"])
    named = source in (Source.CENSUS, Source.DUMP)
    snapshot = make_snapshot(
        source, STACKS, [who[i] for i in ids], goid=ids if named else None, states=states, state=[0] * len(ids)
    )
    return Artefact(name=source.value, kind=kind, size=1, snapshot=snapshot)


def looks(leak_every_s: float, *, proven: bool, source: Source = Source.CENSUS) -> list[tuple[float, Artefact]]:
    """A check of 40 s: a pool of 20, requests that last a second and, where it leaks, goroutines that stay."""
    found: list[tuple[float, Artefact]] = []
    for second in range(41):
        leaked = int(second / leak_every_s) if leak_every_s else 0
        who = {10 + i: 1 for i in range(20)} | {100 + 10 * second + i: 2 for i in range(3)}
        who |= {105 + 10 * int(i * leak_every_s): 0 for i in range(leaked)}
        if second % 5 == 0:
            page = Reading(goroutines=len(who), heap_inuse=1 << 22, start_time=BEGAN - 3600.0)
            found.append((second, Artefact(name="metrics", kind=Kind.METRICS, size=1, reading=page)))
        found.append((second + 0.1, artefact(Kind.GOROUTINE_PROFILE, Source.PROFILE, who)))
        if second % 2 == 0:
            found.append((second + 0.2, artefact(Kind.TRACE, source, who)))
        if proven and second == 39:
            gone = {i: 0 for i, of in who.items() if of == 0}
            found.append((second + 0.5, artefact(Kind.GOROUTINELEAK_PROFILE, Source.LEAK_PROFILE, gone)))
    return [(BEGAN + at, one) for at, one in found]


def told(findings: list[Finding]) -> list[tuple[object, ...]]:
    """What is said, without the words of time that only a replay tells."""
    return sorted(
        (f.site.id if f.site else "", f.code, f.verdict.value, f.count, f.rate_per_min, f.confidence, f.title, f.since)
        for f in findings
    )  # fmt: skip


def checked(seen: list[tuple[float, Artefact]], events: list[Event] | None = None) -> list[Finding]:
    hearing = Hearing(WHO, Redactor(False), record=None if events is None else events.append)
    for at, one in seen:
        hearing.heard(one, at)
    tick = hearing.end()
    assert tick is not None
    return tick.findings


def watched(seen: list[tuple[float, Artefact]]) -> list[Finding]:
    """As run/watch.py does it: the collector's events into the engine, and a tick every TICK_S."""
    engine = Engine()
    teller = Teller(engine.feed)
    engine.feed(Started(Instance(id=WHO, address=WHO, start_time=BEGAN - 3600.0), seen[0][0]))
    due, tick = BEGAN, engine.tick(BEGAN)
    for at, one in seen:
        while due < at:
            tick, due = engine.tick(due), due + TICK_S
        if one.snapshot is not None:
            teller.sites(WHO, one.snapshot.source, sites_of(one.snapshot), at)
        elif one.reading is not None:
            one.reading.at = at
            engine.feed(Read(at, WHO, one.reading))
    tick = engine.tick(due)
    return tick.findings


@pytest.mark.parametrize("source", [Source.CENSUS, Source.DUMP])
@pytest.mark.parametrize(("leak_every_s", "proven"), [(2.0, True), (2.0, False), (0.0, False)])
def test_the_same_looks_end_in_the_same_findings(
    tmp_path: Path, leak_every_s: float, proven: bool, source: Source
) -> None:
    """Site, verdict and numbers are the same from `check`, from `watch` and from `replay` of what `check` recorded."""
    events: list[Event] = []
    by_check = checked(looks(leak_every_s, proven=proven, source=source), events)
    by_watch = watched(looks(leak_every_s, proven=proven, source=source))
    file = tmp_path / "seen.jsonl"
    file.write_bytes(b"".join(map(write, events)))
    by_replay = replay([str(file)], Options(redact=False)).report.findings
    assert told(by_check) == told(by_watch)
    last = {(f.site.id if f.site else "", f.code) for f in by_check}
    worst = [f for f in by_replay if (f.site.id if f.site else "", f.code) in last]
    assert [f for f in told(worst) if f[2] == "leak"] == [f for f in told(by_check) if f[2] == "leak"]
    assert [f for f in by_replay if f.verdict is Verdict.LEAK and f not in worst] == []
    leaks = [f for f in by_check if f.verdict is Verdict.LEAK]
    assert all(f.site is not None and f.site.function == "main.leak" for f in leaks)
    assert bool(leaks) >= proven


def test_a_dump_stands_in_for_a_census() -> None:
    """Text dumps name ids too: what stays is found by them where Go is too old, or where nothing may be traced."""
    seen: list[Event] = []
    checked(looks(2.0, proven=False, source=Source.DUMP), seen)
    kinds = {type(event).__name__ for event in seen}
    assert "Census" in kinds
    assert "Leaked" not in kinds
