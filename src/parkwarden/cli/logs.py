"""The log of a long-running command: structured, on stderr; text for people, JSON lines for machines."""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from typing import Any, TextIO, cast


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
        last = [structlog.processors.dict_tracebacks, structlog.processors.JSONRenderer()]
    else:
        # plain tracebacks: pretty ones show local variables, and among these may be a secret's carrier
        last = [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.WriteLoggerFactory(file=cast(TextIO, _Tolerant())),
        cache_logger_on_first_use=True,
    )
    # libraries log through the standard module: their warnings take the same way
    logging.basicConfig(level=logging.WARNING, handlers=[_Bridge()], force=True)


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
