"""The incidents' pages: what is shown, what is done by forms, what is escaped, what may be downloaded."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import quote

import pytest
from starlette.testclient import TestClient

from parkwarden.alert.story import key_of
from parkwarden.model import Capture, Event, IncidentState, Instance, Started
from parkwarden.run.board.recorded import Recorded
from parkwarden.web.access import Access
from parkwarden.web.app import application
from parkwarden.web.desk import Desk
from tests.run.board.build import fleet
from tests.web.board import ADDRESS, HOSTILE, NOON, SITE, TOKENS, Board, a_board, bearer, csrf

STATES = ["", "open", "resolved", "firing", "pending", "flapping", "no-data", "nonsense"]


def save(board: Board, body: bytes = b"goroutine profile: total 1\n1 @ 0x1\n", kind: str = "goroutine-profile") -> str:
    """Evidence of the shop's leak, kept as the keeper keeps it, and told to the incident."""

    async def work() -> str:
        capture = Capture(
            instance="i1",
            service="shop",
            kind=kind,
            at=board.watch.clock.now(),
            body=body,
            why="goroutine-trend",
            site_ids=(SITE.id,),
            file="goroutine.txt",
        )
        board.watch._keeper.keep(capture)
        await board.watch._keeper._store_one(capture)
        (item,) = await asyncio.to_thread(board.watch.evidence.list)
        return item.digest

    digest = board.call(work)
    board.live(1)
    assert isinstance(digest, str)
    return digest


def act(board: Board, what: str, **fields: str) -> None:
    answer = board.client.post(f"/incidents/{board.firing().id}/{what}", data=fields)
    assert (answer.status_code, answer.headers["location"]) == (303, f"/incidents/{board.host.incidents()[0].id}")


def test_an_incident_is_told_whole(board: Board) -> None:
    """Verdict, line, why, stack, since when and which version, rate, what to do, the story, where the evidence is."""
    board.live(12)
    digest = save(board)
    row = board.firing()
    page = board.client.get(f"/incidents/{row.id}").text
    for said in (row.title, "/src/shop/price.go:42", "main.handle /src/shop/main.go:17", "since version", "v1", "50/s"):
        assert said in page, said
    for heading in ("Verdict and why", "What to do", "Story", "Evidence", "Do something"):
        assert f"{heading}</h" in page, heading
    assert f"/incidents/{row.id}/evidence/{digest}" in page
    assert f"/explore?evidence={digest}" in page
    assert "parkwarden diagnose goroutine.txt" in page
    assert "told: firing" in page
    assert "lasted long enough to be told" in page


def test_the_list_has_what_is_open_and_finds_what_is_over(board: Board) -> None:
    """Open first; searched by words of title, line, label; what is over is found by its state."""
    board.live(12)
    row = board.firing()
    link = f'href="/incidents/{row.id}"'
    assert link in board.client.get("/incidents").text
    assert link in board.client.get("/incidents?q=price.go+SHOP").text
    assert link not in board.client.get("/incidents?q=elsewhere").text
    assert link not in board.client.get("/incidents?state=resolved").text
    act(board, "resolve", by="eva")
    assert link not in board.client.get("/incidents").text
    for state in ("resolved", ""):
        assert link in board.client.get(f"/incidents?state={state}").text


def test_forms_act_without_script_and_say_who_and_why(board: Board) -> None:
    """Each form's deed is in the state when the answer comes, and on the page with who, why and when."""
    board.live(12)
    row = board.firing()
    act(board, "acknowledge", by="eva", why="looking at it")
    page = board.client.get(f"/incidents/{row.id}").text
    assert "Acknowledged by eva" in page
    assert ": looking at it" in page
    act(board, "silence", by="ada", why="load test", **{"for": "8h"})
    [silence] = board.call(board.host.silences)
    page = board.client.get(f"/incidents/{row.id}").text
    assert "Silenced by ada" in page
    assert "silenced for 8 h" in page
    act(board, "unsilence", by="ada", silence=silence.id)
    assert "Silenced by" not in board.client.get(f"/incidents/{row.id}").text
    kept = board.call(board.watch.ask, lambda state: state.incident(row.id))
    assert (kept.acknowledged_by, kept.acknowledged_why) == ("eva", "looking at it")
    act(board, "resolve", by="eva", why="rolled back")
    page = board.client.get(f"/incidents/{row.id}").text
    assert "Resolved by eva" in page
    assert 'id="resolve"' not in page
    board.live(2)
    assert board.call(board.host.incident, row.id).state is IncidentState.RESOLVED
    assert "resolved by eva: rolled back" in board.client.get(f"/incidents/{row.id}").text


def test_a_part_is_the_page_without_its_frame(board: Board) -> None:
    """What a script fetches at each beat has no frame, and is what the page holds."""
    board.live(12)
    for path in (f"/incidents/{board.firing().id}", "/incidents", "/limits", "/costs"):
        part = board.client.get(path, headers={"HX-Request": "true"})
        assert part.status_code == 200, path
        assert "<html" not in part.text
        assert part.headers["vary"].startswith("HX-Request")


@pytest.mark.parametrize("what", ["acknowledge", "resolve", "silence", "unsilence"])
def test_forms_of_others_are_refused(tmp_path: Path, what: str) -> None:
    """A viewer may not, nobody unknown may, an operator's browser may not without our page's word; nothing is changed."""
    with a_board(tmp_path, tokens=TOKENS) as board:
        board.live(12)
        row = board.firing()
        path = f"/incidents/{row.id}/{what}"
        before = board.call(board.host.story, row.id)
        assert board.client.post(path, data={"by": "x"}).status_code == 401
        assert board.client.post(path, data={"by": "x"}, headers=bearer("viewer")).status_code == 403
        browser = board.login("operator")
        page = browser.get(f"/incidents/{row.id}").text
        assert browser.post(path, data={"by": "x"}, headers={"Origin": ADDRESS}).status_code == 403
        form = {"csrf_token": csrf(page)}
        assert browser.post(path, data=form, headers={"Origin": "http://evil.example"}).status_code == 403
        assert board.call(board.host.story, row.id) == before
        assert 'id="acknowledge"' in page
        assert 'id="acknowledge"' not in board.login("viewer").get(f"/incidents/{row.id}").text


def test_evidence_is_for_the_disk(board: Board) -> None:
    """A download never shows in a browser, is what was kept, and only an incident's own evidence is at its address."""
    board.live(12)
    body = b"goroutine profile: total 1\n<script>alert(1)</script>\n"
    digest = save(board, body)
    answer = board.client.get(f"/incidents/{board.firing().id}/evidence/{digest}")
    assert answer.content == body
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == 'attachment; filename="goroutine.txt"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    for path in (f"/incidents/{board.firing().id}/evidence/{'0' * 64}", f"/incidents/nobody/evidence/{digest}"):
        assert board.client.get(path).status_code == 404


def test_hostile_names_make_no_markup(board: Board) -> None:
    """Labels, versions, reasons and names are text, and control characters are visible."""
    labels = {"service": HOSTILE, "env": HOSTILE, "version": HOSTILE, "team": HOSTILE}
    events: list[Event] = [Started(Instance(id="i1", labels=labels, start_time=NOON - 9000), NOON + 1)]
    board.feed(*events)
    board.live(14)
    [row] = [r for r in board.host.incidents() if r.service == HOSTILE and r.state is IncidentState.FIRING]
    board.client.post(f"/incidents/{row.id}/acknowledge", data={"by": HOSTILE[:90], "why": HOSTILE})
    for path in (f"/incidents/{row.id}", "/incidents", f"/incidents?q={quote(HOSTILE)}", "/limits", "/costs", "/api"):
        page = board.client.get(path).text
        assert "<script>alert" not in page, path
        assert "\x1b" not in page, path
        assert "\u202e" not in page, path


@pytest.mark.parametrize("state", STATES)
def test_any_filter_answers(board: Board, state: str) -> None:
    """Whatever stands in the address, a page comes."""
    board.live(12)
    for query in (f"state={state}", f"state={state}&from=9999999999999", f"q={'x' * 1000}", "from=-1", "priority=P9"):
        assert board.client.get(f"/incidents?{query}").status_code == 200


def test_a_recording_cannot_be_acted_on(tmp_path: Path) -> None:
    """What was opened is the past: its incidents are shown without forms, and a deed is refused."""
    host = Recorded.of(fleet(4, 2, 12.0, leaks=(0,)))
    [row, *_] = [row for row in host.incidents() if row.site_id]
    desk = Desk(host, Access(()), lambda: NOON, title="a recording")
    client = TestClient(application(desk), base_url=ADDRESS, client=("127.0.0.1", 50_000), follow_redirects=False)
    page = client.get(f"/incidents/{row.id}")
    assert page.status_code == 200
    assert "leaky.(*Worker).run (worker.go:99)" in page.text
    assert 'id="acknowledge"' not in page.text
    refused = client.post(f"/api/v1/incidents/{row.id}/acknowledge", json={"by": "eva"})
    assert 400 <= refused.status_code < 500
    for path in ("/incidents", "/limits", "/costs", "/api", "/api/v1/costs", "/api/v1/limits", "/api/v1/incidents"):
        assert client.get(path).status_code == 200, path


def test_a_page_has_one_number(board: Board) -> None:
    """An incident is brought up to date when it changes, its finding at each judgement: title and fact say what the finding says."""
    board.live(12)
    row = board.firing()
    behind = 0
    for _ in range(8):
        board.live(1)
        (finding,) = (one for one in board.host.tick().findings if key_of(one) == row.key)
        behind += board.firing().count != finding.count
        page = board.client.get(f"/incidents/{row.id}").text
        assert f'<h1 id="what">{finding.title}</h1>' in page
        assert f"<dt>here</dt><dd>{finding.count:,}</dd>" in page
    assert behind
