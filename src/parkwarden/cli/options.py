"""Options that several commands share, so that they read the same everywhere."""

from __future__ import annotations

import re
import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from parkwarden.model.errors import UsageError


class TextOrJson(StrEnum):
    """Output formats of commands that print a table or data."""

    TEXT = "text"
    JSON = "json"


class ReportFormat(StrEnum):
    """Output formats of `diagnose`."""

    TEXT = "text"
    JSON = "json"
    HTML = "html"


Modules = Annotated[
    list[str] | None,
    typer.Option(
        "--module",
        metavar="PATH",
        help="Module path that is your own code (repeatable); without it, build info, go.mod and file paths tell.",
    ),
]
NoRedact = Annotated[
    bool, typer.Option("--no-redact", help="Show secrets and personal data found in labels, arguments and paths.")
]
Output = Annotated[
    Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to FILE instead of standard output.")
]
Force = Annotated[bool, typer.Option("--force", help="Overwrite FILE if it exists.")]
ShowAll = Annotated[bool, typer.Option("--all", help="Show every row, not only the largest.")]


def seconds(text: str) -> float:
    """A number, or one with a unit: 30s, 500ms, 2m, 1h."""
    found = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{1,9})?)\s*(ms|s|m|h|)\s*", str(text))
    if found is None:
        raise typer.BadParameter(f"{text!r} is no time; write 30s, 500ms or 2m")
    return float(found[1]) * {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}[found[2]]


def deliver(text: str | bytes, output: Path | None, force: bool) -> None:
    """Write a result to the file asked for, or to standard output; never overwrite without --force."""
    if output is None:
        stream = sys.stdout.buffer
        stream.write(text.encode("utf-8", "backslashreplace") if isinstance(text, str) else text)
        stream.flush()
        return
    refuse_existing(output, force)
    try:
        output.write_bytes(text.encode("utf-8", "backslashreplace") if isinstance(text, str) else text)
    except OSError as error:
        raise UsageError(
            "output-unwritable",
            f"cannot write {output}: {error.strerror}",
            hint="choose a folder that you can write to",
        ) from error


def refuse_existing(output: Path | None, force: bool) -> None:
    """UsageError if a file would be overwritten without --force; asked before long work, too."""
    if output is not None and output.exists() and not force:
        raise UsageError("output-exists", f"{output} exists already", hint="choose another name or add --force")
