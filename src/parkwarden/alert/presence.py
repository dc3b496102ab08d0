"""Who can be judged at all: silence, a fresh start and removal told apart, for `advance`.

Input is what the engine knows of its instances; times are on its clock.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from parkwarden.alert.policy import Policy
from parkwarden.model import Incident, IncidentState, Instance, ServiceKey


@dataclass(frozen=True, slots=True)
class Presence:
    """`blind`, `young` and `gone` as `advance` takes them. A service is blind when none of its instances answers, young when none that
    answers has lived long enough."""

    blind: dict[ServiceKey | str, float]
    young: frozenset[ServiceKey | str]
    gone: dict[ServiceKey, float]
    labels: dict[ServiceKey, dict[str, str]]
    """Labels that all instances of a blind service agree on: whom its silence concerns."""


def presence(
    instances: Iterable[Instance],
    blind: Mapping[str, float],
    began: Mapping[str, float],
    incidents: Iterable[Incident],
    now: float,
    policy: Policy,
) -> Presence:
    """`instances`: all targets; `blind`: instance id -> since when it does not answer; `began`: id -> when the first news of its
    present life came (a restart, or our own start, begins anew; missing = long ago). `incidents` as for `advance`."""
    services: dict[ServiceKey, list[str]] = defaultdict(list)
    labels: dict[ServiceKey, dict[str, str]] = {}
    for instance in instances:
        key = instance.service_key
        services[key].append(instance.id)
        common = labels.setdefault(key, dict(instance.labels))
        labels[key] = {name: value for name, value in common.items() if instance.labels.get(name) == value}
    young = {
        i for ids in services.values() for i in ids if i not in blind and now - began.get(i, 0.0) < policy.rejudge_s
    }
    dark: dict[ServiceKey | str, float] = dict(blind.items())
    unjudged: set[ServiceKey | str] = set(young)
    for key, ids in services.items():
        if all(i in blind for i in ids):
            dark[key] = max(blind[i] for i in ids)
        elif all(i in blind or i in young for i in ids):
            unjudged.add(key)
    gone: dict[ServiceKey, float] = {}
    for row in incidents:
        key = row.service_key
        if row.state is not IncidentState.RESOLVED and key not in services:
            gone[key] = max(gone.get(key, 0.0), row.last_seen, row.no_data_since)
    return Presence(dark, frozenset(unjudged), gone, {key: labels[key] for key in services if key in dark})
