"""The readings of one target: from which pages, remembered; probed again when they are gone."""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import Executor

from parkwarden.collect.fleet.http import Client, FetchError
from parkwarden.collect.fleet.probe import Source, index_rows, merge, tells, text_total, wanted_next
from parkwarden.collect.fleet.settings import CollectSettings
from parkwarden.formats import expvar, metrics_page
from parkwarden.model.artefact import Reading
from parkwarden.model.errors import ParkwardenError
from parkwarden.model.instance import Target

NOT_THERE = frozenset([404, 405, 410, 501])
"""Statuses that say a page does not exist; any other than 200 is a failure."""
PROBE_AGAIN = 720
"""Readings after which the pages are looked for anew (an hour at 5 s): a handler may have been added behind our back."""
AT_ONCE_BYTES = 256 << 10
"""Pages up to this size are read without a change of thread: 4 ms where nothing is known of the page yet."""
COST_WEIGHT = 0.125
"""Of the newest page in the average of what pages cost: a single one that was scanned instead of followed changes nothing."""
MAX_INDEX_BYTES = 1 << 20
"""Of pprof's index or a debug=1 text: 14 kB at 100,000 goroutines on 24 stacks. The first line is all that is used."""


class Scraper:
    """`read()` gives one Reading. Raises FetchError; what it raises with `not-there` or `not-readings` means that nothing is to be had."""

    __slots__ = (
        "_age",
        "_client",
        "_page",
        "_pool",
        "_settings",
        "_sources",
        "_target",
        "bytes",
        "cpu_s",
        "listed",
        "probes",
    )

    def __init__(self, target: Target, client: Client, settings: CollectSettings, pool: Executor) -> None:
        self._target = target
        self._client = client
        self._settings = settings
        self._pool = pool
        self._page = metrics_page.Reader()
        self.cpu_s = 0.0
        """CPU seconds that making sense of a page takes, averaged over the last ones."""
        self._sources: tuple[Source, ...] = ()
        self._age = 0
        self.bytes = 0
        """That came over the wire in all."""
        self.probes = 0
        self.listed: frozenset[str] | None = None
        """Profiles pprof's index names, None before it was asked."""

    @property
    def sources(self) -> tuple[Source, ...]:
        return self._sources

    def forget(self) -> None:
        """Look for the pages anew at the next reading: after a restart, or failures."""
        self._sources = ()

    async def read(self) -> Reading:
        """The numbers from the pages remembered, or those found by probing."""
        self._age += 1
        if not self._sources or self._age > PROBE_AGAIN:
            return await self._probe()
        sources = self._sources
        try:
            reading = await self._ask(sources[0])
            for source in sources[1:]:
                merge(reading, await self._ask(source))
        except FetchError as error:
            if error.code in ("not-there", "not-readings"):
                self.forget()
            raise
        return reading

    async def _probe(self) -> Reading:
        told = Reading()
        asked: frozenset[Source] = frozenset()
        useful: list[Source] = []
        first: FetchError | None = None
        self.probes += 1
        while (source := wanted_next(told, asked)) is not None:
            asked |= {source}
            try:
                found = await self._ask(source)
            except FetchError as error:
                if error.code not in ("not-there", "not-readings", "status"):
                    raise  # nobody there, or hostile: the other pages would cost the same again
                first = first or error
                continue
            if tells(found) and merge(told, found):
                useful.append(source)
        if not useful:
            raise first or FetchError("not-readings", "none of its pages tells a number of a Go program")
        self._sources = tuple(useful)
        self._age = 0
        return told

    async def _ask(self, source: Source) -> Reading:
        target, settings = self._target, self._settings
        timeout_s = min(settings.timeout_s, max(target.interval_s, 1.0)) if target.interval_s else settings.timeout_s
        if source in (Source.METRICS, Source.VARS):
            path = target.metrics_path if source is Source.METRICS else target.vars_path
            return await self._parsed(source, await self._get(path, settings.max_page_bytes, timeout_s))
        if source is Source.INDEX:
            rows = index_rows(await self._get(f"{target.pprof_path}/", MAX_INDEX_BYTES, timeout_s))
            if rows:
                self.listed = frozenset(rows)
            goroutines = rows.get("goroutine")
        else:
            path = f"{target.pprof_path}/goroutine?debug=1"
            goroutines = text_total(await self._get(path, MAX_INDEX_BYTES, timeout_s, part=True))
        if goroutines is None:
            raise FetchError("not-readings", "the page names no number of goroutines")
        return Reading(goroutines=goroutines)

    async def _parsed(self, source: Source, body: bytes) -> Reading:
        try:
            if len(body) <= AT_ONCE_BYTES:
                return self._timed(source, body)
            return await asyncio.get_running_loop().run_in_executor(self._pool, self._timed, source, body)
        except ParkwardenError as error:
            raise FetchError("not-readings", error.message) from None

    def _timed(self, source: Source, body: bytes) -> Reading:
        began = time.thread_time()
        try:
            return self._page.read(body) if source is Source.METRICS else expvar.read(body).reading or Reading()
        finally:
            self.cpu_s += (time.thread_time() - began - self.cpu_s) * COST_WEIGHT

    async def list_profiles(self) -> frozenset[str] | None:
        """Profiles the index names, asked once per life; None where there is no index."""
        if self.listed is None:
            try:
                await self._ask(Source.INDEX)
            except FetchError as error:
                if error.code != "not-there":
                    return None
                self.listed = frozenset()
        return self.listed

    async def _get(self, path: str, limit: int, timeout_s: float, *, part: bool = False) -> bytes:
        if not path:
            raise FetchError("not-there", "switched off")
        answer = await self._client.ask(path, limit, timeout_s, part=part)
        self.bytes += answer.wire
        if answer.status in NOT_THERE:
            raise FetchError("not-there", f"{path} answers status {answer.status}")
        if answer.status != 200:
            raise FetchError("status", f"{path} answers status {answer.status}")
        return answer.body
