"""Hostile names made inert for people's eyes: what a terminal or a browser would act on becomes a visible escape.

Input: any str. Output: printable text on one line, at most `limit` characters. Never raises. Idempotent as long as
nothing was cut off. JSON needs none of this: there `ensure_ascii` keeps every code point as an inert `\\uXXXX`.
"""

from __future__ import annotations

import re
import unicodedata

MAX_TEXT = 400
"""Characters of one name. Go's longest generic names stay below; a megabyte label must not fill a screen."""

MAX_COMBINING = 4
"""Combining marks on one letter. Real scripts use up to about three; more of them paint over the lines around."""

_NAMED = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0"}

# Printable by Unicode's definition, invisible in fact: Hangul and Braille blanks, variation selectors, joiners.
_INVISIBLE = re.compile("[\u034f\u115f\u1160\u17b4\u17b5\u2800\u3164\uffa0\ufe00-\ufe0f\U000e0100-\U000e01ef]")


def inert(text: str, limit: int = MAX_TEXT) -> str:
    """`text` on one line with control, ANSI, bidi, zero-width and other invisible characters as visible escapes."""
    if len(text) > limit:
        text = text[: limit + 1]  # escapes only lengthen: what is cut below anyway need not be looked at
    if not text.isprintable() or not text.isascii():
        text = _escape(text)
    if len(text) > limit:
        text = text[: max(limit - 1, 0)] + "…"
    return text


def _escape(text: str) -> str:
    if text.isprintable() and not _INVISIBLE.search(text) and not any(map(unicodedata.combining, text)):
        return text
    out: list[str] = []
    marks = 0
    for char in text:
        marks = marks + 1 if unicodedata.combining(char) else 0
        if char.isprintable() and marks <= MAX_COMBINING and not _INVISIBLE.match(char):
            out.append(char)
        else:
            out.append(_NAMED.get(char) or _code(char))
    return "".join(out)


def _code(char: str) -> str:
    point = ord(char)
    if point < 0x100:
        return f"\\x{point:02x}"
    return f"\\u{point:04x}" if point < 0x10000 else f"\\U{point:08x}"


def inert_lines(text: str, limit: int = MAX_TEXT, max_lines: int = 200) -> list[str]:
    """`text` line by line, each made `inert`; tabs become four blanks (source code), lines past `max_lines` one note."""
    lines = text.replace("\r\n", "\n").split("\n")
    out = [inert(line.replace("\t", "    "), limit) for line in lines[:max_lines]]
    if len(lines) > max_lines:
        out.append(f"… {len(lines) - max_lines} more lines")
    return out


def middle(text: str, width: int) -> str:
    """`text` cut in the middle to `width` characters: the ends of Go names and paths tell most."""
    if len(text) <= width:
        return text
    if width <= 1:
        return "…"[:width]
    head = (width - 1) // 3
    return text[:head] + "…" + text[len(text) - (width - 1 - head) :]
