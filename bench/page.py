"""How fast the fleet's page is with 10,000 instances: at the server, and until it can be used in a real Chromium.

    nice -n 5 python -m bench.page                  # both shapes: 10,000 services of one instance, 200 services of 50
    python -m bench.page --instances 2000 --runs 3  # a smaller fleet, sooner

A recording of the fleet (12 minutes, bench/gen_fleet.py; one instance in fifty leaks one a second) is made once in bench/out, replayed to its
end by `run/board/recorded`, and served by our server on a free loopback port. It goes on judging the whole fleet every 5 s, as a watch does.

Server: REQUESTS of VIEWS in turn over one connection, gzip, first byte to last; those that meet a judgement wait for it, and count.
Chromium: a new context for each run (nothing kept). *Usable*: from the navigation's start until everything is loaded, our scripts ran and the
frame after that was painted. *Found*: from the last key of a search typed until its rows stand there. Bytes as they came over the wire.
Numbers go to bench/out/page.json, with the machine's load meanwhile: other work on the cores counts.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import http.client
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from bench.gen_fleet import Leak, recorded
from bench.measure import OUT, ROOT
from parkwarden.model import Event, Started

MINUTES = 12
PART = 500
"""Instances per file: a fleet's lives are made in memory, 200 kB each."""
LEAK = Leak(per_h=3600.0, from_h=0.02)
SHAPES = (None, 200)
"""Services; None = one for each instance."""
REQUESTS = 200
VIEWS = ("/", "/?sort=-goroutines", "/?q=worker", "/?page=3", "/?state=suspect&sort=service", "/?q=svc-17&sort=growth")
BEAT_S = 5.0
READY_S = 900.0


def recordings(instances: int) -> list[str]:
    """The fleet's files, made where they are not there."""
    files = []
    for first in range(0, instances, PART):
        n = min(PART, instances - first)
        file = OUT / f"page-{MINUTES}m-{first}-{n}.jsonl.zst"
        if not file.exists():
            print(f"page: making instances {first:,} to {first + n:,} ...", file=sys.stderr)
        how: dict[str, Any] = {"censuses": False, "leak": LEAK, "services": instances, "first": first}
        files.append(str(recorded(file, n, MINUTES / 60, **how)))
    return files


def grouped(events: Iterator[tuple[float, Event]], services: int | None) -> Iterator[tuple[float, Event]]:
    """The same instances as replicas of so many services."""
    for at, event in events:
        if services is not None and isinstance(event, Started):
            who = event.instance
            name = f"svc-{int(who.labels['service'][4:]) % services}"
            event = Started(replace(who, labels={**who.labels, "service": name}), event.at)
        yield at, event


def serve(instances: int, services: int | None) -> None:
    """The fleet's pages until we are ended; prints a line of JSON when they are there."""
    from parkwarden.collect.serve import bind
    from parkwarden.collect.serve import serve as run
    from parkwarden.run.board.recorded import Recorded
    from parkwarden.run.replay import recordings as read
    from parkwarden.web.access import Access
    from parkwarden.web.app import application
    from parkwarden.web.desk import Desk

    began = time.perf_counter()
    with read(recordings(instances)) as events:
        host = Recorded.of(grouped(events, services))
    replayed_s = time.perf_counter() - began

    async def beat() -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            host.judge(host.now())

    async def main() -> None:
        sock = bind("127.0.0.1", 0)
        app = application(Desk(host, Access(()), time.time))
        told = {"port": sock.getsockname()[1], "replayed_s": replayed_s, "kept_bytes": host.kept.past.nbytes}
        print(json.dumps(told), flush=True)
        beating = asyncio.create_task(beat())
        await run(app, sock)
        beating.cancel()

    asyncio.run(main())


@contextmanager
def served(instances: int, services: int | None) -> Iterator[dict[str, Any]]:
    command = [sys.executable, "-m", "bench.page", "--serve", "--instances", str(instances)]
    command += ["--services", str(services)] if services else []
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())
        finally:
            process.terminate()


def asked(port: int) -> dict[str, Any]:
    """Milliseconds of each request and the bytes of the page."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    took = []
    sizes = (0, 0)
    for i in range(REQUESTS + 1):
        began = time.perf_counter()
        connection.request("GET", VIEWS[i % len(VIEWS)], headers={"Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        body = answer.read()
        took.append((time.perf_counter() - began) * 1e3)
        if answer.status != 200:
            raise RuntimeError(f"{VIEWS[i % len(VIEWS)]}: {answer.status}")
        if i % len(VIEWS) == 0:
            sizes = len(body), len(gzip.decompress(body))
        time.sleep(0.05)
    connection.close()
    first, rest = took[0], np.array(took[1:])
    return {
        "first_ms": first,
        "p50_ms": float(np.percentile(rest, 50)),
        "p95_ms": float(np.percentile(rest, 95)),
        "max_ms": float(rest.max()),
        "html_gzip_bytes": sizes[0],
        "html_bytes": sizes[1],
    }


_USABLE = """() => new Promise((done) => {
  const told = () => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now())));
  document.readyState === "complete" ? told() : addEventListener("load", told);
})"""
_FOUND = """() => { const names = [...document.querySelectorAll(".fleet > tbody > tr > th > a[title]")].map((a) => a.title);
  return names.length > 0 && names.every((name) => name.includes("svc-17")); }"""
_BYTES = """() => [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
  .filter((e) => !e.name.endsWith("/events")).map((e) => [e.name.split("/").slice(3).join("/"), e.transferSize, e.decodedBodySize])"""


def browsed(port: int, runs: int) -> dict[str, Any]:
    """Milliseconds until usable, from typing to rows, and bytes, in Chromium."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    usable, found, parts = [], [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for _ in range(runs):
            page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
            page.goto(f"http://127.0.0.1:{port}/", wait_until="commit")
            usable.append(page.evaluate(_USABLE))
            parts = page.evaluate(_BYTES)
            page.fill("#q", "svc-17")
            began = time.perf_counter()
            while not page.evaluate(_FOUND):  # `wait_for_function` needs eval, which the page's policy forbids
                time.sleep(0.005)
            found.append((time.perf_counter() - began) * 1e3)
            page.context.close()
        browser.close()
    return {
        "usable_ms": median(usable),
        "usable_worst_ms": max(usable),
        "found_ms": median(found),
        "wire_bytes": sum(size for _, size, _ in parts),
        "unpacked_bytes": sum(size for _, _, size in parts),
        "parts": {name or "/": size for name, size, _ in parts},
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.page", description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--instances", type=int, default=10_000)
    parser.add_argument("--services", type=int, default=None, help="only this shape (with --serve)")
    parser.add_argument("--runs", type=int, default=5, help="page loads in Chromium; the median counts")
    parser.add_argument("--serve", action="store_true", help="serve the page and nothing else")
    args = parser.parse_args()
    if args.serve:
        serve(args.instances, args.services)
        return 0
    recordings(args.instances)
    results = []
    for services in SHAPES:
        with served(args.instances, services) as told:
            row = {"instances": args.instances, "services": services or args.instances, **told}
            row |= asked(told["port"]) | browsed(told["port"], args.runs) | {"load": os.getloadavg()[0]}
        row.pop("port")
        results.append(row)
        print(json.dumps(row, indent=1))
    OUT.mkdir(parents=True, exist_ok=True)
    Path(OUT / "page.json").write_text(json.dumps({"cpus": os.cpu_count(), "rows": results}, indent=1))
    missed = [r for r in results if r["p95_ms"] > 300 or r["usable_ms"] > 1000 or r["wire_bytes"] > 300_000]
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
