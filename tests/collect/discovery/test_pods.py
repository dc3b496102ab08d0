"""A pod -> its target: whose word counts, and which pods are none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkwarden.collect.discovery._pods import pod_target, unix_seconds
from parkwarden.collect.discovery.settings import Kubernetes
from parkwarden.model.instance import Target

from .api import pod

A = "parkwarden.io/"


def target(one: Any, **settings: Any) -> Target:
    found = pod_target(one, Kubernetes(**settings))
    assert isinstance(found, Target), found
    return found


def test_a_usual_pod() -> None:
    """Usual labels, the port named debug, the life of the container that has it."""
    found = target(pod("cart-1", restarts=3), cluster="eu")
    assert (found.id, found.url) == ("eu/shop/cart-1", "http://10.1.0.1:6060")
    assert found.labels == {
        "service": "cart", "version": "1.4.2", "namespace": "shop", "pod": "cart-1", "cluster": "eu",
    }  # fmt: skip
    assert (found.start_time, found.restarts) == (unix_seconds("2026-11-21T08:00:00Z"), 3)


def test_annotations_go_before_everything() -> None:
    """Port by number or name, scheme, paths and labels."""
    words = {A + "port": "admin", A + "scheme": "https", A + "path": "internal/pprof", A + "metrics-path": "/m"}
    labels = {A + "service": "pay", A + "env": "prod", A + "team": "t", A + "sla-tier": "0", A + "version": "9"}
    found = target(pod("x", annotations=words | labels), port=1, labels={"env": "no", "dc": "a"})
    assert (found.url, found.pprof_path, found.metrics_path) == ("https://10.1.0.1:15000", "/internal/pprof", "/m")
    assert {k: found.labels[k] for k in ("service", "env", "team", "sla_tier", "version", "dc")} == {
        "service": "pay", "env": "prod", "team": "t", "sla_tier": "0", "version": "9", "dc": "a",
    }  # fmt: skip
    assert found.restarts == 9
    assert target(pod("x", annotations={A + "port": "7070"})).url == "http://10.1.0.1:7070"
    assert target(pod("x", ip="fd00::1")).url == "http://[fd00::1]:6060"


def test_the_service_without_labels_is_what_made_the_pod() -> None:
    """A ReplicaSet's name ends in the template's hash, which is no part of the service's."""
    made = {"app.kubernetes.io/name": "", "pod-template-hash": "7d4b9c"}
    assert target(pod("cart-7d4b9c-x", owner="cart-7d4b9c", labels=made)).labels["service"] == "cart"
    assert target(pod("lone", labels={"app.kubernetes.io/name": ""})).labels["service"] == "lone"


@pytest.mark.parametrize(
    "one",
    [
        pod("x", annotations={A + "scrape": "false"}),
        pod("x", annotations={A + "scrape": ""}),
        pod("x", deleted=True),
        pod("x", phase="Pending"),
        pod("x", phase="Succeeded"),
        pod("x", ip=""),
    ],
)
def test_who_is_no_target(one: Any) -> None:
    """Not asked for, ending, not running, without an address: gone, not a problem."""
    assert pod_target(one, Kubernetes()) is None


def test_all_but_the_refused_without_opt_in() -> None:
    """`opt_in: false` takes every pod that does not say no."""
    assert isinstance(pod_target(pod("x", annotations={A + "scrape": ""}), Kubernetes(opt_in=False)), Target)
    assert pod_target(pod("x", annotations={A + "scrape": "false"}), Kubernetes(opt_in=False)) is None


@pytest.mark.parametrize("words", [{"port": "none"}, {"port": "0"}, {"port": "99999"}, {"scheme": "file"}])
def test_who_wants_to_be_one_and_cannot(words: dict[str, str]) -> None:
    """Told in a sentence, since its owner waits for it."""
    assert isinstance(pod_target(pod("x", annotations={A + k: v for k, v in words.items()}), Kubernetes()), str)
    assert isinstance(pod_target(pod("x", ports=[]), Kubernetes()), str)
    assert target(pod("x", ports=[]), port=6060).url.endswith(":6060")


def test_a_hostile_pod_cannot_choose_the_host() -> None:
    """Whatever its annotations hold, only its own IP is asked."""
    words = {A + "path": "@evil/x", A + "metrics-path": "http://evil/", A + "port": "6060@evil"}
    assert isinstance(pod_target(pod("x", annotations=words), Kubernetes()), str)
    found = target(pod("x", annotations={**words, A + "port": "6060"}))
    assert found.url == "http://10.1.0.1:6060"
    assert (found.pprof_path, found.metrics_path) == ("/@evil/x", "/metrics")
    long = target(pod("x", labels={"app.kubernetes.io/name": "s" * 5000}))
    assert len(long.labels["service"]) == 256


JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda x: st.lists(x, max_size=3) | st.dictionaries(st.sampled_from(["metadata", "spec", "status", "name", "namespace", "annotations", "labels", "containers", "ports", "podIP"]), x, max_size=4),
)  # fmt: skip


@given(JSON, st.sampled_from(["metadata", "spec", "status"]))
def test_any_object_is_a_target_or_none(data: Any, part: str) -> None:
    """The API may tell anything in any place."""
    assert pod_target(data, Kubernetes(port=1)) is None
    found = pod_target(pod("x") | {part: data}, Kubernetes(port=1, opt_in=False))
    assert found is None or isinstance(found, Target | str)
