"""What several end-to-end tests look at."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

SERVER = Path(__file__).parent / "live_server"


@pytest.fixture
def service(go_build: Callable[..., Path]) -> Iterator[str]:
    """A Go service with /debug/vars and pprof, without /metrics, that leaks a goroutine every 10 ms; its address."""
    process = subprocess.Popen([go_build(SERVER)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
