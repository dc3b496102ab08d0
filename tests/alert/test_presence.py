"""Who can be judged."""

from __future__ import annotations

from parkwarden.alert.policy import Policy
from parkwarden.alert.presence import presence
from parkwarden.model import Instance
from tests.alert.build import World, leak

POLICY = Policy()


def instance(name: str, **labels: str) -> Instance:
    return Instance(id=name, labels={"service": "orders", "env": "prod", **labels})


def test_a_service_is_blind_when_none_of_it_answers() -> None:
    """One instance that answers is enough; blind since the last one fell silent; its common labels are told."""
    both = [instance("a", team="pay", version="1"), instance("b", team="pay", version="2")]
    one = presence(both, {"a": 100.0}, {}, [], 1000.0, POLICY)
    assert (one.blind, one.labels) == ({"a": 100.0}, {})
    all_ = presence(both, {"a": 100.0, "b": 200.0}, {}, [], 1000.0, POLICY)
    assert all_.blind == {"a": 100.0, "b": 200.0, ("orders", "prod"): 200.0}
    assert all_.labels == {("orders", "prod"): {"service": "orders", "env": "prod", "team": "pay"}}


def test_the_young_are_not_judged_until_rejudge_s() -> None:
    """A life shorter than rejudge_s is young; a service is young while all that answer are."""
    both = [instance("a"), instance("b")]
    began = {"a": 800.0, "b": 699.0}
    assert presence(both, {}, began, [], 1000.0, POLICY).young == {"a"}
    assert presence(both, {"b": 900.0}, began, [], 1000.0, POLICY).young == {"a", ("orders", "prod")}


def test_services_without_targets_are_gone() -> None:
    """An open incident whose service has no target left is gone since it was last seen; others are not."""
    world = World()
    world.run(leak(), leak(service="pay"), for_s=20)
    told = presence([instance("a")], {}, {}, world.open, world.now, POLICY)
    assert told.gone == {("pay", "prod"): max(row.last_seen for row in world.open)}
