"""`make screenshots`: the pictures of README and docs, taken from real runs.

The report: runs the timing-wheel story of the lab, diagnoses what it saved, opens the HTML report in Debian's Chromium.
The terminal: `parkwarden watch` beside the lab's shop while it leaks and is cured, its own colours as SVG.
The page: `parkwarden watch` and `parkwarden open` in a browser (page_pictures.py).
`python tools/screenshots.py report`, `watch` or `page` takes one of them only.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from page_pictures import page_pictures
from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.terminal_theme import MONOKAI
from rich.text import Text

from parkwarden.run.lab import running

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "img"
PARKWARDEN = str(Path(sys.prefix) / "bin" / "parkwarden")


COLUMNS = 118
HEALTHY_S = 20.0
LEAKING_S = 34.0
WATCH_CONFIG = """\
targets:
  - urls: [{url}]
    labels: {{service: shop, env: prod, sla_tier: gold, version: 1.4.0}}
channels:
  webhook:
    oncall: {{url: {hook}}}
web: {{listen: 127.0.0.1:0}}
store: {{folder: parkwarden-data}}
"""


class _OnCall(BaseHTTPRequestHandler):
    """An alert receiver that takes everything."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def watch_picture() -> int:
    """docs/img/watch.svg: what a terminal shows of a fast leak, from the start to Ctrl-C."""
    receiver = ThreadingHTTPServer(("127.0.0.1", 0), _OnCall)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    colours = {"FORCE_COLOR": "1", "TTY_INTERACTIVE": "0", "COLUMNS": str(COLUMNS), "TERM": "xterm-256color"}
    with running("shop", ["-memlimit", "128"]) as shop, tempfile.TemporaryDirectory() as scratch:
        hook = f"http://127.0.0.1:{receiver.server_port}/alert"
        Path(scratch, "parkwarden.yaml").write_text(WATCH_CONFIG.format(url=shop.url, hook=hook))
        command = [PARKWARDEN, "watch", "-c", "parkwarden.yaml"]
        watch = subprocess.Popen(command, cwd=scratch, env=os.environ | colours, stdout=subprocess.PIPE)
        time.sleep(HEALTHY_S)
        urllib.request.urlopen(f"{shop.url}/leak/start?kind=send-without-receiver&per_s=50").close()
        time.sleep(LEAKING_S)
        watch.send_signal(signal.SIGINT)
        told, _ = watch.communicate(timeout=30)
    receiver.shutdown()
    (IMAGES / "watch.svg").write_text(_svg(told.decode(), "parkwarden watch -c parkwarden.yaml"))
    return 0 if b"firing" in told else 1


def _svg(coloured: str, title: str) -> str:
    """A terminal's text as a picture that loads nothing from elsewhere."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True, color_system="truecolor")
    for line in coloured.splitlines():
        console.print(Text.from_ansi(line.rstrip()))
    alone = re.sub(r"@font-face \{\{.*?\}\}\s*", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    alone = alone.replace("Fira Code, monospace", "ui-monospace, Menlo, Consolas, DejaVu Sans Mono, monospace")
    return console.export_svg(title=title, theme=MONOKAI, code_format=alone, unique_id="watch")


def main() -> int:
    pictures = {"report": report_pictures, "watch": watch_picture, "page": page_pictures}
    wanted = sys.argv[1:] or list(pictures)
    return max(pictures[name]() for name in wanted)


def report_pictures() -> int:
    """docs/img/report.png and report-dark.png."""
    from playwright.sync_api import sync_playwright

    chromium = shutil.which("chromium")
    if chromium is None:
        print("screenshots: chromium is missing (tools/setup-e2e.sh installs it)", file=sys.stderr)
        return 1
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        bag, page_file = Path(scratch) / "bag", Path(scratch) / "report.html"
        subprocess.run([PARKWARDEN, "lab", "run", "timing-wheel", "-o", str(bag)], check=True)
        subprocess.run(
            [
                PARKWARDEN,
                "diagnose",
                str(bag),
                "--source",
                str(ROOT / "lab" / "timing-wheel"),
                "--format",
                "html",
                "-o",
                str(page_file),
            ],
            check=False,
        )
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            for name, width, scheme in (("report", 1280, "light"), ("report-dark", 1280, "dark")):
                page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
                page.goto(page_file.as_uri())
                page.screenshot(path=str(IMAGES / f"{name}.png"))
            browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
