"""`parkwarden lab`: real Go services that break in known ways, and the files somebody would have saved from them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parkwarden.cli.options import TextOrJson

if TYPE_CHECKING:
    from parkwarden.collect.limits import Tell
    from parkwarden.run.lab import LabProcess, LabResult

app = typer.Typer(
    help="Go services that break in known ways: build one, load it, save its evidence, and try `diagnose` on it.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


@app.command("list")
def list_command(
    report_format: Annotated[TextOrJson, typer.Option("--format", help="How to print.")] = TextOrJson.TEXT,
) -> None:
    """Which labs there are, what each tells, and what it needs.

    \b
    parkwarden lab list
    """
    from parkwarden.run.lab import labs

    known = labs()
    if report_format is TextOrJson.JSON:
        import json

        typer.echo(json.dumps({"schema": "parkwarden.labs/1", "labs": [lab.as_dict() for lab in known]}, indent=2))
        return
    from rich.table import Table

    from parkwarden.cli.progress import printed

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("name", no_wrap=True)
    table.add_column("load", no_wrap=True)
    table.add_column("needs", no_wrap=True)
    table.add_column("what it is, and what it saves", overflow="fold")
    needs = {"stdlib": "Go", "modules": "Go, modules"}
    for lab in known:
        table.add_row(lab.name, f"{lab.seconds} s", needs[lab.needs], f"{lab.title}: {', '.join(lab.saves)}")
    with printed(None, force=False) as screen:
        screen.print(table)
        screen.print("\nparkwarden lab run NAME -o DIR, then parkwarden diagnose DIR")


@app.command("run")
def run_command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Which lab (parkwarden lab list).")],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Folder for the files it saves.")],
    force: Annotated[bool, typer.Option("--force", help="Write into DIR though it is not empty.")] = False,
    seconds: Annotated[float | None, typer.Option("--seconds", help="Load it for at most this long.")] = None,
    pattern: Annotated[
        str | None,
        typer.Option("--pattern", metavar="P", help="leaks: only this pattern; fd-leak, thread-leak: which way."),
    ] = None,
    innocent: Annotated[
        bool, typer.Option("--innocent", help="leaks: the innocent twins instead; others: no leak.")
    ] = False,
    keep_running: Annotated[
        bool, typer.Option("--keep-running", help="Leave the service up afterwards, until Ctrl-C.")
    ] = False,
) -> None:
    """Build a lab, load it until it breaks, and save what an operator would have saved.

    \b
    parkwarden lab run timing-wheel -o night
    parkwarden diagnose night
    """
    from parkwarden.cli.progress import progress
    from parkwarden.run.lab import run_lab

    def hold(service: LabProcess, result: LabResult) -> None:
        _print_result(result)
        _wait_for_end(service, tell)

    with progress() as tell:
        result = run_lab(
            name,
            output,
            force=force,
            seconds=seconds,
            pattern=pattern,
            innocent=innocent,
            tell=tell,
            hold=hold if keep_running else None,
        )
    if not keep_running:
        _print_result(result)


def _print_result(result: LabResult) -> None:
    from parkwarden.report.safe import inert

    typer.echo(f"{result.lab.name}: {result.lab.title} ({result.seconds:.0f} s)")
    for note in result.notes:
        typer.echo(f"  {inert(note)}")
    width = max(len(name) for name, _size in result.files)
    for name, size in result.files:
        typer.echo(f"  {result.folder / name}{' ' * (width - len(name))}  {size:>10,} bytes")
    typer.echo(f"next: parkwarden diagnose {result.folder}")
    sys.stdout.flush()


def _wait_for_end(service: LabProcess, tell: Tell) -> None:
    """Say where the service is and wait for Ctrl-C, or for the service's own end."""
    tell(f"{service.name} is up at {service.url}; Ctrl-C ends it", 1.0)
    print(f"the service is up at {service.url} (pid {service.pid}); Ctrl-C ends it", file=sys.stderr, flush=True)
    try:
        service.process.wait()
    except KeyboardInterrupt:
        return
    print("the service has ended by itself", file=sys.stderr)
