"""A line that came, or began to grow, with the version deployed last.

Watches     sites that another judge suspects, against the versions of their service.
Why         most leaks come with a change; the version that brought it is where to look, and what to roll back.
Input       `SiteWindows.deploys` (time and version), `Memory.first_version` and `Memory.leak_at` of the site.
Verdicts    `suspect`, only beside another suspicion: a new line number alone is no fault (every deploy moves code).
Parameters  `DeployRule`.
If wrong    a line moved by the deploy counts as new; then it points at the right line and the wrong release.
Blind       services without a `version` label; versions watched for less than `before_s`.
Example     v41 watched for 3 h without the site, v42 deployed at 14:02, survivors there since 14:10: suspect, since v42.
Source      the gap named by every post-mortem: "it began with the release".
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from parkwarden.aggregate.sites import SiteTable, SiteWindows
from parkwarden.model import Signal, Verdict

NAME = "new-since-deploy"
CODE = "PW516"


@dataclass(frozen=True, slots=True, kw_only=True)
class DeployRule:
    """Thresholds of what counts as new."""

    before_s: float = 3600.0
    """How long the version before must have been there: what was not seen in ten minutes may only be rare."""
    within_s: float = 7 * 86_400.0
    """A deploy longer ago explains nothing new."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A suspected site that came or began with the last deploy."""

    row: int
    site: str
    version: str
    deployed_at: float
    new_line: bool


def judge(sites: SiteWindows, table: SiteTable, suspected: Iterable[int], now: float, rule: DeployRule) -> list[Judged]:
    """Suspected rows of one instance that are new since the last deploy of its service."""
    instance = table.instance
    deploys = sites.deploys(instance.service_key)
    if len(deploys) < 2 or deploys[-1][1] != instance.version:
        return []
    (before, _), (at, version) = deploys[-2:]
    if at - before < rule.before_s or not 0 <= now - at <= rule.within_s:
        return []
    names = {row: site for site, row in table.rows.items()}
    out = []
    for row in sorted(set(suspected)):
        if row not in names:
            continue
        memory = sites.memory(instance, names[row])
        new_line = memory.first_version == version
        if new_line or memory.leak_at is None or memory.leak_at >= at:
            out.append(Judged(row, names[row], version, at, new_line))
    return out


def signals(table: SiteTable, judged: list[Judged], now: float) -> list[Signal]:
    """What to say about them."""
    return [
        Signal(
            detector=NAME,
            code=CODE,
            at=now,
            instance=table.instance.id,
            site=j.site,
            verdict=Verdict.SUSPECT,
            confidence=0.4 if j.new_line else 0.3,
            count=int(table.recent[j.row, -1]),
            since=j.deployed_at,
            numbers={"deployed_at": j.deployed_at},
            text=f"the line came with version {j.version}"
            if j.new_line
            else f"no leak was seen here before version {j.version}",
        )
        for j in judged
    ]
