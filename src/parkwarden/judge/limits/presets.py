"""The map's numbers as data (map row B6), and where Go contradicts them.

The map gives three numbers per kind of service, "2048/1536/30 s for an API gateway; 4096/3072/15 s for streaming", in the order in
which it names what is tuned: the process limit (`ulimit -u`), `debug.SetMaxThreads`, the server's timeouts. The second is three
quarters of the first in both, which leaves a quarter for child processes and the user's other threads. The one number of seconds is
taken for a gateway as each of ReadTimeout, WriteTimeout and IdleTimeout; for streaming as the deadline of each single read and write,
because a WriteTimeout bounds the whole answer. `ulimit -n` and memory have no number there: they are worked out from the load.
"""

from __future__ import annotations

from collections.abc import Mapping

from parkwarden.judge.limits.facts import Profile
from parkwarden.model import UsageError

THREAD_SHARE = 0.75
"""SetMaxThreads over the process limit, as in both of the map's presets: a quarter is left for children and others of that user."""

HEADER_TIMEOUT_S = 10.0
"""ReadHeaderTimeout proposed at most: a header is a few packets, and nobody honest needs longer."""

_CRASH = (
    "SetMaxThreads = {0:,} protects nothing: it is a crash limit. The service that reaches it dies with all its requests "
    '("program exceeds {0}-thread limit"); what protects is a bound on blocking calls (a semaphore).'
)
_NOT_REQUESTS = (
    "Threads are not requests: goroutines that wait for the network hold none, so {0:,} threads say nothing about how many "
    "connections are served. Descriptors and memory do, and the map gives no number for them."
)
_SHARED = (
    "ulimit -u = {0:,} counts every process and thread of the user, not of the service: with {1:,} for Go, {2:,} are left for "
    "child processes and whatever else that user runs; root is not bound by it at all."
)


def _disagreements(process_limit: int, max_threads: int, *more: str) -> tuple[str, ...]:
    return (
        _CRASH.format(max_threads),
        _NOT_REQUESTS.format(max_threads),
        _SHARED.format(process_limit, max_threads, process_limit - max_threads),
        *more,
    )


GATEWAY = Profile(
    name="gateway",
    what="API gateway: short requests, each one connection in and one out",
    process_limit=2048,
    max_threads=1536,
    timeout_s=30.0,
    streaming=False,
    fds_per_request=2.0,
    disagrees=_disagreements(
        2048,
        1536,
        "An idle timeout of 30 s is shorter than what usual balancers keep (60 s): the balancer then sends into a connection that the "
        "service is closing, and answers 502. Tell yours with --peer-keepalive.",
    ),
)
STREAMING = Profile(
    name="streaming",
    what="streaming: long answers, often through a child process (three pipes and the connection)",
    process_limit=4096,
    max_threads=3072,
    timeout_s=15.0,
    streaming=True,
    fds_per_request=4.0,
    disagrees=_disagreements(
        4096,
        3072,
        "15 s as http.Server.WriteTimeout would cut every stream after 15 s: it bounds the whole answer, from the header read to the last "
        "byte. It is taken as the deadline of each write (http.ResponseController.SetWriteDeadline); WriteTimeout stays 0.",
    ),
)
PRESETS: Mapping[str, Profile] = {profile.name: profile for profile in (GATEWAY, STREAMING)}

MAX_CUSTOM = 4_194_304
"""The kernel's own greatest number of threads (PID_MAX_LIMIT, include/linux/threads.h)."""


def custom(
    *,
    process_limit: int | None = None,
    max_threads: int | None = None,
    timeout_s: float | None = None,
    streaming: bool = False,
) -> Profile:
    """A profile of one's own; what is not given follows from the rest, else from the gateway's or streaming's. Raises UsageError."""
    base = STREAMING if streaming else GATEWAY
    if max_threads is None:
        max_threads = base.max_threads if process_limit is None else int(process_limit * THREAD_SHARE)
    if process_limit is None:
        process_limit = max(base.process_limit, -int(-max_threads // THREAD_SHARE))
    seconds = base.timeout_s if timeout_s is None else timeout_s
    if not 0 < max_threads < process_limit <= MAX_CUSTOM:
        raise UsageError(
            "limits-contradict",
            f"SetMaxThreads ({max_threads:,}) must be above 0 and below the process limit ({process_limit:,})",
            hint="leave one of them out: it is then worked out, three quarters of the process limit",
        )
    if not 0 < seconds <= 86_400:
        raise UsageError("bad-timeout", f"{seconds:g} s is no time-out", hint="between 0 and a day, e.g. --timeout 30s")
    return Profile(
        name="custom",
        what=base.what if streaming else "as told on the command line",
        process_limit=process_limit,
        max_threads=max_threads,
        timeout_s=seconds,
        streaming=streaming,
        fds_per_request=base.fds_per_request,
        disagrees=_disagreements(process_limit, max_threads),
    )
