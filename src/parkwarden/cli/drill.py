"""`parkwarden drill`: take something away from a real service under load, and see whether it lives."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from parkwarden.cli.options import Force, Output, TextOrJson, deliver, refuse_existing
from parkwarden.cli.options import seconds as _seconds

if TYPE_CHECKING:
    from parkwarden.run.drill import OwnService

app = typer.Typer(
    help="Take something away from a real service under load, and see whether it lives.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


class DrilledService(StrEnum):
    """The order desk, by what it sends telemetry with; and the lab whose agent dies of a full queue."""

    OTEL = "otel"
    OTEL_HTTP = "otel-http"
    SKYWALKING = "skywalking"
    RECURSION = "reporter-recursion"


class DrilledFault(StrEnum):
    """How the back end is gone (run/backends)."""

    REFUSED = "refused"
    BLACK_HOLE = "black-hole"
    SILENT = "silent"
    HANG = "hang"
    SLOW_DRAIN = "slow-drain"
    RESET = "reset"
    UNIMPLEMENTED = "unimplemented"
    RESOURCE_EXHAUSTED = "resource-exhausted"
    FLAPPING = "flapping"


@app.callback()
def _drill() -> None:
    """Keeps the name of the drill in the command line, though there is one only."""


@app.command("backend-unreachable")
def backend_unreachable_command(
    command: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[-- COMMAND ...]",
            help="Your own service in place of ours, with --url: started for each back end, {backend} stands for its host:port.",
        ),
    ] = None,
    url: Annotated[
        str | None, typer.Option("--url", metavar="URL", help="Your own service: what to load, on this machine.")
    ] = None,
    debug: Annotated[
        str | None,
        typer.Option("--debug", metavar="URL", help="Your own service: its pprof pages, if not where --url is."),
    ] = None,
    service: Annotated[
        list[DrilledService] | None,
        typer.Option(
            "--service",
            help="What to drill (repeatable): OpenTelemetry's Go SDK over gRPC or HTTP, SkyWalking's agent; or one that dies of it, to see that a drill sees it.",
        ),
    ] = None,
    fault: Annotated[
        list[DrilledFault] | None, typer.Option("--backend", help="How the back end is gone (repeatable).")
    ] = None,
    rate: Annotated[float, typer.Option("--rate", metavar="N", help="Requests a second.")] = 200.0,
    before_s: Annotated[
        float, typer.Option("--before", parser=_seconds, metavar="TIME", help="Load while the back end is well.")
    ] = 10.0,
    during_s: Annotated[
        float, typer.Option("--during", parser=_seconds, metavar="TIME", help="Load while it is gone.")
    ] = 30.0,
    after_s: Annotated[
        float, typer.Option("--after", parser=_seconds, metavar="TIME", help="Load when it is well again.")
    ] = 25.0,
    exit_limit_s: Annotated[
        float,
        typer.Option(
            "--exit-limit", parser=_seconds, metavar="TIME", help="How long it may take to end before it is killed."
        ),
    ] = 60.0,
    leak_per_s: Annotated[
        float,
        typer.Option(
            "--plant-leak", metavar="N", help="Leave N goroutines a second behind, to see that the detectors see them."
        ),
    ] = 0.0,
    report_format: Annotated[TextOrJson, typer.Option("--format", help="How to report.")] = TextOrJson.TEXT,
    output: Output = None,
    force: Force = False,
) -> None:
    """The telemetry back end goes away: does the service live, what does it lose, how long does it take to end?

    Builds a small Go service that is instrumented for real, starts it on the loopback, loads it, and takes its back end away in
    known ways; the detectors of `check` judge it all the while. By default: otel and skywalking; refused, black-hole, hang and
    slow-drain: 15 minutes. Needs Go and, for the first build, a Go module proxy.

    With --url and a command it is your own service: it gets the back end's address as OTEL_EXPORTER_OTLP_ENDPOINT,
    SW_AGENT_REPORTER_GRPC_BACKEND_SERVICE and wherever {backend} stands in its command. It must end on SIGTERM and serve
    /debug/pprof.

    Exit codes: 0 every service came through unharmed, 1 one was harmed or died, 2 usage, 4 the modules cannot be fetched.

    \b
    parkwarden drill backend-unreachable --service otel --backend refused
    parkwarden drill backend-unreachable --format json -o drill.json
    parkwarden drill backend-unreachable --url http://127.0.0.1:8080/orders -- ./shop -addr 127.0.0.1:8080
    """
    from parkwarden.cli.progress import printed, progress
    from parkwarden.model.drill import Harm
    from parkwarden.model.finding import Exit
    from parkwarden.report.drill import drill_to_json, print_drill
    from parkwarden.run.backends import Fault
    from parkwarden.run.drill import DEFAULT_FAULTS, DEFAULT_SERVICES, DrillOptions, backend_unreachable

    refuse_existing(output, force)
    options = DrillOptions(
        services=tuple(dict.fromkeys(one.value for one in service)) if service else DEFAULT_SERVICES,
        faults=tuple(dict.fromkeys(Fault(one.value) for one in fault)) if fault else DEFAULT_FAULTS,
        rate_per_s=rate,
        before_s=before_s,
        during_s=during_s,
        after_s=after_s,
        exit_limit_s=exit_limit_s,
        own=_own(command, url, debug, service),
        leak_per_s=leak_per_s,
    )
    with progress() as tell:
        result = backend_unreachable(options, tell)
    if report_format is TextOrJson.JSON:
        deliver(drill_to_json(result) + "\n", output, force)
    else:
        with printed(output, force) as console:
            print_drill(result, console)
    if result.harm is not Harm.UNHARMED:
        raise typer.Exit(int(Exit.FOUND))


def _own(
    command: list[str] | None, url: str | None, debug: str | None, service: list[DrilledService] | None
) -> OwnService | None:
    """The user's own service, if one is given."""
    from urllib.parse import urlsplit

    from parkwarden.model.errors import UsageError
    from parkwarden.run.drill import OwnService

    if not command and url is None and debug is None:
        return None
    if not command or url is None or service:
        raise UsageError(
            "drill-command",
            "a service of your own needs --url and a command, and takes the place of --service",
            hint="parkwarden drill backend-unreachable --url http://127.0.0.1:8080/orders -- ./shop -addr 127.0.0.1:8080",
        )
    base = urlsplit(url)
    return OwnService(command=tuple(command), url=url, debug=debug or f"{base.scheme}://{base.netloc}")
