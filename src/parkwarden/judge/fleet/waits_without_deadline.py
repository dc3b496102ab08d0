"""Goroutines that have waited for the network at one line for minutes, and none of them leaves: nobody set a deadline.

Watches     sites in `IO wait` that owe their wait to a peer: reads and writes of connections. Not listeners, idle keep-alive connections (of servers and
            clients), multiplexed transports, websockets, pipes: those wait by design.
Why         a peer that vanished without a word is never noticed; each such goroutine holds a socket and what it was working on until the process ends.
Input       Where censuses are taken: who has been at the site since when, and who left at which age (aggregate/life.py). Elsewhere: counts per minute.
Method      Censuses: at least `count` goroutines were seen there for `age_s`, and of those who grew so old fewer than `leavers_share` left. Counts: for
            `age_s` the site had at least `count`, its floor never fell, and its count hardly changed from look to look.
Verdicts    `suspect`; its own finding where nothing else is said of the site, else the evidence of what is. Never `leak`: that they come and never go is
            for `survivors` to show, which names the same pattern. `unknown`: fewer looks than that.
Parameters  `DeadlineRule`.
If wrong    a line in a report: a pool of patient connections (a long poll without the usual names in its stack) is named.
Blind       fewer than `count`; waits with a deadline longer than `age_s` (they look the same until it comes).
Example     30 reads at proxy.go:57 for 12 minutes, nobody left: suspect. 300 that leave after 30 s: nothing.
Source      internal/poll/fd_poll_runtime.go; the map's B8; net/http/server.go (no time-out is set by default).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from parkwarden.aggregate.life import AGES_S
from parkwarden.aggregate.sites import LEVELS_S, SiteTable
from parkwarden.judge.fleet import serving
from parkwarden.model import Signal, Site, Verdict
from parkwarden.model.words import seconds
from parkwarden.stacks.holders import holds

if TYPE_CHECKING:
    from parkwarden.aggregate.sites import SiteWindows

NAME = "waits-without-deadline"
"""`io-without-deadline` (PW113) is the atlas's pattern: what one look shows. This is what time adds."""
CODE = "PW525"
CONFIDENCE = 0.5
GROWING = 0.6
"""With growth; below `alert.suspect_confidence` either way."""
STEADY = 0.02
"""Variance from look to look per goroutine, of a crowd that stays: a queue's is of the order of 1."""
GREW = 1.2
"""Times as many as at the begin: growing."""
MAX_KNOWN = 20_000
"""Sites of which it is remembered whether they wait for a peer."""

PATIENT = (
    "internal/poll.(*FD).Accept",
    "net/http.(*persistConn).readLoop",
    "net/http.(*connReader).backgroundRead",
    "net/http.(*http2clientConnReadLoop).",
    "net/http/internal/http2.(*clientConnReadLoop).",
    "golang.org/x/net/http2.(*clientConnReadLoop).",
    "net/http.(*http2serverConn).readFrames",
    "net/http/internal/http2.(*serverConn).readFrames",
    "golang.org/x/net/http2.(*serverConn).readFrames",
    "google.golang.org/grpc/internal/transport.",
    "crypto/tls.(*Conn).Handshake",
)
"""Waits by design: listeners, idle connections, one reader per multiplexed connection. (A handshake has its server's own limit.)"""


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadlineRule:
    """Thresholds of io-without-deadline over time."""

    count: int = 10
    """Goroutines at one line. Lower: subscribers and pools of a few connections are named."""
    age_s: float = 300.0
    """Seconds each of them has waited, as we saw. Usual time-outs are 30 s, long polls a minute, proxies' five. Lower: those are named."""
    leavers_share: float = 0.1
    """Who left at that age, of those who are there: where some leave there is a deadline, or a living peer."""


@dataclass(frozen=True, slots=True)
class Stands:
    """One site where nobody leaves."""

    row: int
    count: int
    for_s: float
    growing: bool


def waits_for_peer(site: Site) -> bool:
    """Whether goroutines of this site wait for somebody at the other end of a connection who owes something."""
    if site.wait_reason != "IO wait" or holds(site) != "socket" or serving.idle(site) or serving.reads(site):
        return False
    names = [frame.function for frame in site.frames]
    if any(name.startswith(PATIENT) for name in names):
        return False
    return not any(word in name.lower() for name in names for word in serving.HIJACKED)


def judge(
    table: SiteTable, sites: SiteWindows, known: dict[str, tuple[Site, bool]], rule: DeadlineRule
) -> list[Stands]:
    """All rows of one instance where nobody leaves. `known` remembers what sites are."""
    if table.last_at is None or table.watched_since is None or table.last_at - table.watched_since < rule.age_s:
        return []
    many = (table.recent[:, -1] >= rule.count).tolist()
    out = []
    for name, row in table.rows.items():
        if many[row] and _waits(sites.site(name), known):
            found = _by_ages(table, row, rule) if table.life.censuses >= 3 else _by_counts(table, row, rule)
            if found is not None:
                out.append(found)
    return out


def signals(table: SiteTable, judged: list[Stands], now: float) -> list[Signal]:
    """What to say of them."""
    names = {row: name for name, row in table.rows.items()} if judged else {}
    return [
        Signal(
            detector=NAME,
            code=CODE,
            at=now,
            instance=table.instance.id,
            site=names[one.row],
            verdict=Verdict.SUSPECT,
            confidence=GROWING if one.growing else CONFIDENCE,
            count=one.count,
            numbers={"count": float(one.count), "waited_s": one.for_s, "growing": float(one.growing)},
            text=f"{one.count:,} goroutines have waited for the network at this line for {seconds(one.for_s)} or longer and none of them "
            f"leaves{', and more come' if one.growing else ''}: no deadline ends the wait",
        )
        for one in judged
    ]


def _waits(site: Site, known: dict[str, tuple[Site, bool]]) -> bool:
    before = known.get(site.id)
    if before is None or before[0] is not site:
        if len(known) >= MAX_KNOWN:
            known.clear()
        before = known[site.id] = (site, waits_for_peer(site))
    return before[1]


def _by_ages(table: SiteTable, row: int, rule: DeadlineRule) -> Stands | None:
    life = table.life
    if life.last_at is None or row >= len(life.left):
        return None
    here = life.present(row)
    stayed = here.arrived <= life.last_at - rule.age_s
    old = int(stayed.sum()) * here.scale
    if old < rule.count:
        return None
    gone = float(life.left[row, np.searchsorted(AGES_S, rule.age_s, side="right") :].sum())
    if gone > rule.leavers_share * old:
        return None
    waited = float(life.last_at - here.arrived[stayed].max())
    young = int((~stayed).sum()) * here.scale
    return Stands(row, old, waited, growing=young >= (GREW - 1) * old)


def _by_counts(table: SiteTable, row: int, rule: DeadlineRule) -> Stands | None:
    slots = int(rule.age_s // LEVELS_S[0]) + 1
    if slots > table.told.shape[1] or not table.told[0, -slots:].all():
        return None
    floors = table.floors[0, row, -slots:]
    now = int(table.recent[row, -1])
    if floors.min() < rule.count or (np.diff(floors) < 0).any() or table.jitter[row] > STEADY * max(now, 1):
        return None
    return Stands(row, int(floors[0]), (slots - 1) * LEVELS_S[0], growing=now >= GREW * float(floors[0]))
