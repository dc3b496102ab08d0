"""Debian's Prometheus, started by a test."""

from __future__ import annotations

import shutil
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from parkwarden.run._lab_process import free_port

READY_S = 60.0


def program(name: str) -> str:
    found = shutil.which(name)
    assert found, f"{name} is missing: sh tools/setup-e2e.sh"
    return found


@contextmanager
def prometheus(folder: Path, config: str, *more: str) -> Iterator[str]:
    """Its base URL, as soon as it answers; `more` are further flags."""
    file, said = folder / "prometheus.yml", folder / "prometheus.log"
    file.write_text(config)
    subprocess.run([program("promtool"), "check", "config", file], check=True, capture_output=True)
    port = free_port()
    command = [program("prometheus"), f"--config.file={file}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    with said.open("wb") as log:
        server = subprocess.Popen([*command, f"--web.listen-address=127.0.0.1:{port}", *more], stdout=log, stderr=log)
    try:
        base, end = f"http://127.0.0.1:{port}", time.monotonic() + READY_S
        while True:
            with suppress(OSError, urllib.error.HTTPError), urllib.request.urlopen(f"{base}/-/ready", timeout=5):
                break
            assert server.poll() is None, said.read_text()
            assert time.monotonic() < end, said.read_text()
            time.sleep(0.1)
        yield base
    finally:
        server.terminate()
        server.wait(20)
