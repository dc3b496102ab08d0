"""/metrics, /healthz and /readyz of a running watch.

- `/healthz`: 200 while judging goes on (a tick within HEALTHY_TICKS beats), else 503: restart us.
- `/readyz`: 200 while nothing is wrong with us, else 503 and what is (a full disk, an unreachable database): do not restart us.
- `/metrics`: our own numbers in the Prometheus format.

The two health pages are answered to everybody (`guard`): probes cannot carry a token, and learn nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from parkwarden.run.engine import TICK_S
from parkwarden.run.numbers import families
from parkwarden.run.status import WatchStatus

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.routing import BaseRoute

    from parkwarden.web.desk import Desk

HEALTHY_TICKS = 6
"""Beats without a judgement before we call ourselves dead: a slow disk may cost one or two."""


class _Numbers(Collector):
    """The watch's status as metric families, read when asked."""

    def __init__(self, status: Callable[[], WatchStatus]) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        now = self._status()
        for family in families(now):
            kind = CounterMetricFamily if family.counter else GaugeMetricFamily
            metric = kind(family.name, family.text, labels=family.labels)
            for labels, value in family.samples:
                metric.add_metric(labels, value)
            yield metric
        yield from self._incidents(now)

    def _incidents(self, now: WatchStatus) -> Iterator[Metric]:
        about = ("incident", "service", "env", "alertname", "state", "priority")
        active = GaugeMetricFamily("parkwarden_incident", "Incidents not resolved, 1 each.", labels=about)
        left = GaugeMetricFamily(
            "parkwarden_incident_time_left_seconds", "Until the nearest limit.", labels=("incident", "service", "limit")
        )
        for i in now.incidents:
            active.add_metric((i.id, i.service, i.labels.get("env", ""), i.detector, i.state, i.priority), 1)
            if i.time_left_s is not None:
                left.add_metric((i.id, i.service, i.limit), i.time_left_s)
        yield active
        yield left


def routes(desk: Desk) -> list[BaseRoute]:
    """Our own numbers and health; the status is asked at every request."""
    registry = CollectorRegistry()
    registry.register(_Numbers(desk.host.status))
    for collector in (ProcessCollector, PlatformCollector, GCCollector):
        collector(registry=registry)

    async def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"Content-Type": content_type})

    async def healthz(_request: Request) -> Response:
        now = desk.host.status()
        age = desk.clock() - max(now.last_tick_at, now.started_at)
        alive = age < HEALTHY_TICKS * TICK_S
        return PlainTextResponse("ok\n" if alive else f"no judgement for {age:.0f} s\n", 200 if alive else 503)

    async def readyz(_request: Request) -> Response:
        troubles = desk.host.status().troubles
        return JSONResponse({"ready": not troubles, "troubles": _shown(troubles.items())}, 503 if troubles else 200)

    return [Route("/metrics", metrics), Route("/healthz", healthz), Route("/readyz", readyz)]


def _shown(troubles: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Health pages need no token, so they say what part is in trouble, not the paths and names in the details."""
    return {part: text.split(":", 1)[0][:120] for part, text in troubles}
