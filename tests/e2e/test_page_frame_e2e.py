"""The frame of the page in a real Chromium over live leaks: live, inert, accessible, by keyboard, at any width, for whom it is meant."""

from __future__ import annotations

import json
import re
import signal
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.page import LiveBoard, accessible, fits
from tests.e2e.watching import watching

pytestmark = pytest.mark.e2e

WORDS = {"EVAS_TOKEN": "operator-token-0123", "VICS_TOKEN": "viewer-token-0123456"}


def pages(live: LiveBoard, browser: Any) -> list[str]:
    """Every page that the navigation leads to, and what hangs below them."""
    with live.page(browser, "/") as page:
        links = page.get_by_role("navigation", name="Pages").locator("a").all()
        links += page.locator("main a[href^='/services/']").all()[:2]
        found = [link.get_attribute("href") for link in links]
    found += [f"/incidents/{live.incident(name)}" for name in live.services()]
    return [*dict.fromkeys(found), "/nothing/here"]


def test_no_page_keeps_anybody_out(live: LiveBoard, browser: Any) -> None:
    """On every page axe-core finds nothing serious, at a desk in light and at 360 px in dark; no console error, nothing foreign, and
    hostile names make no element and run nothing."""
    for path in pages(live, browser):
        expected = ("404",) if path == "/nothing/here" else ()
        with live.page(browser, path, expected=expected) as page:
            page.locator(".pulse.on").wait_for()
            accessible(page)
            fits(page)
            assert page.locator("img").count() == 0, path
            assert page.locator("main script:not([type='application/json']):not([src])").count() == 0, path
            page.emulate_media(color_scheme="dark")
            page.set_viewport_size({"width": 360, "height": 740})
            fits(page)
            accessible(page)


def test_what_changes_is_seen_without_loading_anew(live: LiveBoard, browser: Any) -> None:
    """The shop's goroutines rise on the fleet page as they leak; the page is the same page all the while."""
    with live.page(browser, "/") as page:
        row = page.locator("main tr", has_text="checkout").or_(page.locator("main tr", has_text="shop")).first
        before = row.inner_text()
        page.evaluate("window.samePage = true")
        page.wait_for_timeout(100)
        end = time.monotonic() + 20
        while row.inner_text() == before and time.monotonic() < end:
            page.wait_for_timeout(200)
        assert row.inner_text() != before
        assert page.evaluate("window.samePage") is True


def act(live: LiveBoard, what: str, incident: str, by: str) -> None:
    """As a program on this machine does."""
    body = json.dumps({"by": by, "why": "mine"}).encode()
    headers = {"Content-Type": "application/json"}
    asked = urllib.request.Request(f"{live.url}/api/v1/incidents/{incident}/{what}", body, headers)
    urllib.request.urlopen(asked, timeout=10).close()


def test_from_the_fleet_to_the_line_in_three_clicks(live: LiveBoard, browser: Any) -> None:
    """By pointer, at a desk and on a telephone: the fleet, the shop's incident, the line that leaks, on the first screen; and when somebody
    takes it on elsewhere the page says so without being loaded anew, whatever they call themselves."""
    for width, by in ((1280, "eva"), (360, "<script>alert(4)</script>\"'&")):
        with live.page(browser, "/", width=width) as page:
            page.locator(f"main a[href='/incidents/{live.incident()}']").first.click()
            page.wait_for_url(f"**/incidents/{live.incident()}")
            line = page.locator(".culprit .who").first
            line.wait_for()
            assert re.search(r"main\.\(\*leak\)\.quote .*leaks\.go:44", line.inner_text())
            box = line.bounding_box()
            assert box is not None
            assert box["y"] + box["height"] < 900
            page.locator(".pulse.on").wait_for()
            page.evaluate("window.samePage = true")
            act(live, "acknowledge", live.incident(), by)
            page.locator("main").get_by_text(by).first.wait_for(timeout=20_000)
            assert page.evaluate("window.samePage") is True
            assert page.locator("main script").count() == 0


def test_the_keyboard_goes_everywhere(live: LiveBoard, browser: Any) -> None:
    """`/` searches, `g i` and `g f` go to pages, `?` tells the keys, rows are stepped through; single keys can be switched off."""
    with live.page(browser, "/") as page:
        page.locator(".pulse.on").wait_for()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        page.keyboard.press("?")
        help_ = page.get_by_role("dialog", name="Keys")
        assert "go to Fleet" in help_.inner_text()
        accessible(page)
        page.keyboard.press("g")
        page.keyboard.press("Escape")
        assert not help_.is_visible()
        page.keyboard.press("/")
        assert page.evaluate("document.activeElement.type") == "search"
        page.keyboard.type("gi?")
        assert page.url.rstrip("/").startswith(live.url)
        assert not help_.is_visible()
        page.locator("h1").click()
        page.keyboard.press("g")
        page.keyboard.press("i")
        page.wait_for_url("**/incidents")
        page.locator(".pulse.on").wait_for()
        page.keyboard.press("j")
        assert page.evaluate("document.activeElement.tagName") == "A"
        page.keyboard.press("?")
        help_.get_by_label("single keys do something").uncheck()
        help_.get_by_role("button", name="Close").click()
        page.keyboard.press("g")
        page.keyboard.press("f")
        page.keyboard.press("?")
        assert not help_.is_visible()
        assert page.url.endswith("/incidents")


def test_light_or_dark_is_chosen_and_kept(live: LiveBoard, browser: Any) -> None:
    """As the system says until somebody presses the switch; then as chosen, also on the next page."""
    ink = "getComputedStyle(document.body).backgroundColor"
    with live.page(browser, "/", scheme="dark") as page:
        assert page.evaluate(ink) == "rgb(20, 22, 26)"
        page.locator("#theme").click()
        assert page.locator("#theme").inner_text() == "theme: light"
        assert page.evaluate(ink) == "rgb(246, 245, 241)"
        page.reload()
        assert page.evaluate(ink) == "rgb(246, 245, 241)"
        page.emulate_media(media="print")
        assert page.evaluate(ink) == "rgb(255, 255, 255)"
        assert not page.get_by_role("navigation", name="Pages").is_visible()


def test_without_scripts_it_can_be_read(live: LiveBoard, browser: Any) -> None:
    """The services are there for a browser that runs nothing, and no empty picture: their numbers are told instead."""
    with live.page(browser, "/", scripts=False) as page:
        assert page.locator("main tr", has_text="shop").first.is_visible()
        assert not page.locator("#theme").is_visible()
        page.goto(live.url + "/services/shop?env=prod")
        assert not page.locator("#chart-goroutines").is_visible()
        assert page.locator("#part-series noscript p").is_visible()
        page.locator("#numbers summary").click()
        assert page.locator("#numbers tbody tr").first.is_visible()


def test_it_goes_on_where_no_stream_is_left(live: LiveBoard, browser: Any) -> None:
    """Refused a stream (all are taken), the page says that it is not live, looks again by itself, and listens when it may."""
    with live.page(browser, "/login", expected=("429",)) as page:
        page.route("**/events", lambda route: route.fulfill(status=429, body="{}"))
        page.clock.install()
        page.goto(live.url)
        page.locator(".pulse.off").wait_for()
        with page.expect_request(lambda asked: asked.url.rstrip("/") == live.url):
            page.clock.run_for(16_000)
        page.unroute("**/events")
        page.clock.run_for(31_000)
        page.locator(".pulse.on").wait_for()


def test_every_page_says_what_ended(live: LiveBoard, browser: Any) -> None:
    """Somebody resolves the hostile program's incident: a page about something else says so, names and all, and nothing of it runs."""
    (name,) = [name for name in live.services() if name != "shop"]
    with live.page(browser, "/limits") as page:
        page.locator(".pulse.on").wait_for()
        act(live, "resolve", live.incident(name), "eva")
        told = page.locator(".toast.ok")
        told.wait_for()
        assert re.match(r"P\d resolved: <script>alert\(1\)</script>", told.inner_text())
        assert page.locator(".toasts *").count() == 1
        accessible(page)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveBoard]:
    """A watch that asks for tokens; nobody answers at its target."""
    folder = tmp_path_factory.mktemp("guarded")
    tokens = [
        {"name": "eva", "role": "operator", "token": {"env": "EVAS_TOKEN"}},
        {"name": "vic", "token": {"env": "VICS_TOKEN"}},
    ]
    config = folder / "parkwarden.yaml"
    text = {
        "targets": [{"urls": ["http://127.0.0.1:1"], "labels": {"service": "nobody"}}],
        "store": {"folder": str(folder / "data")},
        "web": {"listen": "127.0.0.1:0", "tokens": tokens},
    }
    config.write_text(yaml.safe_dump(text))
    with watching(config, WORDS) as watch:
        yield LiveBoard(watch, watch.pages())


def log_in(page: Any, word: str) -> None:
    page.get_by_label("Token").fill(word)
    page.get_by_role("button", name="Log in").click()


def test_a_person_logs_in_once(guarded: LiveBoard, browser: Any) -> None:
    """To the page that was asked for; a wrong token is told; a link on another site finds the session; out is out."""
    elsewhere = "http://elsewhere.example/"
    with guarded.page(browser, "/metrics?x=1", expected=("401", elsewhere)) as page:
        assert page.url == f"{guarded.url}/login?next=/metrics%3Fx%3D1"
        accessible(page)
        fits(page)
        log_in(page, "a wrong token of mine")
        assert page.get_by_role("alert").inner_text() == "this token is not known here"
        log_in(page, WORDS["VICS_TOKEN"])
        page.wait_for_url("**/metrics?x=1")
        page.goto(guarded.url)
        page.locator(".pulse.on").wait_for()
        assert "vic, viewer" in page.locator("header").inner_text()
        assert page.evaluate("document.cookie") == ""
        link = f'<a href="{guarded.url}/?q=nobody">our incident</a>'
        page.route(elsewhere, lambda route: route.fulfill(body=link, content_type="text/html"))
        page.goto(elsewhere)
        page.get_by_text("our incident").click()
        page.wait_for_url(f"{guarded.url}/?q=nobody")
        page.get_by_role("button", name="Log out").click()
        page.wait_for_url("**/login")
        page.goto(guarded.url)
        assert "/login" in page.url


def test_another_sites_page_can_do_nothing(guarded: LiveBoard, browser: Any) -> None:
    """A form on another site that logs a browser out, or in, is refused: the cookie stays at home and the Origin tells."""
    elsewhere = "http://elsewhere.example/"
    form = f'<form method="post" action="{guarded.url}/%s"><input name="token" value="x"><button>win</button></form>'
    with guarded.page(browser, "/", expected=("403", "401", elsewhere)) as page:
        log_in(page, WORDS["EVAS_TOKEN"])
        page.locator(".pulse.on").wait_for()
        for path in ("logout", "login"):
            body = form % path
            page.route(elsewhere, lambda route, *, body=body: route.fulfill(body=body, content_type="text/html"))
            page.goto(elsewhere)
            page.get_by_role("button").click()
            page.wait_for_url(f"**/{path}")
            assert re.search("Forbidden|Unauthorized", page.locator("h1").inner_text())
            page.unroute(elsewhere)
        page.goto(guarded.url)
        assert "eva, operator" in page.locator("header").inner_text()


def test_the_watch_ends_while_pages_listen(tmp_path: Path, browser: Any) -> None:
    """Ctrl-C with an open stream: over within seconds, no failure in the log; the page says that it is not live any more."""
    config = tmp_path / "parkwarden.yaml"
    text = {
        "targets": [{"urls": ["http://127.0.0.1:1"]}],
        "store": {"folder": "data"},
        "web": {"listen": "127.0.0.1:0"},
    }
    config.write_text(yaml.safe_dump(text))
    with watching(config) as watch:
        board = LiveBoard(watch, watch.pages())
        with board.page(browser, "/", expected=("ERR_", "Failed to load")) as page:
            page.locator(".pulse.on").wait_for()
            began = time.monotonic()
            assert watch.stop(signal.SIGINT) == 130
            assert time.monotonic() - began < 5
            page.locator(".pulse.off").wait_for()
        assert "Traceback" not in watch.log
