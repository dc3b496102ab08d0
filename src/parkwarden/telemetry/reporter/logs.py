"""The host's own log lines, taken for a reporter."""

from __future__ import annotations

import logging

from parkwarden.telemetry.reporter.noise import LOGGER, own_thread
from parkwarden.telemetry.reporter.records import LogRecord, Severity, type_of_value
from parkwarden.telemetry.reporter.reporter import Reporter

_SEVERITIES = (
    (logging.CRITICAL, Severity.FATAL), (logging.ERROR, Severity.ERROR), (logging.WARNING, Severity.WARN),
    (logging.INFO, Severity.INFO), (logging.DEBUG, Severity.DEBUG), (0, Severity.TRACE),
)  # fmt: skip


class LogCapture(logging.Handler):
    """`logging.getLogger().addHandler(LogCapture(reporter))`.

    What the reporter says about itself is left out, by its logger's name and by the thread it says it on: a full queue that
    logs about being full must not fill itself (skywalking-go's stack overflow, apache/skywalking#11832).
    """

    def __init__(self, reporter: Reporter, level: int = logging.INFO) -> None:
        super().__init__(level)
        self._reporter = reporter

    def createLock(self) -> None:  # noqa: N802
        """None: there is nothing to hold together, and a lock could be held by a thread that a fork left behind."""
        self.lock = None

    def emit(self, record: logging.LogRecord) -> None:
        if own_thread() or record.name == LOGGER or record.name.startswith(f"{LOGGER}."):
            return
        try:
            attributes: dict[str, type_of_value] = {
                "logger.name": record.name, "code.file.path": record.pathname, "code.line.number": record.lineno,
                "thread.name": record.threadName or "",
            }  # fmt: skip
            if record.exc_info and record.exc_info[0] is not None:  # its message may hold secrets
                attributes["exception.type"] = record.exc_info[0].__name__
            severity = next(severity for level, severity in _SEVERITIES if record.levelno >= level)
            told = LogRecord(record.created, severity, "", record.getMessage(), attributes)
        except Exception:  # a message whose arguments do not fit it: the host's mistake, said by its other handlers
            return
        self._reporter.log(told)
