"""Life tables of one instance, from its censuses: who is at which site, since when, and at what age they leave.

A census names every goroutine (id, site). Two of them tell who stayed, who left and who came; ids are handed out in rising
order, so the highest id at known times dates the birth of any goroutine. Per site the table keeps who is there now
(`goid`, `since`, `arrived`; `born` follows from the id) and how many left at which age.

Bounded: at most `TRACKED_PER_SITE` goroutines are followed at one site. Above, one in 2^shift is, chosen by a hash of the id, so
that the same goroutines are followed in every census; counts are scaled back by `scale`.

Pure: times are seconds of the caller's clock, sites are the caller's slots (small integers, kept while a site lives).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from parkwarden.model.snapshot import Ints

Floats = npt.NDArray[np.float64]
Number = TypeVar("Number", bound=np.generic)

TRACKED_PER_SITE = 128
"""Goroutines followed at one site. 128 of them make any share exact to 9 points; a site of 100,000 then costs 3 KB, not 2 MB."""
ANCHORS = 48
"""Remembered (time, highest id) pairs; older ones are thinned, so a day keeps about 20 minutes of precision, the last hour all."""
AGES_S = (4.0, 8.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 2400.0, 4800.0, 9600.0, 19200.0, 38400.0)
"""Lower edges of the age classes 1..14 (class 0: younger): doubling, since life times spread over decades. The first are for dense looks."""
CLASSES = len(AGES_S) + 1
GAPS = 8
"""Distances of the last censuses whose median is the present beat: a closer look of a minute is known as such while it lasts."""
FORGET_S = 86_400.0
"""Half-life of what is remembered of departures: a deploy that changes a site's habits is believed after days, not never."""
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_EDGES = np.array(AGES_S)

_NO_INT64, _NO_INT32, _NO_UINT8 = np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.uint8)
_NO_FLOATS, _NO_BOOLS = np.empty(0), np.empty(0, bool)
_NO_LEFT, _NO_STOOD = np.empty((0, CLASSES), np.float32), np.empty((0, CLASSES), np.float16)
# What everybody has before a first census: nothing can be written into them, so all share them.


@dataclass(frozen=True, slots=True)
class Present:
    """Goroutines followed at one site now, oldest id first. Times in seconds; `since` is when it came to the site (estimate)."""

    goid: Ints
    born: Floats
    since: Floats
    arrived: Floats
    """The census that first saw it at this site."""
    scale: int
    """Each stands for so many."""


@dataclass(frozen=True, slots=True)
class Everybody:
    """All goroutines followed in one process, the oldest id first, in columns."""

    slot: npt.NDArray[np.int32]
    since: Floats
    """Here since."""
    arrived: Floats
    """The census that first saw it here."""
    worked: npt.NDArray[np.bool_]
    """Was seen to run in a census after the one it arrived with, where censuses tell that."""


class LifeTable:
    """Who lives where in one process. Slots are the caller's; a slot given up is told by `drop`."""

    def __init__(self, start_time: float | None = None) -> None:
        self.first_at: float | None = None
        """The first census: who was there already was there before we watched."""
        self.last_at: float | None = None
        self.previous_at: float | None = None
        """The census before the last."""
        self.censuses = 0
        self.watched = 0
        """Censuses that told who ran."""
        self._dated = start_time is not None
        self._gaps: list[float] = []
        self._anchor_at: list[float] = [] if start_time is None else [start_time]
        self._anchor_id: list[float] = [] if start_time is None else [0.0]
        self._max_goid = 0
        self._goid: Ints = _NO_INT64
        self._slot = _NO_INT32
        self._since: Floats = _NO_FLOATS
        self._arrived: Floats = _NO_FLOATS
        self._worked = _NO_BOOLS
        self.left = _NO_LEFT
        """Departures by age when last seen there (class), scaled, forgotten with `FORGET_S`: shape (slots, CLASSES). A new life keeps them."""
        self.stood = _NO_STOOD
        """The most of each age or older that stood there at one time in any earlier life, scaled: shape (slots, CLASSES)."""
        self._standing = _NO_STOOD
        """The same of this life."""
        self._shift = _NO_UINT8

    # what happened

    def new_life(self, start_time: float | None) -> None:
        """The process began anew: nobody of before is there; at which age goroutines used to leave and how many used to stay is still known."""
        left, stood = self.left, np.maximum(self.stood, self._standing)
        self.__init__(start_time)  # type: ignore[misc]
        self._grow(len(left))
        self.left, self.stood = left, stood

    def drop(self, slot: int) -> None:
        """A site is forgotten; its slot may stand for another from now on."""
        if slot >= len(self.left):
            return
        self._keep(self._slot != slot)
        self.left[slot] = self.stood[slot] = self._standing[slot] = 0
        self._shift[slot] = 0

    def update(
        self, at: float, slots: npt.NDArray[np.int32], goids: Ints, max_goid: int, ran: Ints | None = None
    ) -> None:
        """One census: goroutine `goids[i]` is at site `slots[i]`, `ran` did something meanwhile (None: not told).

        Times that do not rise are the caller's to refuse.
        """
        if not len(goids):
            max_goid = max(max_goid, self._max_goid)
        self._grow(int(slots.max(initial=-1)) + 1)
        order = np.argsort(goids, kind="stable")
        goids, slots = goids[order], slots[order]
        highest = max(max_goid, int(goids[-1]) if len(goids) else 0, self._max_goid)
        self._anchor(at, highest)
        if self.last_at is not None:
            self._gaps = [*self._gaps[1 - GAPS :], at - self.last_at]
            self._depart(at, slots, goids)
            self._estimate_start()
        if ran is not None:
            self.watched += 1
            self._worked |= np.isin(self._goid, ran)
        self._arrive(at, slots, goids)
        self._stand(at)
        self._max_goid = highest
        if self.first_at is None:
            self.first_at = at
        self.previous_at, self.last_at = self.last_at, at
        self.censuses += 1

    def _depart(self, at: float, slots: npt.NDArray[np.int32], goids: Ints) -> None:
        """Who is no longer where it was has left its site; its age is the one at which it was last seen there."""
        last = at if self.last_at is None else self.last_at
        self.left *= np.float32(0.5 ** ((at - last) / FORGET_S))
        if not len(self._goid):
            return
        place = np.minimum(np.searchsorted(goids, self._goid), max(len(goids) - 1, 0))
        none = np.zeros(len(self._goid), bool)
        stayed = (goids[place] == self._goid) & (slots[place] == self._slot) if len(goids) else none
        gone = ~stayed
        if gone.any():
            where = self._slot[gone]
            age = last - self._since[gone]  # the greatest it was seen at
            weight = (1 << self._shift[where].astype(np.int64)).astype(np.float32)
            np.add.at(self.left, (where, np.searchsorted(_EDGES, age, side="right")), weight)
            self._keep(stayed)

    def _stand(self, at: float) -> None:
        """How many of each age are there now."""
        ages = np.searchsorted(_EDGES, at - self._since, side="right")
        here = np.bincount(self._slot * CLASSES + ages, minlength=self.left.size).reshape(-1, CLASSES)
        older = np.minimum(np.cumsum(here[:, ::-1], axis=1)[:, ::-1] * self.scales()[:, None], np.finfo(np.float16).max)
        self._standing = np.maximum(self._standing, older.astype(np.float16))

    def _arrive(self, at: float, slots: npt.NDArray[np.int32], goids: Ints) -> None:
        """Who was not here before joins: born at the date its id tells, here since then or since the last census."""
        followed = self._followed(slots, goids)
        goids, slots = goids[followed], slots[followed]
        if len(self._goid):
            place = np.minimum(np.searchsorted(self._goid, goids), len(self._goid) - 1)
            fresh = self._goid[place] != goids
            goids, slots = goids[fresh], slots[fresh]
        if not len(goids):
            return
        born = np.interp(goids, self._anchor_id, self._anchor_at)
        since = born if self.last_at is None else np.maximum(born, self.last_at)
        everybody = np.concatenate([self._goid, goids])
        order = np.argsort(everybody, kind="stable")
        self._goid = everybody[order]
        self._slot = np.concatenate([self._slot, slots])[order]
        self._since = np.concatenate([self._since, since])[order]
        self._arrived = np.concatenate([self._arrived, np.full(len(goids), at)])[order]
        self._worked = np.concatenate([self._worked, np.zeros(len(goids), bool)])[order]

    def _estimate_start(self) -> None:
        """Where nobody told when the process began, the pace of its ids between the first two censuses does."""
        if self._dated or self.first_at is None or len(self._anchor_id) < 2:
            return
        self._dated = True
        per_s = (self._anchor_id[1] - self._anchor_id[0]) / max(self._anchor_at[1] - self._anchor_at[0], 1e-9)
        if per_s <= 0:
            return
        self._anchor_at.insert(0, self.first_at - self._anchor_id[0] / per_s)
        self._anchor_id.insert(0, 0.0)
        born = np.interp(self._goid, self._anchor_id, self._anchor_at)
        self._since = np.where(self._arrived == self.first_at, np.minimum(born, self._since), self._since)

    def _followed(self, slots: npt.NDArray[np.int32], goids: Ints) -> npt.NDArray[np.bool_]:
        """Which goroutines to follow; sites with too many are followed by half of them, again and again."""
        mixed = (goids.astype(np.uint64) * _GOLDEN) >> np.uint64(40)
        while True:
            followed: npt.NDArray[np.bool_] = (
                mixed & ((np.uint64(1) << self._shift[slots].astype(np.uint64)) - np.uint64(1))
            ) == 0
            crowd = np.bincount(slots[followed], minlength=len(self._shift)) > TRACKED_PER_SITE
            if not crowd.any():
                return followed
            self._shift[crowd] += 1
            old = (self._goid.astype(np.uint64) * _GOLDEN) >> np.uint64(40)
            mask = (np.uint64(1) << self._shift[self._slot].astype(np.uint64)) - np.uint64(1)
            self._keep((old & mask) == 0)

    # what is known

    def present(self, slot: int) -> Present:
        """Goroutines followed at one site now."""
        here = self._slot == slot
        scale = 1 << int(self._shift[slot]) if slot < len(self._shift) else 1
        goids = self._goid[here]
        born = np.interp(goids, self._anchor_id, self._anchor_at) if len(goids) else np.empty(0)
        return Present(goids, born, self._since[here], self._arrived[here], scale)

    def everybody(self) -> Everybody:
        """All followed goroutines."""
        return Everybody(self._slot, self._since, self._arrived, self._worked)

    @property
    def gap_s(self) -> float:
        """Median distance of the last censuses, infinite before the second."""
        return float(median(self._gaps)) if self._gaps else math.inf

    @property
    def began_at(self) -> float | None:
        """When the process began, as told or as its ids say; None where neither is known yet."""
        return self._anchor_at[0] if self._dated and self._anchor_id[0] == 0.0 else None

    def scales(self) -> Ints:
        """How many goroutines each followed one stands for, by slot."""
        return np.int64(1) << self._shift.astype(np.int64)

    @property
    def highest_goid(self) -> int:
        """The highest id seen so far in this life."""
        return self._max_goid

    @property
    def nbytes(self) -> int:
        """Bytes held in columns."""
        columns = (self._goid, self._slot, self._since, self._arrived, self._worked)
        return sum(c.nbytes for c in (*columns, self.left, self.stood, self._standing, self._shift)) + 16 * len(
            self._anchor_at
        )

    # columns

    def _keep(self, rows: npt.NDArray[np.bool_]) -> None:
        self._goid, self._slot = self._goid[rows], self._slot[rows]
        self._since, self._arrived, self._worked = self._since[rows], self._arrived[rows], self._worked[rows]

    def _grow(self, slots: int) -> None:
        if slots <= len(self._shift):
            return

        def more(column: npt.NDArray[Number]) -> npt.NDArray[Number]:
            extra = np.zeros((slots - len(column), *column.shape[1:]), column.dtype)
            return np.concatenate([column, extra])

        self.left, self._shift = more(self.left), more(self._shift)
        self.stood, self._standing = more(self.stood), more(self._standing)

    def _anchor(self, at: float, goid: int) -> None:
        """Remember the highest id at this time; ids never fall, and where they stand still the later time counts."""
        if self._anchor_id and goid <= self._anchor_id[-1]:
            self._anchor_at.append(at)
            self._anchor_id.append(self._anchor_id[-1])
        else:
            self._anchor_at.append(at)
            self._anchor_id.append(float(goid))
        if len(self._anchor_at) > ANCHORS:
            half = ANCHORS // 2
            del self._anchor_at[1:half:2]
            del self._anchor_id[1:half:2]
