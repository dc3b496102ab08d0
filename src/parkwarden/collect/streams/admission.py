"""How much is taken from senders, so that they cannot hold up the judging: points a second, and bytes under way.

    retry_after_s = admission.refusal(points=len(found))     # 0.0 = take them
    with admission.room(len(body)) as taken: ...             # taken is False where too much is under way already

What is refused is refused before it is worked on, and told when to come back: 429 with Retry-After, RESOURCE_EXHAUSTED with RetryInfo.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

POINTS_PER_S = 50_000
"""Points of all senders together that are taken: one core's work, measured by bench/receivers."""
BURST_S = 2.0
"""Seconds' worth of points taken at once: fleets report at the full minute."""
MAX_UNDER_WAY = 64 << 20
"""Bytes of messages being worked on, unpacked."""
MAX_RETRY_S = 30.0
"""Longest pause asked of a sender."""


class Admission:
    """See the module; one for all receivers of a watch. `monotonic` gives seconds."""

    def __init__(self, monotonic: Callable[[], float], *, points_per_s: float = POINTS_PER_S) -> None:
        self._monotonic = monotonic
        self._rate = points_per_s
        self._most = points_per_s * BURST_S
        self._left = self._most
        self._at = monotonic()
        self._under_way = 0

    def refusal(self, points: int) -> float:
        """0.0 and the points are paid for; otherwise seconds after which to come back. A message larger than the burst is taken when
        the burst is whole, and paid for afterwards."""
        now = self._monotonic()
        self._left = min(self._most, self._left + (now - self._at) * self._rate)
        self._at = now
        wanted = min(points, self._most)
        if wanted > self._left:
            return min(max((wanted - self._left) / self._rate, 1.0), MAX_RETRY_S)
        self._left -= points
        return 0.0

    @contextmanager
    def room(self, size: int) -> Iterator[bool]:
        """Whether `size` more bytes may be worked on; held until the end of the block. One message always may."""
        fits = not self._under_way or self._under_way + size <= MAX_UNDER_WAY
        self._under_way += size * fits
        try:
            yield fits
        finally:
            self._under_way -= size * fits
