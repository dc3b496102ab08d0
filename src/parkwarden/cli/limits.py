"""`parkwarden limits`: which limit breaks first, and values that fit together."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from parkwarden.cli.options import Force, Output, TextOrJson, deliver, refuse_existing, seconds


class ProfileName(StrEnum):
    """Kinds of service whose limits are known."""

    GATEWAY = "gateway"
    STREAMING = "streaming"
    CUSTOM = "custom"


class SnippetName(StrEnum):
    """Snippets that can be printed."""

    SYSTEMD = "systemd"
    KUBERNETES = "kubernetes"
    GO = "go"
    ALL = "all"


def command(
    target: Annotated[
        str, typer.Argument(metavar="PID|URL", help="A process of this host, or a service (http://host:6060).")
    ],
    profile: Annotated[
        ProfileName,
        typer.Option(
            "--profile",
            help="What kind of service: gateway 2048/1536/30 s, streaming 4096/3072/15 s (ulimit -u, SetMaxThreads, timeout), or custom.",
        ),
    ] = ProfileName.GATEWAY,
    load: Annotated[
        int | None, typer.Option("--load", metavar="N", help="Concurrent requests it must hold.", min=1)
    ] = None,
    for_s: Annotated[
        float,
        typer.Option(
            "--for", parser=seconds, metavar="TIME", help="How long the trend is looked at: 10s, 2m; 0 for one look."
        ),
    ] = 10.0,
    source: Annotated[
        Path | None,
        typer.Option(
            "--source",
            metavar="DIR",
            help="The service's Go source: its http.Server timeouts and SetMaxThreads are read there.",
        ),
    ] = None,
    peer_keepalive_s: Annotated[
        float | None,
        typer.Option(
            "--peer-keepalive",
            parser=seconds,
            metavar="TIME",
            help="How long balancers or clients keep idle connections: 60s.",
        ),
    ] = None,
    process_limit: Annotated[
        int | None, typer.Option("--process-limit", metavar="N", help="custom: ulimit -u.", min=1)
    ] = None,
    max_threads: Annotated[
        int | None, typer.Option("--max-threads", metavar="N", help="custom: debug.SetMaxThreads.", min=1)
    ] = None,
    timeout_s: Annotated[
        float | None, typer.Option("--timeout", parser=seconds, metavar="TIME", help="custom: the server's timeouts.")
    ] = None,
    streaming: Annotated[bool, typer.Option("--streaming", help="custom: answers are streams.")] = False,
    snippet: Annotated[
        SnippetName | None, typer.Option("--snippet", help="Print the proposed values ready to paste.")
    ] = None,
    report_format: Annotated[TextOrJson, typer.Option("--format", help="How to print.")] = TextOrJson.TEXT,
    output: Output = None,
    force: Force = False,
    proc: Annotated[
        str, typer.Option("--proc", metavar="DIR", help="The proc filesystem, e.g. a host's in a container.")
    ] = "/proc",
) -> None:
    """Which limit breaks first, at the present trend and under load, and values that fit together.

    Reads what is in force (ulimit, cgroup, GOMEMLIMIT, GOGC, GOMAXPROCS; of a service on another host only what its pages tell),
    checks that the limits fit together, and proposes values with reasons. Exit codes: 0 nothing wrong, 1 a limit is running out, the load
    does not fit or limits contradict each other, 2 usage, 4 nobody there.

    \b
    parkwarden limits http://localhost:6060 --load 500
    parkwarden limits 4242 --profile streaming --source . --snippet systemd
    parkwarden limits http://localhost:6060 --profile custom --max-threads 500 --timeout 60s
    """
    from parkwarden.cli.progress import printed, progress
    from parkwarden.judge.limits.presets import PRESETS, custom
    from parkwarden.model.errors import UsageError
    from parkwarden.model.finding import Exit
    from parkwarden.report.limit_snippets import Snippet
    from parkwarden.run.limits import LimitOptions, examine

    own = {"process_limit": process_limit, "max_threads": max_threads, "timeout_s": timeout_s}
    if profile is ProfileName.CUSTOM:
        chosen = custom(process_limit=process_limit, max_threads=max_threads, timeout_s=timeout_s, streaming=streaming)
    elif streaming or any(value is not None for value in own.values()):
        raise UsageError(
            "profile-not-custom",
            "these numbers are for --profile custom",
            hint="add --profile custom, or leave them out",
        )
    else:
        chosen = PRESETS[profile.value]
    refuse_existing(output, force)
    options = LimitOptions(
        profile=chosen, load=load, for_s=for_s, source=source, peer_keepalive_s=peer_keepalive_s, proc=proc
    )
    with progress() as tell:
        examined = examine(target, options, tell)
    which = Snippet(snippet.value) if snippet is not None else None
    if report_format is TextOrJson.JSON:
        from parkwarden.report.limits import limits_to_json

        deliver(limits_to_json(examined, which) + "\n", output, force)
    else:
        from parkwarden.report.limits import print_limits

        with printed(output, force) as console:
            print_limits(examined, console, which)
    if examined.tuning.found:
        raise typer.Exit(int(Exit.FOUND))
