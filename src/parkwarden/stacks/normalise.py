"""Stack -> Site: where a goroutine is, the same answer from a dump, a profile and a trace, today and after a restart.

What is in a site's id, and what is not, follows from what every kind of artefact can tell:

- A debug=1 text hides all runtime frames above the first ordinary one (runtime/pprof/pprof.go: printStackRecord), a
  debug=2 text all unexported ones (runtime/traceback.go: showfuncinfo), profiles and traces show them. So the runtime's
  frames are left out everywhere, and with them what only they tell: whether the line waits to receive or to send. The
  blocked *line* stands in for that; the wait reason is told beside the id, from the state or from the frames.
- `created by` is missing in profiles and for the old goroutines of a trace: not in the id. The entry function is.
- How deep a recursion was, is not in the id: repeated rounds of the same functions count as one.
- Of a file only its base name counts: the function's name already holds the package, and folders differ by machine.

Cost: some 10 us for a new stack, frames are cached.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from hashlib import blake2b

from parkwarden.model import Frame, Site, Stack
from parkwarden.stacks import modules, names
from parkwarden.stacks.modules import is_runtime_function, package_of
from parkwarden.stacks.names import FRAME_CACHE, clean_frame, is_wrapper

SITE_CACHE = 16_384
"""Distinct stacks remembered: a few megabytes, and far more than one service has at a time."""

MAX_ROUND = 24
"""Longest recursion round (in functions) that is folded; the work per stack grows with it."""

WAITS_TOLD_BY_FRAMES = frozenset(["", "waiting", "unspecified", "sync", "forever", "semacquire", "blocked", "durable"])
"""States that say less than the frames do: traces' coarse reasons, and Go < 1.20's one word for all locks."""

# Traces' block reasons (runtime/traceruntime.go: traceBlockReasonStrings) in the words of dumps
# (runtime/runtime2.go: waitReasonStrings).
_SYNONYMS = {
    "network": "IO wait",
    "sync.(*Cond).Wait": "sync.Cond.Wait",
    "GC mark assist wait for work": "GC assist wait",
    "GC background sweeper wait": "GC sweep wait",
    "wait for debug call": "debug call",
    "wait until GC ends": "wait for GC cycle",
    "chan receive (synctest)": "chan receive",  # Go 1.24
    "chan send (synctest)": "chan send",
    "select (synctest)": "select",
}
_SUFFIXES = (" (leaked)", " (scan)", " (durable)")

# Leaf functions and what they wait for. Weak words may be bettered by a frame further down.
_WEAK = {
    "runtime.semacquire": "semacquire",
    "runtime.semacquire1": "semacquire",
    "sync.runtime_Semacquire": "semacquire",
    "sync.runtime_SemacquireMutex": "semacquire",
    "internal/poll.runtime_Semacquire": "semacquire",
}
_STRONG = {
    "runtime.chanrecv": "chan receive",
    "runtime.chanrecv1": "chan receive",
    "runtime.chanrecv2": "chan receive",
    "runtime.chansend": "chan send",
    "runtime.chansend1": "chan send",
    "runtime.selectgo": "select",
    "runtime.block": "select (no cases)",
    "runtime.netpollblock": "IO wait",
    "internal/poll.runtime_pollWait": "IO wait",
    "internal/poll.runtime_pollWaitCanceled": "IO wait",
    "net.runtime_pollWait": "IO wait",  # Go < 1.9
    "runtime.timeSleep": "sleep",
    "time.Sleep": "sleep",
    "internal/sync.runtime_SemacquireMutex": "sync.Mutex.Lock",
    "internal/sync.(*Mutex).lockSlow": "sync.Mutex.Lock",
    "sync.(*Mutex).lockSlow": "sync.Mutex.Lock",
    "sync.(*Mutex).Lock": "sync.Mutex.Lock",
    "sync.runtime_SemacquireRWMutex": "sync.RWMutex.Lock",
    "sync.(*RWMutex).Lock": "sync.RWMutex.Lock",
    "sync.runtime_SemacquireRWMutexR": "sync.RWMutex.RLock",
    "sync.(*RWMutex).RLock": "sync.RWMutex.RLock",
    "sync.runtime_SemacquireWaitGroup": "sync.WaitGroup.Wait",
    "sync.(*WaitGroup).Wait": "sync.WaitGroup.Wait",
    "sync.runtime_notifyListWait": "sync.Cond.Wait",
    "sync.(*Cond).Wait": "sync.Cond.Wait",
    "runtime.notifyListWait": "sync.Cond.Wait",
    "runtime.notetsleepg": "syscall",
    "runtime.entersyscall": "syscall",
    "runtime.entersyscallblock": "syscall",
    "runtime.cgocall": "syscall",
    "os/signal.signal_recv": "syscall",
    "syscall.Syscall": "syscall",
    "syscall.Syscall6": "syscall",
    "syscall.RawSyscall": "syscall",
    "syscall.RawSyscall6": "syscall",
    "syscall.syscall": "syscall",
    "runtime.coroswitch": "coroutine",
    "runtime.coroswitch_m": "coroutine",
    "runtime.forcegchelper": "force gc (idle)",
    "runtime.bgsweep": "GC sweep wait",
    "runtime.bgscavenge": "GC scavenge wait",
    "runtime.gcBgMarkWorker": "GC worker (idle)",
    "runtime.runfinq": "finalizer wait",
    "runtime.runFinalizers": "finalizer wait",
    "runtime.(*cleanupQueue).dequeue": "cleanup wait",
    "runtime.updateMaxProcsGoroutine": "GOMAXPROCS updater (idle)",
    "runtime.gcParkAssist": "GC assist wait",
    "runtime/pprof.runtime_goroutineProfileWithLabels": "running",
}

_POINTS = {
    "chan receive": "chanrecv",
    "chan receive (nil chan)": "chanrecv",
    "chan send": "chansend",
    "chan send (nil chan)": "chansend",
    "select": "selectgo",
    "select (no cases)": "block",
    "IO wait": "netpollblock",
    "sleep": "timeSleep",
    "sync.Cond.Wait": "notifyListWait",
    "sync.Mutex.Lock": "semacquire",
    "sync.RWMutex.Lock": "semacquire",
    "sync.RWMutex.RLock": "semacquire",
    "sync.WaitGroup.Wait": "semacquire",
    "coroutine": "coroswitch",
}

# Standard library code through which others wait; whole packages, or receivers in packages that also hold real work.
_MACHINERY_PACKAGES = frozenset(["sync", "internal/sync", "internal/poll", "syscall", "os", "io", "bufio"])
_MACHINERY_PREFIXES = (
    "time.Sleep",
    "net.(*netFD).",
    "net.(*conn).",
    "net.(*TCPConn).",
    "net.(*UDPConn).",
    "net.(*UnixConn).",
    "net.(*TCPListener).",
    "net.(*UnixListener).",
    "net.(*Buffers).",
    "net.runtime_poll",
    "os/signal.signal_recv",
    "internal/syscall/",
    "crypto/tls.(*Conn).",
    "crypto/tls.(*atLeastReader).",
    "bytes.(*Buffer).",
    # net/http's readers and writers, not its loops and round trips
    "net/http.checkConnErrorWriter.",
    "net/http.(*chunkWriter).",
    "net/http.(*response).",
    "net/http.(*body).",
    "net/http.(*maxBytesReader).",
    "net/http.(*bodyEOFSignal).",
    "net/http.(*cancelTimerBody).",
    "net/http.(*connReader).Read",
    "net/http.(*persistConn).Read",
    "net/http.persistConnWriter.",
)


@lru_cache(maxsize=FRAME_CACHE)
def is_machinery(function: str) -> bool:
    """Whether others wait *through* this function: the runtime, locks, the poller, files, connections, io's helpers."""
    if is_runtime_function(function) or function == "panic":
        return True
    return function.startswith(_MACHINERY_PREFIXES) or package_of(function) in _MACHINERY_PACKAGES


def wait_reason(state: str, frames: Sequence[Frame]) -> str:
    """What a goroutine waits for, in Go's own words, from its state as told and its raw frames (leaf first).

    A state that says it is taken, without marks such as `(leaked)`; where there is none (profiles) or only a coarse one
    (traces: `waiting`; Go < 1.20: `semacquire` for every lock) the waiting functions on top of the stack decide.
    "" where neither tells (debug=1 texts: only locks, I/O, sleeps and system calls can be known).
    """
    state = state.strip()
    while state.endswith(_SUFFIXES):
        state = state[: state.rfind(" (")]
    state = _SYNONYMS.get(state, state)
    if state not in WAITS_TOLD_BY_FRAMES:
        return state
    seen = reason_of_frames(frames)
    if state == "forever":  # nil channels and `select {}` share this word in traces
        return seen if seen == "select (no cases)" or not seen else f"{seen.removesuffix(' (nil chan)')} (nil chan)"
    return seen or state


def reason_of_frames(frames: Sequence[Frame]) -> str:
    """The wait that the machinery on top of a stack tells, "" if none does."""
    weak = ""
    for i, frame in enumerate(frames):
        function = frame.function
        strong = _STRONG.get(function)
        if strong is not None:
            if function in _CHANNEL:
                return _channel_reason(frames, i, strong)
            return strong
        weak = weak or _WEAK.get(function, "")
        if function.startswith(("internal/runtime/syscall", "runtime/internal/syscall")):
            return "syscall"
        if not is_machinery(function):
            break
    return weak


_CHANNEL = frozenset(["runtime.chanrecv", "runtime.chansend"])
_ENTRY_POINTS = frozenset(["runtime.chanrecv1", "runtime.chanrecv2", "runtime.chansend1"])
_POLLS = frozenset(["runtime.selectnbrecv", "runtime.selectnbsend"])

NIL_PARK_LINES = 60
"""A nil channel parks near the top of runtime/chan.go's chanrecv and chansend: 20-27 lines below their entry points in Go
1.21-1.27, where an ordinary wait parks 99-158 lines below."""


def _channel_reason(frames: Sequence[Frame], at: int, reason: str) -> str:
    """The wait of a channel operation whose innermost function is shown: of a nil channel, or none if it only polls."""
    caller = frames[at + 1] if at + 1 < len(frames) else None
    if caller is None or caller.function in _POLLS:
        return "" if caller else reason  # select with default does not wait
    lines = frames[at].line - caller.line
    parked = at > 0 and frames[at - 1].function == "runtime.gopark"
    if parked and caller.function in _ENTRY_POINTS and caller.line and 0 < lines <= NIL_PARK_LINES:
        return f"{reason} (nil chan)"
    return reason


def blocking_point(reason: str) -> str:
    """The wait machinery behind a reason as stacks show it (`chanrecv`, `semacquire`, `netpollblock`), else the reason."""
    return _POINTS.get(reason, reason)


def visible_frames(stack: Stack) -> tuple[Frame, ...]:
    """Cleaned frames without the runtime's own and the compiler's wrappers, recursion not folded.

    A stack of nothing but runtime frames (the garbage collector's workers) keeps those above the parking functions.
    """
    kept = tuple([clean_frame(frame) for frame in stack.frames if not _is_hidden(frame)])
    if kept or not stack.frames:
        return _without_atomics(kept)
    return tuple([clean_frame(frame) for frame in stack.frames if frame.function not in _PARKING])


def _without_atomics(frames: tuple[Frame, ...]) -> tuple[Frame, ...]:
    """An atomic operation is one inlined instruction: a loop around it is one place, caught in it or beside it."""
    first = next((i for i, frame in enumerate(frames) if not frame.function.startswith(_ATOMICS)), 0)
    return frames[first:]


_ATOMICS = ("sync/atomic.", "internal/runtime/atomic.")
_PARKING = frozenset(
    "runtime." + name
    for name in (
        "gopark",
        "goparkunlock",
        "goexit",
        "mcall",
        "systemstack_switch",
        "asyncPreempt",
        "asyncPreempt2",
        "park_m",
    )
)


@lru_cache(maxsize=FRAME_CACHE)
def _is_hidden(frame: Frame) -> bool:
    # Dumps print runtime.gopanic as `panic` (runtime/traceback.go: printFuncName).
    return is_runtime_function(frame.function) or frame.function == "panic" or is_wrapper(frame)


def fold(frames: tuple[Frame, ...]) -> tuple[Frame, ...]:
    """Frames with direct and mutual recursion folded to one round; of each round the one nearest the leaf is kept.

    Rounds are equal when their functions are, whatever the lines: the innermost call blocks at another line than the
    ones above it call from. A round may be cut at either end: `b a b a b` becomes `b a b`.
    """
    names = [frame.function for frame in frames]
    if len(set(names)) == len(names):
        return frames
    kept = list(frames)
    period = 1
    while period <= MAX_ROUND and 2 * period <= len(kept):
        if _fold_period(kept, names, period):
            period = 1  # a shorter round may have come together
        else:
            period += 1
    return tuple(kept)


def _fold_period(kept: list[Frame], names: list[str], period: int) -> bool:
    """Cut runs of one period down to one round and the rest of a cut one, in place; whether anything was cut."""
    out: list[int] = []
    at, size = 0, len(names)
    while at < size:
        run = at
        while run + period < size and names[run] == names[run + period]:
            run += 1
        length = run + period - at
        if run > at and length >= 2 * period:
            out.extend(range(at, at + period + length % period))
            at += length
        else:
            out.append(at)
            at += 1
    if len(out) == size:
        return False
    kept[:] = [kept[i] for i in out]
    names[:] = [names[i] for i in out]
    return True


def blocked_frame(frames: Sequence[Frame]) -> Frame:
    """The first frame outside the standard library's waiting machinery, else the leaf."""
    for frame in frames:
        if not is_machinery(frame.function):
            return frame
    return frames[0] if frames else Frame("")


def site_id(frames: Sequence[Frame]) -> str:
    """Stable id of folded frames: "s" and 12 hex digits of their functions, file base names and lines."""
    text = "\n".join([_key(frame) for frame in frames])
    return "s" + blake2b(text.encode("utf-8", "surrogatepass"), digest_size=6).hexdigest()


@lru_cache(maxsize=FRAME_CACHE)
def _key(frame: Frame) -> str:
    return f"{frame.function}\t{frame.file.rpartition('/')[2]}\t{frame.line}"


def site_of(stack: Stack, state: str = "") -> Site:
    """The site of a goroutine from its raw stack and the state its producer told ("" = not told). Pure and cached."""
    site, _depth = place(stack)
    reason = wait_reason(state, stack.frames) if state else site.wait_reason
    return site if reason == site.wait_reason else replace(site, wait_reason=reason)


@lru_cache(maxsize=SITE_CACHE)
def place(stack: Stack) -> tuple[Site, int]:
    """The site of a stack with the wait its frames tell, and its depth in frames before recursion was folded."""
    visible = visible_frames(stack)
    frames = fold(visible)
    blocked = blocked_frame(frames)
    site = Site(
        id=site_id(frames),
        wait_reason=reason_of_frames(stack.frames),
        function=blocked.function,
        file=blocked.file,
        line=blocked.line,
        frames=frames,
        created_by=clean_frame(stack.created_by) if stack.created_by else None,
    )
    return site, len(visible) + max(stack.elided, 0)


def forget_names() -> None:
    """Empty what is remembered of frames and names, a hundred thousand at a time: after names that are kilobytes each."""
    for remembering in (
        *(place, _key, _is_hidden, is_machinery),
        *(names.clean_frame, names.clean_file, names.clean_function),
        *(
            modules.package_of,
            modules.is_stdlib,
            modules.is_stdlib_function,
            modules.is_runtime_function,
            modules.short_module_of,
        ),
    ):
        remembering.cache_clear()
