"""Scores of the live ruler, by site: who was found, who was accused.

A finding is *at* a leak if its blocked frames hold one of the functions that the service itself told as ground truth (GET /truth); a
function literal inside one is it, too. A `leak` finding anywhere else is a false one. A leak finding that names no place is counted
apart where the service does leak (true, and of little use), and is false where it does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from bench.leakbench.score import wilson

Row = Mapping[str, Any]


def is_at(function: str, truth: Iterable[str]) -> bool:
    """Whether a function of a stack is one of the truth's, or a literal inside one."""
    return any(function == one or function.startswith(one + ".func") for one in truth)


def place(finding: Mapping[str, Any]) -> list[str]:
    """The functions a finding names: its site's frames and its culprit; empty for one about the whole process."""
    site, culprit = finding.get("site") or {}, finding.get("culprit") or {}
    frames = [*site.get("frames", ()), site, culprit]
    return [frame["function"] for frame in frames if frame.get("function")]


def judge(findings: Sequence[Mapping[str, Any]], truth: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """One check against its truth: per leak the best verdict at it; and what was accused wrongly."""
    best = {one["kind"]: "none" for one in truth}
    right, unplaced = 0, 0
    wrong: list[dict[str, Any]] = []
    suspects: list[str] = []
    for finding in findings:
        verdict = str(finding["verdict"])
        if verdict not in ("leak", "suspect"):
            continue
        functions = place(finding)
        at = [one["kind"] for one in truth if any(is_at(f, one["functions"]) for f in functions)]
        beside = any(is_at(f, one.get("beside") or ()) for one in truth for f in functions)
        for kind in at:
            if best[kind] != "leak":
                best[kind] = verdict
        if verdict == "suspect":
            suspects += [] if at or beside else [_words(finding)]
        elif at or beside:
            right += 1
        elif not functions and truth:
            unplaced += 1
        else:
            wrong.append(
                {"title": finding["title"], "code": finding["code"], "at": functions[:4], "why": _why(finding)}
            )
    return {"best": best, "right": right, "unplaced": unplaced, "wrong": wrong, "suspects_elsewhere": suspects}


def _words(finding: Mapping[str, Any]) -> str:
    return f"{finding['code']} {finding['title']}"


def _why(finding: Mapping[str, Any]) -> list[str]:
    return [
        f"{e['what']}: {e['value']}" for e in finding["evidence"] if e["what"].startswith(("why", "stayed", "grow"))
    ]


def tally(rows: Sequence[Row]) -> dict[str, Any]:
    """Shares with their denominators and intervals, of checks of one mode."""
    sites = [(p, row["best"][p["kind"]]) for row in rows for p in row["planted"]]
    right = sum(row["right"] for row in rows)
    wrong = sum(len(row["wrong"]) for row in rows)
    clean = [row for row in rows if not row["planted"]]

    def recall(some: Iterable[tuple[Mapping[str, Any], str]]) -> dict[str, Any]:
        verdicts = [verdict for _p, verdict in some]
        found = verdicts.count("leak")
        return {**share(found, len(verdicts)), "suspect": verdicts.count("suspect")}

    def by(key: str) -> dict[str, Any]:
        return {
            str(value): recall([s for s in sites if s[0][key] == value])
            for value in sorted({p[key] for p, _verdict in sites})
        }

    return {
        "recall": recall(sites),
        "precision": share(right, right + wrong),
        "unplaced": sum(row["unplaced"] for row in rows),
        "by_kind": by("kind"),
        "by_rate": by("rate"),
        "by_mixed": by("mixed"),
        "by_proof": by("provable"),
        "go_leak_profile_wrong_services": share(sum(bool(row["proven_elsewhere"]) for row in rows), len(rows)),
        "go_leak_profile_alone": share(sum(p["proven"] > 0 for p, _v in sites), len(sites)),
        "lookalikes_accused": share(sum(bool(row["wrong"]) for row in clean), len(clean)),
        "lookalikes_suspected": share(sum(bool(row["suspects_elsewhere"]) for row in clean), len(clean)),
    }


def share(hits: int, of: int) -> dict[str, Any]:
    """`hits` of `of`, with its interval."""
    low, high = wilson(hits, of)
    return {"hits": hits, "of": of, "low": round(low, 4), "high": round(high, 4)}
