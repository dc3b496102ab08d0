"""What a notifier is, and how a delivery fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from parkwarden.act.settings import Pace
from parkwarden.model import Incident, Notification


class DeliveryError(Exception):
    """A channel did not take a notification. `retry`: it may later; `after_s`: not before (a Retry-After). The text holds no
    secret and nothing of the receiver's but a status."""

    def __init__(self, text: str, *, retry: bool, after_s: float | None = None) -> None:
        super().__init__(text)
        self.retry = retry
        self.after_s = after_s


class Notifier(Protocol):
    """One channel. `send` returns when the receiver has taken the notification, and raises DeliveryError when it has not."""

    @property
    def name(self) -> str: ...

    @property
    def pace(self) -> Pace: ...

    async def send(self, n: Notification) -> None: ...

    async def close(self) -> None: ...


@runtime_checkable
class Refreshing(Protocol):
    """A notifier whose receiver must be told again and again what is active."""

    @property
    def refresh_s(self) -> float: ...

    async def refresh(self, incidents: Sequence[Incident]) -> None:
        """Say again what is active among these, for this channel. Raises DeliveryError."""
        ...
