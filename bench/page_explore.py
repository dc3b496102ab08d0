"""How soon a dump of 100,000 goroutines can be explored in a real Chromium, from the moment its file is chosen; and what the page weighs.

    nice -n 5 python -m bench.page_explore            # 5 runs of each dump
    nice -n 5 python -m bench.page_explore --runs 3 --only orders

Three dumps of 100,000 goroutines: `orders`, a real one (bench/gen_dump.py: 24 stacks, a fifth with labels), and two written here, of 1,000 and of
20,000 different stacks of eight frames (`wide`, `widest`: more distinct stacks than a real service has, for where the time goes). Each is given to the
explorer of `parkwarden open`, whose server runs already, as a user would: a file is chosen on the page and sent.

*Usable*: from choosing until the bag's page stands there with verdict, flame graph and table, after the frame that shows them. *Search*: from the last
key typed into the search until its rows stand there. *Difference*: from a click until the difference of the dump with itself is drawn. Bytes as they
came over the wire, of the bag's page with all its scripts. Numbers go to bench/out/page_explore.json.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

from bench.measure import BIN, OUT, ROOT

GOROUTINES = 100_000
STATES = ("select", "chan receive", "IO wait", "sync.Mutex.Lock")
PAINTED = (
    "() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(performance.now()))))"
)


def _written(stacks: int) -> Callable[[Path], None]:
    """A dump of GOROUTINES on so many different stacks, each of eight frames."""

    def write(file: Path) -> None:
        with file.open("w") as out:
            for i in range(GOROUTINES):
                s = i % stacks
                out.write(f"goroutine {i + 1} [{STATES[s % 4]}, {s % 90} minutes]:\n")
                for d in range(8):
                    kind = (s * 7 + d * 13) % stacks if d < 2 else (s // 50) % 997
                    package = f"pkg{(s >> d) % 37}"
                    out.write(
                        f"shop.example/orders/{package}.(*Handler{kind}).Step{d}(0xc00012{i % 4096:04x}, 0x{s:x})\n"
                    )
                    out.write(f"\t/src/orders/{package}/step{d}.go:{10 + (s + d) % 300} +0x{d}d\n")
                start = s % 200
                out.write(
                    f"created by shop.example/orders.start{start} in goroutine 1\n\t/src/start.go:{start + 1} +0x5d\n\n"
                )

    return write


def _orders(file: Path) -> None:
    subprocess.run([sys.executable, "-m", "bench.gen_dump", str(file)], cwd=ROOT, check=True)


DUMPS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "orders": ("dump-100k.txt", _orders),
    "wide": ("dump-100k-1k-stacks.txt", _written(1_000)),
    "widest": ("dump-100k-20k-stacks.txt", _written(20_000)),
}


def dump(name: str) -> Path:
    """One of DUMPS, made where it is not there."""
    file, make = DUMPS[name]
    path = OUT / file
    if not path.exists():
        print(f"page_explore: making {file} ...", file=sys.stderr)
        OUT.mkdir(parents=True, exist_ok=True)
        make(path)
    return path


@contextmanager
def explorer() -> Iterator[str]:
    """`parkwarden open` without a file; its page's address. Ended by Ctrl-C."""
    with subprocess.Popen([str(BIN / "parkwarden"), "open"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield next(m[0] for m in (re.search(r"http://\S+", line) for line in process.stdout) if m)
        finally:
            process.send_signal(signal.SIGINT)


def measure(browser: Any, url: str, file: Path) -> dict[str, float]:
    """One run in a context of its own; seconds and bytes."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    try:
        page.goto(url)
        page.wait_for_load_state("load")
        began = time.perf_counter()
        page.set_input_files("#pick", str(file))
        page.wait_for_url(re.compile(r"/explore/[0-9a-f]{12}$"), wait_until="load", timeout=120_000)
        page.locator("#graph .cell").first.wait_for()
        page.evaluate(PAINTED)
        usable = time.perf_counter() - began
        sizes = "performance.getEntries().reduce((sum, e) => sum + (e.transferSize || 0), 0)"
        weight = page.evaluate(sizes)
        server = page.evaluate(
            "(() => { const n = performance.getEntriesByType('navigation')[0]; return n.responseEnd - n.requestStart; })()"
        )
        began = time.perf_counter()
        page.fill("#search input[type=search]", "state:select age>=10m")
        page.wait_for_function("() => /age/.test(document.querySelector('#sites a[rel=next], #sites thead a').search)")
        search = time.perf_counter() - began
        address = page.url
        began = time.perf_counter()
        page.goto(f"{address}/diff?from=0&to=0")
        page.locator("#graph .cell").first.wait_for()
        page.evaluate(PAINTED)
        difference = time.perf_counter() - began
        return {
            "usable_s": usable,
            "page_ms": server,
            "page_bytes": weight,
            "search_s": search,
            "difference_s": difference,
        }
    finally:
        context.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--only", choices=list(DUMPS))
    options = parser.parse_args()
    from playwright import sync_api

    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    told: dict[str, Any] = {}
    with explorer() as url, sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for name in [options.only] if options.only else list(DUMPS):
            file = dump(name)
            runs = [measure(browser, url, file) for _ in range(options.runs)]
            middle = {key: median(run[key] for run in runs) for key in runs[0]}
            told[name] = {"bytes": file.stat().st_size, **middle, "usable_max_s": max(run["usable_s"] for run in runs)}
            print(
                f"{name:8} {file.stat().st_size / 1e6:4.0f} MB  usable {middle['usable_s']:5.2f} s "
                f"(at most {told[name]['usable_max_s']:.2f})  page {middle['page_ms']:4.0f} ms {middle['page_bytes'] / 1000:4.0f} kB  "
                f"search {middle['search_s']:.2f} s  difference {middle['difference_s']:.2f} s"
            )
        browser.close()
    (OUT / "page_explore.json").write_text(json.dumps(told, indent=2) + "\n")


if __name__ == "__main__":
    main()
