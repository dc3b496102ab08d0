"""Webhook: one signed POST of `parkwarden.alert/1` per notification.

`X-Parkwarden-Signature: t=<Unix seconds>,v1=<hex>`: HMAC-SHA256 with the shared secret over `<t>.` and the body. A receiver checks
the signature, that `t` is not old (replay), and drops an `Idempotency-Key` it has seen: delivery is at least once.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

from parkwarden.act.body import SCHEMA, encoded
from parkwarden.act.http import Http
from parkwarden.act.settings import Pace, WebhookSettings
from parkwarden.model import Notification, Secret

SIGNATURE = "X-Parkwarden-Signature"


class WebhookNotifier:
    """See the module."""

    def __init__(self, name: str, settings: WebhookSettings, clock: Callable[[], float]) -> None:
        self.name = name
        self.pace: Pace = settings.pace
        self._settings = settings
        self._clock = clock
        self._http = Http(settings.auth, settings.pace.timeout_s)

    async def send(self, n: Notification) -> None:
        body = encoded(n)
        headers = {name: value.reveal() for name, value in self._settings.headers.items()}
        headers |= {
            "Content-Type": "application/json",
            "Idempotency-Key": n.key,
            "X-Parkwarden-Schema": SCHEMA,
            "X-Parkwarden-Event": n.tell.value,
        }
        if self._settings.secret is not None:
            headers[SIGNATURE] = sign(self._settings.secret, body, int(self._clock()))
        await self._http.post(self._settings.url, body, headers)

    async def close(self) -> None:
        await self._http.close()


def sign(secret: Secret, body: bytes, at: int) -> str:
    """The header's value."""
    return f"t={at},v1={_digest(secret, body, at)}"


def verify(secret: Secret, body: bytes, header: str, now: float, tolerance_s: float = 300.0) -> bool:
    """Whether a body is ours and fresh: what a receiver does, here for tests and receivers in Python."""
    fields = dict(part.split("=", 1) for part in header.split(",") if "=" in part)
    told = fields.get("t", "")
    if not (told.isascii() and told.isdigit() and len(told) <= 12):
        return False
    at = int(told)
    return abs(now - at) <= tolerance_s and hmac.compare_digest(
        fields.get("v1", "").encode(), _digest(secret, body, at).encode()
    )


def _digest(secret: Secret, body: bytes, at: int) -> str:
    return hmac.new(secret.reveal().encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
