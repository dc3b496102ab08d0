"""What is reported in tests, and transports that do what they are told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from parkwarden.telemetry import FinishedSpan, Segment, SpanKind
from parkwarden.telemetry.reporter import Ending, LogRecord, MetricKind, MetricPoint, Outcome, Severity, Signal
from parkwarden.telemetry.reporter.records import Item


def segment(name: str = "s", error: bool = False, spans: int = 1) -> Segment:
    one = FinishedSpan(0, -1, SpanKind.LOCAL, "x", "", 0.0, 1.0, error, (), (), ())
    return Segment("t", name, "svc", "inst", (one,) * spans)


def log(body: str = "line", severity: int = Severity.INFO, event: str = "") -> LogRecord:
    return LogRecord(1.0, severity, event, body)


def point(value: float = 1.0) -> MetricPoint:
    return MetricPoint("goroutines", "{goroutine}", MetricKind.GAUGE, value, 1.0)


TAKEN = Outcome(Ending.TAKEN)
UNSURE = Outcome(Ending.UNSURE, "broke")
UNREACHED = Outcome(Ending.UNREACHED, "refused")


class Scripted:
    """A transport that answers what `answer` says, and keeps what it was given."""

    where = "scripted"
    heartbeat_s = 0.0

    def __init__(self, answer: Callable[[Signal, Sequence[Item]], Outcome] = lambda signal, items: TAKEN) -> None:
        self._answer = answer
        self.got: list[tuple[Signal, list[Item]]] = []
        self.aborted = threading.Event()

    def send(self, signal: Signal, items: Sequence[Item], deadline: float) -> Outcome:
        self.got.append((signal, list(items)))
        return self._answer(signal, items)

    def abort(self) -> None:
        self.aborted.set()

    def forked(self) -> None:
        self.got = []

    def items(self) -> list[Item]:
        return [item for _, items in self.got for item in items]
