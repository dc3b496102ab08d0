"""The frame: pages, errors and live events, asked in process."""

from __future__ import annotations

from tests.web.board import Board


def test_the_fleet_is_the_first_page(board: Board) -> None:
    """/ shows the services that are watched, behind the strict policy."""
    board.live(2)
    answer = board.client.get("/")
    assert answer.status_code == 200
    assert "shop" in answer.text
    assert answer.headers["content-security-policy"].startswith("default-src 'none'; script-src 'self';")
