"""The log of a long-running command: structured, on stderr; text for people, JSON lines for machines.

Tracebacks show no local variables: among these may be a secret or what carries one. Text for people is made inert first: names of
watched processes stand in it.
"""

from __future__ import annotations

import io
import logging
import sys
from collections.abc import MutableMapping
from contextlib import suppress
from typing import Any, TextIO, cast

MAX_VALUE = 2_000
"""Characters of one text in a line."""


def set_up(level: str, style: str) -> None:
    """`level`: debug, info, warning, error. `style`: text, json, or auto (text on a terminal)."""
    import structlog

    as_json = style == "json" or (style == "auto" and not sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    last: list[Any]
    if as_json:
        plain = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        last = [structlog.processors.ExceptionRenderer(plain), structlog.processors.JSONRenderer()]
    else:
        last = [_made_inert, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=_traceback)]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, _Tolerant())),
        cache_logger_on_first_use=True,
    )
    # libraries log through the standard module: their warnings take the same way
    logging.basicConfig(level=logging.WARNING, handlers=[_Bridge()], force=True)


def _made_inert(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    from parkwarden.model.safe import inert

    return {name: inert(value, MAX_VALUE) if isinstance(value, str) else value for name, value in event.items()}


def _traceback(stream: TextIO, exc_info: Any) -> None:
    """A traceback as Python prints it, made inert: an error's words may quote a watched process."""
    import structlog

    from parkwarden.model.safe import inert_lines

    text = io.StringIO()
    structlog.dev.plain_traceback(text, exc_info)
    stream.write("\n".join(inert_lines(text.getvalue(), MAX_VALUE)))


class _Tolerant:
    """stderr, where a full disk under the log costs lines, not the watch."""

    def write(self, text: str) -> None:
        with suppress(OSError):
            sys.stderr.write(text)

    def flush(self) -> None:
        with suppress(OSError):
            sys.stderr.flush()


class _Bridge(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        import structlog

        try:
            structlog.get_logger(record.name).log(record.levelno, record.getMessage()[:2000], logger=record.name)
        except Exception:  # a log line must never take the watch down
            self.handleError(record)
