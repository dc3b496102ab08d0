"""Evidence in an S3 bucket, played by moto's server: the same calls over a real HTTP protocol."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from parkwarden.model import Capture, Secret, StoreError
from parkwarden.run._lab_process import free_port
from parkwarden.run.evidence import open_store
from parkwarden.store.settings import StoreSettings

pytestmark = pytest.mark.e2e


@pytest.fixture
def bucket() -> Iterator[tuple[StoreSettings, subprocess.Popen[bytes]]]:
    """Settings for an empty bucket, and the server."""
    pytest.importorskip("s3fs", reason="S3 needs parkwarden[s3]")
    pytest.importorskip("moto", reason="the test's S3 is moto's server: pip install 'moto[server]'")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "AWS_DEFAULT_REGION": "us-east-1"},
    )
    try:
        end = time.monotonic() + 60
        while True:
            try:
                urllib.request.urlopen(urllib.request.Request(f"{url}/evidence", method="PUT"), timeout=5).close()
                break
            except (urllib.error.URLError, OSError):
                assert time.monotonic() < end, "moto's server does not answer"
                time.sleep(0.2)
        options = (("key", "park"), ("secret", Secret("hunter2")), ("endpoint_url", url))
        yield (
            StoreSettings(evidence_url="s3://evidence/watch", evidence_options=options, evidence_max_items=2),
            server,
        )
    finally:
        server.kill()
        server.wait(10)


def test_evidence_lives_in_a_bucket(bucket: tuple[StoreSettings, subprocess.Popen[bytes]]) -> None:
    """Put, list, open, prune as in a folder; redacted; a store that goes away is typed, passing, and names no credential."""
    settings, server = bucket
    store = open_store(settings)
    items = [
        store.put(
            Capture(instance="a", service="s", kind="other", at=n, body=b"password=hunter3! %d" % n, why="", file="")
        )
        for n in range(3)
    ]
    again = open_store(settings)
    assert again.list() == items[::-1]
    item, body = again.open(items[0].digest)
    assert (item, b"hunter3" in body) == (items[0], False)
    assert again.prune(10.0) == [items[0].digest]
    assert open_store(settings).list() == items[:0:-1]
    server.kill()
    server.wait(10)
    with pytest.raises(StoreError) as away:
        open_store(settings).list()
    said = f"{away.value} {away.value.context} {away.value.hint}"
    assert (away.value.passing, "hunter2" in said) == (True, False)
