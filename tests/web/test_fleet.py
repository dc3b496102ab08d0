"""The pages of fleet and services and their API, in process: over a watch, and over a recording replayed to its end."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from parkwarden.model import Capture, Instance, Read, Reading, Started
from parkwarden.run.board.recorded import Recorded
from parkwarden.run.board.service import MAX_CAPTURES
from parkwarden.web.access import Access
from parkwarden.web.app import application
from parkwarden.web.desk import Desk
from tests.run.board.build import fleet
from tests.web.board import ADDRESS, HOSTILE, NOON, Board, a_board
from tests.web.test_api import valid

PART = {"HX-Request": "true"}


@pytest.fixture(scope="module")
def client() -> Iterator[TestClient]:
    """60 instances of 20 services over 12 minutes, one of them leaks eight a second."""
    host = Recorded.of(fleet(60, 20, 12.0))
    app = application(Desk(host, Access(()), time.time))
    with TestClient(app, base_url=ADDRESS, client=("127.0.0.1", 50_000)) as client:
        yield client


def services(page: str) -> list[str]:
    return re.findall(r'<a href="/services/([^?"]+)\?env=', page)


class _Balanced(HTMLParser):
    """Fails on an element that is closed by another's end."""

    VOID = frozenset(("meta", "link", "input", "path", "br", "img", "rect", "hr"))

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def balanced(page: str) -> bool:
    parser = _Balanced()
    parser.feed(page)
    return not parser.open


def test_the_worst_service_stands_first_with_its_line(client: TestClient) -> None:
    """State, culprit line, growth and the way to its incident are in the first row."""
    page = client.get("/").text
    assert balanced(page)
    assert services(page)[0] == "svc-0000"
    first = page.split('<tr id="s-')[1]
    for told in ("SUSPECT", "leaky.(*Worker).run", "worker.go:99", "480/min", "/incidents/", "goroutines"):
        assert told in first, told


def test_a_script_gets_what_changes_only(client: TestClient) -> None:
    """With HX-Request the answer is what stands inside the live part, to the letter."""
    part = client.get("/", headers=PART).text
    assert "<html" not in part
    assert part.strip() in client.get("/").text
    assert client.get("/").headers["vary"].lower().count("hx-request") == 1


def test_words_labels_states_and_pages_are_in_the_url(client: TestClient) -> None:
    """What a link of the page asks for is what comes, and what it does not change it keeps."""
    assert services(client.get("/?q=team=search svc-000").text) == ["svc-0001", "svc-0004", "svc-0007"]
    assert services(client.get("/?q=LEAKY").text) == ["svc-0000"]
    assert services(client.get("/?q=10.0.0.7:6060").text) == ["svc-0007"]
    assert services(client.get("/?state=suspect").text) == ["svc-0000"]
    assert services(client.get("/?state=leak").text) == []
    assert services(client.get("/?sort=-service&per_page=3").text) == ["svc-0019", "svc-0018", "svc-0017"]
    page = client.get("/?q=svc&sort=-service&per_page=3&page=2").text
    assert services(page) == ["svc-0016", "svc-0015", "svc-0014"]
    [following] = re.findall(r'rel="next" href="([^"]+)"', page)
    assert services(client.get(following.replace("&amp;", "&")).text) == ["svc-0013", "svc-0012", "svc-0011"]


def test_a_service_opens_to_its_instances_where_it_stands(client: TestClient) -> None:
    """The link of a row opens it, the same link closes it; those that a finding names come first."""
    page = client.get("/").text
    link = re.findall(r'role="button" href="([^"]+)" aria-expanded="false"', page)[0].replace("&amp;", "&")
    opened = client.get(link).text
    assert balanced(opened)
    rows = re.findall(r'<th scope="row" title="(10[^"]+)"', opened)
    assert rows == ["10.0.0.0:6060", "10.0.0.20:6060", "10.0.0.40:6060"]
    closing = re.findall(r'role="button" href="([^"]+)" aria-expanded="true"', opened)[0]
    assert "open=" not in closing


@pytest.mark.parametrize(
    "query",
    [
        "?page=0",
        "?page=99999999999",
        "?sort=nothing",
        "?sort=label:",
        "?state=x",
        "?open=%00",
        "?per_page=-1",
        "?q=%FF%00",
    ],
)
def test_nonsense_in_the_url_is_as_if_it_were_not_there(client: TestClient, query: str) -> None:
    """No query of the fleet's page is an error."""
    answer = client.get("/" + query)
    assert answer.status_code == 200
    assert balanced(answer.text)


def test_a_service_shows_what_it_did(client: TestClient) -> None:
    """Numbers, sites with their stable id, both threshold sets with since when, replicas: with a table for each picture."""
    page = client.get("/services/svc-0000?env=prod&range=2h").text
    assert balanced(page)
    for told in (
        "data-series",
        "data-replicas",
        "0000000000000063",
        "worker.go:99",
        "version 1.0",
        "fires since",
        "≥ 80",
        "≥ 50",
        "10.0.0.20:6060",
        "/incidents/",
    ):
        assert told in page, told
    assert page.count('class="h') >= 20
    assert "style=" not in page


def test_only_the_parts_asked_for_come(client: TestClient) -> None:
    """A beat costs what is in view."""
    part = client.get("/services/svc-0000?env=prod&parts=heat,now", headers=PART).text
    assert re.findall(r'id="part-(\w+)"', part) == ["now", "heat"]
    assert "data-series" not in part


def test_who_is_not_there_is_said(client: TestClient) -> None:
    """Another env is named; a range that is none is refused in words."""
    answer = client.get("/services/svc-0000?env=dev")
    assert answer.status_code == 404
    assert "prod" in answer.text
    assert client.get("/services/svc-0000?env=prod&range=9y").status_code == 400


def test_the_api_says_the_same(client: TestClient) -> None:
    """Services in the page's order with a total; one service with all pictures' numbers; schemas hold."""
    answer = client.get("/api/v1/services?limit=2")
    told = answer.json()
    valid("services-1", told)
    assert (answer.headers["x-total-count"], told["services"][0]["service"], len(told["services"])) == (
        "20",
        "svc-0000",
        2,
    )
    assert told["states"]["suspect"] == 1
    assert client.get("/api/v1/services?state=nothing").status_code == 422
    one = client.get("/api/v1/services/svc-0000?env=prod").json()
    valid("service-1", one)
    assert one["sites"]["rows"][0]["site"] == "0000000000000063"
    assert one["threshold_sets"]["rows"][0]["fires"][0]["instances"] == 1
    assert client.get("/api/v1/services/nobody").json()["error"]["code"] == "no-such-service"


def test_hostile_names_are_inert(board: Board) -> None:
    """Markup, escapes and slashes in labels and ids are shown as what they are, and their links lead to them."""
    labels = {"service": f"a/b {HOSTILE}", "env": HOSTILE, "version": HOSTILE, HOSTILE: HOSTILE}
    board.feed(
        Started(Instance(id=HOSTILE, labels=labels), NOON), Read(NOON + 1, HOSTILE, Reading(at=NOON + 1, goroutines=5))
    )
    board.beat()
    page = board.client.get("/").text
    assert balanced(page)
    assert "<script>alert" not in page
    assert "\x1b" not in page
    hrefs = [
        href.replace("&amp;", "&").replace("&#39;", "'") for href in re.findall(r'<a href="(/services/[^"]+)"', page)
    ]
    assert len(hrefs) == 2
    for href in hrefs:
        shown = board.client.get(href)
        assert shown.status_code == 200, href
        assert balanced(shown.text)
        assert "<script>alert" not in shown.text
    told = board.client.get("/api/v1/services").json()["services"]
    assert {one["service"] for one in told} == {"shop", labels["service"]}
    for link in re.findall(r'role="button" href="([^"]+)"', page):
        assert balanced(board.client.get(link.replace("&amp;", "&").replace("&#39;", "'")).text)


def test_a_watch_goes_from_fleet_to_culprit(board: Board) -> None:
    """A leak that is watched: its row leads to its service and to its incident, which both name the line."""
    board.live(14)
    page = board.client.get("/").text
    assert "price.go:42" in page
    row = board.firing()
    assert f"/incidents/{row.id}" in page
    shown = board.client.get(f"/services/{quote('shop')}?env=prod").text
    assert "price.go:42" in shown
    assert f"/incidents/{row.id}" in shown


def written(board: Board) -> None:
    """What was seen so far is in the journal."""

    async def work() -> None:
        board.watch.memory.flush()
        await asyncio.wait([board.watch.memory._flushing])  # type: ignore[list-item]

    board.call(work)


def test_longer_than_memory_comes_from_history(board: Board) -> None:
    """Hours that were written down are in the pictures of a week: numbers before those in memory, sites by name."""
    board.live(14)
    written(board)
    for _ in range(3):
        board.wall, board.steady = board.wall + 3600.0, board.steady + 3600.0
        board.live(1, leaks=False)
        written(board)
    board.call(board.watch._tidy, board.watch.clock.now())
    told = board.client.get("/api/v1/services/shop?env=prod&range=7d").json()
    valid("service-1", told)
    assert told["trouble"] == ""
    assert told["sites"]["slot_s"] == 21_600.0
    assert told["sites"]["rows"][0]["line"] == 42
    assert max(n for n in told["sites"]["rows"][0]["counts"] if n is not None) > 500


def test_a_young_service_is_shown_closely(board: Board) -> None:
    """Who was watched for minutes has cells of a minute unless asked otherwise, after half an hour two hours in cells of five."""

    def shown(query: str = "") -> str:
        page = board.client.get(f"/services/shop?env=prod{query}").text
        [current] = re.findall(r'<a class="button"[^>]* aria-current="true">(\w+)</a>', page)
        return str(current)

    board.live(14)
    assert (shown(), shown("&range=8h")) == ("24m", "8h")
    board.live(360)
    assert (shown(), shown("&range=24m")) == ("2h", "24m")


def test_a_hostile_service_leads_to_its_findings(board: Board) -> None:
    """What was found of it stands in its own row, whatever its name is made of."""
    name = f"\u202eevil\x07 {HOSTILE}"
    board.feed(Started(Instance(id="evil", labels={"service": name, "env": "\x1b[0m"}), NOON))
    for k in range(14):
        at = NOON + 5.0 * k
        board.feed(Read(at, "evil", Reading(at=at, goroutines=100 + 200 * k)))
        board.beat()
    row = next(one for one in board.client.get("/api/v1/services").json()["services"] if one["service"] == name)
    assert row["state"] == "suspect"
    assert row["incident"]
    assert row["growth_per_min"] > 1_000


def test_pictures_outlive_a_restart(tmp_path: Path) -> None:
    """What the journal of the last hour says is in the pictures of the next process before its first beat."""
    with a_board(tmp_path) as board:
        board.live(14)
        written(board)
        before = board.host.kept.past.series(["i1"])
    with a_board(tmp_path) as again:
        times, means = again.host.kept.past.series(["i1"])
        assert len(times) >= len(before[0]) - 1
        assert means[0, 0, 5] == before[1][0, 0, list(before[0]).index(times[5])]


def test_captures_are_marks_and_do_not_push_out_deploys(board: Board) -> None:
    """Evidence of the service is marked where it was taken, the newest; the deploy before it stays, and a restart is marked too."""
    board.live(3)
    for k in range(MAX_CAPTURES + 5):
        body = f"goroutine {k + 1} [running]:\nmain.main()\n".encode()
        board.call(
            board.watch.evidence.put,
            Capture(instance="i1", service="shop", kind="goroutine-dump", at=NOON + 0.1 * k, body=body, why="on beat"),
        )
    labels = {"service": "shop", "env": "prod", "version": "v1"}
    board.feed(Started(Instance(id="i1", labels=labels, start_time=NOON + 14), NOON + 14))
    board.live(1)
    marks = board.client.get("/api/v1/services/shop?env=prod").json()["marks"]
    kinds = [mark["kind"] for mark in marks]
    assert (kinds.count("capture"), kinds.count("deploy"), kinds.count("restart")) == (MAX_CAPTURES, 1, 1)
    assert "goroutine-dump of i1, on beat" in {mark["text"] for mark in marks}
    page = board.client.get("/services/shop?env=prod").text
    assert "i1 restarted" in page
