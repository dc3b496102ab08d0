"""A host process with one telemetry library in it: requests at a steady rate, a pause, and the end. Started by bench/reporter.py.

    python reporter_host.py LIBRARY HOST:PORT REQUESTS PER_SECOND IDLE_S FOLDER

FOLDER is for the spool of those that have one. Prints a line of JSON when it is done and only has to end (`bye`, on the clock all processes share). A request is a tenth of a
millisecond of work and two spans.
"""

from __future__ import annotations

import atexit
import hashlib
import json
import os
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

Request = Callable[[Callable[[], None]], None]
Begin = Callable[[str, int, str], Request]
BLOCK = bytes(4096)


def work() -> None:
    for _ in range(20):
        hashlib.md5(BLOCK, usedforsecurity=False).digest()


def nothing(host: str, port: int, folder: str) -> Request:
    return lambda do: do()


def ours(kind: str, spools: bool = False) -> Begin:
    def begin(host: str, port: int, folder: str) -> Request:
        from parkwarden.telemetry import Tracer
        from parkwarden.telemetry import reporter as made

        transport = getattr(made, kind)(made.Target(host=host, port=port), made.Origin("bench", "bench-1"))
        told: list[made.Reporter] = []
        atexit.register(lambda: print(json.dumps(account(told[0].account())), flush=True))  # runs after the reporter's
        told.append(made.Reporter(transport, spool=made.Spool(Path(folder)) if spools else None))
        tracer = Tracer(told[0], service="bench", instance="bench-1", rate=1.0)

        def request(do: Callable[[], None]) -> None:
            with tracer.entry("GET /cart") as span:
                span.tag("http.route", "/cart")
                with tracer.exit("SELECT cart", "db:5432"):
                    do()

        return request

    return begin


def account(told: Any) -> dict[str, Any]:
    return {
        "balanced": told.balanced(),
        "sent": sum(tally.items for tally in told.sent.values()),
        "lost": {str(reason): tally.items for (_, reason), tally in told.dropped.items() if tally.items},
    }


def opentelemetry(kind: str) -> Begin:
    def begin(host: str, port: int, folder: str) -> Request:
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
        from opentelemetry.trace import SpanKind

        if kind == "grpc":
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter

            exporter = OTLPSpanExporter(endpoint=f"http://{host}:{port}", insecure=True)
        else:
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter

            exporter = HttpExporter(endpoint=f"http://{host}:{port}/v1/traces")
        provider = TracerProvider(resource=Resource.create({"service.name": "bench"}))
        provider.add_span_processor(BatchSpanProcessor(exporter))
        tracer = provider.get_tracer("bench")

        def request(do: Callable[[], None]) -> None:
            with tracer.start_as_current_span("GET /cart", kind=SpanKind.SERVER) as span:
                span.set_attribute("http.route", "/cart")
                with tracer.start_as_current_span("SELECT cart", kind=SpanKind.CLIENT):
                    do()

        return request

    return begin


def skywalking(host: str, port: int, folder: str) -> Request:
    from skywalking import agent, config
    from skywalking.trace.context import get_context
    from skywalking.trace.tags import TagHttpURL

    config.init(agent_collector_backend_services=f"{host}:{port}", agent_name="bench", agent_instance_name="bench-1")
    agent.start()

    def request(do: Callable[[], None]) -> None:
        context = get_context()
        with context.new_entry_span(op="GET /cart") as span:
            span.tag(TagHttpURL("/cart"))
            with context.new_exit_span(op="SELECT cart", peer="db:5432"):
                do()

    return request


LIBRARIES: dict[str, Begin] = {
    "none": nothing,
    "parkwarden OTLP/gRPC": ours("OtlpGrpc"),
    "parkwarden OTLP/HTTP": ours("OtlpHttp"),
    "parkwarden SkyWalking": ours("SkyWalkingGrpc"),
    "parkwarden OTLP/gRPC, spool": ours("OtlpGrpc", spools=True),
    "parkwarden SkyWalking, spool": ours("SkyWalkingGrpc", spools=True),
    "opentelemetry-sdk OTLP/gRPC": opentelemetry("grpc"),
    "opentelemetry-sdk OTLP/HTTP": opentelemetry("http"),
    "apache-skywalking": skywalking,
}


def main() -> None:
    library, address, requests, per_second, idle_s, folder = sys.argv[1:]
    with suppress(OSError):  # root may: what else the machine does is not what is measured
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    host, _, port = address.rpartition(":")
    request = LIBRARIES[library](host, int(port), folder)
    times = []
    due = time.perf_counter() + 0.1
    for _ in range(int(requests)):
        due += 1 / float(per_second)
        if (left := due - time.perf_counter()) > 0:
            time.sleep(left)
        began = time.perf_counter()
        request(work)
        times.append(time.perf_counter() - began)
    time.sleep(float(idle_s))
    times.sort()
    p50, p99 = (times[int(len(times) * share)] * 1e6 for share in (0.5, 0.99))
    with open("/proc/self/status") as status:
        peak_kib = next(int(line.split()[1]) for line in status if line.startswith("VmHWM"))
    print(json.dumps({"p50_us": p50, "p99_us": p99, "peak_kib": peak_kib, "bye": time.monotonic()}), flush=True)


if __name__ == "__main__":
    main()
