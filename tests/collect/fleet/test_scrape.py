"""scrape: pages probed once, remembered, and probed again when they are gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from parkwarden.collect.fleet.http import Answer, FetchError
from parkwarden.collect.fleet.probe import Source
from parkwarden.collect.fleet.scrape import AT_ONCE_BYTES, PROBE_AGAIN, Scraper
from parkwarden.collect.fleet.settings import CollectSettings
from parkwarden.model.instance import Target
from tests.collect.fleet.servers import PAGE

VARS = b'{"cmdline": ["x"], "memstats": {"HeapInuse": 8192, "NumGC": 3}}'
INDEX = b"<tr><td>12</td><td><a href='goroutine?debug=1'>goroutine</a></td></tr><td>0</td><td><a href='heap?debug=1'>heap</a>"
TEXT = b"goroutine profile: total 34\n1 @ 0x1\n"


class FakeClient:
    """Answers from a table of path -> body; paths asked are kept."""

    def __init__(self, table: dict[str, bytes]) -> None:
        self.table = table
        self.asked: list[str] = []
        self.down: FetchError | None = None

    async def ask(self, path: str, _limit: int, _timeout_s: float, *, part: bool = False) -> Answer:
        self.asked.append(path)
        if self.down is not None:
            raise self.down
        body = self.table.get(path)
        return Answer(404, b"", 0) if body is None else Answer(200, body, len(body), part and False)


def scraper(client: FakeClient, **target: str) -> Scraper:
    return Scraper(Target(id="t", url="http://x", **target), client, CollectSettings(), ThreadPoolExecutor(1))  # type: ignore[arg-type]


def check(work: Callable[[], object]) -> None:
    asyncio.run(work())  # type: ignore[arg-type]


def test_metrics_alone() -> None:
    """A sufficient page is asked alone, from the first reading on."""

    async def work() -> None:
        client = FakeClient({"/metrics": PAGE})
        one = scraper(client)
        for _ in range(3):
            reading = await one.read()
            assert (reading.goroutines, reading.heap_inuse) == (7, 4096)
        assert client.asked == ["/metrics"] * 3
        assert (one.sources, one.probes) == ((Source.METRICS,), 1)

    check(work)


def test_several_pages_make_one_reading() -> None:
    """expvar has no goroutines: pprof's index tells them, and which profiles there are."""

    async def work() -> None:
        client = FakeClient({"/debug/vars": VARS, "/debug/pprof/": INDEX})
        one = scraper(client)
        assert (await one.read()).goroutines == 12
        client.asked.clear()
        reading = await one.read()
        assert (reading.goroutines, reading.heap_inuse, reading.num_gc) == (12, 8192, 3)
        assert client.asked == ["/debug/vars", "/debug/pprof/"]
        assert one.listed == {"goroutine", "heap"}

    check(work)


def test_the_first_line_of_the_text_is_the_last_resort() -> None:
    """Where a proxy hides the index, goroutine?debug=1 tells the number."""

    async def work() -> None:
        one = scraper(FakeClient({"/debug/pprof/goroutine?debug=1": TEXT}))
        assert (await one.read()).goroutines == 34
        assert one.sources == (Source.TEXT,)

    check(work)


def test_a_page_that_went_away_is_looked_for_again() -> None:
    """A 404 from a remembered page makes the next reading probe."""

    async def work() -> None:
        client = FakeClient({"/metrics": PAGE})
        one = scraper(client)
        await one.read()
        client.table = {"/debug/vars": VARS, "/debug/pprof/": INDEX}
        with pytest.raises(FetchError) as caught:
            await one.read()
        assert caught.value.code == "not-there"
        assert (await one.read()).goroutines == 12
        assert one.probes == 2

    check(work)


def test_pages_are_looked_for_anew_now_and_then() -> None:
    """A /metrics that was added later is found within an hour."""

    async def work() -> None:
        client = FakeClient({"/debug/vars": VARS, "/debug/pprof/": INDEX})
        one = scraper(client)
        await one.read()
        client.table["/metrics"] = PAGE
        for _ in range(PROBE_AGAIN + 1):
            await one.read()
        assert one.sources == (Source.METRICS,)

    check(work)


def test_a_target_that_is_down_is_not_asked_for_four_pages() -> None:
    """Probing ends at the first answer that is none: each page of a hanging target would cost a whole time-out."""

    async def work() -> None:
        client = FakeClient({})
        client.down = FetchError("timeout", "")
        with pytest.raises(FetchError):
            await scraper(client).read()
        assert client.asked == ["/metrics"]

    check(work)


def test_other_peoples_pages_are_no_readings() -> None:
    """A web site that answers everything with its home page tells nothing, and says so."""

    async def work() -> None:
        html = b"<!doctype html><html>home</html>"
        paths = ["/metrics", "/debug/vars", "/debug/pprof/", "/debug/pprof/goroutine?debug=1"]
        client = FakeClient(dict.fromkeys(paths, html))
        with pytest.raises(FetchError) as caught:
            await scraper(client).read()
        assert caught.value.code == "not-readings"
        assert client.asked == paths

    check(work)


def test_a_page_can_be_switched_off_or_elsewhere() -> None:
    """An empty path is never asked; others are asked where the target says."""

    async def work() -> None:
        client = FakeClient({"/m": PAGE})
        await scraper(client, metrics_path="/m").read()
        await_failed = scraper(client, metrics_path="", vars_path="", pprof_path="/p")
        with pytest.raises(FetchError):
            await await_failed.read()
        assert client.asked == ["/m", "/p/", "/p/goroutine?debug=1"]

    check(work)


def test_a_large_page_is_read_in_a_thread_and_its_price_known() -> None:
    """The loop goes on meanwhile; how long it took decides how often it is read."""

    async def work() -> None:
        large = PAGE + b"".join(b'other{n="%d"} 1\n' % i for i in range(AT_ONCE_BYTES // 14))
        one = scraper(FakeClient({"/metrics": large}))
        assert (await one.read()).goroutines == 7
        assert one.cpu_s > 0

    check(work)
