"""`parkwarden stacks`: what goroutines are doing, clustered; over several files, how that changed."""

from __future__ import annotations

from typing import Annotated

import typer

from parkwarden.cli.options import Force, Modules, NoRedact, Output, ShowAll, TextOrJson, deliver


def command(
    inputs: Annotated[
        list[str],
        typer.Argument(metavar="FILE|DIR|URL|-", help="Anything that names goroutines: dump, profile, trace."),
    ],
    diff: Annotated[
        bool, typer.Option("--diff", help="Compare the inputs in time: which clusters grew, which goroutines stayed.")
    ] = False,
    report_format: Annotated[TextOrJson, typer.Option("--format", help="How to print.")] = TextOrJson.TEXT,
    output: Output = None,
    force: Force = False,
    module: Modules = None,
    no_redact: NoRedact = False,
    show_all: ShowAll = False,
) -> None:
    """Cluster goroutines by what they do and where.

    Dumps, profiles and traces compare with each other: the same place has the same id in all of them.

    \b
    parkwarden stacks goroutine.txt
    parkwarden stacks --diff before.txt.gz after.pb.gz trace.out
    """
    from parkwarden.cli.progress import printed, progress
    from parkwarden.model.errors import FormatError, UsageError
    from parkwarden.run.diagnose import Options, open_case

    options = Options(modules=tuple(module or ()), redact=not no_redact)
    with progress() as tell:
        case, redacted = open_case(inputs, options, tell)
    if not case.looks:
        raise FormatError(
            "no-goroutines",
            "none of the inputs names goroutines",
            context="; ".join(f"{a.name}: {a.kind}" for a in case.artefacts[:8]),
            hint="save one with: curl -o goroutine.pb.gz http://HOST:6060/debug/pprof/goroutine",
        )
    if diff and len(case.looks) < 2:
        raise UsageError("one-snapshot", "--diff needs two inputs or more", hint="name the earlier file as well")
    if report_format is TextOrJson.JSON:
        from parkwarden.report.json import clusters_to_json

        deliver(clusters_to_json(case, redacted) + "\n", output, force)
        return
    from parkwarden.report.terminal import print_clusters

    with printed(output, force) as console:
        print_clusters(case, console, diff=diff, show_all=show_all)
