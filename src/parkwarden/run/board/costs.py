"""What our looks cost each service: readings, looks by kind with seconds, bytes and estimated stall, and what was refused and why."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from parkwarden.collect.fleet.status import OTHERS
from parkwarden.store.codec import clean

if TYPE_CHECKING:
    from typing import Any

    from parkwarden.collect.fleet.status import Spent
    from parkwarden.model import ServiceKey
    from parkwarden.run.board.host import Costs, Host

SCHEMA = "parkwarden.costs/1"

REASONS = {
    "instance-busy": "a look at it was under way",
    "service-busy": "a dear look at another replica was under way",
    "fleet-busy": "as many looks as may be were under way",
    "fleet-budget": "the fleet's dear looks of this minute were taken (collect.dear_per_minute)",
    "stall-budget": "it was stalled as long as it may be within an hour (collect.stall_s_per_hour)",
    "instance-budget": "its dear looks of this hour were taken (collect.dear_per_instance_hour)",
    "service-budget": "its service's dear looks of this hour were taken (collect.dear_per_service_hour)",
    "replicas-watched": "enough replicas of it were watched closely (collect.close_per_service)",
    "old-go": "its Go has none that tells goroutines apart",
    "not-there": "its pprof has none",
    "switched-off": "switched off in the configuration",
    "too-many-goroutines": "with so many goroutines it would stall the service for too long",
    "goroutines-unknown": "how many goroutines it has is not known, and so not what it would cost",
    "traced-by-another": "somebody else was tracing it",
}
"""Why a look was not taken, in words; any other is called by its name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LookSum:
    """All looks of one kind at one service."""

    look: str
    taken: int
    failed: int
    """Of those taken, how many brought nothing."""
    seconds: float
    bytes: int
    stall_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    look: str
    reason: str
    times: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceCost:
    """One service; `service` "" is all those that are not kept apart."""

    service: str
    env: str
    instances: int
    readings: int
    readings_failed: int
    reading_seconds: float
    reading_bytes: int
    looks: tuple[LookSum, ...] = ()
    refused: tuple[Refused, ...] = ()
    worst: str = ""
    """The replica that was stalled longest within the last hour, and for how long."""
    worst_stall_s: float = 0.0

    @property
    def taken(self) -> int:
        return sum(one.taken for one in self.looks)

    @property
    def stall_s(self) -> float:
        return sum(one.stall_s for one in self.looks)

    @property
    def bytes(self) -> int:
        return self.reading_bytes + sum(one.bytes for one in self.looks)

    @property
    def seconds(self) -> float:
        return sum(one.seconds for one in self.looks)

    @property
    def times_refused(self) -> int:
        return sum(one.times for one in self.refused)


class ServiceCosts:
    """All services, the one that was stalled longest first; only the part that is shown becomes rows."""

    def __init__(
        self, host: Host, costs: Costs, takes: Callable[[str, str], bool] = lambda _service, _env: True
    ) -> None:
        self._host, self._costs = host, costs
        every = [(key, spent) for key, spent in costs.services.items() if takes(*key)]
        every.sort(key=lambda one: (-sum(one[1].stall_seconds.values()), -_brought(one[1]), one[0]))
        self._every = every

    def __len__(self) -> int:
        return len(self._every)

    def part(self, offset: int, limit: int) -> list[ServiceCost]:
        """Rows from `offset` on, `limit` at most."""
        shown = self._every[offset : offset + limit]
        keys = {key for key, _ in shown}
        instances: dict[ServiceKey, int] = defaultdict(int)
        worst: dict[ServiceKey, tuple[float, str]] = {}
        for instance in self._host.engine.instances.values():
            key = instance.service_key if instance.service_key in self._costs.services else OTHERS
            if key in keys:
                instances[key] += 1
                stalled = self._costs.stalled.get(instance.id, 0.0)
                if stalled > worst.get(key, (0.0, ""))[0]:
                    worst[key] = (stalled, instance.id)
        return [_row(key, spent, instances[key], worst.get(key, (0.0, ""))) for key, spent in shown]


def _brought(spent: Spent) -> int:
    return spent.scrape_bytes + sum(spent.look_bytes.values())


def _row(key: ServiceKey, spent: Spent, instances: int, worst: tuple[float, str]) -> ServiceCost:
    looks: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    for (look, outcome), times in spent.looks.items():
        looks[look][0] += times
        looks[look][1] += times if outcome != "ok" else 0
    readings = spent.scrapes.total()
    return ServiceCost(
        service=key[0],
        env=key[1],
        instances=instances,
        readings=readings,
        readings_failed=readings - spent.scrapes["ok"],
        reading_seconds=spent.scrape_seconds,
        reading_bytes=spent.scrape_bytes,
        looks=tuple(
            LookSum(
                look=look,
                taken=taken,
                failed=failed,
                seconds=spent.look_seconds.get(look, 0.0),
                bytes=spent.look_bytes[look],
                stall_s=spent.stall_seconds.get(look, 0.0),
            )
            for look, (taken, failed) in sorted(looks.items())
        ),
        refused=tuple(
            Refused(look=look, reason=reason, times=times) for (look, reason), times in spent.refusals.most_common()
        ),
        worst=worst[1],
        worst_stall_s=worst[0],
    )


def as_json(rows: list[ServiceCost], costs: Costs) -> dict[str, Any]:
    """`parkwarden.costs/1` (docs/schema/costs-1.json) as plain JSON values."""
    return {
        "schema": SCHEMA,
        "since": costs.since,
        "stall_s_per_hour": costs.stall_s_per_hour,
        "services": [
            {
                "service": clean(row.service),
                "env": clean(row.env),
                "instances": row.instances,
                "readings": row.readings,
                "readings_failed": row.readings_failed,
                "reading_seconds": row.reading_seconds,
                "reading_bytes": row.reading_bytes,
                "looks": [
                    {
                        "look": one.look,
                        "taken": one.taken,
                        "failed": one.failed,
                        "seconds": one.seconds,
                        "bytes": one.bytes,
                        "stall_s": one.stall_s,
                    }
                    for one in row.looks
                ],
                "refused": [{"look": one.look, "reason": one.reason, "times": one.times} for one in row.refused],
                "worst": clean(row.worst),
                "worst_stall_s": row.worst_stall_s,
            }
            for row in rows
        ],
    }
