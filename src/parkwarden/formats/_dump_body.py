"""The careful half of the dump reader: one header, one body, one label set, from bytes to our words.

Each function takes the bytes of one thing and returns what is right in it, and whether something was not. Nothing
raises. Source of every rule: Go's runtime/traceback.go (goroutineheader, traceback2, printArgs, printcreatedby1,
printAncestorTraceback, printOneCgoTraceback) and runtime/print.go (printquoted), Go 1.5-1.27.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from parkwarden.model import ELIDED_UNKNOWN, Frame, Mark, Stack

MAX_FRAMES = 10_000
"""Frames kept per goroutine. The runtime prints 100 (tracebackInnerFrames + tracebackOuterFrames); forks print more."""
MAX_NAME = 8_192
"""Bytes kept of a function name or path. Go's longest real ones (nested closures of generics) are below 2,000."""
MAX_LINE = 65_536
"""Bytes of one line of a frame. The runtime prints at most ten argument words; names are bounded above."""
MAX_TALK = 1_000_000
"""Lines of all bodies together that are no frame's and are looked at one by one; each costs microseconds."""
MAX_QUIET = 64
"""Lines that cannot belong to a frame after which a run of them is passed over at once, all but as many at its end."""
MAX_LABELS = 1_000
"""Labels kept per goroutine. Real programs set below ten; each costs memory in every table that follows."""

INTERLEAVED = b"\x00interleaved"
"""A line the cleaner puts into a record whose lines it could not tell from another's."""

_GO_FILE = re.compile(
    rb"\t(.+):(\d{1,18})(?: \+0x[0-9a-f]+)?(?: fp=0x[0-9a-f]+ sp=0x[0-9a-f]+(?: pc=0x[0-9a-f]+)?)?\s*"
)
_CGO_FILE = re.compile(rb"\t(?:(.+):(\d{1,18}) )?pc=0x[0-9a-f]+\s*")
_ELIDED = re.compile(rb"\.\.\.(\d{1,18}|additional) frames elided\.\.\.\s*")
_ANCESTOR = re.compile(rb"\[originating from goroutine (\d{1,18})\]:\s*")
_IN_GOROUTINE = re.compile(rb" in goroutine \d{1,18}$")
_NON_GO = re.compile(rb"non-Go function(?: at pc=0x[0-9a-f]+)?\s*")
# Lines that are neither a frame's nor any word of ours: a log's. The last ones may be what a file line belongs to.
_QUIET = re.compile(rb"(?m)^(?:(?!\x00i)[^\t.\[crn\n)][^\n)]*+\n){%d,}+" % MAX_QUIET)
# An argument list inside what should be a name: two lines have run into each other.
_GLUED = re.compile(rb"[^.\s]\((?:0x|\{|\.\.\.|_|\))")
_UNAVAILABLE = b"goroutine running on other thread; stack unavailable"

_GP = re.compile(rb"goroutine (\d+)(?: gp=(?:0x[0-9a-f]+|nil) m=(?:-?\d+|nil)(?: mp=0x[0-9a-f]+)?)? \[")
_STATE = re.compile(rb"[^\],{]*")
_ATTRIBUTE = re.compile(rb", ([^\],{]+)")
_MINUTES = re.compile(rb"(\d{1,18}) minutes?")
_BUBBLE = re.compile(rb"synctest bubble \d+")
_SUFFIXES = ((" (leaked)", Mark.LEAKED), (" (scan)", Mark.NONE), (" (durable)", Mark.DURABLE))

_WORD = rb'(?:"([^"\\]*+(?:\\.[^"\\]*+)*+)"|([^\s"{},:]*))'
_PAIR = re.compile(_WORD + rb":\s*" + _WORD)
_SEPARATOR = re.compile(rb",\s*")
_ESCAPE = re.compile(r'\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|U[0-9a-fA-F]{8}|[nrt"\\/abfv])')
_PLAIN = {"n": "\n", "r": "\r", "t": "\t", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}


def text(raw: bytes) -> str:
    """UTF-8, with every byte that is not as `\\xff`: printable anywhere, and two different names stay different."""
    return raw.decode("utf-8", "backslashreplace")


@dataclass(slots=True)
class Body:
    """What the lines after a header say. `damage` is why the record is not whole, "" if it is."""

    stack: Stack
    damage: str = ""
    ancestors: list[tuple[Frame, ...]] = field(default_factory=list)


class BodyReader:
    """Reads bodies; frames and stacks that are equal become the same object."""

    def __init__(self) -> None:
        self._frames: dict[tuple[bytes, bytes], Frame] = {}
        self._pairs: dict[tuple[bytes, bytes], Frame] = {}
        """(function line up to its arguments, file line) of pairs read before: most of any dump."""
        self.talk = MAX_TALK
        """Lines that may still be passed over one by one."""

    def read(self, raw: bytes) -> Body:
        """One body, header excluded: pairs of lines, elision, creator, ancestors; other lines are passed over."""
        lines = _lines(raw)
        body = Body(Stack(()))
        frames: list[Frame] = []
        sections: list[list[Frame]] = [frames]
        created: Frame | None = None
        elided = 0
        closed = False  # `created by` was read in this section
        i, n = 0, len(lines)
        while i < n:
            if self.talk < 0:
                self._damage(body, f"more than {MAX_TALK:,} lines in the input are no frames: the rest is not read")
                break
            line = lines[i]
            if line[:1] == b"\t":
                if _UNAVAILABLE in line:
                    elided = ELIDED_UNKNOWN
                elif line.strip():
                    self._damage(body, "a file line without its function")
                self.talk -= 1
                i += 1
                continue
            after = i + 1
            paren = line.rfind(b"(")
            if after < n and not closed and line[-1:] == b")" and len(frames) < MAX_FRAMES:
                known = self._pairs.get((line[:paren], lines[after]))
                if known is not None:
                    frames.append(known)
                    i += 2
                    continue
            place = _file_of(lines[after]) if after < n else None
            if (place is None or not place[2]) and _is_talk(line):
                self.talk -= 1
                i += 1
                continue
            if place is None:
                while after < n and _is_talk(lines[after]):
                    after += 1
                place = _file_of(lines[after]) if after < n else None
            if place is None:
                self.talk -= 1
                i += 1
                if line:
                    elided = self._single(line, body, sections, elided)
                    if sections[-1] is not frames:
                        frames, closed = sections[-1], False
                continue
            i = after + 1
            if line.startswith(b"created by "):
                if closed:
                    self._damage(body, "a second creator: two records have run together")
                elif len(sections) == 1:
                    created = self._frame(_creator_of(line), place, body)
                closed = True
                continue
            # a cgo symbolizer's names come without arguments, or with C++ types in their place
            name = line.rstrip() or None if place[2] else _function_of(line)
            if name is None or closed:
                self._damage(body, "a frame after the creator" if closed else "a file line without its function")
            elif len(frames) < MAX_FRAMES:
                frame = self._frame(name, place, body)
                frames.append(frame)
                if not place[2] and not body.damage:
                    self._pairs[name, lines[after]] = frame
            elif len(sections) == 1 and elided != ELIDED_UNKNOWN:
                elided += 1
        body.stack = Stack(tuple(sections[0]), created, elided)
        body.ancestors = [tuple(s) for s in sections[1:]]
        if not sections[0] and not elided:
            self._damage(body, "no frame follows the header")
        return body

    def _single(self, line: bytes, body: Body, sections: list[list[Frame]], elided: int) -> int:
        """A line that no file line follows; returns the elided count after it."""
        first = line[:1]
        if first == b"." and (found := _ELIDED.fullmatch(line)) is not None:
            if len(sections) > 1:
                return elided
            if found[1] == b"additional" or elided == ELIDED_UNKNOWN:
                return ELIDED_UNKNOWN
            return elided + int(found[1])
        if first == b"[" and _ANCESTOR.fullmatch(line) is not None:
            sections.append([])
        elif _NON_GO.fullmatch(line) is not None:
            if len(sections[-1]) < MAX_FRAMES:
                sections[-1].append(self._frame(b"non-Go function", (b"", 0, True), body))
        elif line.startswith(b"created by "):
            self._damage(body, "the creator's file line is missing")
        elif line.startswith(INTERLEAVED):
            self._damage(body, "its lines could not be told from another record's")
        elif line.startswith(b"runtime: "):
            self._damage(body, "the runtime could not walk this stack")
        elif line.rstrip().endswith(b")") and _function_of(line) is not None:
            self._damage(body, "a function without its file line")
        return elided

    @staticmethod
    def _damage(body: Body, why: str) -> None:
        body.damage = body.damage or why

    def _frame(self, name: bytes, place: tuple[bytes, int, bool], body: Body) -> Frame:
        if len(name) > MAX_NAME or len(place[0]) > MAX_NAME:
            self._damage(body, f"a name is longer than {MAX_NAME:,} bytes")
            return Frame(text(name[:MAX_NAME]), text(place[0][:MAX_NAME]), place[1])
        key = (name, b"%d:%b" % (place[1], place[0]))
        frame = self._frames.get(key)
        if frame is None:
            frame = self._frames[key] = Frame(text(name), text(place[0]), place[1])
        return frame


def _lines(raw: bytes) -> list[bytes]:
    """The lines of a body; of a long log in it only the end."""
    if raw.count(b"\n") - 2 * raw.count(b"\n\t") > 2 * MAX_QUIET:
        raw = _QUIET.sub(_quiet_end, raw)
    return raw.split(b"\n")


def _quiet_end(found: re.Match[bytes]) -> bytes:
    run = found[0]
    at = len(run)
    for _ in range(MAX_QUIET):
        at = run.rfind(b"\n", 0, at)
        if at < 0:
            return run
    return run[at + 1 :]


def _is_talk(line: bytes) -> bool:
    """Another writer's whole line (`2026/01/02 took 3 ms`): words in it before any parenthesis, and none of ours."""
    before = line.partition(b"(")[0]
    if b" " not in before.strip() or line[:1] in (b"\t", b".", b"["):
        return False
    ours = (b"created by ", b"runtime: ", b"non-Go function", INTERLEAVED)
    return b"{" not in before and not line.startswith(ours)


def _file_of(line: bytes) -> tuple[bytes, int, bool] | None:
    """(path, line, is it from a cgo symbolizer) of a file line, None if it is none."""
    if line[:1] != b"\t" or len(line) > MAX_LINE:
        return None
    found = _GO_FILE.fullmatch(line)
    if found is not None:
        return found[1], int(found[2]), False
    found = _CGO_FILE.fullmatch(line)
    if found is None:
        return None
    return found[1] or b"", int(found[2] or 0), True


def _creator_of(line: bytes) -> bytes:
    """The function of `created by F in goroutine N`."""
    line = line[len(b"created by ") :].rstrip()
    tail = _IN_GOROUTINE.search(line, max(0, len(line) - 40))
    return line[: tail.start()] if tail is not None else line


def _function_of(line: bytes) -> bytes | None:
    """The name on a Go function's line, None if the line is damaged or something else.

    Argument lists are not looked at: they are not part of what makes stacks equal, so they must not decide either.
    """
    line = line.rstrip()
    paren = line.rfind(b"(")
    if paren <= 0 or not line.endswith(b")") or len(line) > MAX_LINE:
        return None
    name = line[:paren]
    if (b" " in name and b"{" not in name) or _GLUED.search(name) is not None:
        return None
    return name


@dataclass(slots=True)
class Header:
    """A header read by hand. `damaged`: it does not end as a header does; `unreadable`: not even its state is whole."""

    goid: int = 0
    state: str = ""
    marks: Mark = Mark.NONE
    wait_min: int = -1
    labels: dict[str, str] = field(default_factory=dict)
    damaged: bool = False
    unreadable: bool = False


def read_header(line: bytes) -> Header:
    """A header line in any of its shapes: gp=/m=/mp= (1.23), all attributes, labels inside or after the brackets."""
    header = Header()
    line = line.rstrip()
    found = _GP.match(line)
    if found is None or len(found[1]) > 18:
        header.unreadable = True
        return header
    header.goid = int(found[1])
    at = found.end()
    state = _STATE.match(line, at)
    at = state.end() if state else at
    words = [line[found.end() : at]]
    while (attribute := _ATTRIBUTE.match(line, at)) is not None:
        words.append(attribute[1])
        at = attribute.end()
    if line[at : at + 1] == b"{" and words[-1].endswith(b"labels:"):
        words[-1] = words[-1].removesuffix(b"labels:").rstrip()
        header.labels, at, whole = read_labels(line, at)
        header.damaged |= not whole
    kept = [words[0]]
    for word in words[1:]:
        if (minutes := _MINUTES.fullmatch(word)) is not None:
            header.wait_min = int(minutes[1])
        elif word == b"locked to thread":
            header.marks |= Mark.LOCKED
        elif _BUBBLE.fullmatch(word) is not None:
            header.marks |= Mark.BUBBLE
        else:
            kept.append(word)  # unknown to us: kept as the producer wrote it
    header.state, marks = read_state(b", ".join(kept))
    header.marks |= marks
    if line[at : at + 1] != b"]" or not header.state:
        header.damaged = header.unreadable = True
        header.state = ""
        return header
    at += 1
    if line[at : at + 1] == b"{" or line[at : at + 2] == b" {":
        labels, at, whole = read_labels(line, line.index(b"{", at))
        header.labels.update(labels)
        header.damaged |= not whole
    header.damaged |= line[at:] != b":"
    header.unreadable = line[at : at + 1] != b":"
    return header


def read_state(raw: bytes) -> tuple[str, Mark]:
    """(state without the runtime's suffixes, the marks they stand for): `chan receive (leaked)` -> `chan receive`."""
    state, marks = text(raw[:MAX_NAME]), Mark.NONE
    while True:
        for suffix, mark in _SUFFIXES:
            if state.endswith(suffix):
                state, marks = state.removesuffix(suffix), marks | mark
                break
        else:
            return state, marks


def read_labels(raw: bytes, at: int = 0) -> tuple[dict[str, str], int, bool]:
    """Labels from the `{` at an offset: (labels, offset after them, whole). Quoted, unquoted and JSON pairs alike."""
    labels: dict[str, str] = {}
    at += 1
    whole = True
    while (pair := _PAIR.match(raw, at)) is not None and pair.end() > at:
        at = pair.end()
        key = _unquote(pair[1], pair[2])
        if len(labels) < MAX_LABELS:
            labels[key] = _unquote(pair[3], pair[4])
        else:
            whole = False
        separator = _SEPARATOR.match(raw, at)
        if separator is None:
            break
        at = separator.end()
    if raw[at : at + 1] != b"}":
        return labels, at, False
    return labels, at + 1, whole


def _unquote(quoted: bytes | None, plain: bytes | None) -> str:
    """runtime/print.go: printquoted, undone; `\\xff` of a byte that is no UTF-8 stays as it is."""
    if quoted is None:
        return text((plain or b"")[:MAX_NAME])
    value = text(quoted[:MAX_NAME])
    return _ESCAPE.sub(_unescape, value) if "\\" in value else value


def _unescape(found: re.Match[str]) -> str:
    what = found[1]
    if what[0] in "xuU" and len(what) > 1:
        code = int(what[1:], 16)
        lone = 0xD800 <= code < 0xE000 or code > 0x10FFFF or (what[0] == "x" and code >= 0x80)
        return found[0] if lone else chr(code)
    return _PLAIN.get(what, what)
