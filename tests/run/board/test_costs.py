"""What looks cost each service: sums by kind, the worst replica, refusals; bounded in services."""

from __future__ import annotations

import pytest

import parkwarden.collect.fleet.status as status
from parkwarden.collect.fleet.status import OTHERS, Counters
from parkwarden.model import Instance, Started
from parkwarden.run.board.costs import ServiceCosts, as_json
from parkwarden.run.board.host import Costs
from parkwarden.run.board.recorded import Recorded
from tests.run.board.build import BEGIN


def test_each_service_has_its_book_and_the_fleet_the_sum() -> None:
    """What is written down for a service stands in the fleet's counters too."""
    counters = Counters()
    for service, stall in (("shop", 0.5), ("shop", 0.25), ("pay", 1.0)):
        for book in counters.books((service, "prod")):
            book.looked("census", "ok", 0.2, 1000, stall)
    for book in counters.books(("pay", "prod")):
        book.looked("census", "timeout", 3.0)
        book.refused("trace", "stall-budget")
        book.read("ok")
        book.waited(0.01, 500)
    host = Recorded.of(
        [(BEGIN, Started(Instance(id=f"{s}-1", labels={"service": s, "env": "prod"}), BEGIN)) for s in ("shop", "pay")]
    )
    rows = ServiceCosts(host, Costs(since=BEGIN, services=counters.services, stalled={"pay-1": 0.9})).part(0, 10)
    assert [(row.service, row.taken, row.stall_s, row.bytes) for row in rows] == [
        ("pay", 2, 1.0, 1500),
        ("shop", 2, 0.75, 2000),
    ]
    pay = rows[0]
    assert (pay.worst, pay.worst_stall_s, pay.times_refused, pay.looks[0].failed) == ("pay-1", 0.9, 1, 1)
    assert counters.looks == {("census", "ok"): 3, ("census", "timeout"): 1}
    assert counters.stall_seconds == {"census": 1.75}
    assert as_json(rows, Costs(since=BEGIN))["services"][0]["refused"] == [
        {"look": "trace", "reason": "stall-budget", "times": 1}
    ]


def test_services_beyond_the_bound_are_counted_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """A discovery that makes up services for ever fills no memory; their costs are not lost."""
    monkeypatch.setattr(status, "MAX_SERVICES", 2)
    counters = Counters()
    for i in range(5):
        for book in counters.books((f"s{i}", "")):
            book.looked("census", "ok", 0.1)
    assert set(counters.services) == {("s0", ""), ("s1", ""), OTHERS}
    assert counters.services[OTHERS].looks == {("census", "ok"): 3}
    assert counters.looks == {("census", "ok"): 5}
