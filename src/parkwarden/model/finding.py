"""Findings and reports: what was judged, in the shape of `parkwarden.report/1`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

from parkwarden.model.artefact import Problem
from parkwarden.model.site import Site
from parkwarden.model.stack import Frame

if TYPE_CHECKING:
    from parkwarden.model.signal import TimeLeft

REPORT_SCHEMA = "parkwarden.report/1"


_RANKS = {"ok": 0, "unknown": 1, "suspect": 2, "tight": 2, "leak": 3, "exhausting": 3}


class Verdict(StrEnum):
    """Ordered `ok < unknown < suspect < leak`, and of limits `ok < unknown < tight < exhausting`; too little data is unknown, never ok."""

    OK = "ok"
    UNKNOWN = "unknown"
    SUSPECT = "suspect"
    LEAK = "leak"
    TIGHT = "tight"
    """A limit that something moves towards, or is near."""
    EXHAUSTING = "exhausting"
    """A limit that will be reached, and when is known."""

    def __init__(self, value: str) -> None:
        self.rank = _RANKS[value]
        """Its place in the order; a limit's verdict has the place of the leak's."""

    @property
    def certain(self) -> bool:
        """Leak or exhausting: worth waking somebody, and a command's exit code."""
        return self.rank == _RANKS["leak"]

    @property
    def doubted(self) -> bool:
        """Suspect or tight: worth a closer look."""
        return self.rank == _RANKS["suspect"]


class Grade(StrEnum):
    """How fast a site grows: yellow 3-8 a minute, red above 15, amber between."""

    NONE = ""
    YELLOW = "yellow"
    AMBER = "amber"
    RED = "red"


@dataclass(frozen=True, slots=True)
class Evidence:
    """One number a finding rests on: which input says so, what, and the value in words."""

    source: str
    what: str
    value: str


@dataclass(slots=True, kw_only=True)
class Finding:
    """A judged statement. Field by field the report schema; `grade` and `explanation` are extra fields of ours."""

    code: str
    verdict: Verdict
    confidence: float
    title: str
    pattern: str | None = None
    service: str | None = None
    instance: str | None = None
    site: Site | None = None
    culprit: Frame | None = None
    count: int | None = None
    share: float | None = None
    rate_per_min: float | None = None
    since: str | None = None
    wait_min_s: float | None = None
    advice: str = ""
    evidence: list[Evidence] = field(default_factory=list)
    explanation: str = ""
    grade: Grade = Grade.NONE
    path: tuple[Frame, ...] = ()
    """The leak path as drawn: culprit -> ... -> creating line -> ... -> blocked line."""
    source: SourceExcerpt | None = None
    # Told by judges that see a fleet over time (watch, replay, check); None or empty from a bag of files.
    instances: tuple[str, ...] = ()
    """All instances concerned, worst first; `instance` is set where it is exactly one."""
    labels: Mapping[str, str] = field(default_factory=dict)
    first_seen: float | None = None
    """Seconds (Unix, or a recording's own) of the first time this verdict was reached."""
    last_seen: float | None = None
    since_version: str = ""
    """The `version` label under which growth began."""
    time_left: TimeLeft | None = None


@dataclass(frozen=True, slots=True)
class SourceExcerpt:
    """The culprit's statement in its function, from `--source DIR`."""

    file: str
    first_line: int
    lines: tuple[str, ...]
    statement: tuple[int, int]
    """First and last line of the statement, 1-based in the file."""
    function: str
    blame: str = ""
    """Commit, author date and subject of the line, where DIR is a git repository."""


@dataclass(slots=True, kw_only=True)
class InputEntry:
    """One row of the report's `inputs`: what it was and whether it helped."""

    name: str
    kind: str
    bytes: int
    records: int
    problems: list[Problem]
    used: bool
    why: str


@dataclass(slots=True, kw_only=True)
class Report:
    """The one verdict over a bag of inputs; `findings` are sorted worst first."""

    generated_at: str
    """RFC 3339, UTC."""
    inputs: list[InputEntry]
    findings: list[Finding]
    redacted: int = 0
    schema: str = REPORT_SCHEMA


class Exit(IntEnum):
    """Exit codes of every command; documented in docs/cli.md."""

    OK = 0
    FOUND = 1
    USAGE = 2
    UNREADABLE = 3
    UNREACHABLE = 4
    INTERNAL = 70
    INTERRUPTED = 130
