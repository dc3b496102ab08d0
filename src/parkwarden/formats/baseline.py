"""Reads and writes baselines: which goroutines a process has when all is well (`parkwarden check --write-baseline`).

Input: JSON of schema `parkwarden.baseline/1` (docs/schema/baseline-1.json), a list of subjects with their sites. `read` gives
baselines and problems: a site that is not one costs itself. `write` is stable: the same goroutines give the same bytes, so
that a baseline can live in version control. No times, no goroutine ids in it. Raises FormatError (not a baseline, or one of another version), LimitError.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from parkwarden.model.artefact import Problem
from parkwarden.model.baseline import BASELINE_SCHEMA, Baseline, Standing
from parkwarden.model.errors import FormatError, LimitError
from parkwarden.model.stack import Frame

MAX_BYTES = 64 << 20
"""Bytes of a baseline; a service with a thousand sites has 200 kB."""

MAX_COUNT = 1 << 40
"""Goroutines of one site that are believed: more than any machine holds."""

MAX_PROBLEMS = 100
"""Problems listed; a file with more is broken as a whole."""


def sniff(head: bytes) -> bool:
    """Whether the head looks like a baseline."""
    return head.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{") and b'"parkwarden.baseline/' in head[:4096]


def read(data: bytes, name: str = "") -> tuple[list[Baseline], list[Problem]]:
    """The baselines of a file, one per subject."""
    if len(data) > MAX_BYTES:
        raise LimitError("baseline-too-big", f"{name}: a baseline of {len(data):,} bytes, limit {MAX_BYTES:,}")
    try:
        told = json.loads(data)
        schema = told["schema"]
        subjects = told["subjects"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise FormatError("not-a-baseline", f"{name} is not a baseline") from None
    if schema != BASELINE_SCHEMA or not isinstance(subjects, list):
        raise FormatError(
            "baseline-version",
            f"{name} is a baseline of another version",
            context=f"schema {str(schema)[:60]!a}, this Parkwarden reads {BASELINE_SCHEMA}",
            hint="write it again with: parkwarden check URL --write-baseline FILE",
        )
    baselines: list[Baseline] = []
    problems: list[Problem] = []
    for i, subject in enumerate(subjects):
        sites: list[Standing] = []
        listed = subject.get("sites") if isinstance(subject, dict) else None
        if not isinstance(listed, list):
            _note(problems, f"subjects[{i}]", "is no subject with sites")
            continue
        for j, site in enumerate(listed):
            one = _site(site)
            if one is None:
                _note(problems, f"subjects[{i}].sites[{j}]", "is no site")
            else:
                sites.append(one)
        baselines.append(Baseline(subject=str(subject.get("subject", "")), standing=tuple(sites)))
    return baselines, problems


def write(baselines: Sequence[Baseline]) -> bytes:
    """A baseline file: subjects by name, a line per site."""
    subjects = []
    for one in sorted(baselines, key=lambda b: b.subject):
        sites = ",\n".join("      " + json.dumps(_as_dict(site)) for site in one.standing)
        head = f'    {{"subject": {json.dumps(one.subject)}, "goroutines": {one.goroutines}, "sites": ['
        subjects.append(f"{head}\n{sites}\n    ]}}" if sites else f"{head}]}}")
    body = ",\n".join(subjects)
    return f'{{\n  "schema": "{BASELINE_SCHEMA}",\n  "subjects": [\n{body}\n  ]\n}}\n'.encode()


def _as_dict(site: Standing) -> dict[str, Any]:
    told: dict[str, Any] = {
        "id": site.site_id,
        "count": site.count,
        "wait_reason": site.wait_reason,
        "function": site.function,
        "file": site.file,
        "line": site.line,
        "start": site.start,
    }
    if site.created_by is not None:
        told["created_by"] = site.created_by._asdict()
    return told


def _site(told: object) -> Standing | None:
    """One site, None where it is not one."""
    if not isinstance(told, dict):
        return None
    count, line, by = told.get("count"), told.get("line", 0), told.get("created_by")
    words = [told.get(key, "") for key in ("id", "start", "function", "file", "wait_reason")]
    numbers = all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n <= MAX_COUNT for n in (count, line))
    if not numbers or not words[0] or not all(isinstance(word, str) for word in words):
        return None
    creator = None
    if isinstance(by, dict) and isinstance(by.get("function"), str) and isinstance(by.get("line"), int):
        creator = Frame(by["function"], str(by.get("file", "")), by["line"])
    site_id, start, function, file, reason = words
    return Standing(
        site_id=site_id, start=start, function=function, file=file, line=line, wait_reason=reason, count=count or 0,
        created_by=creator,
    )  # fmt: skip


def _note(problems: list[Problem], where: str, text: str) -> None:
    if len(problems) < MAX_PROBLEMS:
        problems.append(Problem("bad-site", where, text))
