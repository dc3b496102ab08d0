"""Where an instance that a Prometheus tells of can be looked at: by its `instance` label, or as Prometheus itself reaches it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from parkwarden.collect.discovery.addresses import BadAddressError, parse_url, path_of
from parkwarden.collect.fleet.http import FetchError
from parkwarden.collect.streams.prometheus.fleet import identity
from parkwarden.collect.streams.prometheus.settings import PrometheusSource
from parkwarden.model.errors import ParkwardenError
from parkwarden.model.instance import Instance, Target

if TYPE_CHECKING:
    from parkwarden.collect.streams.prometheus.api import Api

FRESH_S = 300.0
"""How long an answer of /api/v1/targets is believed: it is large, and only suspicions ask for it."""
MAX_ADDRESSES = 1 << 17
"""Targets remembered."""


class Addresses:
    """See the module; for one source."""

    def __init__(self, settings: PrometheusSource) -> None:
        self._settings = settings
        self._api: Api | None = None
        self._asking: asyncio.Task[None] | None = None
        self._asked_at = float("-inf")
        self._scraped: dict[str, str] = {}
        """Instance id -> the URL that Prometheus scrapes."""
        self.trouble = ""

    def use(self, api: Api) -> None:
        """Whom to ask what is scraped."""
        self._api = api
        self._asked_at = float("-inf")

    def target(self, who: Instance) -> Target | None:
        """Where to look; None where it is not known, or not yet: who is suspected is asked for again at the next beat."""
        how = self._settings.pprof
        if how.where == "off":
            return None
        text = who.address
        if how.where == "targets":
            self._refresh()
            text = self._scraped.get(who.id, "")
        url = _base(text, how.scheme, how.port)
        if url is None:
            return None
        return Target(
            id=who.id,
            url=url,
            labels=dict(who.labels),
            auth=how.auth,
            pprof_path=path_of(how.pprof_path, "/debug/pprof"),
            start_time=who.start_time,
        )

    def _refresh(self) -> None:
        loop = asyncio.get_running_loop()
        if self._api is None or loop.time() - self._asked_at < FRESH_S:
            return
        self._asked_at = loop.time()
        self._asking = loop.create_task(self._ask(self._api))

    async def _ask(self, api: Api) -> None:
        try:
            active = await api.targets()
        except (FetchError, ParkwardenError) as error:
            why = error.text if isinstance(error, FetchError) else error.message
            self.trouble = f"where instances can be looked at is not known: {why}"
            return
        self.trouble = ""
        found: dict[str, str] = {}
        for one in active[:MAX_ADDRESSES]:
            labels, url = one.get("labels"), one.get("scrapeUrl")
            if not isinstance(labels, dict) or not isinstance(url, str):
                continue
            own = {k: v for k, v in labels.items() if isinstance(v, str)}
            who = identity(own, self._settings.id_labels, self._settings.labels)
            if who is not None:
                found[who.id] = url
        self._scraped = found


def _base(text: str, scheme: str, port: int) -> str | None:
    """The base URL of `host:port` or of a scraped URL, without its path; with another port where pprof has one."""
    try:
        if "://" in text:
            parts = urlsplit(text)
            text = f"{parts.scheme}://{parts.netloc}"
        else:
            text = f"{scheme}://{text}"
        _id, url = parse_url(text)
        if port:
            parts = urlsplit(url)
            host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
            url = f"{parts.scheme}://{host}:{port}"
    except (BadAddressError, ValueError):
        return None
    return url
