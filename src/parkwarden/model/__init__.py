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
from parkwarden.model.capture import Capture
from parkwarden.model.case import Case, Look
from parkwarden.model.errors import FormatError, LimitError, ParkwardenError, UnreachableError, UsageError
from parkwarden.model.events import Census, Event, Gone, Leaked, Named, Read, SiteCounts, Started
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
from parkwarden.model.incident import EvidenceItem, Incident, IncidentState, Notification, Priority, Silence, Tell
from parkwarden.model.instance import KNOWN_LABELS, Auth, Instance, Secret, Target
from parkwarden.model.signal import Signal, TimeLeft
from parkwarden.model.site import Change, Cluster, Site
from parkwarden.model.snapshot import Mark, Snapshot, Source, make_snapshot
from parkwarden.model.stack import ELIDED_UNKNOWN, Frame, Stack

__all__ = [
    "ELIDED_UNKNOWN",
    "KNOWN_LABELS",
    "REPORT_SCHEMA",
    "Artefact",
    "Auth",
    "BuildInfo",
    "Capture",
    "Case",
    "Census",
    "Change",
    "Cluster",
    "Crash",
    "Creation",
    "Event",
    "Evidence",
    "EvidenceItem",
    "Exit",
    "Finding",
    "FormatError",
    "Frame",
    "Gone",
    "Grade",
    "Incident",
    "IncidentState",
    "InputEntry",
    "Instance",
    "Kind",
    "Leaked",
    "LimitError",
    "Look",
    "LookCost",
    "Mark",
    "Named",
    "Notification",
    "ParkwardenError",
    "Priority",
    "Problem",
    "Profile",
    "Read",
    "Reading",
    "Report",
    "Secret",
    "Signal",
    "Silence",
    "Site",
    "SiteCounts",
    "Snapshot",
    "Source",
    "SourceExcerpt",
    "Stack",
    "Started",
    "Target",
    "Tell",
    "TimeLeft",
    "Trace",
    "UnreachableError",
    "UsageError",
    "Verdict",
    "Wait",
    "make_snapshot",
]
