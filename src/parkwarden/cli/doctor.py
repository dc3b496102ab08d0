"""`parkwarden doctor`: is everything there that `watch` needs?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parkwarden.cli.options import Force, Output, TextOrJson, deliver

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from parkwarden.run.doctor import Check


def command(
    urls: Annotated[list[str] | None, typer.Argument(metavar="[URL]...", help="Targets to ask, as for watch.")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", metavar="FILE", help="The configuration (parkwarden.yaml).")
    ] = None,
    report_format: Annotated[TextOrJson, typer.Option("--format", help="How to print.")] = TextOrJson.TEXT,
    output: Output = None,
    force: Force = False,
) -> None:
    """Check configuration, targets, store, channels and clocks; changes nothing.

    Each check is ok, warn or fail and says what to do next. Ends with 1 if one failed.

    \b
    parkwarden doctor -c parkwarden.yaml
    parkwarden doctor http://localhost:6060
    """
    import asyncio
    from dataclasses import replace

    from parkwarden.cli.progress import printed, progress
    from parkwarden.model.errors import ParkwardenError, UsageError
    from parkwarden.model.finding import Exit
    from parkwarden.run.config import from_urls, load
    from parkwarden.run.doctor import config_checks, examine, healthy, to_json

    if not urls and config is None:
        raise UsageError(
            "nothing-to-check", "neither a configuration nor a URL was given", hint="parkwarden doctor -c FILE"
        )
    asked = from_urls(urls or [])
    with progress() as tell:
        try:
            whole = load(config) if config is not None else asked
        except ParkwardenError as error:
            checks = config_checks(error)
        else:
            if config is not None:
                whole = replace(whole, targets=(*whole.targets, *asked.targets))
            checks = asyncio.run(examine(whole, name=str(config or "command line"), tell=tell))
    if report_format is TextOrJson.JSON:
        import json

        deliver(json.dumps(to_json(checks), indent=2, ensure_ascii=True) + "\n", output, force)
    else:
        with printed(output, force) as console:
            _print(checks, console)
    if not healthy(checks):
        raise typer.Exit(int(Exit.FOUND))


def _print(checks: Sequence[Check], console: Console) -> None:
    """A table; names and texts hold words of targets and files and are made inert."""
    from rich.table import Table
    from rich.text import Text

    from parkwarden.report.safe import inert

    table = Table(box=None, show_header=False, pad_edge=False)
    for width in (5, 9, None, None):
        table.add_column(width=width, overflow="fold")
    section = ""
    for check in checks:
        colour = {"ok": "green", "warn": "yellow", "fail": "red"}[check.state.value]
        told = Text(inert(check.text))
        if check.next:
            told.append(f"\n-> {inert(check.next)}", style="italic")
        where = check.section if check.section != section else ""
        table.add_row(Text(check.state.value, style=colour), where, Text(inert(check.name, 60)), told)
        section = check.section
    console.print(table)
    counts = [f"{sum(c.state.value == state for c in checks)} {state}" for state in ("ok", "warn", "fail")]
    console.print("\n" + ", ".join(counts))
