"""Debian's Prometheus beside a watch: it scrapes our page with the token, and one file_sd file drives both."""

from __future__ import annotations

import json
import os
import subprocess
import time
import urllib.error
import urllib.parse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from parkwarden.run._lab_process import free_port
from tests.e2e.prometheus import program, prometheus
from tests.e2e.test_watch_e2e import get
from tests.e2e.test_watch_faults_e2e import fleet, sd
from tests.e2e.watching import Watching, watching

pytestmark = pytest.mark.e2e

TOKEN = "a-token-of-this-test-0123456789"
SOON_S = 60.0


def write(file: Path, text: str) -> None:
    """As Prometheus asks for it: in one step."""
    part = file.with_name(f"{file.name}.part")
    part.write_text(text)
    os.replace(part, file)


def scraping(watch_port: int, targets: Path) -> str:
    """What a Prometheus is told that scrapes us every second and whatever the file names."""
    return f"""
global: {{scrape_interval: 1s, scrape_timeout: 1s}}
scrape_configs:
  - job_name: parkwarden
    authorization: {{credentials: {TOKEN}}}
    static_configs: [{{targets: ["127.0.0.1:{watch_port}"]}}]
  - job_name: fleet
    file_sd_configs: [{{files: [{targets}], refresh_interval: 1s}}]
"""


def query(base: str, expression: str) -> dict[tuple[tuple[str, str], ...], float]:
    """An instant query: labels -> value."""
    answer = json.loads(get(f"{base}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"))
    assert answer["status"] == "success"
    return {tuple(sorted(row["metric"].items())): float(row["value"][1]) for row in answer["data"]["result"]}


def scraped_by(base: str) -> set[str]:
    active: list[dict[str, Any]] = json.loads(get(f"{base}/api/v1/targets?state=active"))["data"]["activeTargets"]
    return {one["labels"]["instance"] for one in active if one["labels"]["job"] == "fleet" and one["health"] == "up"}


def watched_by(watch: Watching, base: str) -> float:
    """How many targets answer us, as Prometheus has it from our page."""
    return sum(query(base, 'parkwarden_targets{state="up"}').values())


def test_prometheus_reads_us_and_shares_its_targets(go_build: Callable[..., Path], tmp_path: Path) -> None:
    """Our series are in its query API, promtool has nothing to say against the page, nobody without the token sees it; a target added
    to or taken from the one file is followed by both within seconds."""
    file, targets, port = tmp_path / "parkwarden.yaml", tmp_path / "targets.json", free_port()
    with fleet(go_build, 6) as urls:
        named = {f"shop-{n}": url for n, url in enumerate(urls)}

        def publish(count: int) -> set[str]:
            chosen = dict(list(named.items())[:count])
            write(targets, sd(chosen))
            return {url.removeprefix("http://") for url in chosen.values()}

        publish(4)
        file.write_text(
            f"""
discovery: {{file_sd: [{{files: [{targets}], refresh_interval_s: 1s}}]}}
collect: {{interval_s: 1s, timeout_s: 900ms, profile_every_s: 5s}}
rules: {{trend: {{min_span_s: 5s, sigma: 1, slope_per_s: 0.05}}}}
alert: {{suspect_confidence: 0.2, fast_confidence: 0.2, for_s: 1s, suspect_for_s: 1s}}
web: {{listen: "127.0.0.1:{port}", token: {{env: PW_TOKEN}}}}
store: {{folder: {tmp_path / "data"}}}
"""
        )
        with (
            watching(file, {"PW_TOKEN": TOKEN}) as watch,
            prometheus(tmp_path, scraping(port, targets)) as base,
        ):
            for count in (4, 6, 2):
                wanted = publish(count)
                began = time.monotonic()
                watch.wait(lambda wanted=wanted: scraped_by(base) == wanted, SOON_S)
                watch.wait(lambda count=count: watched_by(watch, base) == count, SOON_S)
                if count != 4:  # the first time both were still starting
                    assert time.monotonic() - began < 25.0
            watch.wait(lambda: query(base, 'sum(parkwarden_looks_total{kind="goroutine",outcome="ok"})'), SOON_S)
            firing = 'parkwarden_incident{service="shop",state="firing"}'
            about = dict(next(iter(watch.wait(lambda: query(base, firing), SOON_S))))
            assert len(about["incident"]) == 16
            assert set(query(base, 'up{job="parkwarden"}').values()) == {1.0}
            assert sum(query(base, "rate(parkwarden_scrapes_total[30s])").values()) > 0
            page_is_sound(port)
            assert watch.stop() == 130


def page_is_sound(port: int) -> None:
    url = f"http://127.0.0.1:{port}/metrics"
    with pytest.raises(urllib.error.HTTPError, match="401"):
        get(url)
    said = subprocess.run(
        [program("promtool"), "check", "metrics"], input=get(url, TOKEN), capture_output=True, text=True, check=False
    )
    assert (said.returncode, said.stdout, said.stderr) == (0, "", "")
