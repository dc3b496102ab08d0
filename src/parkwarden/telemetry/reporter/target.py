"""Who reports, and where to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from parkwarden.telemetry.reporter.records import type_of_value


@dataclass(frozen=True, slots=True)
class Origin:
    """The process that reports: OpenTelemetry's resource, SkyWalking's service and instance."""

    service: str
    instance: str = ""
    """Of this process, and of no other one: `service.instance.id`."""
    namespace: str = ""
    version: str = ""
    attributes: Mapping[str, type_of_value] = field(default_factory=dict)
    """More of the resource; SkyWalking's instance properties."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A back end's address and what it wants to see. `headers` go along with each call: names in lower case, a token among them."""

    host: str
    port: int
    path: str = ""
    """What comes before `/v1/traces` and so on, of OTLP over HTTP."""
    tls: bool = False
    ca_file: str = ""
    """Who may have signed the back end's certificate (PEM); "" = whom the system trusts."""
    cert_file: str = ""
    key_file: str = ""
    """Our own certificate, where the back end asks for one (PEM)."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
