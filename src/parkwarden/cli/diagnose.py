"""`parkwarden diagnose`: a bag of files or a live URL in, one ranked verdict out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from parkwarden.cli.options import Force, Modules, NoRedact, Output, ReportFormat, ShowAll, deliver


def command(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE|DIR|URL|-",
            help="Profiles, dumps, traces, crash logs, archives or folders of them, - for standard input, or the base "
            "URL of a live service (http://host:6060).",
        ),
    ],
    report_format: Annotated[ReportFormat, typer.Option("--format", help="How to report.")] = ReportFormat.TEXT,
    output: Output = None,
    force: Force = False,
    module: Modules = None,
    source: Annotated[
        Path | None,
        typer.Option("--source", metavar="DIR", help="Your source tree: the culprit's statement is shown from it."),
    ] = None,
    no_redact: NoRedact = False,
    show_all: ShowAll = False,
    watch_s: Annotated[
        float, typer.Option("--for", metavar="SECONDS", help="Live: time between the first and the last look.")
    ] = 3.0,
    no_leak_profile: Annotated[
        bool, typer.Option("--no-leak-profile", help="Live: never run Go's leak profile (it is a GC cycle).")
    ] = False,
    no_census: Annotated[
        bool, typer.Option("--no-census", help="Live: never take a 50 ms trace (the census of goroutines).")
    ] = False,
    no_text_dump: Annotated[
        bool, typer.Option("--no-text-dump", help="Live: never take a full text dump (it stops the world).")
    ] = False,
    any_size: Annotated[
        bool, typer.Option("--any-size", help="Live: take the dear looks even of very many goroutines.")
    ] = False,
    save: Annotated[
        Path | None, typer.Option("--save", metavar="DIR", help="Live: keep what was captured in DIR, as it came.")
    ] = None,
) -> None:
    """Name the line that leaks, from files or a live service.

    Everything is recognised by content: goroutine dumps and profiles, heap, cpu, block, mutex, threadcreate, goroutineleak,
    execution traces, expvar, Prometheus pages, crash logs, kernel OOM lines; plain or in gz, zst, xz, zip, tar.

    \b
    parkwarden diagnose goroutine.txt trace.out heap.pb.gz
    parkwarden diagnose incident.zip --source ~/src/shop --format html -o report.html
    parkwarden diagnose http://localhost:6060
    kubectl logs --previous mypod | parkwarden diagnose -
    """
    from parkwarden.cli.progress import progress
    from parkwarden.collect.live import LiveOptions
    from parkwarden.model.finding import Exit
    from parkwarden.run.diagnose import Options, diagnose

    options = Options(
        modules=tuple(module or ()),
        source=source,
        redact=not no_redact,
        live=LiveOptions(
            interval_s=watch_s,
            leak_profile=not no_leak_profile,
            census=not no_census,
            text_dump=not no_text_dump,
            any_size=any_size,
        ),
        save=save,
    )
    with progress() as tell:
        result = diagnose(inputs, options, tell)
    if report_format is ReportFormat.JSON:
        from parkwarden.report.json import report_to_json

        deliver(report_to_json(result.report) + "\n", output, force)
    elif report_format is ReportFormat.HTML:
        from parkwarden.report.html import render

        deliver(render(result.report, result.case), output, force)
    else:
        from parkwarden.cli.progress import printed
        from parkwarden.report.terminal import print_cost, print_report

        with printed(output, force) as console:
            print_report(result.report, result.case, console, show_all=show_all)
            if result.cost:
                print_cost(result.cost, console)
    if any(f.verdict.certain for f in result.report.findings):
        raise typer.Exit(int(Exit.FOUND))
    if result.unreachable:
        raise typer.Exit(int(Exit.UNREACHABLE))
    if result.nothing_readable:
        raise typer.Exit(int(Exit.UNREADABLE))
