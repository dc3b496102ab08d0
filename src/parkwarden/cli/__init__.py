"""The commands, one module each. This module only mounts them: `--help` must answer at once, so nothing heavy is
imported here, and each command imports what it needs inside its function.

Errors of `parkwarden.model.ParkwardenError` are printed as code, message, context and next step, and end the process
with their exit code (docs/cli.md lists all).
"""

from __future__ import annotations

import os
import sys

import typer

from parkwarden.cli import (
    check,
    diagnose,
    doctor,
    drill,
    evidence,
    explain,
    export,
    fds,
    incidents,
    lab,
    limits,
    open,
    record,
    replay,
    stacks,
    trace,
    watch,
)
from parkwarden.model.errors import ParkwardenError
from parkwarden.model.finding import Exit

app = typer.Typer(
    name="parkwarden",
    help="Find goroutine leaks in Go services: which line, why, how fast. Reads pprof profiles, goroutine dumps, "
    "execution traces, crash logs, expvar and Prometheus pages, looks at a live service by itself - and watches a fleet, "
    "early enough to warn.",
    epilog="Start with: parkwarden diagnose FILE|DIR|URL ... or parkwarden watch URL ...   Exit codes: 0 nothing wrong, 1 a leak, a crash cause or a limit that runs out "
    "found, 2 usage, 3 input unreadable, 4 target unreachable.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(show: bool) -> None:
    if show:
        from parkwarden import __version__

        typer.echo(f"parkwarden {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Print the version."),
) -> None:
    pass


app.command("diagnose")(diagnose.command)
app.command("watch")(watch.command)
app.command("open")(open.command)
app.command("check")(check.command)
app.command("limits")(limits.command)
app.command("record")(record.command)
app.command("replay")(replay.command)
app.command("stacks")(stacks.command)
app.command("trace")(trace.command)
app.command("export")(export.command)
app.command("explain")(explain.command)
app.command("fds")(fds.command)
app.command("doctor")(doctor.command)
app.add_typer(incidents.app, name="incidents")
app.add_typer(evidence.app, name="evidence")
app.add_typer(lab.app, name="lab")
app.add_typer(drill.app, name="drill")


def main() -> None:
    """The console script: runs a command and ends the process with its exit code.

    It ends without the interpreter's tear-down, which would take longer than some commands; everything written is flushed
    before, and nothing of ours waits for the interpreter's end.
    """
    # no linear algebra here: without this NumPy starts a thread per processor as it is imported
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    code = _run()
    try:
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        pass  # `parkwarden ... | head` closed our output: that is no error
    os._exit(code)


def _run() -> int:
    """One command, its errors told; the exit code."""
    try:
        app()
    except SystemExit as done:
        return done.code if isinstance(done.code, int) else int(Exit.OK if done.code is None else Exit.USAGE)
    except ParkwardenError as error:
        from parkwarden.cli.errors import show

        show(error)
        return int(error.exit_code)
    except BrokenPipeError:
        return int(Exit.OK)
    except Exception as error:  # the last resort: a bug of ours is told in one line, with the way to its details
        if os.environ.get("PARKWARDEN_DEBUG"):
            raise
        from parkwarden.cli.errors import internal, show

        show(internal(error))
        return int(Exit.INTERNAL)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return int(Exit.INTERRUPTED)
    return int(Exit.OK)
