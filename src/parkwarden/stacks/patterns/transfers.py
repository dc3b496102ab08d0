"""Patterns of I/O: HTTP connections, plain connections, copies to slow clients, child processes."""

from __future__ import annotations

from parkwarden.stacks.patterns.base import Entry, LifeCycle, Pattern, View, Weight, weigh

HTTP_BODY = Pattern(
    id="http-connection-not-closed",
    code="PW101",
    title="HTTP client connections that are never released",
    wait_reasons=("select", "IO wait"),
    meaning="Every response whose body is not closed keeps its connection, with one goroutine to read it and one to write.",
    why="net/http's transport runs readLoop and writeLoop per connection (net/http/transport.go). After a response with a "
    "body readLoop waits in a select for the body's end or Close; without it the connection neither goes back to the pool "
    "nor ends, and the next request dials anew. A Transport built per request leaks the same pairs another way: each has "
    "its own idle pool, and IdleConnTimeout 0 means never. HTTP/2 has one readLoop per connection and waits in its streams.",
    look_for="persistConn.readLoop in `select` and persistConn.writeLoop in `select`, in equal numbers, growing. readLoop "
    "in `IO wait` is an idle connection: innocent up to MaxIdleConns, a Transport per request beyond. `created by` only "
    "names the transport: the caller is in the code that calls the client and drops the body (go vet: httpresponse; bodyclose). The leak profile of Go 1.27.3 does not name them.",
    cure="`defer resp.Body.Close()` right after the error check, reading the rest first to reuse the connection; one "
    "Client for the process, with time-outs.",
    before="resp, err := http.Get(url)\nif err != nil {\n\treturn err\n}\nreturn check(resp.StatusCode) // the body stays open",
    after="resp, err := client.Get(url)\nif err != nil {\n\treturn err\n}\ndefer resp.Body.Close()\n"
    "_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))\nreturn check(resp.StatusCode)",
    life=LifeCycle.OWNED,
    twin="Idle keep-alive connections inside MaxIdleConnsPerHost, and responses being streamed.",
    provable=False,
)

_READ_LOOPS = ("net/http.(*persistConn).readLoop",)
_WRITE_LOOPS = ("net/http.(*persistConn).writeLoop",)
_HTTP2_LOOPS = (
    "net/http.(*http2clientConnReadLoop).run",
    "net/http/internal/http2.(*clientConnReadLoop).run",
    "golang.org/x/net/http2.(*clientConnReadLoop).run",
)
_HTTP2_STREAMS = (
    "net/http.(*http2clientStream).doRequest",
    "net/http/internal/http2.(*clientStream).doRequest",
    "golang.org/x/net/http2.(*clientStream).doRequest",
)


def _http(view: View) -> Weight | None:
    if view.has(*_READ_LOOPS):
        if view.reason == "IO wait" or view.has_prefix("internal/poll."):
            return 0.75, (
                "idle connections of an HTTP transport: growing, a Transport per request or a body closed unread",
            )
        return 0.97, ("the transport waits for a response body to be read or closed",)
    if view.has(*_WRITE_LOOPS):
        return 0.95, ("the writing half of an HTTP client connection",)
    if view.has(*_HTTP2_STREAMS):
        return 0.9, ("an HTTP/2 stream whose response body is still open",)
    if view.has(*_HTTP2_LOOPS):
        return 0.75, ("an HTTP/2 client connection",)
    return None


DEADLINE = Pattern(
    id="io-without-deadline",
    code="PW113",
    title="Network I/O without a deadline",
    wait_reasons=("IO wait",),
    meaning="Goroutines read from (or write to) peers that owe an answer and are silent; nothing limits how long.",
    why="A read parks in the netpoller until data, an error or the deadline comes (internal/poll/fd_poll_runtime.go). No "
    "deadline is set by default on net.Conn, nor on http.Server (ReadTimeout, WriteTimeout, IdleTimeout 0) or http.Client "
    "(Timeout 0); a peer that vanished without a FIN is noticed by keep-alive after minutes at best.",
    look_for="`IO wait, N minutes` at one line of your own; one file descriptor each.",
    cure="SetReadDeadline/SetDeadline before each operation (or per message), time-outs on client and server, and close the "
    "connection when the context ends: stop := context.AfterFunc(ctx, func() { conn.Close() }).",
    before="line, err := bufio.NewReader(conn).ReadString('\\n') // waits as long as the peer likes",
    after="_ = conn.SetReadDeadline(time.Now().Add(30 * time.Second))\nline, err := bufio.NewReader(conn).ReadString('\\n')",
    life=LifeCycle.IN_IO,
    twin="Long polls and idle keep-alive connections that end at their deadline.",
    provable=False,
)

_PIPES = (
    "os.(*File).Read",
    "os.(*File).read",
    "os.(*File).Write",
    "os.(*File).write",
    "os.(*File).ReadFrom",
    "os.(*File).WriteTo",
)
_WAITS = ("os.(*Process).wait", "os.(*Process).pidfdWait", "os.(*Process).blockUntilWaitable", "os.(*Process).Wait")
_LISTENING = ("net.(*TCPListener).Accept", "net.(*UnixListener).Accept", "internal/poll.(*FD).Accept")
_COPIES = ("io.Copy", "io.copyBuffer", "io.CopyBuffer", "io.CopyN", "net/http/httputil.(*ReverseProxy).copyBuffer")
_WRITES = (
    "internal/poll.(*FD).Write",
    "internal/poll.(*FD).Writev",
    "internal/poll.(*FD).ReadFrom",
    "internal/poll.(*pollDesc).waitWrite",
    "internal/poll.SendFile",
    "internal/poll.Splice",
    "net.(*netFD).Write",
    "net.(*conn).Write",
    "net/http.(*http2responseWriter).Write",
    "net/http/internal/http2.(*responseWriter).Write",
)
_RESPONSES = (
    "net/http.(*response).",
    "net/http.(*chunkWriter).",
    "net/http.(*http2responseWriter).",
    "net/http/internal/http2.(*responseWriter).",
)


def _is_io(view: View) -> bool:
    return view.reason == "IO wait" or view.has("internal/poll.(*pollDesc).wait", "internal/poll.runtime_pollWait")


def _is_pipe(view: View) -> bool:
    """Only pipes, FIFOs, terminals and the like wait in the poller under an os.File: regular files block the thread."""
    return view.has(*_PIPES) and not view.has_prefix("net.(")


def waits_to_write(view: View) -> bool:
    """Whether these have data for a peer who does not take it."""
    return _is_io(view) and view.has(*_WRITES)


def _deadline(view: View) -> Weight | None:
    if not _is_io(view) or view.has(*_LISTENING) or view.has(*_READ_LOOPS):
        return None
    minutes = view.cluster.wait_min
    writes = view.has(*_WRITES)
    return weigh(
        0.85 if view.own else 0.5,
        (True, 0.0, f"waits in the netpoller for a peer to {'take' if writes else 'send'} data"),
        (minutes is not None and minutes[1] >= 1, 0.4, "for a minute or more"),
        (_is_pipe(view), -0.7, ""),
        (writes and view.has(*_COPIES), -0.5, ""),
        (view.has("net/http.(*connReader).backgroundRead"), -0.7, ""),
    )


COPY = Pattern(
    id="io-copy-slow-client",
    code="PW114",
    title="Copying to a client that reads slowly or not at all",
    wait_reasons=("IO wait",),
    meaning="Each response being streamed holds its goroutine, its buffers and its source until the client has taken it all.",
    why="A write parks in the netpoller when the socket's buffer is full (internal/poll/fd_unix.go: Write). http.Server has "
    "no WriteTimeout by default, and a client that stays connected without reading keeps the handler in io.Copy for ever.",
    look_for="io.Copy (or Write) above net/http.(*response).Write or net.(*conn).Write in `IO wait`; beside each a "
    "net/http.(*connReader).backgroundRead.",
    cure="Set http.Server.WriteTimeout, or per response http.NewResponseController(w).SetWriteDeadline moved on with each "
    "chunk; bound the streams; stop the source when the request's context ends.",
    before="func download(w http.ResponseWriter, r *http.Request) {\n\tio.Copy(w, video) // as slow as the client\n}",
    after="func download(w http.ResponseWriter, r *http.Request) {\n\trc := http.NewResponseController(w)\n\tfor {\n"
    "\t\trc.SetWriteDeadline(time.Now().Add(15 * time.Second))\n\t\tif _, err := io.CopyN(w, video, 1<<20); err != nil {\n"
    "\t\t\treturn\n\t\t}\n\t}\n}",
    life=LifeCycle.IN_IO,
    twin="Downloads into clients that read on: they end, or at least other ids stand there.",
    provable=False,
)


_TURN = ("internal/poll.(*fdMutex).rwlock", "internal/poll.(*FD).readLock", "internal/poll.(*FD).writeLock")


def _copy(view: View) -> Weight | None:
    if view.has(*_TURN) and view.has(*_COPIES):
        return 0.75, ("waits for its turn at a file or connection in which another goroutine is stuck, in io.Copy",)
    if not _is_io(view) or not view.has(*_WRITES) or _is_pipe(view):
        return None
    copying = view.has(*_COPIES)
    response = view.has_prefix(*_RESPONSES)
    if not (copying or response):
        return None
    return weigh(
        0.75,
        (copying, 0.6, "io.Copy waits for the other side to take data"),
        (response, 0.5, "the other side is an HTTP client"),
    )


CHILD = Pattern(
    id="child-process-pipe",
    code="PW115",
    title="Waiting for a child process or its pipe",
    wait_reasons=("IO wait", "syscall", "chan receive", "select"),
    meaning="Goroutines read a child's output, write its input or wait for its end, and the child does none of its part.",
    why="A pipe's read ends when all writers have closed it: a child waiting for its own input to be closed, or a grandchild "
    "that inherited the pipe, keeps it open. Cmd.Wait returns only after the copying goroutines do (os/exec/exec.go), and "
    "each child costs a process and up to three descriptors.",
    look_for="os.(*File).Read or .Write in `IO wait` (regular files never wait there), os/exec frames, os.(*Process).wait "
    "in `syscall`; as many child processes in ps, zombies if nobody waits.",
    cure="exec.CommandContext with cmd.WaitDelay set; close the input when it is written; read stdout and stderr at the "
    "same time; always Wait.",
    before='cmd := exec.Command("ffmpeg", args...)\nin, _ := cmd.StdinPipe()\nout, _ := cmd.StdoutPipe()\ncmd.Start()\n'
    "in.Write(frame) // in is never closed\nio.Copy(w, out)  // so out never ends",
    after='cmd := exec.CommandContext(ctx, "ffmpeg", args...)\ncmd.WaitDelay = 5 * time.Second\ncmd.Stdin = bytes.NewReader(frame)\n'
    "cmd.Stdout = w\nreturn cmd.Run()",
    life=LifeCycle.IN_IO,
    twin="Children being read and waited for: they end.",
    provable=False,
)


def _child(view: View) -> Weight | None:
    executes = view.has_prefix("os/exec.") or view.creator.startswith("os/exec.")
    if view.has(*_WAITS):
        return 0.95, ("waits for a child process to end",)
    pipe = _is_io(view) and _is_pipe(view)
    if not (executes or pipe):
        return None
    return weigh(
        0.8,
        (pipe, 0.4, "waits on a pipe (an os.File in the netpoller)"),
        (executes, 0.7, "os/exec is on the stack or started the goroutine"),
    )


ENTRIES = (Entry(HTTP_BODY, _http), Entry(DEADLINE, _deadline), Entry(COPY, _copy), Entry(CHILD, _child))
