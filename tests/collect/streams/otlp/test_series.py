from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from parkwarden.collect.streams.otlp.series import Series
from parkwarden.formats.otlp_metrics import Point

NOON = 1_790_000_000.0


def point(
    field: str,
    value: float,
    at: float = 0.0,
    start: float = -60.0,
    *,
    metric: str = "",
    delta: bool = False,
    key: int = 0,
) -> Point:
    return Point(field, metric or field, NOON + at, NOON + start if start else 0.0, value, delta, key)


def fed(series: Series, *points: Point) -> tuple[dict[str, float], Counter[str]]:
    counts: Counter[str] = Counter()
    values: dict[str, float] = {}
    for _at, told in series.take(points, counts):
        values |= told
    return values, counts


def test_several_points_at_a_time_are_one_number_and_a_message_twice_is_once() -> None:
    """User and system CPU time are added up; the same points again change nothing."""
    series = Series()
    points = [point("cpu_s", 1.0, key=1), point("cpu_s", 2.0, key=2)]
    assert fed(series, *points)[0]["cpu_s"] == 3.0
    assert fed(series, *points)[0]["cpu_s"] == 3.0
    assert fed(series, point("cpu_s", 4.0, 10, key=3))[0]["cpu_s"] == 4.0


@given(st.lists(st.lists(st.integers(0, 100), min_size=1, max_size=5), min_size=1, max_size=10), st.data())
def test_deltas_add_up_to_what_was_counted_however_often_they_come(
    intervals: list[list[int]], data: st.DataObject
) -> None:
    """Deltas of any number of series, each message sent once or more, in order: the sum of all; late ones are counted, not added."""
    series, total = Series(), 0
    for n, counted in enumerate(intervals):
        total += sum(counted)
        points = [point("num_gc", c, n * 10, delta=True, key=i) for i, c in enumerate(counted)]
        for _ in range(data.draw(st.integers(1, 3))):
            assert fed(series, *points)[0]["num_gc"] == total
        if n:
            values, counts = fed(series, point("num_gc", 7, (n - 1) * 10, delta=True))
            assert not values
            assert counts == {"late": 1}


def test_one_thing_under_two_names_counts_once() -> None:
    """A server that tells requests by its own and by the conventions' name is not twice as busy."""
    values, counts = fed(
        Series(), point("requests_total", 5, metric="a"), point("requests_total", 5, metric="b", key=1)
    )
    assert values["requests_total"] == 5
    assert counts == {"other-name": 1}


def test_a_life_begins_with_its_oldest_sum_and_a_fallen_counter_begins_another() -> None:
    """Start times of the sums tell the life; a later start with a lower value is a restart."""
    series = Series()
    values, _ = fed(series, point("total_alloc", 100, start=-50), point("num_gc", 7, start=-60))
    assert values["start_time"] == NOON - 60
    values, _ = fed(series, point("total_alloc", 90, 20, 15), point("num_gc", 1, 20, 15))
    assert values["start_time"] == NOON + 15


def test_a_collector_that_was_restarted_is_no_restart_of_the_process() -> None:
    """Sums that begin anew, later than all that was told, and go on rising are the same life."""
    series = Series()
    fed(series, point("total_alloc", 100))
    assert fed(series, point("total_alloc", 120, 20, 15))[0]["start_time"] == NOON - 60


def test_what_a_process_says_of_its_start_goes_before_its_sums() -> None:
    """process_start_time_seconds and uptime are certain; an uptime that wavers by a tick is no other life."""
    series = Series()
    assert fed(series, point("total_alloc", 100), point("uptime", 600.0))[0]["start_time"] == NOON - 600
    assert fed(series, point("uptime", 610.3, 10))[0]["start_time"] == NOON - 600
    assert fed(series, point("start_time", NOON + 5, 20))[0]["start_time"] == NOON + 5


def test_two_processes_under_one_name_are_told_apart_and_the_younger_is_believed() -> None:
    """A sum that began while another was still told, and is higher, is another process: the older one's points are refused."""
    series = Series()
    fed(series, point("total_alloc", 100, 0, -60))
    values, counts = fed(series, point("total_alloc", 500, 10, -30))
    assert values["start_time"] == NOON - 30
    assert not counts
    values, counts = fed(series, point("total_alloc", 110, 20, -60))
    assert "total_alloc" not in values
    assert counts == {"shared-identity": 1}


def test_what_lies_apart_in_time_is_several_readings() -> None:
    """A message that holds an hour of a Collector's queue comes out as its times."""
    counts: Counter[str] = Counter()
    found = Series().take([point("goroutines", n, n) for n in range(3)], counts)
    assert [(at - NOON, values["goroutines"]) for at, values in found] == [(0, 0), (1, 1), (2, 2)]
