"""The guard before all routes: whoever adds one cannot leave it open."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from starlette.routing import Route

from parkwarden.web.guard import CSP, FOR_ALL, PUBLIC, PUBLIC_FOLDER
from tests.web.board import ADDRESS, HOSTILE, TOKENS, Board, a_board, bearer, csrf

CHANGING = ("POST", "PUT", "PATCH", "DELETE")


def every_route(board: Board) -> list[tuple[str, str]]:
    """(method, path) of every route there is, parameters filled in."""
    found = []
    for route in board.app.routes:
        assert isinstance(route, Route), f"{route}: the guard's test knows plain routes only"
        path = route.path.replace(":path", "").replace(":str", "")
        while "{" in path:
            before, _, rest = path.partition("{")
            path = f"{before}x{rest.partition('}')[2]}"
        found += [(method, path) for method in sorted(route.methods or ()) if method != "HEAD"]
    return found


def public(path: str) -> bool:
    return path in PUBLIC or path.startswith(PUBLIC_FOLDER)


def state_of(board: Board) -> Any:
    """What nobody without the right may change."""
    rows = board.call(board.watch.ask, lambda s: (s.incidents(active=False), s.silences(), s.last_action()))
    return rows, [row.changed() for row in board.host.incidents()]


def test_every_route_asks_who(tmp_path: Path) -> None:
    """Without a token each route is refused, but health, login and static files."""
    with a_board(tmp_path, TOKENS) as board:
        for method, path in every_route(board):
            if public(path):
                continue
            answer = board.client.request(method, path)
            assert answer.status_code == 401, f"{method} {path}"
            assert answer.headers["www-authenticate"] == "Bearer", f"{method} {path}"


def test_a_viewer_changes_nothing(tmp_path: Path) -> None:
    """Every route that is not for reading refuses a viewer, with a Bearer token and with a session, and nothing is changed."""
    with a_board(tmp_path, TOKENS) as board:
        board.live(12)
        before, browser = state_of(board), board.login("viewer")
        token = {"X-CSRF-Token": csrf(browser.get("/").text), "Origin": ADDRESS}
        for method, path in every_route(board):
            if method not in CHANGING or public(path) or path in FOR_ALL:
                continue
            row = path.replace("/x", f"/{board.firing().id}")
            for client, headers in ((board.client, bearer("viewer")), (browser, token)):
                answer = client.request(method, row, headers=headers)
                assert answer.status_code == 403, f"{method} {row}"
                assert "role-needed" in answer.text
        assert state_of(board) == before


def test_a_session_changes_nothing_without_our_own_page(tmp_path: Path) -> None:
    """An operator's cookie alone is not enough: a CSRF token of this session, and no other site's page, on every route."""
    with a_board(tmp_path, TOKENS) as board:
        board.live(12)
        before, browser = state_of(board), board.login("operator")
        right, other = csrf(browser.get("/").text), csrf(board.login("operator").get("/").text)
        attempts = (
            {},
            {"Origin": ADDRESS},
            {"Origin": ADDRESS, "X-CSRF-Token": other},
            {"Origin": ADDRESS, "X-CSRF-Token": quote(HOSTILE)},
            {"Origin": "http://evil.example", "X-CSRF-Token": right},
            {"Sec-Fetch-Site": "cross-site", "X-CSRF-Token": right},
        )
        for method, path in every_route(board):
            if method not in CHANGING or public(path):
                continue
            for headers in attempts:
                answer = browser.request(method, path, headers=headers)
                assert answer.status_code == 403, f"{method} {path} {headers}"
                assert "csrf-token" in answer.text or "cross-site" in answer.text
        assert state_of(board) == before
        assert "eva, operator" in browser.get("/").text


def test_another_sites_page_changes_nothing_here(board: Board) -> None:
    """On the loopback nobody is asked who they are, but a page that a browser of this machine visits is refused on every route."""
    board.live(12)
    before = state_of(board)
    for method, path in every_route(board):
        if method not in CHANGING or path in ("/login",):
            continue
        for headers in ({"Origin": "http://evil.example"}, {"Origin": "null"}, {"Origin": ADDRESS}, {"Cookie": "a=b"}):
            assert board.client.request(method, path, headers=headers).status_code == 403, f"{method} {path} {headers}"
    assert state_of(board) == before


def test_our_own_form_and_script_may(tmp_path: Path) -> None:
    """The CSRF token is taken from a form's field and from a script's header; the route still reads the whole form."""
    with a_board(tmp_path, TOKENS) as board:
        for way in ("form", "script"):
            browser = board.login("viewer")
            token = csrf(browser.get("/").text)
            headers = {"Origin": ADDRESS} if way == "form" else {"Origin": ADDRESS, "X-CSRF-Token": token}
            data = {"csrf_token": token, "why": "done"} if way == "form" else {}
            assert browser.post("/logout", data=data, headers=headers).headers["location"] == "/login"
            assert browser.get("/", headers={"Accept": "text/html"}).status_code == 303


def test_every_answer_carries_the_headers(tmp_path: Path) -> None:
    """The strict policy and its companions, on pages, refusals, errors, redirects, static files and health."""
    with a_board(tmp_path, TOKENS) as board:
        for path in ("/", "/login", "/healthz", "/nothing", "/static/x/base.css", "/metrics", "/events"):
            for headers in ({}, {} if path == "/events" else bearer("viewer"), {"Accept": "text/html"}):
                answer = board.client.get(path, headers=headers)
                assert answer.headers["content-security-policy"] == CSP, path
                assert answer.headers["x-content-type-options"] == "nosniff", path
                assert answer.headers["referrer-policy"] == "same-origin", path
                assert "unsafe" not in CSP
                if not path.startswith("/static/"):
                    assert answer.headers["cache-control"] == "no-store", path


@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_errors_have_one_shape(board: Board, accept: str) -> None:
    """A page for people, JSON under /api and for programs, in the same words; what was asked for is not run or echoed raw."""
    for method, path, status, code in (
        ("GET", f"/{quote(HOSTILE)}", 404, "no-such-page"),
        ("POST", "/healthz", 405, "bad-method"),
        ("GET", "/static/0/nothing.js", 404, "no-such-file"),
    ):
        answer = board.client.request(method, path, headers={"Accept": accept})
        assert answer.status_code == status
        assert code in answer.text
        assert "<script>alert" not in answer.text
        if accept == "application/json":
            error = json.loads(answer.text)["error"]
            assert set(error) == {"code", "message", "hint"}
            assert error["code"] == code
    assert board.client.get("/api/v1/nothing").json()["error"]["code"] == "no-such-page"


def test_a_bug_of_ours_tells_nothing(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """A route that raises what nobody expected is a 500 in our words; the details are the log's."""

    def broken() -> None:
        raise RuntimeError("a secret path: /etc/x")

    monkeypatch.setattr(board.watch, "status", broken)
    answer = board.client.get("/readyz")
    assert answer.status_code == 500
    assert "this is a bug of Parkwarden" in answer.text
    assert "/etc/x" not in answer.text


def test_static_files_are_kept_by_their_content(board: Board) -> None:
    """The address carries a hash: kept for a year; an old hash gets what is there now, unkept; compressed where that is understood."""
    url = board.desk.assets.url("base.css")
    kept = board.client.get(url)
    assert kept.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert kept.headers["content-type"] == "text/css; charset=utf-8"
    old = board.client.get("/static/0123456789ab/base.css", headers={"Accept-Encoding": "identity"})
    assert old.headers["cache-control"] == "no-cache"
    assert old.text == kept.text
    assert kept.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in old.headers
    for odd in ("/static/0/../../desk.py", "/static/0/..%2f..%2fdesk.py", "/static/0/vendor/README.md", "/static/0/"):
        assert board.client.get(odd).status_code == 404


def test_a_form_is_bounded(board: Board) -> None:
    """A body beyond what a form can have is refused, told or untold, before a route sees it."""
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    large = b"token=" + b"x" * (65 << 10)

    def untold() -> Any:
        yield large

    for body in (large, untold()):
        answer = board.client.post("/login", content=body, headers=headers)
        assert answer.status_code == 413
    many = "&".join(f"a{n}=1" for n in range(60))
    assert board.client.post("/login", content=many, headers=headers).status_code == 400
    assert board.client.post("/login", json={"token": "x"}).status_code == 400
