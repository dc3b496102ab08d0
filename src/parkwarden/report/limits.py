"""The tuner's answer as text and JSON (`parkwarden.limits/1`): pure functions of an `Examined`."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

from parkwarden.judge.limits import Breach, Effect, Examined, Limit, Proposal, Setting, Severity, State, Tuning, Unit
from parkwarden.judge.limits.facts import SETTINGS, Server
from parkwarden.judge.limits.proposals import load_of
from parkwarden.judge.limits.rules import RULES, number
from parkwarden.model import TimeLeft, Verdict
from parkwarden.model.words import percent, seconds, within
from parkwarden.report.limit_snippets import Snippet, snippets
from parkwarden.report.safe import inert

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

LIMITS_SCHEMA = "parkwarden.limits/1"
HIDDEN = "not visible from here"
NARROW = 100
"""Columns below which what does not fit side by side is told line by line."""
NOT_TOLD = "Go tells a server's timeouts nowhere while it runs: --source DIR reads them from the code"
_COLOURS = {
    Verdict.OK: "green",
    Verdict.UNKNOWN: "dim",
    Verdict.TIGHT: "yellow",
    Verdict.EXHAUSTING: "bold red",
}
_MARKS = {Severity.BREAKS: "bold red", Severity.RISK: "yellow", Severity.NOTE: "cyan"}


def sentences(tuning: Tuning) -> list[str]:
    """What breaks first, in words: at the present trend, and under load."""
    return [_trend_sentence(tuning), _load_sentence(tuning)]


def _trend_sentence(tuning: Tuning) -> str:
    span = tuning.facts.now.at - tuning.facts.looks[0].at
    first = tuning.by_trend
    if first is not None and (left := first.time_left) is not None:
        return (
            f"At the present trend {_name(first)} breaks first, in {_interval(left)}: {_amount(left.value, first.unit)} of "
            f"{_amount(first.limit, first.unit)} now, {_rate(left, first.unit)} more. Then {first.then}."
        )
    if span <= 0:
        return "One look shows no trend: look longer (--for 10s)."
    return f"Nothing approaches a limit at the present trend ({seconds(span)} looked at)."


def _load_sentence(tuning: Tuning) -> str:
    first, load = tuning.by_load, tuning.facts.load
    if first is None or first.requests is None:
        return "What a request takes is not known from here, so neither is how many fit."
    holds = f"{_name(first)} of {_amount(first.limit, first.unit)} is the first that more load breaks, at {first.requests:,.0f} concurrent requests"
    basis = f"({first.basis})"
    if load is None:
        return f"Under load {holds} {basis}. Then {first.then}."
    if first.requests < load:
        return f"{load:,} concurrent requests do not fit: {holds} {basis}. Then {first.then}."
    return f"{load:,} concurrent requests fit: {holds} {basis}."


def _next_steps(examined: Examined) -> list[str]:
    """Who holds what runs out is other commands' to say."""
    tuning = examined.tuning
    firsts = {one.name for one in (tuning.by_trend, tuning.by_load if tuning.found else None) if one is not None}
    steps = []
    if "fd-limit" in firsts:
        steps.append(f"-> who holds the descriptors: parkwarden fds {examined.target}")
    if examined.target != str(examined.pid) and firsts - {"fd-limit"}:
        steps.append(f"-> who holds the rest: parkwarden diagnose {examined.target}")
    return steps


def limits_to_json(examined: Examined, which: Snippet | None = None) -> str:
    """For machines; numbers that are none, not visible or infinite are null, `state` says which."""
    tuning = examined.tuning
    facts = tuning.facts
    document: dict[str, Any] = {
        "schema": LIMITS_SCHEMA,
        "checked_at": examined.checked_at,
        "target": examined.target,
        "pid": examined.pid,
        "command": examined.command or None,
        "go_version": f"{facts.go[0]}.{facts.go[1]}" if facts.go else None,
        "watched_s": round(examined.watched_s, 3),
        "found": tuning.found,
        "profile": _profile(tuning),
        "load": facts.load,
        "sentences": sentences(tuning),
        "in_force": [_setting(facts.settings.get(name, Setting(name))) for name in SETTINGS],
        "servers": [_server(one) for one in facts.servers] if facts.source_read else None,
        "calls": list(examined.source_calls),
        "use": _use(examined),
        "needs": [
            {"what": n.what.value, "fixed": _num(n.fixed), "each": _num(n.each), "basis": n.basis.value, "text": n.text}
            for n in tuning.needs.values()
        ],
        "limits": [_limit(one) for one in tuning.limits],
        "first_by_trend": tuning.by_trend.name if tuning.by_trend else None,
        "first_by_load": tuning.by_load.name if tuning.by_load else None,
        "breaches": [_breach(one) for one in tuning.breaches],
        "proposals": [_proposal(one) for one in tuning.proposals],
        "proposed_for": load_of(facts),
        "snippets": snippets(tuning, which) if which is not None else {},
        "problems": [{"code": p.code, "where": p.where, "text": p.text} for p in examined.problems],
    }
    return json.dumps(document, indent=2, ensure_ascii=True, allow_nan=False)


def _profile(tuning: Tuning) -> dict[str, Any]:
    one = tuning.profile
    return {
        "name": one.name,
        "process_limit": one.process_limit,
        "max_threads": one.max_threads,
        "timeout_s": one.timeout_s,
        "streaming": one.streaming,
        "disagrees": list(one.disagrees),
    }


def _num(value: float | None) -> float | int | None:
    if value is None or not math.isfinite(value):
        return None
    return int(value) if value == int(value) else round(value, 6)


def _setting(one: Setting) -> dict[str, Any]:
    return {
        "name": one.name,
        "value": _num(one.value),
        "unit": one.unit.value,
        "state": one.state.value,
        "source": one.source or None,
    }


def _server(one: Server) -> dict[str, Any]:
    return {
        "where": one.where,
        "literal": one.literal,
        "read_header_s": _num(one.read_header_s),
        "read_s": _num(one.read_s),
        "write_s": _num(one.write_s),
        "idle_s": _num(one.idle_s),
    }


_USE = (
    "descriptors", "threads", "user_threads", "group_threads", "system_threads", "memory", "address_space", "go_memory", "heap", "next_gc",
    "goroutines", "connections", "requests",
)  # fmt: skip


def _use(examined: Examined) -> dict[str, Any]:
    now = examined.tuning.facts.now
    kinds = dict(sorted(examined.kinds.items())) if examined.kinds is not None else None
    return {**{name: getattr(now, name) for name in _USE}, "kinds": kinds}


def _limit(one: Limit) -> dict[str, Any]:
    left = one.time_left
    return {
        "name": one.name,
        "verdict": one.verdict.value,
        "limit": _num(one.limit),
        "now": one.now,
        "unit": one.unit.value,
        "assumed": one.assumed,
        "effect": one.effect.value,
        "then": one.then,
        "time_left": None
        if left is None
        else {
            "seconds": _num(left.seconds),
            "low_s": _num(left.low_s),
            "high_s": _num(left.high_s),
            "rate_per_s": _num(left.rate_per_s),
        },
        "requests": _num(one.requests),
        "at_load": _num(one.at_load),
        "basis": one.basis or None,
    }


def _breach(one: Breach) -> dict[str, Any]:
    rule = RULES[one.rule]
    return {
        "rule": one.rule,
        "severity": one.severity.value,
        "text": one.text,
        "advice": one.advice,
        "because": rule.because,
        "source": rule.source,
    }


def _proposal(one: Proposal) -> dict[str, Any]:
    return {
        "name": one.name,
        "now": _num(one.now),
        "value": _num(one.value),
        "unit": one.unit.value,
        "changes": one.changes,
        "why": one.why,
    }


def print_limits(examined: Examined, console: Console, which: Snippet | None = None) -> None:
    """The whole answer; words of the target are made inert."""
    tuning = examined.tuning
    wide = console.width >= NARROW
    _head(examined, console)
    for text in sentences(tuning):
        console.print(inert(text, 2000), style="bold")
    for text in _next_steps(examined):
        console.print(inert(text, 300), style="italic")
    _section(console, "What breaks first", _ranked(tuning, wide) if tuning.limits else "no limit is visible from here")
    _section(console, "In force", _in_force(tuning, wide))
    if tuning.breaches:
        _section(console, "What does not fit together", _breaches(tuning))
    _section(console, f"Proposed together, for {load_of(tuning.facts):,} concurrent requests", _proposed(tuning, wide))
    console.print(f"\nWhere Go contradicts the profile's numbers ({tuning.profile.name})", style="bold underline")
    for text in tuning.profile.disagrees:
        _bullet(console, text)
    for problem in examined.problems:
        _bullet(console, inert(f"not seen: {problem.where}: {problem.text}", 500), "dim")
    for name, body in snippets(tuning, which).items() if which is not None else ():
        console.print(f"\n{name}", style="bold underline")
        console.print(body, end="", soft_wrap=True)


def _head(examined: Examined, console: Console) -> None:
    from rich.text import Text

    tuning = examined.tuning
    facts = tuning.facts
    said = [
        examined.command and inert(examined.command, 64),
        f"pid {examined.pid}" if examined.pid is not None else "remote",
    ]
    said.append(f"Go {facts.go[0]}.{facts.go[1]}" if facts.go else "Go's version is not known")
    said.append(f"profile {tuning.profile.name}")
    said.append(f"looked {seconds(examined.watched_s)}" if examined.watched_s else "one look")
    console.print(
        Text(inert(examined.target, 200), style="bold cyan").append("  " + ", ".join(filter(None, said)), style="dim")
    )
    now = facts.now
    counts = [
        (now.requests, "requests in flight"),
        (now.connections, "connections"),
        (now.goroutines, "goroutines"),
    ]
    told = [f"{value:,} {what}" for value, what in counts if value is not None]
    if examined.kinds:
        kinds = sorted(examined.kinds.items(), key=lambda one: -one[1])
        told.append("descriptors: " + ", ".join(f"{n:,} {kind}" for kind, n in kinds if n))
    if told:
        console.print(Text("; ".join(told), style="dim"))
    console.print()


def _section(console: Console, title: str, body: RenderableType) -> None:
    console.print(f"\n{title}", style="bold underline")
    console.print(body)


def _bullet(console: Console, text: str, style: str = "") -> None:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 1))
    table.add_column(width=1)
    table.add_column(overflow="fold")
    table.add_row("-", Text(text, style=style))
    console.print(table)


def _table(*columns: tuple[str, str]) -> Table:
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    table = Table(box=SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style="dim")
    for name, justify in columns:
        table.add_column(name, justify="right" if justify == "right" else "left", overflow="fold")
    return table


def _ranked(tuning: Tuning, wide: bool) -> RenderableType:
    from rich.text import Text

    load = tuning.facts.load
    columns = [
        ("", "right"),
        ("limit", ""),
        ("now / limit", "right"),
        ("time left", "right"),
        ("requests it holds", "right"),
    ]
    if load is not None:
        columns.append((f"at {load:,}", "right"))
    if wide:
        columns.append(("then", ""))
    table = _table(*columns)
    for place, one in enumerate(tuning.limits, 1):
        style = _COLOURS[one.verdict]
        share = f" ({percent(one.share)})" if one.share is not None else ""
        use = f"{_amount(one.now, one.unit)} / {_amount(one.limit, one.unit)}{share}"
        row = [Text(str(place), style=style), Text(_name(one, article=False), style=style), Text(use)]
        row.append(Text(_left(one), style=style if one.time_left else "dim"))
        row.append(Text("-" if one.requests is None else f"{one.requests:,.0f}"))
        if load is not None:
            row.append(
                Text(
                    "-" if one.at_load is None else _amount(one.at_load, one.unit),
                    style="bold red" if one.passed else "",
                )
            )
        if wide:
            row.append(Text(f"{one.effect.value}: {one.then}", style="dim"))
        table.add_row(*row)
    return table


def _in_force(tuning: Tuning, wide: bool) -> RenderableType:
    from rich.text import Text

    facts = tuning.facts
    table = _table(("setting", ""), ("value", "right"), ("told by", ""), *([("what it is", "")] if wide else []))
    for name, (_, what) in SETTINGS.items():
        one = facts.settings.get(name, Setting(name))
        value = Text(_value(one), style="dim" if one.state in (State.HIDDEN, State.NONE) else "")
        row = [Text(name), value, Text(inert(one.source, 80) or "-", style="dim")]
        table.add_row(*row, *([Text(what, style="dim")] if wide else []))
    for server in facts.servers:
        table.add_row(Text("server timeouts"), Text(_timeouts(server)), Text(inert(server.where, 120), style="dim"))
    if not facts.servers:
        why = "no http.Server was found in the source" if facts.source_read else NOT_TOLD
        table.add_row(Text("server timeouts"), Text(HIDDEN, style="dim"), Text(why, style="dim"))
    return table


def _timeouts(server: Server) -> str:
    told = (
        ("header", server.header_in_force_s),
        ("read", server.read_s),
        ("write", server.write_s),
        ("idle", server.idle_in_force_s),
    )
    return ", ".join(f"{name} {_timeout(value)}" for name, value in told)


def _timeout(value: float | None) -> str:
    return "?" if value is None else "never" if value <= 0 else seconds(value)


def _breaches(tuning: Tuning) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    table = Table.grid(padding=(0, 1))
    table.add_column(width=6)
    table.add_column(overflow="fold")
    for one in tuning.breaches:
        told = Text(inert(one.text, 1000)).append(f"\n-> {inert(one.advice, 500)}", style="italic")
        table.add_row(Text(one.severity.value, style=_MARKS[one.severity]), told.append(f"  [{one.rule}]", style="dim"))
    return table


def _proposed(tuning: Tuning, wide: bool) -> RenderableType:
    from rich.table import Table
    from rich.text import Text

    if wide:
        table = _table(("setting", ""), ("now", "right"), ("proposed", "right"), ("why", ""))
    else:
        table = Table.grid(padding=(0, 1))
        table.add_column(width=1)
        table.add_column(overflow="fold")
    for one in tuning.proposals:
        now = "?" if one.now is None else _setting_words(one.name, one.now, one.unit)
        value = Text(_setting_words(one.name, one.value, one.unit), style="bold green" if one.changes else "dim")
        if wide:
            table.add_row(Text(one.name), Text(now, style="dim"), value, Text(one.why, style="dim"))
        else:
            table.add_row("-", Text(f"{one.name}  {now} -> ").append(value).append(f"  {one.why}", style="dim"))
    return table


def _setting_words(name: str, value: float, unit: Unit) -> str:
    return "unset" if name == "gomaxprocs" and math.isinf(value) else _plain(value, unit)


def _value(one: Setting) -> str:
    if one.value is None:
        return HIDDEN
    return _plain(one.value, one.unit)


def _plain(value: float, unit: Unit) -> str:
    """A setting's value: seconds 0 are `never`, infinite is `off` for GOGC and `none` else."""
    if unit is Unit.SECONDS:
        return _timeout(value)
    if unit is Unit.PERCENT:
        return "off" if math.isinf(value) else f"{value:.0f}"
    return _amount(value, unit)


def _amount(value: float | None, unit: Unit) -> str:
    if value is None:
        return "?"
    if unit is Unit.BYTES:
        return number(value, "bytes")
    return number(value if unit is Unit.PROCESSORS or math.isinf(value) else round(value))


def _name(one: Limit, *, article: bool = True) -> str:
    said = one.name + (" (Go's default)" if one.assumed else "")
    return said if not article else f"the {said}" if one.effect is not Effect.SLOWS else said


def _left(one: Limit) -> str:
    if one.share is not None and one.share >= 1:
        return "passed"
    return _interval(one.time_left) if one.time_left is not None else "-"


def _interval(left: TimeLeft) -> str:
    return within(left.seconds, left.low_s, left.high_s)


def _rate(left: TimeLeft, unit: Unit) -> str:
    if unit is Unit.BYTES:
        return f"{number(left.rate_per_s, 'bytes')}/s"
    return f"{left.rate_per_s:,.1f}/s" if left.rate_per_s >= 1 else f"{left.rate_per_s * 60:,.1f}/min"
