"""The map's numbers, and values of one's own."""

from __future__ import annotations

import pytest

from parkwarden.judge.limits import GATEWAY, PRESETS, STREAMING, custom
from parkwarden.model import UsageError


def test_the_maps_numbers() -> None:
    """Map row B6: 2048/1536/30 s for an API gateway, 4096/3072/15 s for streaming: ulimit -u, SetMaxThreads, timeouts."""
    assert {n: (p.process_limit, p.max_threads, p.timeout_s) for n, p in PRESETS.items()} == {
        "gateway": (2048, 1536, 30.0),
        "streaming": (4096, 3072, 15.0),
    }
    assert not GATEWAY.streaming
    assert STREAMING.streaming


def test_every_preset_says_where_go_contradicts_it() -> None:
    """SetMaxThreads is a crash limit, ulimit -u is the user's, and threads are no requests; a stream's WriteTimeout cuts it."""
    for profile in PRESETS.values():
        said = " ".join(profile.disagrees)
        assert "crash limit" in said
        assert "root is not bound" in said
        assert f"{profile.process_limit - profile.max_threads:,} are left" in said
    assert "WriteTimeout" in " ".join(STREAMING.disagrees)
    assert "--peer-keepalive" in " ".join(GATEWAY.disagrees)


@pytest.mark.parametrize(
    ("told", "numbers"),
    [
        ({}, (2048, 1536, 30.0)),
        ({"streaming": True}, (4096, 3072, 15.0)),
        ({"process_limit": 1000}, (1000, 750, 30.0)),
        ({"max_threads": 500}, (2048, 500, 30.0)),
        ({"max_threads": 3000}, (4000, 3000, 30.0)),
        ({"process_limit": 501, "max_threads": 500, "timeout_s": 5.0}, (501, 500, 5.0)),
    ],
)
def test_what_is_not_told_follows(told: dict[str, float], numbers: tuple[int, int, float]) -> None:
    """Of the two thread limits the other is worked out, three quarters; the rest is the gateway's."""
    one = custom(**told)  # type: ignore[arg-type]
    assert (one.process_limit, one.max_threads, one.timeout_s) == numbers
    assert one.name == "custom"


@pytest.mark.parametrize(
    "told",
    [
        {"process_limit": 500, "max_threads": 500},
        {"process_limit": 1},
        {"process_limit": 5_000_000},
        {"max_threads": 0},
        {"timeout_s": 0},
        {"timeout_s": 86_401},
    ],
)
def test_contradictions_are_refused(told: dict[str, float]) -> None:
    """SetMaxThreads at or above the process limit, and times that are none, are usage errors with a next step."""
    with pytest.raises(UsageError) as caught:
        custom(**told)  # type: ignore[arg-type]
    assert caught.value.hint
