"""From settings to notifiers."""

from __future__ import annotations

from collections.abc import Callable

from parkwarden.act.notifier import Notifier
from parkwarden.act.settings import Channels


def notifiers(channels: Channels, clock: Callable[[], float]) -> list[Notifier]:
    """A notifier per channel, by name; nothing is connected yet."""
    from parkwarden.act.alertmanager import AlertmanagerNotifier
    from parkwarden.act.apprise import AppriseNotifier
    from parkwarden.act.stdout import StdoutNotifier
    from parkwarden.act.webhook import WebhookNotifier

    return [
        *(AlertmanagerNotifier(name, settings, clock) for name, settings in channels.alertmanager.items()),
        *(WebhookNotifier(name, settings, clock) for name, settings in channels.webhook.items()),
        *(AppriseNotifier(name, settings) for name, settings in channels.apprise.items()),
        *(StdoutNotifier(name, settings) for name, settings in channels.stdout.items()),
    ]
