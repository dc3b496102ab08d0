"""The explorer's pages and API in process: uploads with their limits and roles, hostile names, schemas, evidence."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from parkwarden.model import Capture
from parkwarden.run.board import dumps
from parkwarden.run.evidence import open_store
from parkwarden.web import uploads
from tests.run.board.test_dumps import ONE, TWO
from tests.web.board import HOSTILE, TOKENS, Board, a_board, bearer, csrf

SCHEMAS = Path(__file__).parents[2] / "docs/schema"
BAGS = "/api/v1/bags"


@pytest.fixture
def board(tmp_path: Path) -> Iterator[Board]:
    with a_board(tmp_path, tokens=TOKENS) as made:
        yield made
        made.desk.bags.close()


def send(board: Board, *files: tuple[str, bytes], role: str = "operator", **fields: Any) -> Any:
    parts = [("file", (name, body)) for name, body in files]
    return board.client.post(BAGS, files=parts, data=fields, headers=bearer(role))


def page(board: Board, path: str, role: str = "viewer", **query: str) -> str:
    answer = board.client.get(path, params=query or None, headers=bearer(role))
    assert answer.status_code == 200, answer.text
    return str(answer.text)


def opened(board: Board, *files: tuple[str, bytes]) -> str:
    answer = send(board, *files, modified=[str(1000 * (i + 1)) for i in range(len(files))])
    assert answer.status_code == 201, answer.text
    return str(answer.json()["bags"][0]["id"])


def test_every_answer_is_in_its_schema(board: Board) -> None:
    """Bags, report, sites, raw stacks, flame graphs and differences, each as OpenAPI says; lists say how many there are."""
    bag = opened(board, ("before", ONE), ("after", TWO))
    site = board.client.get(f"{BAGS}/{bag}/sites", headers=bearer("viewer")).json()["clusters"][0]["id"]
    for path, schema in (
        ("", "bags-1"),
        (f"/{bag}", "bags-1"),
        (f"/{bag}/report", "report-1"),
        (f"/{bag}/sites?q=main&sort=function", "stacks-1"),
        (f"/{bag}/sites?look=0&limit=1", "stacks-1"),
        (f"/{bag}/sites/{site}", "stacks-1"),
        (f"/{bag}/sites/{site}/raw?look=0", "raw-stacks-1"),
        (f"/{bag}/flame", "flame-1"),
        (f"/{bag}/difference?from=0&to=1", "difference-1"),
        (f"/{bag}/difference/flame", "flame-1"),
    ):
        answer = board.client.get(BAGS + path, headers=bearer("viewer"))
        assert answer.status_code == 200, (path, answer.text)
        jsonschema.validate(answer.json(), json.loads((SCHEMAS / f"{schema}.json").read_text()))
    told = board.client.get(f"{BAGS}/{bag}/difference?limit=1", headers=bearer("viewer"))
    assert (told.headers["X-Total-Count"], len(told.json()["changes"]), told.json()["changes"][0]["born"]) == (
        "3",
        1,
        1,
    )


def test_only_operators_open_and_forget(board: Board) -> None:
    """A viewer sees what is open, sends nothing, forgets nothing; a browser needs its CSRF token."""
    assert send(board, ("one", ONE), role="viewer").status_code == 403
    bag = opened(board, ("one", ONE))
    assert board.client.delete(f"{BAGS}/{bag}", headers=bearer("viewer")).status_code == 403
    assert "Drop files" not in page(board, "/explore")
    browser = board.login("operator")
    text = browser.get("/explore").text
    assert "Drop files" in text
    parts = [("file", ("x", ONE))]
    origin = {"Origin": "http://127.0.0.1:9870"}
    assert browser.post(BAGS, files=parts, headers=origin).status_code == 403
    right = {**origin, "X-CSRF-Token": csrf(text)}
    assert browser.post(BAGS, files=parts, headers=right).status_code == 201
    assert browser.post(f"/explore/{bag}/forget", headers=right).status_code == 303
    assert board.client.get(f"{BAGS}/{bag}", headers=bearer("viewer")).status_code == 404
    assert board.client.get(f"/explore/{bag}", headers=bearer("viewer")).status_code == 404


def test_uploads_end_at_their_limits(board: Board, monkeypatch: pytest.MonkeyPatch) -> None:
    """Too many bytes with and without a told length, nothing at all, no form, too many at once: each has its answer and its next step."""
    monkeypatch.setattr(uploads, "MAX_UPLOAD_BYTES", 1_000)
    monkeypatch.setattr(uploads, "MAX_FRAMING_BYTES", 1_000)
    assert send(board, ("big", b"x" * 3_000)).status_code == 413
    head = bearer("operator") | {"Content-Type": "multipart/form-data; boundary=b"}

    def endless() -> Iterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n\r\n'
        for _ in range(100):
            yield b"y" * 100

    told = board.client.post(BAGS, content=endless(), headers=head)
    assert (told.status_code, told.json()["error"]["code"]) == (413, "too-large")
    assert board.client.post(BAGS, data={"other": "x"}, headers=bearer("operator")).status_code == 400
    assert board.client.post(BAGS, content=b"--b--\r\n", headers=head).json()["error"]["code"] == "no-files"
    assert board.client.post(BAGS, content=b"nonsense", headers=head).status_code == 400
    monkeypatch.setattr(dumps, "MAX_WAITING", 0)
    busy = send(board, ("one", ONE))
    assert (busy.status_code, busy.json()["error"]["code"]) == (429, "busy")
    assert int(busy.headers["Retry-After"]) > 0


def test_hostile_names_are_text(board: Board) -> None:
    """In file names, functions, states and labels: no element, no control character, no template of theirs."""
    name = HOSTILE.replace("\x1b", "")
    evil = f"goroutine 1 [{name}]:\nmain.{name}()\n\t/src/{name}.go:7 +0x1d\n".encode("utf-8", "replace")
    bag = opened(board, (name, evil), ("other", TWO))
    site = board.client.get(f"{BAGS}/{bag}/sites?look=0", headers=bearer("viewer")).json()["clusters"][0]["id"]
    for path in (
        "/explore",
        f"/explore/{bag}",
        f"/explore/{bag}/sites",
        f"/explore/{bag}/sites/{site}",
        f"/explore/{bag}/diff",
    ):
        text = page(board, path)
        assert "<script>alert" not in text
        assert "\u202e" not in text
        assert "49" not in re.sub(r"\d{3,}|[0-9a-f]{12}|\d\d:\d\d", "", text) or "{{7*7}}" in text


def test_a_search_that_makes_no_sense_is_told_in_its_place(board: Board) -> None:
    """The page stays, with all sites and the words of the error; the API refuses."""
    bag = opened(board, ("one", TWO))
    assert "compares with no number" in page(board, f"/explore/{bag}", q="age>=soon")
    answer = board.client.get(f"{BAGS}/{bag}/sites?q=age>=soon", headers=bearer("viewer"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "bad-search")


def test_thousands_of_sites_come_in_pages(board: Board) -> None:
    """The page holds one part of them, with links to the next and back that keep search and order."""
    many = "".join(f"goroutine {n} [select]:\nmain.f{n}()\n\t/src/f{n}.go:7 +0x1d\n\n" for n in range(1, 3001))
    bag = opened(board, ("many", many.encode()))
    text = page(board, f"/explore/{bag}/sites", q="main", sort="function")
    assert text.count('class="open"') == 50
    assert "3,000 of 3,000 sites" in text
    following = re.search(r'rel="next" href="([^"]+)#', text)
    assert following is not None
    later = page(board, following[1].replace("&amp;", "&"))
    assert "51 to 100 are shown" in later
    assert 'rel="prev"' in later


def test_evidence_of_an_incident_opens(board: Board) -> None:
    """`?evidence=DIGEST` leads to a bag of these items, the same one each time, in the order of their times."""

    def keep(body: bytes, at: float) -> str:
        store = open_store(board.watch.config.store)
        capture = Capture(
            at=at, instance="i1", service="shop", kind="goroutine-dump", file="goroutine.txt", body=body, why="test"
        )
        return store.put(capture).digest

    later, earlier = keep(TWO, 2_000.0), keep(ONE, 1_000.0)
    query = f"/explore?evidence={later}&evidence={earlier}"
    first = board.client.get(query, headers=bearer("viewer"))
    assert first.status_code == 303, first.text
    where = first.headers["Location"]
    assert board.client.get(query, headers=bearer("viewer")).headers["Location"] == where
    bag = board.desk.bags.get(where.rpartition("/")[2])
    assert [look.total for look in bag.looks] == [2, 4]
    assert board.client.get("/explore?evidence=abcdef", headers=bearer("viewer")).status_code == 404
    told = board.client.post(f"{BAGS}/evidence", json={"digests": [later]}, headers=bearer("operator"))
    assert told.json()["bags"][0]["origin"] == "evidence"


def test_a_file_name_leads_nowhere() -> None:
    """Folders that lead elsewhere are gone, a folder that was dropped keeps its parts."""
    assert uploads.file_name("../../etc/passwd") == "etc/passwd"
    assert uploads.file_name("C:\\dumps\\.\\a.txt") == "C:/dumps/a.txt"
    assert uploads.file_name("..") == "file"


def test_every_kind_of_file_has_its_page(board: Board) -> None:
    """Dumps, profiles of all kinds, traces, logs, pages of numbers, noise: each opens, and what leads on from its page answers."""
    data = Path(__file__).parents[1] / "data"
    files = [next(p for p in sorted(folder.rglob("*")) if _is_input(p)) for folder in sorted(data.iterdir())]
    files += [p for p in sorted((data / "profile_proto/go1.27").iterdir()) if _is_input(p)]
    for file in files:
        bag = opened(board, (file.name, file.read_bytes()))
        text = page(board, f"/explore/{bag}")
        assert file.name in text
        for link in set(re.findall(rf'href="(/explore/{bag}/sites/[^"]+)"', text)[:3]):
            assert "goroutine" in page(board, link)
    assert len(files) > 12


def _is_input(path: Path) -> bool:
    return path.is_file() and path.suffix not in (".go", ".md", ".mod", ".sum", ".py") and path.stat().st_size < 1 << 20


def test_advice_keeps_its_lines(board: Board) -> None:
    """The cure of a pattern is code of several lines, indented, not one line with escapes in it."""
    found = page(board, f"/explore/{opened(board, ('locks', LOCKS))}")
    cure = re.search(r"What to do</h3>.*?<code>([^<]*\n[^<]*)</code></pre>", found, re.DOTALL)
    assert cure is not None
    assert cure[1].startswith("l.mu.Lock()\ndefer l.mu.Unlock()\n")
    assert "\\n" not in cure[1]


LOCKS = b"".join(
    b"goroutine %d [sync.Mutex.Lock, 7 minutes]:\nsync.runtime_SemacquireMutex(0x1)\n\t/go/src/runtime/sema.go:95 +0x25\n"
    b"sync.(*Mutex).Lock(0x1)\n\t/go/src/sync/mutex.go:46 +0x1d\nmain.post()\n\t/src/shop/post.go:7 +0x1d\n"
    b"created by main.main in goroutine 1\n\t/src/shop/main.go:3 +0x1d\n\n" % n
    for n in range(2, 60)
)


def test_who_has_no_stack_has_a_name(board: Board) -> None:
    """Go lists a goroutine that has not run yet without frames: its row is a link that says so, and so does its box."""
    profile = b"goroutine profile: total 3\n2 @ 0x1 0x2\n#\t0x1\tmain.wait+0x1\t/src/a.go:3\n\n1 @\n\n"
    found = page(board, f"/explore/{opened(board, ('goroutine.txt', profile))}")
    rows = re.findall(r'<a class="open" href="/explore/[^"]*"><span class="fn"[^>]*>([^<]*)</span>', found)
    assert sorted(rows) == ["(no stack told)", "main.wait"]
    assert '"(no stack told)"' in found


def test_what_cannot_be_read_is_not_called_well(board: Board) -> None:
    """Noise and nothing: neither page nor list says that nothing is wrong, and the API's verdict is unknown."""
    for name, body, outcome in (
        ("noise.bin", bytes(range(256)) * 8, "could not be read"),
        ("empty.txt", b"", "could not be read"),
    ):
        found = page(board, f"/explore/{opened(board, (name, body))}")
        assert f"<h1>{name}: {outcome}</h1>" in found
        assert "The input could not be read." in found
    assert "nothing wrong" not in page(board, "/explore")
    told = board.client.get(BAGS, headers=bearer("viewer")).json()["bags"]
    assert [one["verdict"] for one in told] == ["unknown", "unknown"]


def test_a_look_has_as_many_as_its_sites(board: Board) -> None:
    """The runtime's own goroutines, which traces tell, are at no site and in no total: difference, flame graph and table agree."""
    runtimes = (
        b"goroutine 900 [force gc (idle)]:\nruntime.gopark(0x1)\n\t/go/src/runtime/proc.go:474 +0xc5\n"
        b"runtime.forcegchelper()\n\t/go/src/runtime/proc.go:384 +0xb3\ncreated by runtime.init.7 in goroutine 1\n"
        b"\t/go/src/runtime/proc.go:372 +0x1a\n\n"
    )
    bag = opened(board, ("before", ONE), ("after", runtimes + TWO))
    looks = board.client.get(f"{BAGS}/{bag}", headers=bearer("viewer")).json()["bags"][0]["looks"]
    for look in looks:
        sites = board.client.get(f"{BAGS}/{bag}/sites?look={look['look']}", headers=bearer("viewer")).json()["clusters"]
        assert look["goroutines"] == sum(one["count"] for one in sites)
    change = looks[1]["goroutines"] - looks[0]["goroutines"]
    told = board.client.get(f"{BAGS}/{bag}/difference?from=0&to=1", headers=bearer("viewer")).json()
    assert sum(one["after"] - one["before"] for one in told["changes"]) == change
