"""Addresses and labels from outside are checked and capped."""

from __future__ import annotations

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkwarden.collect.discovery import addresses
from parkwarden.collect.discovery.addresses import (
    MAX_LABEL_VALUE,
    MAX_LABELS,
    BadAddressError,
    clean_labels,
    make_target,
    parse_url,
)
from parkwarden.collect.discovery.settings import PerTarget


@pytest.mark.parametrize(
    ("text", "target_id", "url"),
    [
        ("host:6060", "host:6060", "http://host:6060"),
        ("http://host", "host:80", "http://host:80"),
        ("https://host/prefix/", "host:443/prefix", "https://host:443/prefix"),
        ("http://host:6060/debug/pprof/", "host:6060", "http://host:6060"),
        ("http://host:6060/x/debug/pprof", "host:6060/x", "http://host:6060/x"),
        ("[::1]:6060", "[::1]:6060", "http://[::1]:6060"),
        ("unix:/run/a.sock", "unix:/run/a.sock", "unix:/run/a.sock"),
        ("unix:///run/a.sock", "unix:/run/a.sock", "unix:/run/a.sock"),
    ],
)
def test_an_address_is_one_place(text: str, target_id: str, url: str) -> None:
    """However it is written, one place has one id."""
    assert parse_url(text) == (target_id, url)


@pytest.mark.parametrize(
    "text",
    ["", "ftp://h", "http://", "h:0", "h:99999", "http://u:sesame@h:1", "http://h/?sesame", "h:1#sesame", "a b", "a\nb", "h" * 3000, "http://[::1"],
)  # fmt: skip
def test_what_is_no_address(text: str) -> None:
    """Refused with a reason that does not hold the address."""
    with pytest.raises(BadAddressError) as caught:
        parse_url(text)
    assert "sesame" not in str(caught.value)


@given(st.text(max_size=80))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    """Nothing else is raised, and what is taken has no credentials."""
    try:
        target_id, url = parse_url(text)
    except BadAddressError:
        return
    assert target_id
    assert url.startswith("unix:") or "@" not in url.split("/")[2]


@given(st.from_regex(r"(https?://)?[a-z0-9.-]{1,12}:[0-9]{1,6}", fullmatch=True))
def test_the_short_way_is_the_long_way(text: str) -> None:
    """Plain addresses are read without the URL library, and are what it says they are."""
    short = long = None
    with contextlib.suppress(BadAddressError):
        short = parse_url(text)
    with pytest.MonkeyPatch.context() as patch, contextlib.suppress(BadAddressError):
        patch.setattr(addresses, "_PLAIN", re.compile("(?!)"))
        long = parse_url(text)
    assert short == long or (short is not None and long is None and "xn--" in text)


@given(st.dictionaries(st.text(max_size=200), st.text(max_size=400), max_size=60))
def test_labels_stay_within_their_limits(labels: dict[str, str]) -> None:
    """However many and long they are; the ones with a meaning are never pushed out."""
    kept, _lost = clean_labels({**labels, "service": "shop"})
    assert len(kept) <= MAX_LABELS
    assert kept["service"] == "shop"
    assert all(len(v) <= MAX_LABEL_VALUE for v in kept.values())


def test_a_target_says_more_than_its_source() -> None:
    """Its own labels and paths go before those of the source."""
    per = PerTarget(labels={"env": "prod", "team": "a"}, interval_s=7.0, metrics_path="/m")
    target = make_target("h:1", per, {"team": "b"}, pprof_path="pp", interval_s=3.0)
    assert target.labels == {"env": "prod", "team": "b"}
    assert (target.interval_s, target.metrics_path, target.pprof_path) == (3.0, "/m", "/pp")
    assert make_target("h:1", per, interval_s=0.001).interval_s == 1.0
