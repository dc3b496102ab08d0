"""What several end-to-end tests look at."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.page import LiveBoard, live_board

SERVER = Path(__file__).parent / "live_server"
HOSTILE_SERVER = Path(__file__).parent / "hostile_server"


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


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium. No longer than a module: while Playwright runs no test of this thread can run a loop of its own."""
    from playwright import sync_api

    chromium = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if chromium is None:
        pytest.fail("no Chromium: `make e2e` installs it")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def live(go_build: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveBoard]:
    """A watch over two leaks, one of them with hostile names (see page.py)."""
    with live_board(tmp_path_factory.mktemp("live"), go_build(HOSTILE_SERVER)) as board:
        yield board
