"""Causes of death, from real crash logs (tests/data/crash_log/README.md) and from those logs as they come in the wild."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkwarden.formats import crash_log
from parkwarden.formats.crash_log import causes
from parkwarden.model import Crash, Frame

VERSIONS = ("go1.21", "go1.24", "go1.27")
CAUSES = {
    "deadlock": "deadlock",
    "deadlock-goexit": "deadlock",
    "fault": "fatal-error",
    "files": "panic",
    "http-panic": "panic",
    "index": "panic",
    "map-iteration": "concurrent-map",
    "map-read-write": "concurrent-map",
    "map-writes": "concurrent-map",
    "nil": "nil-dereference",
    "oom": "out-of-memory",
    "oom-start": "out-of-memory",
    "panic-chain": "panic",
    "panic-custom": "panic",
    "panic-goexit": "panic",
    "panic-lines": "panic",
    "panic-repanic": "panic",
    "sigabrt": "signal",
    "sigquit": "signal",
    "stack-direct": "stack-overflow",
    "stack-irregular": "stack-overflow",
    "stack-mutual": "stack-overflow",
    "threads": "thread-limit",
    "unlock": "fatal-error",
}


def log(data: Path, version: str, name: str) -> bytes:
    return (data / "crash_log" / version / f"{name}.txt").read_bytes()


def only(text: bytes) -> Crash:
    found = causes(text)
    assert len(found) == 1, found
    return found[0]


def functions(crash: Crash) -> list[str]:
    assert crash.stack is not None
    return [f.function for f in crash.stack.frames]


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", sorted(CAUSES))
def test_every_real_log_has_its_one_cause(data: Path, version: str, name: str) -> None:
    """One death is one Crash, whatever number of lines the runtime wrote about it."""
    crash = only(log(data, version, name))
    assert crash.cause == CAUSES[name]
    assert crash.where == "line 1"


@pytest.mark.parametrize("version", VERSIONS)
def test_direct_recursion_is_one_frame_many_rounds(data: Path, version: str) -> None:
    """A method that calls itself is a cycle of one; rounds before and after the elided frames count."""
    crash = only(log(data, version, "stack-direct"))
    assert [f.function for f in crash.cycle] == ["main.(*node).depth"]
    assert crash.rounds == 96
    assert crash.stack is not None
    assert crash.stack.elided > 1_000
    assert crash.details["limit_bytes"] == "1048576"
    assert crash.details["entered_from"].startswith("main.stackDirect ")


@pytest.mark.parametrize("version", VERSIONS)
def test_mutual_recursion_through_a_library_is_folded(data: Path, version: str) -> None:
    """The smallest repeating sequence is named, not the leaf calls on top of it nor a multiple of it."""
    crash = only(log(data, version, "stack-mutual"))
    cycle = [f.function for f in crash.cycle]
    assert cycle == ["fmt.Fprintf", "main.(*reporter).enqueue", "main.(*reporter).Log", "main.(*reporter).Write"]
    assert crash.rounds == 22
    assert crash.stack is not None
    assert crash.stack.created_by == Frame("main.stackMutual", "example.com/crash/stack_mutual.go", 35)
    assert "main.stackMutual.func1" in crash.details["entered_from"]


@pytest.mark.parametrize("version", VERSIONS)
def test_recursion_in_changing_order_is_still_named(data: Path, version: str) -> None:
    """Two functions that call each other as the data has it have no period; both are named and the report says so."""
    crash = only(log(data, version, "stack-irregular"))
    assert {f.function for f in crash.cycle} == {"main.visitExpr", "main.visitStmt"}
    assert "changing order" in crash.details["cycle"]
    assert "main.stackIrregular" in crash.details["entered_from"]


@pytest.mark.parametrize("version", VERSIONS)
def test_panic_stack_begins_where_it_was_raised(data: Path, version: str) -> None:
    """Deferred functions that panicked again stand above the origin; the stack begins at the origin and they are named apart."""
    chain = only(log(data, version, "panic-chain"))
    assert chain.message == "first"
    assert chain.details["chain"] == "first -> second -> third: closing"
    assert functions(chain)[0] == "main.panicChain"
    assert "main.panicChain.func1" in chain.details["raised_again_in"]
    again = only(log(data, version, "panic-repanic"))
    assert again.message == "once and again"
    assert functions(again) == ["main.panicRepanic", "main.main"]
    assert "raised_again" in again.details


@pytest.mark.parametrize("version", VERSIONS)
def test_nil_dereference_tells_the_address(data: Path, version: str) -> None:
    """The signal line belongs to the panic before it."""
    crash = only(log(data, version, "nil"))
    assert crash.details["addr"] == "0x0"
    assert functions(crash)[0] == "main.ownerName"
    assert crash.goid == 1


@pytest.mark.parametrize("version", VERSIONS)
def test_a_panic_net_http_recovered_is_marked(data: Path, version: str) -> None:
    """The process lived on, so nobody may call it a crash of the process."""
    crash = only(log(data, version, "http-panic"))
    assert "lived on" in crash.details["recovered_by"]
    assert functions(crash)[0] == "main.httpPanic.func1"


@pytest.mark.parametrize("version", VERSIONS)
def test_signals_that_were_sent_are_asked_for(data: Path, version: str) -> None:
    """SIGQUIT is how one asks for a dump; it accuses no goroutine."""
    for name in ("sigquit", "sigabrt"):
        crash = only(log(data, version, name))
        assert "asked_for" in crash.details
        assert crash.stack is None


@pytest.mark.parametrize("version", VERSIONS)
def test_a_bystander_is_not_accused(data: Path, version: str) -> None:
    """The thread limit is passed on a system stack: the first goroutine printed has nothing to do with it."""
    crash = only(log(data, version, "threads"))
    assert crash.goid is None
    assert functions(crash)[:2] == ["runtime.throw", "runtime.checkmcount"]
    assert crash.details["limit"] == "24"


@pytest.mark.parametrize("version", ["go1.24", "go1.27"])
def test_a_header_within_a_message_is_text(data: Path, version: str) -> None:
    """runtime/error.go: printindented indents a message's lines, so a fake goroutine in it stays text (Go 1.21 did not)."""
    crash = only(log(data, version, "panic-lines"))
    assert crash.goid == 1
    assert crash.message.startswith("first line\nsecond line")


def test_memory_numbers_are_kept(data: Path) -> None:
    """How much was asked for and how much was held tell a leak from one absurd allocation."""
    crash = only(log(data, "go1.27", "oom"))
    assert crash.details["requested_bytes"] == str(256 << 20)
    assert int(crash.details["in_use_bytes"]) > 2_000_000_000


def docker(text: bytes) -> bytes:
    lines = text.decode().splitlines(keepends=True)
    wrap = [json.dumps({"log": line, "stream": "stderr", "time": "2026-11-21T05:29:39.1Z"}) for line in lines]
    return "\n".join(wrap).encode() + b"\n"


WILD = {
    "crlf": lambda t: t.replace(b"\n", b"\r\n"),
    "ansi": lambda t: t.replace(b"\n", b"\x1b[0m\n\x1b[31m"),
    "docker": docker,
    "cri": lambda t: b"".join(
        b"2026-11-21T05:29:%02d.%09dZ stderr F %s\n" % (i % 60, i * 7919, line) for i, line in enumerate(t.split(b"\n"))
    ),
    "journald": lambda t: b"".join(b"Nov 21 05:29:39 node-7 crash[411]: %s\n" % line for line in t.split(b"\n")),
    "syslog-tabs": lambda t: b"".join(
        b"Nov  1 05:29:39 node-7 crash[411]: %s\n" % line.replace(b"\t", b"#011") for line in t.split(b"\n")
    ),
    "spaces-for-tabs": lambda t: t.replace(b"\t", b"        "),
    "ci": lambda t: b"".join(b"2026-11-21T05:29:39.1234567Z %s\n" % line for line in t.split(b"\n")),
    "inside-a-log": lambda t: b"level=info msg=started\n" * 50 + t + b"\nexit status 2\n",
}


@pytest.mark.parametrize("wild", sorted(WILD))
@pytest.mark.parametrize("name", sorted(CAUSES))
def test_wrapping_changes_nothing(data: Path, wild: str, name: str) -> None:
    """Log drivers, colours and line ends cost neither the cause nor the stack nor the cycle."""
    plain = only(log(data, "go1.27", name))
    wrapped = only(WILD[wild](log(data, "go1.27", name)))
    assert wrapped.cause == plain.cause
    assert wrapped.goid == plain.goid
    assert wrapped.stack == plain.stack
    assert (wrapped.cycle, wrapped.rounds) == (plain.cycle, plain.rounds)
    if wild == "inside-a-log":
        assert wrapped.where == "line 51"


@pytest.mark.parametrize("name", sorted(CAUSES))
def test_a_crash_loop_is_told_in_order(data: Path, name: str) -> None:
    """Crashes of several lives of one process in one log stay apart, each with its line."""
    text = log(data, "go1.27", name) + b"\n"
    three = causes(text + b"started\n" + text + b"started\n" + text)
    assert [c.cause for c in three] == [CAUSES[name]] * 3
    lines = text.count(b"\n") + 1
    assert [c.where for c in three] == ["line 1", f"line {1 + lines}", f"line {1 + 2 * lines}"]


@pytest.mark.parametrize(
    "line",
    [
        b'level=info msg="don\'t panic: all is well"',
        b"main.c:1:10: fatal error: stdio.h: No such file or directory",
        b"2026-11-21 worker: recovered from panic: job 7 failed",
        b"kernel panic - not syncing: nothing",
        b"SIGQUIT: quit",
        b"runtime: started",
    ],
)
def test_talk_about_panics_is_no_crash(line: bytes) -> None:
    """Words alone accuse nobody: prefixed ones need a goroutine or the runtime's own words near them."""
    assert causes(b"starting\n" + line + b"\nready\nserving\n") == []


def test_a_message_cut_short_still_counts() -> None:
    """`kubectl logs --tail` and termination messages end anywhere: the cause needs no goroutine after it."""
    for text, cause in (
        (b"fatal error: all goroutines are asleep - dead", "fatal-error"),
        (b"panic: runtime error: invalid memory address or nil pointer dereference", "nil-dereference"),
        (b"runtime: goroutine stack exceeds 1000000000-byte limit\n", "stack-overflow"),
        (b"fatal error: stack overflow\n\nruntime stack:\nruntime.throw({0x1, 0x2})\n\t/go/panic", "stack-overflow"),
    ):
        assert only(text).cause == cause


def test_other_causes_by_their_words() -> None:
    """Causes that are hard to provoke in a test, in the words of the sources cited in crash_log."""
    samples = {
        b"runtime: failed to create new OS thread (have 2042 already; errno=11)\n"
        b"runtime: may need to increase max user processes (ulimit -u)\nfatal error: newosproc\n": (
            "thread-limit",
            "threads",
        ),
        b"runtime/cgo: pthread_create failed: Resource temporarily unavailable\nSIGABRT: abort\n"
        b"PC=0x7f1 m=7 sigcode=18446744073709551610\n": ("thread-limit", "refused_by"),
        b"fatal error: unexpected signal during runtime execution\n"
        b"[signal SIGSEGV: segmentation violation code=0x1 addr=0x18 pc=0x7f]\n": ("fatal-error", "addr"),
        b"SIGSEGV: segmentation violation\nPC=0x7f31 m=0 sigcode=1 addr=0x10\nsignal arrived during cgo execution\n": (
            "fatal-error",
            "during",
        ),
        b"panic: test timed out after 10m0s\n\trunning tests:\n\t\tTestSlow (9m59s)\n\ngoroutine 9 [running]:\n": (
            "panic",
            "running_tests",
        ),
        b"fatal error: runtime: cannot allocate memory\n": ("out-of-memory", ""),
        b"panic: fork/exec /bin/sh: resource temporarily unavailable\n\ngoroutine 1 [running]:\n": ("panic", "kind"),
    }
    for text, (cause, detail) in samples.items():
        crash = only(text)
        assert crash.cause == cause, text
        assert not detail or detail in crash.details, (text, crash.details)


def test_hostile_repetition_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A million words that begin a crash end at a named limit, and the last crash says that there is more."""
    monkeypatch.setattr(crash_log, "MAX_CRASHES", 5)
    found = causes(b"panic: again\n\ngoroutine 1 [running]:\nmain.main()\n\t/a.go:1\n\n" * 50)
    assert len(found) == 5
    assert "not_read" in found[-1].details
    monkeypatch.setattr(crash_log, "MAX_CLEANED", 1000)
    assert "not_read" in causes(b"panic: " + b"x" * 4000 + b"\npanic: y\n")[-1].details


def test_messages_are_capped() -> None:
    """A panic value may be a document of megabytes."""
    crash = only(b"panic: " + b"z" * 100_000 + b"\n\ngoroutine 1 [running]:\nmain.main()\n\t/a.go:1 +0x1\n")
    assert len(crash.message) <= crash_log.MAX_MESSAGE
    assert crash.stack is not None


@given(
    st.lists(
        st.one_of(
            st.sampled_from(
                [
                    b"panic: x", b"\tpanic: y [recovered]", b"fatal error: z", b"goroutine 1 [running]:", b"main.f(0x1)",
                    b"\t/a.go:1 +0x1", b"", b"runtime stack:", b"PC=0x1 m=0 sigcode=0", b"SIGQUIT: quit", b"created by main.g",
                    b"...3 frames elided...", b'{"log":"panic: q\\n"}', b"\x1b[31m", b"panic serving 1:2: oops",
                    b"runtime: goroutine stack exceeds 5-byte limit", b"[signal SIGSEGV: a code=1 addr=0x0 pc=0x1]",
                ]
            ),
            st.binary(max_size=40),
        ),
        max_size=40,
    )
)  # fmt: skip
def test_any_lines_give_crashes_and_never_an_exception(lines: list[bytes]) -> None:
    """Whatever order the runtime's words come in, each Crash has a cause and a line that exists."""
    text = b"\n".join(lines)
    for crash in causes(text):
        assert crash.cause
        assert 1 <= int(crash.where.removeprefix("line ")) <= text.count(b"\n") + 1
