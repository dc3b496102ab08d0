"""All thresholds of the fleet's judges in one place: what `rules:` in the configuration and `--rules FILE` set.

Each detector's module defines its own frozen dataclass (a docstring per field: meaning, unit, default and why, what raising or
lowering costs); this module only puts them together. pydantic validates them as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from parkwarden.judge.fleet.site_floor_growth import FloorRule
from parkwarden.judge.fleet.stack_persistence import PersistenceRule
from parkwarden.judge.fleet.time_left import TimeLeftRule


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """One set of thresholds. Two can run side by side over the same data (`--compare`)."""

    time_left: TimeLeftRule = field(default_factory=TimeLeftRule)
    persistence: PersistenceRule = field(default_factory=PersistenceRule)
    floor: FloorRule = field(default_factory=FloorRule)
