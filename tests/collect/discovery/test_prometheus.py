"""Prometheus's format of targets."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkwarden.collect.discovery import prometheus
from parkwarden.collect.discovery.settings import PerTarget
from parkwarden.model.errors import FormatError, LimitError, ParkwardenError
from parkwarden.model.instance import Target


def read(raw: bytes | object, *, yaml: bool = False) -> tuple[list[Target], list[tuple[str, str, str]]]:
    found: list[tuple[str, str, str]] = []
    raw = raw if isinstance(raw, bytes) else json.dumps(raw).encode()
    targets = prometheus.read_targets(raw, yaml=yaml, per=PerTarget(), problem=lambda *p: found.append(p))
    return targets, found


def test_json_and_yaml_say_the_same() -> None:
    """The example of Prometheus's documentation, in both."""
    as_json, _ = read([{"targets": ["10.0.0.1:9100", "10.0.0.2:9100"], "labels": {"env": "prod", "job": "node"}}])
    as_yaml, _ = read(
        b"- targets: ['10.0.0.1:9100', '10.0.0.2:9100']\n  labels:\n    env: prod\n    job: node\n", yaml=True
    )
    assert as_json == as_yaml
    assert [t.id for t in as_json] == ["10.0.0.1:9100", "10.0.0.2:9100"]
    assert as_json[0].labels == {"env": "prod", "job": "node", "service": "node"}


def test_labels_with_two_underscores() -> None:
    """The documented subset is understood, the others are left out."""
    labels = {
        "__address__": "other:1", "__scheme__": "https", "__metrics_path__": "/m", "__scrape_interval__": "1m30s",
        "__pprof_path__": "/p", "__meta_consul_dc": "x", "__param_a": "b", "service": "shop", "job": "j",
    }  # fmt: skip
    (target,), problems = read([{"targets": ["a:1"], "labels": labels}])
    assert (target.url, target.metrics_path, target.pprof_path) == ("https://a:1", "/m", "/p")
    assert target.interval_s == 90.0
    assert target.labels == {"service": "shop", "job": "j"}
    assert problems == []


def test_one_bad_record_costs_one() -> None:
    """Groups and addresses that are none are told, the others are targets."""
    groups = [
        1,
        {"targets": "x"},
        {"targets": ["a:1", 5, "u:p@h:1", "b:1"], "labels": {"n": 1, "ok": "y"}},
        {"targets": []},
    ]
    targets, problems = read(groups)
    assert [t.id for t in targets] == ["a:1", "b:1"]
    assert targets[0].labels == {"ok": "y"}
    assert [p[0] for p in problems] == ["bad-group", "bad-group", "bad-label", "bad-address", "bad-address"]


@pytest.mark.parametrize("raw", [b"{}", b"{", b"\xff", b"5"])
def test_what_is_not_the_format(raw: bytes) -> None:
    """A typed error, so that the last good targets stay."""
    for yaml in (False, True):
        with pytest.raises(FormatError):
            read(raw, yaml=yaml)


def test_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes, groups, targets and depth end; aliases and merges of YAML are not taken."""
    for yaml in (b"a: &a [1]\nb: *a", b"[" * 50):
        with pytest.raises(ParkwardenError):
            read(yaml, yaml=True)
    with pytest.raises(LimitError):
        read(b"#" * (prometheus.MAX_YAML_BYTES + 1), yaml=True)
    monkeypatch.setattr(prometheus, "MAX_TARGETS", 3)
    with pytest.raises(LimitError):
        read([{"targets": ["a:1", "b:1"]}, {"targets": ["c:1", "d:1"]}])
    monkeypatch.setattr(prometheus, "MAX_GROUPS", 1)
    with pytest.raises(LimitError):
        read([{}, {}])


JSON: Any = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=9),
    lambda x: st.lists(x, max_size=4) | st.dictionaries(st.sampled_from(["targets", "labels", "__address__", "__scheme__", "x"]), x, max_size=4),
)  # fmt: skip


@given(JSON)
def test_any_answer_is_read_or_refused(data: Any) -> None:
    """Targets, problems, or a typed error; nothing else."""
    try:
        targets, _ = read(data)
    except ParkwardenError:
        assert not isinstance(data, list)
        return
    assert len({t.id for t in targets}) == len(targets)
