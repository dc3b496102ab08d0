"""Judges: one module per detector, each a pure function of the case; `judge_case` asks all of them and fuses the answers."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from parkwarden.model import Case, Finding
    from parkwarden.stacks.cluster import Grouping
    from parkwarden.stacks.patterns import Excerpt


def judge_case(case: Case, grouping: Grouping, excerpt: Excerpt | None = None) -> list[Finding]:
    """All findings about a case, joined and ranked, worst first. `grouping` is the one `case.clusters` came from.

    `excerpt` finds the source of a blocked line where the caller has it; it decides between patterns with one and the same stack.
    """
    from parkwarden.judge import crash, creation_burst, heap_retention, near_limits, site_leak, site_load, threads
    from parkwarden.judge.fuse import fuse

    findings = site_leak.judge(case, grouping, excerpt)
    for detector in (creation_burst, crash, heap_retention, site_load, threads, near_limits):
        findings += detector.judge(case)
    return fuse(findings)
