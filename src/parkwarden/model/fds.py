"""What `fds` answers: the open descriptors of one process, how they grow, and which goroutines hold them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from parkwarden.model.artefact import LookCost, Problem
from parkwarden.model.descriptors import OpenFiles
from parkwarden.model.local import Connections
from parkwarden.model.site import Site
from parkwarden.model.stack import Frame


@dataclass(frozen=True, slots=True)
class KindRow:
    """Descriptors of one kind; `before` is what the first look counted, None where there was one look."""

    kind: str
    count: int
    before: int | None
    groups: tuple[OpenFiles, ...] = ()

    @property
    def grown(self) -> int:
        return 0 if self.before is None else self.count - self.before


@dataclass(frozen=True, slots=True)
class Holder:
    """Goroutines at one site that hold descriptors of one kind."""

    site: Site
    line: Frame | None
    """The user's own line behind it, None where nobody on the way is the user."""
    kind: str
    words: str
    """What is held: "os/exec pipes", "streaming HTTP bodies"."""
    goroutines: int
    grown: int | None
    """Goroutines more than at the first look."""
    descriptors: int
    """How many of the open ones that explains."""
    by: str
    """`frames` (they cannot return without closing it), `growth` (both grew alike) or `number` (there are as many)."""


@dataclass(slots=True, kw_only=True)
class FdsResult:
    """One process. Without `kinds` (another host, no permission) only the numbers its pages tell are known."""

    name: str
    """As it was asked for, without credentials."""
    checked_at: str
    """RFC 3339, UTC: the last look."""
    watched_s: float
    pid: int | None = None
    command: str = ""
    source: str = "host"
    """`host` (/proc) or `pages` (process_* metrics)."""
    open_fds: int | None = None
    open_before: int | None = None
    max_fds: int | None = None
    max_fds_hard: int | None = None
    goroutines: int | None = None
    kinds: tuple[KindRow, ...] = ()
    connections: tuple[Connections, ...] = ()
    holders: tuple[Holder, ...] = ()
    unexplained: Mapping[str, int] = field(default_factory=dict)
    """Descriptors by kind that no goroutine explains."""
    problems: tuple[Problem, ...] = ()
    cost: tuple[LookCost, ...] = ()
    redacted: int = 0

    @property
    def growth_per_min(self) -> float | None:
        """Descriptors more per minute between the two looks."""
        if self.open_fds is None or self.open_before is None or self.watched_s <= 0:
            return None
        return (self.open_fds - self.open_before) * 60 / self.watched_s

    @property
    def time_left_s(self) -> float | None:
        """Until the limit at this pace; None where nothing grows or no limit is known. Two looks are a hint, `watch` is a forecast."""
        rate = self.growth_per_min
        if rate is None or rate <= 0 or self.max_fds is None or self.open_fds is None:
            return None
        return max(0.0, (self.max_fds - self.open_fds) / rate * 60)
