"""Questions to a Prometheus HTTP API: instant and range queries, and what it scrapes.

GET over a few kept connections of the fleet's own client, which reads 22 MB in 12 ms where aiohttp takes 43. One deadline for each question,
told to the server as well; answers bounded (formats/prometheus_api.MAX_BYTES). Raises FetchError, FormatError, LimitError, and ApiError where
the server says no.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlencode

from parkwarden.collect.fleet.http import Answer, Client, Names, Room, TlsContexts
from parkwarden.collect.streams.prometheus.settings import PrometheusSource
from parkwarden.formats.prometheus_api import MAX_BYTES, ApiAnswer, read
from parkwarden.model.errors import ParkwardenError
from parkwarden.model.instance import Target
from parkwarden.model.safe import inert

AT_ONCE = 3
"""Questions under way at one server: one is worked on there, one is on the wire, one is read here."""
MAX_TARGETS_BYTES = 64 << 20
"""Of /api/v1/targets: 50,000 targets with their discovered labels."""


class ApiError(ParkwardenError):
    """The server answered that it cannot, or no API is there."""


class Api:
    """One API; close it. `pool` reads the answers. Raises FetchError for a URL, credentials or headers that cannot be used."""

    def __init__(self, settings: PrometheusSource, seed: int, pool: ThreadPoolExecutor) -> None:
        self._settings = settings
        self._seed = seed
        self._pool = pool
        base = settings.url.rstrip("/").removesuffix("/api/v1")
        server = Target(id=base, url=base, auth=settings.auth)
        headers = dict(settings.headers) | ({"X-Scope-OrgID": settings.tenant} if settings.tenant else {})
        room, contexts, names = Room(AT_ONCE * MAX_BYTES), TlsContexts(), Names()
        self._free = [Client(server, room, contexts, names, headers) for _ in range(AT_ONCE)]
        self._places = asyncio.Semaphore(AT_ONCE)

    def close(self) -> None:
        """Drop the connections that nobody uses."""
        for client in self._free:
            client.close()

    async def instant(self, query: str, at: float) -> ApiAnswer:
        """The value of every series at a time (Unix seconds)."""
        return await self._asked("query", {"query": query, "time": f"{at:.3f}"})

    async def range(self, query: str, start: float, end: float, step_s: float) -> ApiAnswer:
        """The values of every series at start, start + step_s, ... up to `end`."""
        form = {"query": query, "start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step_s:g}"}
        return await self._asked("query_range", form)

    async def targets(self) -> list[dict[str, Any]]:
        """What it scrapes at present (`activeTargets`). Raises ApiError where it does not tell."""
        import orjson

        answer = await self._ask("targets", {"state": "active"}, MAX_TARGETS_BYTES)
        told: Any = None
        if answer.status == 200:
            try:
                told = await asyncio.get_running_loop().run_in_executor(self._pool, orjson.loads, answer.body)
            except orjson.JSONDecodeError:
                told = None
        found = told.get("data") if isinstance(told, dict) else None
        active = found.get("activeTargets") if isinstance(found, dict) else None
        if not isinstance(active, list):
            raise ApiError("no-targets", f"it does not tell what it scrapes (status {answer.status})")
        return [one for one in active if isinstance(one, dict)]

    async def _asked(self, path: str, form: Mapping[str, str]) -> ApiAnswer:
        timeout = {"timeout": f"{self._settings.timeout_s:g}s"}
        answer = await self._ask(path, {**self._settings.params, **timeout, **form}, MAX_BYTES)
        if answer.status in (401, 403):
            raise ApiError(
                "not-allowed", f"it does not let us in (status {answer.status}): are `auth` and `tenant` right?"
            )
        if answer.status // 100 != 2 and not answer.body.lstrip().startswith(b"{"):
            said = inert(answer.body[:100].decode("utf-8", "replace").strip())
            raise ApiError("no-api", f"status {answer.status}: {said or 'no words'}")
        found = await asyncio.get_running_loop().run_in_executor(self._pool, read, answer.body, self._seed)
        if found.error:
            raise ApiError("refused", found.error)
        return found

    async def _ask(self, path: str, form: Mapping[str, str], limit: int) -> Answer:
        async with self._connection() as client:
            return await client.ask(f"/api/v1/{path}?{urlencode(form)}", limit, self._settings.timeout_s)

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Client]:
        async with self._places:
            client = self._free.pop()
            try:
                yield client
            finally:
                self._free.append(client)
