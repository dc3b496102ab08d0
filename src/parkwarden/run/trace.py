"""`trace`: one execution trace read, with whose code is whose. Imports only what a trace needs: seconds count here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from parkwarden.model import Artefact, Case, FormatError, UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenedTrace:
    """A trace, redacted unless switched off."""

    artefact: Artefact
    user_modules: tuple[str, ...]
    redacted: int


def open_trace(
    file: Path, modules: tuple[str, ...], *, redact: bool, tell: Callable[[str, float | None], None]
) -> OpenedTrace:
    """Read FILE; raises FormatError if it holds no trace (of a version that can be read), UsageError if it is not there."""
    from parkwarden.collect.files import gather
    from parkwarden.stacks.modules import guess_user_modules

    if str(file) != "-" and not file.exists():
        raise UsageError("no-such-file", f"{file} does not exist", hint="give the path of a trace file")
    tell(f"reading {file.name}", None)
    artefacts = gather([str(file)], tell)
    found = next((a for a in artefacts if a.trace is not None), None)
    if found is None or found.trace is None:
        problems = [p.text for a in artefacts for p in a.problems]
        raise FormatError(
            "no-trace",
            f"{file} holds no execution trace that can be read",
            context="; ".join(problems[:3]) or ", ".join(a.kind.value for a in artefacts),
            hint="record one: curl -o trace.out 'http://HOST:6060/debug/pprof/trace?seconds=5'",
        )
    user = ("main", *modules) if modules else guess_user_modules([c.stack for c in found.trace.creations], found.build)
    count = 0
    if redact:
        from parkwarden.report.redact import Redactor, redact_case

        redactor = Redactor()
        (found,) = redact_case(Case(artefacts=[found]), redactor).artefacts
        count = redactor.count
    return OpenedTrace(artefact=found, user_modules=user, redacted=count)
