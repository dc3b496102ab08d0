"""Alerts arrive: Debian's Alertmanager takes, groups and resolves them; a webhook checks its signature; Apprise speaks JSON."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from parkwarden.act.channels import notifiers
from parkwarden.act.notifier import DeliveryError
from parkwarden.act.sender import Sender
from parkwarden.act.settings import AlertmanagerSettings, AppriseSettings, Channels, WebhookSettings
from parkwarden.act.webhook import SIGNATURE, verify
from parkwarden.alert.policy import Policy
from parkwarden.model import Act, Notification, Priority, Secret, Tell
from parkwarden.run._lab_process import free_port
from tests.act.build import FakeOutbox, incident, note
from tests.alert.build import World, leak, left, trend
from tests.e2e.receiver import Receiver

pytestmark = pytest.mark.e2e

CONFIG = """
route:
  receiver: hook
  group_by: [service]
  group_wait: 200ms
  group_interval: 1s
  repeat_interval: 1h
receivers:
  - name: hook
    webhook_configs:
      - url: {url}/hook
        send_resolved: true
"""


def eventually(what: Callable[[], Any], within_s: float = 60.0) -> Any:
    """The first true answer of `what`."""
    end = time.monotonic() + within_s
    while time.monotonic() < end:
        if found := what():
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {within_s} s: {what}")


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        yield made


@pytest.fixture
def alertmanager(tmp_path: Path, receiver: Receiver) -> Iterator[str]:
    """A real Alertmanager with its own data folder, alone (no cluster), telling `receiver`; its URL."""
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    assert program, "no Alertmanager: tools/setup-e2e.sh installs it"
    config = tmp_path / "alertmanager.yml"
    config.write_text(CONFIG.format(url=receiver.url))
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        program,
        f"--config.file={config}",
        f"--storage.path={tmp_path / 'data'}",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--cluster.listen-address=",
    ]
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
    try:
        eventually(lambda: get(f"{url}/-/ready", raw=True))
        yield url
    finally:
        process.terminate()
        process.wait(10)


def get(url: str, raw: bool = False) -> Any:
    try:
        with urllib.request.urlopen(url, timeout=5) as answer:
            body = answer.read()
    except OSError:
        return None
    return body if raw else json.loads(body)


def send(channels: Channels, *notes: Notification) -> None:
    """Deliver with notifiers of these channels, in order; raises what they raise."""

    async def main() -> None:
        made = {notifier.name: notifier for notifier in notifiers(channels, time.time)}
        try:
            for n in notes:
                await made[n.channel].send(n)
        finally:
            for notifier in made.values():
                await notifier.close()

    asyncio.run(main())


def test_alertmanager_takes_groups_and_resolves(alertmanager: str, receiver: Receiver) -> None:
    """Two incidents of one service are one group there; when we resolve, it resolves, and tells its receivers so."""
    channels = Channels(alertmanager={"am": AlertmanagerSettings(urls=(alertmanager, "http://127.0.0.1:9"))})
    world = World(Policy(channels=("am",), keep_firing_s=30), now=time.time() - 120)
    both = [leak(tier="critical"), leak("s2", tier="critical"), leak("s3", service="search")]
    world.run(*both, for_s=30)
    assert len(world.sent) == 3

    async def story() -> None:
        [notifier] = notifiers(channels, time.time)
        try:
            for n in world.sent:
                await notifier.send(n)
            await asyncio.to_thread(lambda: eventually(lambda: len(receiver.requests) >= 2))
            groups = await asyncio.to_thread(get, f"{alertmanager}/api/v2/alerts/groups")
            sizes = {group["labels"]["service"]: len(group["alerts"]) for group in groups}
            assert sizes == {"orders": 2, "search": 1}
            labels = groups[0]["alerts"][0]["labels"]
            assert (labels["alertname"], labels["env"], labels["severity"]) == (
                "send-without-receiver",
                "prod",
                "critical",
            )
            assert (labels["priority"], labels["incident"], labels["sla_tier"]) == ("P0", "i1", "critical")
            assert "main.Serve /src/serve.go:7" in groups[0]["alerts"][0]["annotations"]["description"]
            world.sent.clear()
            world.run(both[2], for_s=90)
            assert [n.tell for n in world.sent] == [Tell.RESOLVED, Tell.RESOLVED]
            for n in world.sent:
                await notifier.send(n)
        finally:
            await notifier.close()

    asyncio.run(story())
    eventually(lambda: len(get(f"{alertmanager}/api/v2/alerts")) == 1)
    over = eventually(lambda: [b for b in receiver.bodies() if b["status"] == "resolved"])
    assert over[0]["groupLabels"] == {"service": "orders"}
    assert {a["labels"]["incident"] for a in over[0]["alerts"]} == {"i1", "i2"}


def test_an_alert_that_changes_its_name_is_one_alert_there(alertmanager: str) -> None:
    """Adopted, or raised in priority: the alert under the old labels ends as the new one begins."""
    channels = Channels(alertmanager={"am": AlertmanagerSettings(urls=(alertmanager,))})
    world = World(Policy(channels=("am",)), now=time.time() - 60)
    world.run(trend(), for_s=30)
    world.run(trend(), leak(time_left=left(600)), for_s=5)
    assert [n.tell for n in world.sent] == [Tell.FIRING, Tell.UPDATE]
    send(channels, *world.sent)
    alerts = eventually(lambda: get(f"{alertmanager}/api/v2/alerts"))
    assert [(a["labels"]["alertname"], a["labels"]["priority"]) for a in alerts] == [("send-without-receiver", "P0")]


def test_alertmanager_is_told_again_after_it_forgot(alertmanager: str) -> None:
    """Its alerts live in memory: the refresh alone, with what the watch holds, brings an active one back, ended-by-itself in 4 min."""
    row = incident(told={"channels": "am"}, firing_since=time.time() - 60)
    quiet = incident("i2", told={"channels": "other"})
    channels = Channels(alertmanager={"am": AlertmanagerSettings(urls=(alertmanager,), resend_s=0.2)})

    async def main() -> None:
        sender = Sender(FakeOutbox(), notifiers(channels, time.time), time.time, active=lambda: [row, quiet])
        task = asyncio.create_task(sender.run())
        await asyncio.to_thread(lambda: eventually(lambda: get(f"{alertmanager}/api/v2/alerts")))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(main())
    [alert] = get(f"{alertmanager}/api/v2/alerts")
    assert alert["labels"]["incident"] == "i1"
    ends = time.mktime(time.strptime(alert["endsAt"][:19], "%Y-%m-%dT%H:%M:%S")) - time.timezone
    assert 200 < ends - time.time() < 245


def test_hostile_labels_do_not_cost_the_push(alertmanager: str) -> None:
    """Whatever a watched process calls itself, Alertmanager accepts the push."""
    odd = {"": "x", "1a": "y", "né\n": "\x00\x1b", "ok": "\ud800", "__name__": "z", "empty": ""}
    row = incident("bad", labels=odd, service="\u202e\x07", line="\ud83d", title="\x00" * 5)
    n = Notification(key="k", incident_id="bad", channel="am", tell=Tell.FIRING, at=0.0, incident=row)
    send(Channels(alertmanager={"am": AlertmanagerSettings(urls=(alertmanager,))}), n)
    assert len(eventually(lambda: get(f"{alertmanager}/api/v2/alerts"))) == 1


def test_a_webhook_can_check_who_speaks(receiver: Receiver) -> None:
    """The body is signed with time and secret; a changed body, another secret and an old message do not verify."""
    secret = Secret("s3cret")
    hook = WebhookSettings(url=f"{receiver.url}/pw?x=1", secret=secret, headers={"X-Token": Secret("t0")})
    send(Channels(webhook={"hook": hook}), note(priority=Priority.P0))
    [(path, headers, body)] = receiver.requests
    assert path == "/pw?x=1"
    assert headers["Idempotency-Key"] == "i1.1.hook"
    assert headers["X-Token"] == "t0"
    now = time.time()
    assert verify(secret, body, headers[SIGNATURE], now)
    assert not verify(secret, body + b" ", headers[SIGNATURE], now)
    assert not verify(Secret("other"), body, headers[SIGNATURE], now)
    assert not verify(secret, body, headers[SIGNATURE], now + 301)
    told = json.loads(body)
    assert (told["schema"], told["runbook"], told["incident"]["priority"]) == ("parkwarden.alert/1", "RB-7", "P0")


@pytest.mark.parametrize(
    ("status", "headers", "retry", "after"),
    [
        (503, {"Retry-After": "7"}, True, 7.0),
        (429, {}, True, None),
        (400, {}, False, None),
        (302, {"Location": "/x"}, False, None),
    ],
)
def test_refusals_are_told_apart(
    receiver: Receiver, status: int, headers: dict[str, str], retry: bool, after: float | None
) -> None:
    """What may pass is retried and when, what cannot is not; redirects are not followed."""
    receiver.answers = [(status, headers)]
    with pytest.raises(DeliveryError) as caught:
        send(Channels(webhook={"hook": WebhookSettings(url=receiver.url + "/token-in-path")}), note())
    assert (caught.value.retry, caught.value.after_s) == (retry, after)
    assert "token-in-path" not in str(caught.value)
    assert len(receiver.requests) == 1


def test_nobody_listens_is_a_retry() -> None:
    """A receiver that is not there may be there later."""
    with pytest.raises(DeliveryError, match="cannot be reached") as caught:
        send(Channels(webhook={"hook": WebhookSettings(url=f"http://127.0.0.1:{free_port()}")}), note())
    assert caught.value.retry


def test_apprise_tells_any_service_it_knows(receiver: Receiver) -> None:
    """Through Apprise's json:// the title, the plain text and the kind arrive; a refusal is a retry without the URL in it."""
    url = Secret(f"json://user:hidden@127.0.0.1:{receiver.port}/apprise")
    send(Channels(apprise={"chat": AppriseSettings(url=url)}), note(channel="chat"))
    told = receiver.bodies()[0]
    assert told["title"].startswith("[P1] FIRING orders (prod)")
    assert "Line: main.Serve /src/serve.go:7" in told["message"]
    assert told["type"] == "failure"
    receiver.answers = [(500, {})]
    with pytest.raises(DeliveryError) as caught:
        send(Channels(apprise={"chat": AppriseSettings(url=url)}), note(channel="chat"))
    assert caught.value.retry
    assert "hidden" not in str(caught.value)
    with pytest.raises(DeliveryError, match="does not understand") as caught:
        send(Channels(apprise={"chat": AppriseSettings(url=Secret("nonsense-hidden"))}), note(channel="chat"))
    assert not caught.value.retry


def test_acknowledged_and_silenced_end_to_end(receiver: Receiver) -> None:
    """An acknowledgement is told to whoever was told of it; under a silence nothing goes out."""
    from parkwarden.model import Silence

    channels = Channels(webhook={"hook": WebhookSettings(url=receiver.url)})
    world = World(Policy(channels=("hook",)), now=time.time() - 600)
    world.run(leak(), for_s=20)
    world.act(Act.ACKNOWLEDGE, "i1", "ada")
    world.run(leak(), for_s=10)
    world.silences = [Silence(id="q", matchers={"service": "orders"}, ends_at=time.time() + 9999)]
    world.run(for_s=500)
    send(channels, *world.sent)
    assert [(b["tell"], b["incident"]["acknowledged_by"]) for b in receiver.bodies()] == [
        ("firing", ""),
        ("acknowledged", "ada"),
    ]
