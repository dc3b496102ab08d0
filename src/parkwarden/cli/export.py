"""`parkwarden export`: any artefact in a form that other tools open."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from parkwarden.cli.options import Force, NoRedact, Output, deliver


class Target(StrEnum):
    """Formats that other tools read."""

    PPROF = "pprof"
    FOLDED = "folded"
    SPEEDSCOPE = "speedscope"


def command(
    inputs: Annotated[list[str], typer.Argument(metavar="FILE|DIR|-", help="Dumps, profiles or traces.")],
    to: Annotated[Target, typer.Option("--to", help="pprof (go tool pprof), folded (flamegraph.pl), speedscope.")],
    output: Output = None,
    force: Force = False,
    no_redact: NoRedact = False,
) -> None:
    """Turn dumps, profiles and traces into pprof, folded stacks or speedscope.

    Several profiles of one type become one (merged) with --to pprof.

    \b
    parkwarden export goroutine.txt --to pprof -o goroutine.pb.gz && go tool pprof -http=: goroutine.pb.gz
    parkwarden export trace.out --to speedscope -o trace.speedscope.json
    """
    from parkwarden.cli.progress import progress
    from parkwarden.run.export import export

    with progress() as tell:
        data = export(inputs, to.value, redact=not no_redact, tell=tell)
    deliver(data, output, force)
