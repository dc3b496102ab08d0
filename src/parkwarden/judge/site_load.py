"""Crowds that are load or slow calls, told apart from leaks.

Watches clusters of the latest look whose goroutines are runnable or in a system call. Runnable but unscheduled is load: said with
verdict `ok`, so that nobody hunts a leak there. Long system calls are a suspicion only. Patterns that explain a crowd better
(a child process's pipes) take precedence: `fuse` drops ours for the same site.
"""

from __future__ import annotations

from parkwarden.model import Case, Cluster, Evidence, Finding, Verdict
from parkwarden.stacks.culprit import culprit

MIN_CROWD = 100
"""Goroutines at one site; fewer waiting for a processor, or for a disk, is an ordinary moment."""

MIN_SHARE = 0.8
"""Of the cluster in that state: mixed crowds are on their way."""


def judge(case: Case) -> list[Finding]:
    """One finding per crowd in runnable or syscall state."""
    findings = []
    for cluster in case.clusters:
        if cluster.count < MIN_CROWD:
            continue
        runnable = cluster.states["runnable"] / cluster.count
        syscall = cluster.states["syscall"] / cluster.count
        if runnable >= MIN_SHARE:
            findings.append(_finding(case, cluster, "PW401"))
        elif syscall >= MIN_SHARE:
            findings.append(_finding(case, cluster, "PW402"))
    return findings


def _finding(case: Case, cluster: Cluster, code: str) -> Finding:
    load = code == "PW401"
    where = f"{cluster.site.function}"
    return Finding(
        code=code,
        verdict=Verdict.OK if load else Verdict.SUSPECT,
        confidence=0.7 if load else 0.4,
        title=f"{cluster.count:,} goroutines could run {where} but find no processor: load, not a leak"
        if load
        else f"{cluster.count:,} goroutines are in a system call at {where}",
        pattern="runnable-crowd" if load else "syscall-crowd",
        site=cluster.site,
        culprit=culprit(cluster.site, case.user_modules),
        count=cluster.count,
        share=cluster.share,
        advice="Less work or more processors; a limit on concurrency keeps the latency of what is admitted."
        if load
        else "Look again in a minute: if the same ids are still there, find what the call waits for (disk, peer without deadline, "
        "flock) and give it a deadline.",
        evidence=[Evidence(case.looks[-1].artefact.name, "state", f"{dict(cluster.states.most_common(3))}")],
    )
