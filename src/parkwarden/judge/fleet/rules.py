"""All thresholds of the fleet's judges in one place: what `rules:` in the configuration and `--rules FILE` set.

Each detector's module defines its own frozen dataclass (a docstring per field: meaning, unit, default and why, what raising or
lowering costs); this module only puts them together. pydantic validates them as they are.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from parkwarden.judge.fleet.blocked_share import BlockedRule
from parkwarden.judge.fleet.close_look import CloseRule
from parkwarden.judge.fleet.event_loop_health import EventLoopRule
from parkwarden.judge.fleet.fd_exhaustion import FdRule
from parkwarden.judge.fleet.gc_pressure import GcPressureRule
from parkwarden.judge.fleet.goroutine_excess import ExcessRule
from parkwarden.judge.fleet.goroutine_trend import TrendRule
from parkwarden.judge.fleet.heap_jump import HeapJumpRule
from parkwarden.judge.fleet.load_growth import LoadRule
from parkwarden.judge.fleet.memory_and_descriptors import TogetherRule
from parkwarden.judge.fleet.memory_exhaustion import MemoryRule
from parkwarden.judge.fleet.new_since_deploy import DeployRule
from parkwarden.judge.fleet.proven_leak import ProofRule
from parkwarden.judge.fleet.replica_age import AgeRule
from parkwarden.judge.fleet.site_floor_growth import FloorRule
from parkwarden.judge.fleet.stack_persistence import PersistenceRule
from parkwarden.judge.fleet.survivors import SurvivorRule
from parkwarden.judge.fleet.thread_exhaustion import ThreadRule
from parkwarden.judge.fleet.time_left import TimeLeftRule
from parkwarden.judge.fleet.waits_without_deadline import DeadlineRule


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """One set of thresholds. Two can run side by side over the same data (`--compare`)."""

    trend: TrendRule = field(default_factory=TrendRule)
    heap: HeapJumpRule = field(default_factory=HeapJumpRule)
    gc: GcPressureRule = field(default_factory=GcPressureRule)
    excess: ExcessRule = field(default_factory=ExcessRule)
    blocked: BlockedRule = field(default_factory=BlockedRule)
    time_left: TimeLeftRule = field(default_factory=TimeLeftRule)
    persistence: PersistenceRule = field(default_factory=PersistenceRule)
    floor: FloorRule = field(default_factory=FloorRule)
    survivors: SurvivorRule = field(default_factory=SurvivorRule)
    close: CloseRule = field(default_factory=CloseRule)
    proof: ProofRule = field(default_factory=ProofRule)
    load: LoadRule = field(default_factory=LoadRule)
    age: AgeRule = field(default_factory=AgeRule)
    deploy: DeployRule = field(default_factory=DeployRule)
    fds: FdRule = field(default_factory=FdRule)
    threads: ThreadRule = field(default_factory=ThreadRule)
    memory: MemoryRule = field(default_factory=MemoryRule)
    together: TogetherRule = field(default_factory=TogetherRule)
    loop: EventLoopRule = field(default_factory=EventLoopRule)
    deadline: DeadlineRule = field(default_factory=DeadlineRule)
