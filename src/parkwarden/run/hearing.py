"""Looks at one process, heard as they come and judged on the way by the engine that `watch` runs.

    hearing = Hearing("http://localhost:6060", redactor, keep_every_s=5.0)
    hearing.heard(artefact, at)     # of every look, in time order
    tick = hearing.end()

Every look becomes the events that `watch`'s collector would make of it; the engine judges at the times at which `replay` would, so that
a recording of these events gives the same findings. Beside that, the goroutines that stand are kept now and then, for baselines.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from parkwarden.collect.fleet.local import fill
from parkwarden.collect.fleet.probe import restarted, tells
from parkwarden.collect.fleet.sites import sites_of
from parkwarden.collect.fleet.telling import Teller
from parkwarden.model import Artefact, Event, Instance, Read, Reading, Snapshot, Source, Started
from parkwarden.model.baseline import Standing
from parkwarden.model.events import Descriptors
from parkwarden.model.local import Local
from parkwarden.run.engine import Engine, Tick
from parkwarden.run.replay import Beat
from parkwarden.stacks.remains import standing

if TYPE_CHECKING:
    from parkwarden.report.redact import Redactor

READ_EVERY_S = 5.0
"""Where no page tells the number of goroutines, a profile's total does, so often: the cadence of readings in a fleet."""


class Hearing:
    """One process. `keep_every_s`: how far apart the standing goroutines are kept. `record` gets every event, too."""

    def __init__(
        self,
        name: str,
        redactor: Redactor,
        *,
        modules: tuple[str, ...] = (),
        keep_every_s: float = READ_EVERY_S,
        record: Callable[[Event], None] | None = None,
    ) -> None:
        self.name = name
        self.total: int | None = None
        """Goroutines by the last profile, whatever they are."""
        self.censuses = 0
        self.profiles = 0
        self._engine = Engine(modules=modules)
        self._beat = Beat([], self._tick)
        self._last: Tick | None = None
        self._teller = Teller(self._emit)
        self._record = record
        self._redactor = redactor
        self._keep_every_s = keep_every_s
        self._kept: list[tuple[float, tuple[Standing, ...], int]] = []
        self._latest: tuple[float, tuple[Standing, ...], int] | None = None
        self._reading: Reading | None = None
        self._local: Local | None = None
        self._read_at: float | None = None
        self._started = False
        self._at = 0.0

    def heard(self, artefact: Artefact, at: float) -> bool:
        """One look that came at `at` (Unix seconds). False where it tells nothing of what it was taken for."""
        if artefact.snapshot is not None:
            return self._snapshot(artefact.snapshot, at)
        reading = artefact.reading
        if reading is None or not tells(reading):
            return False
        self._read(reading, at)
        return reading.heap_inuse is not None or reading.heap_alloc is not None

    def host(self, local: Local) -> None:
        """What the host tells of it now: it goes with the next reading."""
        self._local = local

    def end(self) -> Tick | None:
        """The last word; None where nothing was heard."""
        self._beat.finish(-float("inf"))
        return self._last

    @property
    def ends(self) -> list[tuple[tuple[Standing, ...], int]]:
        """Goroutines that stood in the second half of the looks, and how many were lost of each look; the last one last."""
        kept = [*self._kept]
        if self._latest is not None and (not kept or self._latest[0] > kept[-1][0]):
            kept.append(self._latest)
        return [(stood, lost) for _, stood, lost in kept[len(kept) // 2 :]]

    @property
    def stands(self) -> int:
        """How often the standing goroutines were kept."""
        return len(self._kept)

    @property
    def first(self) -> tuple[Standing, ...]:
        """Goroutines that stood at the first look."""
        return self._kept[0][1] if self._kept else ()

    def _snapshot(self, snapshot: Snapshot, at: float) -> bool:
        self._begin(at, None)
        found = sites_of(snapshot)
        self._at = at
        told = self._teller.sites(self.name, snapshot.source, found, at)
        if snapshot.source is Source.CENSUS:
            self.censuses += told
        elif snapshot.source is Source.DUMP:
            self.censuses += told and bool(found.goids)
        if snapshot.source is Source.PROFILE:
            self.profiles += 1
            self.total = found.total
            if self._read_at is None or at - self._read_at >= READ_EVERY_S:
                self._read(Reading(), at)
        return told

    def keep(self, snapshot: Snapshot, at: float) -> None:
        """Goroutines that stand now, for a baseline."""
        stood = (at, standing_of(snapshot, self._redactor), max(0, snapshot.headers_seen - snapshot.total))
        self._latest = stood
        if not self._kept or at - self._kept[-1][0] >= self._keep_every_s:
            self._kept.append(stood)

    def _read(self, reading: Reading, at: float) -> None:
        if reading.goroutines is None:
            reading.goroutines = self.total
        reading.at = at
        local, self._local = self._local, None
        if local is not None:
            fill(reading, local)
        known = self._reading
        self._begin(at, reading.start_time)
        if known is not None and restarted(known, reading):
            self._teller.new_life(self.name)
            self._started = False
            self._begin(at, reading.start_time or at)
        if tells(reading):
            self._reading, self._read_at = reading, at
            self._at = at
            self._emit(Read(at, self.name, reading))
            if local is not None and local.kinds is not None:
                self._emit(Descriptors(at, self.name, local.kinds))

    def _begin(self, at: float, start_time: float | None) -> None:
        if not self._started:
            self._started = True
            self._at = at
            self._emit(Started(Instance(id=self.name, address=self.name, start_time=start_time), at))

    def _emit(self, event: Event) -> None:
        self._beat.before(self._at)
        self._engine.feed(event)
        if self._record is not None:
            self._record(event)

    def _tick(self, now: float) -> None:
        self._last = self._engine.tick(now)


def standing_of(snapshot: Snapshot, redactor: Redactor) -> tuple[Standing, ...]:
    """The goroutines of a snapshot that count, redacted."""
    return tuple(
        replace(
            one,
            start=redactor.text(one.start),
            function=redactor.text(one.function),
            file=redactor.text(one.file),
            created_by=redactor.frame(one.created_by) if one.created_by else None,
        )
        for one in standing(snapshot)
    )
