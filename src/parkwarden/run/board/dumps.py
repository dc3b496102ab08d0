"""Bags of files that somebody opened in the explorer: read, judged, searched, compared, and forgotten after a while.

A bag is what `diagnose` takes: files that are of one process as far as we know. What is kept of it is redacted; the files themselves are
gone when they are read, but for execution traces, which stay as they came in an unnamed temporary file (no process but ours can open it,
and it ends with us) because a picture of a trace needs the events again.

All is bounded: what comes in (MAX_FILE_BYTES, MAX_UPLOAD_BYTES), how much is done at once (WORKERS threads, MAX_WAITING in line, beyond that
`BusyError`), what is kept (MAX_BAGS, MAX_KEPT_BYTES, MAX_AGE_S since it was last looked at; who was not looked at for longest goes first).
"""

from __future__ import annotations

import asyncio
import mmap
import os
import secrets
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, ParamSpec, TypeVar

from parkwarden.model import (
    Artefact,
    Case,
    Change,
    Cluster,
    Finding,
    Kind,
    LimitError,
    ParkwardenError,
    Problem,
    Report,
    Snapshot,
    Source,
    UsageError,
    Verdict,
)
from parkwarden.run.seldom import seldom_collected

if TYPE_CHECKING:
    from parkwarden.collect.limits import Tell
    from parkwarden.model.snapshot import Ints
    from parkwarden.report.site_search import Texts
    from parkwarden.report.top import Tops
    from parkwarden.run.diagnose import Diagnosis, Options
    from parkwarden.stacks.lock_holders import LockHolder
    from parkwarden.stacks.raw import RawStack

MAX_FILE_BYTES = 512 << 20
"""One file of an upload. debug=2 ends at 64 MB, a crash log of 500,000 goroutines has 250 MB, a trace of seconds 76 MB."""

MAX_UPLOAD_BYTES = 1 << 30
"""All files of one upload: the evidence of a whole incident."""

MAX_FILES = 200
"""Files of one upload; an archive is one."""

MAX_BAGS = 40
"""Bags kept at once."""

MAX_KEPT_BYTES = 2 << 30
"""Of the files of all bags, unpacked. In memory a dump takes a sixth of its text, a profile about as much as its bytes."""

MAX_AGE_S = 4 * 3600.0
"""Since a bag was last looked at: an investigation with its lunch break."""

WORKERS = 2
"""Bags read (or compared) at once: each takes a processor, and the watch needs one too."""

MAX_WAITING = 4
"""In work and in line at once; beyond that `BusyError`, so that nobody waits without an end in sight."""

MAX_RAW = 20
"""Distinct raw stacks shown of a site and look, most frequent first: near-equal stacks differ in a middleware or two."""

KEPT_DIFFERENCES = 8
"""Differences of two looks remembered: sorting and paging asks for the same one again."""

P = ParamSpec("P")
T = TypeVar("T")


class BusyError(ParkwardenError):
    """Too much is being read already."""


@dataclass(slots=True, kw_only=True)
class Given:
    """A file to be read: open for reading bytes. `modified` (Unix seconds) puts looks in order where they do not tell their time."""

    name: str
    file: BinaryIO
    modified: float | None = None


@dataclass(frozen=True, slots=True)
class TraceFile:
    """The bytes of an execution trace of a bag, as they came: not redacted."""

    name: str
    size: int
    file: BinaryIO

    def mapped(self) -> mmap.mmap:
        """A mapping of its own, which outlives the bag."""
        return mmap.mmap(self.file.fileno(), 0, access=mmap.ACCESS_READ)


@dataclass(frozen=True, slots=True)
class Shown:
    """One snapshot of a bag as it is chosen on a page; `of_stack` as in `Grouping`."""

    index: int
    name: str
    kind: str
    at: float | None
    total: int
    """Goroutines that have a site: all but the runtime's own."""
    snapshot: Snapshot
    of_stack: Ints


@dataclass(frozen=True, slots=True)
class Found:
    """A part of the sites that a search found."""

    rows: list[Cluster]
    found: int
    goroutines: int
    """Of all that were found."""
    sites: int
    """Of the whole look."""
    offset: int


@dataclass(slots=True, kw_only=True)
class OpenedBag:
    """See the module. Everything in it is redacted; nothing of it changes after it was read."""

    id: str
    name: str
    opened_at: float
    report: Report
    case: Case
    origin: str
    """`upload`, `files` (named on the command line), `evidence`."""
    read_s: float
    looks: list[Shown]
    clusters_of: dict[str, int]
    """Site id -> the number that `Shown.of_stack` has for it."""
    traces: dict[str, TraceFile] = field(default_factory=dict)
    used_at: float = 0.0
    pinned: bool = False
    """Stays: it was named on the command line."""
    _texts: list[Texts] | None = None
    _at: dict[int, list[Cluster]] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """Bytes of the files, unpacked."""
        return sum(a.size for a in self.case.artefacts)

    @property
    def goroutines(self) -> int | None:
        """Of the last look, None where there is none."""
        return self.looks[-1].total if self.looks else None

    def look(self, text: str) -> Shown | None:
        """The look of a number as text, "" = the last; None in a bag without any. Raises UsageError."""
        if not self.looks and not text:
            return None
        return self.looks[_index(text or str(len(self.looks) - 1), len(self.looks))]

    def clusters(self, look: Shown | None) -> list[Cluster]:
        """Clusters as they were at one look; `counts` are of the looks up to it."""
        if look is None or not self.case.looks or look.index == len(self.looks) - 1:
            return self.case.clusters
        known = self._at.get(look.index)
        if known is None:
            total = max(1, look.total)
            known = [
                replace(
                    c, count=c.counts[look.index], counts=c.counts[: look.index + 1], share=c.counts[look.index] / total
                )
                for c in self.case.clusters
            ]
            self._at[look.index] = known
        return known

    def search(self, look: Shown | None, query: str, sort: str, offset: int, limit: int) -> Found:
        """Sites that match (report/site_search.py), a part of them. Those that nobody is at are left out. Raises UsageError."""
        from parkwarden.report.site_search import Texts, search

        if self._texts is None:
            self._texts = [Texts.of(cluster) for cluster in self.case.clusters]
        there = [(c, t) for c, t in zip(self.clusters(look), self._texts, strict=True) if c.count > 0]
        found = search([c for c, _ in there], [t for _, t in there], query, sort)
        offset = max(0, min(offset, len(found)))
        return Found(found[offset : offset + limit], len(found), sum(c.count for c in found), len(there), offset)

    def site(self, site_id: str, look: Shown | None = None) -> Cluster:
        """The cluster of an id. Raises UsageError."""
        found = next((c for c in self.clusters(look) if c.site.id == site_id or site_id in c.members), None)
        if found is None:
            raise UsageError(
                "no-such-site", "there is no such site in this bag", hint="sites are listed on the bag's page"
            )
        return found

    def told(self, cluster: Cluster) -> Finding:
        """A site in the shape of a finding, without a verdict: its culprit and its leak path, as far as stacks and traces tell."""
        from parkwarden.stacks.culprit import culprit, leak_path

        modules = self.case.user_modules
        creations = [c for a in self.case.artefacts if a.trace is not None for c in a.trace.creations]
        return Finding(
            code="",
            verdict=Verdict.UNKNOWN,
            confidence=0.0,
            title="",
            site=cluster.site,
            culprit=culprit(cluster.site, modules, creations),
            count=cluster.count,
            share=cluster.share,
            wait_min_s=60.0 * cluster.wait_min[0] if cluster.wait_min else None,
            path=leak_path(cluster.site, modules, creations),
        )

    def holders(self, cluster: Cluster, look: Shown | None = None) -> list[LockHolder]:
        """Who may hold the lock that a site waits for (stacks/lock_holders.py)."""
        from parkwarden.stacks.lock_holders import lock_holders

        return lock_holders(cluster.site, self.clusters(look))

    def raw(self, cluster: Cluster, look: Shown | None, limit: int = MAX_RAW) -> tuple[list[RawStack], int]:
        """Raw stacks of a site in a look, most goroutines first, and how many distinct ones are left out."""
        from parkwarden.stacks.raw import raw_stacks

        if look is None:
            return [], 0
        return raw_stacks(look.snapshot, look.of_stack, self.clusters_of[cluster.site.id], limit)

    def profiles(self, limit: int) -> list[tuple[Artefact, list[Tops]]]:
        """Heap, cpu and other profiles with their functions by what they hold: the column pprof shows first, then the others."""
        from parkwarden.report.top import default_column, tops

        out = []
        for artefact in self.case.artefacts:
            profile = artefact.profile
            if profile is None or artefact.snapshot is not None or not profile.sample_types:
                continue
            first = default_column(profile)
            columns = [first, *(i for i in range(len(profile.sample_types)) if i != first)]
            out.append((artefact, [tops(profile, column, limit) for column in columns]))
        return out

    def close(self) -> None:
        """Let go of what lies on the disk."""
        for trace in self.traces.values():
            trace.file.close()
        self.traces.clear()


@dataclass(slots=True, kw_only=True)
class Difference:
    """What became of every site between two looks, new ones first, then by growth."""

    before: tuple[OpenedBag, Shown]
    after: tuple[OpenedBag, Shown]
    changes: list[Change]
    not_followed: str
    """Why goroutines could not be followed by their ids ("" = they were): then `born`, `died`, `stayed` are None."""

    @property
    def clusters(self) -> list[Cluster]:
        return [change.cluster for change in self.changes]


class Bags:
    """The bags of one process; see the module. Used on one loop, but for `read_paths`, which comes before it runs."""

    def __init__(self, now: Callable[[], float], options: Options | None = None) -> None:
        self._now = now
        self._options = options
        self._bags: OrderedDict[str, OpenedBag] = OrderedDict()
        self._differences: OrderedDict[tuple[str, int, str, int], Difference] = OrderedDict()
        self._pool: ThreadPoolExecutor | None = None
        self._waiting = 0
        self.forgotten = 0
        """Bags that were let go because of age, number or bytes."""
        self.when_forgotten: list[Callable[[str], None]] = []
        """Told the id of every bag that is let go, by whoever keeps something of bags."""

    def __iter__(self) -> Iterator[OpenedBag]:
        """Newest first."""
        self._fit()
        return iter(sorted(self._bags.values(), key=lambda bag: (-bag.opened_at, bag.id)))

    def get(self, bag_id: str) -> OpenedBag:
        """The bag of an id. Raises UsageError."""
        self._fit()
        bag = self._bags.get(bag_id)
        if bag is None:
            raise UsageError(
                "no-such-bag",
                "this bag is not open (any more): they are kept in memory, for some hours",
                hint="open its files again on the page Explore",
            )
        bag.used_at = self._now()
        self._bags.move_to_end(bag_id)
        return bag

    def known(self, bag_id: str) -> OpenedBag | None:
        """The bag of an id, None if it is not open."""
        return self.get(bag_id) if bag_id in self._bags else None

    @seldom_collected()
    def read_paths(self, paths: Sequence[str], tell: Tell) -> OpenedBag:
        """Files and folders of the command line, as one bag that stays. Raises ParkwardenError where nothing could be read."""
        from parkwarden.collect.files import gather
        from parkwarden.run.bags import shorten

        began = self._now()
        artefacts = gather(paths, tell)
        told = [i for i, a in enumerate(artefacts) if a.kind is Kind.TRACE and Path(a.name).is_file()]
        traces = {i: Path(artefacts[i].name).open("rb") for i in told}  # noqa: SIM115 - the bag closes them
        shorten(artefacts)
        tell("clustering and judging", None)
        opened = _judged(secrets.token_hex(6), "files", artefacts, traces, self._options, self._now)
        opened.read_s, opened.pinned = self._now() - began, True
        self._keep(opened)
        return opened

    @contextmanager
    def admitted(self) -> Iterator[None]:
        """A place in the line, to be had before a body is read. Raises BusyError where there is none."""
        if self._waiting >= MAX_WAITING:
            raise BusyError(
                "busy",
                f"{self._waiting} bags are being read already",
                hint="try again in some seconds: each takes a few",
            )
        self._waiting += 1
        try:
            yield
        finally:
            self._waiting -= 1

    async def read(self, files: Sequence[Given], *, origin: str = "upload", bag_id: str = "") -> OpenedBag:
        """One bag of all files, which are closed. Within `admitted`. Raises ParkwardenError where they hold nothing at all."""
        try:
            opened = await self.work(
                _read, bag_id or secrets.token_hex(6), list(files), origin, self._options, self._now
            )
        finally:
            for given in files:
                given.file.close()
        self._keep(opened)
        return opened

    async def difference(self, before: tuple[OpenedBag, Shown], after: tuple[OpenedBag, Shown]) -> Difference:
        """What became of every site from one look to another, of the same bag or of two. Raises BusyError."""
        key = (before[0].id, before[1].index, after[0].id, after[1].index)
        known = self._differences.get(key)
        if known is None:
            with self.admitted():
                known = await self.work(_difference, before, after)
            self._differences[key] = known
            while len(self._differences) > KEPT_DIFFERENCES:
                self._differences.popitem(last=False)
        self._differences.move_to_end(key)
        return known

    async def work(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """`call` in one of WORKERS threads."""
        if self._pool is None:
            self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="explore")
        return await asyncio.get_running_loop().run_in_executor(self._pool, lambda: call(*args, **kwargs))

    async def warm(self) -> None:
        """Have everything loaded before the first files come: half a second that nobody waits for."""
        await self.work(_warm, self._now)

    def drop(self, bag_id: str) -> None:
        """Forget a bag. Raises UsageError where there is none."""
        self.get(bag_id)
        self._forget(bag_id)

    def close(self) -> None:
        """Forget everything; threads end with what they are at."""
        for bag_id in list(self._bags):
            self._forget(bag_id)
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def _keep(self, bag: OpenedBag) -> None:
        bag.used_at = self._now()
        self._forget(bag.id)
        self._bags[bag.id] = bag
        self._fit()

    def _fit(self) -> None:
        """Let go of what is too old or too much; pinned bags are not counted, and the one used last is never too much."""
        now = self._now()
        ours = [bag for bag in self._bags.values() if not bag.pinned]
        number, total = len(ours), sum(bag.size for bag in ours)
        for bag in ours:
            much = (number > MAX_BAGS or total > MAX_KEPT_BYTES) and bag is not ours[-1]
            if much or now - bag.used_at > MAX_AGE_S:
                number, total = number - 1, total - bag.size
                self.forgotten += 1
                self._forget(bag.id)

    def _forget(self, bag_id: str) -> None:
        bag = self._bags.pop(bag_id, None)
        if bag is not None:
            bag.close()
            for tell in self.when_forgotten:
                tell(bag_id)
        for key in [key for key in self._differences if bag_id in (key[0], key[2])]:
            del self._differences[key]


def reference(bags: Bags, here: OpenedBag, text: str, default: int) -> tuple[OpenedBag, Shown]:
    """A look by its text: `0` of this bag, `BAG:0` of another, "" = `default`. Raises UsageError."""
    bag_id, _, number = text.rpartition(":")
    bag = bags.get(bag_id) if bag_id else here
    if not bag.looks:
        raise UsageError(
            "no-goroutines", "there are no goroutines in this bag to compare", hint="open a goroutine dump or profile"
        )
    count = len(bag.looks)
    return bag, bag.looks[_index(number or str(default % count), count)]


def _index(text: str, count: int) -> int:
    if not (text.isdecimal() and len(text) < 7 and int(text) < count):
        raise UsageError(
            "no-such-look", f"there is no look {text[:20]!r} in this bag", hint=f"looks are numbered 0 to {count - 1}"
        )
    return int(text)


@seldom_collected()
def _read(bag_id: str, files: list[Given], origin: str, options: Options | None, now: Callable[[], float]) -> OpenedBag:
    """In a thread: read and judge."""
    from parkwarden.collect.files import read_opened

    began = now()
    artefacts: list[Artefact] = []
    traces: dict[int, BinaryIO] = {}
    errors: list[ParkwardenError] = []
    for given in files:
        size = given.file.seek(0, os.SEEK_END)
        given.file.seek(0)
        try:
            if size > MAX_FILE_BYTES:
                raise LimitError("too-large", f"{given.name} has more than {MAX_FILE_BYTES >> 20:,} MiB")
            found = read_opened(given.name, given.file, size, given.modified)
        except ParkwardenError as error:
            errors.append(error)
            problem = Problem(error.code, "", error.message)
            found = [Artefact(name=given.name, kind=Kind.UNKNOWN, size=size, problems=[problem])]
        if len(found) == 1 and found[0].kind is Kind.TRACE:
            traces[len(artefacts)] = _again(given.file)
        artefacts += found
    if errors and len(errors) == len(files):
        raise errors[0]
    opened = _judged(bag_id, origin, artefacts, traces, options, now)
    opened.read_s = now() - began
    return opened


def _again(file: BinaryIO) -> BinaryIO:
    """The same file once more: a form closes what came with it."""
    number = file.fileno()
    file.flush()
    return os.fdopen(os.dup(number), "rb")


def _judged(
    bag_id: str,
    origin: str,
    artefacts: list[Artefact],
    traces: Mapping[int, BinaryIO],
    options: Options | None,
    now: Callable[[], float],
) -> OpenedBag:
    """`traces`: index of an artefact -> the file it came from."""
    from parkwarden.collect.limits import quiet
    from parkwarden.run.bags import Bag
    from parkwarden.run.diagnose import Options, judge_bags

    _name_apart(artefacts)
    try:
        diagnosis = judge_bags([Bag(artefacts=artefacts)], options or Options(), quiet)
    except BaseException:
        for file in traces.values():
            file.close()
        raise
    case = diagnosis.case
    names = list(dict.fromkeys(Path(a.name.partition("!")[0]).name or a.name for a in case.artefacts))
    kept = [(case.artefacts[i].name, case.artefacts[i].size, file) for i, file in traces.items()]
    return OpenedBag(
        id=bag_id,
        name=names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more",
        opened_at=now(),
        report=diagnosis.report,
        case=case,
        origin=origin,
        read_s=0.0,
        looks=_shown(diagnosis),
        clusters_of={site.id: i for i, site in enumerate(diagnosis.grouping.named)},
        traces={name: TraceFile(name, size, file) for name, size, file in kept},
    )


def _warm(now: Callable[[], float]) -> None:
    """Read and judge the smallest of dumps."""
    from parkwarden.formats.detect import read_bytes

    dump = b"goroutine 1 [chan receive, 9 minutes]:\nmain.main()\n\t/main.go:7 +0x1d\n"
    _judged("", "", read_bytes(dump, "warm"), {}, None, now)


def _name_apart(artefacts: Sequence[Artefact]) -> None:
    """Two files of one name get numbers."""
    seen: Counter[str] = Counter()
    for artefact in artefacts:
        seen[artefact.name] += 1
        if seen[artefact.name] > 1:
            artefact.name = f"{artefact.name} ({seen[artefact.name]})"


def _shown(diagnosis: Diagnosis) -> list[Shown]:
    """The looks of a case; of one that has only leak profiles those."""
    case, of_stack = diagnosis.case, diagnosis.grouping.of_stack
    found = [(k.artefact, k.snapshot, k.at) for k in case.looks]
    if not found:
        leaks = [a for a in case.artefacts if a.snapshot is not None and a.snapshot.source is Source.LEAK_PROFILE]
        found = [(a, a.snapshot, a.taken_at) for a in leaks if a.snapshot is not None]
    return [
        Shown(i, artefact.name, str(artefact.kind), at, _goroutines(snapshot, of_stack[i]), snapshot, of_stack[i])
        for i, (artefact, snapshot, at) in enumerate(found)
    ]


def _goroutines(snapshot: Snapshot, of_stack: Ints) -> int:
    """Those that have a site: the runtime's own, which traces tell and dumps do not, would look like growth from a dump to a trace."""
    return int(snapshot.count[of_stack[snapshot.stack] >= 0].sum()) if snapshot.rows else 0


@seldom_collected()
def _difference(before: tuple[OpenedBag, Shown], after: tuple[OpenedBag, Shown]) -> Difference:
    """In a thread."""
    from parkwarden.stacks.compare import compare

    first, last = before[1], after[1]
    why = _not_followed(before, after)
    changes = compare([first.snapshot, last.snapshot], [first.at, last.at])
    if why:
        changes = [replace(c, stayed=None, came=None, left=None, born=None, died=None) for c in changes]
    changes.sort(key=lambda c: (c.counts[0] > 0, -c.delta, -c.counts[-1], c.cluster.site.id))
    return Difference(before=before, after=after, changes=changes, not_followed=why)


def _not_followed(before: tuple[OpenedBag, Shown], after: tuple[OpenedBag, Shown]) -> str:
    """Why ids of two looks are not of the same goroutines, "" where they are."""
    first, last = before[1].snapshot, after[1].snapshot
    if not (first.goid.any() and last.goid.any()):
        return "a profile tells how many goroutines there are, not which"
    if before[0] is not after[0]:
        return "these are two bags, which may be two processes: their goroutines' numbers say nothing about each other"
    if int(last.goid.max()) < int(first.goid.max()):
        return "numbers only rise within a process, and here the highest is lower later: it was started anew in between"
    return ""
