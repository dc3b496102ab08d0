"""What a span costs, and what ten million leave behind. `python -m bench.tracer [--spans N]`.

Per span: median of ROUNDS rounds, the loop itself taken off. A request is an entry with a local and an exit in it, so three
spans; `alone` is an entry by itself, the dearest at rate 0: it decides. Growth: traced memory (tracemalloc, with a
tenth of the spans: it makes everything five times slower) and the process' resident memory, before and after N spans at rate 0, in one
context and in a new one per request (as tasks are), a quarter of the requests never ended.
"""

from __future__ import annotations

import argparse
import gc
import json
import sys
import time
import tracemalloc
from collections.abc import Callable
from contextvars import Context
from pathlib import Path
from statistics import median

from parkwarden.telemetry import Ring, Tracer

ROUNDS = 9
RATES = (0.0, 0.01, 1.0)
REQUESTS = 50_000
SPANS = 10_000_000
WANTED_US = 2.0
CALLER = {"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-00", "tracestate": "a=b"}
"""A caller that is not sampled: at no rate are its requests recorded."""


def tracer_at(rate: float) -> Tracer:
    return Tracer(Ring(), service="bench", instance="bench-1", rate=rate)


def request(tracer: Tracer) -> None:
    with tracer.entry("GET /cart"):
        with tracer.local("think"):
            pass
        with tracer.exit("SELECT", "db:5432"):
            pass


def alone(tracer: Tracer) -> None:
    with tracer.entry("GET /cart"):
        pass


def forgetful(tracer: Tracer) -> None:
    tracer.entry("GET /cart")
    tracer.local("think")
    tracer.exit("SELECT", "db:5432")


def calling(tracer: Tracer) -> None:
    with tracer.entry("GET /cart"), tracer.local("think"), tracer.exit("SELECT", "db:5432", {}):
        pass


def called(tracer: Tracer) -> None:
    with tracer.entry("GET /cart", CALLER):
        pass


def nothing(tracer: Tracer) -> None:
    pass


def seconds(call: Callable[[Tracer], None], tracer: Tracer, calls: int) -> float:
    """Of one call."""
    began = time.perf_counter()
    for _ in range(calls):
        call(tracer)
    return (time.perf_counter() - began) / calls


def costs(calls: int) -> dict[str, dict[str, float]]:
    """Microseconds per span, by rate and kind. Rounds go over all of them by turns: what the machine does besides hits all alike."""
    tracers = {rate: tracer_at(rate) for rate in RATES}
    taken: dict[tuple[float, str], list[float]] = {(rate, kind): [] for rate in RATES for kind in KINDS}
    for _ in range(ROUNDS):
        for (rate, kind), rounds in taken.items():
            call, spans = KINDS[kind]
            tracer = tracers[rate]
            rounds.append((seconds(call, tracer, calls) - seconds(nothing, tracer, calls)) / spans * 1e6)
    return {f"rate {rate:g}": {kind: round(median(taken[rate, kind]), 3) for kind in KINDS} for rate in RATES}


KINDS: dict[str, tuple[Callable[[Tracer], None], int]] = {
    "alone": (alone, 1),
    "in a request": (request, 3),
    "its exit writes headers": (calling, 3),
    "alone, reads a caller's headers": (called, 1),
}
"""What is called, and how many spans that is."""


def many(tracer: Tracer, spans: int) -> None:
    """`spans` of them: half in this context, a quarter in contexts of their own, a quarter in contexts of their own and never ended."""
    for _ in range(spans // 12):
        request(tracer)
        request(tracer)
        Context().run(request, tracer)
        Context().run(forgetful, tracer)


def resident_bytes() -> int:
    """This process' resident memory, "RssAnon" of Linux."""
    found = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("RssAnon"))
    return int(found.split()[1]) * 1024


def growth(spans: int) -> dict[str, float]:
    tracer = tracer_at(0.0)
    many(tracer, 120_000)
    gc.collect()
    before = resident_bytes()
    began = time.perf_counter()
    many(tracer, spans)
    took = time.perf_counter() - began
    gc.collect()
    found = {"spans": spans, "rss_bytes": resident_bytes() - before, "us_per_span": round(took / spans * 1e6, 3)}
    tracemalloc.start()
    try:
        many(tracer, 12_000)
        gc.collect()
        traced = tracemalloc.get_traced_memory()[0]
        many(tracer, spans // 10)
        gc.collect()
        found |= {"traced_spans": spans // 10, "traced_bytes": tracemalloc.get_traced_memory()[0] - traced}
    finally:
        tracemalloc.stop()
    return found | {"lost": sum(tracer.counts.values()), "open": tracer.open}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--spans", type=int, default=SPANS)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    args = parser.parse_args()
    found = {
        "us_per_span": costs(args.requests),
        "growth_at_rate_0": growth(args.spans),
        "python": sys.version.split()[0],
    }
    print(json.dumps(found, indent=2))
    return 0 if max(found["us_per_span"]["rate 0"][name] for name in ("alone", "in a request")) <= WANTED_US else 1


if __name__ == "__main__":
    sys.exit(main())
