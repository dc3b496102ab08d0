"""What is this? Bytes of anything -> artefacts, recognised by content, never by name.

`read_bytes(data, name)` opens containers (formats/unpack.py), finds each member's format and calls its reader. One bad member costs
itself: a reader's FormatError or LimitError, and a bug of ours, become Problems of that member's Artefact. Nothing raises.

Order: binary formats by their magic (trace, protobuf profile), then texts that announce themselves in the first lines (profile
texts, expvar, metrics), then logs, which may hold a goroutine dump, causes of death and kernel lines anywhere, and together.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

from parkwarden.formats import crash_log, kernel_log
from parkwarden.formats._text import snippet
from parkwarden.formats.unpack import Bytes, Member, members
from parkwarden.model.artefact import Artefact, Crash, Kind, Problem
from parkwarden.model.errors import ParkwardenError

HEAD = 64 << 10
"""Bytes in which a format that begins with its own words must show them."""

MAX_ARTEFACTS = 2_100
"""Artefacts of one input: unpack's MAX_MEMBERS and what is told about containers themselves."""

ANNOUNCED = ("trace", "profile_proto", "profile_text", "expvar", "metrics_page")
"""Readers of formats/ asked in this order whether the head is theirs."""

LOOKED_FOR = (
    "goroutine dumps and profiles, heap, cpu, block, mutex, threadcreate and leak profiles, execution traces, expvar, Prometheus "
    "pages, crash logs, kernel OOM lines"
)

# a goroutine header anywhere in a log of any size: every part bounded, so that no line makes the search quadratic
_KNOWN_STRANGERS: tuple[tuple[Callable[[bytes], bool], str], ...] = (
    (
        lambda h: h.startswith(b"\x7fELF") and h[16:17] == b"\x04",
        "a core file: open it in delve and save `goroutines -t`",
    ),
    (lambda h: h.startswith((b"\x7fELF", b"MZ", b"\xcf\xfa\xed\xfe")), "a program, not something a program told"),
    (lambda h: h.startswith(b"PERFILE2"), "Linux perf data: convert it with perf_to_profile"),
    (
        lambda h: b"<html" in h[:2048].lower() or b"<!doctype html" in h[:256].lower(),
        "a web page: save the profile it links to",
    ),
    (lambda h: h.startswith((b"7z\xbc\xaf", b"Rar!")), "a 7z or rar archive: pack it as zip or tar"),
    (lambda h: h.startswith(b"\x04\x22\x4d\x18"), "lz4: unpack it first"),
    (lambda h: h.startswith(b"SQLite format 3"), "a SQLite database"),
)


def read_bytes(data: Bytes, name: str = "") -> list[Artefact]:
    """All artefacts in `data` (one, unless it is an archive), each with its problems; at least one, never an exception.

    `data` may be a memoryview (of a mapped file): only traces are read in place, anything else is copied.
    """
    found: list[Artefact] = []
    for member in members(data, name):
        found.append(_read_member(member))
        if len(found) >= MAX_ARTEFACTS:
            break
    return found or [_unknown(name, b"", [Problem("empty", "", "a container without any file in it")])]


def _read_member(member: Member) -> Artefact:
    if not len(member.data):
        told = list(member.problems) or [Problem("empty", "", "it is empty: 0 bytes")]
        return _unknown(member.name, b"", told)
    failures: list[Problem] = []
    artefact = _announced(member, failures)
    if artefact is None:
        data = bytes(member.data) if isinstance(member.data, memoryview) else member.data
        artefact = _log(data, member.name, failures)
        artefact.problems[:0] = failures
    artefact.problems[:0] = member.problems
    if member.problems:
        artefact.lost += 1
    return artefact


def _announced(member: Member, failures: list[Problem]) -> Artefact | None:
    """The artefact of the first reader that claims the head and can read it; what failed goes to `failures`."""
    head = bytes(member.data[:HEAD])
    for module in ANNOUNCED:
        reader = _guarded(module, failures, partial(importlib.import_module, f"parkwarden.formats.{module}"))
        if reader is None or not _guarded(module, failures, partial(reader.sniff, head)):
            continue
        content = member.data
        if isinstance(content, memoryview) and module != "trace":
            content = bytes(content)
        artefact = _guarded(module, failures, partial(reader.read, content, member.name))
        if isinstance(artefact, Artefact):
            return artefact
    return None


def _log(data: bytes, name: str, failures: list[Problem]) -> Artefact:
    """Text that may hold a goroutine dump, causes of death and kernel lines, alone or together."""
    from parkwarden.formats import goroutine_dump

    dump: Artefact | None = None
    if _guarded("goroutine_dump", failures, lambda: goroutine_dump.sniff(data)):
        dump = _guarded("goroutine_dump", failures, lambda: goroutine_dump.read(data, name))
    crashes: list[Crash] = []
    if crash_log.sniff(data):
        crashes = _guarded("crash_log", failures, lambda: crash_log.causes(data)) or []
    killed: list[Crash] = _guarded("kernel_log", failures, lambda: kernel_log.kills(data)) or []
    if dump is not None:
        dump.crashes = [*crashes, *killed]
        dump.records += len(dump.crashes)
        if any("asked_for" not in crash.details for crash in dump.crashes):
            dump.kind = Kind.CRASH_LOG
        return dump
    if crashes or killed:
        return Artefact(
            name=name,
            kind=Kind.CRASH_LOG if crashes else Kind.KERNEL_LOG,
            size=len(data),
            records=len(crashes) + len(killed),
            crashes=[*crashes, *killed],
        )
    if any(f.code != "reader-failed" for f in failures):
        return _unknown(name, data, [])  # a reader knew what it is and said why it cannot be read
    return _unknown(name, data, [_unrecognised(data)])


def _guarded(module: str, failures: list[Problem], call: Callable[[], Any]) -> Any:
    """What `call` returns, or None where it raised; why goes to `failures`."""
    try:
        return call()
    except ParkwardenError as error:
        text = " ".join(part for part in (error.message, error.context, error.hint) if part)
        failures.append(Problem(error.code, "", text))
    except Exception as error:  # a reader must not take the others' testimony down with it
        what = f"{type(error).__name__}: {ascii(str(error))[1:-1][:200]}"
        text = (
            f"the reader formats/{module} failed on this input, which is a bug of Parkwarden: please report it ({what})"
        )
        failures.append(Problem("reader-failed", "", text))
    return None


def _unrecognised(data: bytes) -> Problem:
    head = data[:HEAD]
    for is_one, what in _KNOWN_STRANGERS:
        if is_one(head):
            return Problem("unrecognised", "byte 0", f"looks like {what}; begins {snippet(data)}")
    if not data.strip(b"\0 \t\r\n"):
        return Problem("unrecognised", "byte 0", f"{len(data):,} bytes of nothing but blanks or zeros")
    return Problem("unrecognised", "byte 0", f"none of: {LOOKED_FOR}; begins {snippet(data)}")


def _unknown(name: str, data: bytes, problems: list[Problem]) -> Artefact:
    return Artefact(name=name, kind=Kind.UNKNOWN, size=len(data), problems=problems)
