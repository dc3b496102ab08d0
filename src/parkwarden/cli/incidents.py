"""`parkwarden incidents`: look at what is wrong, take it on, keep it quiet for a while."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from parkwarden.cli.options import TextOrJson

if TYPE_CHECKING:
    from collections.abc import Sequence

    from parkwarden.model import Incident, Silence

app = typer.Typer(
    help="""What is wrong with whom: list, acknowledge, silence, resolve. A watch that runs hears of it within seconds.

    \b
    parkwarden incidents list
    parkwarden incidents show c84808b1
    parkwarden incidents ack c84808b1 --why "looking at it"
    parkwarden incidents resolve c84808b1 --why "rolled back to v41"
    parkwarden incidents silence service=orders --for 4h --why "load test"
    """,
    no_args_is_help=True,
    rich_markup_mode=None,
)

Config = Annotated[
    Path | None, typer.Option("-c", "--config", metavar="FILE", help="The watch's configuration: its store is used.")
]
Data = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="The watch's folder (default: parkwarden-data).")
]
Format = Annotated[TextOrJson, typer.Option("--format", help="How to print.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="The first letters are enough.")]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="Why; whoever looks at the incident reads it.")]
By = Annotated[str | None, typer.Option("--by", metavar="NAME", help="Who you are (default: your login name).")]


@app.command("list")
def list_command(
    everything: Annotated[bool, typer.Option("--all", help="Resolved ones too.")] = False,
    service: Annotated[str | None, typer.Option("--service", help="Of this service only.")] = None,
    config: Config = None,
    data: Data = None,
    report_format: Format = TextOrJson.TEXT,
) -> None:
    """List open incidents, the most urgent first, and the silences that last.

    \b
    parkwarden incidents list -c parkwarden.yaml
    parkwarden incidents list --all --service shop --format json
    """
    import time

    from parkwarden.run.incidents import listed, open_state

    with open_state(config, data) as state:
        rows = listed(state, everything=everything, service=service)
        silences = state.silences(time.time())
    if report_format is TextOrJson.JSON:
        _print_json(rows, silences)
        return
    _print_table(rows)
    for s in silences:
        _say(
            f"silence {s.id}: {_matchers(s)} until {_moment(s.ends_at)}"
            + (f", by {s.created_by}" if s.created_by else "")
        )


@app.command("show")
def show_command(start: Id, config: Config = None, data: Data = None, report_format: Format = TextOrJson.TEXT) -> None:
    """Show one incident: what, which line, since when, how fast, time left, what to do.

    \b
    parkwarden incidents show c84808b1 -c parkwarden.yaml
    """
    from parkwarden.alert.text import plain, title
    from parkwarden.model import Notification, Tell
    from parkwarden.model.incident import IncidentState
    from parkwarden.run.incidents import found, open_state

    with open_state(config, data) as state:
        row = found(state, start)
    if report_format is TextOrJson.JSON:
        _print_json([row], [])
        return
    tell = Tell.RESOLVED if row.state is IncidentState.RESOLVED else Tell.FIRING
    n = Notification(key="", incident_id=row.id, channel="", tell=tell, at=row.last_seen, incident=row)
    typer.echo(f"{title(n)}\nState: {row.state.value}\n{plain(n)}")


@app.command("ack")
def ack_command(
    start: Id,
    why: Why = "",
    by: By = None,
    config: Config = None,
    data: Data = None,
    report_format: Format = TextOrJson.TEXT,
) -> None:
    """Take an incident on: reminders stop, everybody who was told of it is told so.

    \b
    parkwarden incidents ack c84808b1 --by eva --why "looking at it"
    """
    import time

    from parkwarden.run.incidents import acknowledge, open_state

    with open_state(config, data) as state:
        row = acknowledge(state, start, by or _login(), time.time(), why)
    if report_format is TextOrJson.JSON:
        _print_json([row], [])
    else:
        _say(f"{row.id} is acknowledged by {row.acknowledged_by}")


@app.command("resolve")
def resolve_command(
    start: Id,
    why: Why = "",
    by: By = None,
    config: Config = None,
    data: Data = None,
    report_format: Format = TextOrJson.TEXT,
) -> None:
    """Say that an incident is over: it was seen to, or it was none.

    It stays resolved although the windows show the old growth for a while. It opens again, under its id, when it is more urgent than
    it was, when it was away and comes back, or when it is still found an hour later (alert.believe_s).

    \b
    parkwarden incidents resolve c84808b1 --by eva --why "rolled back to v41"
    """
    import time

    from parkwarden.run.incidents import open_state, resolve

    with open_state(config, data) as state:
        row = resolve(state, start, by or _login(), time.time(), why)
    if report_format is TextOrJson.JSON:
        _print_json([row], [])
    else:
        _say(f"{row.id} is resolved by {row.closed_by}")


@app.command("silence")
def silence_command(
    matchers: Annotated[
        list[str],
        typer.Argument(metavar="MATCHER...", help="label=value, label=~regex or an incident's ID; all must match."),
    ],
    lasts: Annotated[str, typer.Option("--for", metavar="TIME", help="How long: 30m, 2h, 1d12h.")] = "2h",
    why: Annotated[str, typer.Option("--why", "--comment", metavar="TEXT", help="Why.")] = "",
    by: By = None,
    config: Config = None,
    data: Data = None,
    report_format: Format = TextOrJson.TEXT,
) -> None:
    """Tell nobody about incidents that match, for a while; they are still watched.

    \b
    parkwarden incidents silence service=orders env=staging --for 4h --why "load test"
    """
    import time
    from uuid import uuid4

    from parkwarden.run.incidents import open_state, silence

    with open_state(config, data) as state:
        made = silence(state, matchers, lasts, time.time(), uuid4().hex[:16], by=by or _login(), comment=why)
    if report_format is TextOrJson.JSON:
        _print_json([], [made])
    else:
        _say(f"silence {made.id}: {_matchers(made)} until {_moment(made.ends_at)}")


@app.command("unsilence")
def unsilence_command(
    silence_id: Annotated[str, typer.Argument(metavar="ID", help="Of the silence, as `list` shows it.")],
    why: Why = "",
    by: By = None,
    config: Config = None,
    data: Data = None,
) -> None:
    """End a silence now.

    \b
    parkwarden incidents unsilence 9381c10d
    """
    import time

    from parkwarden.run.incidents import open_state, unsilence

    with open_state(config, data) as state:
        unsilence(state, silence_id, by or _login(), time.time(), why)
    _say(f"silence {silence_id} has ended")


def _print_json(rows: Sequence[Incident], silences: Sequence[Silence]) -> None:
    import json

    from parkwarden.run.incidents import as_json

    typer.echo(json.dumps(as_json(rows, silences), indent=2, ensure_ascii=True))


def _print_table(rows: Sequence[Incident]) -> None:
    from parkwarden.alert.text import time_left
    from parkwarden.model.safe import inert, middle

    if not rows:
        typer.echo("no incident is open")
        return
    table = [("ID", "PRIO", "STATE", "SERVICE", "WHAT", "LINE", "TIME LEFT")]
    for row in rows:
        aside = (
            "acknowledged"
            if row.acknowledged
            else "silenced"
            if row.silenced_until
            else "inhibited"
            if row.inhibited_by
            else ""
        )
        state = f"{row.state.value} ({aside})" if aside else row.state.value
        where = f"{row.service} ({row.env})" if row.env else row.service
        cells = (row.id[:16], row.priority.value, state, where, row.detector, middle(row.line, 60), time_left(row))
        table.append(tuple(inert(cell, 80) for cell in cells))  # type: ignore[arg-type]
    widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
    for line in table:
        typer.echo("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _matchers(silence: Silence) -> str:
    return " ".join(f"{name}={value}" for name, value in silence.matchers.items())


def _moment(at: float) -> str:
    from parkwarden.alert.text import moment

    return moment(at)


def _say(text: str) -> None:
    from parkwarden.model.safe import inert

    typer.echo(inert(text))


def _login() -> str:
    import getpass

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "somebody"
