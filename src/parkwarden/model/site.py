"""Sites and clusters: what goroutines are doing at one place, and how many."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from parkwarden.model.stack import Frame


@dataclass(frozen=True, slots=True)
class Site:
    """One place: wait reason + blocked frame + creating frame + normalised stack.

    `id` is stable: equal across processes, restarts, addresses and kinds of artefact (dump, profile, census).
    `frames` are the normalised frames, leaf first, without the runtime's own. `function`, `file`, `line` are those of
    the blocked frame: the first frame outside the standard library's waiting machinery, or the leaf if there is none.
    """

    id: str
    wait_reason: str
    function: str
    file: str
    line: int
    frames: tuple[Frame, ...]
    created_by: Frame | None = None

    @property
    def where(self) -> str:
        """`main.quote (price.go:42)`, or its id where it has no name."""
        spot = Frame(self.function, self.file, self.line).spot
        return f"{self.function} ({spot})" if self.function else f"site {self.id}"


@dataclass(slots=True, kw_only=True)
class Cluster:
    """Goroutines at one site, near-equal chains merged, over one snapshot or several in time.

    `counts[i]` is the number in the i-th snapshot; `count` the one in the last. `stayed` is how many goroutine ids of
    the last snapshot were already there in the first one that names ids (None where ids are not told).
    """

    site: Site
    count: int
    share: float
    """Of all goroutines of the last snapshot, 0..1."""
    counts: tuple[int, ...]
    members: tuple[str, ...]
    """Site ids merged into this cluster, the site's own included."""
    states: Counter[str] = field(default_factory=Counter)
    wait_min: tuple[int, int] | None = None
    """Least and greatest wait in minutes (lower bounds), None where not told."""
    mean_depth: float = 0.0
    blocking_points: Counter[str] = field(default_factory=Counter)
    """Wait machinery at the leaf (`semacquire`, `chanrecv`, `netpollblock`, ...) and how many goroutines are in it."""
    module_entropy: float = 0.0
    """Shannon entropy in bits over the modules of the frames: near 0 when one package is at fault."""
    labels: Counter[tuple[str, str]] = field(default_factory=Counter)
    goids: tuple[int, ...] = ()
    """A sample of goroutine ids, oldest first."""
    objects: int = 0
    """Distinct addresses waited on (`Snapshot.arg0`), 0 where not told."""
    leaked: int = 0
    """How many of them the runtime itself proved leaked."""
    damaged: int = 0
    stayed: int | None = None
    since: float | None = None
    """Unix seconds of the first snapshot from which on the count never fell back, None where there is one snapshot."""
    growth_per_min: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What became of one cluster between the first and the last of several snapshots in time.

    `stayed`, `came` and `left` compare goroutine ids at this cluster in the first and the last snapshot that name ids
    (None where fewer than two do); they are counts of all, the `*_goids` samples of them, oldest first.
    """

    cluster: Cluster
    counts: tuple[int, ...]
    delta: int
    """Last count less the first."""
    growth_per_min: float | None
    """Median of the slopes between the snapshots (Theil-Sen), None where their times are not told."""
    since: float | None
    stayed: int | None = None
    came: int | None = None
    left: int | None = None
    born: int | None = None
    """Of those that came: nowhere in the first snapshot. The others came from another cluster."""
    died: int | None = None
    """Of those that left: nowhere in the last snapshot."""
    stayed_goids: tuple[int, ...] = ()
    came_goids: tuple[int, ...] = ()
    left_goids: tuple[int, ...] = ()
    births_per_min: float | None = None
    """Goroutines of this cluster born between looks and still there at the next one, by the order of ids."""
