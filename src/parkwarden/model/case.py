"""A case: everything known about one bag of artefacts, ready to be judged."""

from __future__ import annotations

from dataclasses import dataclass, field

from parkwarden.model.artefact import Artefact, BuildInfo
from parkwarden.model.local import Local
from parkwarden.model.site import Cluster
from parkwarden.model.snapshot import Snapshot


@dataclass(slots=True, kw_only=True)
class Look:
    """One snapshot of the case and the artefact it came from; `at` is Unix seconds (None = order unknown)."""

    artefact: Artefact
    snapshot: Snapshot
    at: float | None


@dataclass(slots=True, kw_only=True)
class Case:
    """Artefacts, their snapshots in time order, and the clusters over all of them.

    Leak profiles are not among `looks`: they name only the leaked; their counts are in `Cluster.leaked`.
    """

    artefacts: list[Artefact]
    looks: list[Look] = field(default_factory=list)
    clusters: list[Cluster] = field(default_factory=list)
    build: BuildInfo = field(default_factory=BuildInfo)
    user_modules: tuple[str, ...] = ()
    """Module paths (package path prefixes) that are the user's own; `main` always is."""
    local: Local | None = None
    """What the host tells of the process, where it is a live one that runs here."""
