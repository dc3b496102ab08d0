"""The words of the house: pure data, imports nothing else of ours.

Each is imported when it is first asked for: `parkwarden --help` needs the errors, not a hundred dataclasses.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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
    from parkwarden.model.descriptors import OpenFiles
    from parkwarden.model.errors import (
        FormatError,
        LimitError,
        ParkwardenError,
        StoreError,
        UnreachableError,
        UsageError,
    )
    from parkwarden.model.events import Census, Descriptors, Event, Gone, Leaked, Named, Read, SiteCounts, Started
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
    from parkwarden.model.incident import (
        Act,
        Action,
        EvidenceItem,
        Happening,
        Incident,
        IncidentState,
        Notification,
        Priority,
        Silence,
        Tell,
    )
    from parkwarden.model.instance import KNOWN_LABELS, Auth, Instance, Secret, ServiceKey, Target, other_life
    from parkwarden.model.local import Cgroup, Connections, Local
    from parkwarden.model.signal import Signal, TimeLeft
    from parkwarden.model.site import Change, Cluster, Site
    from parkwarden.model.snapshot import Mark, Snapshot, Source, make_snapshot
    from parkwarden.model.stack import ELIDED_UNKNOWN, Frame, Stack

_HOMES = {
    "artefact": "Artefact BuildInfo Crash Creation Kind LookCost Problem Profile Reading Trace Wait",
    "capture": "Capture",
    "case": "Case Look",
    "descriptors": "OpenFiles",
    "errors": "FormatError LimitError ParkwardenError StoreError UnreachableError UsageError",
    "events": "Census Descriptors Event Gone Leaked Named Read SiteCounts Started",
    "finding": "REPORT_SCHEMA Evidence Exit Finding Grade InputEntry Report SourceExcerpt Verdict",
    "incident": "Act Action EvidenceItem Happening Incident IncidentState Notification Priority Silence Tell",
    "instance": "KNOWN_LABELS Auth Instance Secret ServiceKey Target other_life",
    "local": "Cgroup Connections Local",
    "signal": "Signal TimeLeft",
    "site": "Change Cluster Site",
    "snapshot": "Mark Snapshot Source make_snapshot",
    "stack": "ELIDED_UNKNOWN Frame Stack",
}
"""Module -> the words it holds; a test compares them with what type checkers see above."""

_HOME_OF = {name: module for module, names in _HOMES.items() for name in names.split()}


def __getattr__(name: str) -> Any:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    word = getattr(import_module(f"{__name__}.{home}"), name)
    globals()[name] = word
    return word


__all__ = [
    "ELIDED_UNKNOWN",
    "KNOWN_LABELS",
    "REPORT_SCHEMA",
    "Act",
    "Action",
    "Artefact",
    "Auth",
    "BuildInfo",
    "Capture",
    "Case",
    "Census",
    "Cgroup",
    "Change",
    "Cluster",
    "Connections",
    "Crash",
    "Creation",
    "Descriptors",
    "Event",
    "Evidence",
    "EvidenceItem",
    "Exit",
    "Finding",
    "FormatError",
    "Frame",
    "Gone",
    "Grade",
    "Happening",
    "Incident",
    "IncidentState",
    "InputEntry",
    "Instance",
    "Kind",
    "Leaked",
    "LimitError",
    "Local",
    "Look",
    "LookCost",
    "Mark",
    "Named",
    "Notification",
    "OpenFiles",
    "ParkwardenError",
    "Priority",
    "Problem",
    "Profile",
    "Read",
    "Reading",
    "Report",
    "Secret",
    "ServiceKey",
    "Signal",
    "Silence",
    "Site",
    "SiteCounts",
    "Snapshot",
    "Source",
    "SourceExcerpt",
    "Stack",
    "Started",
    "StoreError",
    "Target",
    "Tell",
    "TimeLeft",
    "Trace",
    "UnreachableError",
    "UsageError",
    "Verdict",
    "Wait",
    "make_snapshot",
    "other_life",
]
