"""A Prometheus that is asked for readings: the configuration's `collect: prometheus:`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from parkwarden.model.instance import Auth


@dataclass(frozen=True, slots=True, kw_only=True)
class PprofAddresses:
    """Where the instances a Prometheus tells of can be looked at themselves. Only on suspicion, within the budgets of `collect`."""

    where: Literal["instance", "targets", "off"] = "instance"
    """`instance`: the `instance` label is `host:port`. `targets`: the address that Prometheus scrapes, from its `/api/v1/targets` (for
    relabelled instances; Thanos, Mimir and VictoriaMetrics' cluster do not have it). `off`: nobody is looked at."""
    scheme: Literal["http", "https"] = "http"
    """Where the label does not say it."""
    port: int = 0
    """The port of pprof, where it is another than that of the metrics; 0 = the same."""
    pprof_path: str = "/debug/pprof"
    """Where net/http/pprof is mounted."""
    auth: Auth | None = None
    """How to show who we are to the instances."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PrometheusSource:
    """One Prometheus, Thanos, Mimir or VictoriaMetrics whose API is asked for the whole fleet's readings, by a dozen queries a tick."""

    url: str
    """Its base URL, without credentials: what stands before `/api/v1/query`. `http://prometheus:9090`, `https://mimir/prometheus`."""
    selector: str = ""
    """Which series are ours: `{job=~"shop-.*", env="prod"}`; "" = all that have `go_goroutines`."""
    interval_s: float = 15.0
    """Between two ticks; the scrape interval there is right. A reading is told once, with the time of its scrape, however often it is seen."""
    timeout_s: float = 10.0
    """For one answer, from the question to its last byte; the server is told the same."""
    backfill_s: float = 1800.0
    """How far windows are filled from the past at the start; 0 = not at all."""
    auth: Auth | None = None
    """How to show who we are to it."""
    tenant: str = ""
    """The tenant of Mimir, Cortex or Loki's kin: header `X-Scope-OrgID`."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Further headers of every question. Secrets belong into `auth`."""
    params: Mapping[str, str] = field(default_factory=dict)
    """Further parameters of every question: Thanos' `dedup`, `max_source_resolution`."""
    id_labels: tuple[str, ...] = ("instance",)
    """Labels that together name one instance, joined with `/`. Where one API holds several clusters: `[cluster, instance]`."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels of all its instances; what the series say themselves goes before."""
    requests: str = "http_requests_total"
    """The counter of requests, summed by instance: the load that explains growth. "" = not asked for."""
    pprof: PprofAddresses = field(default_factory=PprofAddresses)
    """Where its instances can be looked at on suspicion."""
