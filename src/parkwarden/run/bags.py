"""Inputs -> bags of artefacts: one bag for all files, one for each live service (each is one process of its own)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from parkwarden.collect.limits import Tell
from parkwarden.model import Artefact, Kind, LookCost, Problem, UnreachableError, UsageError

if TYPE_CHECKING:
    from parkwarden.collect.live import LiveBag, LiveOptions

_URL = re.compile(r"^(https?|unix):", re.IGNORECASE)
_HOST_PORT = re.compile(r"^(localhost|[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\]):\d{1,5}(/.*)?$")


@dataclass(slots=True, kw_only=True)
class Bag:
    """Artefacts that are taken to be of one process; `instance` is a live service's address."""

    artefacts: list[Artefact] = field(default_factory=list)
    cost: list[LookCost] = field(default_factory=list)
    instance: str | None = None
    unreachable: bool = False
    """The service did not answer; the one artefact says why."""


def is_url(text: str) -> bool:
    """Whether an input names a live service: a URL, or host:port that is no file."""
    return bool(_URL.match(text)) or (bool(_HOST_PORT.match(text)) and not Path(text).exists())


def collect_bags(inputs: Sequence[str], live: LiveOptions | None, save: Path | None, tell: Tell) -> list[Bag]:
    """All inputs read. A service that does not answer costs itself; raises UnreachableError if nothing answered at all."""
    bags: list[Bag] = []
    paths = [i for i in inputs if not is_url(i)]
    if paths:
        from parkwarden.collect.files import gather

        bags.append(Bag(artefacts=gather(paths, tell)))
        _shorten(bags[0].artefacts)
    urls = [i for i in inputs if is_url(i)]
    failed: list[UnreachableError] = []
    lives: list[Bag] = []
    for url in urls:
        try:
            lives.append(_look(url, live, save, tell))
        except UnreachableError as error:
            failed.append(error)
            problem = Problem(error.code, "", f"{error.message} {error.context}".strip())
            silent = Artefact(name=_bare(url), kind=Kind.UNKNOWN, size=0, problems=[problem])
            lives.append(Bag(artefacts=[silent], unreachable=True))
    if failed and len(failed) == len(urls) and not paths:
        raise failed[0]
    _shorten([a for bag in lives for a in bag.artefacts])
    return bags + lives


def _look(url: str, live: LiveOptions | None, save: Path | None, tell: Tell) -> Bag:
    from parkwarden.collect.live import look_sync

    seen = look_sync(url, options=live, progress=tell)
    if save is not None:
        _save(seen, save)
    return Bag(artefacts=seen.artefacts, cost=seen.costs, instance=seen.url)


def _bare(url: str) -> str:
    """A URL without user and password."""
    return re.sub(r"//[^/@]*@", "//", url)


def _shorten(artefacts: list[Artefact]) -> None:
    """Names as short as they can be and stay apart: without the folder that all of them share."""
    folders = [a.name.partition("!")[0].rpartition("/")[0].split("/") for a in artefacts]
    shared = 0
    while folders and all(len(f) > shared for f in folders) and len({f[shared] for f in folders}) == 1:
        shared += 1
    for artefact in artefacts:
        artefact.name = "/".join(artefact.name.split("/")[shared:])


def _save(seen: LiveBag, folder: Path) -> None:
    """Keep every answer as it came; never overwrite what is there."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, body in seen.bodies.items():
            short = name.partition("/debug/")[2] or name
            safe = re.sub(r"[^A-Za-z0-9._=-]+", "_", short).strip("._") or "answer"
            with (folder / safe).open("xb") as file:
                file.write(body)
    except OSError as error:
        raise UsageError(
            "save-failed", f"cannot keep the answers in {folder}: {error.strerror}", hint="name a new or empty folder"
        ) from error
