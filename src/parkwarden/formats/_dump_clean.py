"""Undoing what logs, containers and terminals do to a goroutine dump, line by line, without touching whole lines.

Bytes -> bytes. Undone: UTF-16 (PowerShell's `>`), CRLF, ANSI colours, docker's JSON log lines, line prefixes (time
stamps, Kubernetes' `2026-01-01T00:00:00Z stderr F `, docker compose's `svc  | `, `##[error]`, any other text that
stands before a goroutine header and, numbers aside, before the lines around it), tabs turned to spaces, streams woven
into each other line by line. Only called when the scan met a sign of it: this is the slow way. Nothing here raises.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

from parkwarden.formats._dump_body import INTERLEAVED

MAX_SHAPES = 64
"""Different prefixes undone in one input: more services than that in one file is no dump any more."""
MAX_PREFIX = 512
"""Bytes before a header that may be a prefix; Kubernetes' longest (pod, container, time) are below 350."""

_ANSI = re.compile(rb"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b\n]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_]")
_HEADER = re.compile(rb"goroutine \d+ (?:gp=\S+ m=\S+ (?:mp=\S+ )?)?\[")
_BURIED = re.compile(rb"(?m)^([^\n]{1,%d}?)goroutine \d+ (?:gp=\S+ m=\S+ (?:mp=\S+ )?)?\[" % MAX_PREFIX)
_INDENT = re.compile(rb"(?m)^[ \t]{1,16}(?=[^\s][^\n]*:\d+(?: \+0x[0-9a-f]+)?(?: fp=0x[^\n]*)?[ \t]*$)")
_INDENT_NOTE = re.compile(rb"(?m)^[ ]{1,16}(?=goroutine running on other thread; stack unavailable|pc=0x)")
_JSON_LINE = re.compile(rb'(?m)^\s*\{"log":"')
_STAMPS = (
    rb"\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?",
    rb"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d",
    rb"\d\d:\d\d:\d\d(?:[.,]\d+)?",
)
_STAMP = re.compile(rb"|".join(_STAMPS))
_CRI = re.compile(rb"(?m)^(\S+ (?:stdout|stderr) )P (.*)\n\S+ (?:stdout|stderr) [FP] ")


@dataclass(slots=True)
class Cleaned:
    """The dump as it was printed, what was undone (in words), and how many streams were woven together."""

    data: bytes
    undone: list[str] = field(default_factory=list)
    streams: int = 1


def clean(data: bytes) -> Cleaned:
    """Everything that can be undone, in the order it was done to the dump, last first."""
    out = Cleaned(data)
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        _take(out, data.decode("utf-16", "replace").encode("utf-8", "replace"), "UTF-16")
    if data[:3] == b"\xef\xbb\xbf":
        _take(out, data[3:], "byte order mark")
    for _ in range(2):  # a log may hold CRLF inside JSON and around it
        if b"\r" in out.data:
            _take(out, out.data.replace(b"\r\n", b"\n").rstrip(b"\r"), "CRLF line ends")
        if b"\x1b" in out.data:
            _take(out, _ANSI.sub(b"", out.data), "terminal colours")
        if _JSON_LINE.search(out.data) is None:
            break
        _take(out, _json_lines(out.data), "docker JSON log")
    _take(out, _CRI.sub(rb"\1F \2", out.data), "lines split by the container runtime")
    if _BURIED.search(out.data) is not None:
        _prefixes(out)
    if _HEADER.search(out.data) is not None:
        _take(out, _INDENT_NOTE.sub(b"\t", _INDENT.sub(b"\t", out.data)), "tabs turned to spaces")
    return out


def _take(out: Cleaned, data: bytes, what: str) -> None:
    if data != out.data:
        out.data = data
        out.undone.append(what)


def _json_lines(data: bytes) -> bytes:
    """docker's json-file driver: `{"log":"text\\n","stream":"stderr","time":"…"}`; other lines stay as they are."""
    lines: list[bytes] = []
    for line in data.split(b"\n"):
        text = None
        if line.lstrip()[:7] == b'{"log":':
            try:
                text = json.loads(line).get("log")
            except (ValueError, RecursionError):
                text = None
        if isinstance(text, str):
            # docker splits lines at 16 KiB: a part without its line feed goes on in the next entry
            lines.append(text.encode("utf-8", "surrogatepass"))
        else:
            lines.append(line + b"\n")
    return b"".join(lines)


def _shape(prefix: bytes) -> bytes:
    """A pattern for this prefix on other lines: time stamps and numbers may differ, spaces at its end may be cut."""
    pattern = b""
    at = 0
    for stamp in _STAMP.finditer(prefix):
        pattern += _literal(prefix[at : stamp.start()]) + b"(?:" + b"|".join(_STAMPS) + b")"
        at = stamp.end()
    pattern += _literal(prefix[at:])
    if pattern.endswith(b"\\ "):
        pattern = pattern[:-2] + b"(?: |$)"
    return pattern


def _literal(piece: bytes) -> bytes:
    return re.sub(rb"\d+", rb"\\d+", re.escape(piece))


def _prefixes(out: Cleaned) -> None:
    """Take the prefixes off; where they name several sources (compose services, pods), one source after the other."""
    data = out.data
    shapes: dict[bytes, int] = {}
    at = 0
    while (found := _BURIED.search(data, at)) is not None:
        pattern = _shape(found[1])
        if pattern in shapes or len(shapes) < MAX_SHAPES:
            shapes[pattern] = shapes.get(pattern, 0) + 1
        at = found.end()
    # A true prefix stands before the frames as well: two lines in a row with a header's shape in front.
    kept = [s for s in shapes if re.search(rb"(?m)^" + s + rb"goroutine \d+ [^\n]*\n" + s, data) is not None]
    kept.sort(key=len, reverse=True)
    if not kept:
        return
    # the longest first, so that no shape takes the beginning of another's prefix
    each = re.compile(b"(?:" + b"|".join(kept) + b")")
    streams: dict[bytes, list[bytes]] = {}
    for line in data.split(b"\n"):
        found = each.match(line)
        if found is None:
            streams.setdefault(b"", []).append(line)
            continue
        source = _STAMP.sub(b"", found[0]).rstrip()
        streams.setdefault(source, []).append(line[found.end() :])
    named = [s for s in streams if s]
    if len(named) > 1 and len(named) <= MAX_SHAPES:
        out.data = b"\n\n".join(b"\n".join(lines) for lines in streams.values())
        out.streams = len(named)
        out.undone.append(f"{len(named)} sources woven together")
    else:
        out.data = re.sub(rb"(?m)^" + each.pattern, b"", data)
    out.undone.append("line prefixes")


_IDLE, _FUNCTION, _FILE, _NEXT, _CREATOR_FILE, _END = range(6)
_ACCEPTS: dict[int, dict[bytes, int]] = {
    # state -> {kind of line: state after it}
    _IDLE: {b"H": _FUNCTION},
    _FUNCTION: {b"F": _FILE, b"T": _NEXT, b"C": _CREATOR_FILE},
    _FILE: {b"T": _NEXT},
    _NEXT: {b"F": _FILE, b"C": _CREATOR_FILE, b"E": _NEXT, b"A": _FUNCTION, b"B": _IDLE},
    _CREATOR_FILE: {b"T": _END},
    _END: {b"B": _IDLE, b"A": _FUNCTION},
}


def _kind(line: bytes) -> bytes:
    """H header, F function, T file, C creator, E elided, A ancestor, B blank, J anything else."""
    if not line.strip():
        return b"B"
    if line[:1] == b"\t":
        return b"T"
    if line.startswith(b"goroutine ") and _HEADER.match(line) is not None:
        return b"H"
    if line.startswith(b"created by "):
        return b"C"
    if line.startswith(b"..."):
        return b"E"
    if line.startswith(b"[originating"):
        return b"A"
    return b"F" if line.endswith(b")") else b"J"


def untangle(data: bytes) -> bytes:
    """Two dumps written to one stream at the same time, line by line in turns: each record's lines together again.

    Two readers of the grammar take lines in turns as long as the one whose turn it is can; where it cannot although it
    is in the middle of a record, the turns are broken and both open records are marked INTERLEAVED.
    """
    records: list[list[bytes]] = []
    loose: list[bytes] = []
    state = [_IDLE, _IDLE]
    mine: list[list[bytes]] = [loose, loose]
    last = 1
    for line in data.split(b"\n"):
        kind = _kind(line)
        other = 1 - last
        if kind in _ACCEPTS[state[other]]:
            turn = other
        elif kind in _ACCEPTS[state[last]]:
            turn = last
            if state[other] not in (_IDLE, _END) and state[last] != _IDLE:
                for broken in mine:
                    broken.append(INTERLEAVED)
        elif kind == b"H":  # a record was cut short: the one whose turn it is
            turn = other
        else:
            (mine[last] if state[last] != _IDLE else loose).append(line)
            continue
        if kind == b"H":
            mine[turn] = []
            records.append(mine[turn])
        mine[turn].append(line)
        state[turn] = _ACCEPTS[state[turn]].get(kind, _FUNCTION)
        last = turn
    return b"\n".join([*loose, b"", *(b"\n".join([*record, b""]) for record in records)])
