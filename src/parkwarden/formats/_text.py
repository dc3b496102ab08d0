"""Log text as it comes in the wild, cleaned line by line: docker JSON, CRLF, ANSI colours, escaped tabs, log prefixes.

`clean(line)` undoes what wraps one line of bytes and always keeps one line one line, so line numbers stay those of the input.
`Prefix` strips what a logger put in front of every line, learnt from a line whose beginning is known.
Nothing here raises on input.
"""

from __future__ import annotations

import json
import re

MAX_LINE = 16 * 1024
"""Bytes of one line that are looked at; Go's own lines stay far below, a megabyte line is somebody's payload."""

SNIPPET = 60
"""Characters of input shown in a problem."""

_ANSI = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(?:\x07|\x1b\\)|[@-Z\\^_])")
_DOCKER = re.compile(rb'^\s*\{"log":\s*"')
_RUNS = re.compile(r"\d+|[A-Z][a-z]{2}\b|[0-9a-f]{8,}")


def clean(line: bytes) -> str:
    """One line without its wrapping: docker's JSON, colours, the carriage return; bytes that are no UTF-8 replaced."""
    line = line[:MAX_LINE]
    if line.startswith(b'{"log":"') or _DOCKER.match(line):
        line = _unwrap_docker(line)
    if b"\x1b" in line:
        line = _ANSI.sub(b"", line)
    text = line.decode("utf-8", "replace").rstrip("\r\n")
    # syslog daemons write control characters as #ooo (octal); Go's frames begin with a tab
    return text.replace("#011", "\t") if "#011" in text else text


def _unwrap_docker(line: bytes) -> bytes:
    """The `log` of docker's json-file driver; of a line cut in the middle, what is there."""
    try:
        value = json.loads(line)
        log = value.get("log") if isinstance(value, dict) else None
        if isinstance(log, str):
            return log.encode("utf-8", "replace").split(b"\n", 1)[0]
    except (ValueError, RecursionError):
        pass
    body = line[found.end() :] if (found := _DOCKER.match(line)) else line
    body = body.split(b'\\n"', 1)[0]
    return body.replace(b"\\t", b"\t").replace(b'\\"', b'"').replace(b"\\u003c", b"<").replace(b"\\u003e", b">")


class Prefix:
    """What stands before Go's own text on each line (`2026-11-21T05:23:58.123Z stderr F `), by its shape.

    The shape is the prefix with runs of digits made equal, so time stamps of other lines match too.
    """

    __slots__ = ("_pattern", "text")

    def __init__(self, text: str) -> None:
        self.text = text
        self._pattern = re.compile(_shape(text)) if text.strip() else None

    def strip(self, line: str) -> str:
        """`line` without the prefix; unchanged where it does not have one of this shape."""
        if self._pattern is None:
            return line[len(self.text) :] if self.text and line.startswith(self.text) else line
        if line.startswith(self.text):
            return line[len(self.text) :]
        match = self._pattern.match(line)
        if match:
            return line[match.end() :]
        # loggers drop trailing blanks of an empty line
        bare = self._pattern.match(line + " ")
        return "" if bare and bare.end() >= len(line) else line


def _shape(prefix: str) -> str:
    """A pattern for prefixes that differ only in numbers, month or day names and long hexadecimal ids."""
    out, at = [], 0
    for run in _RUNS.finditer(prefix):
        out.append(re.escape(prefix[at : run.start()]))
        found = run.group()
        out.append(r"\d+" if found.isdigit() else "[A-Z][a-z]{2}" if found[0].isupper() else "[0-9a-f]{8,}")
        at = run.end()
    out.append(re.escape(prefix[at:]))
    return "".join(out)


def snippet(data: bytes | str, limit: int = SNIPPET) -> str:
    """The beginning of hostile input as inert ASCII in quotes."""
    text = data[: limit * 2].decode("utf-8", "replace") if isinstance(data, bytes) else data[: limit * 2]
    shown = ascii(text[:limit])
    return shown + ("..." if len(data) > limit else "")
