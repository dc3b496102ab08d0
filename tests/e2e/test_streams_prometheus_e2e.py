"""Debian's Prometheus as the only eyes of a watch: it scrapes 200 targets, we scrape none."""

from __future__ import annotations

import json
import re
import time
import urllib.error
from collections.abc import Callable
from pathlib import Path

import pytest

from parkwarden.run._lab_process import free_port
from parkwarden.run.lab import running
from tests.e2e.prometheus import prometheus
from tests.e2e.test_watch_e2e import QUIET_S, get, leak
from tests.e2e.test_watch_faults_e2e import fleet
from tests.e2e.watching import Watching, watching

pytestmark = pytest.mark.e2e

TARGETS = 199
"""Beside the one that really leaks."""
SENT = 20
"""Of them scraped once more, to be written to us."""
TOKEN = "a-token-of-this-test-0123456789"
FOUND_S = 150.0
"""From the leak to the alert with its line: 25 s of readings, and looks, on a machine that others use, too."""


def scraping(fleet: list[str], shop: str, write_to: int) -> str:
    """What a Prometheus is told that scrapes the fleet and, under another name than its address, the shop; what it scrapes as job `sent` it
    writes to us as well."""
    hosts = [url.removeprefix("http://") for url in fleet]
    sent = [{"targets": [host], "labels": {"instance": f"sent-{n}"}} for n, host in enumerate(hosts[:SENT])]
    return f"""
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - {{job_name: fleet, static_configs: [{{targets: {json.dumps(hosts)}}}]}}
  - {{job_name: sent, static_configs: {json.dumps(sent)}}}
  - job_name: shop
    static_configs: [{{targets: ["{shop.removeprefix("http://")}"], labels: {{instance: shop-1, env: test, version: 1.4.0}}}}]
remote_write:
  - url: http://127.0.0.1:{write_to}/api/v1/write
    authorization: {{credentials: {TOKEN}}}
    write_relabel_configs: [{{source_labels: [job], regex: sent, action: keep}}]
"""


def metric(watch: Watching, name: str) -> dict[str, float]:
    """Samples of our own page whose line begins so."""
    lines = get(f"{watch.pages()}/metrics").splitlines()
    rows = (line.rpartition(" ") for line in lines if line.startswith(name))
    return {key: float(value) for key, _, value in rows}


def ready(watch: Watching) -> bool:
    try:
        return bool(json.loads(get(f"{watch.pages()}/readyz"))["ready"])
    except urllib.error.HTTPError:  # 503, and what is wrong
        return False


def line_of(watch: Watching, service: str) -> str:
    """The line that an incident of a service names; "" = none yet."""
    found = json.loads(get(f"{watch.pages()}/api/v1/incidents"))
    return next((row["line"] for row in found["incidents"] if row["service"] == service and row["line"]), "")


def test_a_prometheus_is_eyes_enough(go_build: Callable[..., Path], tmp_path: Path) -> None:
    """200 targets are known by their labels and judged without one scrape of ours; the planted leak is found, and its line is named from
    profiles of the target itself, which only the suspicion asked for. What the same Prometheus writes to us is taken, too: all of it, on time."""
    file, port = tmp_path / "parkwarden.yaml", free_port()
    with (
        fleet(go_build, TARGETS) as urls,
        running("shop", []) as shop,
        prometheus(tmp_path, scraping(urls, shop.url, port), "--storage.remote.flush-deadline=1s") as base,
    ):
        file.write_text(
            f"""
collect:
  prometheus: {{url: "{base}", selector: '{{job=~"fleet|shop"}}', interval_s: 1s, pprof: {{where: targets}}}}
receive:
  remote_write: {{listen: "127.0.0.1:{port}", token: {{env: PW_TOKEN}}}}
web: {{listen: 127.0.0.1:0}}
store: {{folder: {tmp_path / "data"}}}
"""
        )
        with watching(file, {"PW_TOKEN": TOKEN}) as watch:
            there = {
                'parkwarden_stream_instances{stream="prometheus[0]"}': TARGETS + 1.0,
                'parkwarden_stream_instances{stream="remote-write"}': float(SENT),
            }
            watch.wait(lambda: metric(watch, "parkwarden_stream_instances") == there, 90)
            time.sleep(QUIET_S)
            leak(shop.url)
            line = watch.wait(lambda: line_of(watch, "shop"), FOUND_S)
            assert re.search(r"quote .*leaks\.go:\d+", line)
            assert sum(metric(watch, "parkwarden_scrapes_total").values()) == 0
            assert sum(metric(watch, "parkwarden_looks_total").values()) > 0
            points = metric(watch, "parkwarden_stream_points_total")
            sent = {key: n for key, n in points.items() if 'stream="remote-write"' in key and n}
            told = {key.split('outcome="')[1].split('"')[0]: n for key, n in sent.items()}
            assert set(told) <= {
                "taken",
                "no-field",
                "stale",
            }  # a scrape that took too long on a busy machine ends its series
            assert told["taken"] > 10 * SENT
            watch.wait(lambda: ready(watch))  # a busy machine may just have made a question or a beat late
            assert watch.stop() == 130
