"""History: an hour of the journal becomes Parquet, whole or not at all; queries read it within limits and nothing else."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import numpy as np
import pytest

from parkwarden.formats import recording
from parkwarden.model import (
    Census,
    Event,
    Finding,
    Instance,
    Leaked,
    Named,
    Read,
    Reading,
    Site,
    SiteCounts,
    Started,
    StoreError,
    Verdict,
)
from parkwarden.store import history as history_module
from parkwarden.store.history import TABLES, History, finding_line
from parkwarden.store.journal import Segment
from parkwarden.store.settings import StoreSettings

NOON = 1_700_006_400.0
PLACE = Site("s1", "chan send", "main.f", "m.go", 7, ())


def segment(folder: Path, events: list[Event], number: int = 1, extra: bytes = b"") -> Segment:
    path = folder / f"{number:08d}-20231115T00.jsonl"
    path.write_bytes(b"".join(map(recording.write, events)) + extra)
    return Segment(path, number, "20231115T00", done=False)


def started(version: str, at: float | None) -> Started:
    return Started(Instance(id="a:1", labels={"service": "shop", "env": "prod", "version": version}), at)


def read(at: float, n: int, instance: str = "a:1", **fields: float) -> Read:
    return Read(at, instance, Reading(at=at, goroutines=n, **fields))  # type: ignore[arg-type]


def test_an_hour_becomes_readings_with_their_labels(tmp_path: Path) -> None:
    """Each reading carries the service, env and version its instance had at that time; an unnamed one is its own service."""
    events: list[Event] = [
        started("1", NOON - 5000),
        read(NOON, 10, cpu_s=1.5),
        started("2", NOON + 5),
        read(NOON + 5, 11),
        read(NOON + 6, 3, "b:1"),
    ]
    history = History(tmp_path / "h")
    assert history.convert(segment(tmp_path, events)) == 3
    found = history.query("SELECT t, instance, service, env, version, goroutines, cpu_s, n FROM readings ORDER BY t")
    assert found.rows == [
        (NOON, "a:1", "shop", "prod", "1", 10, 1.5, 1),
        (NOON + 5, "a:1", "shop", "prod", "2", 11, None, 1),
        (NOON + 6, "b:1", "b:1", "", "", 3, None, 1),
    ]


def test_a_life_without_a_time_labels_all(tmp_path: Path) -> None:
    """A header that tells no time is the instance's from the begin; one that tells a later time also labels what came before."""
    history = History(tmp_path / "h")
    history.convert(segment(tmp_path, [read(NOON, 1), started("1", None)], 1))
    history.convert(segment(tmp_path, [read(NOON + 9, 1), started("2", NOON + 10)], 2))
    assert history.query("SELECT version FROM readings ORDER BY t").rows == [("1",), ("2",)]


def test_sites_of_all_three_looks(tmp_path: Path) -> None:
    """Profiles, censuses and leak profiles become counts of sites by name; a site nobody named keeps its id."""
    events: list[Event] = [
        started("1", NOON),
        Named(PLACE),
        SiteCounts(NOON, "a:1", {"s1": 5, "s2": 1}),
        Census(NOON + 1, "a:1", {"s1": np.array([3, 4, 9], dtype=np.int64)}, 9),
        Leaked(NOON + 2, "a:1", {"s1": 2}),
        Leaked(NOON + 3, "a:1", {}),
    ]
    history = History(tmp_path / "h")
    assert history.convert(segment(tmp_path, events)) == 4
    rows = history.query("SELECT kind, site, count, floor, function, line, service FROM sites ORDER BY t, site").rows
    assert rows == [
        ("profile", "s1", 5.0, 5, "main.f", 7, "shop"),
        ("profile", "s2", 1.0, 1, "", None, "shop"),
        ("census", "s1", 3.0, 3, "main.f", 7, "shop"),
        ("leaked", "s1", 2.0, 2, "main.f", 7, "shop"),
    ]
    columns = history.sites("a:1", NOON, NOON + 10, "s1")
    assert columns["kind"].tolist() == ["census", "leaked", "profile"]
    assert history.sites("a:1", NOON, NOON + 10)["count"].sum() == 11


def test_damaged_lines_cost_only_themselves(tmp_path: Path) -> None:
    """Lines that are no JSON, have wrong types or odd bytes are passed over; the rest of the hour is kept."""
    damage = b'not json\n{"t":"x","instance":5}\n\xff\xfe\n{"t":1\n' + b"\0" * 100 + b"\n[1,2]\n"
    damage += b'{"t":-1e300,"instance":"a:1","goroutines":5}\n{"t":1e400,"instance":"a:1","goroutines":5}\n'
    damage += b'{"t":1,"x":"' + b"y" * (18 << 20) + b'"}\n' + b"[" * 100_000 + b"\n"
    more = recording.write(read(NOON + 5, 2))
    history = History(tmp_path / "h")
    history.convert(segment(tmp_path, [read(NOON, 1)], extra=damage + more + b'{"t":17'))
    assert history.query("SELECT goroutines FROM readings ORDER BY t").rows == [(1,), (2,)]


def test_an_empty_hour_makes_no_file(tmp_path: Path) -> None:
    """A segment without readings leaves no file, and queries over nothing give no rows."""
    history = History(tmp_path / "h")
    assert history.convert(segment(tmp_path, [])) == 0
    assert history.convert(segment(tmp_path, [Named(PLACE)], 2)) == 0
    assert [history.parts(table) for table in TABLES] == [[], [], []]
    assert history.query("SELECT count(*) FROM sites").rows == [(0,)]
    assert history.readings("a:1", 0, NOON)["t"].tolist() == []


def test_converting_twice_is_converting_once(tmp_path: Path) -> None:
    """A crash between writing history and marking the segment done repeats the conversion, not the rows."""
    history = History(tmp_path / "h")
    hour = segment(tmp_path, [read(NOON + n, n) for n in range(20)])
    history.convert(hour)
    history.convert(hour)
    assert history.query("SELECT count(*), sum(n) FROM readings").rows == [(20, 20)]


def test_readings_come_as_columns(tmp_path: Path) -> None:
    """`readings` gives float64 columns in time order, NaN where nothing was told, and knows its fields."""
    history = History(tmp_path / "h")
    history.convert(
        segment(tmp_path, [read(NOON + n, n, heap_inuse=n) if n % 2 else read(NOON + n, n) for n in range(4)])
    )
    columns = history.readings("a:1", NOON + 1, NOON + 2, ("goroutines", "heap_inuse"))
    assert {name: column.dtype for name, column in columns.items()} == dict.fromkeys(columns, np.dtype(np.float64))
    assert columns["goroutines"].tolist() == [1.0, 2.0]
    np.testing.assert_array_equal(columns["heap_inuse"], [1.0, np.nan])
    with pytest.raises(StoreError):
        history.readings("a:1", 0, NOON, ('goroutines" FROM sites --',))


def test_a_service_is_its_instances_together(tmp_path: Path) -> None:
    """Means per instance and step, then sums, the largest, and how many told; another env is another service."""
    shop = {"service": "shop", "env": "prod"}
    events: list[Event] = [
        Started(Instance(id="a", labels=shop), NOON),
        Started(Instance(id="b", labels=shop), NOON),
        Started(Instance(id="c", labels={**shop, "env": "dev"}), NOON),
        *(read(NOON + t, n, "a", heap_inuse=10 * n) for t, n in ((0, 10), (10, 20), (60, 40))),
        *(read(NOON + t, n, "b") for t, n in ((5, 100), (65, 102))),
        read(NOON, 7, "c"),
    ]
    history = History(tmp_path / "h")
    history.convert(segment(tmp_path, events))
    told = history.service([("shop", "prod")], NOON, NOON + 100, 60.0, ("goroutines", "heap_inuse"))
    assert told.t.tolist() == [NOON, NOON + 60]
    assert told.total["goroutines"].tolist() == [115.0, 142.0]
    assert told.total["heap_inuse"].tolist() == [150.0, 400.0]
    assert (told.largest.tolist(), told.instances.tolist()) == ([100.0, 102.0], [2.0, 2.0])
    assert not len(history.service([("o'; --", "")], NOON, NOON + 100, 60.0, ("goroutines",)).t)


def test_sites_of_a_service_over_time(tmp_path: Path) -> None:
    """Means over all looks of an instance in a step, those without the site too, summed over instances; a step nobody looked in is NaN."""
    shop = {"service": "shop", "env": "prod"}
    events: list[Event] = [
        Named(PLACE),
        Started(Instance(id="a", labels=shop), NOON),
        Started(Instance(id="b", labels=shop), NOON),
        SiteCounts(NOON, "a", {"s1": 10, "s2": 1}),
        SiteCounts(NOON + 30, "a", {"s2": 1}),
        SiteCounts(NOON + 5, "b", {"s1": 7}),
        SiteCounts(NOON + 130, "a", {"s1": 40}),
        Leaked(NOON + 131, "a", {"s1": 1000}),
    ]
    history = History(tmp_path / "h")
    history.convert(segment(tmp_path, events))
    told = history.service_sites([("shop", "prod")], NOON, NOON + 1000, 60.0, 5)
    assert told.t.tolist() == [NOON, NOON + 60, NOON + 120]
    assert [one["site"] for one in told.sites] == ["s1", "s2"]
    assert (told.sites[0]["function"], told.sites[0]["line"]) == ("main.f", 7)
    assert np.nan_to_num(told.counts, nan=-1).tolist() == [[12.0, -1.0, 40.0], [1.0, -1.0, 0.0]]
    assert len(history.service_sites([("shop", "prod")], NOON, NOON + 1000, 60.0, 1).sites) == 1
    assert not history.service_sites([("shop", "dev")], NOON, NOON + 1000, 60.0, 5).sites


def test_after_a_day_floors_and_means_are_kept(tmp_path: Path) -> None:
    """Coarse steps keep mean and floor of gauges, the last value of counters, and how many readings they stand for; a site that was
    absent from one profile of the step has the floor 0."""
    events: list[Event] = [started("1", NOON), Named(PLACE)]
    events += [read(NOON + 5 * n, 100 + n, cpu_s=float(n), requests_total=7 * n) for n in range(120)]
    events += [SiteCounts(NOON + 60 * n, "a:1", {"s1": 10 + n} | ({"s2": 4} if n != 2 else {})) for n in range(10)]
    history = History(tmp_path / "h", StoreSettings(fine_hours=24))
    history.convert(segment(tmp_path, events))
    assert history.upkeep(NOON + 3600) == 0
    assert history.upkeep(NOON + 25 * 3600) == 2
    query = "SELECT t, goroutines, goroutines_floor, cpu_s, requests_total, n, version FROM readings ORDER BY t"
    assert history.query(query).rows == [
        (NOON, 130, 100, 59.0, 413, 60, "1"),
        (NOON + 300, 190, 160, 119.0, 833, 60, "1"),
    ]
    rows = history.query("SELECT t, site, count, floor, n, function FROM sites ORDER BY t, site").rows
    assert rows == [
        (NOON, "s1", 12.0, 10, 5, "main.f"),
        (NOON, "s2", 16 / 5, 0, 5, ""),
        (NOON + 300, "s1", 17.0, 15, 5, "main.f"),
        (NOON + 300, "s2", 4.0, 4, 5, ""),
    ]
    assert history.upkeep(NOON + 26 * 3600) == 0
    assert [part.coarse for part in history.parts("readings")] == [True]


def test_a_crash_while_coarsening_counts_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed between the coarse file and the fine one's end both are there: only the coarse one is read, and `heal` clears up."""
    history = History(tmp_path / "h")
    history.convert(segment(tmp_path, [read(NOON + n, 1) for n in range(10)]))
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", lambda *_a, **_k: None)
        history.upkeep(NOON + 25 * 3600)
    (tmp_path / "h" / "readings" / ".tmp-00000009.parquet").write_bytes(b"torn")
    assert len(list((tmp_path / "h" / "readings").glob("1*.parquet"))) == 2
    assert history.query("SELECT sum(n) FROM readings").rows == [(10,)]
    assert history.heal() >= 2
    assert len(list((tmp_path / "h" / "readings").iterdir())) == 1
    assert history.query("SELECT sum(n) FROM readings").rows == [(10,)]


def test_old_and_too_much_history_goes(tmp_path: Path) -> None:
    """Files older than `history_days` go; beyond `history_max_bytes` the oldest do."""
    day = 86_400.0
    for number in range(4):
        at = NOON + number * day
        History(tmp_path / "h").convert(segment(tmp_path, [read(at + n, n) for n in range(50)], number + 1))
    history = History(tmp_path / "h", StoreSettings(history_days=2, fine_hours=1e6))
    history.upkeep(NOON + 3.5 * day)
    assert [part.number for part in history.parts("readings")] == [3, 4]
    tight = History(tmp_path / "h", StoreSettings(history_max_bytes=history.parts("readings")[1].size, fine_hours=1e6))
    tight.upkeep(NOON + 3.5 * day)
    assert [part.number for part in tight.parts("readings")] == [4]


def test_only_the_files_of_the_time_are_opened(tmp_path: Path) -> None:
    """A range reads the parts that span it: names tell."""
    history = History(tmp_path / "h")
    for number in range(3):
        history.convert(segment(tmp_path, [read(NOON + 3600 * number + n, n) for n in (0, 3599)], number + 1))
    assert [part.number for part in history.parts("readings", NOON + 3600, NOON + 7199)] == [2]


def test_findings_are_kept_by_the_hour(tmp_path: Path) -> None:
    """Findings go through a journal of their own and can be asked for; odd text does not stop them."""
    finding = Finding(
        code="PW501",
        verdict=Verdict.LEAK,
        confidence=0.9,
        title="leaks \udfff",
        service="shop",
        instance="a:1",
        site=PLACE,
        count=7,
        rate_per_min=1.5,
    )
    path = tmp_path / "00000001-20231115T00.jsonl"
    path.write_bytes(finding_line(NOON, finding) + b"torn")
    history = History(tmp_path / "h")
    assert history.convert_findings(Segment(path, 1, "20231115T00", done=False)) == 1
    rows = history.query(
        "SELECT t, service, site, code, verdict, title, count, rate_per_min, function, line FROM findings"
    ).rows
    assert rows == [(NOON, "shop", "s1", "PW501", "leak", "leaks ?", 7, 1.5, "main.f", 7)]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM glob('/etc/*')",
        "COPY readings TO '/tmp/parkwarden-stolen.csv'",
        "ATTACH '/tmp/parkwarden-stolen.db'",
        "SET threads = 4",
        "SELECT 1; SELECT 2",
        "",
        "INSTALL httpfs",
        "CREATE TABLE x AS SELECT 1",
        "SELECT getenv('HOME')",
        "SELECT " + "1," * 60_000 + "1",
        "SELEC",
        "PRAGMA enable_object_cache",
        "SELECT * FROM read_parquet('https://example.com/x.parquet')",
    ],
)
def test_a_query_reads_history_and_nothing_else(tmp_path: Path, sql: str) -> None:
    """What is no single SELECT over our tables is refused or fails, typed; nothing is written."""
    history = History(tmp_path / "h")
    history.convert(segment(tmp_path, [read(NOON, 1)]))
    with pytest.raises(StoreError) as refused:
        history.query(sql)
    assert refused.value.code in ("query-refused", "query-error")
    assert not Path("/tmp/parkwarden-stolen.csv").exists()


def test_a_query_has_a_time_limit(tmp_path: Path) -> None:
    """A query that would run for ever ends with a typed error; the next one works."""
    history = History(tmp_path / "h", StoreSettings(query_timeout_s=0.2))
    with pytest.raises(StoreError) as late:
        history.query("SELECT count(*) FROM range(10000000000) a, range(1000) b")
    assert late.value.code == "query-timeout"
    assert history.query("SELECT 1").rows == [(1,)]


def test_a_query_has_a_memory_limit(tmp_path: Path) -> None:
    """A query that hoards fails instead of the watch."""
    history = History(tmp_path / "h", StoreSettings(query_memory=64 << 20))
    with pytest.raises(StoreError) as greedy:
        history.query("SELECT list(range) FROM range(1000000000)")
    assert greedy.value.code == "query-memory"


def test_a_long_answer_is_cut_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At most MAX_ROWS rows come back, and `cut` tells that there were more."""
    monkeypatch.setattr(history_module, "MAX_ROWS", 10)
    history = History(tmp_path / "h")
    assert (len(history.query("SELECT * FROM range(11)").rows), history.query("SELECT * FROM range(11)").cut) == (
        10,
        True,
    )
    assert not history.query("SELECT * FROM range(10)").cut


def test_a_folder_with_odd_characters(tmp_path: Path) -> None:
    """Quotes and wild cards in the folder's name are a name, no SQL and no pattern."""
    folder = tmp_path / "o'brien [1]*?"
    folder.mkdir()
    history = History(folder / "h")
    history.convert(segment(folder, [read(NOON, 1)]))
    history.upkeep(NOON + 90_000)
    assert history.query("SELECT count(*) FROM readings").rows == [(1,)]


def test_a_disk_that_takes_nothing_is_told(tmp_path: Path) -> None:
    """Where the folder cannot be made the error is typed and passing: the hour stays in the journal."""
    (tmp_path / "h").write_bytes(b"")
    with pytest.raises(StoreError) as failed:
        History(tmp_path / "h").convert(segment(tmp_path, [read(NOON, 1)]))
    assert failed.value.passing


def test_queries_leak_nothing(tmp_path: Path) -> None:
    """A dozen conversions and queries leave as many file descriptors and threads as before."""
    history = History(tmp_path / "h")
    hour = segment(tmp_path, [read(NOON, 1)])

    def cycle() -> tuple[int, int]:
        history.convert(hour)
        history.query("SELECT 1 FROM readings")
        return len(os.listdir("/proc/self/fd")), threading.active_count()

    cycle()
    first = cycle()
    assert {cycle() for _ in range(12)} == {first}
