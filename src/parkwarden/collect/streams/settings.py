"""What senders may bring us, and where: the configuration's `receive:` section."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from parkwarden.collect.streams.admission import POINTS_PER_S
from parkwarden.model.instance import Secret


@dataclass(frozen=True, slots=True, kw_only=True)
class Listener:
    """An address that senders come to."""

    listen: str = ""
    """`host:port`; "" = off. Any host but a loopback one demands a token, or `anybody: true`."""
    token: Secret | None = None
    """What senders must show: `Authorization: Bearer …`, or the SkyWalking agents' `Authentication`."""
    anybody: bool = False
    """Whether whoever reaches the address may send without a token: for a network that only your services are in."""
    cert_file: str = ""
    """Our certificate (PEM) for TLS, with `key_file`; "" = none."""
    key_file: str = ""
    """Its private key (PEM)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OtlpReceiver:
    """OpenTelemetry: metrics of the Go runtime and of processes, from SDKs or a Collector."""

    grpc: Listener = field(default_factory=Listener)
    """OTLP/gRPC, usually on port 4317."""
    http: Listener = field(default_factory=Listener)
    """OTLP/HTTP, protobuf and JSON, usually on port 4318; the path is `/v1/metrics`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiveSettings:
    """What senders may bring us. All is off until it is given an address."""

    remote_write: Listener = field(default_factory=Listener)
    """Prometheus remote write, 1.0 and 2.0; the path is `/api/v1/write`."""
    otlp: OtlpReceiver = field(default_factory=OtlpReceiver)
    """OpenTelemetry."""
    skywalking: Listener = field(default_factory=Listener)
    """SkyWalking agents (gRPC), usually on port 11800."""
    points_per_s: int = POINTS_PER_S
    """Points a second that are taken from all senders together; beyond, they are told to come back later."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Labels of every instance that senders tell of; what they say themselves goes before."""

    @property
    def any(self) -> bool:
        """Whether anybody may bring us anything."""
        return any(one.listen for one in (self.remote_write, self.otlp.grpc, self.otlp.http, self.skywalking))
