"""Answers in columns become readings: who a series is, what is new, what is left out."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from parkwarden.collect.streams.prometheus.fleet import Fleet
from parkwarden.collect.streams.prometheus.settings import PrometheusSource
from parkwarden.formats.prometheus_api import ApiAnswer, read
from tests.collect.streams.world import NOON


def answer(*series: tuple[dict[str, str], Any], matrix: bool = False) -> ApiAnswer:
    """Series of labels and value, or of labels and (time, value) pairs."""
    rows = [
        {"metric": labels, "values": [[at, str(v)] for at, v in value]}
        if matrix
        else {"metric": labels, "value": [NOON, str(value)]}
        for labels, value in series
    ]
    return read(json.dumps({"status": "success", "data": {"resultType": "", "result": rows}}).encode(), 1)


def who(instance: str = "a:1", **labels: str) -> dict[str, str]:
    return {"instance": instance, "job": "shop", **labels}


class Told:
    def __init__(self, known: tuple[str, ...] = (), **settings: Any) -> None:
        self.points: Counter[str] = Counter()
        self.fleet = Fleet(PrometheusSource(url="http://p:9090", **settings), self.points, known.__contains__)

    def tick(self, at: ApiAnswer, now: float = NOON, **fields: ApiAnswer) -> list[tuple[str, float, dict[str, Any]]]:
        self.fleet.begin([now])
        self.fleet.take("at", at)
        for name, found in fields.items():
            (self.fleet.take_by_id if name in ("requests_total", "go_version") else self.fleet.take)(name, found)
        return [(one.id, at, vars(reading)) for one, at, reading in self.fleet.told()]


def test_a_scrape_is_told_once_with_its_time() -> None:
    """Numbers of the same label set, whatever the metric's name, are one reading of the scrape's time; who was not scraped since is not told."""
    w = Told()
    at, goroutines = (
        answer((who(), NOON - 7), (who("b:1"), NOON - 3)),
        answer((who(__name__="go_goroutines"), 12), (who("b:1"), 5)),
    )
    first = w.tick(at, goroutines=goroutines, cpu_s=answer((who(), 1.25), (who("c:1"), 9)), rss=answer())
    assert sorted(first) == [("a:1", NOON - 7, {"goroutines": 12, "cpu_s": 1.25}), ("b:1", NOON - 3, {"goroutines": 5})]
    assert w.tick(answer((who(), NOON - 7), (who("b:1"), NOON + 12)), goroutines=goroutines) == [
        ("b:1", NOON + 12, {"goroutines": 5})
    ]
    assert w.points == {"taken": 4, "no-instance": 1}


def test_labels_become_the_houses_own() -> None:
    """`job` is the service where there is none, versions and environments go by their usual names, the source's labels come last."""
    w = Told(labels={"team": "blue", "env": "prod"})
    w.tick(answer((who(app_kubernetes_io_version="1.4.0", environment="test", __tmp="x"), NOON)))
    (one,) = w.fleet.instances
    assert one.labels == {"service": "shop", "job": "shop", "team": "blue", "env": "test", "version": "1.4.0", "instance": "a:1",
                          "environment": "test", "app_kubernetes_io_version": "1.4.0"}  # fmt: skip
    assert one.address == "a:1"


def test_one_name_of_two_instances_is_a_trouble_not_a_mixture() -> None:
    """Two clusters with one `instance`: the first one is told, its numbers are its own, and the second takes over once the first is gone;
    `id_labels` tells them apart."""
    w = Told()
    one, two = who(cluster="1"), who(cluster="2")
    numbers = answer((two, 900), (one, 12))
    assert w.tick(answer((one, NOON)), goroutines=answer((one, 11))) == [("a:1", NOON, {"goroutines": 11})]
    assert w.tick(answer((two, NOON + 5), (one, NOON + 5)), goroutines=numbers) == [
        ("a:1", NOON + 5, {"goroutines": 12})
    ]
    assert w.fleet.doubles == 1
    assert w.tick(answer((two, NOON + 9)), goroutines=numbers) == [("a:1", NOON + 9, {"goroutines": 900})]
    assert w.fleet.doubles == 0
    apart = Told(id_labels=("cluster", "instance"))
    assert [name for name, _, _ in apart.tick(answer((one, NOON), (two, NOON)))] == ["1/a:1", "2/a:1"]


def test_what_has_no_id_is_counted_nowhere_else() -> None:
    """A series without one of the id's labels is nobody's."""
    w = Told()
    assert w.tick(
        answer(({"job": "shop"}, NOON), (who(), NOON)), goroutines=answer(({"job": "shop"}, 3), (who(), 4))
    ) == [("a:1", NOON, {"goroutines": 4})]


def test_what_is_no_number_of_a_field_is_not_told() -> None:
    """NaN, negative, infinite or absurd values, and "no memory limit", are as if they had not been there."""
    w = Told()
    found = w.tick(
        answer((who(), NOON)),
        goroutines=answer((who(), "NaN")),
        open_fds=answer((who(), -1)),
        heap_inuse=answer((who(), "+Inf")),
        rss=answer((who(), 1e30)),
        mem_limit=answer((who(), 9.223372036854776e18)),
        cpu_s=answer((who(), 0.5)),
    )
    assert found == [("a:1", NOON, {"cpu_s": 0.5})]


def test_what_is_labelled_otherwise_comes_by_its_id() -> None:
    """Requests summed by the server and Go's version, whose label sets are others."""
    w = Told()
    w.tick(answer((who(), NOON)))
    found = w.tick(
        answer((who(), NOON + 5)),
        go_version=answer((who(version="go1.27.3"), 1)),
        requests_total=answer(({"instance": "a:1"}, 77), ({"instance": "z:1"}, 1)),
    )
    assert found == [("a:1", NOON + 5, {"requests_total": 77, "go_version": "go1.27.3"})]


def test_the_past_comes_in_order_and_not_twice() -> None:
    """Steps of a range: each scrape once, in the order of time; those whose past is known already are left out."""
    w = Told(known=("b:1",))
    steps = [NOON + 10 * i for i in range(4)]
    scrapes = [(steps[0], NOON - 2), (steps[1], NOON - 2), (steps[3], NOON + 28)]
    w.fleet.begin(steps)
    w.fleet.take("at", answer((who(), scrapes), (who("b:1"), scrapes), matrix=True))
    w.fleet.take("goroutines", answer((who(), [(at, i) for i, at in enumerate(steps)]), matrix=True))
    told = [(one.id, at, reading.goroutines) for one, at, reading in w.fleet.told()]
    assert told == [("a:1", NOON - 2, 0), ("a:1", NOON + 28, 3)]


def test_who_is_gone_for_good_leaves_nothing_behind() -> None:
    """Days of deploys: label sets that are no longer there are forgotten, and those that stay keep their last time."""
    w = Told()
    w.tick(answer((who(), NOON), *((who(f"p{i}:1"), NOON) for i in range(2_000))))
    w.tick(answer((who(), NOON + 5)))
    assert w.tick(answer((who(), NOON + 5))) == []
    assert [one.id for one in w.fleet.instances] == ["a:1"]
    assert w.tick(answer((who(), NOON + 9)), goroutines=answer((who(), 3))) == [("a:1", NOON + 9, {"goroutines": 3})]
