"""What a user sees while they wait, and where text reports go."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from parkwarden.cli.options import deliver

if TYPE_CHECKING:
    from rich.console import Console

    from parkwarden.collect.limits import Tell

QUIET_S = 0.7
"""Work shorter than this shows no progress line: it would only flicker."""


@contextmanager
def progress() -> Iterator[Tell]:
    """A progress line on stderr, when that is a terminal and the work takes longer than QUIET_S."""
    if not sys.stderr.isatty():
        from parkwarden.collect.limits import quiet

        yield quiet
        return
    began = time.monotonic()
    bar = None
    task = None

    def tell(what: str, fraction: float | None = None) -> None:
        nonlocal bar, task
        if bar is None:
            if time.monotonic() - began < QUIET_S:
                return
            from rich.console import Console
            from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

            columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
            bar = Progress(*columns, console=Console(stderr=True), transient=True)
            bar.start()
            task = bar.add_task("", total=None)
        from rich.markup import escape

        from parkwarden.report.safe import inert

        assert task is not None
        bar.update(
            task,
            description=escape(inert(what)),
            total=None if fraction is None else 1.0,
            completed=fraction or 0.0,
        )

    try:
        yield tell
    finally:
        if bar is not None:
            bar.stop()


@contextmanager
def printed(output: Path | None, force: bool) -> Iterator[Console]:
    """A console for a text report: the terminal, or plain text into the file asked for."""
    from rich.console import Console

    if output is None:
        yield Console(highlight=False, markup=False)
        return
    buffer = io.StringIO()
    yield Console(file=buffer, highlight=False, markup=False, width=120, no_color=True)
    deliver(buffer.getvalue(), output, force)
