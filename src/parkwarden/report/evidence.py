"""What the evidence store holds, as text and as JSON (`parkwarden.evidence/1`, docs/schema/evidence-1.json)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

from parkwarden.model import EvidenceItem
from parkwarden.report.safe import inert
from parkwarden.report.words import time_of

SCHEMA = "parkwarden.evidence/1"
SHORT = 12
"""Digits of a digest that are shown in a list: enough to name an item."""


def evidence_to_json(items: Sequence[EvidenceItem]) -> str:
    """`{"schema":…,"items":[…]}`, the fields of an item as in the model; ends without a newline."""
    return json.dumps({"schema": SCHEMA, "items": [asdict(item) for item in items]}, ensure_ascii=True, indent=2)


def evidence_to_text(items: Sequence[EvidenceItem]) -> str:
    """One line per item, newest first as given; names from outside are made harmless."""
    if not items:
        return "no evidence is kept that matches\n"
    rows: list[tuple[str, ...]] = [("DIGEST", "TAKEN (UTC)", "KIND", "SERVICE", "INSTANCE", "BYTES", "WHY")]
    rows += [
        (item.digest[:SHORT], time_of(item.at), *map(inert, (item.kind, item.service, item.instance)), f"{item.bytes:,}", inert(item.why))
        for item in items
    ]  # fmt: skip
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)
    return "\n".join(lines) + "\n"


def item_to_text(item: EvidenceItem) -> str:
    """Everything known of one item, a line each."""
    facts = {
        "digest": item.digest,
        "file": item.file,
        "kind": item.kind,
        "service": item.service,
        "instance": item.instance,
        "taken": time_of(item.at),
        "why": item.why,
        "sites": ", ".join(item.site_ids) or "-",
        "bytes": f"{item.bytes:,} ({item.stored_bytes:,} as stored)",
        "redacted": f"{item.redacted} texts",
        **{f"label {key}": value for key, value in sorted(item.labels.items())},
    }
    width = max(map(len, facts))
    told = "".join(f"{inert(key):<{width}}  {inert(value)}\n" for key, value in facts.items())
    opened = f"parkwarden evidence open {item.digest[:SHORT]}"
    return f"{told}\nnext: {opened} --diagnose   or   {opened} -o {inert(item.file) or 'FILE'}\n"
