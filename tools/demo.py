"""`make demo`: a real Go shop begins to leak while Parkwarden watches it; a local webhook receives the alert.

The whole way in about a minute: suspicion, closer looks, culprit line, time left, alert; then the evidence as a page.
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
QUIET_S = 12.0
"""The shop is healthy for so long, so that there is something to compare with."""
LEAK_PER_S = 50
PATIENCE_S = 120.0
COMMAND = str(Path(sys.prefix) / "bin" / "parkwarden")


class Receiver(BaseHTTPRequestHandler):
    """Somebody's alert receiver: shows what it was told."""

    told: list[dict] = []  # noqa: RUF012
    named = threading.Event()

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.send_response(200)
        self.end_headers()
        self.told.append(body)
        print(f"\n>>> webhook received ({body.get('tell')}): {body.get('title')}", flush=True)
        for line in str(body.get("text", "")).splitlines()[:14]:
            print(f">>>   {line}", flush=True)
        print(flush=True)
        if (body.get("site") or {}).get("line") or body.get("line"):
            self.named.set()

    def log_message(self, *_: object) -> None:
        pass


def main() -> int:
    OUT.mkdir(exist_ok=True)
    report = OUT / "demo.html"
    receiver = ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
    threading.Thread(target=receiver.serve_forever, daemon=True).start()
    print("demo: building and starting lab/shop, a small Go web shop ...", flush=True)
    with running("shop") as shop, tempfile.TemporaryDirectory() as data:
        print(f"demo: it listens at {shop.url} (pid {shop.pid}) and is healthy", flush=True)
        hook = f"http://127.0.0.1:{receiver.server_port}/alert"
        command = [COMMAND, "watch", shop.url, "--webhook", hook, "--data", data, "--listen", "127.0.0.1:0"]
        print(f"\n$ parkwarden watch {shop.url} --webhook {hook}\n", flush=True)
        watch = subprocess.Popen(command)
        try:
            time.sleep(QUIET_S)
            began = time.monotonic()
            urllib.request.urlopen(f"{shop.url}/leak/start?kind=send-without-receiver&per_s={LEAK_PER_S}").close()
            print(f"\ndemo: from now on the shop leaks {LEAK_PER_S} goroutines a second\n", flush=True)
            named = Receiver.named.wait(PATIENCE_S)
            took = time.monotonic() - began
            if named:
                print(f"demo: {took:.0f} s after the first leaked goroutine the alert with the culprit line was received", flush=True)
            made = subprocess.run(
                [COMMAND, "diagnose", shop.url, "--for", "1", "--source", "lab/shop", "--format", "html", "-o", str(report), "--force"],
                check=False,
            ).returncode
        finally:
            watch.send_signal(signal.SIGINT)
            watch.wait(15)
    receiver.shutdown()
    print(f"\ndemo: the watch and the shop have been stopped. A closer look as a page: {report}")
    # a leak was made, so "a leak was found" (exit code 1) is the right answer of diagnose
    return 0 if named and made == 1 else 1


if __name__ == "__main__":
    sys.exit(main())
