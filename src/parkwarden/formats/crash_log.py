"""Crash logs: what a dying Go process wrote -> causes of death.

Input: bytes of any text (a whole service log will do). Back comes a list of `Crash`, in the order of the text; the goroutine
dump that follows a crash is goroutine_dump's to read. Text around a crash, log prefixes, docker JSON, colours and CRLF are
tolerated. Limits: MAX_CRASHES, MAX_CANDIDATES, MAX_CLEANED, MAX_PREAMBLE_LINES, MAX_BLOCK_LINES, MAX_MESSAGE; passing one
ends the search and is told in the last crash's `details["not_read"]`. Nothing raises.

Sources: runtime/panic.go: printpanics, throw, fatal, fatalpanic; runtime/stack.go: newstack; runtime/mheap.go: grow;
runtime/proc.go: checkdead, checkmcount; runtime/os_linux.go: newosproc; runtime/signal_unix.go: sighandler, sigpanic;
internal/runtime/maps: fatal; net/http/server.go: (*conn).serve; testing/testing.go: startAlarm (Go 1.21, 1.24 and 1.27 run).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from parkwarden.formats._recursion import find_cycle
from parkwarden.formats._text import MAX_LINE, Prefix, clean
from parkwarden.model.artefact import Crash
from parkwarden.model.stack import ELIDED_UNKNOWN, Frame, Stack

MAX_CRASHES = 200
"""Crashes told of one text: a log of a crash loop repeats itself."""

MAX_CANDIDATES = 20_000
"""Lines that look like the begin of a crash; a log may hold the word a million times."""

MAX_CLEANED = 32 << 20
"""Bytes of lines cleaned and looked at per text, so that a hostile one ends within a second."""

MAX_PREAMBLE_LINES = 300
"""Lines between a cause and the first goroutine: chained panics, a message of many lines, the runtime's own stack (~40)."""

MAX_EVIDENCE_LINES = 60
"""Lines looked ahead for a goroutine before a prefixed `panic: ` is taken for ordinary talk."""

MAX_BLOCK_LINES = 1_000
"""Lines of the crashing goroutine: Go shows 100 frames (202 lines), damage and interleaving may stretch it."""

MAX_MESSAGE = 500
"""Characters of a message kept: a panic value may be a whole document."""

MAX_CHAIN = 20
"""Panics of one chain told."""

_NEEDLES = (
    b"fatal error: ",
    b"panic: ",
    b"panic serving ",
    b"runtime: ",
    b"pthread_create failed",
    b"unexpected fault address ",
    b"fatal: morestack on g",
    b"PC=0x",
)

_START = re.compile(
    r"(?P<stack>runtime: goroutine stack exceeds (?P<stack_limit>\d+)-byte limit)"
    r"|(?P<oom>runtime: out of memory(?:: cannot allocate (?P<ask>\d+)-byte block \((?P<in_use>\d+) in use\))?)"
    r"|(?P<threads>runtime: program exceeds (?P<thread_limit>\d+)-thread limit)"
    r"|(?P<newthread>runtime: failed to create new OS thread \(have (?P<have>\d+) already; errno=(?P<errno>\d+)\)"
    r"|runtime/cgo: pthread_create failed)"
    r"|(?P<fault>unexpected fault address 0x(?P<fault_addr>[0-9a-f]+))"
    r"|(?P<fatal>fatal error: |fatal: (?=morestack on g))"
    r"|(?P<serving>panic serving (?P<peer>\S{1,80}): )"
    r"|(?P<panic>(?<![\w.])panic: )"
    r"|(?P<signal>(?<!\w)(?P<signame>SIG[A-Z]{2,7}): (?P<sigtext>[a-z ]{3,40})$)"
)
_HEADER = re.compile(r"^goroutine (\d{1,19})(?: gp=\S+)?(?: m=\S+)?(?: mp=\S+)? \[([^\]]{0,200})\]?.*:$")
_HEADER_ANYWHERE = re.compile(r"goroutine (\d{1,19})(?: gp=\S+)?(?: m=\S+)?(?: mp=\S+)? \[[^\]]{1,200}\].{0,500}:$")
_FILE = re.compile(r"^\s*(\S.{0,2000}):(\d{1,9})(?: \+0x[0-9a-f]+)?(?: fp=0x\S+ sp=0x\S+ pc=0x\S+)?\s*$")
_CREATED = re.compile(r"^created by (.+?)(?: in goroutine (\d+))?$")
_ELIDED = re.compile(r"^\.\.\.(?:(\d{1,12})|additional) frames elided\.\.\.$")
_SIGNAL = re.compile(r"^\[signal (\S+?)(?:: (.*?))? code=(\S+) addr=(\S+) pc=(\S+?)\]$")
_PC = re.compile(r"\bPC=0x[0-9a-f]+ m=\d+ sigcode=(\d+)(?: addr=(0x[0-9a-f]+))?")
_RAISED_AGAIN = re.compile(r" \[recovered(?:, repanicked)?\]$")
_TIMED_OUT = re.compile(r"^test timed out after (\S+)")
_MEMORY = re.compile(r"out of memory|cannot allocate memory|cannot allocate heap metadata|cannot map pages in arena")
_GOES_ON = (
    "\t",
    " ",
    "[",
    "fatal error: ",
    "runtime",
    "created by",
    "PC=",
    "SIG",
    "signal ",
)  # how lines of one cause go on
_JUNK_ENDS = 4  # lines in a row that are no frames: the block is over

_ASKED_FOR = frozenset({"SIGQUIT", "SIGTERM", "SIGINT", "SIGHUP"})


def sniff(data: bytes) -> bool:
    """Whether `data` holds a word that begins a crash; `causes` says whether it is one."""
    return any(needle in data for needle in _NEEDLES)


def causes(data: bytes) -> list[Crash]:
    """Why the process died, in the order of the text; what was logged around one death is one Crash.

    `stack` is that of the crashing goroutine, for panics from where the panic was raised on (what deferred functions did
    after it is in `details["raised_again_in"]`), for deaths before any goroutine ran the runtime's own. `where` is the line.
    A signal someone sent (SIGQUIT to get a dump) has cause `signal` and `details["asked_for"]`; a panic that net/http
    recovered has `details["recovered_by"]`: that process lived on.
    """
    return _Search(data).run()


@dataclass(slots=True)
class _Block:
    """The crashing goroutine as read: frames before and after the elided ones."""

    goid: int | None
    state: str
    inner: list[Frame] = field(default_factory=list)
    outer: list[Frame] = field(default_factory=list)
    elided: int = 0
    gap: bool = False
    created_by: Frame | None = None

    def stack(self) -> Stack | None:
        frames = (*self.inner, *self.outer)
        return Stack(frames, self.created_by, self.elided) if frames else None


class _Search:
    """One pass over one text."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.budget = MAX_CLEANED
        self.line_at = 0
        self.line_no = 1

    def run(self) -> list[Crash]:
        found: list[Crash] = []
        done = 0
        starts = _candidates(self.data)
        for start in starts[:MAX_CANDIDATES]:
            if start < done:
                continue
            if len(found) >= MAX_CRASHES or self.budget <= 0:
                found[-1:] = [_with_rest(found[-1])] if found else []
                return found
            crash, done = self._episode(start, done)
            if crash is not None:
                found.append(crash)
        if len(starts) > MAX_CANDIDATES and found:
            found[-1] = _with_rest(found[-1])
        return found

    def _number(self, offset: int) -> int:
        """The 1-based line of a byte offset; offsets come in rising order."""
        if offset >= self.line_at:
            self.line_no += self.data.count(b"\n", self.line_at, offset)
            self.line_at = offset
            return self.line_no
        return self.data.count(b"\n", 0, offset) + 1

    def _lines(self, offset: int) -> Iterator[tuple[int, str]]:
        """(offset of the next line, cleaned line) from `offset` on, while the budget lasts."""
        data, size = self.data, len(self.data)
        while offset < size and self.budget > 0:
            end = data.find(b"\n", offset)
            end = size if end < 0 else end
            self.budget -= min(end - offset, MAX_LINE) + 1
            yield end + 1, clean(data[offset : min(end, offset + MAX_LINE)])
            offset = end + 1

    def _episode(self, start: int, done: int) -> tuple[Crash | None, int]:
        """The crash that begins on the line of `start`, and where to search on."""
        begin = max(self.data.rfind(b"\n", done, start) + 1, done)
        lines = self._lines(begin)
        after, text = next(lines, (start + 1, ""))
        match = _START.search(text)
        if match is None and _PC.search(text) and begin > done:
            # the signal's name stands on the line before PC=
            begin = max(self.data.rfind(b"\n", done, begin - 1) + 1, done)
            lines = self._lines(begin)
            after, text = next(lines, (start + 1, ""))
            match = _START.search(text)
            if match is not None and match["signal"] is None:
                match = None
        if match is None:
            return None, after
        prefix = Prefix(text[: match.start()])
        told = [text[match.start() :]]
        ends = [after]
        header = None
        weak = bool(prefix.text.strip()) and (match["panic"] or match["fatal"] or match["signal"])
        for after, raw in lines:
            line = prefix.strip(raw)
            header = _HEADER.match(line)
            if header is None and (other := _HEADER_ANYWHERE.search(line)) and line[: other.start()].strip():
                # the dump's lines carry another prefix than the message's (indented alone, it is text of the message)
                prefix = Prefix(raw[: raw.index(other.group())])
                header = _HEADER.match(other.group())
            if header and int(header[1]) == 0:
                header = None
            if header:
                break
            told.append(line)
            ends.append(after)
            if len(told) > (MAX_EVIDENCE_LINES if weak else MAX_PREAMBLE_LINES) or (
                len(told) > 1 and _begins_another(line, told)
            ):
                break
        kept = _preamble(told, header is not None)
        if weak and header is None and not _speaks_go(kept):
            return None, ends[0]
        crash = _Reader(kept, match).read()
        if crash is None:
            return None, ends[0]
        # thrown on a system stack with no goroutine at fault (thread limit), the first goroutine told is a bystander
        at_fault = header is not None and (crash.cause == "deadlock" or header[2].startswith(("running", "syscall")))
        block = self._block(lines, prefix, header) if header and at_fault else _system_stack(kept)
        done = after if header else ends[len(kept) - 1]
        return _finish(crash, block, f"line {self._number(begin)}"), done

    def _block(self, lines: Iterator[tuple[int, str]], prefix: Prefix, header: re.Match[str]) -> _Block:
        block = _Block(int(header[1]), header[2])
        _read_frames((prefix.strip(line) for _, line in lines), block)
        return block


def _candidates(data: bytes) -> list[int]:
    """Offsets of all needles, rising; one more than MAX_CANDIDATES at most per needle."""
    found: list[int] = []
    for needle in _NEEDLES:
        at = data.find(needle)
        n = 0
        while at >= 0 and n <= MAX_CANDIDATES:
            found.append(at)
            n += 1
            at = data.find(needle, at + len(needle))
    return sorted(found)


def _with_rest(crash: Crash) -> Crash:
    crash.details["not_read"] = (
        "there is more that looks like a crash after this one; a limit of the search was reached"
    )
    return crash


def _begins_another(line: str, told: list[str]) -> bool:
    """Whether `line` is the first of a new crash (a log of several without dumps between)."""
    match = _START.match(line)
    if match is None or match["fatal"] or match["signal"]:
        # `fatal error:` follows the runtime's own sentence about it, but does not follow a panic or another fatal error
        first = _START.match(told[0])
        return bool(match and match["fatal"] and first and (first["panic"] or first["fatal"]))
    return bool(match["panic"] or match["serving"] or match["stack"] or match["oom"] or match["threads"])


def _preamble(told: list[str], complete: bool) -> list[str]:
    """The lines that belong to the cause: all up to the goroutine, or where there is none, up to the first blank line that is
    not followed by the runtime's stack."""
    if told and len(told) > 1 and _begins_another(told[-1], told):
        told = told[:-1]
        complete = False
    if complete:
        return told
    runtime_stack = False
    for i, line in enumerate(told):
        runtime_stack |= line.startswith("runtime stack:")
        if i == 0 or runtime_stack:
            if runtime_stack and not line.strip():
                return told[:i]
        elif not line.strip():
            if i + 1 >= len(told) or not told[i + 1].startswith("runtime stack:"):
                return told[:i]
        elif not line.startswith(_GOES_ON):
            return told[:i]
    return told


def _speaks_go(lines: list[str]) -> bool:
    """Whether text without a goroutine still is the runtime's own, not talk about panics."""
    first = lines[0]
    return (
        any(line.startswith(("[signal SIG", "runtime stack:", "\tpanic: ")) or _PC.match(line) for line in lines[1:])
        or _RAISED_AGAIN.search(first) is not None
        or first.startswith(
            (
                "fatal error: all goroutines are asleep",
                "fatal error: no goroutines (main called",
                "fatal error: concurrent map",
                "fatal error: stack overflow",
                "fatal error: runtime: out of memory",
                "panic: runtime error: ",
                "panic: test timed out after ",
            )
        )
    )


def _system_stack(lines: list[str]) -> _Block | None:
    """The frames under `runtime stack:`: all there is when the runtime dies before or outside any goroutine."""
    for i, line in enumerate(lines):
        if line.startswith("runtime stack:"):
            block = _Block(None, "")
            _read_frames(iter(lines[i + 1 :]), block)
            return block
    return None


def _read_frames(lines: Iterator[str], block: _Block) -> None:
    """Frames up to a blank line, another goroutine, or the limit (runtime/traceback.go: traceback2, printcreatedby)."""
    call: str | None = None
    created: str | None = None
    junk = 0
    for n, line in enumerate(lines):
        if n >= MAX_BLOCK_LINES or not line.strip() or _HEADER.match(line) or junk >= _JUNK_ENDS:
            break
        junk += 1
        if (call is not None or created is not None) and (place := _FILE.match(line)):
            frame = Frame(call if call is not None else created or "", place[1], int(place[2]))
            if created is not None:
                block.created_by = frame
                break
            (block.outer if block.gap else block.inner).append(frame)
            call, junk = None, 0
        elif match := _ELIDED.match(line):
            block.gap, junk = True, 0
            block.elided = int(match[1]) if match[1] else ELIDED_UNKNOWN
        elif match := _CREATED.match(line):
            created, call, junk = match[1], None, 0
        elif line.endswith(")") and not line[:1].isspace() and (at := line.rfind("(")) > 0:
            if call is not None:  # its file line is missing
                (block.outer if block.gap else block.inner).append(Frame(call))
            call, junk = line[:at], 0
    if call is not None:
        (block.outer if block.gap else block.inner).append(Frame(call))
    if created is not None and block.created_by is None:
        block.created_by = Frame(created)


@dataclass(slots=True)
class _Draft:
    """A crash before its stack is known."""

    cause: str
    message: str
    details: dict[str, str] = field(default_factory=dict)


class _Reader:
    """The lines of one cause -> a draft. `match` is what `_START` found on the first line."""

    def __init__(self, lines: list[str], match: re.Match[str]) -> None:
        self.lines = lines
        self.match = match
        self.details: dict[str, str] = {}

    def read(self) -> _Draft | None:
        match = self.match
        for line in self.lines[1:]:
            if signal := _SIGNAL.match(line):
                self._put(signal=signal[1], signal_text=signal[2] or "", addr=signal[4], pc=signal[5])
                break
        if match["stack"]:
            return self._draft("stack-overflow", match["stack"], limit_bytes=match["stack_limit"])
        if match["oom"]:
            return self._draft(
                "out-of-memory", match["oom"], requested_bytes=match["ask"] or "", in_use_bytes=match["in_use"] or ""
            )
        if match["threads"]:
            return self._draft("thread-limit", match["threads"], limit=match["thread_limit"])
        if match["newthread"]:
            return self._draft(
                "thread-limit",
                self.lines[0],
                threads=match["have"] or "",
                errno=match["errno"] or "",
                refused_by="the system",
            )
        if match["fault"]:
            return self._draft("fatal-error", self.lines[0], addr="0x" + match["fault_addr"])
        if match["signal"]:
            return self._signal(match["signame"], self.lines[0])
        if match["fatal"]:
            return self._fatal(self.lines[0][len(match["fatal"]) :])
        return self._panic()

    def _put(self, **details: str) -> None:
        self.details.update({k: v[:MAX_MESSAGE] for k, v in details.items() if v})

    def _draft(self, cause: str, message: str, **details: str) -> _Draft:
        self._put(**details)
        return _Draft(cause, _capped(message), self.details)

    def _signal(self, name: str, message: str) -> _Draft | None:
        code = next((m for line in self.lines[1:3] if (m := _PC.match(line))), None)
        if code is None:
            return None
        self._put(signal=name, sigcode=code[1], addr=code[2] or "")
        # si_code 0 = SI_USER: kill(2) sent it (runtime/signal_unix.go: sigFromUser)
        if name in _ASKED_FOR or code[1] == "0":
            who = "sent to get a goroutine dump" if name == "SIGQUIT" else "sent by another process"
            return self._draft("signal", message, asked_for=who)
        if any("signal arrived during cgo execution" in line for line in self.lines):
            self._put(during="cgo")
        cause = "nil-dereference" if name == "SIGSEGV" and code[2] == "0x0" else "fatal-error"
        return self._draft(cause, message)

    def _fatal(self, message: str) -> _Draft:
        if message.startswith("stack overflow"):
            return self._draft("stack-overflow", message)
        if _MEMORY.search(message):
            return self._draft("out-of-memory", message)
        if message.startswith("concurrent map"):
            return self._draft("concurrent-map", message, conflict=message[len("concurrent map ") :])
        if message.endswith("deadlock!"):
            return self._draft("deadlock", message)
        if message.startswith(("thread exhaustion", "newosproc", "runtime.newosproc")):
            return self._draft("thread-limit", message)
        return self._draft("fatal-error", message)

    def _panic(self) -> _Draft:
        """The chain, oldest panic first (runtime/panic.go: printpanics indents all but the first by one tab)."""
        chain: list[str] = []
        current: list[str] = []
        first = self.lines[0]
        first = (
            first[first.index(": ", len("panic serving ")) + 2 :] if self.match["serving"] else first[len("panic: ") :]
        )
        for i, line in enumerate([first, *self.lines[1:]]):
            if i and line.startswith(("\tpanic: ", "    panic: ")):
                chain.append("\n".join(current))
                current = [line.lstrip()[len("panic: ") :]]
            elif i and (_SIGNAL.match(line) or line.startswith("goroutine ")):
                continue
            else:
                current.append(line.lstrip("\t") if i else line)
        chain.append("\n".join(current))
        again = any(_RAISED_AGAIN.search(c.rstrip()) for c in chain)
        chain = [_RAISED_AGAIN.sub("", c.strip()) for c in chain if c.strip()]
        chain = [c for i, c in enumerate(chain) if i == 0 or c != chain[i - 1]]
        message = chain[0] if chain else ""
        if len(chain) > 1:
            self._put(chain=" -> ".join(_capped(c, 120) for c in chain[:MAX_CHAIN]))
        if again:
            self._put(raised_again="recovered, then raised again")
        if self.match["serving"]:
            self._put(recovered_by="net/http: the process lived on", peer=self.match["peer"])
        return self._draft(self._panic_cause(message), message)

    def _panic_cause(self, message: str) -> str:
        if "invalid memory address or nil pointer dereference" in message:
            return "nil-dereference"
        if message.startswith("deadlock: "):  # internal/synctest: a bubble where all wait
            return "deadlock"
        if match := _TIMED_OUT.match(message):
            self._put(kind="test-timeout", after=match[1])
            tests = [t.strip() for t in message.split("\n")[1:] if re.match(r"\s*\w+\S* \(\S+\)$", t)]
            self._put(running_tests=", ".join(tests))
        elif "too many open files" in message:
            self._put(kind="too-many-open-files")
        elif "cannot allocate memory" in message:
            return "out-of-memory"
        elif "resource temporarily unavailable" in message:
            self._put(kind="process-limit")
        return "panic"


def _capped(text: str, limit: int = MAX_MESSAGE) -> str:
    text = text.strip()
    return text if len(text) <= limit else text[: limit - 3] + "..."


def _finish(draft: _Draft, block: _Block | None, where: str) -> Crash:
    details = draft.details
    if block is None or draft.cause == "signal":
        return Crash(cause=draft.cause, message=draft.message, where=where, details=details)
    if block.goid is None:
        details["on"] = "the runtime's own stack"
    elif block.state:
        details["state"] = block.state[:MAX_MESSAGE]
    cycle = find_cycle(tuple(block.inner), tuple(block.outer)) if draft.cause == "stack-overflow" else None
    if cycle is not None:
        if not cycle.regular:
            details["cycle"] = "the functions return in changing order; one way round is shown"
        if cycle.entry is not None:
            details["entered_from"] = f"{cycle.entry.function} ({cycle.entry.file}:{cycle.entry.line})"[:MAX_MESSAGE]
    if block.gap:
        details["frames_elided"] = str(block.elided) if block.elided >= 0 else "some"
    if draft.cause in ("panic", "nil-dereference") and not block.gap:
        _cut_deferred(block, details)
    return Crash(
        cause=draft.cause,
        message=draft.message,
        goid=block.goid,
        stack=block.stack(),
        cycle=cycle.frames if cycle else (),
        rounds=cycle.rounds if cycle else 0,
        where=where,
        details=details,
    )


def _cut_deferred(block: _Block, details: dict[str, str]) -> None:
    """Begin the stack where the oldest panic was raised: calls above the outermost `panic` frame are deferred functions."""
    raised = max((i for i, f in enumerate(block.inner) if f.function == "panic"), default=-1)
    if raised < 0 or raised + 1 >= len(block.inner):
        return
    above = [
        f.function for f in block.inner[:raised] if f.function != "panic" and not f.function.startswith("runtime.")
    ]
    if above:
        details["raised_again_in"] = ", ".join(above[:MAX_CHAIN])[:MAX_MESSAGE]
    del block.inner[: raised + 1]
