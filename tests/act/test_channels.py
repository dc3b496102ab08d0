"""Settings, signatures and the small parts of notifiers."""

from __future__ import annotations

import asyncio
import json
import threading
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkwarden.act.apprise import AppriseNotifier
from parkwarden.act.channels import notifiers
from parkwarden.act.http import retry_after
from parkwarden.act.notifier import DeliveryError
from parkwarden.act.settings import (
    AlertmanagerSettings,
    AppriseSettings,
    Channels,
    Pace,
    StdoutSettings,
    WebhookSettings,
    problems,
    with_all_channels,
)
from parkwarden.act.stdout import StdoutNotifier
from parkwarden.act.webhook import sign, verify
from parkwarden.alert.policy import Policy, Route
from parkwarden.model import Secret
from tests.act.build import note

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ALL = Channels(
    alertmanager={"am": AlertmanagerSettings(urls=("http://am:9093",))},
    webhook={"hook": WebhookSettings(url="https://hook", secret=Secret("hidden"))},
    apprise={"chat": AppriseSettings(url=Secret("slack://hidden"))},
    stdout={"log": StdoutSettings()},
)


def test_every_kind_has_a_notifier() -> None:
    """Each configured channel becomes one notifier of its name; making them connects to nothing."""
    assert [n.name for n in notifiers(ALL, lambda: 0.0)] == ["am", "hook", "chat", "log"]


def test_settings_never_show_secrets() -> None:
    """Printing the settings prints stars."""
    assert "hidden" not in repr(ALL)


def test_a_policy_that_names_nobody_tells_all() -> None:
    """Channels without routes are all told; a policy that says where to tell is left alone."""
    assert with_all_channels(Policy(), ALL).channels == ("am", "hook", "chat", "log")
    assert with_all_channels(Policy(channels=("log",)), ALL).channels == ("log",)


def test_problems_name_what_cannot_work() -> None:
    """Typos in channels and routes are found before the first alert is lost to them."""
    assert problems(ALL, Policy(channels=("am",))) == []
    wrong = Channels(
        webhook={"a b": WebhookSettings(url="ftp://x"), "am": WebhookSettings(url="https://u:p@host")},
        alertmanager={"am": AlertmanagerSettings(urls=())},
    )
    policy = Policy(
        channels=("nobody",), routes=(Route(matchers={"env": "~("}, channels=("am",), unanswered=("boss",)),)
    )
    assert [p.code for p in problems(wrong, policy)] == [
        "channel-twice",
        "channel-name",
        "channel-url",
        "channel-url",
        "channel-url",
        "no-such-channel",
        "bad-matcher",
        "no-such-channel",
    ]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7.0),
        (" 120 ", 120.0),
        ("Thu, 01 Jan 2026 00:01:00 GMT", 60.0),
        ("Wed, 31 Dec 2025 23:00:00 GMT", 0.0),
        ("", None),
        ("soon", None),
        ("-5", None),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    """Numbers and HTTP dates are understood, a date that has passed means now."""
    assert retry_after(value, NOW) == seconds


@given(st.text(max_size=60))
def test_retry_after_never_raises(value: str) -> None:
    """The header is a stranger's."""
    found = retry_after(value, NOW)
    assert found is None or found >= 0


@given(st.binary(), st.text(max_size=60))
def test_signatures_hold_and_garbage_does_not(body: bytes, garbage: str) -> None:
    """Our signature verifies, nothing made up does, and no header raises."""
    secret = Secret("k")
    assert verify(secret, body, sign(secret, body, 100), 100)
    assert not verify(secret, body, garbage, 100)
    assert not verify(secret, body, "t=" + "9" * 400 + ",v1=x", 100)


def test_stdout_writes_one_line_each() -> None:
    """A line of JSON per notification; a closed pipe is for good."""
    lines: list[bytes] = []
    asyncio.run(StdoutNotifier("log", StdoutSettings(), lines.append).send(note()))
    assert len(lines) == 1
    assert json.loads(lines[0])["key"] == "i1.1.hook"

    def closed(line: bytes) -> None:
        raise BrokenPipeError

    with pytest.raises(DeliveryError) as caught:
        asyncio.run(StdoutNotifier("log", StdoutSettings(), closed).send(note()))
    assert not caught.value.retry


def test_an_apprise_plugin_that_hangs_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service that never answers is given up at the time limit, and no thread more than the channel's own is ever used."""
    release = threading.Event()
    settings = AppriseSettings(url=Secret("json://hidden"), pace=Pace(concurrency=1, timeout_s=0.01))
    notifier = AppriseNotifier("chat", settings)
    monkeypatch.setattr(notifier, "_notify", lambda n: release.wait())
    try:
        with pytest.raises(DeliveryError, match="no answer within") as caught:
            asyncio.run(notifier.send(note()))
        assert caught.value.retry
        with pytest.raises(DeliveryError, match="still hang"):
            asyncio.run(notifier.send(note()))
    finally:
        release.set()
        asyncio.run(notifier.close())


def test_an_apprise_plugin_that_breaks_tells_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception's words may hold the URL: only its kind is told."""
    notifier = AppriseNotifier("chat", AppriseSettings(url=Secret("json://hidden")))

    def broken(n: object) -> bool:
        raise RuntimeError("json://hidden")

    monkeypatch.setattr(notifier, "_notify", broken)
    with pytest.raises(DeliveryError, match="Apprise failed: RuntimeError") as caught:
        asyncio.run(notifier.send(note()))
    assert caught.value.retry
    asyncio.run(notifier.close())


@pytest.mark.parametrize("url", ["s3cr3t-w0rd", "json://h/ s3cr3t-w0rd", "nobody://s3cr3t-w0rd"])
def test_a_url_that_apprise_does_not_understand_is_not_logged(url: str, caplog: pytest.LogCaptureFixture) -> None:
    """Apprise quotes what it cannot read into its own log, which is ours too."""
    notifier = AppriseNotifier("chat", AppriseSettings(url=Secret(url)))

    async def work() -> None:
        with caplog.at_level("DEBUG"), pytest.raises(DeliveryError) as caught:
            await notifier.send(note())
        await notifier.close()
        assert "s3cr3t" not in str(caught.value)

    asyncio.run(work())
    assert "s3cr3t" not in caplog.text
