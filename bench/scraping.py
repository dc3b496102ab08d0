"""A thousand live targets at 5 s: CPU and memory of our collector beside Prometheus on the same pages, each alone on one core.

`lab/fleet` answers for all targets on core 0. Ours is the collector feeding the windows of the judges, once with readings alone (what
Prometheus does too) and once with the looks on beat; Prometheus appends to its TSDB. CPU is user and system time of the process
over the same number of intervals, after all targets have been met.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.measure import GO, OUT, ROOT, go_env

TARGETS = 1_000
INTERVAL_S = 5.0
WARM_S = 15.0
"""Until all are met, their pages learnt and the windows allocated."""
MEASURED_S = 30.0
SERVER_CORE, OUR_CORE = "0", "1"
_TICK = os.sysconf("SC_CLK_TCK")


def cpu_s(pid: int) -> float:
    """User and system seconds of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def rss(pid: int) -> int:
    """Resident bytes of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@contextmanager
def fleet(targets: int) -> Iterator[str]:
    """The fleet program, pinned; its base URL."""
    out = OUT / "fleet"
    OUT.mkdir(parents=True, exist_ok=True)
    subprocess.run([str(GO), "build", "-o", str(out), "."], cwd=ROOT / "lab" / "fleet", env=go_env(), check=True)
    command = ["taskset", "-c", SERVER_CORE, str(out), "-instances", str(targets)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield json.loads(server.stdout.readline())["base"]
        finally:
            server.kill()


def pages_served(base: str) -> int:
    """Pages of metrics that the fleet answered so far."""
    with urllib.request.urlopen(f"{base}/counters") as answer:
        return int(json.load(answer).get("/metrics", 0))


def measure(pid: int, base: str) -> dict[str, float]:
    """CPU per scrape and memory of a process that scrapes already."""
    time.sleep(WARM_S)
    cpu, pages = cpu_s(pid), pages_served(base)
    time.sleep(MEASURED_S)
    cpu, pages = cpu_s(pid) - cpu, pages_served(base) - pages
    return {
        "cpu_s": cpu,
        "scrapes": pages,
        "per_scrape_s": cpu / max(pages, 1),
        "core": cpu / MEASURED_S,
        "rss": rss(pid),
    }


def ours(base: str, targets: int, looks: bool) -> dict[str, float]:
    """Our collector in a process of its own."""
    command = ["taskset", "-c", OUR_CORE, sys.executable, "-m", "bench.scraping", base, str(targets), str(int(looks))]
    with subprocess.Popen(command, cwd=ROOT) as process:
        try:
            return measure(process.pid, base)
        finally:
            process.kill()


def prometheus(base: str, targets: int) -> dict[str, float] | None:
    """Debian's Prometheus on the same pages; None where it is not installed."""
    program = shutil.which("prometheus")
    if program is None:
        return None
    config: dict[str, Any] = {
        "global": {"scrape_interval": f"{INTERVAL_S:g}s", "scrape_timeout": "4s"},
        "scrape_configs": [{"job_name": "fleet", "http_sd_configs": [{"url": f"{base}/targets"}]}],
    }
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "prometheus.yml").write_text(json.dumps(config))  # JSON is YAML
        command = ["taskset", "-c", OUR_CORE, program, f"--config.file={folder}/prometheus.yml", f"--storage.tsdb.path={folder}/data",
                   "--web.listen-address=127.0.0.1:0", "--log.level=error"]  # fmt: skip
        with subprocess.Popen(command, env={**os.environ, "GOMAXPROCS": "1"}) as process:
            try:
                return measure(process.pid, base)
            finally:
                process.kill()


async def _collect(base: str, targets: int, looks: bool) -> None:
    """What the measured process does: `targets` instances into the judges' windows, for ever."""
    from parkwarden.aggregate.sites import SiteWindows
    from parkwarden.aggregate.windows import Windows
    from parkwarden.collect.fleet.collector import Collector
    from parkwarden.collect.fleet.settings import CollectSettings
    from parkwarden.model.events import Census, Event, Leaked, Named, Read, SiteCounts, Started
    from parkwarden.model.instance import Target

    windows, sites = Windows(), SiteWindows()

    def emit(event: Event) -> None:
        match event:
            case Read(at, instance, reading):
                windows.read(instance, at, reading)
            case Started(instance, at):
                windows.started(instance)
                sites.started(instance, at)
            case Named(site):
                sites.named(site)
            case SiteCounts():
                sites.counted(event)
            case Census():
                sites.census(event)
            case Leaked():
                sites.leaked(event)

    beats = {} if looks else {"profile_every_s": 0.0, "census_every_s": 0.0}
    collector = Collector(CollectSettings(interval_s=INTERVAL_S, **beats), emit, lambda capture: None)
    collector.set_targets(
        [Target(id=f"fleet-{i}", url=f"{base}/i/{i}", labels={"service": f"service-{i // 10}"}) for i in range(targets)]
    )
    await collector.run()


if __name__ == "__main__":
    import uvloop

    uvloop.run(_collect(sys.argv[1], int(sys.argv[2]), sys.argv[3] == "1"))
