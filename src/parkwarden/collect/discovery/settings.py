"""Where targets come from: what `targets:` and `discovery:` in the configuration set.

Frozen dataclasses, a docstring per setting; `run/config.py` validates them, docs/configuration.md is made of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from parkwarden.model.instance import Auth


@dataclass(frozen=True, slots=True, kw_only=True)
class PerTarget:
    """What can be said about all targets of one source; what a target says itself (labels, annotations) goes before."""

    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels of every target of this source. `service`, `env`, `team`, `sla_tier` and `version` have a meaning here."""
    auth: Auth | None = None
    """How to show who we are to these targets."""
    interval_s: float = 0.0
    """Between two readings of one target; 0 = `collect`'s own. Longer costs less and sees a fast leak later."""
    metrics_path: str = "/metrics"
    """Where the Prometheus page is; Prometheus's `__metrics_path__` of a discovered target goes before."""
    pprof_path: str = "/debug/pprof"
    """Where net/http/pprof is mounted."""
    vars_path: str = "/debug/vars"
    """Where expvar is mounted."""
    go_budget: int = 0
    """Goroutines that none of these instances should ever pass: one more limit for the time left. 0 = none stated."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StaticTargets(PerTarget):
    """Services that stay where they are."""

    urls: tuple[str, ...]
    """Base URLs, without credentials: `http://10.1.2.3:6060`, `https://host/prefix`, `unix:/run/shop.sock`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FileSd(PerTarget):
    """Files in the format of Prometheus's file_sd, JSON or YAML, read again when they change.

    A file that breaks keeps its last good targets and is told as a problem; a file that is removed loses its targets.
    """

    files: tuple[str, ...]
    """Paths or globs (`targets/*.json`), relative to the configuration file; the name must end in .json, .yml or .yaml."""
    refresh_interval_s: float = 5.0
    """How often the files' time stamps are looked at: 5 s is how soon a change counts. Looked at rather than notified of, since that works
    on network file systems and for Kubernetes' swapped links too, and costs one stat per file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HttpSd(PerTarget):
    """A URL that answers in the format of Prometheus's http_sd. While it fails the last good targets are kept."""

    url: str
    """The whole list is at this address, without credentials in it."""
    server_auth: Auth | None = None
    """How to show who we are to the discovery server (`auth` is for its targets)."""
    refresh_interval_s: float = 60.0
    """Between two questions (Prometheus's default); an unchanged answer (ETag, 304) costs next to nothing."""
    timeout_s: float = 10.0
    """For one whole answer."""


def _usual_labels() -> dict[str, tuple[str, ...]]:
    return {
        "service": ("app.kubernetes.io/name", "app", "k8s-app"),
        "version": ("app.kubernetes.io/version", "version"),
        "team": ("team", "app.kubernetes.io/part-of"),
        "env": ("env", "environment"),
        "sla_tier": ("sla_tier", "sla-tier"),
    }


@dataclass(frozen=True, slots=True, kw_only=True)
class Kubernetes(PerTarget):
    """Pods of one cluster, listed and watched through the API (decision 0006); needs `list` and `watch` on pods.

    A pod's annotations go before everything: `parkwarden.io/scrape` (`true`, `false`), `port` (number or name), `scheme`, `path` (where
    pprof is), `metrics-path`, and `service`, `env`, `team`, `sla-tier`, `version`. A pod that is being terminated is no target any more.
    """

    cluster: str = ""
    """A name for this cluster: becomes the label `cluster` and the beginning of its targets' ids. Needed where there are several."""
    api_server: str = ""
    """`https://host:6443`; "" = the cluster we run in (KUBERNETES_SERVICE_HOST)."""
    api_auth: Auth | None = None
    """How to show who we are to the API server; None = the service account's token and CA, read again as they rotate."""
    token_file: str = ""
    """A bearer token that somebody renews: read again for each request. "" = the service account's, unless `api_auth` says otherwise."""
    namespaces: tuple[str, ...] = ()
    """Only these; () = all. Each needs a watch of its own, so a few are well, hundreds are better selected by label."""
    label_selector: str = ""
    """Kubernetes' own syntax: `app in (shop, cart), tier!=test`."""
    field_selector: str = ""
    """Kubernetes' own syntax: `spec.nodeName=node-1`."""
    opt_in: bool = True
    """Only pods annotated `parkwarden.io/scrape: "true"`; false = all pods that are not annotated `"false"`."""
    port: int = 0
    """Where targets answer when neither annotation nor port name says; 0 = then the pod is no target."""
    port_names: tuple[str, ...] = ("pprof", "debug", "http-debug", "metrics", "http-metrics")
    """Names of container ports taken for the debug port, the first that is there."""
    scheme: str = "http"
    """`http` or `https`."""
    labels_from: Mapping[str, tuple[str, ...]] = field(default_factory=_usual_labels)
    """Our label: the pod's labels it is taken from, first that is there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscoverySettings:
    """Where targets are found. All sources together make the fleet; one target found twice is one."""

    file_sd: tuple[FileSd, ...] = ()
    """Files, as Prometheus has them."""
    http_sd: tuple[HttpSd, ...] = ()
    """URLs, as Prometheus has them."""
    kubernetes: tuple[Kubernetes, ...] = ()
    """Pods, one entry per cluster."""
    max_targets: int = 20_000
    """Targets watched at most; those beyond, in the order of their ids, are left out, counted and told. Keeps a broken discovery
    from costing all memory: a live target takes up to 64 KiB."""

    @property
    def any(self) -> bool:
        """Whether there is a source at all."""
        return bool(self.file_sd or self.http_sd or self.kubernetes)
