"""What all peers have in common: what they are told, what they say, and how often they look.

A peer watches **one instance** through all its lives. It is fed the same events as our engine, in time order, and asked at every tick
what it accuses: site ids, or "" for a process-wide alarm (it says "there is a leak", not where). A rule whose condition lasts (an alert
of Prometheus) is accused for as long as it does; one that acts at a moment (a dump taken) is accused at the first tick after it.

Who lives inside the process (holmes, CockroachDB, EVE, MoniGo) forgets everything when the process restarts. Who looks from outside
(LeakProf, Prometheus, goroscope, goleaked) does not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Protocol

from parkwarden.model import Event, Named, Read, SiteCounts, Started, other_life

WHOLE = ""
"""What a process-wide alarm accuses."""

SLACK_S = 0.5
"""How early a look may come and still be the next one: looks that mean to be 60 s apart are sometimes 59.9."""


class Peer(Protocol):
    """Somebody else's rule. `name` is short, stable and unique."""

    name: str

    def feed(self, event: Event) -> None:
        """Take one event of the one instance watched; times never go back."""

    def tick(self, now: float) -> set[str]:
        """Who is accused at `now`: site ids, or WHOLE."""


class Beat:
    """Lets one look through per interval, whatever comes in more often."""

    def __init__(self, interval_s: float) -> None:
        self._interval_s = interval_s
        self._next = float("-inf")

    def due(self, at: float) -> bool:
        """Whether a look at `at` is taken; if so the next one is an interval later (0 = every look is)."""
        if at < self._next - min(SLACK_S, self._interval_s):
            return False
        in_step = at < self._next + self._interval_s
        self._next = (self._next if in_step else at) + self._interval_s
        return True


class Lives:
    """Tells a restart from the same life told again (new labels, a start time that wandered by a tick)."""

    def __init__(self) -> None:
        self._start: float | None = None

    def restarted(self, event: Started) -> bool:
        known, self._start = self._start, event.instance.start_time
        return other_life(known, self._start)


class WholeProcess:
    """A peer that sees nothing but the number of goroutines: subclasses judge one count per interval in `take`.

    The count is the reading's; of an instance without readings it is the sum of its goroutine profile. Where counts come more seldom
    than the peer's own interval, it judges those that come: the rule is about samples, not about time.
    """

    def __init__(self, name: str, interval_s: float) -> None:
        self.name = name
        self._interval_s = interval_s
        self._beat = Beat(interval_s)
        self._lives = Lives()
        self._has_readings = False
        self._fired = False

    def feed(self, event: Event) -> None:
        if isinstance(event, Read):
            if event.reading.goroutines is not None:
                self._has_readings = True
                self.count(event.at, event.reading.goroutines)
        elif isinstance(event, SiteCounts):
            if not self._has_readings:
                self.count(event.at, sum(event.counts.values()))
        elif isinstance(event, Started) and self._lives.restarted(event):
            self._beat = Beat(self._interval_s)
            self.restart()

    def count(self, at: float, goroutines: int) -> None:
        """One count; every caller that has nothing but counts may call this instead of `feed`."""
        if self._beat.due(at) and self.take(at, goroutines):
            self._fired = True

    def tick(self, now: float) -> set[str]:
        fired, self._fired = self._fired, False
        return {WHOLE} if fired else set()

    def restart(self) -> None:
        """The process began anew: forget, if the peer lives in it."""

    def take(self, at: float, goroutines: int) -> bool:
        """Whether the peer says "leak" at this sample."""
        raise NotImplementedError


class Places:
    """Which sites are one place to a peer that groups more coarsely than by our site id."""

    def __init__(self) -> None:
        self._place: dict[str, str] = {}
        self.reason: dict[str, str] = {}

    def named(self, event: Named) -> None:
        site = event.site
        if site.file:
            self._place[site.id] = f"{site.file}:{site.line}"
        self.reason[site.id] = site.wait_reason

    def at_lines(self, counts: Mapping[str, int]) -> dict[str, tuple[int, set[str]]]:
        """Source line -> (goroutines blocked there, the sites they are of); a site nobody named is a line of its own."""
        lines: dict[str, tuple[int, set[str]]] = defaultdict(lambda: (0, set()))
        for site, n in counts.items():
            line = self._place.get(site, site)
            total, sites = lines[line]
            lines[line] = total + n, sites | {site}
        return lines
