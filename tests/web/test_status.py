"""Our own pages: what they say, and to whom. Asked through the ASGI interface, no socket."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

from parkwarden.model import Secret
from parkwarden.run.status import WatchStatus
from parkwarden.web.status import HEALTHY_TICKS, app


def ask(status: WatchStatus, path: str, *, now: float = 1000.0, token: str = "", bearer: str = "") -> tuple[int, str]:
    """One GET through ASGI."""
    application = app(lambda: status, tick_s=5.0, token=Secret(token) if token else None, clock=lambda: now)
    sent: list[dict] = []
    headers = [(b"authorization", f"Bearer {bearer}".encode())] if bearer else []
    scope = {"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": headers, "http_version": "1.1",
             "scheme": "http", "server": ("127.0.0.1", 1), "client": ("127.0.0.1", 2), "root_path": ""}  # fmt: skip

    async def receive() -> dict:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: dict) -> None:
        sent.append(message)

    asyncio.run(application(scope, receive, send))
    return sent[0]["status"], b"".join(m.get("body", b"") for m in sent[1:]).decode()


def test_health_follows_the_judging() -> None:
    """Alive while judging goes on; dead when it has stopped for HEALTHY_TICKS beats."""
    status = WatchStatus(started_at=0.0, last_tick_at=1000.0)
    assert ask(status, "/healthz", now=1000 + 5 * HEALTHY_TICKS - 1)[0] == 200
    assert ask(status, "/healthz", now=1000 + 5 * HEALTHY_TICKS)[0] == 503


def test_readiness_names_the_part_but_not_the_secret_path() -> None:
    """A full disk is told on /readyz without a token, the details behind the colon are not."""
    status = WatchStatus(started_at=0.0, troubles={"state": "cannot write: /secret/place is full"})
    code, body = ask(status, "/readyz")
    assert code == 503
    assert json.loads(body) == {"ready": False, "troubles": {"state": "cannot write"}}
    assert ask(WatchStatus(started_at=0.0), "/readyz")[0] == 200


def test_a_token_guards_metrics_and_not_health() -> None:
    """Without the right token /metrics and / are refused; health probes carry none."""
    status = WatchStatus(started_at=0.0, last_tick_at=1000.0)
    assert ask(status, "/metrics", token="tok-1")[0] == 401
    assert ask(status, "/metrics", token="tok-1", bearer="tok-2")[0] == 401
    assert ask(status, "/metrics", token="tok-1", bearer="tok-1")[0] == 200
    assert ask(status, "/healthz", token="tok-1")[0] == 200


def test_metrics_show_what_the_status_says() -> None:
    """Counters and gauges appear under their names with their labels; hostile label values are escaped."""
    status = WatchStatus(
        started_at=1.0,
        targets=Counter(up=3),
        targets_left_out=2,
        looks=Counter({("trace", "ok"): 7}),
        scrape_bytes=4096,
        dropped=Counter({'a"b\n': 1}),
    )
    text = ask(status, "/metrics")[1]
    assert 'parkwarden_targets{state="up"} 3.0' in text
    assert "parkwarden_targets_left_out 2.0" in text
    assert "parkwarden_scrape_bytes_total 4096.0" in text
    assert 'parkwarden_looks_total{kind="trace",outcome="ok"} 7.0' in text
    assert 'parkwarden_dropped_total{what="a\\"b\\n"} 1.0' in text
