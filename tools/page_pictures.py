"""docs/img/page-*.png: the pages of `parkwarden watch` over services of the lab, one of which leaks, and of `parkwarden open` over what was
saved of it. `python tools/screenshots.py page`; takes LEAKING_S and half a minute for the pictures.
"""

from __future__ import annotations

import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml

from parkwarden.run.lab import LabProcess, running

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "img"
PARKWARDEN = str(Path(sys.prefix) / "bin" / "parkwarden")

HEALTHY_S = 60.0
"""Before it leaks: what was normal is in the pictures, too."""
LEAKING_S = 210.0
"""Until verdict, culprit, time left and evidence are there, and several profiles make a heat map."""
SERVICES = (
    ("checkout", {"env": "prod", "team": "payments", "sla_tier": "gold", "version": "1.4.0"}, 40),
    ("checkout", {"env": "prod", "team": "payments", "sla_tier": "gold", "version": "1.4.0"}, 25),
    ("catalogue", {"env": "prod", "team": "shop", "version": "2.1.3"}, 0),
    ("search", {"env": "prod", "team": "shop", "version": "0.9.1"}, 0),
)
"""Service, labels, goroutines leaked a second."""
DESK, TELEPHONE = (1280, 900), (390, 844)


@contextmanager
def _told(command: list[str], wanted: str, folder: Path) -> Iterator[str]:
    """A command of ours that goes on; what `wanted` finds in its output. Ends with Ctrl-C."""
    with subprocess.Popen(command, cwd=folder, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            found = next(m for m in (re.search(wanted, line) for line in process.stdout) if m)
            yield found[1]
        finally:
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=30)


def _get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return bytes(answer.read())


def page_pictures() -> int:
    """All of them; 1 where Chromium is missing."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        print("screenshots: chromium is missing (tools/setup-e2e.sh installs it)", file=sys.stderr)
        return 1
    IMAGES.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        shops = [stack.enter_context(running("shop", ["-memlimit", "256"])) for _ in SERVICES]
        (folder / "parkwarden.yaml").write_text(yaml.safe_dump(_config(shops)))
        command = [PARKWARDEN, "watch", "-c", "parkwarden.yaml"]
        watch = stack.enter_context(_told(command, r"our own pages: (http://[^/]+)/", folder))
        files = _live(shops, folder)
        opened = stack.enter_context(_told([PARKWARDEN, "open", *files], r"(http://\S+)", folder))
        play = stack.enter_context(sync_playwright())
        browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        _watch_pictures(browser, watch)
        _open_pictures(browser, opened)
        browser.close()
    return 0


def _config(shops: list[LabProcess]) -> dict[str, Any]:
    targets = [
        {"urls": [shop.url], "labels": {"service": name, **labels}}
        for shop, (name, labels, _) in zip(shops, SERVICES, strict=True)
    ]
    return {"targets": targets, "web": {"listen": "127.0.0.1:0"}, "store": {"folder": "parkwarden-data"}}


def _live(shops: list[LabProcess], folder: Path) -> list[str]:
    """Healthy, then leaking; the names of what was saved of the first one: a dump early, a dump and a trace late."""
    time.sleep(HEALTHY_S)
    for shop, (_, _, per_s) in zip(shops, SERVICES, strict=True):
        if per_s:
            _get(f"{shop.url}/leak/start?kind=send-without-receiver&per_s={per_s}")
    debug = f"{shops[0].url}/debug/pprof"
    time.sleep(20)
    (folder / "early.txt").write_bytes(_get(f"{debug}/goroutine?debug=2"))
    time.sleep(LEAKING_S - 20)
    (folder / "late.txt").write_bytes(_get(f"{debug}/goroutine?debug=2"))
    (folder / "checkout.trace").write_bytes(_get(f"{debug}/trace?seconds=5"))
    return ["early.txt", "late.txt", "checkout.trace"]


def _watch_pictures(browser: Any, url: str) -> None:
    with _page(browser, url) as page:
        _take(page, "fleet")
        page.locator("main a[href^='/services/checkout']").first.click()
        page.wait_for_url("**/services/**")
        page.get_by_role("link", name="24m").click()
        page.get_by_role("heading", name="Numbers, all instances together").evaluate("(h) => h.scrollIntoView()")
        _take(page, "service")
        page.goto(f"{url}/incidents")
        incident = page.locator("main a[href^='/incidents/']").first.get_attribute("href")
        _take(page, "incidents")
        for name in ("limits", "costs"):
            page.goto(f"{url}/{name}")
            _take(page, name)
        page.goto(url + incident)
        _take(page, "incident")
    with _page(browser, url + incident, size=TELEPHONE, scheme="dark") as page:
        _take(page, "incident-telephone")
    with _page(browser, url, scheme="dark") as page:
        _take(page, "fleet-dark")


def _open_pictures(browser: Any, url: str) -> None:
    with _page(browser, url) as page:
        _take(page, "explore")
        trace = page.locator("a[href^='/traces/']").first.get_attribute("href")
        page.goto(f"{page.url.partition('?')[0]}/diff")
        _take(page, "difference")
        page.goto("/".join(url.split("/")[:3]) + trace)
        page.locator("#over-time[data-usable='1']").wait_for()
        _take(page, "trace")


@contextmanager
def _page(browser: Any, url: str, *, size: tuple[int, int] = DESK, scheme: str = "light") -> Iterator[Any]:
    page = browser.new_page(viewport={"width": size[0], "height": size[1]}, color_scheme=scheme)
    wrong: list[str] = []
    page.on("response", lambda answer: answer.status >= 400 and wrong.append(f"{answer.status} for {answer.url}"))
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.goto(url)
    yield page
    page.close()
    if wrong:  # no picture of an error is taken for one of a page
        raise SystemExit(f"screenshots: {'; '.join(wrong)}")


def _take(page: Any, name: str) -> None:
    """The first screen, once it is live and its pictures are drawn."""
    page.locator(".pulse.on").wait_for()
    page.wait_for_timeout(800)
    page.screenshot(path=str(IMAGES / f"page-{name}.png"))
    print(f"docs/img/page-{name}.png", flush=True)
