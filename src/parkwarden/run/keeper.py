"""Keeps evidence: captures are redacted, compressed and stored off the loop, within a bound; what is stored is told to the incidents."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Mapping

import structlog

from parkwarden.model import Capture, EvidenceItem, StoreError
from parkwarden.model.capture import LAST_CHANCE
from parkwarden.run.evidence import open_store
from parkwarden.store.settings import StoreSettings
from parkwarden.store.state import AsyncState

log = structlog.get_logger()

MAX_WAITING_BYTES = 256 << 20
"""Captures waiting to be stored. The largest looks bring 64 to 128 MB; beyond it new ones are dropped and counted."""

RETRY_S = 5.0
"""Until a store that failed is tried again: a full disk is not emptied sooner."""

MAX_STORED = 1_000
"""Items stored since the last beat that incidents have not been told of: more come only while beats stand still."""

SAVED_S = 900.0
"""How long what was saved before a limit is remembered for an incident that opens later: a death is looked into after it."""


class Keeper:
    """`keep` takes captures on the loop, `run` stores them on a thread, `stored` tells what came in since it was last asked."""

    def __init__(
        self, settings: StoreSettings, state: AsyncState, labels_of: Callable[[str], Mapping[str, str]]
    ) -> None:
        self.store = open_store(settings)
        self._labels_of = labels_of
        self._state = state
        self._waiting: deque[Capture] = deque()
        self._waiting_bytes = 0
        self._wake = asyncio.Event()
        self._new: deque[EvidenceItem] = deque(maxlen=MAX_STORED)
        self._saved: deque[EvidenceItem] = deque(maxlen=MAX_STORED)
        self.kept = 0
        self.kept_bytes = 0
        self.dropped = 0
        self.trouble = ""

    def keep(self, capture: Capture) -> None:
        """Never blocks; what does not fit is dropped and counted."""
        if self._waiting_bytes + len(capture.body) > MAX_WAITING_BYTES:
            self.dropped += 1
            return
        self._waiting.append(capture)
        self._waiting_bytes += len(capture.body)
        self._wake.set()

    def stored(self) -> list[EvidenceItem]:
        """What was stored since this was last asked."""
        items = list(self._new)
        self._new.clear()
        return items

    def saved(self, now: float) -> list[EvidenceItem]:
        """What was stored within SAVED_S because a limit was near."""
        return [item for item in self._saved if now - item.at <= SAVED_S]

    async def run(self) -> None:
        """Store what waits, for ever. A store that fails is tried again; what waits meanwhile is bounded.

        A capture that is refused for itself (it cannot be redacted, a reader's mistake) is dropped: it must not hold up the others.
        """
        while True:
            while self._waiting:
                await self._store_one(self._waiting[0])
            self._wake.clear()
            await self._wake.wait()

    async def _store_one(self, capture: Capture) -> None:
        try:
            item = await asyncio.to_thread(self.store.put, capture, dict(self._labels_of(capture.instance)))
        except StoreError as error:
            if error.passing:
                await self._rest(error)
            else:
                self._drop(capture, error.code)
            return
        except Exception as error:
            self._drop(capture, type(error).__name__)
            return
        self.trouble = ""
        self._take_off(capture)
        self.kept += 1
        self.kept_bytes += item.stored_bytes
        self._new.append(item)
        if item.why.startswith(LAST_CHANCE):
            self._saved.append(item)

    async def _rest(self, error: StoreError) -> None:
        self.trouble = error.message
        await asyncio.sleep(RETRY_S)

    def _drop(self, capture: Capture, why: str) -> None:
        self._take_off(capture)
        self.dropped += 1
        log.error("evidence cannot be kept", instance=capture.instance, kind=capture.kind, error=why)

    def _take_off(self, capture: Capture) -> None:
        self._waiting.popleft()
        self._waiting_bytes -= len(capture.body)

    async def tidy(self, now: float) -> None:
        """Let go what is older or more than the settings keep; evidence of open incidents stays."""
        pinned = await self._state.run(lambda s: s.pinned_evidence())
        await asyncio.to_thread(self.store.prune, now, pinned)
