"""A fleet: targets -> readings, sites, censuses, captures; what each look costs the watched, and that nobody is hurt."""

from parkwarden.collect.fleet.collector import Collector
from parkwarden.collect.fleet.settings import CollectSettings
from parkwarden.collect.fleet.status import Counters, TargetState, TargetStatus

__all__ = ["CollectSettings", "Collector", "Counters", "TargetState", "TargetStatus"]
