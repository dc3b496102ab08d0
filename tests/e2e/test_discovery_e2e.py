"""The same files and answers, read by a real Prometheus and by us: the same targets."""

from __future__ import annotations

import asyncio
import http.server
import json
import shutil
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from parkwarden.collect.discovery.file_sd import FileDiscovery
from parkwarden.collect.discovery.http_sd import HttpDiscovery
from parkwarden.collect.discovery.settings import FileSd, HttpSd
from parkwarden.collect.discovery.source import Source
from parkwarden.model.instance import Target
from parkwarden.run._lab_process import free_port

pytestmark = pytest.mark.e2e

GROUPS: list[dict[str, Any]] = [
    {"targets": ["127.0.0.1:1001", "127.0.0.2:1002"], "labels": {"env": "prod", "service": "shop"}},
    {"targets": ["127.0.0.1:1003"], "labels": {"__scheme__": "https", "__metrics_path__": "/ops/metrics"}},
    {"targets": ["127.0.0.1:1004"], "labels": {"__address__": "127.0.0.1:2004", "__scrape_interval__": "1m30s"}},
    {"targets": ["[::1]:1005"], "labels": {"__meta_dc": "x", "__param_module": "y"}},
    {"targets": ["localhost"]},
    {"targets": []},
]


@pytest.fixture
def answers() -> Iterator[tuple[str, dict[str, bytes]]]:
    """An http_sd server; its URL and what it answers."""
    said = {"body": json.dumps(GROUPS).encode()}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(said["body"])

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/sd", said
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


class Prometheus:
    """A Prometheus of Debian's, asked for its targets."""

    def __init__(self, folder: Path, scrape: str) -> None:
        program = shutil.which("prometheus")
        assert program, "no prometheus: run `make e2e`"
        self.port = free_port()
        (folder / "prometheus.yml").write_text(f"global: {{scrape_interval: 1h}}\nscrape_configs:\n{scrape}")
        self.log = (folder / "log").open("wb")
        self.process = subprocess.Popen(
            [program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data", f"--web.listen-address=127.0.0.1:{self.port}"],
            stdout=self.log,
            stderr=self.log,
        )  # fmt: skip

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()
        self.log.close()

    def targets(self, job: str) -> set[tuple[str, str, str, str]]:
        """(URL, interval, env, service) of one job."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/api/v1/targets?state=active", timeout=5) as answer:
            told = json.load(answer)["data"]["activeTargets"]
        return {
            (
                t["scrapeUrl"].partition("?")[0],
                t["scrapeInterval"],
                t["labels"].get("env", ""),
                t["labels"].get("service", ""),
            )
            for t in told
            if t["labels"]["job"] == job
        }


def eventually(what: Callable[[], bool], seconds: float = 30.0) -> bool:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            if what():
                return True
        except OSError:
            pass  # it is still starting
        time.sleep(0.2)
    return False


def ours(source: Source, look: Any) -> set[tuple[str, str, str, str]]:
    found: list[Target] = []

    def publish(_name: str, targets: Any) -> None:
        found[:] = targets

    asyncio.run(look(publish))
    source._targets = None
    return {
        (
            t.url + t.metrics_path,
            "1m30s" if t.interval_s == 90 else "1h",
            t.labels.get("env", ""),
            t.labels.get("service", ""),
        )
        for t in found
    }


def test_prometheus_and_we_find_the_same(tmp_path: Path, answers: tuple[str, dict[str, bytes]]) -> None:
    """By file and by URL; and the same again after the file was replaced and after it broke."""
    url, _said = answers
    file = tmp_path / "targets.json"
    file.write_text(json.dumps(GROUPS))
    scrape = (
        f"- job_name: file\n  file_sd_configs: [{{files: ['{tmp_path}/*.json'], refresh_interval: 1s}}]\n"
        f"- job_name: http\n  http_sd_configs: [{{url: '{url}', refresh_interval: 1s}}]\n"
    )
    by_file = FileDiscovery(FileSd(files=(f"{tmp_path}/*.json",)))
    by_url = HttpDiscovery(HttpSd(url=url))
    prometheus = Prometheus(tmp_path, scrape)
    try:
        for source, job in ((by_file, "file"), (by_url, "http")):
            look = by_file.look if source is by_file else by_url.ask
            mine = ours(source, look)
            assert len(mine) == 6
            assert eventually(lambda job=job, mine=mine: prometheus.targets(job) == mine), (
                prometheus.targets(job) ^ mine
            )
        new = tmp_path / "new"
        new.write_text(json.dumps([{"targets": ["127.0.0.1:1009"], "labels": {"env": "stage"}}]))
        new.rename(file)
        mine = ours(by_file, by_file.look)
        assert mine == {("http://127.0.0.1:1009/metrics", "1h", "stage", "")}
        assert eventually(lambda: prometheus.targets("file") == mine)
        file.write_text("[{")
        assert ours(by_file, by_file.look) == mine
        assert by_file.status().problems
        assert prometheus.targets("file") == mine
    finally:
        prometheus.stop()
