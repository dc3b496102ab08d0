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
    from parkwarden.model.local import Local

_URL = re.compile(r"^(https?|unix):", re.IGNORECASE)
_HOST_PORT = re.compile(r"^(localhost|[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\]):\d{1,5}(/.*)?$")

MAX_SIDE_BY_SIDE = 64
"""Services looked at at once: each may hold one answer of some MB in memory."""


@dataclass(slots=True, kw_only=True)
class Bag:
    """Artefacts that are taken to be of one process; `instance` is a live service's address."""

    artefacts: list[Artefact] = field(default_factory=list)
    cost: list[LookCost] = field(default_factory=list)
    instance: str | None = None
    local: Local | None = None
    """What the host tells of a live service that runs on it."""
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
        shorten(bags[0].artefacts)
    urls = [i for i in inputs if is_url(i)]
    failed: list[UnreachableError] = []
    lives: list[Bag] = []
    for url, seen in zip(urls, _look_at_all(urls, live, tell), strict=True):
        if isinstance(seen, UnreachableError):
            failed.append(seen)
            problem = Problem(seen.code, "", f"{seen.message} {seen.context}".strip())
            silent = Artefact(name=bare(url), kind=Kind.UNKNOWN, size=0, problems=[problem])
            lives.append(Bag(artefacts=[silent], instance=bare(url), unreachable=True))
            continue
        if save is not None:
            _save(seen, save)
        lives.append(Bag(artefacts=seen.artefacts, cost=seen.costs, instance=seen.url, local=seen.local))
    if failed and len(failed) == len(urls) and not paths:
        raise failed[0]
    shorten([a for bag in lives for a in bag.artefacts])
    return bags + lives


def _look_at_all(urls: Sequence[str], live: LiveOptions | None, tell: Tell) -> list[LiveBag | UnreachableError]:
    """All services side by side, so that ten take no longer than one; in the order given."""
    if not urls:
        return []
    import asyncio

    from parkwarden.collect.live import look

    async def one(url: str, room: asyncio.Semaphore) -> LiveBag | UnreachableError:
        async with room:
            try:
                return await look(url, options=live, progress=tell)
            except UnreachableError as error:
                return error

    async def every() -> list[LiveBag | UnreachableError]:
        room = asyncio.Semaphore(MAX_SIDE_BY_SIDE)
        return await asyncio.gather(*(one(url, room) for url in urls))

    return asyncio.run(every())


def bare(url: str) -> str:
    """A URL without user and password."""
    return re.sub(r"//[^/@]*@", "//", url)


def shorten(artefacts: list[Artefact]) -> None:
    """Names as short as they can be and stay apart: without the folder that all of them share."""
    folders = [a.name.partition("!")[0].split("/")[:-1] for a in artefacts]
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
