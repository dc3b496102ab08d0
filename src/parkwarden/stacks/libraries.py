"""Well-known library goroutines: whose they are, how many are normal, and what more of them mean.

They are always named, and blamed only when they multiply: a service that holds 200 idle connections has 200 pairs of
net/http loops and no leak. Function names are Go's own, as `stacks.names` cleans them, checked against the libraries'
sources; major versions in paths (`/v9`) are left out and closures are written `.func` without their number.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache

from parkwarden.model import Site
from parkwarden.stacks.modules import is_stdlib, package_of

MULTIPLIED_PROCESS = 10
"""From how many on a once-per-process goroutine has multiplied. Default 10: tests and plug-ins build a few loggers or
exporters on purpose, nobody builds ten. Lower finds a constructor called per tenant sooner and blames sharded set-ups."""

MULTIPLIED_OWNER = 50
"""The same for one per client, pool or cache. Some services do hold dozens of clients (one per region,
topic or shard); raising it finds a constructor-per-request later, lowering it blames them."""

MULTIPLIED_CONNECTION = 1_000
"""The same for one per connection: http.Transport has no limit by default, and pools of some hundred are common. It takes
growth besides, see `patterns.accusing`. Lower blames busy proxies, higher misses slow connection leaks."""

MULTIPLIED_CALL = 50
"""The same for one per call or stream in flight: they live as long as a call does, so it takes survivors besides."""


class Role(Enum):
    """How many of a goroutine are normal: once per what."""

    PROCESS = ("one per process", MULTIPLIED_PROCESS)
    OWNER = ("one per client, pool, cache or exporter", MULTIPLIED_OWNER)
    CONNECTION = ("one per connection", MULTIPLIED_CONNECTION)
    CALL = ("one per call, stream or transaction in flight", MULTIPLIED_CALL)

    def __init__(self, expected: str, multiplied: int) -> None:
        self.expected = expected
        self.multiplied = multiplied

    @property
    def per_owner(self) -> bool:
        """Whether more of them than normal mean a constructor that is called again and again."""
        return self in (Role.PROCESS, Role.OWNER)


@dataclass(frozen=True, slots=True)
class Library:
    """A library's goroutine: its functions, what it does, and what it means when there are many."""

    name: str
    functions: tuple[str, ...]
    does: str
    role: Role
    multiplied: str
    cure: str
    unless: tuple[str, ...] = ()
    """Functions that, on the same stack, mean it is doing somebody else's work."""

    @property
    def expected(self) -> str:
        """How many are normal, in words."""
        return f"{self.role.expected} ({self.does})"


_BUILT = "the client is built again and again and never closed"
_ONCE = "Build it once, share it, and Close it where it ends."
_POOL = "the pool's limits are high, or connections are not given back"


def _entries() -> Iterable[Library]:
    yield from _net_http()
    yield from _standard()
    yield from _databases()
    yield from _kafka()
    yield from _brokers()
    yield from _rpc_and_clusters()
    yield from _telemetry()
    yield from _caches()
    yield from _tools()


def _net_http() -> Iterable[Library]:
    yield Library(
        "net/http server",
        ("net/http.(*conn).serve",),
        "a client's connection, idle between requests",
        Role.CONNECTION,
        "clients open connections faster than they close them, and the server has no IdleTimeout",
        "Set http.Server.IdleTimeout and ReadHeaderTimeout; look at the clients' Transports.",
        unless=("net/http.serverHandler.ServeHTTP",),
    )
    yield Library(
        "net/http server, background read",
        ("net/http.(*connReader).backgroundRead",),
        "watches a connection while its handler runs",
        Role.CONNECTION,
        "as many handlers are running: look at those",
        "It ends with its handler.",
    )
    yield Library(
        "net/http listener",
        ("net/http.(*Server).Serve", "net/http.(*Server).ListenAndServe"),
        "accepts connections",
        Role.PROCESS,
        "servers are started and not shut down",
        "Shutdown servers that are no longer used.",
        unless=("net/http.(*conn).serve",),
    )
    yield Library(
        "net/http transport",
        ("net/http.(*persistConn).readLoop", "net/http.(*persistConn).writeLoop"),
        "the two halves of a client connection",
        Role.CONNECTION,
        "response bodies are not closed, or a Transport is built per request",
        "defer resp.Body.Close(); one Client for the process; MaxConnsPerHost, IdleConnTimeout.",
    )
    yield Library(
        "net/http HTTP/2",
        (
            "net/http/internal/http2.(*ClientConn).readLoop",  # Go 1.27
            "net/http/internal/http2.(*serverConn).serve",
            "net/http/internal/http2.(*serverConn).readFrames",
            "net/http.(*http2ClientConn).readLoop",  # up to Go 1.26
            "net/http.(*http2serverConn).serve",
            "net/http.(*http2serverConn).readFrames",
            "golang.org/x/net/http2.(*ClientConn).readLoop",
            "golang.org/x/net/http2.(*serverConn).serve",
            "golang.org/x/net/http2.(*serverConn).readFrames",
        ),
        "an HTTP/2 connection",
        Role.CONNECTION,
        "connections are dialled anew instead of shared",
        "One Transport for the process; ReadIdleTimeout so that dead peers are noticed.",
    )


def _standard() -> Iterable[Library]:
    yield Library(
        "database/sql",
        (
            "database/sql.(*DB).connectionOpener",
            "database/sql.(*DB).connectionCleaner",
            "database/sql.(*DB).connectionResetter",
        ),
        "opens and cleans a pool's connections",
        Role.OWNER,
        "sql.Open is called per request: each DB is a pool of its own",
        "Open one DB per data source for the life of the process; Close the others.",
    )
    yield Library(
        "database/sql, awaiting the end of rows or a transaction",
        ("database/sql.(*Rows).awaitDone", "database/sql.(*Tx).awaitDone"),
        "ends rows or a transaction when its context does",
        Role.CALL,
        "rows are not closed, or transactions neither committed nor rolled back",
        "defer rows.Close(); defer tx.Rollback() right after BeginTx.",
    )
    yield Library(
        "os/signal",
        ("os/signal.loop", "os/signal.signal_recv", "os/signal.NotifyContext.func"),
        "delivers signals",
        Role.PROCESS,
        "signal.NotifyContext is called per request and its stop is not",
        "Call it once in main, and defer stop().",
    )
    yield Library(
        "runtime/trace and runtime/pprof",
        (
            "runtime/trace.Start.func",
            "runtime/trace.(*traceMultiplexer).startLocked.func",
            "runtime/pprof.profileWriter",
        ),
        "writes a trace or CPU profile while one is taken",
        Role.PROCESS,
        "profiling is started and not stopped",
        "Stop what was started.",
    )
    yield Library(
        "net/http/pprof",
        ("net/http/pprof.Index", "net/http/pprof.handler.ServeHTTP", "net/http/pprof.Profile", "net/http/pprof.Trace"),
        "answers whoever takes a profile: it is the look itself",
        Role.CALL,
        "profiles are being taken all the time",
        "Look less often.",
    )
    yield Library(
        "testing",
        ("testing.(*T).Run", "testing.(*T).Parallel", "testing.runTests", "testing.(*M).Run", "testing.(*B).run"),
        "waits for sub-tests",
        Role.OWNER,
        "many parallel tests",
        "None needed.",
    )
    yield Library(
        "log/syslog, net resolver and dialler",
        (
            "net.(*Resolver).goLookupIPCNAMEOrder.func",
            "net.cgoLookupIPCNAME.func",
            "net.(*netFD).connect.func",
            "net.(*sysDialer).dialParallel.func",
        ),
        "looks up or dials a name",
        Role.CALL,
        "name servers or peers do not answer",
        "Dial with a context or a Dialer.Timeout; check the resolver.",
    )


def _databases() -> Iterable[Library]:
    yield Library(
        "go-sql-driver/mysql",
        ("github.com/go-sql-driver/mysql.(*mysqlConn).startWatcher.func",),
        "watches a connection's context",
        Role.CONNECTION,
        _POOL,
        "SetMaxOpenConns, SetConnMaxLifetime; close rows.",
    )
    yield Library(
        "lib/pq",
        ("github.com/lib/pq.(*conn).watchCancel.func", "github.com/lib/pq.(*ListenerConn).listenerConnLoop"),
        "watches a query's context or a LISTEN connection",
        Role.CALL,
        "rows are not closed, or listeners are made per request",
        "Close rows and listeners.",
    )
    yield Library(
        "jackc/pgx",
        (
            "github.com/jackc/pgx/pgxpool.(*Pool).backgroundHealthCheck",
            "github.com/jackc/pgx/pgxpool.NewWithConfig.func",
        ),
        "keeps a pool healthy",
        Role.OWNER,
        "pgxpool.New is called per request",
        _ONCE,
    )
    yield Library(
        "jackc/pgx, context watcher",
        (
            "github.com/jackc/pgx/pgconn/ctxwatch.(*ContextWatcher).Watch.func",
            "github.com/jackc/pgx/pgconn/internal/ctxwatch.(*ContextWatcher).Watch.func",
            "github.com/jackc/pgconn/internal/ctxwatch.(*ContextWatcher).Watch.func",
        ),
        "watches a query's context",
        Role.CALL,
        "queries hang or rows are not closed",
        "Close rows; give queries a time-out.",
    )
    yield Library(
        "mongo-driver",
        (
            "go.mongodb.org/mongo-driver/x/mongo/driver/topology.(*Server).update",
            "go.mongodb.org/mongo-driver/x/mongo/driver/topology.(*rttMonitor).start",
            "go.mongodb.org/mongo-driver/x/mongo/driver/topology.(*pool).maintain",
            "go.mongodb.org/mongo-driver/x/mongo/driver/topology.(*pool).createConnections",
            "go.mongodb.org/mongo-driver/x/mongo/driver/topology.(*Topology).pollSRVRecords",
        ),
        "monitors a server and fills its pool",
        Role.OWNER,
        "mongo.Connect is called per request",
        "Connect once, Disconnect where it ends.",
    )
    yield Library(
        "go-redis",
        (
            "github.com/redis/go-redis/internal/pool.(*ConnPool).reaper",
            "github.com/go-redis/redis/internal/pool.(*ConnPool).reaper",
            "github.com/redis/go-redis.(*channel).initHealthCheck.func",
            "github.com/redis/go-redis.(*channel).initMsgChan.func",
            "github.com/go-redis/redis.(*channel).initHealthCheck.func",
            "github.com/go-redis/redis.(*channel).initMsgChan.func",
        ),
        "cleans a pool, or serves a subscription's channel",
        Role.OWNER,
        "clients or subscriptions are made per request and not closed",
        "One client for the process; pubsub.Close() where a subscription ends.",
    )
    yield Library(
        "syndtr/goleveldb",
        (
            "github.com/syndtr/goleveldb/leveldb.(*DB).mpoolDrain",
            "github.com/syndtr/goleveldb/leveldb.(*DB).tCompaction",
            "github.com/syndtr/goleveldb/leveldb.(*DB).mCompaction",
            "github.com/syndtr/goleveldb/leveldb.(*DB).compactionError",
            "github.com/syndtr/goleveldb/leveldb/util.(*BufferPool).drain",
        ),
        "compacts a database",
        Role.OWNER,
        "databases are opened and not closed",
        _ONCE,
    )


def _kafka() -> Iterable[Library]:
    for home in ("github.com/IBM/sarama", "github.com/Shopify/sarama"):
        yield Library(
            "sarama",
            (
                f"{home}.(*client).backgroundMetadataUpdater",
                f"{home}.(*Broker).responseReceiver",
                f"{home}.(*asyncProducer).dispatcher",
                f"{home}.(*asyncProducer).retryHandler",
                f"{home}.(*topicProducer).dispatch",
                f"{home}.(*partitionProducer).dispatch",
                f"{home}.(*brokerProducer).run",
                f"{home}.(*partitionConsumer).dispatcher",
                f"{home}.(*partitionConsumer).responseFeeder",
                f"{home}.(*brokerConsumer).subscriptionManager",
                f"{home}.(*brokerConsumer).subscriptionConsumer",
                f"{home}.(*syncProducer).handleSuccesses",
                f"{home}.(*syncProducer).handleErrors",
            ),
            "a Kafka client's, producer's or consumer's loops",
            Role.OWNER,
            "a producer or client is made per message",
            _ONCE,
        )
    yield Library(
        "rcrowley/go-metrics (used by sarama)",
        ("github.com/rcrowley/go-metrics.(*meterArbiter).tick",),
        "ticks all meters",
        Role.PROCESS,
        "it should be one in all",
        "None needed.",
    )
    yield Library(
        "franz-go",
        (
            "github.com/twmb/franz-go/pkg/kgo.(*Client).updateMetadataLoop",
            "github.com/twmb/franz-go/pkg/kgo.(*Client).reapConnectionsLoop",
            "github.com/twmb/franz-go/pkg/kgo.(*brokerCxn).handleResps",
            "github.com/twmb/franz-go/pkg/kgo.(*groupConsumer).manage",
        ),
        "a Kafka client's loops",
        Role.OWNER,
        "kgo.NewClient is called per message",
        _ONCE,
    )
    yield Library(
        "segmentio/kafka-go",
        (
            "github.com/segmentio/kafka-go.(*partitionWriter).writeBatches",
            "github.com/segmentio/kafka-go.(*reader).run",
            "github.com/segmentio/kafka-go.(*Reader).run",
            "github.com/segmentio/kafka-go.(*connPool).discover",
            "github.com/segmentio/kafka-go.(*conn).run",
        ),
        "a reader's, writer's or connection's loop",
        Role.OWNER,
        "a Reader or Writer is made per message",
        _ONCE,
    )
    yield Library(
        "confluent-kafka-go",
        (
            "github.com/confluentinc/confluent-kafka-go/kafka.poller",
            "github.com/confluentinc/confluent-kafka-go/kafka.channelProducer",
            "github.com/confluentinc/confluent-kafka-go/kafka.consumerReader",
        ),
        "polls librdkafka",
        Role.OWNER,
        "a Producer or Consumer is made per message",
        _ONCE,
    )


def _brokers() -> Iterable[Library]:
    yield Library(
        "nats.go",
        (
            "github.com/nats-io/nats.go.(*Conn).readLoop",
            "github.com/nats-io/nats.go.(*Conn).flusher",
            "github.com/nats-io/nats.go.(*Conn).doReconnect",
            "github.com/nats-io/nats.go.(*Conn).waitForMsgs",
            "github.com/nats-io/nats.go.(*asyncCallbacksHandler).asyncCBDispatcher",
        ),
        "a connection's loops, and one per asynchronous subscription",
        Role.OWNER,
        "nats.Connect is called per request, or subscriptions are not ended",
        "One connection; Unsubscribe or Drain.",
    )
    for home in ("github.com/rabbitmq/amqp091-go", "github.com/streadway/amqp"):
        yield Library(
            "RabbitMQ client",
            (f"{home}.(*Connection).reader", f"{home}.(*Connection).heartbeater", f"{home}.(*consumers).buffer"),
            "a connection's reader and heartbeat, a consumer's buffer",
            Role.OWNER,
            "connections or consumers are made per message and not closed",
            "One connection and few channels for the process; Cancel consumers.",
        )
    yield Library(
        "go-zookeeper",
        (
            "github.com/go-zookeeper/zk.(*Conn).loop",
            "github.com/go-zookeeper/zk.(*Conn).sendLoop",
            "github.com/go-zookeeper/zk.(*Conn).recvLoop",
        ),
        "a session's loops",
        Role.OWNER,
        _BUILT,
        _ONCE,
    )


def _rpc_and_clusters() -> Iterable[Library]:
    yield Library(
        "gRPC connection",
        (
            "google.golang.org/grpc/internal/transport.(*http2Client).reader",
            "google.golang.org/grpc/internal/transport.(*http2Client).keepalive",
            "google.golang.org/grpc/internal/transport.(*http2Server).HandleStreams",
            "google.golang.org/grpc/internal/transport.(*http2Server).keepalive",
            "google.golang.org/grpc/internal/transport.(*loopyWriter).run",
        ),
        "a transport's reader, writer and keep-alive",
        Role.CONNECTION,
        "grpc.NewClient (Dial) is called per request, or servers have no MaxConnectionIdle",
        "One ClientConn per target for the process; Close the others.",
    )
    yield Library(
        "gRPC channel",
        (
            "google.golang.org/grpc/internal/grpcsync.(*CallbackSerializer).run",
            "google.golang.org/grpc.(*ccBalancerWrapper).watcher",
            "google.golang.org/grpc.(*ccResolverWrapper).watcher",
            "google.golang.org/grpc.(*addrConn).resetTransport",
            "google.golang.org/grpc.(*addrConn).createTransport",
            "google.golang.org/grpc/internal/resolver/dns.(*dnsResolver).watcher",
        ),
        "a ClientConn's resolver and balancer",
        Role.OWNER,
        "grpc.NewClient (Dial) is called per request and the ClientConn is not closed",
        _ONCE,
    )
    yield Library(
        "gRPC stream",
        ("google.golang.org/grpc.newClientStreamWithParams.func", "google.golang.org/grpc.newClientStream.func"),
        "watches a stream's context",
        Role.CALL,
        "client streams are abandoned without reading to the end or cancelling",
        "Cancel the stream's context, or Recv until an error.",
    )
    for home in ("go.etcd.io/etcd/client", "go.etcd.io/etcd/clientv3", "github.com/coreos/etcd/clientv3"):
        yield Library(
            "etcd client",
            (
                f"{home}.(*watchGrpcStream).run",
                f"{home}.(*watchGrpcStream).serveSubstream",
                f"{home}.(*watchGrpcStream).serveWatchClient",
                f"{home}.(*lessor).keepAliveCtxCloser",
                f"{home}.(*lessor).recvKeepAliveLoop",
                f"{home}.(*lessor).sendKeepAliveLoop",
                f"{home}.(*lessor).deadlineLoop",
                f"{home}.(*Client).autoSync",
            ),
            "a watch, a lease or the endpoints of a client",
            Role.OWNER,
            "watches and leases are started per request and their context is never cancelled",
            "Cancel the watch's context; one lease and one client, shared.",
        )
    yield Library(
        "kubernetes client-go",
        (
            "k8s.io/client-go/tools/cache.(*Reflector).Run",
            "k8s.io/client-go/tools/cache.(*Reflector).ListAndWatch",
            "k8s.io/client-go/tools/cache.(*controller).processLoop",
            "k8s.io/client-go/tools/cache.(*sharedProcessor).run",
            "k8s.io/client-go/tools/cache.(*processorListener).run",
            "k8s.io/client-go/tools/cache.(*processorListener).pop",
            "k8s.io/client-go/util/workqueue.(*delayingType).waitingLoop",
            "k8s.io/client-go/util/workqueue.(*delayingType[...]).waitingLoop",
            "k8s.io/client-go/util/workqueue.(*Type).updateUnfinishedWorkLoop",
            "k8s.io/client-go/util/workqueue.(*Typed[...]).updateUnfinishedWorkLoop",
            "k8s.io/apimachinery/pkg/watch.(*Broadcaster).loop",
            "k8s.io/apimachinery/pkg/watch.(*StreamWatcher).receive",
        ),
        "an informer, a work queue or a watch",
        Role.OWNER,
        "informers, queues or watches are made per reconciliation and not stopped",
        "One shared informer factory; queue.ShutDown(); watch.Stop().",
    )


def _telemetry() -> Iterable[Library]:
    yield Library(
        "OpenTelemetry",
        (
            "go.opentelemetry.io/otel/sdk/trace.(*batchSpanProcessor).processQueue",
            "go.opentelemetry.io/otel/sdk/trace.NewBatchSpanProcessor.func",
            "go.opentelemetry.io/otel/sdk/metric.(*PeriodicReader).run",
            "go.opentelemetry.io/otel/sdk/metric.(*periodicReader).run",
            "go.opentelemetry.io/otel/sdk/log.(*BatchProcessor).poll.func",
        ),
        "batches spans, metrics or logs for an exporter",
        Role.PROCESS,
        "a provider is set up per request and never shut down",
        "Set providers up once in main; Shutdown at the end.",
    )
    yield Library(
        "OpenCensus",
        ("go.opencensus.io/stats/view.(*worker).start",),
        "collects views; started by importing the package",
        Role.PROCESS,
        "meters are made per request",
        "One meter for the process; view.Stop in tests.",
    )
    yield Library(
        "zap",
        ("go.uber.org/zap/zapcore.(*BufferedWriteSyncer).flushLoop",),
        "flushes a buffered log",
        Role.PROCESS,
        "loggers are built per request",
        "Build the logger once; Stop its BufferedWriteSyncer.",
    )
    yield Library(
        "lumberjack",
        ("gopkg.in/natefinch/lumberjack.v2.(*Logger).millRun", "github.com/natefinch/lumberjack.(*Logger).millRun"),
        "compresses and removes old log files; it cannot be stopped",
        Role.PROCESS,
        "a lumberjack.Logger is built per request: even Close leaves this goroutine",
        "One Logger per file for the life of the process.",
    )
    yield Library(
        "glog and klog",
        (
            "github.com/golang/glog.(*fileSink).flushDaemon",
            "github.com/golang/glog.(*loggingT).flushDaemon",
            "k8s.io/klog.(*loggingT).flushDaemon",
            "k8s.io/klog.(*flushDaemon).run.func",
        ),
        "flushes the log; started by importing the package",
        Role.PROCESS,
        "it should be one in all",
        "None needed.",
    )
    yield Library(
        "sentry-go",
        ("github.com/getsentry/sentry-go.(*HTTPTransport).worker",),
        "sends events",
        Role.PROCESS,
        "a client is made per request",
        "sentry.Init once; clone hubs, not clients.",
    )
    yield Library(
        "Prometheus pusher and collectors",
        ("github.com/prometheus/client_golang/prometheus.(*Registry).Gather.func",),
        "collects metrics while a page is made",
        Role.CALL,
        "a collector blocks in Collect, and each scrape adds one",
        "Give the collector a time-out of its own.",
    )
    yield Library(
        "hystrix-go",
        (
            "github.com/afex/hystrix-go/hystrix.(*metricExchange).Monitor",
            "github.com/afex/hystrix-go/hystrix.(*poolMetrics).Monitor",
        ),
        "two per command name",
        Role.OWNER,
        "command names are made per request",
        "Use a fixed set of command names.",
    )


def _caches() -> Iterable[Library]:
    yield Library(
        "go-zero timing wheel",
        (
            "github.com/zeromicro/go-zero/core/collection.(*TimingWheel).run",
            "github.com/tal-tech/go-zero/core/collection.(*TimingWheel).run",
        ),
        "turns a timing wheel, one for each collection.Cache",
        Role.OWNER,
        "collection.NewCache or NewTimingWheel is called per request",
        "Build the cache once in the service context and share it.",
    )
    yield Library(
        "go-zero",
        (
            "github.com/zeromicro/go-zero/core/collection.(*cacheStat).statLoop",
            "github.com/zeromicro/go-zero/core/executors.(*PeriodicalExecutor).backgroundFlush.func",
            "github.com/zeromicro/go-zero/core/stat.init.0.func",
        ),
        "statistics of a cache, an executor's flusher",
        Role.OWNER,
        "caches or executors are built per request",
        _ONCE,
    )
    yield Library(
        "patrickmn/go-cache",
        ("github.com/patrickmn/go-cache.(*janitor).Run",),
        "removes what has expired",
        Role.OWNER,
        "cache.New is called per request",
        _ONCE,
    )
    yield Library(
        "ristretto",
        (
            "github.com/dgraph-io/ristretto.(*Cache).processItems",
            "github.com/dgraph-io/ristretto.(*Cache[...]).processItems",
            "github.com/dgraph-io/ristretto.(*defaultPolicy).processItems",
            "github.com/dgraph-io/ristretto.(*defaultPolicy[...]).processItems",
        ),
        "a cache's policy and write buffer",
        Role.OWNER,
        "ristretto.NewCache is called per request",
        _ONCE,
    )
    yield Library(
        "other caches",
        (
            "github.com/allegro/bigcache.newBigCache.func",
            "github.com/jellydator/ttlcache.(*Cache[...]).Start",
            "github.com/hashicorp/golang-lru/expirable.NewLRU[...].func",
        ),
        "removes what has expired",
        Role.OWNER,
        "the cache is built per request",
        _ONCE,
    )


def _tools() -> Iterable[Library]:
    yield Library(
        "fsnotify",
        ("github.com/fsnotify/fsnotify.(*Watcher).readEvents", "github.com/fsnotify/fsnotify.(*inotify).readEvents"),
        "reads file events",
        Role.OWNER,
        "watchers are made again and again and not closed; each holds a descriptor too",
        "defer watcher.Close().",
    )
    yield Library(
        "viper",
        (
            "github.com/spf13/viper.(*Viper).WatchConfig.func",
            "github.com/spf13/viper.(*Viper).WatchRemoteConfigOnChannel.func",
        ),
        "watches the configuration file; it cannot be stopped",
        Role.PROCESS,
        "WatchConfig is called per request or reload",
        "Call it once.",
    )
    yield Library(
        "robfig/cron",
        ("github.com/robfig/cron.(*Cron).run",),
        "waits for the next job",
        Role.OWNER,
        "a Cron is made and started per request",
        "One Cron for the process; Stop it where it ends.",
    )
    yield Library(
        "panjf2000/ants",
        (
            "github.com/panjf2000/ants.(*poolCommon).purgeStaleWorkers",
            "github.com/panjf2000/ants.(*poolCommon).ticktock",
            "github.com/panjf2000/ants.(*Pool).purgeStaleWorkers",
            "github.com/panjf2000/ants.(*Pool).ticktock",
            "github.com/panjf2000/ants.(*Pool).purgePeriodically",
        ),
        "keeps a pool of goroutines",
        Role.OWNER,
        "ants.NewPool is called per request and the pool not released",
        "One pool; defer pool.Release().",
    )


LIBRARIES: tuple[Library, ...] = tuple(_entries())
"""All signatures."""

_BY_FUNCTION: dict[str, Library] = {function: library for library in LIBRARIES for function in library.functions}

_MAJOR = re.compile(r"/v[0-9]+(?=[./])")
_CLOSURE = re.compile(r"\.func[0-9]+(?:\.[0-9]+|\.func[0-9]+|-range[0-9]+)*\Z")
_SHARED = ("golang.org/x/", "k8s.io/")
"""Libraries under libraries: their frames on top of another one's goroutine do not make it somebody else's work."""


@lru_cache(maxsize=65_536)
def _key(function: str) -> str:
    """A function's name as the signatures write it."""
    name = _CLOSURE.sub(".func", function) if ".func" in function else function
    return _MAJOR.sub("", name) if "/v" in name else name


def _home(function: str) -> str:
    """The library a function belongs to: its repository on a host with owners, else its package's first two parts."""
    parts = package_of(function).split("/")
    return "/".join(parts[:3] if "." in parts[0] and parts[0] in ("github.com", "gitlab.com") else parts[:2])


def identify(site: Site) -> Library | None:
    """The library whose own goroutine stands at this site, or None.

    A library's function on the stack is not enough: what it was called to do may be the user's code (a handler under
    net/http's connection, a consumer under sarama's loop). So from the leaf up to the signature's function there may be
    only the standard library's frames and the library's own.
    """
    home = ""
    for frame in site.frames:
        library = _BY_FUNCTION.get(_key(frame.function))
        if library is not None:
            if library.unless and any(other.function in library.unless for other in site.frames):
                continue
            return library if not home or home == _home(frame.function) else None
        if is_stdlib(package_of(frame.function)) or frame.function.startswith(_SHARED):
            continue
        if home and home != _home(frame.function):
            return None
        home = _home(frame.function)
    return None
