"""A real `parkwarden watch` as its user starts it: a process of its own, its headlines as JSON lines."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PATIENCE_S = 60.0
"""For what comes in seconds: how soon is a promise of some tests only, and a loaded machine breaks none of the others."""
COMMAND = [sys.executable, "-c", "from parkwarden.cli import main; main()"]


class Watching:
    """The running process. `headlines` grows as it speaks; `log` is what it said on stderr."""

    def __init__(self, config: Path, env: dict[str, str] | None = None) -> None:
        self.began = time.time()
        self.headlines: list[dict[str, Any]] = []
        self.log_file = config.with_suffix(".log")
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                [*COMMAND, "watch", "-c", str(config), "--format", "json"],
                stdout=subprocess.PIPE,
                stderr=log,
                env={**os.environ, **(env or {})},
            )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.headlines.append(json.loads(line))

    @property
    def log(self) -> str:
        return self.log_file.read_text(errors="replace")

    def said(self, kind: str, *words: str) -> list[dict[str, Any]]:
        """Headlines of a kind that hold all these words."""
        return [h for h in self.headlines if h["kind"] == kind and all(w in h["text"] for w in words)]

    def wait(self, what: Callable[[], Any], within_s: float = PATIENCE_S) -> Any:
        """The first true value of `what`; fails with the process's last words."""
        end = time.monotonic() + within_s
        while time.monotonic() < end:
            if found := what():
                return found
            if self.process.poll() is not None:
                break
            time.sleep(0.1)
        state = f"exit code {self.process.returncode}" if self.process.poll() is not None else "running"
        tail = "\n".join(str(h["text"]) for h in self.headlines[-20:])
        raise AssertionError(f"did not happen within {within_s} s ({state})\n{tail}\n{self.log[-3000:]}")

    def pages(self) -> str:
        """Base URL of its own pages."""
        told = self.wait(lambda: self.said("info", "our own pages"))
        return f"http://127.0.0.1:{told[0]['port']}"

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        """Ask it to stop; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            code = self.process.wait(PATIENCE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        self._reader.join(5)
        return code


@contextmanager
def watching(config: Path, env: dict[str, str] | None = None) -> Iterator[Watching]:
    """A watch that ends with the block, whatever happens in it."""
    watch = Watching(config, env)
    try:
        yield watch
    finally:
        if watch.process.poll() is None:
            watch.process.kill()
            watch.process.wait()
