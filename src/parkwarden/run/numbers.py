"""A watch's status as families of numbers: the same ones for /metrics and for what is reported over OTLP."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from parkwarden.run.status import WatchStatus

_BY_LABEL = (
    ("parkwarden_looks", "Looks at watched instances.", ("kind", "outcome"), "looks", True),
    ("parkwarden_look_seconds", "Seconds that looks took, by kind.", ("kind",), "look_seconds", True),
    ("parkwarden_look_bytes", "Bytes that looks brought, by kind.", ("kind",), "look_bytes", True),
    (
        "parkwarden_look_stall_seconds",
        "Stall of the watched that looks are estimated to have caused.",
        ("kind",),
        "stall_seconds",
        True,
    ),
    ("parkwarden_looks_refused", "Looks not taken, by kind and reason.", ("kind", "reason"), "refused", True),
    ("parkwarden_scrapes", "Readings of the cheap numbers, by outcome.", ("outcome",), "scrapes", True),
    (
        "parkwarden_notifications",
        "Notifications, by channel and outcome.",
        ("channel", "outcome"),
        "notifications",
        True,
    ),
    ("parkwarden_stream_points", "Points that others brought.", ("stream", "outcome"), "stream_points", True),
    (
        "parkwarden_stream_refused",
        "Announcements and readings of streams that were not taken.",
        ("why",),
        "stream_refused",
        True,
    ),
    (
        "parkwarden_telemetry_items",
        "What was reported to back ends, and what was dropped by why.",
        ("backend", "signal", "outcome"),
        "telemetry",
        True,
    ),
    ("parkwarden_dropped", "What had to be given up.", ("what",), "dropped", True),
    ("parkwarden_part_restarts", "Parts of the watch that failed and were started again.", ("part",), "restarts", True),
    ("parkwarden_targets", "Targets, by state.", ("state",), "targets", False),
    ("parkwarden_stream_instances", "Instances that streams tell of.", ("stream",), "stream_instances", False),
    ("parkwarden_findings", "Findings of the last judgement, by verdict.", ("verdict",), "findings", False),
)
_ALONE = (
    ("parkwarden_last_tick_timestamp_seconds", "When judging last ended.", "last_tick_at", False),
    ("parkwarden_tick_seconds", "Duration of the last judgement.", "tick_s", False),
    ("parkwarden_targets_left_out", "Targets beyond discovery.max_targets.", "targets_left_out", False),
    ("parkwarden_outbox_waiting", "Notifications not delivered yet.", "outbox_waiting", False),
    ("parkwarden_evidence_stored_bytes", "Evidence kept since the start.", "evidence_bytes", False),
    ("parkwarden_start_time_seconds", "When watching began.", "started_at", False),
    ("parkwarden_ticks", "Judgements.", "ticks", True),
    ("parkwarden_scrape_seconds", "Seconds that readings took, all targets together.", "scrape_seconds", True),
    ("parkwarden_scrape_bytes", "Bytes that readings brought.", "scrape_bytes", True),
    ("parkwarden_suspicions", "Times a suspicion called for closer looks.", "suspicions", True),
    ("parkwarden_instance_restarts", "Restarts of the watched.", "instance_restarts", True),
)


@dataclass(frozen=True, slots=True)
class Family:
    """Numbers of one name. `counter`: they only rise (Prometheus adds `_total`); `samples`: (values of the labels, number)."""

    name: str
    text: str
    labels: Sequence[str]
    counter: bool
    samples: Sequence[tuple[tuple[str, ...], float]]


def families(status: WatchStatus) -> Iterator[Family]:
    """All but the incidents', which either way of telling has in its own shape."""
    for name, text, labels, field, counter in _BY_LABEL:
        values: Mapping[str | tuple[str, ...], float] = getattr(status, field)
        samples = [(key if isinstance(key, tuple) else (key,), value) for key, value in values.items()]
        yield Family(name, text, labels, counter, samples)
    for name, text, field, counter in _ALONE:
        yield Family(name, text, (), counter, [((), getattr(status, field))])
