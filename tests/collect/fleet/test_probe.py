"""probe: which pages tell the readings, and when a reading is of another life."""

from __future__ import annotations

import pytest

from parkwarden.collect.fleet.probe import Source, index_rows, merge, missing, restarted, tells, text_total, wanted_next
from parkwarden.model import Reading


def order(pages: dict[Source, Reading]) -> list[Source]:
    """Pages asked while probing a target that has these."""
    told, asked, out = Reading(), frozenset[Source](), []
    while (source := wanted_next(told, asked)) is not None:
        asked |= {source}
        out.append(source)
        merge(told, pages.get(source, Reading()))
    return out


def test_metrics_alone_where_they_suffice() -> None:
    """A page with goroutines and heap needs no other."""
    assert order({Source.METRICS: Reading(goroutines=1, heap_inuse=1)}) == [Source.METRICS]


def test_what_is_missing_is_looked_for_cheapest_first() -> None:
    """Without a number of goroutines: the index (no walk over stacks), then the text's first line; without heap: expvar."""
    assert order({}) == list(Source)
    assert order({Source.METRICS: Reading(heap_inuse=1), Source.INDEX: Reading(goroutines=3)}) == [
        Source.METRICS,
        Source.INDEX,
    ]
    assert order({Source.METRICS: Reading(goroutines=1), Source.VARS: Reading(heap_alloc=1)}) == [
        Source.METRICS,
        Source.VARS,
    ]
    assert order({Source.VARS: Reading(heap_alloc=1, goroutines=7)}) == [Source.METRICS, Source.VARS]


def test_the_first_page_that_tells_a_number_counts() -> None:
    """Later ones only fill what is missing."""
    into = Reading(goroutines=1)
    assert merge(into, Reading(goroutines=2, threads=3))
    assert not merge(into, Reading(goroutines=2))
    assert (into.goroutines, into.threads) == (1, 3)


def test_a_page_that_tells_nothing_is_no_source() -> None:
    """promhttp's own counters alone are no reading; missing numbers are named."""
    assert not tells(Reading(go_version="go1.27"))
    assert tells(Reading(open_fds=3))
    assert missing(Reading(goroutines=1))[0] == "heap_inuse"


def test_index_and_text() -> None:
    """The index's rows by profile, the text's first line; other pages tell nothing."""
    page = b"<tr><td>12</td><td><a href='goroutine?debug=1'>goroutine</a></td></tr>\n<td>0</td><td><a href=trace?debug=1>trace</a>"
    assert index_rows(page) == {"goroutine": 12, "trace": 0}
    assert text_total(b"goroutine profile: total 35\n1 @ 0x1") == 35
    assert text_total(b"goroutine profile: total x") is None
    assert index_rows(b"<html>hello") == {}


@pytest.mark.parametrize(
    ("last", "now", "new_life"),
    [
        (Reading(start_time=100.0), Reading(start_time=100.4), False),
        (Reading(start_time=100.0), Reading(start_time=160.0), True),
        (Reading(start_time=100.0, num_gc=9), Reading(start_time=100.0, num_gc=3), False),
        (Reading(start_time=100.0, num_gc=9), Reading(start_time=100.4, num_gc=3), True),
        (Reading(num_gc=9), Reading(num_gc=3), True),
        (Reading(total_alloc=9), Reading(total_alloc=10), False),
        (Reading(requests_total=9), Reading(requests_total=0), True),
        (Reading(goroutines=9), Reading(goroutines=3), False),
        (Reading(num_gc=9), Reading(), False),
    ],
)
def test_restarts(last: Reading, now: Reading, new_life: bool) -> None:
    """Another start time, or where none is told a counter that fell; never a gauge."""
    assert restarted(last, now) is new_life
