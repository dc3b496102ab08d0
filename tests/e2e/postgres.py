"""A real PostgreSQL for the tests: Debian's binaries, a free loopback port, an unprivileged user, gone with the test."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from parkwarden.run._lab_process import free_port

READY_S = 30.0


def _binaries() -> Path:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("no PostgreSQL: apt-get install postgresql")
    return found[-1].parent


@contextmanager
def postgres() -> Iterator[str]:
    """The URL of a new, empty server; it is stopped and deleted at the end."""
    binaries = _binaries()
    folder = Path(tempfile.mkdtemp(prefix="parkwarden-pg-", dir="/tmp"))
    as_user: list[str] = []
    if os.geteuid() == 0:  # PostgreSQL refuses to run as root
        shutil.chown(folder, "postgres", "postgres")
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    port = free_port()
    subprocess.run(
        [*as_user, binaries / "initdb", "-D", folder / "data", "-U", "park", "--auth=trust", "--no-sync"],
        check=True,
        capture_output=True,
        cwd=folder,
    )
    options = {"port": port, "listen_addresses": "127.0.0.1", "unix_socket_directories": "", "fsync": "off"}
    server = subprocess.Popen(
        [*as_user, binaries / "postgres", "-D", folder / "data"]
        + [word for name, value in options.items() for word in ("-c", f"{name}={value}")],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=(folder / "log").open("wb"),
    )
    url = f"postgresql://park@127.0.0.1:{port}/postgres"
    try:
        _wait(url, server)
        yield url
    finally:
        server.send_signal(signal.SIGINT)  # fast shutdown
        server.wait(20)
        shutil.rmtree(folder, ignore_errors=True)


def _wait(url: str, server: subprocess.Popen[bytes]) -> None:
    import psycopg

    end = time.monotonic() + READY_S
    while True:
        assert server.poll() is None, "PostgreSQL ended at once"
        try:
            psycopg.connect(url, connect_timeout=1).close()
            return
        except psycopg.OperationalError:
            assert time.monotonic() < end, "PostgreSQL does not answer"
            time.sleep(0.1)
