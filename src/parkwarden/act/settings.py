"""Channels: where notifications go. What `channels:` in the configuration sets, by kind and name; pydantic validates it as it is.

    channels:
      alertmanager: {main: {urls: [http://alertmanager:9093]}}
      webhook:      {tickets: {url: https://hooks.example/parkwarden, secret: {env: HOOK_SECRET}}}
      apprise:      {oncall: {url: {file: /run/secrets/pagerduty}}}
      stdout:       {log: {}}

Names are what `alert.routes` speak of; a name stands for one channel whatever its kind.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from parkwarden.alert.match import problem_of
from parkwarden.alert.policy import Policy
from parkwarden.model import Auth, Problem, Secret

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
"""A channel's name: it is a part of idempotency keys and of metrics' labels."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How fast a channel may be used."""

    concurrency: int = 4
    """Deliveries under way at once; each is about another incident."""
    per_minute: int = 120
    """Deliveries a minute. What is above waits (it is not lost): a storm must not get our key blocked at a chat service."""
    timeout_s: float = 15.0
    """One delivery, all of it. Longer: a hanging receiver holds its channel up; shorter: slow mail servers are told twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertmanagerSettings:
    """Prometheus' Alertmanager, API v2. Grouping, silences and receivers are then its own."""

    urls: tuple[str, ...]
    """Base of each instance of the cluster (with a path prefix, if any). Each gets every alert: they do not share them."""
    auth: Auth | None = None
    labels: Mapping[str, str] = field(default_factory=dict)
    """Further labels of every alert (`cluster: eu-1`)."""
    resend_s: float = 60.0
    """Active alerts are sent again this often: an Alertmanager keeps them in memory only."""
    keep_s: float = 240.0
    """An alert not sent again for this long ends by itself (endsAt): three lost sends are tolerated."""
    resolved_s: float = 900.0
    """A resolved one is sent again for this long, so that a lost `resolved` is repaired."""
    pace: Pace = Pace()


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSettings:
    """An HTTP POST of `parkwarden.alert/1` (docs/schema/alert-1.json) for each notification."""

    url: str
    """Where to post: http or https, without credentials in it."""
    secret: Secret | None = None
    """Key of the HMAC-SHA256 signature; without one the receiver cannot tell who speaks."""
    auth: Auth | None = None
    headers: Mapping[str, Secret] = field(default_factory=dict)
    """Further headers; their values are kept secret."""
    pace: Pace = Pace()


@dataclass(frozen=True, slots=True, kw_only=True)
class AppriseSettings:
    """Any service Apprise speaks to: mail, Slack, Feishu, DingTalk, WeCom, PagerDuty ... (github.com/caronc/apprise/wiki)."""

    url: Secret
    """Apprise's URL of the service; it holds its credentials. Several, separated by blanks, are told together."""
    markdown: bool = False
    """Send Markdown to services that show it; plain text is shown right by all."""
    pace: Pace = Pace(concurrency=2, per_minute=30, timeout_s=30.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class StdoutSettings:
    """One line of JSON (`parkwarden.alert/1`) per notification on standard output."""

    pace: Pace = Pace(concurrency=1, per_minute=6_000)


Settings = AlertmanagerSettings | WebhookSettings | AppriseSettings | StdoutSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class Channels:
    """All channels, by kind and name."""

    alertmanager: Mapping[str, AlertmanagerSettings] = field(default_factory=dict)
    webhook: Mapping[str, WebhookSettings] = field(default_factory=dict)
    apprise: Mapping[str, AppriseSettings] = field(default_factory=dict)
    stdout: Mapping[str, StdoutSettings] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.alertmanager, *self.webhook, *self.apprise, *self.stdout)


def problems(channels: Channels, policy: Policy) -> list[Problem]:
    """What cannot work in channels and routes: names twice or odd, routes to channels that are not there, matchers that match nothing."""
    found = [
        Problem("channel-twice", f"channels.{n}", f"two channels are called {n}")
        for n, c in Counter(channels.names).items()
        if c > 1
    ]
    found += [
        Problem("channel-name", f"channels.{name}", f"{name!r} is no name: letters, digits, - and _, at most 64")
        for name in channels.names
        if not NAME.fullmatch(name)
    ]
    for kind, where in (("alertmanager", channels.alertmanager), ("webhook", channels.webhook)):
        for name, settings in where.items():
            urls = settings.urls if isinstance(settings, AlertmanagerSettings) else (settings.url,)
            if not urls or not all(re.fullmatch(r"https?://[^\s@]+", url) for url in urls):
                text = "needs http:// or https:// URLs without credentials in them (they belong under auth)"
                found.append(Problem("channel-url", f"channels.{kind}.{name}", f"{name} {text}"))
    known = set(channels.names)
    for i, route in enumerate(policy.routes):
        found += [
            Problem("no-such-channel", f"alert.routes[{i}]", f"no channel is called {name}")
            for name in (*route.channels, *route.unanswered)
            if name not in known
        ]
        if wrong := problem_of(route.matchers):
            found.append(Problem("bad-matcher", f"alert.routes[{i}]", wrong))
    found += [
        Problem("no-such-channel", "alert.channels", f"no channel is called {name}")
        for name in policy.channels
        if name not in known
    ]
    return found


def with_all_channels(policy: Policy, channels: Channels) -> Policy:
    """The policy as it is meant when it says nothing of where to tell: to all channels."""
    return (
        policy if policy.channels or policy.routes else replace(policy, channels=tuple(dict.fromkeys(channels.names)))
    )
