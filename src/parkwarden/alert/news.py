"""What is worth telling about an incident, by what was told last. Pure: the last telling stands in `Incident.told`.

Urgent news (a culprit named, more urgent than before) never waits; other news waits for `Policy.update_min_s`; numbers that only
move on are no news.
"""

from __future__ import annotations

from dataclasses import dataclass

from parkwarden.alert.policy import Policy
from parkwarden.model import Grade, Incident, IncidentState, Priority, Tell, Verdict
from parkwarden.model.words import seconds

GRADES = tuple(Grade)

NEARER = 0.5
"""Time left that has fallen to this share of what was told is news."""

FAR_S = 86_400.0
"""Time left above this is no news however it moves: a day is a day."""

MORE_INSTANCES = 2.0
"""Instances that have grown by this factor are news: one more pod of fifty is not."""


@dataclass(frozen=True, slots=True)
class News:
    """One thing to tell: why, in which words, and whether the ones after the time to answer are told too."""

    tell: Tell
    words: tuple[str, ...] = ()
    unanswered: bool = False


def news(row: Incident, on: bool, now: float, policy: Policy) -> News | None:
    """What to tell about a row that is neither silenced nor inhibited, None if nothing. `on`: its condition was seen just now."""
    if row.state is IncidentState.RESOLVED:
        return News(Tell.RESOLVED, _closed(row) if row.closed else ()) if row.told else None
    if not row.state.active:
        return None
    if not row.told:
        first = {IncidentState.NO_DATA: Tell.NO_DATA, IncidentState.FLAPPING: Tell.FLAPPING}
        again = () if row.closed or not row.closed_at else (f"{_closed(row)[0]}, and is found",)
        return News(first.get(row.state, Tell.FIRING), again)
    was = row.told.get("state")
    if row.state is IncidentState.NO_DATA and was != row.state.value:
        return News(Tell.NO_DATA, ("those it is about do not answer; it stays open",))
    if row.state is IncidentState.FLAPPING and was != row.state.value:
        return News(Tell.FLAPPING, ("it comes and goes: from here on only what is worse is told",))
    if row.acknowledged and row.told.get("acknowledged") != row.acknowledged_at:
        return News(Tell.ACKNOWLEDGED, (_said("acknowledged", row.acknowledged_by, row.acknowledged_why),))
    urgent, others = _updates(row) if on else ([], [])
    quiet = row.state is IncidentState.FLAPPING or row.acknowledged
    if urgent or (others and not quiet and now - row.last_told >= policy.update_min_s):
        return News(Tell.UPDATE, tuple(urgent + others))
    return _reminder(row, now, policy)


def told(row: Incident, tell: Tell, channels: tuple[str, ...], unanswered: bool, now: float) -> dict[str, str | float]:
    """What to remember of this telling; empty after the end was told."""
    if tell is Tell.RESOLVED:
        return {}
    before = row.told
    raised = "priority" not in before or row.priority.value < str(before["priority"])
    return {
        "state": row.state.value,
        "verdict": _worse(Verdict, before.get("verdict"), row.verdict).value,
        "priority": row.priority.value,
        "grade": max(row.grade, Grade(str(before.get("grade", ""))), key=GRADES.index).value,
        "line": row.line,
        "left_s": before.get("left_s", -1.0) if row.time_left_s is None else row.time_left_s,
        "instances": float(max(len(row.instances), int(before.get("instances", 0)))),
        "evidence": float(len(row.evidence)),
        "channels": ",".join(channels),
        "at": now if raised else before["at"],
        "unanswered": 1.0 if unanswered else 0.0 if raised else before.get("unanswered", 0.0),
        "acknowledged": row.acknowledged_at,
    }


def _worse(kind: type[Verdict], before: str | float | None, verdict: Verdict) -> Verdict:
    return verdict if before is None else max(kind(str(before)), verdict, key=lambda v: v.rank)


def _closed(row: Incident) -> tuple[str, ...]:
    return (_said("resolved", row.closed_by, row.closed_why),) if row.closed_at else ()


def _said(what: str, by: str, why: str) -> str:
    return f"{what} by {by or 'somebody'}" + (f": {why}" if why else "")


def _updates(row: Incident) -> tuple[list[str], list[str]]:
    """Urgent news and other news, in words."""
    was = row.told
    urgent, others = [], []
    if row.line and not was["line"]:
        urgent.append(f"the line is named: {row.line}")
    if row.priority.value < str(was["priority"]):
        urgent.append(f"more urgent: {was['priority']} -> {row.priority.value}")
    if row.verdict.rank > Verdict(str(was["verdict"])).rank:
        others.append(f"surer: {was['verdict']} -> {row.verdict.value}")
    if GRADES.index(row.grade) > GRADES.index(Grade(str(was["grade"]))):
        others.append(f"faster: {was['grade'] or 'ungraded'} -> {row.grade.value}")
    left, told_left = row.time_left_s, float(was["left_s"])
    if left is not None and left <= FAR_S and told_left < 0:
        urgent.append(f"time left is known: {seconds(left)}")
    elif left is not None and left <= FAR_S and left <= told_left * NEARER:
        others.append(f"time left has fallen to {seconds(left)}")
    if row.evidence and not was["evidence"]:
        others.append("evidence is saved")
    before = float(was["instances"])
    if before < len(row.instances) >= MORE_INSTANCES * before and row.state is not IncidentState.NO_DATA:
        others.append(f"now on {len(row.instances)} instances")
    if was["state"] != row.state.value:
        others.append(f"was {was['state']}, is {row.state.value} again")
    return urgent, others


def _reminder(row: Incident, now: float, policy: Policy) -> News | None:
    if row.clear_since and row.state is not IncidentState.FLAPPING:
        return None  # it seems to be over: the next word is `resolved`
    if row.acknowledged:
        wait = policy.acknowledged_remind_s
        due = wait > 0 and now - max(row.last_told, row.acknowledged_at) >= wait
        return News(Tell.REMINDER, (f"acknowledged by {row.acknowledged_by}, and still there",)) if due else None
    answer = policy.answer_s.get(Priority(row.priority), 0.0)
    overdue = answer > 0 and not row.told["unanswered"] and now - float(row.told["at"]) >= answer
    if overdue and now - row.last_told >= policy.update_min_s:
        return News(Tell.REMINDER, (f"nobody has acknowledged it within {seconds(answer)}",), unanswered=True)
    wait = policy.remind_s.get(Priority(row.priority), 0.0)
    if wait > 0 and now - row.last_told >= wait:
        return News(Tell.REMINDER, ("it is still there",), unanswered=bool(row.told["unanswered"]))
    return None
