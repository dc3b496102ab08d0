"""Words in function names that hint at what a wait is for, where the stack alone cannot tell.

A text dump shows `<-ticker.C`, `<-ctx.Done()` and `<-results` as the same `chan receive`. Names are weak witnesses: they
order the candidates, and never accuse anybody.
"""

from __future__ import annotations


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


TICKING = _words(
    "tick ticks ticker tickers ticking interval intervals periodic periodically every heartbeat heartbeats keepalive "
    "refresh refresher refreshing metronome cron schedule scheduler sampler"
)
CONTEXT = _words("ctx context cancel cancels canceled cancelled cancellation cancelable deadline timeout")
SLOTS = _words(
    "acquire acquires sem sema semaphore slot slots permit permits token tokens limiter throttle bulkhead quota"
)
SURE_SLOTS = _words("acquire acquires sem sema semaphore slot slots permit permits")
"""Those that speak of slots also where the wait is no send."""

CONSUMING = _words("range consume consumer consumers drain collect collector aggregate each iterate stream")
POLLING = _words("poll polls poller polling retry retries backoff wait until check sleep")
BACKGROUND = _words(
    "janitor run loop worker watch watcher cleanup cleaner clean gc sweep sweeper flush flusher evict evictor expire "
    "monitor maintain reap reaper background daemon process dispatch dispatcher manage manager updater "
    "collector refresher ticker tick start serve listen pump purge"
)
"""What libraries call the goroutine their constructor starts."""

CONSTRUCTORS = ("new", "open", "make", "create", "build", "init", "dial", "connect", "setup")
"""How constructors' names begin (lower case)."""

STARTERS = ("start", "run", "init", "launch", "spawn", "begin", "loop")
"""How methods are called that constructors call to start their goroutine."""
