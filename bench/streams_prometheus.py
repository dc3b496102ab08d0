"""A tick over 100,000 instances of a Prometheus-compatible API: real HTTP, the real wire format, a simulated server on another core.

The server holds the answers of a dozen queries, 22 MB each, rendered once per tick (values move, so does the time of the scrape); the
watch's own parts are on our side: stream, roll, lives, engine's windows and the journal. Told per stage: the wire and the reading of JSON,
the sorting in, the events; and the longest time the loop was held.
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import os
import socket
import tempfile
import time
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

INSTANCES = 100_000
TICKS = 5
PROBE_S = 0.005
"""How often the loop is asked whether it is free."""


def rendered(field: str, metric: str, at: float, tick: int, instances: int) -> bytes:
    """One answer as Prometheus writes it; VictoriaMetrics and Mimir differ in what stands around the series."""
    name = b'"__name__":"%s",' % metric.encode() if metric else b""
    value = b"%.3f" % (at - 5) if field == "at" else b"1789990000.25" if field == "start_time" else None
    rows = (
        b'{"metric":{%s"cluster":"eu-1","container":"app","endpoint":"metrics","instance":"10.%d.%d.%d:6060","job":"shop-%d",'
        b'"namespace":"prod","pod":"shop-%d-7f9c-%d"},"value":[%.3f,"%s"]}'
        % (name, i >> 16, i >> 8 & 255, i & 255, i % 300, i % 300, i, at, value or b"%d" % (i % 900 + 100 + tick * 7))
        for i in range(instances)
    )
    return b'{"status":"success","data":{"resultType":"vector","result":[' + b",".join(rows) + b"]}}"


def serve(port: Any, instances: int) -> None:
    """A server of our own process: the answer of a query is made before it is asked for."""
    from parkwarden.collect.streams.prometheus.stream import OFTEN

    metrics = {"at": "", **OFTEN}
    answers: dict[str, bytes] = {}
    listener = socket.create_server(("127.0.0.1", 0))
    port.value = listener.getsockname()[1]

    def prepare(tick: int) -> None:
        at = time.time()
        for field, metric in metrics.items():
            answers[field] = rendered(field, metric, at, tick, instances)

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                return
            form = urllib.parse.parse_qs(urllib.parse.urlsplit(head.split(b" ", 2)[1].decode()).query)
            query = form.get("query", [""])[0]
            if query == "prepare":
                prepare(int(form["time"][0]))
                body = b"{}"
            else:
                field = next((f for f, m in metrics.items() if query.startswith(f"{m}{{" if m else "timestamp(")), "")
                body = answers.get(field, b'{"status":"success","data":{"resultType":"vector","result":[]}}')
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body))
            writer.write(body)
            await writer.drain()

    async def main() -> None:
        async with await asyncio.start_server(handle, sock=listener):
            await asyncio.Event().wait()

    asyncio.run(main())


async def measured(url: str, instances: int, folder: str) -> dict[str, Any]:
    """TICKS ticks of a stream into a watch's own windows and journal."""
    import aiohttp

    from parkwarden.collect.streams.prometheus.settings import PrometheusSource
    from parkwarden.collect.streams.prometheus.stream import PrometheusStream
    from parkwarden.run.config import Config
    from parkwarden.run.watch import Watch
    from parkwarden.store.settings import StoreSettings

    source = PrometheusSource(url=url, interval_s=3600.0, backfill_s=0.0, timeout_s=30.0)
    config = Config(store=StoreSettings(folder=folder))
    watch = Watch(config, tell=lambda _: None)
    roll = watch.streams.roll
    stream = PrometheusStream(
        "prometheus[0]", source, roll, watch.clock.now, known=lambda _: False, looks=watch.collector, tell=print
    )
    longest, rows, beats = [0.0], [], []

    async def probe() -> None:
        loop = asyncio.get_running_loop()
        last = loop.time()
        while True:
            await asyncio.sleep(PROBE_S)
            longest[0], last = max(longest[0], loop.time() - last - PROBE_S), loop.time()

    async with watch.opened(), aiohttp.ClientSession() as session:
        tasks = [asyncio.ensure_future(part()) for part in (probe, watch._write_down)]
        async for tick, api in _ticks(stream, source):
            async with session.get(f"{url}/api/v1/query?query=prepare&time={tick}"):
                pass
            longest[0] = 0.0
            began, cpu = time.perf_counter(), time.process_time()
            await (stream.tick(api) if tick else stream._first_look(api))
            rows.append((time.perf_counter() - began, time.process_time() - cpu, longest[0], stream.told_s))
            began = time.perf_counter()
            watch.engine.tick(watch.clock.now())
            beats.append(time.perf_counter() - began)
        for task in tasks:
            task.cancel()
        known, dropped = len(roll), watch.memory.dropped
    return {
        "instances": known,
        "values": stream.points["taken"],
        "trouble": stream.trouble,
        "first_tick_s": rows[0][0],
        "first_cpu_s": rows[0][1],
        "first_held_s": rows[0][2],
        "first_judged_s": beats[0],
        "tick_s": sorted(row[0] for row in rows[1:])[len(rows) // 2 - 1],
        "tick_worst_s": max(row[0] for row in rows[1:]),
        "asked_s": sorted(row[0] - row[3] for row in rows[1:])[len(rows) // 2 - 1],
        "told_s": sorted(row[3] for row in rows[1:])[len(rows) // 2 - 1],
        "cpu_s": sorted(row[1] for row in rows[1:])[len(rows) // 2 - 1],
        "loop_held_s": max(row[2] for row in rows[1:]),
        "judged_s": max(beats[1:]),
        "journal_dropped": dropped,
    }


async def _ticks(stream: Any, source: Any) -> Any:
    from concurrent.futures import ThreadPoolExecutor

    from parkwarden.collect.streams.prometheus.api import Api
    from parkwarden.collect.streams.prometheus.stream import READERS

    with ThreadPoolExecutor(READERS) as pool:
        api = Api(source, 12345, pool)
        for tick in range(TICKS):
            yield tick, api
        api.close()


def run(instances: int = INSTANCES) -> dict[str, Any]:
    """Server and stream, each in a process of its own."""
    import uvloop

    port = multiprocessing.get_context("spawn").Value("i", 0)
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(port, instances), daemon=True)
    server.start()
    try:
        while not port.value:
            time.sleep(0.05)
        with tempfile.TemporaryDirectory() as folder:
            return uvloop.run(measured(f"http://127.0.0.1:{port.value}", instances, folder))
    finally:
        server.kill()
        server.join()


def main(write: Path | None = None) -> Iterator[str]:
    """Lines for a person; the numbers as JSON where `write` says."""
    found = run(int(os.environ.get("INSTANCES", INSTANCES)))
    if write is not None:
        write.write_text(json.dumps(found, indent=2))
    for name, value in found.items():
        yield (
            f"{name:16} {value:,.3f}"
            if isinstance(value, float)
            else f"{name:16} {value:,}"
            if isinstance(value, int)
            else f"{name:16} {value}"
        )


if __name__ == "__main__":
    for line in main():
        print(line)
