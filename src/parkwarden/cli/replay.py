"""`parkwarden replay`: recordings and scenarios judged on virtual time."""

from __future__ import annotations

from typing import Annotated

import typer

from parkwarden.cli.options import Force, Modules, NoRedact, Output, ShowAll, TextOrJson, deliver


def command(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE|-",
            help="Recordings (JSON lines; gz, zst, xz too; several are one fleet) or scenarios (text), - for standard input.",
        ),
    ],
    rules: Annotated[
        str | None,
        typer.Option(
            "--rules", metavar="FILE", help="Thresholds: YAML, a configuration or its `rules:` section alone."
        ),
    ] = None,
    compare: Annotated[
        str | None,
        typer.Option("--compare", metavar="FILE", help="Judge by these rules too, in the same pass, and show both."),
    ] = None,
    report_format: Annotated[TextOrJson, typer.Option("--format", help="How to report.")] = TextOrJson.TEXT,
    output: Output = None,
    force: Force = False,
    module: Modules = None,
    no_redact: NoRedact = False,
    show_all: ShowAll = False,
) -> None:
    """Judge what was recorded, on its own time.

    A recording is judged by the same engine as a live fleet. A scenario is a fleet's life that you write; its `expect` lines are
    checked, and one that is not met ends with exit code 1. Without such lines, a leak does. docs/recording.md tells both formats.

    \b
    parkwarden replay night.jsonl.zst
    parkwarden replay night.jsonl.zst --rules mine.yaml --compare theirs.yaml
    parkwarden replay tests/scenarios/*.txt
    """
    from parkwarden.cli.progress import printed, progress
    from parkwarden.judge.fleet.rules import Rules
    from parkwarden.model.finding import Exit
    from parkwarden.run.config import load_rules
    from parkwarden.run.replay import Options, replay

    options = Options(
        rules=load_rules(rules) if rules else Rules(),
        rules_name=rules or "default rules",
        other=load_rules(compare) if compare else None,
        other_name=compare or "",
        modules=tuple(module or ()),
        redact=not no_redact,
    )
    with progress() as tell:
        result = replay(files, options, tell)
    if report_format is TextOrJson.JSON:
        from parkwarden.report.json import report_to_json

        text = report_to_json(result.report, comparison=result.comparison, checked=result.checked)
        deliver(text + "\n", output, force)
    else:
        from parkwarden.report.terminal import print_replay

        with printed(output, force) as console:
            print_replay(
                result.report,
                console,
                comparison=result.comparison,
                checked=result.checked,
                recorded=not result.scenarios_only,
                show_all=show_all,
            )
    if result.failed:
        raise typer.Exit(int(Exit.FOUND))
