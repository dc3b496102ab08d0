"""What a reporter takes - segments, log records, metric points - and the account it keeps of it.

All is frozen at the door: attributes are copied and cut, so that who hands something in may go on with its own dicts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum, StrEnum

from parkwarden.telemetry.segment import Segment

MAX_BODY = 16 * 1024
"""Characters of a log record's body; more is cut. Beyond what a line says, below what a queue feels."""
MAX_ATTRIBUTES = 64
"""Of a log record or a point; more are left out."""
MAX_NAME, MAX_TEXT = 256, 2048
"""Characters of a name or key, and of an attribute's value; longer ones are cut."""

type_of_value = str | bool | int | float
"""What an attribute may be; anything else is told as its `str`."""


class Signal(StrEnum):
    TRACES = "traces"
    LOGS = "logs"
    METRICS = "metrics"


class Severity(IntEnum):
    """OpenTelemetry's SeverityNumber, the first of each range."""

    TRACE = 1
    DEBUG = 5
    INFO = 9
    WARN = 13
    ERROR = 17
    FATAL = 21


class MetricKind(StrEnum):
    GAUGE = "gauge"
    COUNTER = "counter"
    """Cumulative since `start`, and never going down."""


class Reason(StrEnum):
    """Why something was dropped."""

    QUEUE_FULL = "queue_full"
    """It, or something of more value, had to go: the queue is bounded in items and bytes."""
    INBOX_FULL = "inbox_full"
    """Handed in faster than the reporter's thread got to run."""
    TOO_LARGE = "too_large"
    """By itself larger than an item may be."""
    REJECTED = "rejected"
    """The back end said no for good, to a call or (partial success) to some of it."""
    UNCONFIRMED = "unconfirmed"
    """Sent twice, and twice the answer stayed away: nobody knows whether it arrived."""
    UNIMPLEMENTED = "unimplemented"
    """The back end does not take this signal."""
    NOT_ENCODABLE = "not_encodable"
    SPOOL = "spool"
    """It found no room in memory, and the disk did not take it, or not give it back."""
    EXIT = "exit"
    """Still queued when the time for closing was over."""
    CLOSED = "closed"
    """Handed in after closing."""
    OWN = "own"
    """Told by the reporter's own threads: it does not report itself."""


@dataclass(frozen=True, slots=True)
class LogRecord:
    """Something that was said or happened, at Unix seconds. `event_name` "" is an ordinary log line; with one it is an event.

    `trace_id` is a tracer's (or 32 hexadecimal digits), `span_id` 16 hexadecimal digits.
    """

    at: float
    severity: int
    event_name: str
    body: str
    attributes: Mapping[str, type_of_value] = field(default_factory=dict)
    trace_id: str = ""
    span_id: str = ""


@dataclass(frozen=True, slots=True)
class MetricPoint:
    """One number, at Unix seconds. A counter's `start` is when it was 0."""

    name: str
    unit: str
    kind: MetricKind
    value: float
    at: float
    start: float = 0.0
    attributes: Mapping[str, type_of_value] = field(default_factory=dict)
    description: str = ""


Item = Segment | LogRecord | MetricPoint
SIGNAL_OF: dict[type, Signal] = {
    Segment: Signal.TRACES,
    LogRecord: Signal.LOGS,
    MetricPoint: Signal.METRICS,
}


@dataclass(frozen=True, slots=True)
class Tally:
    """Items (segments, records, points) and the bytes they were taken to weigh in memory."""

    items: int = 0
    bytes: int = 0

    def __add__(self, other: Tally) -> Tally:
        return Tally(self.items + other.items, self.bytes + other.bytes)

    def __sub__(self, other: Tally) -> Tally:
        return Tally(self.items - other.items, self.bytes - other.bytes)


@dataclass(frozen=True, slots=True)
class Account:
    """Where everything went. Always, in items and in bytes, and by signal: accepted = sent + dropped + queued.

    `accepted` is all that was handed in; `queued` is in memory, under way, or (of it `spooled`) on disk.
    """

    accepted: Mapping[Signal, Tally]
    sent: Mapping[Signal, Tally]
    dropped: Mapping[tuple[Signal, Reason], Tally]
    queued: Mapping[Signal, Tally]
    spooled: Tally = Tally()
    requeued: int = 0
    """Items sent a second time, as nobody answered the first."""
    healthy: bool = True
    """Whether the last call went through (True before the first)."""
    trouble: str = ""
    """What the last failed call said; "" once one goes through."""

    def lost(self) -> Tally:
        return total(self.dropped.values())

    def balanced(self) -> bool:
        """Whether the identity holds: for tests, and for who does not believe it."""
        for signal in Signal:
            lost = total(tally for (of, _), tally in self.dropped.items() if of is signal)
            there = self.sent.get(signal, Tally()) + lost + self.queued.get(signal, Tally())
            if there != self.accepted.get(signal, Tally()):
                return False
        return True


def total(tallies: Iterable[Tally]) -> Tally:
    found = Tally()
    for tally in tallies:
        found += tally
    return found


def clean_log(record: LogRecord) -> LogRecord:
    """A copy nobody else can change, within the limits. May raise whatever a value's `str` raises."""
    return LogRecord(
        float(record.at), int(record.severity), _text(record.event_name, MAX_NAME), _text(record.body, MAX_BODY),
        clean_attributes(record.attributes), _text(record.trace_id, MAX_NAME), _text(record.span_id, MAX_NAME),
    )  # fmt: skip


def clean_point(point: MetricPoint) -> MetricPoint:
    return MetricPoint(
        _text(point.name, MAX_NAME), _text(point.unit, MAX_NAME), MetricKind(point.kind), float(point.value),
        float(point.at), float(point.start), clean_attributes(point.attributes), _text(point.description, MAX_TEXT),
    )  # fmt: skip


def clean_attributes(attributes: Mapping[str, type_of_value]) -> dict[str, type_of_value]:
    found: dict[str, type_of_value] = {}
    for key, value in attributes.items():
        if len(found) >= MAX_ATTRIBUTES:
            break
        found[_text(key, MAX_NAME)] = value if type(value) in (bool, float) else _value(value)
    return found


def _value(value: object) -> type_of_value:
    if type(value) is int and -(2**63) <= value < 2**63:
        return value
    return _text(value, MAX_TEXT)


def _text(value: object, limit: int) -> str:
    return (value if type(value) is str else str(value))[:limit]
