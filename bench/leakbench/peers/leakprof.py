"""LeakProf (Uber): very many goroutines blocked in a channel operation at one source line of a daily goroutine profile.

Rule: a source location with more than 10,000 goroutines blocked in a channel send, channel receive or select is reported.
Source: https://www.uber.com/blog/leakprof-featherlight-in-production-goroutine-leak-detection/ (2022-11-10: grouping by source location,
"configurable threshold", filters for selects on timers and for known places); arXiv 2312.12002 (CGO 2024); the 10,000 and the precision
of 72.7 % by a seminar's summary of the paper; "daily goroutine profiles" by M. Chabbi, golang/go#57175 (2024-10-24). The tool is not public.
Assumed: `reason` of a site tells the channel operation, a site whose reason is not told counts (in its favour); none of our healthy
sites is on a list of known places. The lowered thresholds (1,000 and 100) are ours, and they may look at every profile, not one a day:
the authors name lower thresholds for smaller programs as future work.
"""

from __future__ import annotations

from bench.leakbench.peers.base import Beat, Places
from parkwarden.model import Event, Named, SiteCounts

DAY_S = 86_400.0
THRESHOLD = 10_000
CHANNEL = ("chan send", "chan receive", "select")
"""Wait reasons it looks at, as their beginnings (`chan receive (nil chan)`, `select (no cases)`)."""


class LeakProf:
    """`interval_s` is how often a profile is looked at; what it says holds until the next one."""

    def __init__(self, name: str = "leakprof", threshold: int = THRESHOLD, interval_s: float = DAY_S) -> None:
        self.name = name
        self._threshold = threshold
        self._beat = Beat(interval_s)
        self._places = Places()
        self._accused: set[str] = set()

    def feed(self, event: Event) -> None:
        if isinstance(event, Named):
            self._places.named(event)
        elif isinstance(event, SiteCounts) and self._beat.due(event.at):
            blocked = {site: n for site, n in event.counts.items() if self._looks_at(site)}
            lines = self._places.at_lines(blocked).values()
            self._accused = {site for n, sites in lines if n > self._threshold for site in sites}

    def tick(self, now: float) -> set[str]:
        return set(self._accused)

    def _looks_at(self, site: str) -> bool:
        reason = self._places.reason.get(site, "")
        return not reason or reason.startswith(CHANNEL)
