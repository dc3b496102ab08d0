"""kill -9 at random moments, under load, again and again: no incident, evidence or alert is lost, none is told twice under a new key."""

from __future__ import annotations

import json
import os
import random
import subprocess
import threading
import time
import urllib.request
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from parkwarden.model import IncidentState
from parkwarden.run import incidents
from parkwarden.run.lab import running
from parkwarden.store.settings import StoreSettings
from parkwarden.store.state import State
from tests.e2e.receiver import Receiver
from tests.e2e.test_watch_e2e import config
from tests.e2e.watching import COMMAND, watching

POLICY = "alert: {keep_firing_s: 10, rejudge_s: 5, reopen_s: 86400, update_min_s: 5, flap_transitions: 1000}"
LIFE_S = (0.5, 14.0)
"""How long each process lives, from its start: from before it judges to after it has told."""
TOLD_S = 120.0
"""A leak is told with its evidence by then, whenever it began."""
LEAK_S = 35.0
CALM_S = 25.0


@pytest.mark.e2e
def test_killed_a_few_times() -> None:
    """See the module; ten kills in every CI."""
    killed_again_and_again(10)


@pytest.mark.full
def test_killed_two_hundred_times() -> None:
    """See the module; two hundred kills."""
    killed_again_and_again(200)


def killed_again_and_again(times: int) -> None:
    import tempfile

    seed = int(os.environ.get("FUZZ_SEED", "0")) or random.SystemRandom().randrange(1 << 30)
    chance = random.Random(seed)
    with tempfile.TemporaryDirectory() as scratch, running("shop") as shop, Receiver() as receiver:
        folder = Path(scratch)
        file = config(folder, shop.url, receiver.url, POLICY)
        with tides(shop.url):
            acknowledged: set[str] = set()
            for life in range(times):
                with watching(file) as watch:
                    if not life:  # the first one tells of evidence before it dies: there must be something to lose
                        watch.wait(lambda: any(body["incident"]["evidence"] for body in receiver.bodies()), TOLD_S)
                    time.sleep(chance.uniform(*LIFE_S))
                    assert watch.process.poll() is None, watch.log[-2000:]
                    watch.process.kill()
                    watch.process.wait()
                if chance.random() < 0.3:
                    acknowledged |= acknowledge(folder, chance)
        with watching(file) as watch:  # the last one may finish: cure, resolve, deliver
            watch.pages()
            watch.wait(lambda: nothing_waits(folder), 240)
            assert watch.stop() == 130
        print(f"seed {seed}: {len(receiver.requests)} deliveries, {len(acknowledged)} acknowledged")
        check(folder, file, receiver.bodies(), acknowledged)


@contextmanager
def tides(url: str) -> Iterator[None]:
    """Leaks that begin and are cured, over and over; cured when the block ends."""
    over = threading.Event()

    def ask(path: str) -> None:
        urllib.request.urlopen(url + path, timeout=10).close()

    def run() -> None:
        while not over.is_set():
            ask("/leak/start?kind=send-without-receiver&per_s=50")
            over.wait(LEAK_S)
            ask("/leak/stop")
            ask("/leak/release")
            over.wait(CALM_S)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def state_of(folder: Path) -> State:
    return State.open(settings=StoreSettings(folder=str(folder / "data")))


def acknowledge(folder: Path, chance: random.Random) -> set[str]:
    """As the command line does it, while no watch runs."""
    with state_of(folder) as state:
        firing = [i for i in state.incidents() if i.state is IncidentState.FIRING and not i.acknowledged_at]
        if not firing:
            return set()
        one = chance.choice(firing)
        incidents.acknowledge(state, one.id, "tester", time.time())
        return {one.id}


def nothing_waits(folder: Path) -> bool:
    with state_of(folder) as state:
        return state.outbox_counts()["waiting"] == 0 and not state.incidents(active=True)


def check(folder: Path, file: Path, told: list[dict[str, Any]], acknowledged: set[str]) -> None:
    """What must hold in the end."""
    with state_of(folder) as state:
        incidents = {i.id: i for i in state.incidents(active=False)}
        queued = state.outbox(limit=100_000)
    assert told, "nothing was ever told: the test has shown nothing"
    keys = {body["key"] for body in told}
    assert keys == {q.notification.key for q in queued}, "an alert was lost, or told without being remembered"
    assert all(q.delivered_at for q in queued)
    assert {body["incident"]["id"] for body in told} <= set(incidents), "an incident was lost"
    for incident_id in acknowledged:
        assert incidents[incident_id].acknowledged_at, "an acknowledgement was lost"
    by_incident: dict[str, dict[int, str]] = defaultdict(dict)
    for body in told:
        by_incident[body["incident"]["id"]][body["incident"]["revision"]] = body["tell"]
    for revisions in by_incident.values():
        story = [revisions[r] for r in sorted(revisions) if revisions[r] in ("firing", "resolved")]
        assert all(a != b for a, b in pairwise(story)), f"told twice under a new key: {story}"
        assert story[-1] == "resolved"
    sites = defaultdict(set)
    for body in told:
        if body["incident"]["site_id"]:
            sites[body["incident"]["site_id"]].add(body["incident"]["id"])
    assert all(len(ids) == 1 for ids in sites.values()), f"one leak, several incidents: {dict(sites)}"
    evidence_is_whole(file, {digest for body in told for digest in body["incident"]["evidence"]})


def evidence_is_whole(file: Path, digests: set[str]) -> None:
    """Every digest that was told opens, and is what its digest says (the store checks)."""
    assert digests
    for digest in sorted(digests)[:20]:
        run = subprocess.run(
            [*COMMAND, "evidence", "open", digest, "-c", str(file), "-o", str(file.parent / "one"), "--force"],
            capture_output=True,
            text=True,
            check=False,
        )
        assert run.returncode == 0, run.stderr
    listed = subprocess.run(
        [*COMMAND, "evidence", "list", "-c", str(file), "--format", "json"], capture_output=True, check=True
    )
    assert digests <= {item["digest"] for item in json.loads(listed.stdout)["items"]}
