"""Watch as its users have it: a real Go shop leaks, the alert arrives in time with the line, and nothing is left running."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from parkwarden.run._lab_process import LabProcess
from parkwarden.run.lab import running
from tests.e2e.receiver import Receiver
from tests.e2e.watching import COMMAND, watching

pytestmark = pytest.mark.e2e

QUIET_S = 12.0
"""How long the shop is healthy before it leaks: so many readings are there to compare with."""


@pytest.fixture(scope="module")
def shop() -> Iterator[LabProcess]:
    with running("shop", ["-memlimit", "128"]) as service:
        yield service


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as there:
        yield there


def config(folder: Path, url: str, hook: str, more: str = "") -> Path:
    file = folder / "parkwarden.yaml"
    file.write_text(
        f"""
targets:
  - urls: [{url}]
    labels: {{service: shop, env: test, sla_tier: gold, version: 1.4.0}}
channels:
  webhook:
    oncall: {{url: {hook}}}
web: {{listen: 127.0.0.1:0}}
store: {{folder: {folder / "data"}}}
{more}
"""
    )
    return file


def get(url: str, token: str = "") -> str:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers), timeout=10) as answer:
        return answer.read().decode()


def leak(url: str, kind: str = "send-without-receiver", per_s: int = 50) -> float:
    """Begin; when it began."""
    urllib.request.urlopen(f"{url}/leak/start?kind={kind}&per_s={per_s}", timeout=10).close()
    return time.time()


def cure(url: str) -> None:
    for what in ("stop", "release"):
        urllib.request.urlopen(f"{url}/leak/{what}", timeout=10).close()


def test_a_fast_leak_is_alerted_named_and_cured(shop: LabProcess, receiver: Receiver, tmp_path: Path, go: str) -> None:
    """50 a second: the alert within 15 s of what the rule's window allows (25 s of readings), the culprit line with evidence
    within 30 s more; the evidence opens in `go tool pprof`; a cured leak resolves; Ctrl-C ends it all."""
    with watching(config(tmp_path, shop.url, receiver.url, "alert: {keep_firing_s: 10, rejudge_s: 10}")) as watch:
        pages = watch.pages()
        time.sleep(QUIET_S)
        began = leak(shop.url)
        try:
            first = watch.wait(lambda: receiver.bodies("firing"), 60)[0]
            alerted_s = time.time() - began
            assert alerted_s <= 25.0 + 15.0
            named = watch.wait(
                lambda: [
                    b for b in receiver.bodies() if "quote" in b["incident"]["line"] and b["incident"]["evidence"]
                ],
                40,
            )[0]
            assert time.time() - began <= alerted_s + 30.0
            watch.wait(lambda: [b for b in receiver.bodies() if b["incident"]["time_left"]], 40)
            assert re.search(r"main\.\(\*leak\)\.quote .*leaks\.go:\d+", named["incident"]["line"])
            assert named["incident"]["since_version"] == "1.4.0"
            assert first["incident"]["id"] == named["incident"]["id"]
            metrics = get(f"{pages}/metrics")
            assert 'parkwarden_targets{state="up"} 1.0' in metrics
            assert re.search(r'parkwarden_looks_total\{kind="census",outcome="ok"\} [1-9]', metrics)
            assert "parkwarden_incident_time_left_seconds{" in metrics
            assert get(f"{pages}/healthz") == "ok\n"
            assert json.loads(get(f"{pages}/readyz"))["ready"] is True
        finally:
            cure(shop.url)
        watch.wait(lambda: receiver.bodies("resolved"), 120)
        threads = watch.stop()
    assert threads == 130
    evidence_opens(tmp_path, named["incident"]["evidence"], go)


def evidence_opens(folder: Path, digests: list[str], go: str) -> None:
    """Every digest an alert names is in the store; profiles open in Go's own tool and show the line."""
    config_file = str(folder / "parkwarden.yaml")
    listed = json.loads(
        subprocess.run(
            [*COMMAND, "evidence", "list", "-c", config_file, "--format", "json"], capture_output=True, check=True
        ).stdout
    )
    items = {item["digest"]: item for item in listed["items"]}
    assert set(digests) <= set(items)
    profile = next(d for d in digests if items[d]["kind"].endswith("-profile"))
    out = folder / "evidence.pb.gz"
    subprocess.run([*COMMAND, "evidence", "open", profile, "-c", config_file, "-o", str(out)], check=True)
    top = subprocess.run([go, "tool", "pprof", "-traces", str(out)], capture_output=True, text=True, check=True).stdout
    assert "quote" in top


def test_a_watch_resumes_where_it_was_killed(shop: LabProcess, receiver: Receiver, tmp_path: Path) -> None:
    """kill -9 in the middle of an incident: the next process keeps its id, tells nobody again, and resolves it in the end."""
    file = config(tmp_path, shop.url, receiver.url, "alert: {keep_firing_s: 10, rejudge_s: 10}")
    with watching(file) as watch:
        watch.pages()
        time.sleep(QUIET_S)
        leak(shop.url)
        first = watch.wait(lambda: receiver.bodies("firing"), 60)[0]
        watch.wait(lambda: watch.said("delivery", "has been told"))  # and it is written down that it was told
        watch.process.kill()
        watch.process.wait()
    try:
        with watching(file) as watch:
            watch.wait(lambda: watch.said("info", "resumed: 1 open incidents"))
            time.sleep(12)
            assert len(receiver.bodies("firing")) == 1
            cure(shop.url)
            last = watch.wait(lambda: receiver.bodies("resolved"), 120)[0]
            assert last["incident"]["id"] == first["incident"]["id"]
            assert watch.stop(signal.SIGTERM) == 0
    finally:
        cure(shop.url)
    keys = [body["key"] for body in receiver.bodies()]
    assert len(keys) == len(set(keys))


def test_our_pages_are_shut_to_the_world_without_a_token(shop: LabProcess, receiver: Receiver, tmp_path: Path) -> None:
    """Another address than loopback is refused without a token; with one /metrics asks for it, and no secret shows anywhere."""
    token, hook_secret = "canary-token-0123456789", "canary-hook-9876543210"
    open_to_all = config(tmp_path, shop.url, receiver.url, "").read_text().replace("127.0.0.1:0", "0.0.0.0:0")
    file = tmp_path / "parkwarden.yaml"
    file.write_text(open_to_all)
    refused = subprocess.run([*COMMAND, "watch", "-c", str(file)], capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert "token" in refused.stderr
    text = open_to_all.replace("listen: 0.0.0.0:0", "listen: 0.0.0.0:0, token: {env: PW_TOKEN}")
    file.write_text(text.replace(f"url: {receiver.url}", f"url: {receiver.url}, secret: {{env: PW_HOOK}}"))
    with watching(file, {"PW_TOKEN": token, "PW_HOOK": hook_secret}) as watch:
        pages = watch.pages()
        watch.wait(lambda: watch.said("info", "watching 1 target"))
        with pytest.raises(urllib.error.HTTPError, match="401"):
            get(f"{pages}/metrics")
        metrics = get(f"{pages}/metrics", token)
        watch.stop()
        everything = metrics + watch.log + json.dumps(watch.headlines)
    for path in (tmp_path / "data").rglob("*"):
        everything += path.read_bytes().decode("latin-1") if path.is_file() else ""
    assert token not in everything
    assert hook_secret not in everything


def test_nothing_is_left_behind_by_an_end(shop: LabProcess, receiver: Receiver, tmp_path: Path) -> None:
    """After Ctrl-C no thread, child or lock remains: a second watch on the same folder starts at once; a third beside it is refused."""
    file = config(tmp_path, shop.url, receiver.url)
    with watching(file) as first:
        first.wait(lambda: first.said("info", "watching 1 target"))
        assert first.stop() == 130
    with watching(file) as second:
        second.wait(lambda: second.said("info", "watching 1 target"))
        third = subprocess.run(
            [*COMMAND, "watch", "-c", str(file)], capture_output=True, text=True, check=False, timeout=30
        )
        assert third.returncode == 3
        assert "Another Parkwarden" in third.stderr
        assert second.stop() == 130
    assert threading.active_count() < 20
