"""Apprise: mail, chat and pager services by URL. The URL is a secret and shows nowhere.

Apprise is synchronous and imports a lot: it lives on threads of this channel's own, and each delivery has a time limit. A thread
that hangs past it cannot be stopped; when all of them hang the channel says so and is tried again later: it never holds another up.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from parkwarden.act.notifier import DeliveryError
from parkwarden.act.settings import AppriseSettings, Pace
from parkwarden.alert.text import markdown, plain, title
from parkwarden.model import Notification, Priority, Tell

KINDS = {Priority.P0: "failure", Priority.P1: "failure", Priority.P2: "warning", Priority.P3: "info"}


class AppriseNotifier:
    """See the module."""

    def __init__(self, name: str, settings: AppriseSettings) -> None:
        self.name = name
        self.pace: Pace = settings.pace
        self._settings = settings
        self._threads: ThreadPoolExecutor | None = None
        self._hanging: set[Future[bool]] = set()
        self._apprise: Any = None

    async def send(self, n: Notification) -> None:
        self._hanging = {future for future in self._hanging if not future.done()}
        if len(self._hanging) >= self.pace.concurrency:
            raise DeliveryError("earlier deliveries still hang", retry=True, after_s=self.pace.timeout_s)
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self.pace.concurrency, thread_name_prefix=f"apprise-{self.name}")
        future = self._threads.submit(self._notify, n)
        try:
            taken = await asyncio.wait_for(asyncio.wrap_future(future), self.pace.timeout_s)
        except TimeoutError as error:
            self._hanging.add(future)
            raise DeliveryError(f"no answer within {self.pace.timeout_s:g} s", retry=True) from error
        except DeliveryError:
            raise
        except Exception as error:  # a plugin of Apprise's: its words may hold the URL
            raise DeliveryError(f"Apprise failed: {type(error).__name__}", retry=True) from None
        if not taken:
            raise DeliveryError("the service did not take it", retry=True)

    async def close(self) -> None:
        threads, self._threads = self._threads, None
        if threads is not None:
            threads.shutdown(wait=False, cancel_futures=True)

    def _notify(self, n: Notification) -> bool:
        """On a thread: whether the service took it."""
        import apprise

        if self._apprise is None:
            logging.getLogger("apprise").disabled = True  # it quotes tokens and URLs that it does not understand
            asset = apprise.AppriseAsset(app_id="Parkwarden", app_desc="Parkwarden", app_url="", secure_logging=True)
            made = apprise.Apprise(asset=asset)
            if not made.add(self._settings.url.reveal()):
                raise DeliveryError("Apprise does not understand the URL of this channel", retry=False)
            self._apprise = made
        kind = "success" if n.tell is Tell.RESOLVED else KINDS[n.incident.priority]
        return bool(
            self._apprise.notify(
                title=title(n),
                body=markdown(n) if self._settings.markdown else plain(n),
                notify_type=kind,
                body_format="markdown" if self._settings.markdown else "text",
            )
        )
