"""The page as its user sees it: `parkwarden watch` over a lab leak on free loopback ports, and a real Chromium.

    def test_x(live: LiveBoard, browser: Any) -> None:
        with live.page(browser, "/incidents") as page:          # fails on any console error, exception, dialog or foreign request
            accessible(page)                                     # axe-core: nothing serious
            fits(page)                                           # no sideways scrolling

`live` (tests/e2e/conftest.py) is one watch for all tests of a session: the shop, which leaks 50 goroutines a second in
main.(*leak).quote, and a program whose labels, version and paths are hostile, which leaks as fast. Both incidents fire.
"""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from parkwarden.run.lab import running
from tests.e2e.watching import Watching, watching

PARKWARDEN = Path(sys.executable).parent / "parkwarden"

HOSTILE = "<script>alert(1)</script>\"'&<img src=x onerror=alert(3)>\x1b[31m\u202e{{7*7}}"
"""A version, an environment, a team: markup, quotes, a terminal's and a bidi control character, a template."""

SERIOUS = ("serious", "critical")
"""Of axe-core's impacts: what keeps somebody out."""

FIRING_S = 90.0
"""Until both incidents fire, builds not counted: the rules need 25 s of readings, a busy machine more."""


@dataclass
class LiveBoard:
    """A watch with its pages. `url` has no slash at its end; `said` is what browsers complained of."""

    watch: Watching
    url: str
    shop: str = ""
    said: list[str] = field(default_factory=list)

    def incident(self, service: str = "shop") -> str:
        """The id of a service's incident, as the headlines told it."""
        told = [h for h in self.watch.said("incident") if h.get("service") == service]
        return str(told[-1]["incident"])

    def services(self) -> list[str]:
        """Services with an incident that fires, as the headlines name them."""
        return list(dict.fromkeys(str(h["service"]) for h in self.watch.said("incident", "firing")))

    @contextmanager
    def page(
        self,
        browser: Any,
        path: str = "/",
        *,
        width: int = 1280,
        scheme: str = "light",
        scripts: bool = True,
        expected: tuple[str, ...] = (),
    ) -> Iterator[Any]:
        """A page of ours in a context of its own. On leaving, fails on any console message of a warning or an error, exception, dialog or
        request to somebody else, but those that hold one of the `expected` words."""
        context = browser.new_context(
            viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=scripts
        )
        page = context.new_page()
        said: list[str] = []
        page.on("console", lambda m: m.type in ("warning", "error") and said.append(f"console {m.type}: {m.text}"))
        page.on("pageerror", lambda error: said.append(f"error: {error}"))
        page.on("dialog", lambda dialog: (said.append(f"dialog: {dialog.message}"), dialog.dismiss()))
        page.on("request", lambda r: r.url.startswith((self.url, "data:", "blob:")) or said.append(f"foreign: {r.url}"))
        try:
            page.goto(self.url + path)
            yield page
        finally:
            context.close()
        told = [line for line in said if not any(word in line for word in expected)]
        assert told == [], "\n".join(told)


def accessible(page: Any) -> None:
    """axe-core finds nothing serious on the page as it is now."""
    from axe_playwright_python.sync_playwright import Axe

    found = [v for v in Axe().run(page).response["violations"] if v["impact"] in SERIOUS]
    told = [f"{v['id']}: {v['help']}: {[node['html'][:160] for node in v['nodes'][:3]]}" for v in found]
    assert told == [], "\n".join([page.url, *told])


def fits(page: Any) -> None:
    """The page as a whole needs no sideways scrolling, two seconds after it was resized at the latest; what does not fit is told."""
    for _ in range(20):
        wide, seen = page.evaluate("[document.documentElement.scrollWidth, document.documentElement.clientWidth]")
        if wide <= seen:
            return
        page.wait_for_timeout(100)
    told = page.evaluate(
        """seen => [...document.querySelectorAll("body *")].filter((e) => e.getBoundingClientRect().right > seen
        && !e.closest(".scroll, pre, .vh")).slice(0, 5).map((e) => e.outerHTML.slice(0, 160))""",
        seen,
    )
    raise AssertionError(f"{page.url}: {wide} px in {seen} px: {told}")


@contextmanager
def live_board(folder: Path, hostile_program: Path) -> Iterator[LiveBoard]:
    """See the module; ready when both incidents fire."""
    with ExitStack() as stack:
        shop = stack.enter_context(running("shop", ["-memlimit", "256"]))
        hostile = stack.enter_context(_program(hostile_program))
        config = folder / "parkwarden.yaml"
        config.write_text(yaml.safe_dump(_config(folder, shop.url, hostile), allow_unicode=False))
        watch = stack.enter_context(watching(config))
        url = watch.pages()
        urllib.request.urlopen(f"{shop.url}/leak/start?kind=send-without-receiver&per_s=50", timeout=10).close()
        board = LiveBoard(watch, url, shop.url)
        watch.wait(lambda: len(board.services()) == 2, FIRING_S)
        yield board


def _config(folder: Path, shop: str, hostile: str) -> dict[str, Any]:
    labels = {"service": "shop", "env": "prod", "team": "checkout", "sla_tier": "gold", "version": "1.4.0"}
    evil = dict.fromkeys(("service", "env", "team", "version"), HOSTILE)
    return {
        "targets": [{"urls": [shop], "labels": labels}, {"urls": [f"http://{hostile}"], "labels": evil}],
        "store": {"folder": str(folder / "data")},
        "web": {"listen": "127.0.0.1:0"},
    }


@contextmanager
def _program(program: Path) -> Iterator[str]:
    """A Go program that tells its address first."""
    with subprocess.Popen([program], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.kill()


@contextmanager
def opened(*files: Path | str) -> Iterator[LiveBoard]:
    """`parkwarden open`; its address is the board's, the page it told is in `said`. Ends by Ctrl-C, with 0."""
    command = [str(PARKWARDEN), "open", *map(str, files)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        lines = iter(process.stdout.readline, "")
        found = next(m for m in (re.search(r"(http://[^/]+)(/\S*)", line) for line in lines) if m)
        try:
            yield LiveBoard(None, found[1], said=[found[2]])  # type: ignore[arg-type]
        finally:
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, "")
