"""The REST API: the command line's schemas, one shape of errors, pages of lists, and who may do what."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from parkwarden.model import IncidentState
from parkwarden.web.access import Role
from parkwarden.web.api.openapi import BASE, document, operations
from tests.web.board import TOKENS, Board, a_board, bearer

SCHEMAS = Path(__file__).parents[2] / "docs/schema"


@pytest.fixture(scope="module")
def firing(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    """One incident fires, tokens are asked for; tests here change only what they say."""
    with a_board(tmp_path_factory.mktemp("api"), tokens=TOKENS) as board:
        board.live(12)
        yield board


def get(board: Board, path: str, role: str = "viewer", **query: str) -> Any:
    answer = board.client.get(BASE + path, params=query, headers=bearer(role))
    assert answer.status_code == 200, answer.text
    return answer.json()


def valid(schema: str, told: Any) -> None:
    jsonschema.validate(told, json.loads((SCHEMAS / f"{schema}.json").read_text()))


def test_every_list_answers_in_its_schema(firing: Board) -> None:
    """What is read without a name in the path is of the schema that OpenAPI says, and not empty where something fires."""
    asked = [one for one in operations() if one.method == "GET" and not one.parts and one.schema]
    assert len(asked) >= 7
    for one in asked:
        told = get(firing, one.path)
        valid(one.schema, told)
        assert told, one.id
    assert get(firing, "/incidents")["incidents"][0]["service"] == "shop"
    assert get(firing, "/findings")["findings"]


def test_an_incident_says_what_the_command_line_says(firing: Board) -> None:
    """The same schema, and all that the row knows: stack, reasons, who."""
    row = firing.firing()
    told = get(firing, f"/incidents/{row.id}")
    valid("incidents-1", told)
    [one] = told["incidents"]
    assert (one["id"], one["state"], one["stack"][0]) == (row.id, "firing", "main.quote /src/shop/price.go:42")


def test_lists_come_in_parts(firing: Board) -> None:
    """`limit` and `offset` cut; headers say how many there are and where the next ones are."""
    for _ in range(3):
        made = {"matchers": {"team": "x"}, "for": "1h"}
        assert firing.client.post(f"{BASE}/silences", json=made, headers=bearer("operator")).status_code == 201
    seen, path = [], f"{BASE}/silences?limit=2"
    while path:
        answer = firing.client.get(path, headers=bearer("viewer"))
        assert answer.headers["x-total-count"] == "3"
        seen += [one["id"] for one in answer.json()["silences"]]
        path = answer.headers.get("link", "").partition(">")[0].removeprefix("<")
    assert len(set(seen)) == 3
    for silence in seen:
        assert firing.client.delete(f"{BASE}/silences/{silence}", headers=bearer("operator")).status_code == 200
    assert get(firing, "/silences")["silences"] == []


@pytest.mark.parametrize(
    ("method", "path", "how", "status", "code"),
    [
        ("GET", "/incidents/nobody", {}, 404, "no-such-incident"),
        ("GET", "/nothing", {}, 404, "no-such-page"),
        ("GET", "/evidence/zz", {}, 404, "evidence-unknown"),
        ("GET", "/evidence/abcdef/body", {}, 404, "evidence-unknown"),
        ("PUT", "/incidents", {}, 405, "bad-method"),
        ("GET", "/incidents?limit=0", {}, 422, "bad-query"),
        ("GET", "/incidents?limit=1001", {}, 422, "bad-query"),
        ("GET", "/incidents?nobody=knows", {}, 422, "bad-query"),
        ("GET", "/incidents?limit=1&limit=2", {}, 422, "bad-query"),
        ("GET", "/status?x=1", {}, 422, "bad-query"),
        ("POST", "/silences", {"content": "{"}, 422, "bad-body"),
        ("POST", "/silences", {"json": {"matchers": {}}}, 422, "bad-body"),
        ("POST", "/silences", {"json": {"matchers": {"a": "~("}}}, 422, "bad-matcher"),
        ("POST", "/silences", {"json": {"matchers": {"a": "b"}, "for": "ever"}}, 422, "bad-body"),
        ("POST", "/silences", {"json": {"matchers": {"a": "b"}, "for": "91d"}}, 422, "bad-duration"),
        ("POST", "/silences", {"json": {"matchers": {"a=b": "c"}}}, 422, "bad-body"),
        ("POST", "/silences", {"json": {"matchers": {"a": "b"}, "more": 1}}, 422, "bad-body"),
        ("POST", "/silences", {"data": {"matchers": "a=b"}}, 422, "bad-body"),
        ("POST", "/silences", {"json": {"matchers": {"a": "b" * 70_000}}}, 413, "too-large"),
        ("POST", "/incidents/nobody/acknowledge", {"json": {}}, 404, "no-such-incident"),
        ("DELETE", "/silences/nobody", {}, 404, "no-such-silence"),
    ],
)
def test_errors_have_one_shape(
    firing: Board, method: str, path: str, how: dict[str, Any], status: int, code: str
) -> None:
    """A status, a stable code, a sentence, a next step; never a page, never a trace."""
    answer = firing.client.request(method, BASE + path, headers=bearer("operator"), **how)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    valid_error = document()["components"]["schemas"]["Error"]
    jsonschema.validate(answer.json(), valid_error)
    assert answer.headers["content-security-policy"].startswith("default-src 'none'")


@pytest.mark.parametrize("how", [{}, {"Authorization": "Bearer wrong"}, bearer("viewer")])
def test_nobody_but_an_operator_changes_anything(firing: Board, how: dict[str, str]) -> None:
    """Every operation, asked for without a token, with a wrong one and by a viewer: nothing is different afterwards."""
    row = firing.firing()
    before = firing.call(firing.host.story, row.id), firing.host.incidents(), firing.call(firing.host.silences)
    role = Role.VIEWER if how == bearer("viewer") else None
    for one in operations():
        path = BASE + one.path.replace("{id}", row.id).replace("{digest}", "0" * 64)
        body = {"matchers": {"service": "shop"}, "by": "mallory"} if one.id == "beginSilence" else {"by": "mallory"}
        sent = {"json": body} if one.body else {}
        answer = firing.client.request(one.method, path, headers=how, **sent)
        if role is None:
            assert answer.status_code == 401, (one.id, answer.text)
        elif one.role > role:
            assert answer.status_code == 403, (one.id, answer.text)
        else:
            assert answer.status_code in (200, 404, 422), (one.id, answer.text)
    after = firing.call(firing.host.story, row.id), firing.host.incidents(), firing.call(firing.host.silences)
    assert before == after


def test_acting_is_written_down_with_the_tokens_name(tmp_path: Path) -> None:
    """Who acts is who the token says; a name given beside it is kept; what is over cannot be taken on."""
    with a_board(tmp_path, tokens=TOKENS) as board:
        board.live(12)
        row = board.firing()
        act = f"{BASE}/incidents/{row.id}"

        def post(what: str, **body: str) -> Any:
            return board.client.post(f"{act}/{what}", json=body, headers=bearer("operator"))

        told = post("acknowledge", why="looking").json()
        valid("incidents-1", told)
        [one] = told["incidents"]
        assert (one["acknowledged_by"], one["acknowledged_why"]) == ("eva", "looking")
        [one] = post("acknowledge", by="ada").json()["incidents"]
        assert one["acknowledged_by"] == "ada (eva)"
        told = post("silence", why="load test", **{"for": "1h"}).json()
        assert told["silences"][0]["created_by"] == "eva"
        assert told["incidents"][0]["silenced_until"] == told["silences"][0]["ends_at"]
        [one] = post("resolve", why="rolled back").json()["incidents"]
        assert (one["state"], one["closed_by"], one["closed_why"]) == ("resolved", "eva", "rolled back")
        again = post("resolve")
        assert (again.status_code, again.json()["error"]["code"]) == (409, "incident-over")
        board.live(3)
        assert [r.state for r in board.host.incidents() if r.id == row.id] == [IncidentState.RESOLVED]
        assert [a.act for a in board.call(board.host.story, row.id).actions] == [
            *("acknowledge", "acknowledge", "silence", "resolve")
        ]


def test_an_address_is_a_whole_id(board: Board) -> None:
    """What the command line takes for an incident, the first letters of its id, is none here."""
    board.live(12)
    path = f"{BASE}/incidents/{board.firing().id[:6]}"
    for what in ("acknowledge", "resolve", "silence"):
        assert board.client.post(f"{path}/{what}", json={"by": "ada"}).status_code == 404, what
    assert board.client.get(path).status_code == 404
    assert not board.call(board.host.story, board.firing().id).actions


def test_without_tokens_who_acts_says_who(board: Board) -> None:
    """On a port that asks nobody, a name is needed: others will ask."""
    board.live(12)
    path = f"{BASE}/incidents/{board.firing().id}/acknowledge"
    answer = board.client.post(path, json={})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "no-name")
    assert board.client.post(path, json={"by": "ada"}).json()["incidents"][0]["acknowledged_by"] == "ada"


def test_the_document_is_whole(firing: Board) -> None:
    """Every reference leads somewhere, every operation has an id of its own and says who may; the page shows them all."""
    told = firing.client.get(f"{BASE}/openapi.json", headers=bearer("viewer")).json()
    assert told == document()
    text = json.dumps(told)
    for reference in {part.split('"', 1)[0] for part in text.split('"$ref": "#/')[1:]}:
        place: Any = told
        for step in reference.split("/"):
            place = place[step]
        assert place
    ids = [one.id for one in operations()]
    assert len(ids) == len(set(ids))
    page = firing.client.get("/api", headers=bearer("viewer"))
    assert page.status_code == 200
    assert all(f'id="{name}"' in page.text for name in ids)
