"""A whole watch behind the application, on a time of its own, in process: real engine, real database, no sockets.

with a_board(tmp_path) as board:
    board.live(12)                                  # twelve beats of 5 s with a service that leaks: an incident fires
    assert "shop" in board.client.get("/").text

with a_board(tmp_path, tokens=TOKENS) as board:
    board.client.get("/", headers=bearer("viewer"))
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from parkwarden.act.settings import Channels, StdoutSettings
from parkwarden.model import (
    Event,
    Frame,
    Incident,
    IncidentState,
    Instance,
    Named,
    Read,
    Reading,
    Secret,
    Site,
    SiteCounts,
    Started,
    Target,
)
from parkwarden.run.board.watching import WatchHost
from parkwarden.run.clock import SteadyClock
from parkwarden.run.config import Config, TokenSettings
from parkwarden.run.watch import Watch
from parkwarden.store.settings import StoreSettings
from parkwarden.web.access import Access
from parkwarden.web.app import MODULES, application
from parkwarden.web.desk import Desk

NOON = 1_700_000_000.0
FRAMES = (Frame("main.quote", "/src/shop/price.go", 42), Frame("main.handle", "/src/shop/main.go", 17))
SITE = Site("s1", "chan send", "main.quote", "/src/shop/price.go", 42, FRAMES, None)
HOSTILE = "<script>alert(1)</script>\"'\x1b[31m\u202e{{7*7}}"
"""As a label, a path or a version: markup, quotes, a terminal's and a bidi control character, a template."""

TOKENS = (
    TokenSettings(name="eva", role="operator", token=Secret("operator-token-0123")),
    TokenSettings(name="vic", role="viewer", token=Secret("viewer-token-0123456")),
)
ADDRESS = "http://127.0.0.1:9870"


def bearer(role: str) -> dict[str, str]:
    """The header that shows the token of this role of TOKENS."""
    word = next(one.token.reveal() for one in TOKENS if one.role == role)
    return {"Authorization": f"Bearer {word}"}


class Board:
    """`client` asks as a program on this machine does; `watch`, `host` and `desk` are what it asks."""

    def __init__(self, folder: Path, tokens: Sequence[TokenSettings], modules: Sequence[str]) -> None:
        self.wall, self.steady, self.leaked = NOON, 0.0, 0
        config = replace(
            Config(),
            store=StoreSettings(folder=str(folder)),
            channels=Channels(stdout={"out": StdoutSettings()}),
        )
        clock = SteadyClock(lambda: self.wall, lambda: self.steady)
        self.watch = Watch(config, tell=lambda _headline: None, clock=clock)
        self.host = WatchHost(self.watch)
        self.desk = Desk(self.host, Access(tokens), self.watch.clock.now)
        self.app = application(self.desk, modules)
        self.client = TestClient(self.app, base_url=ADDRESS, client=("127.0.0.1", 50_000), follow_redirects=False)

    def call(self, work: Callable[..., Any], *args: Any) -> Any:
        """`work` (a function or a coroutine function) on the application's loop."""
        assert self.client.portal is not None
        return self.client.portal.call(work, *args)

    def feed(self, *events: Event) -> None:
        """What a watch would have seen."""

        def work() -> None:
            for event in events:
                self.watch._event(event)

        self.call(work)

    def beat(self) -> None:
        """Five seconds go by and all is judged."""
        self.wall, self.steady = self.wall + 5.0, self.steady + 5.0

        async def work() -> None:
            await self.watch._heed_clock()
            await self.watch._judge(self.watch.clock.now())

        self.call(work)

    def live(self, beats: int, *, leaks: bool = True) -> None:
        """So many beats in which instance i1 of the service shop leaks 50 goroutines a second, or none."""
        for _ in range(beats):
            self.leaked += 250 if leaks else 0
            self.hear(self.watch.clock.now() + 5.0)
            self.beat()

    def hear(self, at: float) -> None:
        self.feed(*self.heard(at))

    def heard(self, at: float) -> list[Event]:
        """What i1 tells at this time: its numbers and a profile."""
        reading = Reading(at=at, goroutines=100 + self.leaked)
        return [Read(at, "i1", reading), SiteCounts(at, "i1", {"s1": self.leaked})]

    def firing(self) -> Incident:
        """The one incident that fires."""
        (row,) = [row for row in self.host.incidents() if row.state is IncidentState.FIRING]
        return row

    def targets(self, *names: str, **labels: str) -> None:
        """These are watched (nobody answers there)."""
        found = [Target(id=name, url=f"http://{name}", labels=labels) for name in names]
        self.call(self.watch._retarget, found)

    def login(self, role: str) -> TestClient:
        """A browser that is logged in with this role; `csrf(page)` reads the token of a page."""
        browser = TestClient(self.app, base_url=ADDRESS, client=("127.0.0.1", 50_001), follow_redirects=False)
        browser.portal = self.client.portal
        word = bearer(role)["Authorization"].split()[1]
        answer = browser.post("/login", data={"token": word}, headers={"Origin": ADDRESS})
        assert answer.status_code == 303, answer.text
        return browser


def csrf(page: str) -> str:
    """The CSRF token that a page carries."""
    return page.split('name="csrf-token" content="', 1)[1].split('"', 1)[0]


@contextmanager
def a_board(folder: Path, tokens: Sequence[TokenSettings] = (), modules: Sequence[str] = MODULES) -> Iterator[Board]:
    """A board whose watch is open, with one service `shop` (env prod, version v1) of one instance `i1`."""
    board = Board(folder, tokens, modules)
    with board.client:
        assert board.client.portal is not None
        with board.client.portal.wrap_async_context_manager(board.watch.opened()):
            labels = {"service": "shop", "env": "prod", "version": "v1"}
            board.feed(Started(Instance(id="i1", labels=labels, start_time=NOON - 9000), NOON), Named(SITE))
            board.hear(NOON)
            yield board
