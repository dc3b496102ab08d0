"""Rules between limits: each with both sides of its boundary."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

from parkwarden.judge.limits import (
    GATEWAY,
    RULES,
    STREAMING,
    Facts,
    Profile,
    Server,
    Setting,
    Severity,
    State,
    What,
    needs,
)
from parkwarden.judge.limits.rules import breaches, mebibytes, most_procs, number, round_up
from tests.judge.limits.told import GIB, SERVER, facts

BREAKS, RISK, NOTE = Severity.BREAKS, Severity.RISK, Severity.NOTE


def found(told: Facts, profile: Profile = GATEWAY) -> dict[str, Severity]:
    return {one.rule: one.severity for one in breaches(told, profile, needs(told.looks, profile, 2))}


def test_a_consistent_gateway_breaks_nothing() -> None:
    """The gateway's preset in force, with limits that hold its load, is left alone: only the crash limit is called what it is."""
    assert found(facts(load=1000)) == {"crash-limit": NOTE}


def server(**values: Any) -> Facts:
    return facts(servers=(replace(SERVER, **values),))


GO_126, GO_124, GO_118 = (1, 26), (1, 24), (1, 18)
CASES: list[tuple[str, Facts, Severity | None]] = [
    # SetMaxThreads beside what the kernel allows, less what others hold there (8 of the user, none of the group)
    ("threads-below-kernel", facts({"go-max-threads": 2040}), None),
    ("threads-below-kernel", facts({"go-max-threads": 2041}), BREAKS),
    ("threads-below-kernel", facts({"go-max-threads": 2041}, root=True), None),
    ("threads-below-kernel", facts({"go-max-threads": 2049}, root=True), BREAKS),
    ("threads-below-kernel", facts({"process-limit": math.inf, "go-max-threads": 2048}), None),
    ("threads-below-kernel", facts({"process-limit": math.inf, "go-max-threads": 2049}), BREAKS),
    ("threads-below-kernel", facts({"process-limit": math.inf, "pids-limit": math.inf, "go-max-threads": 10_000}), None),
    ("threads-below-kernel", facts({"threads-system": 2000}), BREAKS),
    ("threads-below-kernel", facts(now={"user_threads": 524}), None),
    ("threads-below-kernel", facts(now={"user_threads": 525}), BREAKS),
    # near the crash limit: 80 % of 1,536 is 1,228.8
    ("threads-near-crash", facts(now={"threads": 1228}), None),
    ("threads-near-crash", facts(now={"threads": 1229}), BREAKS),
    ("crash-limit", facts({"go-max-threads": None}), None),
    ("crash-limit", facts(), NOTE),
    # root is not bound
    ("root-unbound", facts(), None),
    ("root-unbound", facts(root=None), None),
    ("root-unbound", facts(root=True), NOTE),
    ("root-unbound", facts({"pids-limit": math.inf}, root=True), RISK),
    ("root-unbound", facts({"process-limit": math.inf}, root=True), None),
    ("root-unbound", facts({"process-limit": 192_731 // 2, "pids-limit": math.inf}, root=True), None),
    # others of the same user: half of 2,048 beside 12 threads of its own
    ("user-wide", facts({"go-max-threads": 100}, now={"user_threads": 1024 + 12}), None),
    ("user-wide", facts({"go-max-threads": 100}, now={"user_threads": 1025 + 12}), RISK),
    ("user-wide", facts({"go-max-threads": 100}, now={"user_threads": 1025 + 12}, root=True), None),
    ("dead-letter", facts({"pids-limit": 2047}), NOTE),
    ("dead-letter", facts({"pids-limit": 2048}), None),
    ("dead-letter", facts({"pids-limit": 2047}, root=True), None),
    # 2 descriptors a request, 6 fixed: 1,000 requests take 2,006, and a tenth more 2,206.6
    ("descriptors-hold-load", facts({"fd-limit": 2207}, load=1000), None),
    ("descriptors-hold-load", facts({"fd-limit": 2206}, load=1000), RISK),
    ("descriptors-hold-load", facts({"fd-limit": 2006}, load=1000), RISK),
    ("descriptors-hold-load", facts({"fd-limit": 2005}, load=1000), BREAKS),
    ("descriptors-hold-load", facts({"fd-limit": 2005}), None),
    ("descriptors-hold-load", facts({"fd-limit": None}, load=1000), None),
    # Go raises the soft limit to the hard one, to one less from 1.24 on
    ("soft-is-hard", facts({"fd-limit": 65_536}), None),
    ("soft-is-hard", facts({"fd-limit": 65_535}), None),
    ("soft-is-hard", facts({"fd-limit": 65_534}), NOTE),
    ("soft-is-hard", facts({"fd-limit": 1024}, go=GO_118), RISK),
    ("soft-is-hard", facts({"fd-limit": 1024}, go=(1, 19)), NOTE),
    ("soft-is-hard", facts({"fd-limit": 1024}, go=None), None),
    ("memory-told", facts({"gomemlimit": math.inf}), RISK),
    ("memory-told", facts({"gomemlimit": math.inf}, go=GO_118), None),
    ("memory-told", facts({"gomemlimit": None}), None),
    ("memory-told", facts({"gomemlimit": math.inf, "memory-limit": math.inf}), None),
    # GOMEMLIMIT: 50-95 % of 2 GiB
    ("memory-below", facts({"gomemlimit": 2 * GIB + 1}), BREAKS),
    ("memory-below", facts({"gomemlimit": 2 * GIB}), RISK),
    ("memory-below", facts({"gomemlimit": 0.951 * 2 * GIB}), RISK),
    ("memory-below", facts({"gomemlimit": 0.95 * 2 * GIB}), None),
    ("memory-below", facts({"gomemlimit": GIB}), None),
    ("memory-below", facts({"gomemlimit": GIB - 1}), NOTE),
    ("address-space", facts(), None),
    ("address-space", facts({"address-space": 4 * GIB}), RISK),
    # what lives: 80 % of 1,843 MiB is 1,474.4
    ("memory-live", facts(now={"heap": 1474 << 20}), None),
    ("memory-live", facts(now={"heap": 1475 << 20}), RISK),
    ("gogc-off", facts({"gogc": math.inf}), None),
    ("gogc-off", facts({"gogc": math.inf, "gomemlimit": math.inf}), BREAKS),
    ("gogc-off", facts({"gogc": 400, "gomemlimit": math.inf}), None),
    ("gogc-off", facts({"gogc": math.inf, "gomemlimit": None}), None),
    ("next-gc", facts(now={"next_gc": 2 * GIB}), None),
    ("next-gc", facts(now={"next_gc": 2 * GIB + 1}), BREAKS),
    ("next-gc", facts({"memory-limit": math.inf}, now={"next_gc": 2 * GIB + 1}), None),
    # GOMAXPROCS beside a quota: rounded up, at least 2
    ("procs-in-quota", facts({"gomaxprocs": 2, "cpus": 0.5}), None),
    ("procs-in-quota", facts({"gomaxprocs": 3, "cpus": 2.5}), None),
    ("procs-in-quota", facts({"gomaxprocs": 4, "cpus": 2.5}), RISK),
    ("procs-in-quota", facts({"gomaxprocs": 64, "cpus": 2.0}, go=GO_124), RISK),
    ("procs-in-quota", facts({"gomaxprocs": 64, "cpus": math.inf}, go=GO_124), None),
    # timeouts, 0 = never
    ("header-timeout", server(read_header_s=0.0), None),
    ("header-timeout", server(read_header_s=0.0, read_s=0.0), RISK),
    ("header-timeout", server(read_header_s=-1.0), RISK),
    ("header-timeout", server(read_header_s=None), None),
    ("idle-timeout", server(idle_s=0.0), None),
    ("idle-timeout", server(idle_s=0.0, read_s=0.0), RISK),
    ("idle-timeout", facts(peer_keepalive_s=30.0), BREAKS),
    ("idle-timeout", facts(peer_keepalive_s=29.9), None),
    ("idle-timeout", facts(peer_keepalive_s=60.0, servers=(replace(SERVER, idle_s=None),)), None),
    ("read-timeout", server(read_s=0.0), RISK),
    ("read-timeout", server(read_s=None), None),
    ("write-timeout", server(write_s=0.0), RISK),
    ("write-timeout", server(write_s=None), None),
    ("write-timeout", server(), None),
    ("header-timeout", facts(servers=(Server(where="main.go:9", literal=False),)), RISK),
    ("header-timeout", facts(servers=()), None),
    ("deadline-in-force", facts(stalled=0), None),
    ("deadline-in-force", facts(stalled=None), None),
    ("deadline-in-force", facts(stalled=1), RISK),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "told", "severity"), CASES, ids=[f"{i}-{case[0]}" for i, case in enumerate(CASES)])
def test_each_rule_at_its_boundary(rule: str, told: Facts, severity: Severity | None) -> None:
    """A rule speaks on one side of its boundary and is silent on the other, and where what it compares is not visible."""
    assert found(told).get(rule) is severity


STREAMS: list[tuple[str, Facts, Severity | None]] = [
    ("write-timeout", server(write_s=15.0), BREAKS),
    ("write-timeout", server(write_s=300.0), BREAKS),
    ("write-timeout", server(write_s=301.0), None),
    ("write-timeout", server(write_s=0.0), NOTE),
    ("read-timeout", server(read_s=0.0), None),
]


@pytest.mark.parametrize(("rule", "told", "severity"), STREAMS)
def test_streams_want_other_timeouts(rule: str, told: Facts, severity: Severity | None) -> None:
    """A WriteTimeout bounds a whole answer, so it cuts streams; without one each write needs its own deadline."""
    assert found(told, STREAMING).get(rule) is severity


def test_every_rule_is_tested_and_explained() -> None:
    """No rule without a reason, a source and a case on both sides."""
    for name, rule in RULES.items():
        cases = [severity for known, _, severity in CASES + STREAMS if known == name]
        assert None in cases, name
        assert any(cases), name
        assert rule.because, name
        assert rule.source, name
        assert rule.says, name


def test_a_default_that_nobody_saw_is_a_risk() -> None:
    """Go's 10,000 above the kernel's limit is a contradiction only if somebody set it: the program may set another one unseen."""
    told = facts()
    settings = {**told.settings, "go-max-threads": Setting("go-max-threads", 10_000.0, State.DEFAULT, "Go's default")}
    assert found(replace(told, settings=settings))["threads-below-kernel"] is RISK


def test_nothing_visible_breaks_nothing() -> None:
    """Of a remote process that tells nothing no rule says anything."""
    told = facts()
    bare = replace(told, settings={}, servers=(), looks=(type(told.now)(at=0.0),), go=None, root=None)
    assert breaches(bare, GATEWAY, {}) == []


def test_breaches_are_told_worst_first_with_numbers() -> None:
    """What breaks comes before what is worth knowing, and each sentence has its numbers."""
    told = breaches(facts({"go-max-threads": 3000, "gomemlimit": math.inf}), GATEWAY, {})
    assert [one.severity for one in told] == sorted((one.severity for one in told), key=list(Severity).index)
    assert "3,000" in told[0].text
    assert "2,048" in told[0].text
    assert "8 are held by others" in told[0].text
    assert any("GOMEMLIMIT=1843MiB" in one.advice for one in told)


def test_needs_are_part_of_the_sentence() -> None:
    """A load that does not fit says what a request takes and how that is known."""
    told = facts({"fd-limit": 1024}, load=1000)
    found = needs(told.looks, GATEWAY, 2)
    assert found[What.DESCRIPTORS].each == 2.0
    text = next(one.text for one in breaches(told, GATEWAY, found) if one.rule == "descriptors-hold-load")
    assert "2,006 descriptors (2 each" in text


@pytest.mark.parametrize(("value", "rounded"), [(1, 1024), (1024, 1024), (1025, 2048), (2048, 2048), (2048.1, 4096)])
def test_limits_are_powers_of_two(value: float, rounded: int) -> None:
    """Up, never below what is wanted nor below 1,024."""
    assert round_up(value) == rounded


@pytest.mark.parametrize(("cpus", "procs"), [(0.1, 2), (1.0, 2), (2.0, 2), (2.01, 3), (8.0, 8)])
def test_procs_of_a_quota_are_gos(cpus: float, procs: int) -> None:
    """runtime/cgroup_linux.go: adjustCgroupGOMAXPROCS rounds up, and never below 2."""
    assert most_procs(cpus) == procs


def test_words_of_numbers() -> None:
    """Bytes as Go and people write them; infinite is none."""
    assert mebibytes(0.9 * 2 * GIB) == "1843MiB"
    assert mebibytes(1000) == "1000B"
    assert (number(math.inf), number(2048), number(0.5), number(GIB, "bytes")) == ("none", "2,048", "0.5", "1.0 GiB")
