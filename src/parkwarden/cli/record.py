"""`parkwarden record`: what a fleet tells, into a file that `replay` judges."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def command(
    output: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FILE", help="Where to write; .gz and .zst are compressed."),
    ],
    urls: Annotated[
        list[str] | None, typer.Argument(metavar="[URL...]", help="Services, by their debug port: http://host:6060.")
    ] = None,
    config: Annotated[
        Path | None, typer.Option("--config", "-c", metavar="FILE", help="Record the targets of this configuration.")
    ] = None,
    length: Annotated[
        str | None, typer.Option("--for", metavar="TIME", help="How long, e.g. 10m or 8h; without it until Ctrl-C.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite FILE if it exists.")] = False,
) -> None:
    """Record services: counts every 5 s, goroutine profiles and censuses on their beats, redacted.

    The looks and what they may cost are those of `watch`. docs/recording.md describes the file; `parkwarden replay` judges it.

    \b
    parkwarden record http://localhost:6060 -o night.jsonl.zst --for 8h
    parkwarden record -c parkwarden.yaml -o fleet.jsonl.zst
    """
    import asyncio

    from parkwarden.cli.progress import progress
    from parkwarden.model.errors import UsageError
    from parkwarden.run._config_types import duration_s
    from parkwarden.run.config import from_urls, load
    from parkwarden.run.record import Sink, record

    if bool(urls) == (config is not None):
        raise UsageError("no-target", "give URLs or a configuration", hint="parkwarden record http://host:6060 -o FILE")
    for_s = None
    if length is not None:
        for_s = float(length) if length.replace(".", "", 1).isdigit() else duration_s(length)
        if not for_s:
            raise UsageError("bad-length", "--for is no length of time", hint="write 30s, 10m or 8h")
    chosen = load(config) if config is not None else from_urls(urls or [])
    sink = Sink(output, force=force)
    with progress() as tell:
        recorded = asyncio.run(record(chosen, sink, for_s, tell))
    instances = f"{recorded.instances:,} instance{'s' * (recorded.instances != 1)}"
    typer.echo(f"{output}: {recorded.events:,} events of {instances}, {recorded.redacted:,} redacted", err=True)
    typer.echo(f"next: parkwarden replay {output}", err=True)
