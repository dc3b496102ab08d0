"""What goroutines hold, told by frames as Go 1.27's profiles show them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkwarden.model import Frame, Site, Stack
from parkwarden.model.descriptors import KINDS
from parkwarden.stacks.holders import describe, each, holder_line, holds
from parkwarden.stacks.normalise import site_of

POLL_READ = (
    "internal/poll.runtime_pollWait",
    "internal/poll.(*pollDesc).wait",
    "internal/poll.(*pollDesc).waitRead",
    "internal/poll.(*FD).Read",
)


def site(*functions: str, state: str = "") -> Site:
    return site_of(Stack(tuple(Frame(name, "/x/y.go", 10 + i) for i, name in enumerate(functions))), state)


COPYING = site(*POLL_READ, "os.(*File).read", "os.(*File).Read", "io.copyBuffer", "io.Copy",
               "os/exec.(*Cmd).writerDescriptor.func1", "os/exec.(*Cmd).Start.func2")  # fmt: skip
WRITING = site(
    "runtime.gopark", "internal/poll.runtime_pollWait", "internal/poll.(*pollDesc).wait", "internal/poll.(*FD).Write",
    "net.(*netFD).Write", "net.(*conn).Write", "net/http.checkConnErrorWriter.Write", "bufio.(*Writer).Flush",
    "net/http.(*chunkWriter).Write", "net/http.(*response).Write", "io.copyBuffer", "example.com/m/film.(*Server).stream",
    "net/http.HandlerFunc.ServeHTTP", "net/http.(*conn).serve",
)  # fmt: skip


@pytest.mark.parametrize(
    ("of", "kind", "words", "number"),
    [
        (COPYING, "pipe", "os/exec pipes", 1),
        (site("os.(*File).Write", "os/exec.(*Cmd).childStdin.func1", "os/exec.(*Cmd).Start.func2"), "pipe", "os/exec pipes", 1),
        (site("syscall.Syscall6", "internal/syscall/unix.Waitid", "os.(*Process).pidfdWait", "os.(*Process).Wait", "os/exec.(*Cmd).Wait"), "pidfd", "child processes", 1),
        (WRITING, "socket", "streaming HTTP bodies", 1),
        (site(*POLL_READ, "net.(*conn).Read", "net/http.(*persistConn).Read", "bufio.(*Reader).Read", "net/http.(*body).Read", "net/http.(*bodyEOFSignal).Read", "main.fetch"), "socket", "streaming HTTP bodies", 1),
        (site("runtime.gopark", "runtime.selectgo", "net/http.(*persistConn).readLoop"), "socket", "connections", 1),
        (site("runtime.gopark", "runtime.selectgo", "net/http.(*persistConn).writeLoop"), "socket", "connections", 0),
        (site(*POLL_READ, "net.(*netFD).Read", "net.(*conn).Read", "net/http.(*connReader).backgroundRead"), "socket", "connections", 0),
        (site("internal/poll.runtime_pollWait", "internal/poll.(*FD).Accept", "net.(*netFD).accept", "net.(*TCPListener).accept", "main.main"), "socket", "connections", 1),
        (site("runtime.gopark", "runtime.chanrecv1", "main.slow", "net/http.HandlerFunc.ServeHTTP", "net/http.(*conn).serve"), "socket", "connections being served", 1),
        (site(*POLL_READ, "os.(*File).read", "os.(*File).Read", "bufio.(*Scanner).Scan", "main.follow"), "pipe", "pipes", 1),
        (site(*POLL_READ, "os.(*File).Read", "github.com/fsnotify/fsnotify.(*inotify).readEvents"), "inotify", "file watches", 1),
        (site("syscall.Syscall", "internal/poll.(*FD).Fsync", "os.(*File).Sync", "main.save"), "file", "files", 1),
    ],
)  # fmt: skip
def test_frames_tell_what_is_held(of: Site, kind: str, words: str, number: int) -> None:
    """A frame that cannot return before its descriptor is closed tells the kind, the words and how many one goroutine stands for."""
    assert (holds(of), describe(of), each(of)) == (kind, words, number)


@pytest.mark.parametrize(
    "of",
    [
        site("runtime.gopark", "runtime.chanrecv1", "main.worker"),
        site("syscall.Syscall", "syscall.read", "internal/poll.(*FD).Read", "os.(*File).Read", "main.load"),
        site(),
    ],
)
def test_what_is_not_sure_is_not_said(of: Site) -> None:
    """Who waits on a channel, or reads something that may be a file or a terminal, holds nothing that a frame could prove."""
    assert (holds(of), describe(of), each(of)) == (None, "", 0)


def test_copying_goroutines_are_the_users_who_wait_for_the_command() -> None:
    """os/exec's own goroutines have no line of the user: those who wait for commands lend theirs, the most frequent first."""
    waiting = site(
        "os.(*Process).pidfdWait", "os/exec.(*Cmd).Wait", "os/exec.(*Cmd).Run", "main.transcode", "main.handle"
    )
    other = site("os/exec.(*Cmd).Wait", "main.probe")
    unrelated = site("runtime.gopark", "runtime.chanrecv1", "main.worker")
    sites = [(unrelated, 900), (waiting, 88), (other, 2), (COPYING, 90)]
    line = holder_line(COPYING, ("main",), sites)
    assert line is not None
    assert line.function == "main.transcode"
    assert holder_line(COPYING, ("main",)) is None
    own = holder_line(WRITING, ("example.com/m",), sites)
    assert own is not None
    assert own.function == "example.com/m/film.(*Server).stream"


@given(st.lists(st.text(max_size=30), max_size=12))
def test_any_frames_are_answered(functions: list[str]) -> None:
    """Hostile names never raise, and a kind is one of the house's words."""
    of = site(*functions)
    assert holds(of) is None or holds(of) in KINDS
    assert bool(describe(of)) == (holds(of) is not None)
