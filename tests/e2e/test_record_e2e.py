"""Recording a real Go service, as a user does it: whole lines whatever ends it, and a file that replay judges."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from parkwarden.formats.recording import Reader
from parkwarden.formats.unpack import streamed
from parkwarden.model import Census, Event, Named, Problem, Read, SiteCounts, Started

pytestmark = pytest.mark.e2e

BIN = Path(sys.executable).with_name("parkwarden")

CONFIG = """
targets:
  - urls: ["http://{address}"]
    labels: {{service: shop, contact: alice@example.com}}
collect: {{interval_s: 1, timeout_s: 0.9, profile_every_s: 2, census_every_s: 2}}
"""


def read(file: Path) -> tuple[list[Event], list[Problem]]:
    problems: list[Problem] = []
    reader = Reader()
    events = [event for piece in streamed(file.read_bytes(), problems) for event in reader.feed(piece)]
    return [*events, *reader.close()], [*problems, *reader.problems]


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_what_is_recorded_can_be_judged(service: str, suffix: str, tmp_path: Path) -> None:
    """Counts, profiles and censuses arrive, redacted; the file reads without a problem and replay judges it."""
    config = tmp_path / "parkwarden.yaml"
    config.write_text(CONFIG.format(address=service))
    file = tmp_path / f"night.jsonl{suffix}"
    ran = subprocess.run([BIN, "record", "-c", config, "-o", file, "--for", "8s"], capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr
    events, problems = read(file)
    assert problems == []
    for kind in (Started, Named, Read, SiteCounts, Census):
        assert any(isinstance(event, kind) for event in events), kind
    started = next(event for event in events if isinstance(event, Started))
    assert started.instance.labels == {"service": "shop", "contact": "[redacted:email]"}
    counts = [event.reading.goroutines or 0 for event in events if isinstance(event, Read)]
    assert counts[-1] > counts[0] + 100
    judged = subprocess.run([BIN, "replay", file, "--format", "json"], capture_output=True, check=False)
    assert judged.returncode in (0, 1), judged.stderr
    report = json.loads(judged.stdout)
    assert report["inputs"][0]["records"] == len(events)
    again = subprocess.run([BIN, "record", f"http://{service}", "-o", file], capture_output=True, check=False)
    assert again.returncode == 2
    assert b"--force" in again.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_with_a_whole_line(service: str, number: signal.Signals, tmp_path: Path) -> None:
    """Interrupted, the recorder ends at once with exit code 0 and a file whose last line is whole."""
    file = tmp_path / "night.jsonl.zst"
    process = subprocess.Popen([BIN, "record", f"http://{service}", "-o", file], stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and not (file.exists() and file.stat().st_size):
            time.sleep(0.2)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 0, errors
    events, problems = read(file)
    assert problems == []
    assert any(isinstance(event, Read) for event in events)


def test_a_target_that_is_not_there(tmp_path: Path) -> None:
    """Nothing recorded: exit code 4, no file left behind."""
    file = tmp_path / "none.jsonl"
    ran = subprocess.run(
        [BIN, "record", "http://127.0.0.1:9", "-o", file, "--for", "2s"], capture_output=True, check=False
    )
    assert ran.returncode == 4
    assert b"nothing-recorded" in ran.stderr
    assert not file.exists()
