"""The HTML report in a real Chromium: opens from disk, offline, without an error; search, sort, stacks and flame graph work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from parkwarden.model import Case, Report
from parkwarden.report.html import render
from tests.report import samples

pytestmark = pytest.mark.e2e

Open = Callable[..., Any]


@pytest.fixture
def open_report(browser: Any, tmp_path: Path) -> Iterator[Open]:
    """Opens a report from disk; on leaving, fails on any error, dialog or request beside the file itself."""
    seen: list[str] = []
    pages = []

    def open_(report: Report, case: Case, width: int = 1280, scheme: str = "light", scripts: bool = True) -> Any:
        file = tmp_path / f"report-{len(pages)}.html"
        file.write_text(render(report, case), encoding="utf-8")
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=scripts
        )
        page = context.new_page()
        page.on("console", lambda message: seen.append(f"console {message.type}: {message.text}"))
        page.on("pageerror", lambda error: seen.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (seen.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda request: request.url != file.as_uri() and seen.append(f"request: {request.url[:80]}"))
        page.goto(file.as_uri())
        pages.append(page)
        return page

    yield open_
    for page in pages:
        page.context.close()
    assert [line for line in seen if not line.startswith("request: data:,")] == []


def visible_rows(page: Any) -> int:
    return int(page.locator("tr.row:visible").count())


def rows_become(page: Any, count: int) -> None:
    """Waits until so many rows are visible; `wait_for_function` would need eval, which the page's policy forbids."""
    from playwright.sync_api import expect

    expect(page.locator("tr.row:visible")).to_have_count(count)


def test_verdict_is_the_first_thing_seen(open_report: Open) -> None:
    """Verdict, culprit and the picture are on the first screen, with words."""
    page = open_report(samples.report(), samples.case())
    for selector in (".verdict .badge", ".verdict h1", ".culprit .who"):
        box = page.locator(selector).first.bounding_box()
        assert box is not None
        assert box["y"] + box["height"] < 900
    assert page.locator("svg.path.wide").first.is_visible()
    assert not page.locator("svg.path.narrow").first.is_visible()


def test_search_filters_rows(open_report: Open) -> None:
    """Typing filters by function, file, state and label, and says how many are left; no hit says so."""
    page = open_report(samples.report(), samples.case(60))
    assert visible_rows(page) == 20
    page.fill("#search", "TimingWheel")
    rows_become(page, 1)
    assert page.locator("#found").inner_text() == "1 of 60 clusters, 18,412 goroutines"
    page.fill("#search", "tenant=acme")
    rows_become(page, 1)
    page.fill("#search", "no such thing")
    page.locator("#none").wait_for(state="visible")
    page.fill("#search", "")
    rows_become(page, 20)
    page.click("#all")
    assert visible_rows(page) == 60
    page.check("#mine")
    assert 0 < visible_rows(page) < 60


def test_rows_sort_and_open_to_their_stack(open_report: Open) -> None:
    """A header click sorts, again reverses; a row opens by mouse and by keyboard to its whole stack."""
    page = open_report(samples.report(), samples.case(12))
    numbers = "[...document.querySelectorAll('tr.row')].map(r => Number(r.dataset.n))"
    header = page.locator("th[data-sort=n] button")
    header.click()
    assert page.evaluate(numbers) == sorted(page.evaluate(numbers))
    assert page.locator("th[data-sort=n]").get_attribute("aria-sort") == "ascending"
    header.click()
    assert page.evaluate(numbers) == sorted(page.evaluate(numbers), reverse=True)
    button = page.locator(".fnbtn").first
    button.focus()
    page.keyboard.press("Enter")
    assert button.get_attribute("aria-expanded") == "true"
    stack = page.locator("tr.stackrow").inner_text()
    assert samples.RUN.function in stack
    assert "go statement in " + samples.NEW_WHEEL.function in stack
    assert "6,100 of them were there in the first look" in stack
    page.keyboard.press("Enter")
    assert page.locator("tr.stackrow").count() == 0


def test_flame_graph_zooms_and_resets(open_report: Open) -> None:
    """A click zooms to full width, Reset leads back, the graph turns, and change has its own colours."""
    page = open_report(samples.report(), samples.case(40))
    cell = page.locator('.cell[aria-label^="go net/http.(*conn).serve:"]')
    whole = page.locator("#graph").bounding_box()
    before = cell.bounding_box()
    assert before["width"] < whole["width"] * 0.5
    cell.click()
    after = page.locator('.cell[aria-label^="go net/http.(*conn).serve:"]').bounding_box()
    assert after["width"] > whole["width"] * 0.98
    page.click("#freset")
    assert page.locator("#freset").is_disabled()
    top = page.locator(".cell").first.bounding_box()["y"]
    page.click("#fturn")
    assert page.locator(".cell").first.bounding_box()["y"] > top
    page.click("#fdiff")
    assert page.locator(".cell.u3").count() > 0
    assert page.locator(".cell.l1, .cell.l2, .cell.l3").count() > 0


def test_flame_graph_by_keyboard_and_search(open_report: Open) -> None:
    """Arrow keys walk, Enter zooms, Escape leads back; the search highlights and gives the share."""
    page = open_report(samples.report(), samples.case(40))
    page.locator('.cell[tabindex="0"]').focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    label = page.evaluate("document.activeElement.getAttribute('aria-label')")
    assert "NewTimingWheelWithTicker: 18,412 goroutines" in label
    page.keyboard.press("Enter")
    assert not page.locator("#freset").is_disabled()
    page.keyboard.press("Escape")
    assert page.locator("#freset").is_disabled()
    page.fill("#fsearch", "timingwheel")
    page.locator(".cell.found").first.wait_for(state="attached")
    assert page.locator("#finfo").inner_text().startswith("18,412 goroutines (")


def test_hostile_names_do_nothing(open_report: Open) -> None:
    """Names full of markup run nothing and make no element, also when stacks are opened and graphs searched."""
    report, case = samples.hostile()
    page = open_report(report, case)
    for button in page.locator(".fnbtn").all():
        button.click()
    page.fill("#search", "<script>")
    page.fill("#fsearch", "</script>")
    page.locator(".cell.found").first.wait_for(state="attached")
    for summary in page.locator("summary").all():
        summary.click()
    assert page.locator("img").count() == 0
    assert page.locator("script").count() == 2
    assert page.evaluate("document.title").startswith("LEAK: <script>alert(1)</script>")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("which", ["leak", "hostile", "huge"])
def test_nothing_overflows_a_telephone(open_report: Open, which: str, scheme: str) -> None:
    """At 360 px nothing needs sideways scrolling of the page, light or dark, and the narrow picture shows."""
    report, case = samples.hostile() if which == "hostile" else (samples.report(), samples.case())
    if which == "huge":
        case = samples.huge(n=2000)
    page = open_report(report, case, width=360, scheme=scheme)
    page.locator(".fnbtn").first.click()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.locator("svg.path.narrow").first.is_visible()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(20, 22, 26)"
    assert dark == (scheme == "dark")


def test_without_scripts_the_report_is_still_there(open_report: Open) -> None:
    """Verdict, evidence, cluster rows and inputs need no JavaScript (mail previews, hardened browsers)."""
    page = open_report(samples.report(), samples.case(30), scripts=False)
    assert page.locator(".verdict h1").is_visible()
    assert page.locator("tr.row:visible").count() == 30
    assert not page.locator("#search").is_visible()
    assert page.get_by_text("need JavaScript").is_visible()


def test_prints_on_paper(open_report: Open) -> None:
    """The print form has ink on white and leaves the tools out."""
    page = open_report(samples.report(), samples.case(), scheme="dark")
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator("nav").is_visible()
    assert len(page.pdf()) > 10_000
