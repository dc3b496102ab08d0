"""Peers' rules, re-stated, on the same events as ours.

`peers()` makes all of them anew, for one instance. Each module says the rule, its source and what we had to assume; where something had
to be assumed it was assumed in the peer's favour. To add one: a module with a class of the `Peer` protocol, a line in `peers()`, a unit
test of the published behaviour in tests/bench/test_leakbench_peers.py, a row in docs/accuracy.md's list.
"""

from __future__ import annotations

from bench.leakbench.peers.base import WHOLE, Peer
from bench.leakbench.peers.eve_watcher import EveWatcher
from bench.leakbench.peers.goroutinedumper import GoroutineDumper
from bench.leakbench.peers.holmes import README, README_ALL, Holmes
from bench.leakbench.peers.leakprof import LeakProf
from bench.leakbench.peers.monigo import MoniGoGrowing, MoniGoStale
from bench.leakbench.peers.prometheus import rules
from bench.leakbench.peers.recurrence import Goleaked, Goroscope

__all__ = ["WHOLE", "Peer", "peers"]


def peers() -> list[Peer]:
    """Every peer, newly made, for one instance."""
    return [
        LeakProf(),
        LeakProf("leakprof-1000", 1000, 0.0),
        LeakProf("leakprof-100", 100, 0.0),
        Holmes(),
        Holmes("holmes-readme", README),
        Holmes("holmes-readme-2", README_ALL),
        GoroutineDumper(),
        EveWatcher(),
        MoniGoGrowing(),
        MoniGoStale(),
        Goroscope(),
        Goleaked(),
        *rules(),
    ]
