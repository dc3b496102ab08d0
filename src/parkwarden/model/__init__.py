"""The words of the house: pure data, imports nothing else of ours."""

from parkwarden.model.artefact import (
    Artefact,
    BuildInfo,
    Crash,
    Creation,
    Kind,
    LookCost,
    Problem,
    Profile,
    Reading,
    Trace,
    Wait,
)
from parkwarden.model.case import Case, Look
from parkwarden.model.errors import FormatError, LimitError, ParkwardenError, UnreachableError, UsageError
from parkwarden.model.finding import (
    REPORT_SCHEMA,
    Evidence,
    Exit,
    Finding,
    Grade,
    InputEntry,
    Report,
    SourceExcerpt,
    Verdict,
)
from parkwarden.model.site import Change, Cluster, Site
from parkwarden.model.snapshot import Mark, Snapshot, Source, make_snapshot
from parkwarden.model.stack import ELIDED_UNKNOWN, Frame, Stack

__all__ = [
    "ELIDED_UNKNOWN",
    "REPORT_SCHEMA",
    "Artefact",
    "BuildInfo",
    "Case",
    "Change",
    "Cluster",
    "Crash",
    "Creation",
    "Evidence",
    "Exit",
    "Finding",
    "FormatError",
    "Frame",
    "Grade",
    "InputEntry",
    "Kind",
    "LimitError",
    "Look",
    "LookCost",
    "Mark",
    "ParkwardenError",
    "Problem",
    "Profile",
    "Reading",
    "Report",
    "Site",
    "Snapshot",
    "Source",
    "SourceExcerpt",
    "Stack",
    "Trace",
    "UnreachableError",
    "UsageError",
    "Verdict",
    "Wait",
    "make_snapshot",
]
