from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkwarden.collect.streams.otlp.identity import MAX_ID, instance_of, is_foreign


@pytest.mark.parametrize(
    ("attributes", "place"),
    [
        ({"service.name": "shop", "service.instance.id": "10.1.2.3:6060", "k8s.pod.name": "p"}, "10.1.2.3:6060"),
        ({"service.name": "shop", "k8s.namespace.name": "prod", "k8s.pod.name": "web-0", "service.instance.id": "f3"}, "prod/web-0"),
        ({"service.name": "shop", "service.instance.id": "worker-3", "host.name": "h"}, "shop/worker-3"),
        ({"service.name": "shop", "host.name": "h1", "process.pid": "4711"}, "shop/h1:4711"),
        ({"service.name": "shop"}, "shop"),
        ({"service.name": "unknown_service:main", "host.name": "h1"}, "h1"),
    ],
)  # fmt: skip
def test_the_place_names_the_instance(attributes: dict[str, str], place: str) -> None:
    """What stays over restarts goes before what is made anew for each life."""
    found = instance_of(attributes, {})
    assert found is not None
    assert found.id == place


def test_who_says_nothing_is_nobody() -> None:
    """An SDK that was told no name cannot be told from the next one."""
    assert instance_of({"service.name": "unknown_service:main"}, {}) is None
    assert instance_of({}, {"env": "prod"}) is None


def test_labels_come_from_the_resource_and_then_from_the_configuration() -> None:
    """The conventions' attributes are our labels, older names too; the configuration fills in what was not said."""
    attributes = {"service.name": "shop", "deployment.environment": "prod", "service.version": "1.4", "team": "pay"}
    found = instance_of(attributes, {"env": "test", "sla_tier": "gold"})
    assert found is not None
    assert found.labels == {"service": "shop", "env": "prod", "version": "1.4", "team": "pay", "sla_tier": "gold"}


def test_a_process_may_say_when_it_was_made() -> None:
    """process.creation.time is the start of the life."""
    found = instance_of({"service.name": "shop", "process.creation.time": "2026-11-21T08:00:00Z"}, {})
    assert found is not None
    assert found.start_time == 1_795_248_000.0


def test_other_languages_say_so() -> None:
    """The SDK's language and the runtime's name tell who is no Go program; who says nothing may be one."""
    assert is_foreign({"telemetry.sdk.language": "java"})
    assert is_foreign({"process.runtime.name": "OpenJDK Runtime Environment"})
    assert not is_foreign({"telemetry.sdk.language": "go", "process.runtime.name": "go"})
    assert not is_foreign({})


@given(
    st.dictionaries(
        st.sampled_from(["service.name", "service.instance.id", "host.name", "k8s.pod.name", "process.pid"]), st.text()
    )
)
def test_hostile_names_are_inert_and_short(attributes: dict[str, str]) -> None:
    """Whatever a sender says of itself, ids and labels are printable and bounded."""
    found = instance_of(attributes, {})
    if found is not None:
        assert 0 < len(found.id) <= MAX_ID
        assert all(text.isprintable() for text in (found.id, *found.labels.values()))
