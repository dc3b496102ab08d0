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
MAX_KNOWN = 10_000
"""Prefixes remembered as they stand; those with a time in them are new on every line."""
MAX_PREFIX = 512
"""Bytes before a header that may be a prefix; Kubernetes' longest (pod, container, time) are below 350."""

MAX_SHAPED = 100_000
"""Different prefixes whose shape is looked for: the shapes of a log are known long before."""
MAX_JSON_LINE = 256 << 10
"""Bytes of a docker log line. It holds at most 16 KiB of text, six times as long where all of it is escaped."""

_ANSI = re.compile(rb"\x1b\[[0-9;?]*[ -/]*[@-~]|\x1b\][^\x07\x1b\n]*(?:\x07|\x1b\\)|\x1b[@-Z\\-_]")
_HEADER = re.compile(rb"goroutine \d+ (?:gp=\S+ m=\S+ (?:mp=\S+ )?)?\[")
_ANY_HEADER = re.compile(rb"goroutine \d+ (?:gp=|\[)")
_INDENT = re.compile(
    rb"(?m)^[ ]{1,16}(?=[^\s\n][^\n]{0,65536}:\d+(?: \+0x[0-9a-f]+)?(?: fp=0x[0-9a-f]+ [sp=0-9a-fx c]{0,60})?[ \t]*$"
    rb"|goroutine running on other thread; stack unavailable|(?:[^\n]{0,65536}:\d+ )?pc=0x[0-9a-f]+$)"
)
_STAMPS = (
    rb"\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?:Z|[+-]\d\d:?\d\d)?",
    rb"[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d",
    rb"\d\d:\d\d:\d\d(?:[.,]\d+)?",
)
_STAMP = re.compile(rb"|".join(_STAMPS))
_COUNTER = re.compile(rb"\[\d+\]|\b\d{6,}\b")  # syslog's process id; sequence numbers, epoch seconds
_CRI = re.compile(rb"(\S+ (?:stdout|stderr) )([PF]) ")


@dataclass(slots=True)
class Cleaned:
    """The dump as it was printed, what was undone (in words), and how many streams were woven together."""

    data: bytes
    undone: list[str] = field(default_factory=list)
    streams: int = 1


def unwrap(out: Cleaned) -> None:
    """What lies around all lines and can be told at a glance: UTF-16, CRLF, colours."""
    if out.data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        _take(out, out.data.decode("utf-16", "replace").encode("utf-8", "replace"), "UTF-16")
    if out.data[:3] == b"\xef\xbb\xbf":
        _take(out, out.data[3:], "byte order mark")
    if b"\r" in out.data:
        _take(out, out.data.replace(b"\r\n", b"\n").rstrip(b"\r"), "CRLF line ends")
    if b"\x1b" in out.data:
        _take(out, _ANSI.sub(b"", out.data), "terminal colours")


def unwrap_containers(out: Cleaned) -> None:
    """What container runtimes do to lines beyond a prefix: parts of lines (CRI), docker's json-file driver.

    The latter writes `{"log":"text\\n","stream":"stderr","time":"…"}`; other lines stay as they are.
    """
    if b"stderr P " in out.data or b"stdout P " in out.data:
        _take(out, _join_parts(out.data), "lines split by the container runtime")
    if b'{"log":' in out.data:
        _take(out, _json_lines(out.data), "docker JSON log")


def retab(out: Cleaned) -> None:
    """Spaces before a file line, where a tab was."""
    _take(out, _INDENT.sub(b"\t", out.data), "tabs turned to spaces")


def _take(out: Cleaned, data: bytes, what: str) -> None:
    if data != out.data:
        out.data = data
        out.undone.append(what)


def _json_lines(data: bytes) -> bytes:
    lines: list[bytes] = []
    for line in data.split(b"\n"):
        text = None
        if len(line) <= MAX_JSON_LINE and line.lstrip()[:7] == b'{"log":':
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


def _join_parts(data: bytes) -> bytes:
    """Kubernetes' log format (CRI): `P` marks all parts of a split line but the last, which has `F`."""
    lines: list[list[bytes]] = []
    open_part = False
    for line in data.split(b"\n"):
        found = _CRI.match(line)
        if found is not None and open_part:
            lines[-1].append(line[found.end() :])
        elif found is not None and found[2] == b"P":
            lines.append([found[1], b"F ", line[found.end() :]])
        else:
            lines.append([line])
        open_part = found is not None and found[2] == b"P"
    return b"\n".join(b"".join(parts) for parts in lines)


def _shape(prefix: bytes) -> bytes:
    """A pattern for this prefix on other lines: time stamps and numbers may differ, spaces at its end may be cut.

    Stamps and numbers give nothing back, so that no line can be divided among them in more than one way.
    """
    pattern = b""
    at = 0
    for stamp in _STAMP.finditer(prefix):
        pattern += _literal(prefix[at : stamp.start()]) + b"(?>" + b"|".join(_STAMPS) + b")"
        at = stamp.end()
    pattern += _literal(prefix[at:])
    if pattern.endswith(b"\\ "):
        pattern = pattern[:-2] + b"(?: |$)"
    return pattern


def _literal(piece: bytes) -> bytes:
    return re.sub(rb"\d+", rb"\\d++", re.escape(piece))


def unprefix(out: Cleaned) -> None:
    """Take the prefixes off; where they name several sources (compose services, pods), one source after the other."""
    data = out.data
    tried: dict[bytes, re.Pattern[bytes]] = {}
    kept: dict[bytes, None] = {}
    sources: set[bytes] = set()
    shapes: dict[bytes, bytes] = {}
    line = -1
    for found in _ANY_HEADER.finditer(data):
        at = found.start()
        begin = data.rfind(b"\n", max(0, at - MAX_PREFIX - 1), at) + 1
        if begin in (at, line) or (begin == 0 and at > MAX_PREFIX):
            continue
        line = begin  # only the first header of a line has a prefix before it
        prefix = data[begin:at]
        shape = shapes.get(prefix)
        if shape is None:
            if len(shapes) == MAX_SHAPED:
                continue
            shape = shapes[prefix] = _shape(prefix)
        if shape not in tried:
            if len(tried) == MAX_SHAPES:
                continue
            tried[shape] = re.compile(shape)
        # A true prefix stands before the first frame as well.
        after = data.find(b"\n", at) + 1
        if after and tried[shape].match(data, after) is not None:
            kept[shape] = None
            sources.add(_source(prefix))
    if not kept:
        return
    # the longest first, so that no shape takes the beginning of another's prefix
    ordered: list[bytes] = sorted(kept, key=len, reverse=True)
    pattern = b"(?:" + b"|".join(ordered) + b")"
    if 1 < len(sources) <= MAX_SHAPES:
        out.data = _by_source(data, re.compile(pattern), sources)
        out.streams = len(sources)
        out.undone.append(f"{len(sources)} sources woven together")
    else:
        out.data = re.sub(b"(?m)^" + pattern, b"", data)
    out.undone.append("line prefixes")


def _source(prefix: bytes) -> bytes:
    """What a prefix says besides the time: the service, the pod, the stream. Counters after it are no part of it."""
    return _COUNTER.sub(b"", _STAMP.sub(b"", prefix)).rstrip()


def _by_source(data: bytes, prefix: re.Pattern[bytes], sources: set[bytes]) -> bytes:
    streams: dict[bytes, list[bytes]] = {source: [] for source in sorted(sources)}
    loose: list[bytes] = []
    known: dict[bytes, list[bytes]] = {}
    for line in data.split(b"\n"):
        found = prefix.match(line)
        if found is None:
            loose.append(line)
            continue
        mine = known.get(found[0])
        if mine is None:
            mine = streams.get(_source(found[0]), loose)
            if len(known) < MAX_KNOWN:
                known[found[0]] = mine
        mine.append(line[found.end() :])
    return b"\n\n".join(b"\n".join(lines) for lines in [loose, *streams.values()])


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
