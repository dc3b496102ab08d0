"""A close look at one process: every goroutine that censuses seconds apart have seen, with its birth, its last sighting and whether it worked.

A life table (life.py) keeps who is there and forgets who left; half a minute cannot afford that. Here the departed stay, so that the
hazard of leaving can be told by age. A goroutine belongs to the site where it was found twice running: seen elsewhere once and then back it
has worked there meanwhile; who stays elsewhere has left and begins a new row, with the same birth.

Bounded: at most `ROWS_PER_SITE` rows a site, above one goroutine in 2^shift, chosen by a hash of the id; it ends with the first gap of
more than `CLOSE_S` or after `LONGEST_S`, when the life table knows better. Pure: times are seconds of the caller's clock.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
import numpy.typing as npt

from parkwarden.model.snapshot import Ints

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]

CLOSE_S = 15.0
"""Censuses at most so far apart are a close look (text dumps of a large process are 8 s apart); a fleet's are minutes apart."""
LONGEST_S = 1000.0
"""A watch for longer is judged by its life table: a hundred beats of its closest looks."""
ROWS_PER_SITE = 4096
"""Rows of one site, departed included: 50 a second for 80 s as they are, 170 KB; above every second one, then every fourth."""
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


@dataclass(frozen=True, slots=True)
class Rows:
    """Goroutines at sites, in columns. Times in seconds."""

    slot: npt.NDArray[np.int32]
    born: Floats
    first: Floats
    """Census that first saw it here, and the last that did."""
    last: Floats
    worked: Bools
    """Ran in a census after its first, or was elsewhere and came back."""
    gone: Bools
    """Left: ended, or is elsewhere for good."""
    told: npt.NDArray[np.int32]
    """Censuses after its first that found it here and told who ran, and in how many of them it ran."""
    runs: npt.NDArray[np.int32]
    back: Bools
    """Was elsewhere and came back: what it does there takes its time."""

    def of(self, rows: Bools) -> Rows:
        return Rows(*(getattr(self, field.name)[rows] for field in fields(self)))


class CloseLook:
    """See the module. Slots are the caller's; a slot given up is told by `drop`."""

    def __init__(self, start_time: float | None = None) -> None:
        self.at: list[float] = []
        """Times of the censuses."""
        self.told_ran = 0
        """Censuses that told who ran."""
        self.worked: list[tuple[Ints, Ints]] = []
        """Per census that told it: by slot, how many ran who had been there before, and how many had been there before."""
        self._start = start_time
        self._highest: list[float] = []
        self._goid: Ints = np.empty(0, np.int64)
        self._slot = np.empty(0, np.int32)
        self._seen_slot = np.empty(0, np.int32)
        """Where it was in the last census: elsewhere for once is not gone."""
        self._first: Floats = np.empty(0)
        self._last: Floats = np.empty(0)
        self._worked: Bools = np.empty(0, bool)
        self._gone: Bools = np.empty(0, bool)
        self._told = np.empty(0, np.int32)
        self._runs = np.empty(0, np.int32)
        self._back: Bools = np.empty(0, bool)
        self._void: Bools = np.empty(0, bool)
        """Rows to be dropped."""
        self._shift = np.zeros(0, np.uint8)

    def goes_on(self, at: float) -> bool:
        """Whether a census at this time still belongs to it."""
        return not self.at or (at - self.at[-1] <= CLOSE_S and at - self.at[0] <= LONGEST_S)

    def drop(self, slot: int) -> None:
        """A site is forgotten; its slot may stand for another from now on."""
        self._keep((self._slot != slot) & (self._seen_slot != slot))
        for told in self.worked:
            for column in told:
                column[slot : slot + 1] = 0

    def update(
        self, at: float, slots: npt.NDArray[np.int32], goids: Ints, max_goid: int, ran: Ints | None = None
    ) -> None:
        """One census: goroutine `goids[i]` is at site `slots[i]`; `ran` did something meanwhile (None: not told)."""
        order = np.argsort(goids, kind="stable")
        goids, slots = goids[order], slots[order]
        sites = int(slots.max(initial=-1)) + 1
        if sites > len(self._shift):
            self._shift = np.concatenate([self._shift, np.zeros(sites - len(self._shift), np.uint8)])
        self._highest.append(max(float(max_goid), float(goids[-1]) if len(goids) else 0.0, *self._highest[-1:]))
        self.at.append(at)
        fresh = self._meet(at, slots, goids, ran) if len(self._goid) else np.ones(len(goids), bool)
        self._join(at, goids[fresh], slots[fresh], slots[fresh])
        self._thin()

    def _meet(self, at: float, slots: npt.NDArray[np.int32], goids: Ints, ran: Ints | None) -> Bools:
        """Those who are known; which of `goids` are not."""
        there = np.flatnonzero(~self._gone)
        mine = self._goid[there]
        if len(goids):
            place = np.minimum(np.searchsorted(goids, mine), len(goids) - 1)
            alive = goids[place] == mine
            where = np.where(alive, slots[place], -1)
        else:
            alive, where = np.zeros(len(mine), bool), np.full(len(mine), -1)
        home, before = self._slot[there], self._seen_slot[there]
        here = alive & (where == home)
        back = there[here & (before != home)]
        self._worked[back] = self._back[back] = True
        if ran is not None:
            self.told_ran += 1
            active = here & np.isin(mine, ran)
            self._worked[there[active]] = True
            self._told[there[here]] += 1
            self._runs[there[active]] += 1
            size = len(self._shift)
            self.worked.append((np.bincount(home[active], minlength=size), np.bincount(home[here], minlength=size)))
        self._last[there[here]] = at
        moved = alive & (where != home) & (where == before)
        self._seen_slot[there] = where
        self._gone[there[~alive | moved]] = True
        known = np.zeros(len(goids), bool)
        if len(goids):
            known[place[alive]] = True
        if moved.any():
            self._move(at, mine[moved], where[moved].astype(np.int32), there[moved])
        return ~known

    def _move(self, at: float, goids: Ints, to: npt.NDArray[np.int32], rows: Ints) -> None:
        """Who stays elsewhere begins anew there; who is back where it had left was only away, and what it was meanwhile does not count."""
        back = {
            (int(self._goid[i]), int(self._slot[i])): i for i in np.flatnonzero(np.isin(self._goid, goids) & self._gone)
        }
        new = np.ones(len(goids), bool)
        for k, (goid, slot) in enumerate(zip(goids.tolist(), to.tolist(), strict=True)):
            if (row := back.get((goid, slot))) is not None:
                new[k] = False
                self._gone[row], self._worked[row], self._last[row], self._seen_slot[row] = False, True, at, slot
                self._back[row] = True
                self._void[rows[k]] = True
        self._join(at, goids[new], to[new], to[new])
        if self._void.any():
            self._keep(~self._void)

    def _join(self, at: float, goids: Ints, slots: npt.NDArray[np.int32], seen: npt.NDArray[np.int32]) -> None:
        followed = self._followed(goids, slots)
        n = int(followed.sum())
        self._goid = np.concatenate([self._goid, goids[followed]])
        self._slot = np.concatenate([self._slot, slots[followed]])
        self._seen_slot = np.concatenate([self._seen_slot, seen[followed]])
        self._first = np.concatenate([self._first, np.full(n, at)])
        self._last = np.concatenate([self._last, np.full(n, at)])
        self._worked = np.concatenate([self._worked, np.zeros(n, bool)])
        self._gone = np.concatenate([self._gone, np.zeros(n, bool)])
        self._told = np.concatenate([self._told, np.zeros(n, np.int32)])
        self._runs = np.concatenate([self._runs, np.zeros(n, np.int32)])
        self._back = np.concatenate([self._back, np.zeros(n, bool)])
        self._void = np.concatenate([self._void, np.zeros(n, bool)])

    def _followed(self, goids: Ints, slots: npt.NDArray[np.int32]) -> Bools:
        mixed = (goids.astype(np.uint64) * _GOLDEN) >> np.uint64(40)
        mask = (np.uint64(1) << self._shift[slots].astype(np.uint64)) - np.uint64(1)
        followed: Bools = (mixed & mask) == 0
        return followed

    def _thin(self) -> None:
        """Sites with too many rows are followed by half of their goroutines, again and again."""
        while (many := np.bincount(self._slot, minlength=len(self._shift)) > ROWS_PER_SITE).any():
            self._shift[many] += 1
            self._keep(self._followed(self._goid, self._slot))

    def _keep(self, rows: Bools) -> None:
        for name in (
            "_goid",
            "_slot",
            "_seen_slot",
            "_first",
            "_last",
            "_worked",
            "_gone",
            "_told",
            "_runs",
            "_back",
            "_void",
        ):
            setattr(self, name, getattr(self, name)[rows])

    # what is known

    @property
    def gap_s(self) -> float:
        """Median distance of the censuses, infinite before the second."""
        return float(np.median(np.diff(self.at))) if len(self.at) > 1 else float("inf")

    @property
    def began_at(self) -> float:
        """When the process began, as told, or as the pace of its ids says; the first census where neither tells."""
        if self._start is not None:
            return self._start
        if len(self.at) < 2 or self._highest[-1] <= self._highest[0]:
            return self.at[0]
        pace = (self._highest[-1] - self._highest[0]) / (self.at[-1] - self.at[0])
        return self.at[0] - self._highest[0] / pace

    def rows(self) -> Rows:
        """All goroutines followed, born when their ids say."""
        born = np.interp(self._goid, [0.0, *self._highest], [self.began_at, *self.at])
        return Rows(
            self._slot, born, self._first, self._last, self._worked, self._gone, self._told, self._runs, self._back
        )

    def scales(self) -> Ints:
        """How many goroutines each row stands for, by slot."""
        return np.int64(1) << self._shift.astype(np.int64)

    @property
    def nbytes(self) -> int:
        """Bytes held in columns."""
        return 43 * len(self._goid) + sum(a.nbytes + b.nbytes for a, b in self.worked)
