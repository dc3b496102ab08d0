"""`parkwarden explain`: what a finding code or a leak pattern means, and its cure."""

from __future__ import annotations

from typing import Annotated

import typer

from parkwarden.model.errors import UsageError


def command(
    what: Annotated[
        str | None, typer.Argument(metavar="CODE|PATTERN", help="PW104 or send-without-receiver; none: list all.")
    ] = None,
) -> None:
    """Explain a finding code or a leak pattern: what it is, why it leaks, how to cure it.

    \b
    parkwarden explain PW104
    parkwarden explain send-without-receiver
    """
    from parkwarden.judge.codes import CODES

    if what is None:
        for code in CODES.values():
            typer.echo(f"{code.code}  {code.name:<28} {code.title}")
        return
    wanted = what.strip().lower()
    for code in CODES.values():
        if wanted in (code.code.lower(), code.name):
            typer.echo(f"{code.code} {code.name}: {code.title}\n\n{code.text.strip()}\n")
            return
    raise UsageError(
        "unknown-code", f"no finding code or pattern is called {what!r}", hint="parkwarden explain lists all"
    )
