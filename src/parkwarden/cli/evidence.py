"""`parkwarden evidence list|show|open`: what was saved when something was found."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from parkwarden.cli.options import Force, Output, TextOrJson, deliver

app = typer.Typer(
    help="What was saved when something was found: profiles, traces, dumps, redacted.", no_args_is_help=True, rich_markup_mode=None
)  # fmt: skip

Config = Annotated[
    Path | None, typer.Option("-c", "--config", metavar="FILE", help="The watch's configuration: its store is read.")
]
Data = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="The watch's folder (default: parkwarden-data).")
]
Format = Annotated[TextOrJson, typer.Option("--format", help="How to print.")]
Digest = Annotated[str, typer.Argument(metavar="DIGEST", help="The first digits are enough.")]


@app.command("list")
def list_command(
    service: Annotated[str | None, typer.Option("--service", help="Of this service only.")] = None,
    instance: Annotated[str | None, typer.Option("--instance", help="Of this instance only.")] = None,
    since: Annotated[
        str | None, typer.Option("--since", metavar="TIME", help="Not older: 2h, 3d, 2026-11-21T08:00 (UTC).")
    ] = None,
    report_format: Format = TextOrJson.TEXT,
    config_file: Config = None,
    data: Data = None,
    output: Output = None,
    force: Force = False,
) -> None:
    """List what is kept, newest first.

    \b
    parkwarden evidence list --service shop --since 2h -c parkwarden.yaml
    """
    import time

    from parkwarden.report.evidence import evidence_to_json, evidence_to_text
    from parkwarden.run.evidence import open_store, settings_of, since_time

    after = None if since is None else since_time(since, time.time())
    items = open_store(settings_of(config_file, data)).list(service=service, instance=instance, since=after)
    text = evidence_to_json(items) + "\n" if report_format is TextOrJson.JSON else evidence_to_text(items)
    deliver(text, output, force)


@app.command("show")
def show_command(
    digest: Digest,
    report_format: Format = TextOrJson.TEXT,
    config_file: Config = None,
    data: Data = None,
    output: Output = None,
    force: Force = False,
) -> None:
    """Show what is known of one item: what it is, of whom, why it was taken.

    \b
    parkwarden evidence show 3fa92c1b04d7
    """
    from parkwarden.report.evidence import evidence_to_json, item_to_text
    from parkwarden.run.evidence import open_store, settings_of

    item = open_store(settings_of(config_file, data)).find(digest)
    deliver(evidence_to_json([item]) + "\n" if report_format is TextOrJson.JSON else item_to_text(item), output, force)


@app.command("open")
def open_command(
    digest: Digest,
    diagnose: Annotated[
        bool, typer.Option("--diagnose", help="Run `parkwarden diagnose` over it instead of writing it.")
    ] = False,
    report_format: Annotated[
        TextOrJson, typer.Option("--format", help="With --diagnose: how to report.")
    ] = TextOrJson.TEXT,
    config_file: Config = None,
    data: Data = None,
    output: Output = None,
    force: Force = False,
) -> None:
    """Write one item as the field's own tools read it, to FILE or standard output.

    \b
    parkwarden evidence open 3fa92c1b04d7 -o leak.pb.gz && go tool pprof leak.pb.gz
    parkwarden evidence open 3fa92c1b04d7 --diagnose
    """
    from parkwarden.run.evidence import diagnose_item, open_store, settings_of

    settings = settings_of(config_file, data)
    if not diagnose:
        item, body = open_store(settings).open(digest)
        _refuse_terminal(body, output, item.file)
        deliver(body, output, force)
        return
    result = diagnose_item(settings, digest)
    if report_format is TextOrJson.JSON:
        from parkwarden.report.json import report_to_json

        deliver(report_to_json(result.report) + "\n", output, force)
        return
    from parkwarden.cli.progress import printed
    from parkwarden.report.terminal import print_report

    with printed(output, force) as console:
        print_report(result.report, result.case, console)


def _refuse_terminal(body: bytes, output: Path | None, name: str) -> None:
    """Bytes that are no text, and escape sequences of a watched process, do not go to a terminal."""
    import sys

    if output is None and sys.stdout.isatty() and any(byte < 32 and byte not in b"\t\n\r" for byte in body[:65536]):
        from parkwarden.model.errors import UsageError

        raise UsageError("binary-to-terminal", "this is not text", hint=f"write it to a file: -o {name}")
