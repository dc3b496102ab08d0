"""`parkwarden check`: watch briefly, judge, exit 0 or 1: for pipelines."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from parkwarden.cli.options import Force, Modules, NoRedact, Output, deliver, refuse_existing
from parkwarden.cli.options import seconds as _seconds


class CheckFormat(StrEnum):
    """Output formats of `check`."""

    TEXT = "text"
    JSON = "json"
    JUNIT = "junit"


def command(
    inputs: Annotated[
        list[str],
        typer.Argument(
            metavar="URL|FILE",
            help="Live services (http://host:6060), checked side by side; or dumps or profiles of one process, the first of "
            "which is the baseline of the last.",
        ),
    ],
    watch_s: Annotated[
        float,
        typer.Option("--for", parser=_seconds, metavar="TIME", help="How long live services are watched: 30s, 2m."),
    ] = 30.0,
    baseline: Annotated[
        Path | None,
        typer.Option(
            "--baseline",
            metavar="FILE",
            help="What it began with: written by --write-baseline, or any dump or profile.",
        ),
    ] = None,
    write_baseline: Annotated[
        Path | None, typer.Option("--write-baseline", metavar="FILE", help="Keep what stands at the end as a baseline.")
    ] = None,
    tolerance: Annotated[
        int, typer.Option("--tolerance", metavar="N", help="Goroutines more than the baseline that are no leak.")
    ] = 2,
    report_format: Annotated[CheckFormat, typer.Option("--format", help="How to report.")] = CheckFormat.TEXT,
    output: Output = None,
    force: Force = False,
    module: Modules = None,
    no_leak_profile: Annotated[
        bool, typer.Option("--no-leak-profile", help="Never run Go's leak profile (it is a GC cycle).")
    ] = False,
    no_census: Annotated[
        bool,
        typer.Option(
            "--no-census", help="Never trace (a census is a trace of 100 ms); text dumps of small services stand in."
        ),
    ] = False,
    record: Annotated[
        Path | None,
        typer.Option(
            "--record",
            metavar="FILE",
            help="Keep what was seen as a recording (.jsonl, .gz, .zst), for `replay` and bug reports.",
        ),
    ] = None,
    no_redact: NoRedact = False,
) -> None:
    """Pass or fail: does it leak, and does it end with the goroutines it began with?

    Exit codes: 0 passed, 1 a leak or more goroutines than the baseline and the tolerance, 2 usage, 3 nothing readable,
    4 a service did not answer.

    \b
    parkwarden check http://localhost:6060 --for 30s
    parkwarden check http://localhost:6060 --for 1s --write-baseline begin.json
    parkwarden check http://localhost:6060 --baseline begin.json --format junit -o leaks.xml
    parkwarden check before.txt after.txt
    """
    from parkwarden.cli.progress import printed, progress
    from parkwarden.model.finding import Exit
    from parkwarden.run.check import CheckOptions, baselines_of, check

    options = CheckOptions(
        for_s=watch_s,
        leak_profile=not no_leak_profile,
        census=not no_census,
        baseline=baseline,
        tolerance=tolerance,
        modules=tuple(module or ()),
        redact=not no_redact,
        record=record,
        force=force,
    )
    for path in (write_baseline, output, record):
        refuse_existing(path, force)
    with progress() as tell:
        result = check(inputs, options, tell)
    if write_baseline is not None and (kept := baselines_of(result)):
        from parkwarden.formats.baseline import write

        deliver(write(kept), write_baseline, force)
    if report_format is CheckFormat.JSON:
        from parkwarden.report.check import check_to_json

        deliver(check_to_json(result) + "\n", output, force)
    elif report_format is CheckFormat.JUNIT:
        from parkwarden.report.check import check_to_junit

        deliver(check_to_junit(result), output, force)
    else:
        from parkwarden.report.check import print_check

        with printed(output, force) as console:
            print_check(result, console)
    if result.exit is not Exit.OK:
        raise typer.Exit(int(result.exit))
