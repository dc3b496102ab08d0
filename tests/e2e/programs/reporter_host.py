"""A host with a reporter in it, and a way to end: `python reporter_host.py TRANSPORT HOST:PORT WAY`. See test_reporter_e2e.py."""

from __future__ import annotations

import asyncio
import atexit
import gc
import json
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time

from parkwarden.telemetry import Tracer
from parkwarden.telemetry import reporter as made
from parkwarden.telemetry.reporter.logs import LogCapture

transport, address, way = sys.argv[1:]
host, _, port = address.rpartition(":")
reporters: list[made.Reporter] = []


def account() -> None:
    """Runs after the reporter's own end: what is registered first ends last."""
    told = reporters[0].account()
    lost = sum(tally.items for tally in told.dropped.values())
    sent = sum(tally.items for tally in told.sent.values())
    print(json.dumps({"pid": os.getpid(), "balanced": told.balanced(), "lost": lost, "sent": sent}), flush=True)


atexit.register(account)
reporter = made.Reporter(
    getattr(made, transport)(made.Target(host=host, port=int(port)), made.Origin("shop", f"shop-{os.getpid()}"))
)
reporters.append(reporter)
tracer = Tracer(reporter, service="shop", instance="shop-1", rate=1.0)
logging.getLogger().addHandler(LogCapture(reporter))


def requests(count: int) -> None:
    for _ in range(count):
        with tracer.entry("GET /cart"), tracer.exit("SELECT", "db:5432"):
            pass
    logging.getLogger("shop").error("out of stock")
    reporter.log(made.LogRecord(time.time(), made.Severity.ERROR, "incident", "leak"))


async def tasks() -> None:
    await asyncio.gather(*(asyncio.to_thread(requests, 100) for _ in range(10)))
    async with asyncio.timeout(None):
        requests(1_000)
        await asyncio.sleep(0.5)


if way == "asyncio":
    asyncio.run(tasks())
else:
    requests(2_000)
    time.sleep(0.5)
if way in ("fork", "multiprocessing"):
    if way == "fork":
        pid = os.fork()
        if pid:
            os.waitpid(pid, 0)
        else:
            requests(100)
    else:
        child = multiprocessing.get_context("fork").Process(target=requests, args=(100,))
        child.start()
        child.join()
if way == "thread":
    until = time.monotonic() + 0.5
    threading.Thread(target=lambda: [requests(10) for _ in range(10) if time.monotonic() < until]).start()
if way == "hostile":  # everything at once, for a second
    spans = []

    def rage(until: float) -> None:
        while time.monotonic() < until:
            span = tracer.entry("GET /rage")
            spans.append(span)
            with span, tracer.exit("SELECT", "db:5432", {}):
                pass
            spans[len(spans) // 2].tag("late", span)  # of another thread, ended or not
            logging.getLogger("shop").warning("rage %r", span)

    signal.signal(signal.SIGALRM, lambda *_: requests(1))
    signal.setitimer(signal.ITIMER_REAL, 0.01, 0.01)
    gc.set_threshold(50)
    ragers = [threading.Thread(target=rage, args=(time.monotonic() + 1.0,)) for _ in range(6)]
    for rager in ragers:
        rager.start()
    for _ in range(5):
        if os.fork() == 0:
            signal.setitimer(signal.ITIMER_REAL, 0)
            requests(50)
            os._exit(0 if reporter.close().balanced() else 1)
        assert os.wait()[1] == 0
    for rager in ragers:
        rager.join()
    signal.setitimer(signal.ITIMER_REAL, 0)
if way == "handled":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(3))
print(json.dumps({"bye": time.monotonic()}), flush=True)
if way == "exit":
    sys.exit(3)
if way == "raise":
    raise RuntimeError("the host's own")
if way in ("terminated", "handled"):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(60.0)
if way == "_exit":
    os._exit(3)
