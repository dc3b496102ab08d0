"""goroscope and goleaked: command-line tools that poll a process and mark stack groups.

goroscope (rezmoss/goroscope@f66e1ded, aggregate.go: `Tracker.Observe`, `IsLeakSuspect`, lines 141-145): a group is marked while it has
more goroutines than when it was first seen, and at least 3. Polls every second; here every profile.
goleaked (Aparajith24/goleaked v0.1.0, README on pkg.go.dev): samples for 5 minutes, every 10 seconds; a signature (state and stack) that
is in a high enough share of the samples, configurable, is a likely leak, unless allow-listed.
Assumed: both are left running (they are meant to be looked at by a human for some minutes); goleaked's share is 0.8 (its default is not
told), its samples are our profiles of the last five minutes, at least three of them, and nothing is allow-listed.
"""

from __future__ import annotations

from collections import Counter, deque

from parkwarden.model import Event, SiteCounts

LEAST = 3
DURATION_S = 300.0
SHARE = 0.8
LEAST_SAMPLES = 3


class Goroscope:
    def __init__(self, name: str = "goroscope") -> None:
        self.name = name
        self._first: dict[str, int] = {}
        self._accused: set[str] = set()

    def feed(self, event: Event) -> None:
        if isinstance(event, SiteCounts):
            for site, n in event.counts.items():
                self._first.setdefault(site, n)
            self._accused = {s for s, n in event.counts.items() if n >= LEAST and n > self._first[s]}

    def tick(self, now: float) -> set[str]:
        return set(self._accused)


class Goleaked:
    def __init__(self, name: str = "goleaked") -> None:
        self.name = name
        self._samples: deque[tuple[float, frozenset[str]]] = deque()

    def feed(self, event: Event) -> None:
        if isinstance(event, SiteCounts):
            self._samples.append((event.at, frozenset(s for s, n in event.counts.items() if n)))
            while self._samples[0][0] <= event.at - DURATION_S:
                self._samples.popleft()

    def tick(self, now: float) -> set[str]:
        if len(self._samples) < LEAST_SAMPLES:
            return set()
        seen = Counter(site for _at, sites in self._samples for site in sites)
        return {site for site, n in seen.items() if n >= SHARE * len(self._samples)}
