"""What kind of file descriptor the goroutines of a site hold, told by their frames alone. Pure.

A goroutine in a read of a pipe holds that pipe, one that serves a connection holds its socket: the descriptor cannot be closed
before the frame returns. What only *may* be held (a file kept open by somebody who waits on a channel) no frame tells; there
the growth of a site beside the growth of a kind is the witness (run/fds.py).

Sources, Go 1.21-1.27: os/exec/exec.go: childStdin, writerDescriptor (a pipe each, closed by the copying goroutine; `stdin` before
Go 1.20), os/pidfd_linux.go: pidfdWait (Go 1.23+), os/file.go and internal/poll/fd_unix.go: Read, Write (only pipes, ttys and
sockets wait in the poller; regular files never do), net/fd_posix.go, net/net.go, net/http/server.go: serve, backgroundRead,
net/http/transport.go: readLoop, writeLoop, bodyEOFSignal, net/http/internal/http2 (h2_bundle.go before 1.27): serve, readLoop.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from parkwarden.model import Frame, Site
from parkwarden.stacks.culprit import culprit

EXEC_PIPES = "os/exec pipes"
CHILDREN = "child processes"
BODIES = "streaming HTTP bodies"
SERVED = "connections being served"
CONNECTIONS = "connections"
TEMPORARY = "temporary files"
PIPES = "pipes"
FILES = "files"
WATCHES = "file watches"

HTTP2_SERVER = (
    "net/http/internal/http2.(*serverConn).", "net/http.(*http2serverConn).", "golang.org/x/net/http2.(*serverConn).",
)  # fmt: skip
"""Beginnings of the names of HTTP/2's server side, in each of its homes."""
_HTTP2_CLIENT = (
    "net/http/internal/http2.(*clientConnReadLoop).", "net/http/internal/http2.(*ClientConn).readLoop",
    "net/http.(*http2clientConnReadLoop).", "net/http.(*http2ClientConn).readLoop",
    "golang.org/x/net/http2.(*clientConnReadLoop).", "golang.org/x/net/http2.(*ClientConn).readLoop",
)  # fmt: skip
_POLL = ("internal/poll.runtime_pollWait", "internal/poll.(*pollDesc).wait")


@dataclass(frozen=True, slots=True)
class _Rule:
    """Goroutines with such a frame hold `each` descriptors of `kind` (0: another goroutine's frame counts for the same one)."""

    kind: str
    words: str
    functions: tuple[str, ...]
    """Beginnings of Go's names."""
    each: int = 1
    polled: bool = False
    """Only where the poller is waited in: then it is no regular file."""


_RULES = (
    _Rule("pipe", EXEC_PIPES, ("os/exec.(*Cmd).writerDescriptor.func", "os/exec.(*Cmd).childStdin.func", "os/exec.(*Cmd).stdin.func")),
    _Rule("inotify", WATCHES, ("github.com/fsnotify/fsnotify.(*inotify).readEvents", "github.com/fsnotify/fsnotify.(*Watcher).readEvents")),
    _Rule("pidfd", CHILDREN, ("os.(*Process).pidfdWait",)),
    _Rule("file", TEMPORARY, ("mime/multipart.(*Reader).readForm", "mime/multipart.(*Reader).ReadForm")),
    _Rule("file", FILES, ("os.(*File).Sync", "os.(*File).ReadAt", "os.(*File).WriteAt", "os.(*File).Readdir", "os.(*File).ReadDir", "os.(*File).readdir")),
    _Rule("socket", CONNECTIONS, (*(f"{p}readFrames" for p in HTTP2_SERVER), "net/http.(*connReader).backgroundRead", "net/http.(*persistConn).writeLoop", "google.golang.org/grpc/internal/transport.(*loopyWriter).run"), each=0),
    _Rule("socket", CONNECTIONS, ("net/http.(*persistConn).readLoop", *_HTTP2_CLIENT, "google.golang.org/grpc/internal/transport.(*http2Client).reader")),
    _Rule("socket", BODIES, (
        "net/http.(*body).Read", "net/http.(*bodyEOFSignal).Read", "net/http.(*gzipReader).Read", "net/http.(*response).Write", "net/http.(*response).ReadFrom",
        "net/http.(*response).write", "net/http.(*chunkWriter).Write", "net/http.(*response).Flush", "net/http.checkConnErrorWriter.Write",
    )),
    _Rule("pipe", PIPES, ("os.(*File).Read", "os.(*File).Write", "os.(*File).read", "os.(*File).write"), polled=True),
    _Rule("socket", CONNECTIONS, ("net.(*conn).", "net.(*netFD).", "net.(*TCPConn).", "net.(*UDPConn).", "net.(*UnixConn).", "net.(*TCPListener).", "net.(*UnixListener).")),
    _Rule("socket", SERVED, ("net/http.(*conn).serve", *(f"{p}serve" for p in HTTP2_SERVER), "google.golang.org/grpc/internal/transport.(*http2Server).HandleStreams")),
)  # fmt: skip
"""The first that fits counts: what is surest and says most goes first, a connection that is only being served last."""

_COMMANDS = (
    "os/exec.(*Cmd).Wait", "os/exec.(*Cmd).Run", "os/exec.(*Cmd).Output", "os/exec.(*Cmd).CombinedOutput", "os/exec.(*Cmd).awaitGoroutines",
)  # fmt: skip


def holds(site: Site) -> str | None:
    """Which kind of descriptor (`model.descriptors.KINDS`) each goroutine of a site surely holds, None where its frames do not tell."""
    rule = _rule(site)
    return rule.kind if rule else None


def describe(site: Site) -> str:
    """The same in words ("os/exec pipes", "streaming HTTP bodies", "connections"), "" where the frames do not tell."""
    rule = _rule(site)
    return rule.words if rule else ""


def each(site: Site) -> int:
    """Descriptors that one goroutine of the site stands for: 0 where another goroutine's frames count for the same one (the write
    loop of a client's connection), else 1; 0 where the frames do not tell."""
    rule = _rule(site)
    return rule.each if rule else 0


def holder_line(site: Site, user_modules: Sequence[str], sites: Iterable[tuple[Site, int]] = ()) -> Frame | None:
    """The user's line behind what a site holds.

    Its own (stacks/culprit.py); of os/exec's copying goroutines, which have none, that of those who wait for commands, and among
    several such sites the one with the most goroutines. `sites`: (site, goroutines) of the same process. None = nobody known.
    """
    own = culprit(site, user_modules)
    if own is not None or describe(site) not in (EXEC_PIPES, CHILDREN):
        return own
    waiting = [
        (-count, line)
        for other, count in sites
        if any(frame.function.startswith(_COMMANDS) for frame in other.frames)
        and (line := culprit(other, user_modules)) is not None
    ]
    return min(waiting)[1] if waiting else None


def _rule(site: Site) -> _Rule | None:
    names = [frame.function for frame in site.frames]
    polled = any(name.startswith(_POLL) for name in names) or site.wait_reason == "IO wait"
    for rule in _RULES:
        if (polled or not rule.polled) and any(name.startswith(rule.functions) for name in names):
            return rule
    return None
