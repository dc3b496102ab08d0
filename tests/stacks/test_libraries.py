"""Signatures of library goroutines: named when they stand there for themselves, not when they do the user's work."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkwarden.model import Frame, Site
from parkwarden.stacks.libraries import LIBRARIES, Role, identify


def site(*functions: str) -> Site:
    frames = tuple(Frame(name, "f.go", 1) for name in functions)
    leaf = frames[0] if frames else Frame("")
    return Site(id="s", wait_reason="select", function=leaf.function, file="", line=0, frames=frames)


def name(*functions: str) -> str | None:
    found = identify(site(*functions))
    return found.name if found else None


@pytest.mark.parametrize(
    ("functions", "library"),
    [
        (("internal/poll.runtime_pollWait", "net.(*conn).Read", "bufio.(*Reader).Peek", "net/http.(*conn).serve"), "net/http server"),
        (("net/http.(*persistConn).writeLoop",), "net/http transport"),
        (("net/http/internal/http2.(*Framer).ReadFrame", "net/http/internal/http2.(*ClientConn).readLoop"), "net/http HTTP/2"),
        (("net/http.(*http2ClientConn).readLoop",), "net/http HTTP/2"),
        (("database/sql.(*DB).connectionOpener",), "database/sql"),
        (("go.opencensus.io/stats/view.(*worker).start",), "OpenCensus"),
        (("gopkg.in/natefinch/lumberjack.v2.(*Logger).millRun",), "lumberjack"),
        (("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).reaper",), "go-redis"),
        (("github.com/go-redis/redis/v8/internal/pool.(*ConnPool).reaper",), "go-redis"),
        (("k8s.io/klog/v2.(*flushDaemon).run.func1",), "glog and klog"),
        (("google.golang.org/grpc/internal/transport.(*controlBuffer).get", "google.golang.org/grpc/internal/transport.(*loopyWriter).run"), "gRPC connection"),
        (("golang.org/x/net/http2.(*Framer).ReadFrame", "google.golang.org/grpc/internal/transport.(*http2Client).reader"), "gRPC connection"),
        (("go.etcd.io/etcd/client/v3.(*lessor).recvKeepAliveLoop",), "etcd client"),
        (("github.com/zeromicro/go-zero/core/collection.(*TimingWheel).run",), "go-zero timing wheel"),
        (("k8s.io/client-go/util/workqueue.(*delayingType[...]).waitingLoop", "k8s.io/client-go/util/workqueue.newDelayingQueue.gowrap1"), "kubernetes client-go"),
        (("github.com/IBM/sarama.(*Broker).responseReceiver", "github.com/IBM/sarama.withRecover"), "sarama"),
        (("github.com/go-sql-driver/mysql.(*mysqlConn).startWatcher.func1",), "go-sql-driver/mysql"),
        (("os/signal.signal_recv", "os/signal.loop"), "os/signal"),
        (("github.com/hashicorp/golang-lru/v2/expirable.NewLRU[...].func1",), "other caches"),
    ],
)  # fmt: skip
def test_known_goroutines_are_named(functions: tuple[str, ...], library: str) -> None:
    """Major versions, type arguments and closure numbers do not matter; shared libraries on top do not either."""
    assert name(*functions) == library


@pytest.mark.parametrize(
    "functions",
    [
        ("main.handler", "net/http.HandlerFunc.ServeHTTP", "net/http.serverHandler.ServeHTTP", "net/http.(*conn).serve"),
        ("io.Copy", "net/http.serverHandler.ServeHTTP", "net/http.(*conn).serve"),
        ("main.(*consumer).ConsumeClaim", "github.com/IBM/sarama.(*brokerConsumer).subscriptionConsumer"),
        ("github.com/acme/app/job.Run", "github.com/robfig/cron/v3.(*Cron).run"),
        ("main.worker",),
        (),
    ],
)  # fmt: skip
def test_the_users_work_under_a_library_is_the_users(functions: tuple[str, ...]) -> None:
    """A handler under net/http's connection, a consumer under sarama's loop: not the library's own goroutine."""
    assert name(*functions) is None


def test_every_signature_says_what_it_means() -> None:
    """At least 25 libraries, no function claimed twice, all texts there, thresholds by role."""
    functions = [function for library in LIBRARIES for function in library.functions]
    assert len({library.name for library in LIBRARIES}) >= 25
    assert len(functions) == len(set(functions))
    for library in LIBRARIES:
        assert library.does
        assert library.multiplied
        assert library.cure
        assert library.expected.startswith("one per")
    assert Role.PROCESS.multiplied < Role.OWNER.multiplied < Role.CONNECTION.multiplied
    assert [role for role in Role if role.per_owner] == [Role.PROCESS, Role.OWNER]


@given(st.lists(st.text(max_size=60), max_size=10))
def test_any_names_get_an_answer(functions: list[str]) -> None:
    """Names may hold anything."""
    assert identify(site(*functions)) is None or functions
