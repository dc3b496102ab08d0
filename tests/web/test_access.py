"""Who may see and who may act: tokens, sessions, failed logins, tokens against other sites' pages."""

from __future__ import annotations

from pathlib import Path

import pytest
from starlette.requests import Request

from parkwarden.model import Secret
from parkwarden.run.config import TokenSettings
from parkwarden.web import access as module
from parkwarden.web.access import COOKIE, Access, Role, is_browser, same_origin, to_loopback
from tests.web.board import ADDRESS, HOSTILE, NOON, TOKENS, Board, a_board, bearer, csrf

EVA, VIC = (one.token.reveal() for one in TOKENS)


def asked(**headers: str) -> Request:
    """A request with these headers; `_` is `-`."""
    raw = [(name.replace("_", "-").encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]
    return Request({"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": raw})


def test_a_token_is_a_role_and_a_name() -> None:
    """The right Bearer word is who the configuration says; a wrong, empty, huge or strange one is nobody, cookie or not."""
    access = Access(TOKENS)
    eva = access.visitor(asked(authorization=f"Bearer {EVA}"), NOON)
    vic = access.visitor(asked(authorization=f"bearer  {VIC}"), NOON)
    assert eva is not None
    assert vic is not None
    assert (eva.name, eva.role, vic.name, vic.role) == ("eva", Role.OPERATOR, "vic", Role.VIEWER)
    assert not eva.key  # another site cannot make a browser send this header: no CSRF token is needed
    session = access.login(EVA, NOON)
    for word in ("", "x", EVA[:-1], EVA + "x", "é" * 40, "x" * 20_000):
        headers = {"authorization": f"Bearer {word}", "cookie": f"{COOKIE}={session}"}
        assert access.visitor(asked(**headers), NOON) is None
    assert access.visitor(asked(authorization=f"Basic {EVA}"), NOON) is None


def test_a_session_ends() -> None:
    """By itself after SESSION_S, and when its visitor logs out."""
    access = Access(TOKENS)
    word = access.login(VIC, NOON)
    request = asked(cookie=f"{COOKIE}={word}")
    visitor = access.visitor(request, NOON + module.SESSION_S - 1)
    assert visitor is not None
    assert visitor.logged_in
    assert access.visitor(request, NOON + module.SESSION_S) is None
    access.logout(visitor)
    assert access.visitor(request, NOON) is None


def test_sessions_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond MAX_SESSIONS the oldest goes; those that are over make room first."""
    monkeypatch.setattr(module, "MAX_SESSIONS", 3)
    access = Access(TOKENS)
    words = [access.login(EVA, NOON + n) for n in range(5)]
    known = [access.visitor(asked(cookie=f"{COOKIE}={word}"), NOON + 5) is not None for word in words]
    assert known == [False, False, True, True, True]
    access.login(EVA, NOON + module.SESSION_S + 3)
    assert len(access._sessions) == 2


def test_guessing_is_slow() -> None:
    """MAX_FAILURES within LOGIN_WINDOW_S, then a wait; other addresses may still try, until all together are too many."""
    access = Access(TOKENS)
    for n in range(module.MAX_FAILURES):
        assert access.wait_s("10.0.0.1", NOON + n) == 0
        access.failed("10.0.0.1", NOON + n)
    assert access.wait_s("10.0.0.1", NOON + 10) == module.LOGIN_WINDOW_S - 10
    assert access.wait_s("10.0.0.2", NOON + 10) == 0
    assert access.wait_s("10.0.0.1", NOON + module.LOGIN_WINDOW_S) == 0
    for n in range(module.MAX_ALL_FAILURES):
        access.failed(f"10.0.{n}.1", NOON + 10)
    assert access.wait_s("10.9.9.9", NOON + 10) > 0


def test_who_failed_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Addresses are made up cheaply (IPv6): MAX_PEERS of them are remembered, those that failed last."""
    monkeypatch.setattr(module, "MAX_PEERS", 4)
    monkeypatch.setattr(module, "MAX_FAILURES", 1)
    access = Access(TOKENS)
    for n in range(10):
        access.failed(f"fe80::{n}", NOON)
    assert [access.wait_s(f"fe80::{n}", NOON) > 0 for n in range(10)] == [False] * 6 + [True] * 4


def test_a_csrf_token_is_of_one_visitor_and_one_desk() -> None:
    """Right for whom it was made, as often as they like; another session's, another desk's, a changed or an empty one is wrong."""
    access = Access(TOKENS)
    words = [access.login(EVA, NOON) for _ in range(2)]
    one, two = (access.visitor(asked(cookie=f"{COOKIE}={word}"), NOON) for word in words)
    assert one is not None
    assert two is not None
    token = access.csrf_token(one)
    assert token != access.csrf_token(one)
    assert access.csrf_right(one, token)
    assert access.csrf_right(one, token)
    assert not access.csrf_right(two, token)
    assert not Access(TOKENS).csrf_right(one, token)
    for wrong in ("", ".", "x.y", token[:-1], token + "0", f".{token}", HOSTILE, "é.é"):
        assert not access.csrf_right(one, wrong)


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ({}, True),
        ({"origin": "http://h:1", "host": "h:1"}, True),
        ({"origin": "https://H:1", "host": "h:1"}, True),
        ({"origin": "http://evil", "host": "h:1"}, False),
        ({"origin": "null", "host": "h:1"}, False),
        ({"origin": "", "host": ""}, False),
        ({"origin": "http://[", "host": "h:1"}, False),
        ({"sec_fetch_site": "cross-site", "origin": "http://h:1", "host": "h:1"}, False),
        ({"sec_fetch_site": "same-site"}, False),
        ({"sec_fetch_site": "none"}, True),
        ({"sec_fetch_site": "same-origin"}, True),
    ],
)
def test_another_sites_page_is_told_apart(headers: dict[str, str], ours: bool) -> None:
    """By what browsers say of who asks; who says nothing is no browser."""
    assert same_origin(asked(**headers)) is ours
    assert is_browser(asked(**headers)) is any(name in headers for name in ("origin", "sec_fetch_site"))


@pytest.mark.parametrize(
    ("host", "ours"),
    [
        ("127.0.0.1:9870", True),
        ("localhost", True),
        ("[::1]:9870", True),
        ("127.8.8.8", True),
        ("", True),
        ("evil.example:9870", False),
        ("localhost.evil.example", False),
        ("127.0.0.1.evil.example", False),
        ("10.0.0.1", False),
        ("[", False),
        ("a@127.0.0.1:x", True),  # urlsplit's host is 127.0.0.1, and no browser sends such a header
    ],
)
def test_a_name_that_points_here_is_no_name_of_ours(host: str, ours: bool) -> None:
    """Without tokens only loopback names are answered: DNS rebinding brings another."""
    assert to_loopback(asked(host=host)) is ours


def test_logging_in_and_out(tmp_path: Path) -> None:
    """A person without a session is led to the login page and back; the cookie is not for scripts or other sites; out is out."""
    with a_board(tmp_path, TOKENS) as board:
        person = {"Accept": "text/html"}
        sent = board.client.get("/incidents?state=firing", headers=person)
        assert sent.status_code == 303
        assert sent.headers["location"] == "/login?next=/incidents%3Fstate%3Dfiring"
        shown = board.client.get(sent.headers["location"], headers=person)
        assert 'value="/incidents?state=firing"' in shown.text
        fields = {"token": VIC, "next": "/incidents?state=firing"}
        answer = board.client.post("/login", data=fields, headers={"Origin": ADDRESS})
        assert (answer.status_code, answer.headers["location"]) == (303, "/incidents?state=firing")
        cookie = answer.headers["set-cookie"].lower()
        assert all(word in cookie for word in ("httponly", "samesite=strict", "path=/", "max-age=43200"))
        page = board.client.get("/", headers=person)
        assert "vic, viewer" in page.text
        assert board.client.get("/login").status_code == 303
        board.client.post("/logout", data={"csrf_token": csrf(page.text)}, headers={"Origin": ADDRESS})
        assert board.client.get("/", headers=person).status_code == 303


def test_a_wrong_token_says_so_and_a_tenth_has_to_wait(tmp_path: Path) -> None:
    """401 with a sentence, 429 with the seconds to wait, though the token is right then; the token is never shown back."""
    with a_board(tmp_path, TOKENS) as board:
        for _ in range(module.MAX_FAILURES):
            answer = board.client.post("/login", data={"token": HOSTILE})
            assert answer.status_code == 401
            assert "this token is not known here" in answer.text
            assert "alert(1)" not in answer.text
        answer = board.client.post("/login", data={"token": EVA})
        assert answer.status_code == 429
        assert 0 < int(answer.headers["retry-after"]) <= module.LOGIN_WINDOW_S
        board.steady += module.LOGIN_WINDOW_S
        assert board.client.post("/login", data={"token": EVA}).status_code == 303


def test_over_https_the_cookie_stays_there(tmp_path: Path) -> None:
    """A session begun over https is never sent in the clear."""
    with a_board(tmp_path, TOKENS) as board:
        answer = board.client.post("https://127.0.0.1:9870/login", data={"token": EVA})
        assert "; secure" in answer.headers["set-cookie"].lower()


@pytest.mark.parametrize("where", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "", "/a\nb", "\\\\evil"])  # fmt: skip
def test_logging_in_leads_nowhere_else(tmp_path: Path, where: str) -> None:
    """`next` of a link that somebody sent is followed within our pages only."""
    with a_board(tmp_path, TOKENS) as board:
        assert board.client.post("/login", data={"token": EVA, "next": where}).headers["location"] == "/"


def test_a_link_in_a_mail_finds_the_session(tmp_path: Path) -> None:
    """A strict cookie does not come along from another site: the login page asks once more from here, then with the cookie."""
    with a_board(tmp_path, TOKENS) as board:
        from_mail = {"Accept": "text/html", "Sec-Fetch-Site": "cross-site"}
        page = board.client.get("/login?next=/incidents/1", headers=from_mail).text
        assert '<meta http-equiv="refresh" content="0; url=/login?again=1&amp;next=%2Fincidents%2F1">' in page
        assert "http-equiv" not in board.client.get("/login?again=1&next=%2F", headers=from_mail).text
        assert "http-equiv" not in board.client.get("/login", headers={"Accept": "text/html"}).text


def test_one_token_is_an_operator(tmp_path: Path) -> None:
    """`web.token` of old goes on as one entry of `web.tokens`."""
    alone = TokenSettings(name="operator", role="operator", token=Secret("a-single-token-of-old"))
    with a_board(tmp_path, (alone,)) as board:
        headers = {"Authorization": "Bearer a-single-token-of-old"}
        assert board.client.get("/metrics", headers=headers).status_code == 200
        assert board.client.get("/metrics", headers=bearer("operator")).status_code == 401


def test_nobody_is_asked_on_the_loopback_but_under_its_own_name(board: Board) -> None:
    """Without tokens everybody here is an operator, and a name of somebody else's that points here is refused."""
    assert board.client.get("/metrics").status_code == 200
    refused = board.client.get("/metrics", headers={"Host": "evil.example:9870"})
    assert refused.status_code == 403
    assert "bad-host" in refused.text
    assert board.client.get("/healthz", headers={"Host": "evil.example:9870"}).status_code == 200
