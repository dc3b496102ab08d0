"""Targets from a URL that answers in Prometheus's format (http_sd), asked again and again.

Sends `If-None-Match` with the last ETag, and `X-Prometheus-Refresh-Interval-Seconds` as Prometheus does. Any failure (unreachable, slow, not
200, too large, not the format) keeps the last good targets; the next question comes after RETRY_S, twice that, … up to the interval.
Redirects are not followed: credentials are for the server that was named. `unix:` addresses are refused: what listens on this machine's
sockets (a container engine, a database) trusts who can reach it.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from parkwarden.collect.discovery.client import auth_headers, body, explained, session
from parkwarden.collect.discovery.prometheus import MAX_BYTES, read_targets
from parkwarden.collect.discovery.settings import HttpSd
from parkwarden.collect.discovery.source import Publish, Source
from parkwarden.model.errors import ParkwardenError

if TYPE_CHECKING:
    import aiohttp

RETRY_S = 5.0
"""After the first failure: a server that restarts is back soon."""
MAX_ETAG = 256
"""Characters of an ETag that are sent back."""


class HttpDiscovery(Source):
    """`discovery.http_sd` entry."""

    def __init__(self, settings: HttpSd, name: str = "http_sd", **outside: Any) -> None:
        super().__init__(name, **outside)
        self._settings = settings
        self._etag = ""
        self._failed_in_a_row = 0

    async def run(self, publish: Publish) -> None:
        while True:
            await self.ask(publish)
            most = self._settings.refresh_interval_s
            await self.sleep(
                min(most, RETRY_S * 2.0 ** min(self._failed_in_a_row - 1, 20)) if self._failed_in_a_row else most
            )

    async def ask(self, publish: Publish) -> None:
        """One question."""
        import aiohttp

        try:
            async with session(self._settings.server_auth, self._settings.timeout_s) as client:
                raw = await self._get(client)
            if raw is not None:
                self.attempt()
                # in a thread: 20,000 targets take half a second, which the readings must not wait for
                targets = await asyncio.to_thread(
                    read_targets, raw, yaml=False, per=self._settings, problem=self.problem, sockets=False
                )
                self.published(publish, targets)
            self._failed_in_a_row = 0
            self.last_success = self.now()
        except (ParkwardenError, aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            self._etag = ""
            self._failed_in_a_row += 1
            self.attempt()
            code, text = explained(error)
            self.failed(code, "", f"{text}; the last good targets stay")

    async def _get(self, client: aiohttp.ClientSession) -> bytes | None:
        """The new list, None where it has not changed."""
        headers = {
            "Accept": "application/json",
            "X-Prometheus-Refresh-Interval-Seconds": f"{self._settings.refresh_interval_s:g}",
            **auth_headers(self._settings.server_auth),
        }
        if self._etag:
            headers["If-None-Match"] = self._etag
        async with client.get(self._settings.url, headers=headers, allow_redirects=False) as response:
            if response.status == 304 and self._etag:
                return None
            if response.status != 200:
                raise ParkwardenError("bad-status", f"answered {response.status}")
            etag = response.headers.get("ETag", "")
            raw = await body(response, MAX_BYTES)
            self._etag = etag if len(etag) <= MAX_ETAG else ""
            return raw
