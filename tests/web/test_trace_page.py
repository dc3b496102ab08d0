"""A trace's page and tiles, asked in process: uploaded, told once, told the same again, and what is hostile stays a text."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import quote

import pytest

from parkwarden.formats import trace
from parkwarden.model import Capture
from parkwarden.run.board.dumps import BusyError
from parkwarden.web.api.openapi import BASE
from tests.web.board import NOON, Board

DATA = Path(__file__).parents[1] / "data" / "trace"
HOSTILE = b"</script><img src=x onerror=alert(1)>\x1b[31m{{7*7}}"


def uploaded(board: Board, body: bytes, name: str = "sample.trace") -> str:
    answer = board.client.post(f"{BASE}/bags", files={"file": (name, body)})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["bags"][0]["id"])


@pytest.fixture
def bag(board: Board) -> str:
    return uploaded(board, (DATA / "1.27" / "sample.trace").read_bytes())


def test_an_uploaded_trace_has_a_page(board: Board, bag: str) -> None:
    """The bag links to it; it names the go statements, who waits for what, and the numbers behind the pictures."""
    assert f'href="/traces/{bag}/sample.trace"' in board.client.get(f"/explore/{bag}").text
    answer = board.client.get(f"/traces/{bag}/sample.trace")
    assert answer.status_code == 200
    for text in ("main.short", "main.old", "chan send", "start trace", "The pictures in numbers", "trace-data"):
        assert text in answer.text, text
    assert len(answer.content) < 200_000


def test_tiles_are_kept_by_whoever_asked(board: Board, bag: str) -> None:
    """A tile carries a tag; who has it already is told so without a body, if they may still see it; another one has another tag."""
    first = board.client.get(f"{BASE}/traces/{bag}/tiles", params={"level": 2, "index": 1})
    assert first.status_code == 200
    assert first.json()["index"] == 1
    assert first.headers["cache-control"] == "private, no-cache"
    tag = first.headers["etag"]
    again = board.client.get(
        f"{BASE}/traces/{bag}/tiles", params={"level": 2, "index": 1}, headers={"If-None-Match": tag}
    )
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    other = board.client.get(f"{BASE}/traces/{bag}/tiles", params={"level": 2, "index": 2})
    assert other.headers["etag"] != tag


def test_what_is_not_there_is_not_found(board: Board, bag: str) -> None:
    """Unknown bags, names and tiles are 404 with a next step, as page and as JSON; nonsense is 422."""
    for path in (
        f"/traces/{bag}/other.trace",
        "/traces/nobody/sample.trace",
        f"{BASE}/traces/nobody",
        f"{BASE}/traces/{bag}?name=other",
        f"{BASE}/traces/{bag}/tiles?level=2&index=4",
        f"{BASE}/traces/{bag}/tiles?level=20&index=0",
    ):
        answer = board.client.get(path)
        assert answer.status_code == 404, path
        assert "there is no such" in answer.text or "is no tile" in answer.text or "is not open" in answer.text, path
    for query in ("level=-1", "level=x", "index=1e3", "nobody=1"):
        assert board.client.get(f"{BASE}/traces/{bag}/tiles?{query}").status_code == 422, query


def test_who_must_wait_is_told_when_to_come(board: Board, bag: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """When too much is being read already the answer is 429 with Retry-After."""

    async def busy(*_: object) -> None:
        raise BusyError("busy", "4 bags are being read already", hint="try again")

    monkeypatch.setattr(board.desk.traces, "get", busy)
    for path in (f"/traces/{bag}/sample.trace", f"{BASE}/traces/{bag}/tiles"):
        answer = board.client.get(path)
        assert answer.status_code == 429
        assert answer.headers["retry-after"]


def test_hostile_names_are_texts(board: Board) -> None:
    """A function, a wait's reason and a file name that are markup are shown as what they are, in the page and in its data block."""
    body = (DATA / "1.27" / "sample.trace").read_bytes()
    for word in (b"main.short", b"chan receive", b"main.deep"):
        hostile = HOSTILE[: len(word)].ljust(len(word), b"<")
        assert word in body
        body = body.replace(word, hostile)
    bag = uploaded(board, body, HOSTILE.decode() + ".trace")
    link = board.client.get(f"/explore/{bag}").text.split(f'href="/traces/{bag}/', 1)[1].split('"', 1)[0]
    answer = board.client.get(f"/traces/{bag}/{link}")
    assert answer.status_code == 200
    assert "<img" not in answer.text
    assert "\x1b" not in answer.text
    assert "49" not in answer.text.split("<h1", 1)[1].split("</h1>", 1)[0]
    assert answer.text.count("</script>") == answer.text.count("<script")


def test_evidence_of_an_incident_is_looked_at_in_the_same_way(board: Board) -> None:
    """A trace that the watch saved, redacted, opens from its digest; the same digest is the same bag."""
    body = (DATA / "1.27" / "sample.trace").read_bytes()

    capture = Capture(
        instance="i1", service="shop", kind="trace", at=NOON, body=body, why="goroutine-trend", file="shop.trace"
    )
    put = board.watch.evidence.put

    async def save() -> str:
        return str((await asyncio.to_thread(put, capture, {"service": "shop"})).digest)

    digest = board.call(save)
    first = board.client.get(f"/explore?evidence={digest}")
    assert first.status_code == 303
    assert board.client.get(f"/explore?evidence={digest}").headers["location"] == first.headers["location"]
    bag = first.headers["location"].rpartition("/")[2]
    told = board.client.get(f"{BASE}/traces/{bag}").json()
    made = sum(sum(row) for row in board.client.get(f"{BASE}/traces/{bag}/tiles").json()["created"].values())
    assert made == trace.read(body).trace.created  # type: ignore[union-attr]
    assert board.client.get(f"/traces/{bag}/{quote(told['name'], safe='')}").status_code == 200
