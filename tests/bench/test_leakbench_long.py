"""The long ruler measures what it says: its shapes have the lives they claim, looks see them, scores count rightly."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from bench.leakbench import score
from bench.leakbench.__main__ import main
from bench.leakbench.long import batches, command, worlds
from bench.leakbench.long.cases import (
    LEAK,
    Case,
    Subject,
    cases,
    first_day,
    healthy_runs,
    hostile,
    leaking,
    lives,
    ordinary,
)
from bench.leakbench.long.events import Life, beat, beats, save, watched
from bench.leakbench.long.judges import OURS, Accused, judges
from bench.leakbench.long.process import Process
from bench.leakbench.long.run import Outcome, Task, balanced, healthy_tasks, judge, leak_tasks, undone
from bench.leakbench.long.worlds import DAY, FIRST_DAY, HOUR, INNOCENT, MINUTE, TIDAL, Load, Shape, World
from parkwarden.formats.recording import Reader
from parkwarden.model import Census, Event, Gone, Named, SiteCounts, Started

LOOKS = np.sort(np.concatenate([np.arange(7.0, DAY, 60.0), np.arange(8.0, DAY, 300.0)]))
FLAT = Load(0.0, np.ones(1500))


def world(seed: int = 1, begin: float = 0.0, end: float = DAY, load: Load = FLAT) -> World:
    return World(np.random.default_rng(seed), begin, end, load, LOOKS[(begin < LOOKS) & (end > LOOKS)])


def counts(shape: Shape, w: World, times: np.ndarray) -> np.ndarray:
    return Process(w, {"s": shape}).counts(times)[0]


def test_a_seed_is_a_world() -> None:
    """The same seed makes the same events to the last byte, another one makes others."""

    def told(seed: int) -> list[str]:
        subject = leaking(seed, Case(60, False, "told", 300.0), 3, 2 * HOUR)
        return [repr(event) for k in range(20) for event in subject.instances[0].events(k)]

    assert told(1) == told(1)
    assert told(1) != told(2)


def test_what_looks_see_of_a_busy_queue_is_what_they_would_see_of_all_of_it() -> None:
    """Simulating only whom a look sees changes nothing of what is seen: level, scatter, who is still there a second later, ids used."""
    short = partial(worlds.queue, busy=20.0, life_s=5.0)

    def whole(w: World) -> worlds.Lives:
        at = w.arrivals(20.0 / 5.0)
        return at, at + 5.0 * w.rng.lognormal(-0.5, 1.0, len(at))

    seen = {}
    for name, shape in (("short", short), ("whole", whole)):
        process = Process(world(), {"s": shape})
        n = process.counts(LOOKS)[0]
        both = process.censuses(LOOKS, np.random.default_rng(1), np.zeros(1), np.zeros(1))
        pairs = [i for i in range(len(LOOKS) - 1) if LOOKS[i + 1] - LOOKS[i] == 1.0]
        stay = [len(np.intersect1d(both[i].goids["s"], both[i + 1].goids["s"])) for i in pairs]
        seen[name] = n.mean(), n.var(), np.mean(stay), both[-1].highest
    assert np.allclose(seen["short"], seen["whole"], rtol=0.12)
    assert seen["short"][0] == pytest.approx(20, rel=0.03)
    assert seen["short"][3] == pytest.approx(4 * DAY, rel=0.01)


def test_counts_and_censuses_are_the_lives() -> None:
    """A profile counts who was born and has not died; a census names the same ones, ids in the order of births over all sites."""
    rng = np.random.default_rng(3)
    made = {}
    for name in "abc":
        at = rng.uniform(0, DAY, 200)
        made[name] = (at, at + rng.exponential(HOUR, 200))
    process = Process(world(), {name: lambda w, told=told: told for name, told in made.items()})
    times = np.array([0.0, 7.0, HOUR, HOUR + 1, 9 * HOUR, 23 * HOUR])
    expected = [[int(((b <= t) & (d > t)).sum()) for t in times] for b, d in made.values()]
    assert process.counts(times).tolist() == expected
    censuses = process.censuses(times, rng, np.ones(3), np.ones(3))
    everybody = np.sort(np.concatenate([b for b, _ in made.values()]))
    for i, census in enumerate(censuses):
        assert [len(census.goids.get(name, ())) for name in made] == [row[i] for row in expected]
        for name, ids in census.goids.items():
            b, d = made[name]
            born = np.sort(b[(b <= times[i]) & (d > times[i])])
            assert everybody[ids - 20].tolist() == born.tolist()
            assert census.ran[name].tolist() == ids.tolist()
            assert ids[-1] <= census.highest


def test_who_is_stuck_does_nothing() -> None:
    """Of a leaking site with traffic only those who will leave are ever seen to run."""
    shape = partial(worlds.leak, per_h=60.0, onset=0.0, busy=20.0, life_s=400.0)
    one = watched(
        np.random.default_rng(1), "i", "s", [Life(0.0, 4 * HOUR, "v1")], {"x": shape}, FLAT,
        until=4 * HOUR, census_s=300.0, pulses={"x": 0.01}, stuck="x",
    )  # fmt: skip
    told = [e for k in range(beats(4 * HOUR)) for e in one.events(k) if isinstance(e, Census)]
    ran, ids = np.unique(np.concatenate([e.ran["x"] for e in told if e.ran])), [e.goids["x"] for e in told]
    assert len(ran) > 100
    assert 180 < len(np.setdiff1d(ids[-1], ran)) < 260  # 240 have leaked; of the healthy nearly all ran
    assert len(np.setdiff1d(np.intersect1d(ids[-1], ids[-13]), ran)) > 120


@pytest.mark.parametrize("kind", [*INNOCENT, *FIRST_DAY])
def test_nobody_dies_before_being_born(kind: str) -> None:
    """In every shape goroutines are born within the process's life and die later, whatever their habits."""
    for seed in range(3):
        w = world(seed, 3 * HOUR, 9 * HOUR)
        births, deaths = (INNOCENT | FIRST_DAY)[kind](np.random.default_rng(seed))(w)
        assert len(births) == len(deaths)
        assert (births >= w.begin).all()
        assert (deaths > births).all()
        assert (w.unseen >= 0).all()


def level(shape: Shape, hours: list[float], begin: float = 0.0) -> list[float]:
    """Mean counts over 10 minutes at these hours, over 30 processes."""
    times = np.concatenate([LOOKS[np.searchsorted(LOOKS, h * HOUR) :][:10] for h in hours])
    total = sum(counts(shape, world(seed, begin), times).astype(float) for seed in range(30)) / 30
    return total.reshape(len(hours), -1).mean(axis=1).tolist()


@pytest.mark.parametrize(
    ("shape", "hours", "expected"),
    [
        (partial(worlds.queue, busy=12.0, life_s=3.0), [1, 12, 23], [12, 12, 12]),
        (partial(worlds.queue, busy=12.0, life_s=200.0), [1, 12, 23], [12, 12, 12]),
        (partial(worlds.standing, n=9), [0.1, 23], [9, 9]),
        (partial(worlds.filling, n=100, tau_s=HOUR), [1, 3, 23], [65.5, 95.4, 100]),
        (partial(worlds.crowd, n=80, life_s=2 * HOUR, back_s=5.0), [0.1, 5, 23], [80, 80, 80]),
        (partial(worlds.step, n=10, more=20), [1, 23], [10, 30]),
        (partial(worlds.sawtooth, per_h=60.0, every_s=2 * HOUR), [0.9, 1.75, 2.9, 23.75], [59, 110, 59, 110]),
        (partial(worlds.cron, n=10, every_s=HOUR, life_s=600.0), [1.02, 1.5, 2.02], [9, 0, 9]),
        (partial(worlds.leak, per_h=6.0, onset=2 * HOUR, busy=10.0), [1, 7, 12], [10, 40.5, 70.5]),
        (partial(worlds.bursts, n=50, every_s=DAY, life_s=20.0), [12], [1.0]),
    ],
)  # fmt: skip
def test_shapes_have_the_level_they_claim(shape: Shape, hours: list[float], expected: list[float]) -> None:
    """Crowds and queues stand still, pools stay or fill, waiters pile up and go, a leak grows by its rate."""
    assert level(shape, hours) == pytest.approx(expected, rel=0.12, abs=1.2)


def test_subscribers_come_as_the_load_rises() -> None:
    """While the day's load rises there are as many more as there is more load; they stay for their day, and a restart brings back who was there."""
    people = partial(worlds.subscribers, n=4000, life_s=12 * HOUR, back_s=60.0)
    t = np.arange(0, DAY + 120, 60.0)
    load = Load(0.0, 1 + 0.5 * np.sin(2 * np.pi * (t - 8 * HOUR) / DAY), morning=8 * HOUR, swing=0.5)
    times = np.array([2.0, 5.0, 8.0, 11.0, 14.0]) * HOUR
    came = counts(people, world(load=load), times) / 4000
    assert came == pytest.approx(load(times), abs=0.12)
    assert came[1:] - came[0] == pytest.approx(load(times[1:]) - load(times[0]), abs=0.12)
    again = counts(people, world(load=load, begin=6 * HOUR), times) / 4000
    assert again[[2, 3]] == pytest.approx(came[[2, 3]], abs=0.04)


def test_subscribers_no_load_shows_come_in_the_morning_and_leave_in_the_evening() -> None:
    """The day's crowd is there eight hours after the morning and gone at night; a restart at noon brings it back."""
    day = partial(worlds.unseen_subscribers, n=100, early_s=0.0, width_s=HOUR, life_s=8 * HOUR, back_s=60.0)
    load = Load(0.0, np.ones(1500), morning=6 * HOUR)
    times = np.array([1.0, 10.0, 20.0]) * HOUR
    assert counts(day, world(load=load), times) == pytest.approx([0, 100, 0], abs=5)
    assert counts(day, world(load=load, begin=9 * HOUR), times) == pytest.approx([0, 100, 0], abs=5)


def test_what_comes_late_begins_in_the_middle_of_a_life() -> None:
    """Nobody before; from then on the shape as ever; a life that begins afterwards has it from its start, one that ended before never."""
    pool = partial(worlds.late, shape=partial(worlds.filling, n=50, tau_s=600.0), at=6 * HOUR)
    times = np.array([5.9, 6.5, 12.0]) * HOUR
    early, middle, full = counts(pool, world(), times)
    assert (early, full) == (0, 50)
    assert 40 <= middle <= 50
    assert counts(pool, world(begin=11 * HOUR), times)[2] == pytest.approx(50, abs=2)
    assert counts(pool, world(end=5 * HOUR), times).tolist() == [0, 0, 0]


def test_a_pool_of_the_peak_never_shrinks_and_was_once_needed() -> None:
    """The pool's size is the greatest need so far."""
    n = counts(partial(worlds.peak_pool, busy=20.0, life_s=20.0), world(), LOOKS)
    assert (np.diff(n) >= 0).all()
    assert 30 <= n[-1] <= 50


def test_load_is_the_days_and_its_total_counts_requests() -> None:
    """The mean of a day is 1 with a swing, and rises fastest in the morning; requests are told from the integral and begin anew with a life."""
    load = worlds.load(np.random.default_rng(2), 0.0, DAY, swing=0.5)
    t = np.arange(0, DAY, 60.0)
    assert load(t).mean() == pytest.approx(1, abs=0.01)
    assert load.top == pytest.approx(1.5, abs=0.01)
    assert float(load((load.morning + 6 * HOUR) % DAY)) == pytest.approx(1.5, abs=0.01)
    assert float(load.total(DAY)) == pytest.approx(load(t).sum() * 60, rel=0.01)
    shapes, always = {"s": partial(worlds.standing, n=3)}, Load(-2 * HOUR, np.ones(1500))
    lived = [Life(-HOUR, HOUR, "v1"), Life(HOUR + 30, 2 * HOUR, "v2")]
    one = watched(
        np.random.default_rng(1), "i", "s", lived, shapes, always, until=2 * HOUR, census_s=0.0, requests_per_s=10
    )
    told = [next(e.reading.requests_total for e in one.events(k) if hasattr(e, "reading")) for k in (0, 59, 61)]
    assert told == pytest.approx([36_070, 71_670, 370], rel=0.02, abs=80)
    began = [e for k in range(120) for e in one.events(k) if isinstance(e, Started)]
    assert [(e.instance.start_time, e.instance.version) for e in began] == [(-HOUR, "v1"), (HOUR + 30, "v2")]


def test_restarts_come_every_few_hours() -> None:
    """Lives follow each other with a short pause, about as long as asked for, up to the end; deploys change the version."""
    ran = lives(np.random.default_rng(1), -20 * HOUR, 60 * HOUR, 4 * HOUR)
    assert ran[0].begin == -20 * HOUR
    assert ran[-1].end == 60 * HOUR
    assert all(10 <= b.begin - a.end <= 60 for a, b in pairwise(ran))
    assert all(3 * HOUR <= x.end - x.begin <= 5 * HOUR for x in ran[1:-1])
    assert 3 < len({x.version for x in ran}) < len(ran)
    assert lives(np.random.default_rng(1), -HOUR, DAY, 0.0) == [Life(-HOUR, DAY, "v1")]


def test_an_ordinary_service_is_a_leaking_one_without_its_leak() -> None:
    """The usual sites of the leaking cases, a pool that fills for hours and bursts in each, subscribers where the load shows them, three kinds more."""
    usual = Counter(
        named.site.id.split("/")[0] for named in leaking(1, cases(0.0)[0], 0).names if named.site.id != LEAK
    )
    for run in range(10):
        kinds = Counter(named.site.id.split("/")[0] for named in ordinary(1, 0.0, run, days=0.05).names)
        assert kinds["queue"] == usual["queue"] == 20
        assert kinds["tickers"] == usual["tickers"] == 8
        assert (kinds["filling-slow"], kinds["bursts"], kinds[TIDAL]) == (1, 1, int(run % 5 < 3))
        assert len(kinds) == 4 + int(run % 5 < 3) + 3
        assert set(kinds) - set(usual) <= set(INNOCENT)


def test_the_hostile_mix_has_all_shapes_in_forty_sites() -> None:
    """Every hostile service has each shape that can be known at least once, subscribers only where the load shows them; some have replicas, some restarts, half tell requests."""
    mix = [hostile(1, 0.0, run, days=0.1) for run in range(12)]
    for run, subject in enumerate(mix):
        kinds = [named.site.id.split("/")[0] for named in subject.names]
        assert len(kinds) == 40
        assert set(INNOCENT) - set(kinds) == (set() if run % 5 < 3 else {TIDAL})
        assert not set(kinds) & set(FIRST_DAY)
        assert subject.onset is None
    assert [len(s.instances) for s in mix[:4]] == [1, 1, 1, 3]
    assert list(healthy_runs(5)) == [0, 1, 2, 3]
    reads = [next(e for e in s.instances[0].events(1) if hasattr(e, "reading")) for s in mix]
    assert sum(r.reading.requests_total is not None for r in reads) == 6


def test_first_days_are_apart() -> None:
    """What cannot be known on its first day is in services of its own, one site of each such shape among steady ones, watched for two days."""
    subject = first_day(1, 0.0, 3)
    kinds = [named.site.id.split("/")[0] for named in subject.names]
    assert kinds[:4] == list(FIRST_DAY)
    assert set(kinds[4:]) <= {"queue-fast", "queue-slow", "standing"}
    assert subject.instance_days == 6.0


def test_a_recording_of_a_subject_is_read_back(tmp_path: Path) -> None:
    """What is saved is a recording that the reader takes without a problem, event by event."""
    subject = leaking(1, Case(60, True, "flat", 300.0), 0, 1.6 * HOUR)
    written = save(tmp_path / "x.jsonl", subject.names, subject.instances, HOUR)
    reader = Reader()
    read = [*reader.feed((tmp_path / "x.jsonl").read_bytes()), *reader.close()]
    assert not reader.problems
    assert len(read) == written + len(subject.names)
    told = [e for k in range(beats(HOUR)) for e in subject.instances[0].events(k) if isinstance(e, Census)]
    back = [e for e in read if isinstance(e, Census)]
    assert [{s: i.tolist() for s, i in e.goids.items()} for e in back] == [
        {s: i.tolist() for s, i in e.goids.items()} for e in told
    ]


class Scripted:
    """A judge that accuses on time."""

    def __init__(self, script: Callable[[float], list[Accused]]) -> None:
        self.script, self.fed = script, []

    def named(self, instances: Iterable[str], names: Iterable[Named]) -> None:
        assert list(instances) == ["i"]

    def feed(self, event: Event) -> None:
        self.fed.append(event)

    def tick(self, now: float) -> Iterator[Accused]:
        yield from self.script(now)


def _subject(onset: float | None, until: float = HOUR) -> Subject:
    shapes = {"leak": partial(worlds.standing, n=1)}
    one = watched(np.random.default_rng(1), "i", "s", [Life(0, until, "v")], shapes, FLAT, until=until, census_s=0.0)
    return Subject("x", [one], [], until, onset)


def test_times_count_from_the_onset_and_what_is_said_before_is_false() -> None:
    """Suspicion and verdict at the planted site count from the onset on; a leak said earlier, elsewhere or of everything is false, once a day."""

    def script(now: float) -> list[Accused]:
        said = [Accused("i", "other", False, str)]
        if 600 < now < 900:
            said += [Accused("i", LEAK, True, lambda: "early"), Accused("i", "", True, str)]
        if now > 2000:
            said.append(Accused("i", LEAK, now > 2600, str))
        return said

    scripted = Scripted(script)
    (outcome,) = judge([_subject(1800.0)], lambda: scripted, True)
    assert [(f["site"], f["hour"]) for f in outcome.false] == [(LEAK, 0.17), ("", 0.17)]
    assert outcome.suspect_s == pytest.approx(2047 - 1800)
    assert outcome.leak_s == pytest.approx(2647 - 1800)
    assert outcome.instance_days == pytest.approx(2707 / DAY)
    assert isinstance(scripted.fed[-1], Gone)
    assert max(e.at for e in scripted.fed if isinstance(e, SiteCounts)) == 2647.0


def test_a_peer_may_accuse_the_whole_process() -> None:
    """Who cannot name sites is right if the process leaks; a healthy one is wrongly accused once a day."""
    whole = lambda now: [Accused("i", "", True, str)]  # noqa: E731
    (right,) = judge([_subject(1800.0)], lambda: Scripted(whole), False)
    assert right.leak_s == pytest.approx(7.0)
    assert len(right.false) == 1
    (wrong,) = judge([_subject(None, 2 * DAY)], lambda: Scripted(whole), False)
    assert len(wrong.false) == 2
    assert wrong.leak_s is None
    assert Outcome("x", 1.0).false == []


def test_our_engine_finds_a_fast_leak_and_accuses_nobody_else() -> None:
    """The runner and the engine fit together: 360 an hour with censuses is called a leak within half an hour."""
    case = Case(360, False, "flat", 300.0)
    (outcome,) = judge([leaking(1, case, 0, 2 * HOUR)], judges([OURS])[OURS], True)
    assert outcome.leak_s is not None
    assert outcome.leak_s < 30 * MINUTE
    assert outcome.false == []


def test_the_command_measures_scores_and_keeps(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`long --only CASE` writes rows with their denominators, and prints the table."""
    out = tmp_path / "long.json"
    told = ["--only", "census/360/alone/flat", "--runs", "2", "--onset-h", "1.6", "--jobs", "1", "--out", str(out)]
    assert command.main([*told, "--rules", "parkwarden", "--rules", "leakprof-100"]) == 0
    ours, peer = json.loads(out.read_text())
    assert (ours["rules"], peer["rules"]) == ("parkwarden", "leakprof-100")
    assert ours["runs"] == len(ours["times_min"]) == 2
    assert "census/360/alone/flat" in capsys.readouterr().out
    assert command.main([*told, "--rules", "parkwarden", "--rules", "leakprof-100", "--append"]) == 0
    assert "nothing to do" in capsys.readouterr().out
    assert command.main([*told, "--runs", "3", "--seed", "2", "--append"]) == 0
    assert [(row["rules"], row["seed"], row["runs"]) for row in json.loads(out.read_text())] == [
        ("parkwarden", 1, 2), ("leakprof-100", 1, 2), ("parkwarden", 2, 3),
    ]  # fmt: skip
    assert "(5/5; " in capsys.readouterr().out


def test_what_was_kept_is_shown_again_and_subjects_can_be_saved(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """`score FILE` prints the tables of a kept result; `long --save DIR` writes recordings, each with its sites named, and judges nobody."""
    told = ["--only", "counts/360/alone/flat", "--runs", "1", "--onset-h", "1.6", "--jobs", "1"]
    assert main(["long", *told, "--out", str(tmp_path / "long.json")]) == 0
    printed = capsys.readouterr().out
    assert main(["score", str(tmp_path / "long.json")]) == 0
    assert printed.split("\n\n")[1] in capsys.readouterr().out
    assert main(["long", *told, "--save", str(tmp_path / "saved")]) == 0
    (saved,) = (tmp_path / "saved").iterdir()
    assert saved.name == "counts-360-alone-flat-0.jsonl"
    assert sum(line.startswith(b'{"site"') for line in saved.read_bytes().splitlines()) == 29


def test_every_cell_is_measured() -> None:
    """Four rates, alone or among traffic, six kinds of day, in both modes, fewer runs where nothing is promised; healthy days apart, in batches."""
    todo = leak_tasks(1, [*cases(300.0), *cases(0.0)], 40, [OURS])
    runs: dict[str, int] = {}
    for task in todo:
        runs[task.name] = runs.get(task.name, 0) + len(task.runs)
    assert len(runs) == 2 * 4 * 2 * 6
    assert {n for name, n in runs.items() if name.endswith(("start", "ongoing"))} == {10}
    assert {n for name, n in runs.items() if not name.endswith(("start", "ongoing"))} == {40}
    apart = healthy_tasks(1, "hostile", 300, 0.0, [OURS])
    assert sum(task.instance_days for task in apart) in range(300, 303)
    assert max(task.instance_days for task in apart) < 80
    assert sum(task.instance_days for task in healthy_tasks(1, "first-day", 30, 0.0, [OURS], days=2)) in range(30, 36)
    assert beat(1) - beat(0) == 60.0


def test_wherever_it_is_cut_all_have_about_the_same_share() -> None:
    """The order is balanced: after half of the batches every case and group has half of its own, give or take one batch."""
    todo = [
        *leak_tasks(1, cases(0.0), 100, [OURS]), *healthy_tasks(1, "ordinary", 900, 0.0, [OURS]), *healthy_tasks(1, "first-day", 60, 0.0, [OURS], 2)
    ]  # fmt: skip
    ordered = balanced(todo)
    assert sorted(map(repr, ordered)) == sorted(map(repr, todo))
    half = ordered[: len(ordered) // 2]
    for name in {task.name for task in todo}:
        done, of = (sum(task.name == name for task in some) for some in (half, todo))
        assert abs(done - of / 2) <= 1, name


def _outcomes(task: Task) -> dict[str, list[Outcome]]:
    return {rule: [Outcome(f"{task.name}/{run}", 1.0, leak_s=60.0 * run) for run in task.runs] for rule in task.rules}


def test_batches_add_up_and_what_is_kept_is_not_measured_again() -> None:
    """Rows hold which runs they have; those are skipped the next time, other seeds have rows of their own and are merged for the tables."""
    todo = leak_tasks(1, cases(0.0)[:1], 30, [OURS])
    rows: dict[tuple[str, str, int], dict[str, object]] = {}
    for task in todo[:1]:
        for rule, outcomes in _outcomes(task).items():
            batches.add(rows, task, rule, outcomes)
    assert undone(todo, rows.values()) == todo[1:]
    assert undone(todo, []) == todo
    other = leak_tasks(2, cases(0.0)[:1], 30, [OURS])
    assert undone(other, rows.values()) == other
    for task in [*todo[1:], *other]:
        batches.add(rows, task, OURS, _outcomes(task)[OURS])
    assert undone([*todo, *other], rows.values()) == []
    (row,) = score.merged(list(rows.values()))
    assert (row["runs"], row["instance_days"], row["seeds"]) == (60, 60.0, [1, 2])
    assert sorted(row["times_min"]) == sorted([*map(float, range(30))] * 2)
    assert [r["runs"] for r in rows.values()] == [30, 30]
    assert score.seeds([row]) == "seeds 1, 2"


def test_the_time_limit_leaves_out_what_would_end_later(tmp_path: Path) -> None:
    """What is not expected to end in time is not begun, and said; a run without time keeps what it had."""
    said: list[str] = []
    todo = leak_tasks(1, [Case(360, True, "flat", 0.0)], 2, [OURS], 1.6 * HOUR)
    assert batches.run(todo, 1, said.append, limit_s=0.0) == []
    assert "1 of 1 batches were not begun" in said[-1]
    kept: list[list[dict[str, object]]] = []
    (row,) = batches.run(todo, 1, said.append, keep=kept.append)
    assert kept == [[row]]
    assert row["done"] == [0, 1]
    assert batches.run([], 1, said.append, rows=[row]) == [row]


def test_the_pace_is_learnt_by_kind_of_task() -> None:
    """What was measured says how long the like will take; the unmeasured takes the mean."""
    (leak,), (quiet,) = leak_tasks(1, cases(0.0)[:1], 4, [OURS]), healthy_tasks(1, "healthy", 2, 300.0, [OURS])
    pace = batches.Pace()
    assert pace.expects(quiet) == pytest.approx(2 * batches.FIRST_PACE_S)
    pace.done(leak, 7.0 * leak.instance_days)
    assert pace.expects(quiet) == pytest.approx(14.0)
    pace.done(quiet, 4.0)
    assert (pace.expects(quiet), pace.expects(leak)) == pytest.approx((4.0, 7.0 * leak.instance_days))


@pytest.mark.parametrize(
    ("hits", "of", "low", "high"), [(19, 20, 0.7639, 0.9911), (0, 10, 0.0, 0.2775), (10, 10, 0.7225, 1.0), (0, 0, 0, 1)]
)
def test_wilson(hits: int, of: int, low: float, high: float) -> None:
    """The interval of a share is Wilson's, on published numbers."""
    assert score.wilson(hits, of) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(
    ("n", "low", "high"), [(0, 0.0, 3.6889), (1, 0.0253, 5.5716), (2, 0.2422, 7.2247), (10, 4.7954, 18.3904)]
)
def test_poisson(n: int, low: float, high: float) -> None:
    """The interval of a rare count is Garwood's, on published numbers."""
    assert score.poisson(n) == pytest.approx((low, high), abs=1e-4)


def test_the_median_and_its_interval() -> None:
    """Runs that never found anything count as never; the interval of a median of 20 is the 6th to the 15th."""
    times = [float(i) for i in range(1, 21)]
    assert score.quantile(times, 0.5) == 10.0
    assert score.quantile(times, 0.95) == 19.0
    assert score.median_interval(times) == (6.0, 15.0)
    assert score.quantile([5.0, None, None], 0.5) == math.inf
    assert score.minutes(math.inf) == "-"
    assert score.percent(19, 20) == "95% (19/20; 76-99)"
    assert score.per_thousand_days(2, 1000.0) == "2.00 (2 in 1,000 days; 0.24-7.22)"
