"""Where we report of ourselves and of what we found: the configuration's `telemetry:` section."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from parkwarden.model.instance import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Backend:
    """A back end that takes OTLP or SkyWalking's protocol."""

    url: str = ""
    """`http://host:port` or `https://host:port`, whatever the protocol; of OTLP/HTTP a path before `/v1/logs` may follow. "" = none."""
    headers: Mapping[str, Secret] = field(default_factory=dict)
    """Sent along with each call: `authorization: {env: NAME}`, a tenant; SkyWalking's token is `authentication`. Their values are kept secret."""
    ca_file: str = ""
    """Certificates to trust instead of the system's (PEM)."""
    cert_file: str = ""
    """Our certificate for mutual TLS (PEM), with `key_file`."""
    key_file: str = ""
    """Its private key (PEM)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OtlpBackend(Backend):
    """A Collector, or whatever else speaks OTLP."""

    protocol: Literal["grpc", "http"] = "grpc"
    """`grpc` (usually port 4317) or `http` (protobuf, usually port 4318)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TelemetrySettings:
    """What we report, and where to. Nothing is sent until a back end has an address; no back end can hold up the watch."""

    otlp: OtlpBackend = field(default_factory=OtlpBackend)
    """OpenTelemetry."""
    skywalking: Backend = field(default_factory=Backend)
    """A SkyWalking OAP or Satellite (gRPC, usually port 11800)."""
    logs: bool = True
    """Incidents and findings, as events, whenever they change."""
    metrics: bool = True
    """Our own numbers, and the open incidents', as on /metrics."""
    traces: bool = True
    """Our beats, looks and deliveries, as spans."""
    metrics_every_s: float = 15.0
    """Between two reports of the numbers."""
    instance: str = ""
    """What this watch calls itself, for several on one host; "" = the host's name."""
    spool: str = ""
    """A folder that keeps what memory has no room for, and what is unsent at the end, until a back end takes it: 64 MiB for each. "" = none."""

    @property
    def any(self) -> bool:
        """Whether there is a back end."""
        return bool(self.otlp.url or self.skywalking.url)
