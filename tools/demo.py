"""`make demo`: a real Go shop begins to leak while Parkwarden watches it; a local webhook receives the alert.

The whole way in about a minute: suspicion, closer looks, culprit line, time left, alert; then the same as a page.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from parkwarden.run.lab import running

OUT = Path("out")
QUIET_S = 15.0
"""The shop is healthy for so long, so that there is something to compare with."""
LEAK_PER_S = 50
PATIENCE_S = 90.0
COMMAND = str(Path(sys.prefix) / "bin" / "parkwarden")
CONFIG = """\
targets:
  - urls: [{url}]
    labels: {{service: shop, env: demo, team: checkout, sla_tier: gold, version: 1.4.0}}
channels:
  webhook:
    oncall: {{url: {hook}}}
web: {{listen: 127.0.0.1:0}}
store: {{folder: {data}}}
"""


class Receiver(BaseHTTPRequestHandler):
    """Somebody's alert receiver: shows what it was told."""

    complete = threading.Event()

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()
        print(f"\n  +-- webhook received: {body['text']['title']}", flush=True)
        for line in body["text"]["body"].splitlines():
            print(f"  |   {line[:150]}", flush=True)
        print("  +--\n", flush=True)
        if body["incident"]["line"] and body["incident"]["time_left"]:
            self.complete.set()

    def log_message(self, *_: object) -> None:
        pass


def main() -> int:
    OUT.mkdir(exist_ok=True)
    receiver = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    print("demo: building and starting lab/shop, a small Go web shop ...", flush=True)
    with running("shop", ["-memlimit", "128"]) as shop, tempfile.TemporaryDirectory() as data:
        print(f"demo: it listens at {shop.url} (pid {shop.pid}) and is healthy\n", flush=True)
        config = Path(data) / "parkwarden.yaml"
        hook = f"http://127.0.0.1:{receiver.server_port}/alert"
        config.write_text(CONFIG.format(url=shop.url, hook=hook, data=Path(data) / "data"))
        print(f"$ cat parkwarden.yaml\n{config.read_text()}\n$ parkwarden watch -c parkwarden.yaml\n", flush=True)
        watch = subprocess.Popen([COMMAND, "watch", "-c", str(config)])
        try:
            complete, took = _leak(shop.url)
        finally:
            watch.send_signal(signal.SIGINT)
            stopped = watch.wait(15)
        print("\n$ parkwarden evidence list\n", flush=True)
        subprocess.run([COMMAND, "evidence", "list", "-c", str(config)], check=False)
        made = _page(shop.url)
    receiver.shutdown()
    if complete:
        print(
            f"\ndemo: {took:.0f} s after the first leaked goroutine the culprit line and the time left had reached the webhook."
        )
    print(f"demo: watch and shop have been stopped. The same as a page: {OUT / 'demo.html'}")
    return 0 if complete and made and stopped == 130 else 1


def _leak(url: str) -> tuple[bool, float]:
    """Let the shop leak until the alert is complete; whether it was, and after how long."""
    time.sleep(QUIET_S)
    urllib.request.urlopen(f"{url}/leak/start?kind=send-without-receiver&per_s={LEAK_PER_S}").close()
    print(f"\ndemo: from now on the shop leaks {LEAK_PER_S} goroutines a second\n", flush=True)
    began = time.monotonic()
    complete = Receiver.complete.wait(PATIENCE_S)
    return complete, time.monotonic() - began


def _page(url: str) -> bool:
    """The same service as `diagnose` sees it, as a page. A leak was made, so exit code 1 (a leak was found) is right."""
    options = ["--for", "1", "--source", "lab/shop", "--format", "html", "-o", str(OUT / "demo.html"), "--force"]
    return subprocess.run([COMMAND, "diagnose", url, *options], check=False).returncode == 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        print("\ndemo: interrupted; watch and shop have been stopped.")
        sys.exit(130)
