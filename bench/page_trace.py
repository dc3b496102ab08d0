"""How fast a 76 MB execution trace can be looked at: from the command line, as an upload, at any zoom; and what that costs in memory.

    nice -n 5 python -m bench.page_trace            # 3 runs of each
    nice -n 5 python -m bench.page_trace --mb 300 --runs 1

The trace (bench/gen_trace.py, some 13 million events) is made once in bench/out. *Opened*: `parkwarden open FILE` starts, says its address,
Chromium goes to the trace's page. *Uploaded*: POST /api/v1/bags to a server that is there; the clock starts with the upload's last byte.
*Usable*: every bin of both pictures stands there as fine as the screen shows it. *Deep*: from a key until the same is true 64 times closer.
Tiles are asked for over one connection, uncompressed, each once. Numbers go to bench/out/page_trace.json.
"""

from __future__ import annotations

import argparse
import http.client
import json
import random
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.measure import BIN, OUT, ROOT

TILES = 300
DEEP = 6
"""Times zoomed in by two."""


@dataclass(frozen=True)
class Opened:
    process: subprocess.Popen[str]
    port: int
    page: str
    told_s: float
    """From the command's start until it told its address."""

    def memory(self) -> dict[str, int]:
        """Resident bytes, now and at most."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        found = dict(re.findall(r"(VmHWM|VmRSS):\s+(\d+) kB", status))
        return {name: int(kb) * 1024 for name, kb in found.items()}


@contextmanager
def opened(*files: Path) -> Iterator[Opened]:
    """`parkwarden open`, ended by Ctrl-C."""
    began = time.perf_counter()
    with subprocess.Popen(
        [str(BIN / "parkwarden"), "open", *map(str, files)], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if found := re.search(r"http://[^:]+:(\d+)(/\S*)", line):
                break
        try:
            yield Opened(process, int(found[1]), found[2], time.perf_counter() - began)
        finally:
            process.send_signal(signal.SIGINT)


def upload(port: int, file: Path) -> tuple[str, float, float]:
    """(Bag, seconds of sending, seconds from the last byte to the answer)."""
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="big.trace"\r\n\r\n'
    body = head + file.read_bytes() + b"\r\n--x--\r\n"
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    began = time.perf_counter()
    connection.request("POST", "/api/v1/bags", body, {"Content-Type": "multipart/form-data; boundary=x"})
    sent = time.perf_counter()
    answer = connection.getresponse()
    told = json.loads(answer.read())
    if answer.status != 201:
        raise RuntimeError(f"upload: {answer.status} {told}")
    connection.close()
    return str(told["bags"][0]["id"]), sent - began, time.perf_counter() - sent


_BYTES = """() => [...performance.getEntriesByType("navigation"), ...performance.getEntriesByType("resource")]
  .filter((e) => !e.name.endsWith("/events")).reduce((sum, e) => sum + e.transferSize, 0)"""


def looked_at(browser: Any, port: int, bag: str, name: str) -> dict[str, float]:
    """Seconds until usable and until deep, and bytes over the wire."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    began = time.perf_counter()
    page.goto(f"http://127.0.0.1:{port}/traces/{bag}/{name}", wait_until="commit")
    answered = time.perf_counter() - began
    page.locator("#over-time[data-usable='1']").wait_for()
    usable = time.perf_counter() - began
    sent = page.evaluate(_BYTES)
    page.locator("#made").focus()
    began = time.perf_counter()
    for _ in range(DEEP):
        page.keyboard.press("+")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    page.locator("#over-time[data-fine='1']").wait_for()
    deep = time.perf_counter() - began
    page.context.close()
    return {"answered_s": answered, "usable_s": usable, "deep_s": deep, "wire_bytes": sent}


def tiles(port: int, bag: str) -> dict[str, float]:
    """Milliseconds and bytes of tiles all over the trace."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)

    def get(path: str) -> bytes:
        connection.request("GET", path)
        return connection.getresponse().read()

    levels = json.loads(get(f"/api/v1/traces/{bag}"))["levels"]
    chance = random.Random(6)
    took, sizes = [], []
    for _ in range(TILES):
        level = chance.randrange(levels)
        began = time.perf_counter()
        body = get(f"/api/v1/traces/{bag}/tiles?level={level}&index={chance.randrange(1 << level)}")
        took.append((time.perf_counter() - began) * 1e3)
        sizes.append(len(body))
    connection.close()
    took.sort()
    return {"p50_ms": median(took), "p95_ms": took[int(0.95 * TILES)], "max_ms": took[-1], "bytes": median(sizes)}


def measured(file: Path, runs: int) -> dict[str, Any]:
    from playwright.sync_api import sync_playwright

    by_command: list[dict[str, float]] = []
    by_upload: list[dict[str, float]] = []
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium") or shutil.which("chromium-browser")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for _ in range(runs):
            with opened(file) as one:
                before = one.memory()["VmRSS"]
                bag = one.page.rpartition("/")[2]
                first = looked_at(browser, one.port, bag, file.name)
                after = one.memory()
                by_command.append(
                    {"told_s": one.told_s, "all_s": one.told_s + first["usable_s"], **first}
                    | {"rss_bytes": after["VmRSS"], "peak_bytes": after["VmHWM"], "more_bytes": after["VmRSS"] - before}
                )
                again = looked_at(browser, one.port, bag, file.name)
                of_tiles = tiles(one.port, bag)
            with opened() as one:
                bag, sent_s, read_s = upload(one.port, file)
                seen = looked_at(browser, one.port, bag, "big.trace")
                by_upload.append({"sent_s": sent_s, "read_s": read_s, "all_s": read_s + seen["usable_s"], **seen})
        browser.close()

    def middle(rows: list[dict[str, float]]) -> dict[str, float]:
        return {name: median(row[name] for row in rows) for name in rows[0]}

    return {
        "bytes": file.stat().st_size,
        "opened": middle(by_command),
        "opened_worst_s": max(row["all_s"] for row in by_command),
        "uploaded": middle(by_upload),
        "uploaded_worst_s": max(row["all_s"] for row in by_upload),
        "again": again,
        "tiles": of_tiles,
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.page_trace", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--mb", type=int, default=76)
    parser.add_argument("--runs", type=int, default=3)
    args = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    file = OUT / f"trace-{args.mb}mb.trace"
    if not file.exists():
        subprocess.run(
            [sys.executable, str(ROOT / "bench" / "gen_trace.py"), str(file), "--mb", str(args.mb)], check=True
        )
    told = measured(file, args.runs)
    (OUT / "page_trace.json").write_text(json.dumps(told, indent=2) + "\n")
    for way in ("opened", "uploaded"):
        row = told[way]
        print(f"{way:9} usable after {row['all_s']:.2f} s (worst {told[way + '_worst_s']:.2f} s; page answered {row['answered_s']:.2f} s), 64 x closer in {row['deep_s']:.2f} s, {row['wire_bytes'] / 1e3:,.0f} kB")  # fmt: skip
    print(f"again     usable after {told['again']['usable_s']:.2f} s")
    print(f"memory    {told['opened']['rss_bytes'] / 1e6:,.0f} MB, at most {told['opened']['peak_bytes'] / 1e6:,.0f} MB; the page's share {told['opened']['more_bytes'] / 1e6:,.0f} MB")  # fmt: skip
    print(
        f"tiles     {told['tiles']['p50_ms']:.1f} ms (95 %: {told['tiles']['p95_ms']:.1f} ms), {told['tiles']['bytes'] / 1e3:.0f} kB"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
