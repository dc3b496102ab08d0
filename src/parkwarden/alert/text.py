"""An alert in words: title, plain text and Markdown of one notification. Pure.

What, which line, since which version and when, how fast, how long there is left, what to do, where the evidence is. Everything that
may come from a watched process is made inert (no control characters, no bidi tricks, no Markdown, no mentions) and capped.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

from parkwarden.model import Incident, IncidentState, Notification, Tell, words
from parkwarden.model.safe import inert
from parkwarden.model.words import count, percent, rate, seconds

MAX_TITLE = 200
"""A pager's first line; mail subjects and chat titles are cut about there."""

MAX_BODY = 3_500
"""Chat services cut at about 4,000 characters."""

MAX_FACT = 400
MAX_WHY = 5
MAX_HAPPENED = 5
"""Of what befell its instances, the newest."""
MAX_NAMED = 5
"""Instances named; the others are counted."""

TELLS = {
    Tell.FIRING: "FIRING",
    Tell.UPDATE: "UPDATE",
    Tell.REMINDER: "STILL FIRING",
    Tell.NO_DATA: "NO DATA",
    Tell.FLAPPING: "FLAPPING",
    Tell.ACKNOWLEDGED: "ACKNOWLEDGED",
    Tell.RESOLVED: "RESOLVED",
}

COUNTED = {
    "fd-exhaustion": "Open descriptors",
    "memory-and-descriptors": "Open descriptors",
    "event-loop-health": "Open descriptors",
    "thread-exhaustion": "Threads",
}
"""What an incident's count counts, where it is not goroutines."""

_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-!|<>~&])")
_MENTION = re.compile(r"@(?=everyone|here|channel|all\b)|<(?=[!@#])", re.IGNORECASE)


def title(n: Notification) -> str:
    """One line: `[P0] FIRING orders (prod): send without receiver: 120 goroutines at ...`."""
    row = n.incident
    where = f"{row.service} ({row.env})" if row.env else row.service
    return _said(f"[{row.priority.value}] {TELLS[n.tell]} {where}: {row.title}", MAX_TITLE)


def plain(n: Notification) -> str:
    """The body as plain text, lines of `name: value`, then the witnesses and the advice."""
    row = n.incident
    lines = [_said(news) for news in n.news]
    lines += [f"{name}: {_said(value)}" for name, value in facts(n)]
    lines += [f"- {_said(why)}" for why in row.why[:MAX_WHY]]
    lines += [_said(f"{moment(one.at)}: {one.text}") for one in row.happened[-MAX_HAPPENED:]]
    if row.advice and n.tell is not Tell.RESOLVED:
        lines += ["", "What to do: " + _said(_first(row.advice), MAX_FACT * 2)]
    return _cut("\n".join(lines))


def markdown(n: Notification) -> str:
    """The body as Markdown; nothing of a watched process's can begin a link, a heading or a mention."""
    row = n.incident
    lines = [f"**{_marked(news)}**  " for news in n.news]
    for name, value in facts(n):
        shown = f"<{value}>" if name == "Evidence" and value == n.evidence_url else _marked(value)
        lines.append(f"**{name}:** {shown}  ")
    if row.why:
        lines += ["", *(f"- {_marked(why)}" for why in row.why[:MAX_WHY])]
    if row.happened:
        lines += ["", *(f"- {_marked(f'{moment(one.at)}: {one.text}')}" for one in row.happened[-MAX_HAPPENED:])]
    if row.advice and n.tell is not Tell.RESOLVED:
        lines += ["", "**What to do:** " + _marked(_first(row.advice), MAX_FACT * 2)]
    return _cut("\n".join(lines))


def facts(n: Notification) -> list[tuple[str, str]]:
    """The key facts as (name, value), in the order people ask for them; values are not yet inert."""
    row = n.incident
    out = [("Service", row.service + (f" ({row.env})" if row.env else ""))]
    if row.line:
        out.append(("Line", row.line))
    if row.since:
        began = moment(row.since)
        out.append(("Since", f"version {row.since_version}, {began}" if row.since_version else began))
    if n.tell is Tell.RESOLVED:
        out.append(
            ("Over", f"{moment(row.resolved_at)}, after {seconds(max(row.resolved_at - row.firing_since, 0.0))}")
        )
    else:
        out += _how_bad(row)
    if row.instances:
        more = len(row.instances) - MAX_NAMED
        named = ", ".join(row.instances[:MAX_NAMED])
        out.append(("Instances", f"{named} and {more} more" if more > 0 else named))
    out.append(("Verdict", f"{row.verdict.value}, {percent(row.confidence)} sure ({row.code} {row.detector})"))
    if row.acknowledged:
        out.append(("Acknowledged", _done(row.acknowledged_by, row.acknowledged_at, row.acknowledged_why)))
    if row.closed:
        out.append(("Resolved", _done(row.closed_by, row.closed_at, row.closed_why)))
    if n.runbook:
        out.append(("Runbook", n.runbook))
    if n.evidence_url:
        out.append(("Evidence", n.evidence_url))
    elif row.evidence:
        out.append(("Evidence", f"parkwarden evidence show {row.evidence[0][:16]}"))
    out.append(("Incident", row.id))
    return out


def time_left(row: Incident) -> str:
    """`4 h 10 min until memory limit (3 h to 6 h)`, "" where no limit is near."""
    if row.time_left_s is None:
        return ""
    return words.time_left(row.time_left_s, row.limit, row.time_left_low_s, row.time_left_high_s)


def moment(at: float) -> str:
    """`2026-11-21 08:03:39 UTC`; a time no calendar has is `?`."""
    try:
        return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
    except (ValueError, OverflowError, OSError):
        return "?"


def _done(by: str, at: float, why: str) -> str:
    return f"by {by or 'somebody'}, {moment(at)}" + (f": {why}" if why else "")


def _how_bad(row: Incident) -> list[tuple[str, str]]:
    out = []
    if row.state is IncidentState.NO_DATA and row.no_data_since:
        out.append(("No data since", moment(row.no_data_since)))
    if row.rate_per_min is not None:
        out.append(("Growth", rate(row.rate_per_min) + (f" ({row.grade.value})" if row.grade.value else "")))
    if row.count is not None:
        out.append((COUNTED.get(row.detector, "Goroutines here" if row.site_id else "Count"), count(row.count)))
    if left := time_left(row):
        out.append(("Time left", left))
    return out


def _first(advice: str) -> str:
    """The advice without blocks of code: two paragraphs at most."""
    kept = [part for part in advice.split("\n\n") if not part.startswith(("    ", "\t", "```"))]
    return " ".join(" ".join(part.split()) for part in kept[:2])


def _said(text: str, limit: int = MAX_FACT) -> str:
    return _MENTION.sub(lambda found: found[0] + " ", inert(text, limit))


def _marked(text: str, limit: int = MAX_FACT) -> str:
    return _MARKDOWN.sub(r"\\\1", _said(text, limit))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_BODY else text[: MAX_BODY - 1] + "…"
