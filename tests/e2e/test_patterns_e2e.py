"""The atlas against the real thing: every scenario of lab/leaks, looked at while it runs and read back from files.

Each scenario and each twin gets a process of its own and three rounds of callers. Between the rounds the process is
looked at the cheap way (goroutine profile and census), at the end the leak profile and one text dump are taken too.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.request
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from parkwarden.formats.detect import read_bytes
from parkwarden.model import Artefact, Case, Cluster, Look, Source, Verdict
from parkwarden.stacks.cluster import Grouping, group, of_grouping
from parkwarden.stacks.patterns import PATTERNS, Accusation, Match, accuse, contexts, match
from parkwarden.stacks.series import growth_per_min

pytestmark = pytest.mark.e2e

LEAKS = Path(__file__).parents[2] / "lab" / "leaks"
CALLERS = 60
ROUNDS = 3
ROUND_S = 1.2
AT_ONCE = 12
"""Processes at a time: they mostly wait."""

NEVER_ACCUSED_SO_FEW = {"transport-per-request"}
"""Idle connections are accused from 1,000 on, or when they grow for half a minute: recognised here, not accused."""

AMBIGUOUS = {"ticker-stopped-loop": {"ticker-never-stopped", "range-never-closed"}}


@dataclass(frozen=True)
class Seen:
    """What came of one scenario."""

    case: Case
    judged: list[tuple[Cluster, list[Match], Accusation]]

    def accused(self) -> list[tuple[Cluster, list[Match], Accusation]]:
        return [row for row in self.judged if row[2].verdict.rank >= Verdict.SUSPECT.rank]

    def told(self) -> str:
        return "\n".join(
            f"{c.counts} {c.site.wait_reason} {c.site.function} leaked={c.leaked} "
            f"{[(m.pattern.id, round(m.confidence, 2)) for m in matches[:3]]} {a.verdict} {a.reasons}"
            for c, matches, a in self.judged
            if max(c.counts, default=0) >= 10 or c.leaked
        )


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:
        body: bytes = answer.read()
        return body


def take(base: str, path: str) -> list[tuple[float, str, bytes]]:
    at = time.time()
    return [(at, path, get(f"{base}/debug/pprof/{path}"))]


def judge(saved: list[tuple[float, str, bytes]]) -> Seen:
    artefacts: list[Artefact] = []
    for at, name, data in saved:
        for artefact in read_bytes(data, name):
            artefact.taken_at = artefact.taken_at or at
            artefacts.append(artefact)
    with_goroutines = [a for a in artefacts if a.snapshot is not None]
    leaks = [a.snapshot for a in with_goroutines if a.snapshot and a.snapshot.source is Source.LEAK_PROFILE]
    looks = [
        Look(artefact=a, snapshot=a.snapshot, at=a.taken_at)
        for a in with_goroutines
        if a.snapshot and a.snapshot.source is not Source.LEAK_PROFILE
    ]
    looks.sort(key=lambda look: look.at or 0.0)
    grouping: Grouping = group([look.snapshot for look in looks], leaks)
    clusters = of_grouping(grouping)
    growth = growth_per_min(grouping.counts[:, : len(looks)], [look.at for look in looks])
    index = {site.id: i for i, site in enumerate(grouping.named)}
    for cluster in clusters:
        cluster.growth_per_min = None if growth is None else float(growth[index[cluster.site.id]])
    case = Case(artefacts=artefacts, looks=looks, clusters=clusters)
    known = contexts(case, grouping)
    return Seen(
        case,
        [(c, match(c, known[c.site.id]), accuse(c, known[c.site.id])) for c in clusters],
    )


def run(program: Path, scenario: str, side: str) -> Seen:
    procs = "1" if scenario == "spinning-loop" else "2"
    service = subprocess.Popen(
        [program, "-addr", "127.0.0.1:0"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "GOMAXPROCS": procs},
    )
    try:
        assert service.stdout is not None
        base = service.stdout.readline().split()[-1]
        saved: list[tuple[float, str, bytes]] = []
        for _ in range(ROUNDS):
            get(f"{base}/{side}/{scenario}?n={CALLERS}")
            time.sleep(0.3)
            saved += take(base, "goroutine")
            saved += take(base, "trace?seconds=0.05")
            time.sleep(ROUND_S)
        saved += take(base, "goroutineleak")
        saved += take(base, "goroutine?debug=2")
        return judge(saved)
    finally:
        service.kill()
        service.wait()
        if service.stdout is not None:
            service.stdout.close()


def scenarios(program: Path) -> dict[str, str]:
    service = subprocess.Popen([program, "-addr", "127.0.0.1:0"], stdout=subprocess.PIPE, text=True)
    try:
        assert service.stdout is not None
        base = service.stdout.readline().split()[-1]
        told = json.loads(get(f"{base}/scenarios"))
        return {name: scenario["pattern"] for name, scenario in told.items()}
    finally:
        service.kill()
        service.wait()
        if service.stdout is not None:
            service.stdout.close()


@pytest.fixture(scope="module")
def seen(go_build: Callable[..., Path]) -> tuple[dict[str, str], dict[tuple[str, str], Seen]]:
    program = go_build(LEAKS)
    known = scenarios(program)
    jobs = [(name, side) for name in known for side in ("leak", "innocent") if name != "spinning-loop"]
    with ThreadPoolExecutor(AT_ONCE) as pool:
        done = dict(zip(jobs, pool.map(lambda job: run(program, *job), jobs), strict=True))
    for side in ("leak", "innocent"):  # alone: it takes the processor from everybody else
        done["spinning-loop", side] = run(program, "spinning-loop", side)
    return known, done


def test_the_lab_has_every_pattern(seen: tuple[dict[str, str], dict[tuple[str, str], Seen]]) -> None:
    """Each pattern of the atlas has a program that produces it."""
    known, _done = seen
    assert set(known.values()) == set(PATTERNS)
    assert set(json.loads((LEAKS / "lab.json").read_text())["patterns"]) == set(PATTERNS)


def test_every_leak_is_recognised_and_accused(seen: tuple[dict[str, str], dict[tuple[str, str], Seen]]) -> None:
    """The crowd that leaks is accused, and the best match is its pattern."""
    known, done = seen
    wrong = []
    for name, pattern in known.items():
        result = done[name, "leak"]
        rows = result.judged if name in NEVER_ACCUSED_SO_FEW else result.accused()
        best = {matches[0].pattern.id for cluster, matches, _ in rows if matches and cluster.count >= CALLERS}
        if not best & AMBIGUOUS.get(name, {pattern}):
            wrong.append(f"--- {name}: {sorted(best)}\n{result.told()}")
    assert not wrong, "\n".join(wrong)


def test_no_twin_is_accused(seen: tuple[dict[str, str], dict[tuple[str, str], Seen]]) -> None:
    """The innocent twin has the same stack and is left alone."""
    known, done = seen
    wrong = [f"--- {name}\n{done[name, 'innocent'].told()}" for name in known if done[name, "innocent"].accused()]
    assert not wrong, "\n".join(wrong)


def test_nobody_else_is_accused(seen: tuple[dict[str, str], dict[tuple[str, str], Seen]]) -> None:
    """Beside the crowd that leaks nobody in the process is accused: no server, listener, poller or signal loop."""
    known, done = seen
    wrong = []
    for name, pattern in known.items():
        for cluster, matches, accusation in done[name, "leak"].accused():
            patterns = {m.pattern.id for m in matches[:4]}
            if pattern not in patterns:
                wrong.append(f"{name}: {cluster.site.function} {sorted(patterns)} {accusation.reasons}")
    assert not wrong, "\n".join(wrong)
