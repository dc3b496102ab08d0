"""The incident's page in a real Chromium over a watch of its own: what is done there outlives a kill, its evidence opens in Go's tools, it
prints; and the API under schemathesis.

One watch over the shop's leak for all of them; the tests go on from each other in the order they stand here.
"""

from __future__ import annotations

import json
import re
import subprocess
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from parkwarden.run.lab import running
from tests.e2e.page import FIRING_S, LiveBoard, accessible, fits
from tests.e2e.watching import watching

pytestmark = pytest.mark.e2e

LABELS = {"service": "shop", "env": "prod", "version": "1.4.0", "sla_tier": "gold"}


@dataclass
class Kept:
    """A watch that may be killed: `board` is the one that runs now."""

    config: Path
    stack: ExitStack
    board: LiveBoard = field(init=False)
    incident: str = ""

    def start(self) -> None:
        watch = self.stack.enter_context(watching(self.config))
        self.board = LiveBoard(watch, watch.pages())

    @property
    def path(self) -> str:
        return f"/incidents/{self.incident}"

    def api(self, path: str, body: Any = None) -> Any:
        """What the API answers to GET, or with a body to POST."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(f"{self.board.url}/api/v1{path}", data, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            return json.load(answer)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kept]:
    """Ready when the shop's incident fires and has evidence."""
    folder = tmp_path_factory.mktemp("kept")
    with ExitStack() as stack:
        shop = stack.enter_context(running("shop", ["-memlimit", "256"]))
        config = folder / "parkwarden.yaml"
        text = {
            "targets": [{"urls": [shop.url], "labels": LABELS}],
            "store": {"folder": str(folder / "data")},
            "web": {"listen": "127.0.0.1:0"},
        }
        config.write_text(yaml.safe_dump(text))
        made = Kept(config, stack)
        made.start()
        urllib.request.urlopen(f"{shop.url}/leak/start?kind=send-without-receiver&per_s=50", timeout=10).close()
        watch = made.board.watch
        watch.wait(lambda: watch.said("incident", "firing"), FIRING_S)
        made.incident = made.board.incident()
        watch.wait(lambda: made.api(made.path)["incidents"][0]["evidence"], 60.0)
        yield made


def test_from_the_list_to_the_line_and_who_takes_it_on(kept: Kept, browser: Any) -> None:
    """One click from the list to the culprit's line; acknowledged there without leaving the page; told with who, why and when."""
    with kept.board.page(browser, "/incidents") as page:
        page.locator("main tbody a").first.click()
        page.wait_for_url(f"**{kept.path}")
        page.locator(".pulse.on").wait_for()
        assert re.search(r"main\.\S+ \S+shop/\S+\.go:\d+", page.locator(".culprit").first.inner_text())
        page.evaluate("window.samePage = true")
        form = page.locator("#acknowledge")
        form.get_by_label("Your name").fill("eva")
        form.get_by_label("Why").fill("looking at it <b>now</b>")
        form.get_by_role("button").click()
        note = page.locator("#acknowledged")
        note.wait_for()
        assert "Acknowledged by eva" in note.inner_text()
        assert "looking at it <b>now</b>" in note.inner_text()
        assert page.evaluate("window.samePage") is True
        assert "acknowledged by eva" in page.locator(".story .action").inner_text()
        accessible(page)
        page.set_viewport_size({"width": 360, "height": 740})
        fits(page)


def test_limits_and_costs_are_of_this_watch(kept: Kept, browser: Any) -> None:
    """The shop's limits with what is used of them; what our looks took, each kind for itself."""
    with kept.board.page(browser, "/limits") as page:
        assert page.locator("main tbody tr", has_text="shop").count() >= 2
        accessible(page)
    with kept.board.page(browser, "/costs") as page:
        row = page.locator("main tbody tr", has_text="shop").first
        row.locator("summary").first.click()
        assert "goroutine" in row.inner_text()
        accessible(page)
    with kept.board.page(browser, "/api") as page:
        accessible(page)
        fits(page)


def test_what_was_done_survives_a_kill(kept: Kept, browser: Any) -> None:
    """kill -9 right after the answer, a new start: who acknowledged, why, and the silence given without scripts are there."""
    with kept.board.page(browser, kept.path, scripts=False) as page:
        form = page.locator("#silence")
        form.get_by_label("Your name").fill("ada")
        form.get_by_label("For").select_option("8h")
        form.get_by_label("Why").fill("load test")
        form.get_by_role("button").click()
        assert page.url.endswith(kept.path)
        assert "Silenced by ada" in page.locator(".silenced").inner_text()
    kept.board.watch.process.kill()
    kept.board.watch.process.wait()
    kept.start()
    with kept.board.page(browser, kept.path) as page:
        assert "Acknowledged by eva" in page.locator("#acknowledged").inner_text()
        assert "load test" in page.locator(".silenced").inner_text()
        story = page.locator(".story").inner_text()
        assert "acknowledged by eva" in story
        assert "silenced for 8 h by ada: load test" in story


def test_evidence_opens_in_gos_own_tools(kept: Kept, browser: Any, tmp_path: Path, go: str) -> None:
    """A profile downloaded from the page is one for `go tool pprof -top`; the explorer opens the looks together and names the line."""
    with kept.board.page(browser, kept.path) as page:
        with page.expect_download() as told:
            page.get_by_role("link", name="goroutine profile").first.click()
        file = tmp_path / told.value.suggested_filename
        told.value.save_as(file)
        line = page.locator(".culprit .who").inner_text().split()[0]
        page.get_by_role("link", name="Open in explorer").click()
        page.wait_for_url(f"{kept.board.url}/explore/e*")
        assert line in page.locator("main").inner_text()
    command = [go, "tool", "pprof", "-top", file]
    top = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert top.returncode == 0, top.stderr
    assert "main." in top.stdout


def test_it_prints(kept: Kept, browser: Any) -> None:
    """On paper: verdict, line, why, story and evidence; no forms, no navigation; black on white whatever the scheme."""
    with kept.board.page(browser, kept.path, scheme="dark") as page:
        page.emulate_media(media="print")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
        for gone in ("#acknowledge", "#resolve", ".nav", "[data-print]"):
            assert not page.locator(gone).first.is_visible(), gone
        for there in ("#what", ".culprit", "#why-h", ".story", "#evidence-h"):
            assert page.locator(there).first.is_visible(), there
        assert len(page.pdf()) > 10_000


def test_resolved_there_stays_resolved(kept: Kept, browser: Any) -> None:
    """The leak goes on, and two beats later the incident is still what somebody said: resolved, with who and why."""
    with kept.board.page(browser, kept.path) as page:
        form = page.locator("#resolve")
        form.get_by_label("Your name").fill("eva")
        form.get_by_label("Why").fill("rolled back")
        form.get_by_role("button").click()
        page.locator("#closed").wait_for()
        page.wait_for_timeout(7_000)
        [told] = kept.api(kept.path)["incidents"]
        assert (told["state"], told["closed_by"], told["closed_why"]) == ("resolved", "eva", "rolled back"), told
        assert "Resolved by eva" in page.locator("#closed").inner_text()


def test_schemathesis_finds_no_server_error(kept: Kept) -> None:
    """Whatever the document allows, and what it does not, is answered: no 5xx, statuses, types and schemas as documented."""
    import schemathesis
    from hypothesis import HealthCheck, Phase, given, settings
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )

    checks = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
    schema = schemathesis.openapi.from_url(f"{kept.board.url}/api/v1/openapi.json")
    few = settings(
        max_examples=12,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.explicit, Phase.generate],
    )
    real = there(kept)
    asked = right = 0
    for found in schema.get_all_operations():

        @few
        @given(case=found.ok().as_strategy())
        def ask(case: Any) -> None:
            nonlocal asked, right
            asked += 1
            case.cookies = {}  # with one it would be a browser, which needs our page's word
            if asked % 2:  # half of them about what is there, by somebody
                case.path_parameters.update((name, real[name]) for name in case.path_parameters if name in real)
                if isinstance(case.body, dict):
                    case.body.setdefault("by", "schemathesis")
            right += case.call_and_validate(checks=checks, timeout=10).status_code < 300

        ask()
    assert asked > 200
    assert right > asked / 4


def there(kept: Kept) -> dict[str, str]:
    """Names of what the API has: an incident, evidence, a bag with it, the service."""
    digest = kept.api("/evidence")["items"][-1]["digest"]
    bag = kept.api("/bags/evidence", {"digests": [digest]})["bags"][0]["id"]
    return {"id": kept.incident, "digest": digest, "service": "shop", "bag": bag}
