"""Instances: who is watched. Targets: where an instance answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

KNOWN_LABELS = ("service", "env", "team", "sla_tier", "version")
"""Labels the house gives a meaning; any others are carried along."""
START_JITTER_S = 1.0
"""Start times this close are one life: exporters derive them from boot time and clock ticks, which wander by a tick."""

ServiceKey: TypeAlias = tuple[str, str]
"""(service, env): what replicas have in common."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Instance:
    """One life of one process of a service.

    `id` names the place (host:port, pod) and stays over restarts; `start_time` (Unix seconds, None = not known) names the life.
    """

    id: str
    labels: Mapping[str, str] = field(default_factory=dict)
    address: str = ""
    start_time: float | None = None
    goroutine_budget: int = 0
    """Goroutines it should never pass, where somebody stated it; 0 = nobody did."""

    @property
    def service(self) -> str:
        """The `service` label, or the id where there is none: an unnamed instance is its own service."""
        return self.labels.get("service") or self.id

    @property
    def env(self) -> str:
        return self.labels.get("env", "")

    @property
    def service_key(self) -> ServiceKey:
        return self.service, self.env

    @property
    def version(self) -> str:
        return self.labels.get("version", "")

    @property
    def sla_tier(self) -> str:
        return self.labels.get("sla_tier", "")


def other_life(known: float | None, told: float | None) -> bool:
    """Whether two start times are those of two lives; a time that is not told says nothing."""
    return known is not None and told is not None and abs(told - known) > START_JITTER_S


class Secret:
    """A word nobody may see: it prints as stars everywhere, `reveal()` is the only way to it."""

    __slots__ = ("_word",)

    def __init__(self, word: str) -> None:
        self._word = word

    def reveal(self) -> str:
        return self._word

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._word == self._word

    def __hash__(self) -> int:
        return hash(self._word)

    def __reduce__(self) -> str:
        raise TypeError("a secret is not serialised")


@dataclass(frozen=True, slots=True, kw_only=True)
class Auth:
    """How we show who we are to a target or a receiver. At most one of basic and bearer; the certificate goes with either."""

    user: str = ""
    """Basic authentication: the name."""
    password: Secret | None = None
    """Basic authentication: the password."""
    bearer: Secret | None = None
    """A token, shown as `Authorization: Bearer`."""
    ca_file: str = ""
    """Certificates to trust besides (instead of) the system's; "" = the system's."""
    cert_file: str = ""
    """Our certificate for mutual TLS, with `key_file`."""
    key_file: str = ""
    """The certificate's private key."""
    verify: bool = True
    """Whether the other side's certificate must be good; false lets anybody between us listen and answer."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where one instance answers. `id` is the instance's; equal ids from two discoveries are one target."""

    id: str
    url: str
    """Base without credentials, without trailing slash: `http://10.1.2.3:6060`, `https://host/prefix`, `unix:/path.sock`."""
    labels: Mapping[str, str] = field(default_factory=dict)
    auth: Auth | None = None
    interval_s: float = 0.0
    """Between readings; 0 = the collector's own."""
    metrics_path: str = "/metrics"
    pprof_path: str = "/debug/pprof"
    vars_path: str = "/debug/vars"
    start_time: float | None = None
    """Where the discovery knows it (a pod's container status)."""
    go_budget: int = 0
    """Goroutines this instance should never pass, for the time left; 0 = none stated."""
    restarts: int | None = None
    """How often its container was restarted, where the discovery knows it."""

    def instance(self, start_time: float | None = None) -> Instance:
        """Who answers here, in the life that began at `start_time` (None = what the discovery knows of it)."""
        return Instance(
            id=self.id,
            labels=dict(self.labels),
            address=self.url,
            start_time=self.start_time if start_time is None else start_time,
            goroutine_budget=self.go_budget,
        )
