"""One incident, to hand on: what it is, the finding behind it where it is found now, its story, its evidence, its time left."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from parkwarden.alert.match import matches, names
from parkwarden.alert.story import key_of
from parkwarden.model import Act, Action, EvidenceItem, Finding, Incident, Kind, Silence, StoreError, words
from parkwarden.model.capture import SEGMENTS
from parkwarden.model.words import NEVER_S
from parkwarden.run.board.incidents import is_over

if TYPE_CHECKING:
    from parkwarden.run.board.host import Host, Story
    from parkwarden.store.state import Queued

MAX_ENTRIES = 300
"""Of a story, the newest: reminders of a week have told theirs by then."""

GOROUTINES = frozenset(
    (Kind.GOROUTINE_PROFILE.value, Kind.GOROUTINE_DUMP.value, Kind.GOROUTINELEAK_PROFILE.value, Kind.TRACE.value)
)
"""Kinds that tell of goroutines: what the explorer compares."""

MAX_EXPLORED = 12
"""Opened together with one click, the newest: their difference needs two, a trend a few."""

WIDTH = 600
"""Units of the picture of the time left."""

FURTHEST = 3.0
"""The picture ends here, in times left, where the late end of the interval is further: what is soon must not shrink to a point."""


STEPS = (1, 5, 10, 30, 60, 300, 600, 1800, 3600, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800, 2_592_000)
"""Seconds between two ticks of the picture; each at most five times the one before, so that there is always a tick."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """Something in an incident's life. `kind`: began, found, firing, told, action, death, look, over."""

    at: float
    kind: str
    text: str
    who: str = ""
    why: str = ""
    more: tuple[str, ...] = ()
    digest: str = ""
    """Of the evidence a look brought; of several looks in a row the last one's."""
    until: float = 0.0
    """When the last of several in a row was, `times` in all."""
    times: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Left:
    """Time left as a picture WIDTH units wide: from now (0) to its end, the interval between `low` and `high`, the guess at `at`."""

    text: str
    low: float
    at: float
    high: float
    open: bool
    """The interval's late end is beyond the picture, or never."""
    ticks: tuple[tuple[float, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """All of it."""

    row: Incident
    finding: Finding | None
    """What the last judgement found of it, None if nothing."""
    entries: tuple[Entry, ...] = ()
    left_out: int = 0
    """Entries beyond MAX_ENTRIES."""
    evidence: tuple[EvidenceItem, ...] = ()
    gone: int = 0
    """Evidence it points to that is kept no longer."""
    explorable: tuple[str, ...] = ()
    """Digests that the explorer shows together: looks at the goroutines of one instance, the one that was looked at last."""
    left: Left | None = None
    silences: tuple[Silence, ...] = ()
    explained_by: Incident | None = None
    trouble: str = ""
    """Why a part of it cannot be shown now."""


async def shown(host: Host, row: Incident) -> Shown:
    """Never raises for a store that is away: `trouble` says so, and what is in memory is shown."""
    from parkwarden.run.board.host import Story

    story, silences, kept, trouble = Story(), [], [], ""
    try:
        story = await host.story(row.id)
        silences = await host.silences()
        kept = await host.evidence(service=row.service) if row.evidence else []
    except StoreError as error:
        trouble = error.message
    items = {item.digest: item for item in kept}
    evidence = tuple(items[digest] for digest in row.evidence if digest in items)
    entries = _in_a_row(sorted(_entries(row, story, evidence), key=lambda entry: entry.at))
    others = {other.id: other for other in host.incidents()}
    labels = names(row)
    return Shown(
        row=row,
        finding=next((finding for finding in host.tick().findings if key_of(finding) == row.key), None),
        entries=tuple(entries[-MAX_ENTRIES:]),
        left_out=max(len(entries) - MAX_ENTRIES, 0),
        evidence=evidence,
        gone=len(row.evidence) - len(evidence) if not trouble else 0,
        explorable=_explorable(evidence),
        left=None if is_over(row) else left(row, host.now()),
        silences=tuple(one for one in silences if one.matchers and matches(one.matchers, labels)),
        explained_by=others.get(row.inhibited_by),
        trouble=trouble,
    )


def _explorable(evidence: Sequence[EvidenceItem]) -> tuple[str, ...]:
    looks = [item for item in evidence if item.kind in GOROUTINES]
    return tuple(item.digest for item in looks if item.instance == looks[0].instance)[:MAX_EXPLORED]


def opened_with(item: EvidenceItem) -> tuple[str, ...]:
    """Commands that open a downloaded item in the field's own tools."""
    name = item.file or item.kind
    if item.file.endswith(".pb.gz"):
        return f"go tool pprof -http=: {name}", f"speedscope {name}"
    if item.kind == "trace":
        return (f"go tool trace {name}",)
    if item.kind == SEGMENTS:
        return (f"less {name}",)
    return (f"parkwarden diagnose {name}",)


def left(row: Incident, now: float) -> Left | None:
    """The picture of an incident's time left as it is at `now`; None where no end is seen."""
    if row.time_left_s is None or not math.isfinite(row.time_left_s):
        return None
    gone = max(now - row.last_seen, 0.0)
    seconds = max(row.time_left_s - gone, 0.0)
    low = seconds if row.time_left_low_s is None else max(row.time_left_low_s - gone, 0.0)
    late = row.time_left_high_s
    high = math.inf if late is None or not math.isfinite(late) or late >= NEVER_S else max(late - gone, seconds)
    end = max(min(high, FURTHEST * seconds), 1.0)
    scale = WIDTH / (end * 1.05)
    return Left(
        text=words.time_left(seconds, row.limit, low, high),
        low=round(low * scale, 1),
        at=round(seconds * scale, 1),
        high=round(min(high, end * 1.05) * scale, 1),
        open=high > end,
        ticks=tuple((round(at * scale, 1), words.seconds(at)) for at in _ticks(end)),
    )


def _ticks(end: float) -> Iterator[float]:
    """Two to five round moments up to `end`."""
    step = next((float(one) for one in STEPS if end / one <= 5), end)
    at = step
    while at <= end:
        yield at
        at += step


def _entries(row: Incident, story: Story, evidence: Sequence[EvidenceItem]) -> Iterator[Entry]:
    if row.since:
        version = f", version {row.since_version}" if row.since_version else ""
        yield Entry(at=row.since, kind="began", text=f"it began{version}")
    if row.pending_since:
        yield Entry(at=row.pending_since, kind="found", text="found for the first time, this time")
    if row.firing_since:
        yield Entry(at=row.firing_since, kind="firing", text="lasted long enough to be told")
    if row.no_data_since:
        yield Entry(at=row.no_data_since, kind="death", text="those it is about stopped answering")
    if is_over(row) and not row.closed:
        yield Entry(at=row.resolved_at, kind="over", text="judged gone for long enough: resolved")
    for one in row.happened:
        yield Entry(at=one.at, kind="death", text=one.text, more=(one.instance,))
    for item in evidence:
        text = f"{item.kind.replace('-', ' ')} of {item.instance} saved"
        yield Entry(at=item.at, kind="look", text=text, why=item.why, digest=item.digest)
    labels = names(row)
    for action in story.actions:
        if action.incident_id or (action.silence is not None and matches(action.silence.matchers, labels)):
            yield _acted(action)
    yield from _told(story.told)


def _in_a_row(entries: Sequence[Entry]) -> list[Entry]:
    """Looks that say the same one after the other are one entry: a close watch takes one every few seconds."""
    out: list[Entry] = []
    for entry in entries:
        last = out[-1] if out else None
        if last is not None and entry.kind == "look" == last.kind and (entry.text, entry.why) == (last.text, last.why):
            out[-1] = replace(last, digest=entry.digest, until=entry.at, times=last.times + 1)
        else:
            out.append(entry)
    return out


_DONE = {
    Act.ACKNOWLEDGE: "acknowledged",
    Act.RESOLVE: "resolved by hand",
    Act.SILENCE: "silenced",
    Act.UNSILENCE: "silence ended",
}


def _acted(action: Action) -> Entry:
    text, silence = _DONE[action.act], action.silence
    more: tuple[str, ...] = ()
    if silence is not None and action.act is Act.SILENCE:
        text += f" for {words.seconds(silence.ends_at - action.at)}"
    if silence is not None and not action.incident_id:
        more = tuple(f"{name}={value}" for name, value in silence.matchers.items())
    return Entry(at=action.at, kind="action", text=text, who=action.by, why=action.why, more=more)


def _told(queued: Iterable[Queued]) -> Iterator[Entry]:
    """One entry for each telling, whatever number of channels it went to."""
    tellings: dict[tuple[int, str], list[Queued]] = defaultdict(list)
    for one in queued:
        note = one.notification
        tellings[note.incident.revision, note.tell.value].append(one)
    for (_, tell), all_of_it in tellings.items():
        first = all_of_it[0].notification
        yield Entry(
            at=first.at,
            kind="told",
            text=f"told: {tell}",
            why="; ".join(first.news),
            more=tuple(f"{one.notification.channel}: {_went(one)}" for one in all_of_it),
        )


def _went(one: Queued) -> str:
    if one.delivered_at is not None:
        late = one.delivered_at - one.notification.at
        return "delivered" if late < 1 else f"delivered after {words.seconds(late)}"
    if one.parked:
        return f"given up: {one.error}" if one.error else "given up"
    return f"waits after {one.attempts} tries: {one.error}" if one.attempts else "waits"
