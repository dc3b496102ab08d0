"""Questions to a Prometheus HTTP API: instant and range queries, and what it scrapes.

POST with a form, as Grafana asks: selectors may be longer than URLs. One deadline for each question, told to the server as well; answers
bounded (formats/prometheus_api.MAX_BYTES). Raises what `discovery.client.explained` explains, and ApiError where the server says no.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import TYPE_CHECKING, Any

from parkwarden.collect.discovery.client import auth_headers, body, session
from parkwarden.collect.streams.prometheus_settings import PrometheusSource
from parkwarden.formats.prometheus_api import MAX_BYTES, ApiAnswer, read
from parkwarden.model.errors import ParkwardenError
from parkwarden.model.safe import inert

if TYPE_CHECKING:
    import aiohttp

AT_ONCE = 3
"""Questions under way at one server: one is worked on there, one is on the wire, one is read here."""
MAX_TARGETS_BYTES = 64 << 20
"""Of /api/v1/targets: 50,000 targets with their discovered labels."""


class ApiError(ParkwardenError):
    """The server answered that it cannot, or no API is there."""


class Api:
    """One API; `async with`. `pool` reads large answers."""

    def __init__(self, settings: PrometheusSource, seed: int, pool: ThreadPoolExecutor) -> None:
        self._settings = settings
        self._seed = seed
        self._pool = pool
        self._base = settings.url.rstrip("/").removesuffix("/api/v1")
        self._places = asyncio.Semaphore(AT_ONCE)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Api:
        self._session = session(self._settings.auth, self._settings.timeout_s)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

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

        async with self._places:
            status, data = await self._ask("targets?state=active", None, MAX_TARGETS_BYTES)
        told: Any = None
        if status == 200:
            try:
                told = await asyncio.get_running_loop().run_in_executor(self._pool, orjson.loads, data)
            except orjson.JSONDecodeError:
                told = None
        found = told.get("data") if isinstance(told, dict) else None
        active = found.get("activeTargets") if isinstance(found, dict) else None
        if not isinstance(active, list):
            raise ApiError("no-targets", f"it does not tell what it scrapes (status {status})")
        return [one for one in active if isinstance(one, dict)]

    async def _asked(self, path: str, form: Mapping[str, str]) -> ApiAnswer:
        async with self._places:
            timeout = {"timeout": f"{self._settings.timeout_s:g}s"}
            status, data = await self._ask(path, {**self._settings.params, **timeout, **form}, MAX_BYTES)
        if status in (401, 403):
            raise ApiError("not-allowed", f"it does not let us in (status {status}): is `auth` right, and `tenant`?")
        if status // 100 != 2 and not data.lstrip().startswith(b"{"):
            said = inert(data[:100].decode("utf-8", "replace").strip())
            raise ApiError("no-api", f"status {status}: {said or 'no words'}")
        answer = await asyncio.get_running_loop().run_in_executor(self._pool, read, data, self._seed)
        if answer.error:
            raise ApiError("refused", answer.error)
        return answer

    async def _ask(self, path: str, form: Mapping[str, str] | None, limit: int) -> tuple[int, bytes]:
        assert self._session is not None
        settings = self._settings
        headers = {**settings.headers, **auth_headers(settings.auth)}
        if settings.tenant:
            headers["X-Scope-OrgID"] = settings.tenant
        async with self._session.request(
            "GET" if form is None else "POST",
            f"{self._base}/api/v1/{path}",
            data=form,
            headers=headers,
            allow_redirects=False,
        ) as response:
            return response.status, await body(response, limit)
