"""Evidence: the store with its redaction, and what `parkwarden evidence` asks of it.

Redaction happens within the bytes, so that what is kept still opens in the field's own tools: strings of a profile are replaced in
its string table, strings of a trace are masked at their length, texts are redacted as reports are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from parkwarden.formats import profile_proto, rewrite, trace
from parkwarden.model import Kind, UsageError
from parkwarden.report.redact import Redactor
from parkwarden.store.evidence import EvidenceStore
from parkwarden.store.settings import StoreSettings

if TYPE_CHECKING:
    from parkwarden.run.diagnose import Diagnosis

BLOCK = 1 << 16
"""Characters redacted at once, cut at a line's end: each step holds the interpreter for a few milliseconds only."""

MAX_MARKS = 2
"""Marks but one told apart in one string; each costs the square of its length in the worst case, and real strings have one."""

_MARK = re.compile(r"\[redacted:[a-z-]{1,20}\]")
_PROFILES = frozenset(kind.value for kind in Kind if kind.value.endswith("-profile"))


def open_store(settings: StoreSettings) -> EvidenceStore:
    """The evidence store of these settings; everything put into it is redacted first."""
    url = settings.evidence_url or str(Path(settings.folder) / "evidence")
    return EvidenceStore(url, redact_bytes, settings)


def redact_bytes(kind: str, body: bytes) -> tuple[bytes, int]:
    """`body` without secrets, in the format it came in, and how many there were. Profiles come back gzipped.

    What a thing is is told by its content; what nobody can read is masked as if every printable run in it were text.
    """
    if body.startswith(b"\x1f\x8b") or (kind in _PROFILES and profile_proto.sniff(body[:4096])):
        return _profile(body)
    if trace.sniff(body[:32]):
        return _binary(body, rewrite.trace)
    head = body[:4096]
    if b"\0" in head:
        return _binary(body, rewrite.printable)
    return _text(body)


def mask(before: str, after: str) -> str:
    """`before` with `*` in place of what `after` (its redaction) marks, at the same length in bytes (UTF-8).

    Where it is not clear which part a mark stands for, everything between the first and the last one goes.
    """
    pieces = _MARK.split(after)
    if len(pieces) == 1:
        return before
    first, last = pieces[0], pieces[-1]
    if not before.startswith(first) or not before.endswith(last) or len(first) + len(last) > len(before):
        return "*" * _size(before)
    inner = before[len(first) : len(before) - len(last)]
    middle = pieces[1:-1]
    if len(middle) > MAX_MARKS:
        return first + "*" * _size(inner) + last
    lazy, greedy = (_between(inner, middle, some) for some in (".+?", ".+"))
    if not lazy or lazy != greedy:
        return first + "*" * _size(inner) + last
    stars = ["*" * _size(secret) for secret in lazy]
    return first + "".join(star + piece for star, piece in zip(stars, [*middle, ""], strict=True)) + last


def _between(text: str, pieces: list[str], some: str) -> tuple[str, ...]:
    """What stands before, between and behind the pieces, () if they are not there."""
    match = re.fullmatch(f"({some})" + "".join(f"{re.escape(piece)}({some})" for piece in pieces), text, re.DOTALL)
    return match.groups() if match else ()


def _size(text: str) -> int:
    return len(text.encode("utf-8", "surrogateescape"))


def _profile(body: bytes) -> tuple[bytes, int]:
    redactor = Redactor()
    plain, _ = profile_proto.gunzip(body)
    if not profile_proto.sniff(plain[:4096]):  # gzipped text
        return redact_bytes("", plain) if not plain.startswith(b"\x1f\x8b") else _binary(plain, rewrite.printable)
    return rewrite.profile(plain, redactor.text, redactor.label), redactor.count


def _binary(body: bytes, how: Callable[[bytes, Callable[[str], str]], bytes]) -> tuple[bytes, int]:
    redactor = Redactor()
    return how(body, lambda text: mask(text, redactor.text(text))), redactor.count


def _text(body: bytes) -> tuple[bytes, int]:
    """Any text, block by block; a private key runs over lines, so a text that has one is a single block."""
    text = body.decode("utf-8", "surrogateescape")
    whole = "-----BEGIN " in text
    out: list[str] = []
    count = start = 0
    while start < len(text):
        stop = len(text) if whole else min(len(text), start + BLOCK)
        if stop < len(text):
            cut = text.find("\n", stop)
            stop = cut + 1 if cut >= 0 else len(text)
        redactor = Redactor()  # a new one each time: it remembers the texts it has seen
        out.append(redactor.text(text[start:stop]))
        count += redactor.count
        start = stop
    return "".join(out).encode("utf-8", "surrogateescape"), count


def settings_of(config_file: Path | None, folder: Path | None) -> StoreSettings:
    """Where evidence lies: the configuration's `store:`, or the folder given, or the default one."""
    settings = StoreSettings()
    if config_file is not None:
        from parkwarden.run.config import load

        settings = load(config_file).store
    return settings if folder is None else replace(settings, folder=str(folder))


def since_time(text: str, now: float) -> float:
    """`2h`, `3d` (that long ago) or an ISO 8601 time (UTC where it names no zone) as Unix seconds. Raises UsageError."""
    match = re.fullmatch(r"(\d{1,9})([smhdw])", text.strip())
    if match:
        return now - int(match[1]) * {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}[match[2]]
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            "bad-time", f"not a time: {text[:40]!r}", hint="2h, 3d, 2026-11-21 or 2026-11-21T08:00"
        ) from None
    return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()


def diagnose_item(settings: StoreSettings, digest: str) -> Diagnosis:
    """Our own `diagnose` over one item."""
    from parkwarden.run.diagnose import diagnose

    item, body = open_store(settings).open(digest)
    with TemporaryDirectory(prefix="parkwarden-") as folder:
        path = Path(folder) / (item.file or item.kind)
        path.write_bytes(body)
        return diagnose([str(path)])
