"""What looks may cost: per instance, per service and over the fleet. Pure: times are inputs.

`refusal` says why a look may not be taken now, `began` and `ended` keep the books. Reasons that pass by themselves within seconds are in
WAIT (the look may stay due), the others are final for this occasion.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from parkwarden.collect.fleet.prices import DEAR, Look
from parkwarden.collect.fleet.settings import CollectSettings

WAIT = frozenset(["instance-busy", "service-busy", "fleet-busy", "fleet-budget"])
HOUR_S = 3600.0
MINUTE_S = 60.0


@dataclass(slots=True)
class _Hour:
    """Amounts of the last hour, summed."""

    entries: deque[tuple[float, float]] = field(default_factory=deque)
    total: float = 0.0

    def add(self, now: float, amount: float) -> None:
        self.entries.append((now, amount))
        self.total += amount

    def sum(self, now: float) -> float:
        while self.entries and self.entries[0][0] <= now - HOUR_S:
            self.total -= self.entries.popleft()[1]
        return self.total if self.entries else 0.0

    def over(self, now: float) -> bool:
        """Whether nothing of it counts any more."""
        self.sum(now)
        return not self.entries


@dataclass(slots=True)
class _Service:
    dear: _Hour = field(default_factory=_Hour)
    under_way: int = 0
    close: dict[str, float] = field(default_factory=dict)
    """Instances watched closely, until when."""

    def idle(self, now: float) -> bool:
        return not self.under_way and self.dear.over(now) and all(until <= now for until in self.close.values())


class Budgets:
    """The books of all looks."""

    def __init__(self, settings: CollectSettings) -> None:
        self._settings = settings
        self._stall: dict[str, _Hour] = {}
        self._dear: dict[str, _Hour] = {}
        self._services: dict[str, _Service] = {}
        self._busy: set[str] = set()
        self._dear_lately: deque[float] = deque()
        """When dear looks of the last minute began, over the fleet."""

    def refusal(
        self, now: float, instance: str, service: str, look: Look, stall_s: float, *, on_beat: bool = False
    ) -> str:
        """Why not now, "" if it may be taken. `stall_s` is what it is expected to stall the instance. A quarter of the fleet's places is
        for suspicions: beats that hang must not be in their way. What comes on beat is not dear: a text dump only of the small."""
        settings = self._settings
        if instance in self._busy:
            return "instance-busy"
        places = settings.captures_at_once
        if len(self._busy) >= (max(1, places - places // 4) if on_beat else places):
            return "fleet-busy"
        if self.stall_s_hour(now, instance) + stall_s > settings.stall_s_per_hour:
            return "stall-budget"
        if look in DEAR and not on_beat:
            while self._dear_lately and self._dear_lately[0] <= now - MINUTE_S:
                self._dear_lately.popleft()
            if len(self._dear_lately) >= settings.dear_per_minute:
                return "fleet-budget"
            mine = self._dear.get(instance)
            if mine is not None and mine.sum(now) >= settings.dear_per_instance_hour:
                return "instance-budget"
            ours = self._services.get(service)
            if ours is not None:
                if ours.under_way:
                    return "service-busy"
                if ours.dear.sum(now) >= settings.dear_per_service_hour:
                    return "service-budget"
        return ""

    def began(
        self, now: float, instance: str, service: str, look: Look, stall_s: float, *, on_beat: bool = False
    ) -> None:
        """A look begins; `ended` must follow."""
        self._busy.add(instance)
        self._stall.setdefault(instance, _Hour()).add(now, stall_s)
        if look in DEAR and not on_beat:
            self._dear_lately.append(now)
            self._dear.setdefault(instance, _Hour()).add(now, 1)
            ours = self._services.setdefault(service, _Service())
            ours.dear.add(now, 1)
            ours.under_way += 1

    def ended(self, instance: str, service: str, look: Look, *, on_beat: bool = False) -> None:
        self._busy.discard(instance)
        if look in DEAR and not on_beat and (ours := self._services.get(service)) is not None:
            ours.under_way = max(0, ours.under_way - 1)

    def close_watch(self, now: float, instance: str, service: str) -> bool:
        """Whether one more replica of the service may be watched closely; it then is, for `close_watch_s`."""
        ours = self._services.setdefault(service, _Service())
        ours.close = {i: until for i, until in ours.close.items() if until > now}
        if instance not in ours.close and len(ours.close) >= self._settings.close_per_service:
            return False
        ours.close[instance] = now + self._settings.close_watch_s
        return True

    def stall_s_hour(self, now: float, instance: str) -> float:
        """Estimated stall of the last hour in seconds."""
        hour = self._stall.get(instance)
        return hour.sum(now) if hour is not None else 0.0

    def stalled(self, now: float) -> dict[str, float]:
        """The same of everybody who was stalled within the hour."""
        return {name: total for name, hour in self._stall.items() if (total := hour.sum(now)) > 0}

    def tidy(self, now: float) -> None:
        """Somebody is gone: close the books in which nothing was paid for an hour. No others: who goes and comes back at every
        refresh of a discovery has paid all the same."""
        for books in (self._stall, self._dear):
            for name in [name for name, hour in books.items() if hour.over(now)]:
                del books[name]
        for name in [name for name, ours in self._services.items() if ours.idle(now)]:
            del self._services[name]
