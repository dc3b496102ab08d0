"""What `fds` found, as text and as JSON (`parkwarden.fds/1`)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from parkwarden.model import words
from parkwarden.report.safe import inert, middle
from parkwarden.report.terminal import _cell, _rule, _say, _table, _unicode, print_cost
from parkwarden.report.words import short_function, short_place

if TYPE_CHECKING:
    from rich.console import Console

    from parkwarden.model import Frame
    from parkwarden.model.fds import FdsResult, Holder
    from parkwarden.model.local import Connections

FDS_SCHEMA = "parkwarden.fds/1"
MAX_GROUPS = 4
"""Groups named per kind, largest first; --all and JSON have as many as are kept."""
MAX_HOLDERS = 12
MIN_SHARE = 0.01
"""Holders of less than this share of the descriptors are left out of the text: every service has a listener and a handler or two."""
MAX_CONNECTIONS = 10
"""Rows of the tables: what fits a screen."""
MAX_PROBLEMS = 6
WIDE = 90
"""Columns of a terminal from which on there is room for bars, and for a column that says how a holder is known."""
BAR = 16
"""Characters of the largest bar."""
WARN, FULL = 0.7, 0.9
"""Shares of the limit from which the number turns yellow, and red."""
BY = {
    "frames": "its frames hold it",
    "growth": "both grew alike",
    "number": "there are as many: a hint",
}


def fds_to_json(result: FdsResult) -> str:
    """The answer for machines; null = not known."""
    document = {
        "schema": FDS_SCHEMA,
        "checked_at": result.checked_at,
        "name": result.name,
        "pid": result.pid,
        "command": result.command or None,
        "source": result.source,
        "watched_s": round(result.watched_s, 3),
        "open": result.open_fds,
        "limit": result.max_fds,
        "limit_hard": result.max_fds_hard,
        "growth_per_min": _round(result.growth_per_min),
        "time_left_s": _round(result.time_left_s),
        "goroutines": result.goroutines,
        "kinds": [
            {
                "kind": row.kind,
                "count": row.count,
                "before": row.before,
                "groups": [{"what": g.what, "count": g.count, "example": g.example} for g in row.groups],
            }
            for row in result.kinds
        ],
        "holders": [_holder(holder) for holder in result.holders],
        "unexplained": dict(result.unexplained),
        "connections": [
            {
                "state": c.state, "peer": c.peer, "count": c.count, "retransmits": c.retransmits, "unacked": c.unacked,
                "rtt_ms": _round(c.rtt_ms), "send_queue": c.send_queue,
            }
            for c in result.connections
        ],
        "problems": [{"code": p.code, "where": p.where, "text": p.text} for p in result.problems],
        "cost": [
            {"look": c.what, "took_s": None if c.took_s is None else round(c.took_s, 6), "bytes": c.bytes, "note": c.note}
            for c in result.cost
        ],
        "redacted": result.redacted,
    }  # fmt: skip
    return json.dumps(document, indent=2, allow_nan=False)


def _holder(holder: Holder) -> dict[str, Any]:
    return {
        "kind": holder.kind,
        "what": holder.words,
        "descriptors": holder.descriptors,
        "goroutines": holder.goroutines,
        "grown": holder.grown,
        "by": holder.by,
        "line": _frame(holder.line),
        "site": {
            "id": holder.site.id,
            "function": holder.site.function,
            "file": holder.site.file,
            "line": holder.site.line,
            "wait_reason": holder.site.wait_reason,
        },
    }


def _frame(frame: Frame | None) -> dict[str, Any] | None:
    return None if frame is None else {"function": frame.function, "file": frame.file, "line": frame.line}


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def print_fds(result: FdsResult, console: Console, *, show_all: bool = False) -> None:
    """How many of how many and how fast; by kind; who holds them; connections; what could not be had."""
    _headline(result, console)
    if result.kinds:
        _by_kind(result, console, show_all)
    if result.holders or result.unexplained:
        _who(result, console, show_all)
    if result.connections:
        _connections(result.connections, console, show_all)
    _problems(result, console)
    if show_all:
        print_cost(result.cost, console)


def _headline(result: FdsResult, console: Console) -> None:
    who = inert(result.name, 120)
    if result.pid is not None and str(result.pid) != result.name:
        who += f" (pid {result.pid})"
    if result.command:
        who = (
            f"{inert(result.command, 60)}, {who}"
            if str(result.pid) != result.name
            else f"{inert(result.command, 60)} (pid {result.pid})"
        )
    _say(console, (who, "bold"))
    if result.open_fds is None:
        _say(console, "how many descriptors are open is not told")
        return
    share = result.open_fds / result.max_fds if result.max_fds else 0.0
    style = "bold red" if share >= FULL else "bold yellow" if share >= WARN else "bold green"
    parts: list[str | tuple[str, str]] = [(words.count(result.open_fds), style)]
    if result.max_fds is not None:
        hard = f", hard {words.count(result.max_fds_hard)}" if result.max_fds_hard not in (None, result.max_fds) else ""
        parts.append(f" of {words.count(result.max_fds)} descriptors open ({words.percent(share)}{hard})")
    else:
        parts.append(" descriptors open, no limit known")
    rate = result.growth_per_min
    if rate is not None:
        parts.append(f", {rate:+,.0f} a minute" if abs(rate) >= 0.5 else ", not growing")
        if result.time_left_s is not None:
            parts.append((f": the limit in {words.seconds(result.time_left_s)} at this pace", "yellow"))
    _say(console, *parts)
    source = (
        "from /proc: the service was not asked" if result.source == "host" else "from its pages (process_* metrics)"
    )
    _say(
        console,
        (f"{source}; looked at twice, {words.seconds(result.watched_s)} apart" if result.watched_s else source, "dim"),
    )


def _by_kind(result: FdsResult, console: Console, show_all: bool) -> None:
    _rule(console, "By kind")
    table = _table(console)
    table.add_column("open", justify="right", no_wrap=True)
    if result.watched_s:
        table.add_column("grown", justify="right", no_wrap=True)
    table.add_column("kind", no_wrap=True)
    wide = console.width >= WIDE
    if wide:
        table.add_column("", no_wrap=True)
    table.add_column("what", overflow="fold")
    most = max(row.count for row in result.kinds)
    block = "█" if _unicode(console) else "#"
    for row in result.kinds:
        groups = [g for g in row.groups if g.what != row.kind] or list(row.groups)
        shown = groups if show_all else groups[:MAX_GROUPS]
        told = [f"{words.count(g.count)} {middle(inert(g.what, 200), 60)}" for g in shown if g.what != row.kind]
        if len(groups) > len(shown):
            told.append(f"{len(groups) - len(shown):,} more groups")
        cells = [words.count(row.count)]
        if result.watched_s:
            cells.append(f"{row.grown:+,}" if row.grown else "")
        cells.append(row.kind)
        if wide:
            cells.append(block * max(1, round(BAR * row.count / most)))
        cells.append("\n".join(told))
        table.add_row(
            *(
                _cell(console, cell, "yellow" if i == 1 and result.watched_s and row.grown > 0 else "")
                for i, cell in enumerate(cells)
            )
        )
    console.print(table)


def _who(result: FdsResult, console: Console, show_all: bool) -> None:
    _rule(console, "Who holds them")
    most = (result.open_fds or 0) * MIN_SHARE
    shown = result.holders if show_all else [h for h in result.holders if h.descriptors >= most][:MAX_HOLDERS]
    if shown:
        table = _table(console)
        for name, justify in (
            ("fds", "right"),
            ("held", "left"),
            ("goroutines", "right"),
            ("grown", "right"),
            ("line", "left"),
            ("known by", "left"),
        ):
            if name == "grown" and not result.watched_s:
                continue
            if name == "known by" and console.width < WIDE:
                continue  # it stands under the line then
            table.add_column(
                name, justify="right" if justify == "right" else "left", no_wrap=justify == "right", overflow="fold"
            )
        for holder in shown:
            line = holder.line
            where = (
                f"{inert(short_function(line.function), 160)}\n{inert(short_place(line), 160)}"
                if line
                else f"(not yours) {inert(short_function(holder.site.function), 160)}"
            )
            cells = [words.count(holder.descriptors), holder.words, words.count(holder.goroutines)]
            if result.watched_s:
                cells.append(f"{holder.grown:+,}" if holder.grown else "")
            cells.append(where)
            if console.width >= WIDE:
                cells.append(BY[holder.by])
            else:
                cells[-1] += f"\n{BY[holder.by]}"
            table.add_row(*(_cell(console, cell, "bold" if i == 0 else "") for i, cell in enumerate(cells)))
        console.print(table)
        if len(result.holders) > len(shown):
            _say(console, (f"{len(shown)} of {len(result.holders)} shown; --all shows all", "dim"), indent=2)
    rest = [f"{words.count(n)} {kind}" for kind, n in sorted(result.unexplained.items(), key=lambda item: -item[1])]
    if rest and (result.holders or result.goroutines is not None):
        _say(
            console, (f"no goroutine explains: {', '.join(rest)} (kept in maps and pools, or the runtime's own)", "dim")
        )


def _connections(connections: Iterable[Connections], console: Console, show_all: bool) -> None:
    """By state and peer, with what netlink tells of their health."""
    rows = list(connections)
    _rule(console, "Connections")
    table = _table(console)
    table.add_column("open", justify="right", no_wrap=True)
    table.add_column("state", no_wrap=True)
    table.add_column("peer", overflow="fold")
    for name in ("sent again", "unacked", "rtt", "send queue"):
        table.add_column(name, justify="right", no_wrap=True)
    for c in rows if show_all else rows[:MAX_CONNECTIONS]:
        table.add_row(
            _cell(console, words.count(c.count)),
            _cell(console, c.state, "yellow" if c.state == "CLOSE_WAIT" else ""),
            _cell(console, inert(c.peer, 120)),
            "" if c.retransmits is None else words.count(c.retransmits),
            "" if c.unacked is None else words.count(c.unacked),
            _cell(console, "" if c.rtt_ms is None else words.seconds(c.rtt_ms / 1000)),
            "" if c.send_queue is None else words.size(c.send_queue),
        )
    console.print(table)
    if len(rows) > MAX_CONNECTIONS and not show_all:
        _say(console, (f"{MAX_CONNECTIONS} of {len(rows)} shown; --all shows all", "dim"), indent=2)
    waiting = sum(c.count for c in rows if c.state == "CLOSE_WAIT")
    if waiting:
        _say(
            console,
            f"{words.count(waiting)} in CLOSE_WAIT: the peer has closed and this side has not; a body or a connection was not closed",
        )


def _problems(result: FdsResult, console: Console) -> None:
    if not result.problems:
        return
    console.print()
    for problem in result.problems[:MAX_PROBLEMS]:
        where = f"{inert(problem.where, 120)}: " if problem.where else ""
        _say(console, ("note  ", "yellow"), f"{where}{inert(problem.text)}", hang=6)
    if len(result.problems) > MAX_PROBLEMS:
        _say(console, (f"{len(result.problems) - MAX_PROBLEMS} more; --format json has all", "dim"))
