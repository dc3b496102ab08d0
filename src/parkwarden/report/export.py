"""Turns what was read into the field's own formats: pprof, folded stacks, speedscope. Pure functions of artefacts.

What is exported: the profile where there is one; else the snapshot (dump, census) as a goroutine profile; of a trace
the waits by total time and the creations by count. Goroutines carry `created by` as their root frame, marked in its
name, so flame graphs group by who started them. Raises UsageError (`nothing-to-export`) for an artefact that holds
none of these. Hostile names cannot break the line format of `to_folded`; `to_pprof` and `to_speedscope` are binary
and JSON.

speedscope's file format: jlfwong/speedscope `src/lib/file-format-spec.ts`, profiles of type "sampled".
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from parkwarden.model import Artefact, Frame, Profile, Snapshot, Stack, UsageError

SCHEMA = "https://www.speedscope.app/file-format-schema.json"
CREATED_BY = "created by "
"""Before the name of a creating function that stands in for the root of a stack."""
ELIDED = Frame("...frames elided...")
"""Stands where the producer left frames out."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]+")


@dataclass(frozen=True, slots=True)
class _View:
    """One weighted set of stacks: unit as speedscope names it."""

    name: str
    unit: str
    rows: list[tuple[tuple[Frame, ...], int | float]]
    """(frames leaf first, weight)."""


def to_pprof(artefact: Artefact) -> bytes:
    """A gzipped profile.proto that `go tool pprof` opens.

    A trace gives a profile with `creations/count`, `waits/count` and `wait/nanoseconds`.
    """
    from parkwarden.formats import profile_proto

    if artefact.profile is not None:
        return profile_proto.write(artefact.profile)
    if artefact.snapshot is not None:
        return profile_proto.write(_snapshot_profile(artefact.snapshot))
    if artefact.trace is not None:
        return profile_proto.write(_trace_profile(artefact))
    raise _nothing(artefact)


def to_folded(artefact: Artefact) -> str:
    """Folded stacks, one per line, root first: `main.main;main.work 42`; equal lines added up, biggest first.

    The weight is a profile's default column (the last one, as pprof shows), goroutines of a snapshot, and of a trace
    the waits in microseconds. `;` in names becomes `:`, control and direction marks become `?`, blanks stay.
    """
    views = _views(artefact)
    if not views:
        raise _nothing(artefact)
    lines: dict[str, int] = {}
    view = views[-1]
    scale = 1e6 if view.unit == "seconds" else 1
    for frames, weight in view.rows:
        key = ";".join(_folded_name(f.function) for f in reversed(frames)) or "?"
        lines[key] = lines.get(key, 0) + round(weight * scale)
    ordered = sorted(lines.items(), key=lambda item: (-item[1], item[0]))
    return "".join(f"{key} {count}\n" for key, count in ordered if count)


def to_speedscope(artefacts: Artefact | Sequence[Artefact]) -> str:
    """One speedscope file with a sampled profile per artefact and column; stacks are sorted by name, so that left
    heavy and time order look alike. Artefacts that hold nothing to draw are left out.
    """
    if isinstance(artefacts, Artefact):
        artefacts = [artefacts]
    frames: list[dict[str, Any]] = []
    known: dict[Frame, int] = {}
    profiles: list[dict[str, Any]] = []
    for artefact in artefacts:
        profiles += [_sampled(artefact.name, view, frames, known) for view in _views(artefact)]
    if not profiles:
        raise UsageError("nothing-to-export", "None of the inputs holds stacks.")
    document = {
        "$schema": SCHEMA,
        "version": "0.0.1",
        "shared": {"frames": frames},
        "profiles": profiles,
        "name": artefacts[0].name,
        "activeProfileIndex": 0,
        "exporter": "parkwarden",
    }
    return json.dumps(document, ensure_ascii=True, allow_nan=False)


def _nothing(artefact: Artefact) -> UsageError:
    return UsageError(
        "nothing-to-export",
        "The input holds no stacks.",
        context=f"{artefact.name}: {artefact.kind.value}",
        hint="Export works on goroutine dumps, profiles and execution traces.",
    )


def _sampled(name: str, view: _View, frames: list[dict[str, Any]], known: dict[Frame, int]) -> dict[str, Any]:
    samples: list[list[int]] = []
    weights: list[int | float] = []
    for stack, weight in sorted(view.rows, key=lambda row: [f.function for f in reversed(row[0])]):
        if weight <= 0:  # differences may be negative, and speedscope cannot draw them
            continue
        indexes = []
        for frame in reversed(stack):
            at = known.get(frame)
            if at is None:
                at = known[frame] = len(frames)
                frames.append(_speedscope_frame(frame))
            indexes.append(at)
        samples.append(indexes)
        weights.append(weight)
    return {
        "type": "sampled",
        "name": f"{name} {view.name}".strip(),
        "unit": view.unit,
        "startValue": 0,
        "endValue": sum(weights),
        "samples": samples,
        "weights": weights,
    }


def _speedscope_frame(frame: Frame) -> dict[str, Any]:
    entry: dict[str, Any] = {"name": frame.function or "?"}
    if frame.file:
        entry["file"] = frame.file
    if frame.line > 0:
        entry["line"] = frame.line
    return entry


def _folded_name(name: str) -> str:
    return _CONTROL.sub("?", name.encode("utf-8", "replace").decode()).replace(";", ":").strip() or "?"


def _walk(stack: Stack) -> tuple[Frame, ...]:
    """Frames leaf first, with a frame for what was elided and the creator as root."""
    frames = stack.frames
    if stack.elided:
        frames = (*frames, ELIDED)
    if stack.created_by is not None:
        creator = stack.created_by
        frames = (*frames, Frame(CREATED_BY + creator.function, creator.file, creator.line))
    return frames


def _views(artefact: Artefact) -> list[_View]:
    """What an artefact can be drawn as, the most telling last."""
    if artefact.profile is not None:
        return _profile_views(artefact.profile)
    if artefact.snapshot is not None:
        return [_snapshot_view(artefact.snapshot)]
    if artefact.trace is not None:
        trace = artefact.trace
        created: list[tuple[tuple[Frame, ...], int | float]] = [
            ((c.start, *_walk(c.stack)), c.count) for c in trace.creations
        ]
        waits = [(_waiting(w.reason, w.stack), w.total_s) for w in trace.waits]
        return [_View("creations", "none", created), _View("waits", "seconds", list(waits))]
    return []


def _waiting(reason: str, stack: Stack) -> tuple[Frame, ...]:
    """A wait's frames with its reason as leaf."""
    return ((Frame(f"[{reason}]"),) if reason else ()) + _walk(stack)


def _profile_views(profile: Profile) -> list[_View]:
    units = {"bytes": "bytes", "nanoseconds": "nanoseconds", "microseconds": "microseconds", "seconds": "seconds"}
    walked = [_walk(s) for s in profile.stacks]
    views = []
    for column, (name, unit) in enumerate(profile.sample_types):
        values = profile.values[:, column].tolist()
        rows = [(walked[s], v) for s, v in zip(profile.stack.tolist(), values, strict=True)]
        views.append(_View(name, units.get(unit, "none"), rows))
    return views


def _snapshot_view(snapshot: Snapshot) -> _View:
    walked = [_walk(s) for s in snapshot.stacks]
    counts: dict[int, int] = {}
    for stack, count in zip(snapshot.stack.tolist(), snapshot.count.tolist(), strict=True):
        counts[stack] = counts.get(stack, 0) + count
    return _View("goroutines", "none", [(walked[s], n) for s, n in counts.items()])


def _snapshot_profile(snapshot: Snapshot) -> Profile:
    """Goroutines as a profile: equal (stack, state, labels) are one sample, the state a label `state`."""
    groups: dict[tuple[int, int, int], int] = {}
    columns = (snapshot.stack.tolist(), snapshot.state.tolist(), snapshot.label.tolist(), snapshot.count.tolist())
    for stack, state, label, count in zip(*columns, strict=True):
        key = (stack, state, label)
        groups[key] = groups.get(key, 0) + count
    labels: list[dict[str, str]] = [{}]
    ids: dict[tuple[int, int], int] = {}
    worn = []
    for _stack, state, label in groups:
        if (state, label) not in ids:
            told = {"state": snapshot.states[state]} if snapshot.states[state] else {}
            ids[state, label] = len(labels)
            labels.append({**snapshot.labels[label], **told})
        worn.append(ids[state, label])
    return Profile(
        sample_types=[("goroutine", "count")],
        stacks=[Stack(_walk(s)) for s in snapshot.stacks],
        stack=np.array([k[0] for k in groups], dtype=np.int64),
        values=np.array(list(groups.values()), dtype=np.int64).reshape(-1, 1),
        labels=labels,
        label=np.array(worn, dtype=np.int64),
        period_type=("goroutine", "count"),
        period=1,
        time_nanos=_nanos(snapshot.taken_at),
    )


def _trace_profile(artefact: Artefact) -> Profile:
    trace = artefact.trace
    assert trace is not None
    stacks = [Stack((c.start, *_walk(c.stack))) for c in trace.creations]
    stacks += [Stack(_waiting(w.reason, w.stack)) for w in trace.waits]
    values = [(c.count, 0, 0) for c in trace.creations]
    values += [(0, w.count, round(w.total_s * 1e9)) for w in trace.waits]
    n = len(stacks)
    return Profile(
        sample_types=[("creations", "count"), ("waits", "count"), ("wait", "nanoseconds")],
        stacks=stacks,
        stack=np.arange(n, dtype=np.int64),
        values=np.array(values, dtype=np.int64).reshape(n, 3),
        labels=[{}],
        label=np.zeros(n, dtype=np.int64),
        period_type=("wait", "nanoseconds"),
        period=1,
        time_nanos=_nanos(trace.started_at),
        duration_nanos=round(trace.duration_s * 1e9),
    )


def _nanos(at: float | None) -> int:
    return round(at * 1e9) if at is not None and 0 < at < 9e9 else 0
