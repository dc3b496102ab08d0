"""Patterns of channels and select: waits the runtime can prove dead when nothing that lives reaches the channel."""

from __future__ import annotations

from parkwarden.stacks.patterns.base import Entry, LifeCycle, Pattern, View, Weight, weigh
from parkwarden.stacks.patterns.statements import DONE, EXIT, RANGE_LOOP, TICK, TOKEN
from parkwarden.stacks.patterns.vocabulary import CONSUMING, CONTEXT, SLOTS, SURE_SLOTS, TICKING

SEND = Pattern(
    id="send-without-receiver",
    code="PW104",
    title="Send to a channel nobody receives from",
    wait_reasons=("chan send",),
    meaning="Each goroutine wants to hand a value over, and whoever was to take it has returned.",
    why="A send on an unbuffered or full channel parks the sender until somebody receives (runtime/chan.go: chansend). "
    "When the receiver gave up first (time-out, error, first answer wins) nobody ever does, and the runtime frees neither "
    "the goroutine nor the channel.",
    look_for="`chan send` at one line; the creating function has returned already (it is on no other stack).",
    cure="Give the channel a buffer of one so that the send cannot block, or send in a select with ctx.Done().",
    before="ch := make(chan Answer)\ngo func() { ch <- ask() }()\nselect {\ncase a := <-ch:\n\treturn a, nil\n"
    "case <-ctx.Done():\n\treturn Answer{}, ctx.Err() // the sender stays\n}",
    after="ch := make(chan Answer, 1) // the send never blocks\ngo func() { ch <- ask() }()",
    life=LifeCycle.FOREVER,
    twin="Producers held back for a moment by a bounded queue that drains: other goroutines stand there at each look.",
    provable=True,
)


def _send(view: View) -> Weight | None:
    if view.reason != "chan send":
        return None
    slot = view.speaks_of(SLOTS)
    return weigh(
        0.85,
        (True, 0.0, "blocked in a channel send"),
        (slot or TOKEN.search(view.statement), -0.4, ""),
        (view.cluster.leaked, 0.5, "the leak profile says nothing that runs can reach the channel"),
    )


RECEIVE = Pattern(
    id="receive-never-closed",
    code="PW105",
    title="Receive from a channel nobody sends to or closes",
    wait_reasons=("chan receive",),
    meaning="Each goroutine waits for one value that will not come.",
    why="A receive parks until somebody sends or closes (runtime/chan.go: chanrecv). If the sender returned on a path that "
    "does neither, there is no waker left. A channel does not close by being forgotten.",
    look_for="`chan receive` at one line that is no loop; in profiles `runtime.chanrecv1`.",
    cure="Close or answer on every path of the sender (defer close(ch)), and receive in a select with ctx.Done().",
    before="go func() {\n\tv, err := load()\n\tif err != nil {\n\t\treturn // nobody is told\n\t}\n\tch <- v\n}()\nv := <-ch",
    after="go func() {\n\tdefer close(ch)\n\tif v, err := load(); err == nil {\n\t\tch <- v\n\t}\n}()\n"
    "select {\ncase v, ok := <-ch:\n\tuse(v, ok)\ncase <-ctx.Done():\n}",
    life=LifeCycle.FOREVER,
    twin="A fixed crew of workers idle on one shared channel: the same goroutines, no more of them at any look.",
    provable=True,
)


def _receive(view: View) -> Weight | None:
    if view.reason != "chan receive":
        return None
    operations = view.context.operations
    return weigh(
        0.6,
        (True, 0.0, "blocked in a channel receive"),
        (operations["chanrecv1"], 0.5, "a plain receive (runtime.chanrecv1)"),
        (operations["chanrecv2"] and not operations["chanrecv1"], -0.5, ""),
        (RANGE_LOOP.search(view.statement), -0.9, ""),
        (
            view.statement and not RANGE_LOOP.search(view.statement),
            0.5,
            "the statement is a receive, not a loop over one",
        ),
        (
            DONE.search(view.statement) or TICK.search(view.statement),
            -0.8,
            "",
        ),  # a context's end, a tick: not one value
        (view.reachable and view.grows, -0.4, ""),  # a channel that was forgotten is provable
        (view.cluster.leaked, 0.3, "the leak profile says nothing that runs can reach the channel"),
    )


RANGE = Pattern(
    id="range-never-closed",
    code="PW106",
    title="Ranging over a channel that is never closed",
    wait_reasons=("chan receive",),
    meaning="The loop has taken all there was and waits for more, or for the close that ends it.",
    why="`for v := range ch` ends only when ch is closed and empty. When the sender returns without closing, the loop waits "
    "in its receive for ever, and every call leaves one behind.",
    look_for="`chan receive` at a `for … range` line; in profiles `runtime.chanrecv2` (the two-value receive).",
    cure="The one sender closes the channel with defer; of several senders the last one does (a WaitGroup, then close).",
    before="rows := make(chan Row)\ngo write(rows)\nfor _, r := range table {\n\trows <- r\n} // rows is never closed",
    after="rows := make(chan Row)\ngo write(rows)\ndefer close(rows) // ends write's loop\nfor _, r := range table {\n\trows <- r\n}",
    life=LifeCycle.FOREVER,
    twin="A fixed crew of workers ranging over one shared job channel: the same goroutines, no more of them at any look.",
    provable=True,
)


def _range(view: View) -> Weight | None:
    if view.reason != "chan receive" or (view.statement and not RANGE_LOOP.search(view.statement)):
        return None
    operations = view.context.operations
    word = view.speaks_of(CONSUMING)
    return weigh(
        0.5,
        (True, 0.0, "blocked in a channel receive, as a range over a channel is"),
        (operations["chanrecv2"], 0.6, "a two-value receive, as `for range` compiles to (runtime.chanrecv2)"),
        (operations["chanrecv1"] and not operations["chanrecv2"], -0.8, ""),
        (word, 0.3, f"a name speaks of consuming ({word})"),
        (RANGE_LOOP.search(view.statement), 0.8, "the statement ranges over a channel"),
        (view.cluster.leaked, 0.3, "the leak profile says nothing that runs can reach the channel"),
        (TICK.search(view.statement), -0.8, ""),
        # A channel that was forgotten is provable; a ticker's is reached by the timer heap.
        (view.reachable and view.grows and not RANGE_LOOP.search(view.statement), -0.4, ""),
    )


SELECT = Pattern(
    id="select-without-exit",
    code="PW107",
    title="Select in a loop without a way out",
    wait_reasons=("select",),
    meaning="A loop selects over channels nobody serves any more, and none of its cases ends it.",
    why="A select parks on all its channels (runtime/select.go: selectgo) until one is ready. Without a case for done or "
    "ctx.Done() the only end is the process's. A `default` is no cure: in a loop it turns the wait into a spin.",
    look_for="`select` at one line inside a method named like a loop; its owner is gone, its count only grows.",
    cure="Add `case <-ctx.Done(): return` (or a done channel closed by Close) and make sure the owner cancels it.",
    before="for {\n\tselect {\n\tcase e := <-s.events:\n\t\ts.handle(e)\n\tcase c := <-s.commands:\n\t\ts.do(c)\n\t}\n}",
    after="for {\n\tselect {\n\tcase e := <-s.events:\n\t\ts.handle(e)\n\tcase c := <-s.commands:\n\t\ts.do(c)\n"
    "\tcase <-ctx.Done():\n\t\treturn\n\t}\n}",
    life=LifeCycle.FOREVER,
    twin="Long-lived subscribers that do end: ids come and go between looks.",
    provable=True,
)


def _select(view: View) -> Weight | None:
    if view.reason != "select" or not view.own:
        return None
    statement = view.statement
    return weigh(
        0.6,
        (True, 0.0, "blocked in a select"),
        (statement and not EXIT.search(statement), 0.7, "no case of the select ends the loop"),
        (statement and EXIT.search(statement), -0.4, ""),
        (view.speaks_of(CONTEXT) or view.speaks_of(TICKING), -0.1, ""),
        (TOKEN.search(statement), -0.6, ""),
        (view.cluster.leaked, 0.3, "the leak profile says nothing that runs can reach its channels"),
    )


NIL = Pattern(
    id="nil-channel",
    code="PW108",
    title="Send to or receive from a nil channel",
    wait_reasons=("chan receive (nil chan)", "chan send (nil chan)"),
    meaning="The channel was never made. Nothing in Go can wake a goroutine that waits on it.",
    why="The runtime parks such a goroutine for good (runtime/chan.go: `if c == nil { gopark(nil, …) }`). Commonly the "
    "struct was built by a literal instead of its constructor, or the channel is `context.Background().Done()`, which is nil.",
    look_for="`chan receive (nil chan)` or `chan send (nil chan)`; in traces the block reason `forever`; in profiles the "
    "park near the top of runtime.chanrecv/chansend.",
    cure="Make the channel in the constructor, and build the value only through it. To wait on a context, be given one "
    "that can be cancelled.",
    before="feed := &Feed{sku: sku} // feed.updates is nil\ngo feed.follow()        // <-feed.updates waits for ever",
    after="feed := NewFeed(sku) // updates: make(chan int)\ngo feed.follow()",
    life=LifeCycle.FOREVER,
    twin="A channel variable set to nil to switch one case of a select off: that goroutine shows `select`, not `nil chan`.",
    provable=True,
)


def _nil(view: View) -> Weight | None:
    if view.reason not in NIL.wait_reasons:
        return None
    return 0.97, (f"the runtime says {view.reason}: nothing can ever wake it",)


EMPTY = Pattern(
    id="empty-select",
    code="PW109",
    title="select {} in more than one goroutine",
    wait_reasons=("select (no cases)",),
    meaning="The goroutine parked itself for good. Once per process that is an idiom; per request it is a leak.",
    why="`select {}` has no case that could ever be ready (runtime/select.go: block). Only the end of the process ends it.",
    look_for="`select (no cases)` with a count above one.",
    cure="Wait for something that ends: ctx.Done(), a done channel, the connection's close.",
    before="go func() {\n\tregister(session)\n\tselect {} // keep it open\n}()",
    after="go func() {\n\tregister(session)\n\tdefer unregister(session)\n\t<-ctx.Done()\n}()",
    life=LifeCycle.FOREVER,
    twin="One goroutine of the process parked in `select {}`, usually main.",
    provable=True,
)


def _empty(view: View) -> Weight | None:
    if view.reason != "select (no cases)":
        return None
    return 0.98, ("select with no cases: nothing can ever wake it",)


SEMAPHORE = Pattern(
    id="semaphore-exhausted",
    code="PW120",
    title="Slots taken and never given back",
    wait_reasons=("chan send", "select", "chan receive"),
    meaning="A pool, limiter or semaphore has no free slot left; everybody queues for one.",
    why="A buffered channel, golang.org/x/sync/semaphore, errgroup.SetLimit, http.Transport.MaxConnsPerHost and sql.DB's "
    "MaxOpenConns all park the caller until somebody gives a slot back. A path that returns without releasing loses one "
    "slot for ever; when the last is gone, nobody passes.",
    look_for="A crowd in an acquire: `chan send` of struct{}{}, semaphore.(*Weighted).Acquire, database/sql.(*DB).conn, "
    "net/http.(*Transport).getConn, errgroup.(*Group).Go. The holders of the slots are on other stacks, or nowhere.",
    cure="Release with defer right after acquiring; close rows and response bodies; acquire with a context.",
    before="sem <- struct{}{}\nif err := charge(order); err != nil {\n\treturn err // the slot is gone\n}\n<-sem",
    after="select {\ncase sem <- struct{}{}:\n\tdefer func() { <-sem }()\ncase <-ctx.Done():\n\treturn ctx.Err()\n}\nreturn charge(order)",
    life=LifeCycle.WAITING,
    twin="The same queue under load, with slots given back: ids come and go between looks.",
    provable=True,
)

_POOLS = {
    "database/sql.(*DB).conn": "waits for a free database connection (MaxOpenConns)",
    "net/http.(*Transport).getConn": "waits for a free connection (MaxConnsPerHost) or a slow dial",
    "golang.org/x/sync/semaphore.(*Weighted).Acquire": "waits in semaphore.Acquire",
    "golang.org/x/sync/errgroup.(*Group).Go": "waits in errgroup.Go for its limit (SetLimit)",
    "github.com/jackc/puddle/v2.(*Pool[...]).acquire": "waits for a free pgx connection",
    "github.com/redis/go-redis/v9/internal/pool.(*ConnPool).waitTurn": "waits for a free go-redis connection (PoolSize)",
    "github.com/panjf2000/ants/v2.(*Pool).retrieveWorker": "waits for a free ants worker",
}


def _semaphore(view: View) -> Weight | None:
    for function in view.functions[:6]:
        if function in _POOLS:
            return weigh(0.9, (True, 0.0, _POOLS[function]))
    if view.reason not in SEMAPHORE.wait_reasons:
        return None
    word = view.speaks_of(SLOTS if view.reason == "chan send" else SURE_SLOTS)
    token = view.reason in ("chan send", "select") and TOKEN.search(view.statement)
    if not (word or token):
        return None
    base = 0.55 if view.reason == "chan send" else 0.35
    return weigh(
        base,
        (word and view.reason == "chan send", 0.8, f"a name speaks of slots ({word})"),
        (word and view.reason != "chan send", 0.4, f"a name speaks of slots ({word})"),
        (token, 0.7 if view.reason == "chan send" else 0.9, "the value sent is a token, as for a semaphore"),
    )


ENTRIES = (
    Entry(SEND, _send),
    Entry(RECEIVE, _receive),
    Entry(RANGE, _range),
    Entry(SELECT, _select),
    Entry(NIL, _nil),
    Entry(EMPTY, _empty),
    Entry(SEMAPHORE, _semaphore),
)
