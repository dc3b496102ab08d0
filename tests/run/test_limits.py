"""`examine` on a real process and on real pages."""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from parkwarden.judge.limits import STREAMING, State
from parkwarden.model import UnreachableError, UsageError
from parkwarden.run.limits import TREND_LOOKS, LimitOptions, examine

METRICS = b"""go_goroutines 12
go_threads 9
go_gc_gogc_percent 75
go_gc_gomemlimit_bytes 9.223372036854776e+18
go_sched_gomaxprocs_threads 4
go_memstats_heap_inuse_bytes 5e+06
go_memstats_stack_inuse_bytes 1e+06
go_memstats_sys_bytes 2e+07
go_info{version="go1.26.6"} 1
process_open_fds 40
process_max_fds 1024
process_resident_memory_bytes 3e+07
"""
PROFILE = b"""goroutine profile: total 12
9 @ 0x1 0x2 0x3
#\t0x1\tmain.hold+0x1\t/m/main.go:9
#\t0x2\tnet/http.serverHandler.ServeHTTP+0x1\tnet/http/server.go:3000
#\t0x3\tnet/http.(*conn).serve+0x1\tnet/http/server.go:2000

3 @ 0x4
#\t0x4\tmain.wait+0x1\t/m/main.go:3

"""


@pytest.fixture
def pages() -> Iterator[tuple[str, dict[str, bytes]]]:
    """A server that answers what is put into the dictionary, by path."""
    answers: dict[str, bytes] = {"/metrics": METRICS, "/debug/pprof/goroutine": PROFILE}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = answers.get(self.path)
            self.send_response(404 if body is None else 200)
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", answers
    server.shutdown()
    thread.join()
    server.server_close()


def force(
    url: str, root: Path, options: Mapping[str, object] | None = None
) -> dict[str, tuple[float | None, State, str]]:
    found = examine(url, LimitOptions(for_s=0, proc=str(root), **(options or {})))  # type: ignore[arg-type]
    return {name: (one.value, one.state, one.source) for name, one in found.tuning.facts.settings.items()}


def test_a_remote_page_tells_what_it_tells(pages: tuple[str, dict[str, bytes]], tmp_path: Path) -> None:
    """GOGC, GOMEMLIMIT, GOMAXPROCS and descriptors off /metrics; the kernel's limits stay hidden."""
    url, _ = pages
    told = force(url, tmp_path)
    assert told["gogc"] == (75.0, State.TOLD, "metrics page")
    assert told["gomemlimit"] == (math.inf, State.NONE, "metrics page")
    assert told["fd-limit"] == (1024.0, State.TOLD, "process_max_fds")
    assert told["go-max-threads"] == (10_000.0, State.DEFAULT, "Go's default")
    hidden = {name for name, (_, state, _) in told.items() if state is State.HIDDEN}
    assert hidden == {
        "process-limit",
        "pids-limit",
        "threads-system",
        "fd-limit-hard",
        "memory-limit",
        "memory-high",
        "address-space",
        "cpus",
    }


def test_requests_are_counted_in_the_goroutine_profile(pages: tuple[str, dict[str, bytes]], tmp_path: Path) -> None:
    """Nine in a handler: 40 descriptors shared among them; the page's own numbers are the use."""
    url, _ = pages
    found = examine(f"{url}/debug/pprof/", LimitOptions(for_s=0, proc=str(tmp_path), load=10_000))
    now = found.tuning.facts.now
    assert (now.requests, now.connections, now.goroutines, now.threads, now.heap) == (9, 9, 12, 9, 6_000_000)
    assert found.tuning.facts.go == (1, 26)
    assert found.tuning.by_load is not None
    assert found.tuning.by_load.name == "fd-limit"
    assert found.tuning.found


def test_only_a_profile_is_enough(pages: tuple[str, dict[str, bytes]], tmp_path: Path) -> None:
    """A service without /metrics and /debug/vars is still told of, and what is absent is asked once."""
    url, answers = pages
    del answers["/metrics"]
    found = examine(url, LimitOptions(for_s=0.3, proc=str(tmp_path)))
    assert found.tuning.facts.now.requests == 9
    assert len(found.tuning.facts.looks) >= 2


def test_nothing_there_is_an_error(pages: tuple[str, dict[str, bytes]], tmp_path: Path) -> None:
    """A server that answers none of the pages is no Go service with debug pages."""
    url, answers = pages
    answers.clear()
    with pytest.raises(UnreachableError):
        examine(url, LimitOptions(for_s=0, proc=str(tmp_path)))


def test_source_sets_what_no_page_tells(pages: tuple[str, dict[str, bytes]], tmp_path: Path) -> None:
    """What runs tells first, then source: SetMaxThreads is seen, GOGC stays the page's; what is no constant is hidden."""
    url, answers = pages
    source = tmp_path / "src"
    source.mkdir()
    (source / "main.go").write_text(
        'package main\nimport "runtime/debug"\nfunc f() { debug.SetMaxThreads(500); debug.SetGCPercent(20); debug.SetMemoryLimit(n) }\n'
    )
    told = force(url, tmp_path, {"source": source})
    assert told["go-max-threads"] == (500.0, State.TOLD, "main.go:3")
    assert told["gogc"][0] == 75.0
    del answers["/metrics"]
    told = force(url, tmp_path, {"source": source})
    assert told["gogc"] == (20.0, State.TOLD, "main.go:3")
    assert told["gomemlimit"] == (None, State.HIDDEN, "main.go:3 sets it")


def test_a_pid_is_looked_at_from_outside() -> None:
    """Our own process on the real /proc: its limits, its use, no requests that nobody told."""
    found = examine(str(os.getpid()), LimitOptions(for_s=0.5, profile=STREAMING))
    facts = found.tuning.facts
    assert found.pid == os.getpid()
    assert facts.limit("fd-limit") == os.sysconf("SC_OPEN_MAX")
    assert facts.now.descriptors is not None
    assert facts.now.threads is not None
    assert found.kinds is not None
    assert TREND_LOOKS <= len(facts.looks) <= 6  # a busy machine takes fewer of them, never too few for a trend
    assert found.watched_s > 0


@pytest.mark.parametrize(
    ("target", "options"),
    [
        ("no such thing", {}),
        ("1", {"for_s": -1.0}),
        ("1", {"for_s": 3601.0}),
        ("1", {"load": 0}),
        ("1", {"source": Path("/nonexistent-folder")}),
    ],
)
def test_what_makes_no_sense_is_a_usage_error(target: str, options: dict[str, object]) -> None:
    """With a next step, before anybody is looked at."""
    with pytest.raises(UsageError) as caught:
        examine(target, LimitOptions(**options))  # type: ignore[arg-type]
    assert caught.value.hint


def test_a_process_that_is_gone_is_told() -> None:
    """A pid that is none ends with nobody there."""
    with pytest.raises(UnreachableError):
        examine("4194304", LimitOptions(for_s=0))
