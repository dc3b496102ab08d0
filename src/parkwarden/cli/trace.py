"""`parkwarden trace`: what an execution trace says: creation rates, waits, by stack."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from parkwarden.cli.options import Force, Modules, NoRedact, Output, ShowAll, TextOrJson, deliver


def command(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="An execution trace of Go 1.22 or newer (gz, zst, xz too).")
    ],
    report_format: Annotated[TextOrJson, typer.Option("--format", help="How to print.")] = TextOrJson.TEXT,
    output: Output = None,
    force: Force = False,
    module: Modules = None,
    no_redact: NoRedact = False,
    show_all: ShowAll = False,
) -> None:
    """Creation rates and waits of an execution trace, by stack.

    \b
    curl -o trace.out 'http://HOST:6060/debug/pprof/trace?seconds=5'
    parkwarden trace trace.out
    """
    from parkwarden.cli.progress import printed, progress
    from parkwarden.run.trace import open_trace

    with progress() as tell:
        opened = open_trace(file, tuple(module or ()), redact=not no_redact, tell=tell)
    if report_format is TextOrJson.JSON:
        from parkwarden.report.json import trace_to_json

        deliver(trace_to_json(opened.artefact, opened.redacted) + "\n", output, force)
        return
    from parkwarden.report.terminal import print_trace

    with printed(output, force) as console:
        print_trace(opened.artefact, console, user_modules=opened.user_modules, show_all=show_all)
