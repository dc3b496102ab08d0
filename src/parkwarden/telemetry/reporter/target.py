"""Who reports, and where to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from parkwarden.telemetry.reporter.records import type_of_value

_NAME = re.compile(r"[a-z0-9!#$%&'*+.^_`|~-]+", re.ASCII)
_VALUE = re.compile(r"([\x21-\x7e]([\x20-\x7e]*[\x21-\x7e])?)?")
_OWN = re.compile(r"host|te|connection|transfer-encoding|upgrade|keep-alive|content-.*|user-agent|grpc-.*")
"""Headers that the calls themselves need to set."""


def header_problem(name: str, value: str) -> str:
    """Why this cannot be sent along; "" if it can. Never says the value, nor a name that is none: either may be a secret."""
    if not _NAME.fullmatch(name):
        return f"a name of {len(name)} characters that is no header's: letters, digits and hyphens"
    if _OWN.fullmatch(name):
        return f"`{name}` is set by the call itself"
    return (
        ""
        if _VALUE.fullmatch(value)
        else f"`{name}` has a value with line breaks, spaces around it, or letters beyond ASCII"
    )


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

    def __post_init__(self) -> None:
        """Raises ValueError where a header cannot be sent: now, and not with every call."""
        for name, value in self.headers.items():
            if problem := header_problem(name, value):
                raise ValueError(f"headers: {problem}")

    @property
    def address(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"
