"""A trace over time in a real Chromium: a Go program of the test is traced, opened, looked at by pointer and by keyboard."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect

from tests.e2e.page import LiveBoard, accessible, fits, opened

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
USABLE_S = 5.0
"""From `parkwarden open` of a 76 MB trace until its pictures stand there."""

PROGRAM = """
package main

import (
	"os"
	"runtime"
	"runtime/trace"
	"sync"
	"time"
)

var forever = make(chan int)

func park() { <-forever }

func newWheel() { go park() } // a leak: one for each request

func handle(n int) {
	for i := 0; i < n; i++ {
		newWheel()
	}
}

func work(done *sync.WaitGroup) { defer done.Done() }

func main() {
	file, err := os.Create(os.Args[1])
	if err != nil {
		panic(err)
	}
	if err := trace.Start(file); err != nil {
		panic(err)
	}
	var done sync.WaitGroup
	for i := 0; i < 200; i++ {
		done.Add(1)
		go work(&done)
		done.Wait()
		time.Sleep(time.Millisecond)
	}
	handle(500)
	runtime.GC()
	time.Sleep(300 * time.Millisecond)
	trace.Stop()
	file.Close()
}
"""


@pytest.fixture(scope="module")
def traced(go_build: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveBoard]:
    """200 short goroutines, then 500 that stay; opened from the command line."""
    folder = tmp_path_factory.mktemp("traced")
    (folder / "main.go").write_text(PROGRAM)
    (folder / "go.mod").write_text("module wheels\n\ngo 1.23\n")
    out = folder / "wheels.trace"
    subprocess.run([go_build(folder), str(out)], check=True)
    with opened(out) as board:
        yield board


def shown(page: Any) -> str:
    """What the page says of the range it shows, once that stands still and is drawn as finely as it can be."""
    page.locator("#over-time[data-fine='1']").wait_for()
    said = page.locator("#range")
    before = ""
    while (text := said.inner_text()) != before or "goroutines" not in text:
        before = text
        page.wait_for_timeout(160)  # it is said 120 ms after the last change
    return str(text)


def numbers(text: str) -> list[float]:
    return [float(n.replace(",", "")) for n in re.findall(r"[\d,.]*\d", text)]


def go_to_trace(page: Any) -> None:
    """From the bag's page to its trace, as a person goes."""
    page.get_by_role("link", name=re.compile("wheels.trace")).filter(has_text="Timeline").click()
    page.locator("#over-time[data-usable='1']").wait_for()


def test_creations_and_states_are_seen(traced: LiveBoard, browser: Any) -> None:
    """500 goroutines made in newWheel and never ended, the caller in the user's code, who waits at the end; and the pictures say so."""
    with traced.page(browser, traced.said[0]) as page:
        go_to_trace(page)
        row = page.get_by_role("row").filter(has_text="main.newWheel").filter(has_text="main.park").first
        expect(row).to_contain_text("500")
        text = shown(page)
        assert "goroutines at the end" in text
        began, ended, created, _per_s, alive, *_ = numbers(text)
        assert began == 0
        assert ended > 400
        assert 700 <= created < 730
        assert 500 <= alive < 540
        expect(page.locator(".legend[data-for=states]")).to_contain_text("chan receive")
        expect(page.locator(".legend[data-for=made]")).to_contain_text("main.newWheel")
        page.get_by_text("The pictures in numbers").click()
        expect(page.get_by_role("table").first).to_contain_text("alive at its end")
        expect(page.get_by_role("table").filter(has_text="Time of all goroutines")).to_contain_text("running")
        coloured = """() => [...document.querySelectorAll('.chart canvas')].map((canvas) => {
          const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
          let n = 0;
          for (let i = 3; i < data.length; i += 4) n += data[i] > 200;
          return n / (canvas.width * canvas.height);
        })"""
        made, states = page.evaluate(coloured)
        assert made > 0.005
        assert states > 0.3  # the 500 stay: a large area


def test_the_pointer_zooms_and_moves(traced: LiveBoard, browser: Any) -> None:
    """A drag shows what it went over, Shift and a drag move it, Ctrl and the wheel zoom; the address holds the range."""
    with traced.page(browser, traced.said[0]) as page:
        go_to_trace(page)
        whole = numbers(shown(page))
        chart = page.locator("#states")
        chart.scroll_into_view_if_needed()
        place = chart.bounding_box()
        y = place["y"] + 100

        def drag(a: float, b: float) -> None:
            page.mouse.move(place["x"] + a * place["width"], y)
            page.mouse.down()
            page.mouse.move(place["x"] + (a + b) / 2 * place["width"], y)
            page.mouse.move(place["x"] + b * place["width"], y)
            page.mouse.up()

        drag(0.25, 0.5)
        near = numbers(shown(page))
        assert near[0] == pytest.approx(whole[1] * 0.25, rel=0.03)
        assert near[1] == pytest.approx(whole[1] * 0.5, rel=0.03)
        page.keyboard.down("Shift")
        drag(0.75, 0.25)
        page.keyboard.up("Shift")
        moved = numbers(shown(page))
        assert moved[0] == pytest.approx(near[0] + 0.5 * (near[1] - near[0]), rel=0.03)
        page.mouse.move(place["x"] + place["width"] / 2, y)
        page.keyboard.down("Control")
        page.mouse.wheel(0, -400)
        page.keyboard.up("Control")
        closer = numbers(shown(page))
        assert closer[1] - closer[0] < 0.7 * (moved[1] - moved[0])
        page.mouse.move(place["x"] + place["width"] / 3, y)
        expect(page.locator(".tip")).to_contain_text("goroutines")
        page.reload()
        page.locator("#over-time[data-usable='1']").wait_for()
        assert numbers(shown(page)) == pytest.approx(closer, rel=0.02)


def test_the_keyboard_is_enough(traced: LiveBoard, browser: Any) -> None:
    """In a picture: plus, minus, arrows, End and 0; a creation's button shows when it was; a state can be taken out."""
    with traced.page(browser, traced.said[0]) as page:
        go_to_trace(page)
        whole = numbers(shown(page))
        page.locator("#made").focus()
        page.keyboard.press("+")
        page.keyboard.press("+")
        near = numbers(shown(page))
        assert near[1] - near[0] == pytest.approx(whole[1] / 4, rel=0.05)
        page.keyboard.press("ArrowRight")
        later = numbers(shown(page))
        assert later[0] > near[0]
        page.keyboard.press("End")
        assert numbers(shown(page))[1] == pytest.approx(whole[1], rel=0.01)
        page.keyboard.press("0")
        assert numbers(shown(page))[:2] == whole[:2]
        page.get_by_role("button", name="Show when main.newWheel").focus()
        page.keyboard.press("Enter")
        burst = numbers(shown(page))
        assert burst[2] == pytest.approx(500, abs=30)
        assert burst[3] > 10_000
        assert page.evaluate("document.activeElement.id") == "made"
        before = page.locator("#states canvas").evaluate("(canvas) => canvas.toDataURL()")
        page.locator(".legend[data-for=states] label").filter(has_text="chan receive").locator("input").focus()
        page.keyboard.press("Space")
        page.wait_for_timeout(100)
        assert page.locator("#states canvas").evaluate("(canvas) => canvas.toDataURL()") != before


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nobody_is_kept_out(traced: LiveBoard, browser: Any, scheme: str) -> None:
    """axe-core finds nothing serious, at a desk and at 360 px; without scripts the tables tell the same."""
    for width in (1280, 360):
        with traced.page(browser, traced.said[0], width=width, scheme=scheme) as page:
            go_to_trace(page)
            accessible(page)
            fits(page)
            url = page.url.removeprefix(traced.url)
    with traced.page(browser, url, scripts=False) as page:
        expect(page.get_by_text("The pictures need scripts")).to_be_visible()
        expect(page.get_by_role("row").filter(has_text="main.newWheel").first).to_contain_text("500")


@pytest.mark.full
def test_76_mb_are_usable_in_seconds(browser: Any, tmp_path: Path) -> None:
    """From the command's start until every bin of the pictures stands there, and again at a deep zoom; by tiles: under a megabyte is sent."""
    big = tmp_path / "big.trace"
    subprocess.run([sys.executable, str(ROOT / "bench" / "gen_trace.py"), str(big), "--mb", "76"], check=True, env={**os.environ})  # fmt: skip
    began = time.monotonic()
    with opened(big) as board:
        bag = board.said[0].rpartition("/")[2]
        with board.page(browser, f"/traces/{bag}/big.trace") as page:
            page.locator("#over-time[data-usable='1']").wait_for()
            took = time.monotonic() - began
            sizes = "performance.getEntriesByType('resource').concat(performance.getEntriesByType('navigation')).reduce((n, r) => n + r.transferSize, 0)"
            sent = page.evaluate(sizes)
            page.locator("#made").focus()
            for _ in range(8):
                page.keyboard.press("+")
            said = shown(page)
            deep, unit = numbers(said), next(unit for unit in ("µs", "ms") if unit in said)
    assert took < USABLE_S, f"{took:.1f} s"
    assert sent < 1_000_000
    assert (deep[1] - deep[0]) * {"µs": 1e-6, "ms": 1e-3}[unit] < 0.1  # of 2 s
