"""/metrics, /healthz, /readyz: what they say, and to whom."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from parkwarden.run.status import WatchStatus
from parkwarden.web.status import HEALTHY_TICKS
from tests.web.board import NOON, TOKENS, Board, a_board, bearer


def say(board: Board, monkeypatch: pytest.MonkeyPatch, status: WatchStatus) -> None:
    """The watch is as `status` says."""
    monkeypatch.setattr(board.watch, "status", lambda: status)


def test_health_follows_the_judging(board: Board) -> None:
    """Alive while judging goes on; dead when it has stopped for HEALTHY_TICKS beats."""
    board.live(1)
    board.steady += 5 * HEALTHY_TICKS - 1
    assert board.client.get("/healthz").status_code == 200
    board.steady += 1
    assert board.client.get("/healthz").status_code == 503


@pytest.mark.parametrize("step", [3600.0, -3600.0])
def test_health_is_an_age_and_no_time_of_day(board: Board, step: float) -> None:
    """The wall clock set by an hour neither makes a judging watch ill nor keeps one that stopped healthy."""
    board.live(1)
    board.wall += step
    board.call(board.watch._heed_clock)
    assert board.client.get("/healthz").status_code == 200
    board.steady += 5 * HEALTHY_TICKS
    assert board.client.get("/healthz").status_code == 503


def test_readiness_names_the_part_but_not_the_secret_path(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk is told on /readyz without a token, the details behind the colon are not."""
    assert board.client.get("/readyz").status_code == 200
    say(board, monkeypatch, WatchStatus(started_at=NOON, troubles={"state": "cannot write: /secret/place is full"}))
    answer = board.client.get("/readyz")
    assert answer.status_code == 503
    assert answer.json() == {"ready": False, "troubles": {"state": "cannot write"}}


def test_a_token_guards_metrics_and_not_health(tmp_path: Path) -> None:
    """Without the right token /metrics is refused; health probes carry none, and may ask under any name."""
    with a_board(tmp_path, TOKENS) as board:
        assert board.client.get("/metrics").status_code == 401
        assert board.client.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 401
        assert board.client.get("/metrics", headers=bearer("viewer")).status_code == 200
        assert board.client.get("/healthz", headers={"Host": "10.1.2.3:9870"}).status_code == 200
        assert board.client.get("/readyz").status_code == 200


def test_metrics_show_what_the_status_says(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """Counters and gauges appear under their names with their labels; hostile label values are escaped."""
    status = WatchStatus(
        started_at=1.0,
        targets=Counter(up=3),
        targets_left_out=2,
        looks=Counter({("trace", "ok"): 7}),
        scrape_bytes=4096,
        dropped=Counter({'a"b\n': 1}),
    )
    say(board, monkeypatch, status)
    text = board.client.get("/metrics").text
    assert 'parkwarden_targets{state="up"} 3.0' in text
    assert "parkwarden_targets_left_out 2.0" in text
    assert "parkwarden_scrape_bytes_total 4096.0" in text
    assert 'parkwarden_looks_total{kind="trace",outcome="ok"} 7.0' in text
    assert 'parkwarden_dropped_total{what="a\\"b\\n"} 1.0' in text
