"""The live ruler measures what it says: real leaks and look-alikes side by side, and nothing is left running."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.leakbench.live.cases import KINDS, LOOKALIKES, Case, Planted, innocents, leaks
from bench.leakbench.live.run import mark_provable, run_all
from bench.leakbench.live.score import is_at, judge, tally

pytestmark = pytest.mark.e2e

LEAKS = ("chan-send", "mutex", "nil-channel")
ALIKE = ("like standing n=30 jobs=2", "like burst n=60 every=5 min=0.5 max=2", "like contended n=20 hold=0.01")


def mine() -> set[str]:
    """Command lines of the ruler's processes that run."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
            parent = (folder / "stat").read_text().rsplit(")", 1)[1].split()[1]
        except OSError:
            continue
        if "leakbench-service" in words[0] and parent == str(os.getpid()):
            found.add(" ".join(words))
    return found


def test_three_leaks_and_three_look_alikes_side_by_side() -> None:
    """Every planted leak stands in the functions that the service told as truth, Go's own profile proves it, check finds it; no
    look-alike is accused; no process is left."""
    cases = [Case(kind, f"leak {kind} rate=5", (Planted(kind, 5.0, mixed="alone"),)) for kind in LEAKS]
    cases += [Case(text, text) for text in ALIKE]
    measured = run_all([(case, "proof", 5) for case in cases], for_s=6.0, jobs=6, warm_up_s=(3.0, 4.0))
    rows = measured.rows
    assert measured.failed == []
    assert len(rows) == 6
    mark_provable(rows)
    planted = [p for row in rows for p in row["planted"]]
    assert sorted(p["kind"] for p in planted) == sorted(LEAKS)
    assert all(p["stand"] >= 10 and p["proven"] >= 10 and p["provable"] for p in planted)
    score = tally(rows)
    assert (score["recall"]["hits"], score["recall"]["of"]) == (3, 3)
    assert (score["lookalikes_accused"]["hits"], score["lookalikes_accused"]["of"]) == (0, 3)
    assert not mine()


def test_every_kind_and_look_alike_is_known_to_the_service() -> None:
    """A case that the service would refuse is found before an hour of measuring: the suite names only what its source registers."""
    source = "".join(
        path.read_text() for path in (Path(__file__).parents[2] / "bench/leakbench/live/service").glob("*.go")
    )
    names = {*KINDS, *(text.split()[1] for text in LOOKALIKES)}
    assert not [name for name in names if f'"{name}":' not in source]


def test_each_kind_is_planted_once_per_rate_whatever_the_seed() -> None:
    """Seeds change company and healthy traffic, never how much is measured."""
    for seed in (1, 2, 77):
        sites = sorted((p.kind, p.rate) for case in leaks(seed) for p in case.planted)
        assert sites == sorted(set(sites))
        assert sites == sorted((p.kind, p.rate) for case in leaks(seed + 1) for p in case.planted)
        assert not [case for case in innocents(seed) if case.planted]


def test_a_finding_counts_where_it_points() -> None:
    """At the leaking function or a literal in it: right. Anywhere else: wrong. Without a place: right but unplaced, or wrong."""
    truth = [{"kind": "k", "functions": ["main.stuck"], "beside": ["net.helper"]}]

    def finding(function: str | None, verdict: str = "leak") -> dict[str, object]:
        site = {"function": function, "frames": [{"function": function}]} if function else None
        return {"verdict": verdict, "site": site, "culprit": None, "title": "t", "code": "PW1", "evidence": []}

    assert judge([finding("main.stuck.func1")], truth)["best"] == {"k": "leak"}
    assert judge([finding("main.stuck", "suspect")], truth)["best"] == {"k": "suspect"}
    told = judge([finding("net.helper"), finding("main.stuckOther"), finding(None)], truth)
    assert (told["best"], told["right"], len(told["wrong"]), told["unplaced"]) == ({"k": "none"}, 1, 1, 1)
    assert len(judge([finding(None)], [])["wrong"]) == 1
    assert not is_at("main.stuckOther", ["main.stuck"])
