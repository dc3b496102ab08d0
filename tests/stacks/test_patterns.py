"""The atlas on saved looks of real programs, and the rules of accusation on clusters made by hand."""

from __future__ import annotations

import gzip
import re
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkwarden.formats.detect import read_bytes
from parkwarden.model import (
    Artefact,
    Case,
    Cluster,
    Creation,
    Frame,
    Kind,
    Look,
    Site,
    Source,
    SourceExcerpt,
    Stack,
    Trace,
    Verdict,
    Wait,
    make_snapshot,
)
from parkwarden.stacks.cluster import group, of_grouping
from parkwarden.stacks.patterns import PATTERNS, Accusation, Match, PatternContext, accuse, contexts, describe, match

GOLDENS = Path(__file__).parents[1] / "data" / "patterns"
SCENARIOS = {
    "nil-channel-send": "nil-channel",
    "rwlock-never-released": "lock-never-released",
    "ticker-stopped-loop": "ticker-never-stopped",
    "transport-per-request": "http-connection-not-closed",
} | {pattern: pattern for pattern in PATTERNS}
FILES = ("dump1.txt.gz", "dump2.txt.gz", "goroutine.pb.gz", "goroutineleak.pb.gz")
LOOK_AGAIN = {"spinning-loop", "transport-per-request"}
"""Two looks two seconds apart recognise these and do not accuse them: load looks like a spin, a pool like a leak."""


def judged(folder: Path, files: tuple[str, ...] = FILES) -> list[tuple[Cluster, list[Match], Accusation]]:
    artefacts = [a for name in files for a in read_bytes((folder / name).read_bytes(), name)]
    told = [(a, a.snapshot) for a in artefacts if a.snapshot is not None]
    leaks = [snapshot for _, snapshot in told if snapshot.source is Source.LEAK_PROFILE]
    looks = [Look(artefact=a, snapshot=s, at=a.taken_at) for a, s in told if s.source is not Source.LEAK_PROFILE]
    grouping = group([look.snapshot for look in looks], leaks)
    case = Case(artefacts=artefacts, looks=looks, clusters=of_grouping(grouping))
    known = contexts(case, grouping)
    return [(c, match(c, known[c.site.id]), accuse(c, known[c.site.id])) for c in case.clusters]


def accused(rows: list[tuple[Cluster, list[Match], Accusation]]) -> list[str]:
    return [m[0].pattern.id if m else "?" for _c, m, a in rows if a.verdict in (Verdict.SUSPECT, Verdict.LEAK)]


@pytest.mark.parametrize("scenario", sorted(SCENARIOS))
def test_the_leaking_crowd_is_recognised(scenario: str) -> None:
    """From four saved looks the crowd's best match is its pattern, and it is accused."""
    rows = judged(GOLDENS / scenario / "leak")
    crowd = [(m[0].pattern.id, a.verdict) for c, m, a in rows if c.count >= 100 and m]
    assert SCENARIOS[scenario] in [pattern for pattern, _ in crowd]
    if scenario not in LOOK_AGAIN:
        assert accused(rows) == [SCENARIOS[scenario]]


@pytest.mark.parametrize("scenario", sorted(SCENARIOS))
def test_the_twin_is_not_accused(scenario: str) -> None:
    """The innocent twin, with the same stack, is accused by no subset of the looks an operator may have saved."""
    for files in (FILES, FILES[:2], FILES[1:2], FILES[2:3]):
        assert accused(judged(GOLDENS / scenario / "innocent", files)) == [], files


def test_what_the_runtime_proved_is_a_leak() -> None:
    """Provable patterns are `leak` at once, whatever the time between looks."""
    for scenario in ("send-without-receiver", "range-never-closed", "waitgroup-without-done", "cond-without-signal"):
        rows = judged(GOLDENS / scenario / "leak")
        assert [a.verdict for _c, _m, a in rows if a.verdict.rank >= Verdict.SUSPECT.rank] == [Verdict.LEAK], scenario


def test_a_nil_channel_is_told_from_a_profile_alone() -> None:
    """The runtime's line where a nil channel parks tells it apart from an ordinary receive or send."""
    for scenario in ("nil-channel", "nil-channel-send"):
        rows = judged(GOLDENS / scenario / "leak", FILES[2:3])
        assert accused(rows) == ["nil-channel"]
    ordinary = judged(GOLDENS / "receive-never-closed" / "leak", FILES[2:3])
    assert not [c for c, _m, _a in ordinary if "nil" in c.site.wait_reason]


def test_a_polling_loop_is_not_a_channel_wait_in_a_profile() -> None:
    """`select` with `default` stands in runtime.chanrecv too, and does not wait there."""
    rows = judged(GOLDENS / "spinning-loop" / "leak", FILES[2:3])
    crowd = [(c.site.wait_reason, m[0].pattern.id) for c, m, _a in rows if c.count >= 50]
    assert crowd == [("", "spinning-loop")]


# --- contexts

PARKED = (Frame("runtime.gopark", "proc.go", 474), Frame("runtime.chanrecv", "chan.go", 667))
WAITS = Stack((*PARKED, Frame("runtime.chanrecv2", "chan.go", 514), Frame("main.follow", "f.go", 10)))
SPINS = Stack((Frame("main.spin", "f.go", 20),))
LOST = Stack((Frame("runtime.asyncPreempt2", "preempt.go", 320), Frame("runtime.asyncPreempt", "preempt.s", 124)))


def context_of(
    function: str, looks: list[tuple[float, Source, Stack, list[int]]], trace: Trace | None = None
) -> PatternContext:
    """The context of one function's cluster over looks of (time, kind, stack, ids)."""
    snapshots = [
        make_snapshot(kind, [WAITS, stack], [0, *[1] * len(ids)], goid=[0, *ids], taken_at=at)
        if kind is not Source.PROFILE
        else make_snapshot(kind, [WAITS, stack], [0, 1], count=[1, len(ids)], taken_at=at)
        for at, kind, stack, ids in looks
    ]
    artefacts = [Artefact(name="a", kind=Kind.TRACE, size=1, snapshot=s, trace=trace) for s in snapshots]
    grouping = group(snapshots)
    case = Case(
        artefacts=artefacts,
        looks=[Look(artefact=a, snapshot=s, at=s.taken_at) for a, s in zip(artefacts, snapshots, strict=True)],
        clusters=of_grouping(grouping),
    )
    known = contexts(case, grouping)
    return next(known[c.site.id] for c in case.clusters if c.site.function == function)


def test_ids_tell_who_stayed_left_and_was_born() -> None:
    """Over all looks: seen earlier and still there, seen earlier and gone, there now and not at first."""
    told = context_of(
        "main.follow",
        [(t, Source.CENSUS, WAITS, ids) for t, ids in ((0.0, [1, 2, 3]), (4.0, [2, 3, 4]), (10.0, [3, 4]))],
    )
    assert (told.stayed, told.left, told.born, told.span_s) == (2, 2, 1, 10.0)
    assert told.quiet == pytest.approx(0.6)
    assert told.operations["chanrecv2"] > 0


def test_looks_of_one_moment_are_one() -> None:
    """A census and a dump taken together tell nothing about staying."""
    told = context_of("main.follow", [(0.0, Source.CENSUS, WAITS, [1, 2, 3]), (0.1, Source.DUMP, WAITS, [1, 2, 3, 4])])
    assert (told.stayed, told.born, told.span_s) == (None, None, None)


def test_spinning_goroutines_without_a_stack_count_to_the_one_busy_crowd() -> None:
    """Traces show a preempted leaf function as asyncPreempt alone; a profile beside tells whose it is."""
    ids = list(range(1, 41))
    told = context_of(
        "main.spin",
        [
            (0.0, Source.PROFILE, SPINS, ids),
            (0.1, Source.CENSUS, LOST, ids),
            (9.0, Source.CENSUS, LOST, ids),
        ],
    )
    assert (told.stayed, told.left) == (40, 0)


def test_wakeups_are_waits_begun_by_those_who_were_there() -> None:
    """A wait that begins during the trace is a wake-up, unless its goroutine was born meanwhile."""
    wait = Stack(WAITS.frames[2:])
    trace = Trace(
        version="1.26",
        duration_s=0.1,
        started_at=0.0,
        events=9,
        generations=1,
        created=4,
        ended=0,
        creations=[
            Creation(
                stack=Stack((Frame("main.serve", "f.go", 3),)),
                start=Frame("main.follow", "f.go", 9),
                count=4,
                first_s=0,
                last_s=0.1,
                peak_per_s=40,
                alive=4,
            )
        ],
        waits=[
            Wait(stack=WAITS, reason="waiting", count=30, total_s=3.0, max_s=0.1, open=30),
            Wait(stack=wait, reason="chan receive", count=14, total_s=1.0, max_s=0.1, open=14),
        ],
        census=None,
    )
    assert context_of("main.follow", [(0.0, Source.CENSUS, WAITS, [1, 2])], trace).wakeups == 10


# --- the atlas itself


def test_every_pattern_explains_itself() -> None:
    """Ids are kebab-case, codes PW1xx and unique, and no text of a pattern is missing."""
    assert len(PATTERNS) >= 16
    assert len({p.code for p in PATTERNS.values()}) == len(PATTERNS)
    for pattern in PATTERNS.values():
        assert re.fullmatch(r"[a-z]+(-[a-z]+)*", pattern.id)
        assert re.fullmatch(r"PW1[0-9]{2}", pattern.code)
        for text in (pattern.title, pattern.meaning, pattern.why, pattern.look_for, pattern.cure, pattern.twin):
            assert len(text) > 10
        assert pattern.before.strip()
        assert pattern.after.strip()
        assert pattern.before != pattern.after


def test_patterns_are_found_by_id_and_code() -> None:
    """`explain` takes both; anything else is an error."""
    assert describe("nil-channel") is describe("pw108") is PATTERNS["nil-channel"]
    with pytest.raises(KeyError):
        describe("no-such-pattern")


# --- hand-made clusters


def cluster(
    *functions: str,
    reason: str = "chan receive",
    count: int = 100,
    created_by: str = "",
    counts: tuple[int, ...] = (),
    leaked: int = 0,
    wait_min: tuple[int, int] | None = None,
) -> Cluster:
    frames = tuple(Frame(name, "f.go", 10) for name in functions or ("main.wait",))
    made = Frame(created_by, "f.go", 5) if created_by else None
    site = Site(
        id="s1", wait_reason=reason, function=frames[0].function, file="f.go", line=10, frames=frames, created_by=made
    )
    return Cluster(
        site=site, count=count, share=0.5, counts=counts or (count,), members=("s1",), leaked=leaked, wait_min=wait_min
    )


def best(c: Cluster, context: PatternContext | None = None) -> str:
    return match(c, context)[0].pattern.id


@pytest.mark.parametrize(
    ("functions", "reason", "pattern"),
    [
        (("net/http.(*persistConn).readLoop",), "select", "http-connection-not-closed"),
        (("database/sql.(*DB).conn", "main.query"), "select", "semaphore-exhausted"),
        (("golang.org/x/sync/semaphore.(*Weighted).Acquire", "main.f"), "select", "semaphore-exhausted"),
        (("database/sql.(*Rows).awaitDone",), "select", "context-not-passed"),
        (("context.(*cancelCtx).propagateCancel.func2",), "select", "context-not-passed"),
        (("sync.runtime_Semacquire", "sync.(*WaitGroup).Wait", "main.f"), "semacquire", "waitgroup-without-done"),
        (("sync.(*Mutex).lockSlow", "sync.(*Mutex).Lock", "main.f"), "semacquire", "lock-never-released"),
        (("syscall.Syscall6", "os.(*Process).wait", "os/exec.(*Cmd).Wait", "main.f"), "syscall", "child-process-pipe"),
        (("time.Sleep", "main.retryForever"), "sleep", "sleep-loop"),
        (
            ("internal/poll.(*fdMutex).rwlock", "os.(*File).Read", "io.Copy", "main.f"),
            "semacquire",
            "io-copy-slow-client",
        ),
    ],
)
def test_old_and_well_known_stacks(functions: tuple[str, ...], reason: str, pattern: str) -> None:
    """Stacks of older Go versions and of library waits find their pattern."""
    assert best(cluster(*functions, reason=reason)) == pattern


def test_the_runtimes_entry_points_tell_a_range_from_a_receive() -> None:
    """`for range ch` compiles to chanrecv2, `<-ch` to chanrecv1; text dumps hide both."""
    assert best(cluster(), PatternContext(operations=Counter(chanrecv2=9))) == "range-never-closed"
    assert best(cluster(), PatternContext(operations=Counter(chanrecv1=9))) == "receive-never-closed"


def test_wakeups_tell_a_ticker() -> None:
    """Who wakes and waits again while a trace runs has a waker: a ticker, not a forgotten channel."""
    assert best(cluster(), PatternContext(operations=Counter(chanrecv2=9), wakeups=12)) == "ticker-never-stopped"


def test_stillness_speaks_against_a_ticker_unless_it_was_stopped() -> None:
    """A second of trace without a wake-up makes a reachable receive a receive; a proven, stopped ticker never wakes."""
    still = PatternContext(operations=Counter(chanrecv1=9), leak_profile=True, born=9, wakeups=0, watched_s=1.0)
    assert best(cluster("main.follow"), still) == "receive-never-closed"
    stopped = PatternContext(operations=Counter(chanrecv2=9), leak_profile=True, wakeups=0, watched_s=1.0)
    assert best(cluster("main.(*session).refreshRates", leaked=100), stopped) == "ticker-never-stopped"


def excerpt(*lines: str, statement: tuple[int, int]) -> SourceExcerpt:
    return SourceExcerpt(file="f.go", first_line=1, lines=lines, statement=statement, function="main.wait")


@pytest.mark.parametrize(
    ("reason", "lines", "pattern"),
    [
        ("chan receive", ("for range t.C {", "}"), "ticker-never-stopped"),
        ("chan receive", ("for range time.Tick(time.Minute) {", "}"), "ticker-never-stopped"),
        ("chan receive", ("for row := range rows {", "}"), "range-never-closed"),
        ("chan receive", ("v := <-results",), "receive-never-closed"),
        ("chan receive", ("<-ctx.Done()",), "context-not-passed"),
        ("select", ("select {", "case out <- 1:", "case <-ctx.Done():", "}"), "context-not-passed"),
        ("select", ("select {", "case <-a:", "case <-b:", "}"), "select-without-exit"),
        ("select", ("select {", "case <-t.C:", "case <-in:", "}"), "ticker-never-stopped"),
        ("select", ("select {", "case <-t.C:", "case <-ctx.Done():", "}"), "context-not-passed"),
        ("select", ("select {", "case g.slots <- struct{}{}:", "case <-ctx.Done():", "}"), "semaphore-exhausted"),
        ("chan send", ("sem <- struct{}{}",), "semaphore-exhausted"),
        ("chan send", ("answer <- compute()",), "send-without-receiver"),
    ],
)
def test_the_source_decides_where_stacks_cannot(reason: str, lines: tuple[str, ...], pattern: str) -> None:
    """With the blocked statement's text the candidates of one wait reason are put in order."""
    context = PatternContext(source=excerpt(*lines, statement=(1, len(lines))))
    assert best(cluster(reason=reason), context) == pattern


def test_the_source_outweighs_what_the_runtime_shows() -> None:
    """A proven plain receive whose statement is `<-ctx.Done()` waits for a context, not for a value."""
    told = PatternContext(
        operations=Counter(chanrecv1=60), leak_profile=True, source=excerpt("<-c.Done()", statement=(1, 1))
    )
    assert best(cluster(leaked=100), told) == "context-not-passed"


def test_an_owner_with_a_close_is_told_from_a_ticker_loop_without_end() -> None:
    """Started by a constructor of its own package: with an exit case it is the owner that was not closed."""
    made = cluster("example.com/shop/index.(*Index).sweep", reason="select", created_by="example.com/shop/index.New")
    closable = excerpt("select {", "case <-t.C:", "case <-i.stop:", "}", statement=(1, 4))
    endless = excerpt("select {", "case <-t.C:", "case <-i.kick:", "}", statement=(1, 4))
    assert best(made, PatternContext(source=closable)) == "constructor-per-request"
    assert best(made, PatternContext(source=endless)) == "ticker-never-stopped"


def test_births_make_no_constructor() -> None:
    """Every leak has births: in main, and in helpers that run functions for others, they are no library's."""
    made = Stack((Frame("main.newCart", "f.go", 1), Frame("main.handle", "f.go", 2)))
    creation = Creation(
        stack=made, start=Frame("main.listen", "f.go", 1), count=60, first_s=0, last_s=1, peak_per_s=60, alive=60
    )
    born = PatternContext(creations=(creation,))
    assert best(cluster("main.listen", reason="select", created_by="main.newCart"), born) == "select-without-exit"
    helped = ("example.com/shop/pay.listen", "example.com/shop/fleet.(*Gang).run")
    assert best(cluster(*helped, reason="select", created_by="example.com/shop/fleet.(*Gang).Spawn"), born) == (
        "select-without-exit"
    )


def test_a_loop_is_one_place_whether_caught_in_its_atomic_read_or_beside_it() -> None:
    """Six pollers, half of them seen inside the inlined load: one crowd, whose lost ids in censuses are its own."""
    preempted = (Frame("runtime.asyncPreempt2", "p.go", 1), Frame("runtime.asyncPreempt", "p.s", 1))
    beside = Stack((*preempted, *SPINS.frames))
    inside = Stack((*preempted, Frame("sync/atomic.(*Bool).Load", "type.go", 18), *SPINS.frames))
    tracer = Stack((Frame("runtime/trace.(*traceMultiplexer).startLocked.func1", "trace.go", 9),))
    ids = list(range(1, 7))
    looks = [
        (make_snapshot(Source.PROFILE, [WAITS, beside, inside, tracer], [0, 1, 2, 3], count=[1, 3, 3, 1]), at)
        if kind is Source.PROFILE
        else (make_snapshot(kind, [WAITS, LOST], [0, *[1] * 6], goid=[0, *ids]), at)
        for kind, at in ((Source.PROFILE, 0.0), (Source.CENSUS, 0.0), (Source.PROFILE, 4.0), (Source.CENSUS, 4.0))
    ]
    grouping = group([snapshot for snapshot, _at in looks])
    artefacts = [Artefact(name="a", kind=Kind.TRACE, size=1, snapshot=snapshot) for snapshot, _at in looks]
    case = Case(
        artefacts=artefacts,
        looks=[Look(artefact=a, snapshot=s, at=at) for a, (s, at) in zip(artefacts, looks, strict=True)],
        clusters=of_grouping(grouping),
    )
    (spinning,) = [c for c in case.clusters if c.site.function == "main.spin"]
    told = contexts(case, grouping)[spinning.site.id]
    assert (told.stayed, told.left, told.operations["atomic read"]) == (6, 0, 6)
    spinning.count = 6  # as in a text dump that ends the look
    assert accuse(spinning, told).verdict is Verdict.SUSPECT


def test_an_empty_loop_spins_by_nature() -> None:
    """`for !done.Load() {}`: the call is inlined, so only the source tells that it polls."""
    told = PatternContext(
        stayed=4, left=0, born=0, span_s=4.0, source=excerpt("for !c.dead.Load() {", "}", statement=(1, 1))
    )
    assert accuse(cluster("main.f", reason="running", count=4), told).verdict is Verdict.SUSPECT


def test_a_traces_call_chain_names_the_creator() -> None:
    """Where nothing tells `created by`, a creation seen by a trace does."""
    made = Stack((Frame("runtime.newproc", "proc.go", 1), Frame("time.goFunc", "sleep.go", 2)))
    creation = Creation(
        stack=made, start=Frame("main.f", "f.go", 1), count=60, first_s=0, last_s=1, peak_per_s=60, alive=60
    )
    assert best(cluster(reason="chan send"), PatternContext(creations=(creation,))) == "timer-callback"


# --- accusation


def verdict(c: Cluster, **context: object) -> Verdict:
    return accuse(c, PatternContext(**context)).verdict  # type: ignore[arg-type]


def grown(span_s: float | None, left: int = 0, born: int = 60, quiet: float = 0.0) -> PatternContext:
    return PatternContext(stayed=100, left=left, born=born, quiet=quiet, span_s=span_s, looks=3)


def test_growth_without_leaving_is_a_leak_only_after_half_a_minute() -> None:
    """Nobody can tell a ramp of load from a leak in seconds: `suspect` then, `leak` from 30 s on, surer with time."""
    short, long, longer = (accuse(cluster(), grown(s)) for s in (5.0, 31.0, 600.0))
    assert (short.verdict, long.verdict, longer.verdict) == (Verdict.SUSPECT, Verdict.LEAK, Verdict.LEAK)
    assert short.confidence < long.confidence < longer.confidence < 0.99


def test_crowds_that_move_are_acquitted() -> None:
    """When some of those seen earlier have left, the wait does end."""
    assert accuse(cluster(reason="sync.Mutex.Lock"), grown(60.0, left=20)).verdict is Verdict.OK


def test_one_that_got_away_does_not_acquit_the_rest() -> None:
    """Up to 5 % may leave."""
    assert accuse(cluster(), grown(60.0, left=4)).verdict is Verdict.LEAK


def test_a_pool_that_filled_is_not_accused() -> None:
    """Growth that has been over for half the time watched is over."""
    assert accuse(cluster(), grown(60.0, quiet=0.6)).verdict is Verdict.UNKNOWN
    assert accuse(cluster(), grown(60.0, quiet=0.3)).verdict is Verdict.LEAK


@pytest.mark.parametrize("reason", ["chan receive", "select", "sync.Cond.Wait", "sleep"])
def test_a_standing_crew_is_not_accused(reason: str) -> None:
    """The same goroutines at each look, none born, in a wait where crews idle."""
    told = PatternContext(stayed=100, left=0, born=0, quiet=1.0, span_s=600.0)
    assert accuse(cluster(reason=reason, wait_min=(9, 9)), told).verdict is Verdict.OK


@pytest.mark.parametrize("reason", ["chan send", "sync.Mutex.Lock", "sync.WaitGroup.Wait", "IO wait"])
def test_no_crew_idles_in_a_lock_or_a_send(reason: str) -> None:
    """The same numbers in a send, a lock, a WaitGroup or I/O are a suspicion."""
    told = PatternContext(stayed=100, left=0, born=0, quiet=1.0, span_s=60.0)
    assert accuse(cluster(reason=reason), told).verdict is Verdict.SUSPECT


@pytest.mark.parametrize("reason", ["chan send", "sync.Mutex.Lock", "sync.RWMutex.RLock", "semacquire"])
def test_a_queue_of_which_none_comes_through_is_suspect_in_seconds(reason: str) -> None:
    """At a lock or a full channel the first in line leaves when it is served; an idle crew is told apart by its wait."""
    told = PatternContext(stayed=100, left=0, born=0, quiet=1.0, span_s=3.0)
    assert accuse(cluster(reason=reason), told).verdict is Verdict.SUSPECT
    assert accuse(cluster(reason="chan receive"), told).verdict is Verdict.UNKNOWN


def test_open_response_bodies_are_suspect_in_seconds() -> None:
    """readLoop in `select` waits for a body to be read or closed; in `IO wait` the connection is idle."""
    told = PatternContext(stayed=100, left=0, born=0, quiet=1.0, span_s=3.0)
    loop = "net/http.(*persistConn).readLoop"
    assert accuse(cluster(loop, reason="select"), told).verdict is Verdict.SUSPECT
    assert accuse(cluster("net.(*conn).Read", loop, reason="IO wait"), told).verdict is Verdict.OK


def test_writers_that_get_nothing_through_are_suspect_in_seconds() -> None:
    """Who writes has something to say; who reads may be idle, and a wake-up means that bytes went through."""
    writes = ("internal/poll.(*FD).Write", "net.(*conn).Write", "main.push")
    told = {"stayed": 60, "left": 0, "born": 0, "quiet": 1.0, "span_s": 3.0}
    assert verdict(cluster(*writes, reason="IO wait"), **told, wakeups=0, watched_s=1.0) is Verdict.SUSPECT
    assert verdict(cluster(*writes, reason="IO wait"), **told, wakeups=7, watched_s=1.0) is Verdict.UNKNOWN
    assert verdict(cluster(*writes, reason="IO wait"), **told, wakeups=0, watched_s=0.05) is Verdict.UNKNOWN
    reads = ("internal/poll.(*FD).Read", "net.(*conn).Read", "main.pull")
    assert verdict(cluster(*reads, reason="IO wait"), **told, wakeups=0, watched_s=1.0) is Verdict.UNKNOWN


def test_a_multiplied_owner_is_suspect_without_growth() -> None:
    """Fifty timing wheels are fifty caches, whenever they were built."""
    wheel = "github.com/zeromicro/go-zero/core/collection.(*TimingWheel).run"
    found = accuse(cluster(wheel, reason="select", count=60), PatternContext())
    assert (found.verdict, found.library and found.library.name) == (Verdict.SUSPECT, "go-zero timing wheel")
    assert verdict(cluster(wheel, reason="select", count=49)) is Verdict.OK
    assert best(cluster(wheel, reason="select", count=60)) == "constructor-per-request"


def test_few_are_not_accused_without_proof() -> None:
    """Below 50 at one site numbers accuse nobody; growth is said."""
    assert verdict(cluster(count=49, wait_min=(3, 9))) is Verdict.OK
    assert accuse(cluster(count=49), grown(60.0)).verdict is Verdict.UNKNOWN
    assert verdict(cluster(count=10, leaked=10)) is Verdict.LEAK


def test_one_goroutine_parked_on_purpose_is_not_accused() -> None:
    """`select {}` beside main is proven leaked by the runtime and does no harm; per request it is a leak."""
    assert verdict(cluster(reason="select (no cases)", count=1, leaked=1)) is Verdict.OK
    assert verdict(cluster(reason="select (no cases)", count=1)) is Verdict.OK
    assert verdict(cluster(reason="select (no cases)", count=3)) is Verdict.LEAK
    assert verdict(cluster(reason="chan receive (nil chan)", count=60)) is Verdict.LEAK


def test_a_system_call_is_a_suspicion_only() -> None:
    """A8: a long system call may be slow; without proof it is never more than suspect."""
    assert accuse(cluster("os.(*Process).wait", "main.f", reason="syscall"), grown(600.0)).verdict is Verdict.SUSPECT


def test_runnable_crowds_are_load() -> None:
    """A8: runnable but unscheduled is load; only the same ones, busy for long while more are born, are suspect."""
    busy = cluster("main.compute", reason="runnable")
    assert verdict(busy) is Verdict.OK
    assert accuse(busy, grown(3.0)).verdict is Verdict.UNKNOWN
    assert accuse(busy, grown(11.0)).verdict is Verdict.SUSPECT
    standing = PatternContext(stayed=100, left=0, born=0, quiet=1.0, span_s=12.0)
    assert accuse(busy, standing).verdict is Verdict.SUSPECT
    assert accuse(cluster("main.compute", reason="runnable", count=8), standing).verdict is Verdict.UNKNOWN
    polls = PatternContext(stayed=100, left=0, born=0, quiet=1.0, span_s=3.0, operations=Counter(selectnbrecv=50))
    assert accuse(busy, polls).verdict is Verdict.SUSPECT


def test_a_single_profile_accuses_from_a_thousand_on() -> None:
    """One look that tells no time: crowds below LONE_COUNT may be anything."""
    assert verdict(cluster(count=999)) is Verdict.UNKNOWN
    assert verdict(cluster(count=1000)) is Verdict.SUSPECT


def test_a_single_dump_accuses_by_minutes_and_spread() -> None:
    """Waits of a minute accuse a crowd born at different times; one born in one go may be a crew."""
    waits = cluster(wait_min=(1, 9))
    assert verdict(waits, id_spread=5000) is Verdict.SUSPECT
    together = cluster(wait_min=(9, 9))
    assert verdict(together, id_spread=110) is Verdict.UNKNOWN
    assert verdict(cluster(wait_min=(1, 9), created_by="main.main"), id_spread=5000) is Verdict.UNKNOWN
    assert verdict(cluster(reason="chan send", wait_min=(9, 9)), id_spread=110) is Verdict.SUSPECT


def test_counts_alone_only_suspect() -> None:
    """Profiles tell no ids: rising counts are a suspicion, risen-and-stopped ones and slow ones are not."""
    assert verdict(cluster(counts=(10, 60, 100))) is Verdict.SUSPECT
    assert verdict(cluster(counts=(10, 100, 100, 100, 100))) is Verdict.UNKNOWN
    assert verdict(cluster(counts=(120, 60, 100))) is Verdict.UNKNOWN
    slow = cluster(counts=(98, 99, 100))
    slow.growth_per_min = 1.0
    assert verdict(slow) is Verdict.UNKNOWN


def test_library_goroutines_in_usual_number_are_named_not_blamed() -> None:
    """200 idle connections are 200 idle connections; 1,000 that only grow are a leak."""
    idle = ("net.(*conn).Read", "net/http.(*conn).serve")
    few = accuse(cluster(*idle, reason="IO wait", count=200), grown(5.0, born=0, quiet=1.0))
    assert (few.verdict, few.library and few.library.name) == (Verdict.OK, "net/http server")
    assert accuse(cluster(*idle, reason="IO wait", count=200), grown(60.0)).verdict is Verdict.SUSPECT
    assert accuse(cluster(*idle, reason="IO wait", count=1000), grown(60.0)).verdict is Verdict.LEAK


@given(
    st.lists(st.text(max_size=30), max_size=8),
    st.text(max_size=20),
    st.integers(0, 2000),
    st.lists(st.integers(0, 2000), min_size=1, max_size=5),
    st.integers(0, 5),
    st.one_of(st.none(), st.integers(0, 3000)),
    st.one_of(st.none(), st.floats(0, 1e6)),
)
def test_any_cluster_gets_an_answer(
    names: list[str], reason: str, count: int, counts: list[int], leaked: int, moved: int | None, span: float | None
) -> None:
    """Names and reasons may hold anything: confidences stay within 0..1, matches come best first, nothing raises."""
    c = cluster(*names, reason=reason, count=count, counts=tuple(counts), leaked=leaked)
    context = PatternContext(stayed=moved, left=moved, born=moved, span_s=span)
    found = match(c, context)
    assert all(0 < m.confidence <= 1 for m in found)
    assert [m.confidence for m in found] == sorted((m.confidence for m in found), reverse=True)
    answer = accuse(c, context)
    assert 0 <= answer.confidence <= 1
    assert answer.reasons


def test_goldens_are_small() -> None:
    """Goldens stay small enough for the repository: the largest are 120 deep stacks with addresses of their own."""
    for path in GOLDENS.rglob("*.gz"):
        assert path.stat().st_size < 32_000
        if path.name.startswith("dump"):
            assert gzip.decompress(path.read_bytes()).startswith(b"goroutine ")
