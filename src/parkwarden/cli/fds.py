"""`parkwarden fds`: which file descriptors a process has open, and which line of code holds them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from parkwarden.cli.options import (
    Force,
    Modules,
    NoRedact,
    Output,
    ShowAll,
    TextOrJson,
    deliver,
    refuse_existing,
    seconds,
)


def command(
    target: Annotated[
        str, typer.Argument(metavar="PID|URL", help="A process of this host, or a service (http://host:6060).")
    ],
    for_s: Annotated[
        float,
        typer.Option(
            "--for", parser=seconds, metavar="TIME", help="Between two looks, for what grows: 10s, 2m; 0 for one look."
        ),
    ] = 10.0,
    report_format: Annotated[TextOrJson, typer.Option("--format", help="How to print.")] = TextOrJson.TEXT,
    proc: Annotated[
        Path,
        typer.Option(
            "--proc", metavar="DIR", help="The proc filesystem; in a container the host's may be at /host/proc."
        ),
    ] = Path("/proc"),
    module: Modules = None,
    show_all: ShowAll = False,
    output: Output = None,
    force: Force = False,
    no_redact: NoRedact = False,
) -> None:
    """Which file descriptors are open, what grows, and which line holds them.

    Descriptors by kind (sockets by state and peer, pipes, files by folder, deleted temporary files ...) come from /proc: the process is
    neither asked nor held up. Which goroutines hold them comes from a goroutine profile of the URL, or of the process's own pprof (which
    of its listeners that is, they are asked):
    by frames that cannot return without closing one, and by what grows alike. Of a service on another host the numbers of its
    metrics page are told. Other users' processes need root, or CAP_SYS_PTRACE in a container.

    \b
    parkwarden fds 4242
    parkwarden fds http://localhost:6060 --for 30s
    parkwarden fds 4242 --proc /host/proc --format json
    """
    from parkwarden.cli.progress import printed, progress
    from parkwarden.run.fds import FdsOptions, fds

    refuse_existing(output, force)
    options = FdsOptions(for_s=for_s, modules=tuple(module or ()), proc=str(proc), redact=not no_redact)
    with progress() as tell:
        result = fds(target, options, tell)
    if report_format is TextOrJson.JSON:
        from parkwarden.report.fds import fds_to_json

        deliver(fds_to_json(result) + "\n", output, force)
    else:
        from parkwarden.report.fds import print_fds

        with printed(output, force) as console:
            print_fds(result, console, show_all=show_all)
