"""MoniGo: a stack group that rose at every look, or a goroutine that is blocked for a day.

Rules (iyashjayesh/monigo@8ed8abd4, core/goroutine-leaks.go: `growthFor`, `buildReport`, `defaultSnapshotWindow`,
`defaultStaleThreshold`; PR #51), every 5 minutes (`DataPointsSyncFrequency`, monigo.go):
- growing: of the last five looks the group is in the oldest, and each of the four later ones shows more goroutines than the one before;
- stale: the header of any goroutine of the group says it has been blocked for 24 h or longer.
A restart forgets all.
Assumed, in its favour: a stack group is our site. (The code hashes the raw text of the stack, arguments and creating goroutine's id
included, so that goroutines of one place with other arguments are other groups.) Stale needs a text dump; here a goroutine that
censuses have shown at one site for 24 h, and never at work while one was taken, is taken for blocked all the time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from itertools import pairwise

from bench.leakbench.peers.base import Beat, Lives
from parkwarden.model import Census, Event, SiteCounts, Started

INTERVAL_S = 300.0
LOOKS = 5
STALE_S = 24 * 3600.0


class MoniGoGrowing:
    def __init__(self, name: str = "monigo") -> None:
        self.name = name
        self._lives = Lives()
        self._restart()

    def _restart(self) -> None:
        self._beat = Beat(INTERVAL_S)
        self._looks: deque[Mapping[str, int]] = deque(maxlen=LOOKS)
        self._accused: set[str] = set()

    def feed(self, event: Event) -> None:
        if isinstance(event, Started) and self._lives.restarted(event):
            self._restart()
        elif isinstance(event, SiteCounts) and self._beat.due(event.at):
            self._looks.append(event.counts)
            if len(self._looks) == LOOKS:
                self._accused = {site for site in event.counts if self._grows(site)}

    def _grows(self, site: str) -> bool:
        seen = [look.get(site, 0) for look in self._looks]
        return seen[0] > 0 and all(before < after for before, after in pairwise(seen))

    def tick(self, now: float) -> set[str]:
        return set(self._accused)


class MoniGoStale:
    def __init__(self, name: str = "monigo-stale") -> None:
        self.name = name
        self._lives = Lives()
        self._restart()

    def _restart(self) -> None:
        self._beat = Beat(INTERVAL_S)
        self._since: dict[str, dict[int, float]] = {}
        self._accused: set[str] = set()

    def feed(self, event: Event) -> None:
        if isinstance(event, Started) and self._lives.restarted(event):
            self._restart()
        elif isinstance(event, Census) and self._beat.due(event.at):
            ran = event.ran or {}
            since, self._since = self._since, {}
            for site, goids in event.goids.items():
                before, worked = since.get(site, {}), set(ran[site].tolist()) if site in ran else set()
                self._since[site] = {
                    g: event.at if g in worked else before.get(g, event.at) for g in map(int, goids.tolist())
                }
            self._accused = {s for s, gs in self._since.items() if gs and event.at - min(gs.values()) >= STALE_S}

    def tick(self, now: float) -> set[str]:
        return set(self._accused)
