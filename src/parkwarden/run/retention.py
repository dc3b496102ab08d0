"""Who retains the memory that runs out: what the newest heap profile of an instance says, brought into its findings about memory.

Goroutines tell who waits, a heap profile who holds. A suspicion about memory and a last chance before its limit bring heap profiles
(collect/fleet/ladder.py); they are read here, off the loop, by the same judge that `diagnose` asks. What one said outlives the process
it was taken of: after a restart it is still the best there is, and it says its time.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace

import structlog

from parkwarden.alert.text import moment
from parkwarden.formats import profile_proto
from parkwarden.judge import heap_retention
from parkwarden.model import BuildInfo, Capture, Evidence, Finding, Frame, Kind, ParkwardenError, words
from parkwarden.stacks.modules import guess_user_modules

log = structlog.get_logger()

LIMIT = "memory-limit"
ABOUT_MEMORY = frozenset(("PW522", "PW523"))
"""Codes of findings that a heap's holder is the answer to."""
MAX_KEPT = 2_000
"""Instances whose heap's answer is remembered, the newest: a frame and a sentence each."""
MAX_WAITING = 64
"""Heap profiles waiting to be read, the newest of each instance: 20 ms apiece, and budgets let few be taken."""


@dataclass(frozen=True, slots=True)
class Retained:
    """What one heap profile said: the line that holds most of it, and the sentence for people."""

    at: float
    line: Frame
    text: str


class Retention:
    """`heed` captures on the loop, `run` reads them on a thread, `told` brings what they said into findings."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, Capture] = OrderedDict()
        self._known: OrderedDict[str, Retained] = OrderedDict()
        self._wake = asyncio.Event()
        self.unread = 0
        """Heap profiles that could not be read, or were too many."""

    def heed(self, capture: Capture) -> None:
        if capture.kind != Kind.HEAP_PROFILE.value:
            return
        self._waiting[capture.instance] = capture
        if len(self._waiting) > MAX_WAITING:
            self._waiting.popitem(last=False)
            self.unread += 1
        self._wake.set()

    async def run(self) -> None:
        """Read what waits, for ever."""
        while True:
            while self._waiting:
                name, capture = self._waiting.popitem(last=False)
                try:
                    found = await asyncio.to_thread(read, capture)
                except ParkwardenError as error:
                    self.unread += 1
                    log.warning("a heap profile cannot be read", instance=name, error=error.code)
                    continue
                if found is not None:
                    self._known[name] = found
                    self._known.move_to_end(name)
                    if len(self._known) > MAX_KEPT:
                        self._known.popitem(last=False)
            self._wake.clear()
            await self._wake.wait()

    def told(self, findings: Iterable[Finding]) -> list[Finding]:
        """The findings, those with a time left until the memory limit with what the heap says: as first evidence, and as culprit of
        those that are about memory itself and name nobody."""
        return [self._with_heap(finding) for finding in findings]

    def _with_heap(self, finding: Finding) -> Finding:
        if finding.time_left is None or finding.time_left.limit != LIMIT:
            return finding
        names = finding.instances or ((finding.instance,) if finding.instance else ())
        known = [self._known[name] for name in names if name in self._known]
        if not known:
            return finding
        newest = max(known, key=lambda one: one.at)
        evidence = [Evidence("heap profile", "in use there", newest.text), *finding.evidence]
        line = finding.culprit or (newest.line if finding.code in ABOUT_MEMORY else None)
        return replace(finding, evidence=evidence, culprit=line)


def read(capture: Capture) -> Retained | None:
    """What a heap profile says, None where no line holds most of it. Raises ParkwardenError."""
    body, _ = profile_proto.gunzip(capture.body)
    artefact = profile_proto.read(body, capture.file or "heap")
    if artefact.profile is None:
        return None
    modules = guess_user_modules(artefact.profile.stacks, artefact.build or BuildInfo())
    found = heap_retention.retains_most(artefact, modules)
    if found is None:
        return None
    holder, total = found
    line = holder.frame
    text = (
        f"{words.percent(holder.bytes / total)} of the heap ({words.size(holder.bytes)} of {words.size(total)}) is held by what "
        f"{line.function} {line.file}:{line.line} made ({holder.what}), by the heap profile of {moment(capture.at)}"
    )
    return Retained(capture.at, line, text)
