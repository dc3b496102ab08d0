"""Debian's Prometheus as the only eyes of a watch: it scrapes 200 targets, we scrape none."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from parkwarden.run.lab import running
from tests.e2e.test_watch_e2e import get, leak
from tests.e2e.test_watch_faults_e2e import fleet
from tests.e2e.test_watch_prometheus_e2e import free_port, program
from tests.e2e.watching import Watching, watching

pytestmark = pytest.mark.e2e

TARGETS = 199
"""Beside the one that really leaks."""
FOUND_S = 45.0
"""From the leak to the alert with its line: 25 s of readings, and looks."""


@contextlib.contextmanager
def scraping(folder: Path, fleet: list[str], shop: str, more: str = "") -> Iterator[str]:
    """A Prometheus that scrapes the fleet and, under another name than its address, the shop; its base URL."""
    addresses = json.dumps([url.removeprefix("http://") for url in fleet])
    (folder / "prometheus.yml").write_text(
        f"""
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - {{job_name: fleet, static_configs: [{{targets: {addresses}}}]}}
  - job_name: shop
    static_configs: [{{targets: ["{shop.removeprefix("http://")}"], labels: {{instance: shop-1, env: test, version: 1.4.0}}}}]
{more}
"""
    )
    port = free_port()
    command = [
        program("prometheus"),
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'tsdb'}",
    ]
    with (folder / "prometheus.log").open("wb") as log:
        server = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log)
    try:
        base = f"http://127.0.0.1:{port}"
        end = time.monotonic() + 30
        while True:
            with contextlib.suppress(OSError):
                get(f"{base}/-/ready")
                break
            assert server.poll() is None, (folder / "prometheus.log").read_text()
            assert time.monotonic() < end
            time.sleep(0.1)
        yield base
    finally:
        server.terminate()
        server.wait(20)


def metric(watch: Watching, name: str) -> dict[str, float]:
    """Samples of our own page whose line begins so."""
    lines = get(f"{watch.pages()}/metrics").splitlines()
    rows = (line.rpartition(" ") for line in lines if line.startswith(name))
    return {key: float(value) for key, _, value in rows}


def incident_of(watch: Watching, service: str) -> dict[str, Any] | None:
    """What we say of a service that leaks and whose line is known."""
    found = json.loads(get(f"{watch.pages()}/api/v1/incidents"))
    for row in found["incidents"]:
        if row["service"] == service and "shop" in json.dumps(row) and ".go:" in json.dumps(row):
            return dict(row)
    return None


def test_a_prometheus_is_eyes_enough(go_build: Callable[..., Path], tmp_path: Path) -> None:
    """200 targets are known by their labels and judged without one scrape of ours; the planted leak is found, and its line is named from
    profiles of the target itself, which only the suspicion asked for."""
    file = tmp_path / "parkwarden.yaml"
    with fleet(go_build, TARGETS) as urls, running("shop", []) as shop, scraping(tmp_path, urls, shop.url) as base:
        file.write_text(
            f"""
collect:
  prometheus: {{url: "{base}", selector: '{{job=~"fleet|shop"}}', interval_s: 1s, pprof: {{where: targets}}}}
web: {{listen: 127.0.0.1:0}}
store: {{folder: {tmp_path / "data"}}}
"""
        )
        with watching(file) as watch:
            watch.wait(
                lambda: (
                    metric(watch, "parkwarden_stream_instances").get(
                        'parkwarden_stream_instances{stream="prometheus[0]"}'
                    )
                    == TARGETS + 1
                ),
                30,
            )
            time.sleep(12)
            began = leak(shop.url)
            watch.wait(lambda: incident_of(watch, "shop"), FOUND_S)
            print("found after", time.time() - began)
            assert sum(metric(watch, "parkwarden_scrapes_total").values()) == 0
            assert sum(metric(watch, "parkwarden_looks_total").values()) > 0
            assert watch.stop() == 130
