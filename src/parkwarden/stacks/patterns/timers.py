"""Patterns of package time: loops over tickers, callbacks of AfterFunc, polling with Sleep."""

from __future__ import annotations

from parkwarden.stacks.patterns.base import Entry, LifeCycle, Pattern, View, Weight, weigh
from parkwarden.stacks.patterns.statements import DONE, EXIT, TICK, TOKEN
from parkwarden.stacks.patterns.vocabulary import CONTEXT, POLLING, TICKING

STILL_S = 1.0
"""Seconds of trace without a wake-up that speak against a ticker: most tick at least once a second. They do not rule it out."""

TICKER = Pattern(
    id="ticker-never-stopped",
    code="PW102",
    title="A loop over a Ticker or Timer that has no way out",
    wait_reasons=("chan receive", "select"),
    meaning="Each goroutine wakes at every tick, works a little and waits for the next one, for ever.",
    why="A goroutine that waits on a ticker keeps both alive. Ticker.Stop does not close the channel (time/tick.go): after "
    "Stop `for range ticker.C` waits for ever. Since Go 1.23 an unreferenced Ticker is collected; the goroutine that "
    "receives from it is not.",
    look_for="`chan receive` at a `for range ticker.C` or `select` at `case <-ticker.C`, never waiting longer than the "
    "period; in a trace many short waits at one line that end and begin again. The leak profile cannot see it while the "
    "ticker runs (the timer heap reaches the channel), only after Stop.",
    cure="Select on ticker.C and on ctx.Done() (or a done channel), and `defer ticker.Stop()`.",
    before="t := time.NewTicker(time.Second)\ndefer t.Stop() // never reached\nfor range t.C {\n\ts.refresh()\n}",
    after="t := time.NewTicker(time.Second)\ndefer t.Stop()\nfor {\n\tselect {\n\tcase <-t.C:\n\t\ts.refresh()\n"
    "\tcase <-ctx.Done():\n\t\treturn\n\t}\n}",
    life=LifeCycle.PERIODIC,
    twin="One ticker loop of the process, or one per session that ends through its done channel.",
    provable=False,
)


def _ticker(view: View) -> Weight | None:
    if view.reason not in TICKER.wait_reasons or not view.own:
        return None
    if view.has_prefix("net/http.(*persistConn)"):
        return None
    word = view.speaks_of(TICKING)
    minutes = view.cluster.wait_min
    slept = minutes is not None and minutes[0] >= 1
    # A proven one was stopped, if it is a ticker's at all: that it never wakes says nothing.
    still = view.context.wakeups == 0 and (view.context.watched_s or 0.0) >= STILL_S and not view.cluster.leaked
    ranged = view.context.operations["chanrecv2"] and view.reason == "chan receive"
    return weigh(
        0.3 if view.reason == "chan receive" else 0.25,
        (word, 0.75, f"a name speaks of ticking ({word})"),
        (view.context.wakeups, 0.85, "a trace saw them wake and wait again"),
        (
            view.reachable and view.grows and view.reason == "chan receive",
            0.3,
            "the leak profile still reaches the channel, as it does a running ticker's",
        ),
        (TICK.search(view.statement), 0.93, "the statement waits for a ticker"),
        (view.statement and not TICK.search(view.statement), -0.7, ""),
        (EXIT.search(view.statement), -0.35, ""),  # there is a way out: who should have taken it is the question
        (still, -0.3, ""),
        (ranged, 0.1, ""),
        (slept and not word, -0.4, ""),
        (view.cluster.leaked and not word, -0.6, ""),
        (
            view.cluster.leaked and word,
            0.2,
            "the leak profile proves it: a ticker that was stopped, its channel stays open",
        ),
    )


CALLBACK = Pattern(
    id="timer-callback",
    code="PW103",
    title="time.AfterFunc callbacks that block",
    wait_reasons=(),
    meaning="Timers fire, each starts a goroutine for its function, and that function does not come back.",
    why="AfterFunc runs its function in a goroutine of its own each time (time/sleep.go: goFunc). Nothing bounds their "
    "number; a callback that blocks on a channel, a lock or a call piles up at the rate the timers fire.",
    look_for="`created by time.goFunc` (or context.AfterFunc's) above a crowd at one blocked line.",
    cure="Let the callback only signal, without blocking (select with default, or a buffered channel); Stop timers whose "
    "subject is gone; bound the work with a queue and one worker.",
    before="time.AfterFunc(ttl, func() {\n\texpired <- item // nobody reads any more\n})",
    after="time.AfterFunc(ttl, func() {\n\tselect {\n\tcase expired <- item:\n\tcase <-ctx.Done():\n\t}\n})",
    life=LifeCycle.WAITING,
    twin="Callbacks that do a moment's work: other ids at each look.",
    provable=True,
)


def _callback(view: View) -> Weight | None:
    if view.creator == "time.goFunc":
        return 0.97, ("started by a timer (created by time.goFunc)",)
    if view.creator.startswith("context.") and "afterFuncCtx" in view.creator:
        return 0.9, ("started by context.AfterFunc",)
    return None


SLEEP = Pattern(
    id="sleep-loop",
    code="PW118",
    title="Polling with time.Sleep for something that never comes",
    wait_reasons=("sleep",),
    meaning="A loop looks, sleeps and looks again, and neither counts its attempts nor watches a context.",
    why="time.Sleep parks until its timer fires (runtime/time.go: timeSleep) and listens to nothing else. A loop around it "
    "ends only by its own condition; when the thing polled for is gone, it never does.",
    look_for="`sleep` at one line, the same goroutine ids at every look, waiting times that never grow.",
    cure="Poll in a select with a timer and ctx.Done(), and give up after a number of attempts or a deadline.",
    before="for !job.Done() {\n\ttime.Sleep(100 * time.Millisecond)\n}",
    after="for !job.Done() {\n\tselect {\n\tcase <-time.After(100 * time.Millisecond):\n\tcase <-ctx.Done():\n"
    "\t\treturn ctx.Err()\n\t}\n}",
    life=LifeCycle.PERIODIC,
    twin="Retries with a bounded number of attempts, simulated latency, back-off under load: the ids leave.",
    provable=False,
)


def _sleep(view: View) -> Weight | None:
    if view.reason != "sleep" and not view.has("time.Sleep"):
        return None
    word = view.speaks_of(POLLING)
    return weigh(
        0.9,
        (True, 0.0, "asleep in time.Sleep"),
        (view.context.wakeups, 0.4, "a trace saw them wake and sleep again"),
        (word, 0.2, f"a name speaks of polling ({word})"),
    )


CONTEXT_PATTERN = Pattern(
    id="context-not-passed",
    code="PW117",
    title="Waiting on a context that nobody cancels",
    wait_reasons=("select", "chan receive", "chan receive (nil chan)"),
    meaning="The wait would end with its context, but that context is not the caller's: it comes from "
    "context.Background(), or its cancel function is never called.",
    why="A context ends only when its cancel is called, its deadline passes, or its parent ends. Background has no Done "
    "channel at all (context.Background().Done() is nil). A derived context registers with its parent, or has a goroutine "
    "watch a foreign one (context/context.go: propagateCancel), until cancel is called.",
    look_for="`select` or `chan receive` at a `<-ctx.Done()`; crowds in context.(*cancelCtx).propagateCancel.func2 or "
    "database/sql.(*Rows).awaitDone / (*Tx).awaitDone mean cancel, Rows.Close or Commit was forgotten.",
    cure="Pass the caller's ctx on; give each call a time-out; `defer cancel()` on the line after WithCancel/WithTimeout "
    "(go vet's lostcancel finds most). For work that must outlive the request: context.WithoutCancel plus a time-out.",
    before="func reserve(ctx context.Context, item int) {\n\tgo hold(context.Background(), item) // waits on its Done() for ever\n}",
    after="func reserve(ctx context.Context, item int) {\n\tctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)\n"
    "\tgo func() { defer cancel(); hold(ctx, item) }()\n}",
    life=LifeCycle.WAITING,
    twin="The same wait under a context with a deadline: the ids leave when it passes.",
    provable=True,
)

_WATCHERS = {
    "context.(*cancelCtx).propagateCancel.func2": "watches a parent context for a child that was never cancelled",
    "context.propagateCancel.func1": "watches a parent context for a child that was never cancelled",
    "database/sql.(*Rows).awaitDone": "rows that were neither closed nor read to their end",
    "database/sql.(*Tx).awaitDone": "a transaction that was neither committed nor rolled back",
    "net/http.setRequestCancel.func4": "a request whose body was never closed, watched for its time-out",
    "os/exec.(*Cmd).watchCtx": "a command that was not waited for, watched for its context's end",
}


def _context(view: View) -> Weight | None:
    for function in view.functions:
        if function in _WATCHERS:
            return 0.92, (_WATCHERS[function],)
    if view.reason not in CONTEXT_PATTERN.wait_reasons or not view.own:
        return None
    word = view.speaks_of(CONTEXT)
    done = DONE.search(view.statement)
    if view.reason == "chan receive (nil chan)" and not (word or done):
        return None
    if view.context.operations["chanrecv2"] and not done:
        return None
    return weigh(
        0.2,
        (word, 0.75, f"a name speaks of a context or its end ({word})"),
        (done, 0.88, "the statement waits for a context's Done"),
        (
            "context.Background()" in view.body or "context.TODO()" in view.body,
            0.5,
            "the function takes context.Background()",
        ),
        (view.statement and not done, -0.8, ""),
        (TOKEN.search(view.statement), -0.4, ""),  # that the context ends would be a way out of a queue
    )


ENTRIES = (
    Entry(TICKER, _ticker),
    Entry(CALLBACK, _callback),
    Entry(SLEEP, _sleep),
    Entry(CONTEXT_PATTERN, _context),
)
