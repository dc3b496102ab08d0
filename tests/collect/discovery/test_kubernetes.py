"""Listing and watching pods: what changes counts at once, what fails keeps what is known."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from parkwarden.collect.discovery import kubernetes
from parkwarden.collect.discovery.kubernetes import PodDiscovery
from parkwarden.collect.discovery.settings import Kubernetes
from parkwarden.model.instance import Auth, Secret, Target

from .api import Api, pod


class Watching:
    """A source at work beside the played API."""

    def __init__(self, api: Api, source: PodDiscovery) -> None:
        self.api = api
        self.source = source
        self.targets: Sequence[Target] = ()
        self.waits: list[float] = []

    def publish(self, _name: str, targets: Sequence[Target]) -> None:
        self.targets = targets

    @property
    def names(self) -> list[str]:
        return [t.labels["pod"] for t in self.targets]

    async def until(self, what: Callable[[], object]) -> None:
        """A limit for a broken test, no part of what is tested."""
        async with asyncio.timeout(10):
            while not what():
                await asyncio.sleep(0.001)


@asynccontextmanager
async def watching(api: Api, tmp_path: Path, **settings: Any) -> AsyncIterator[Watching]:
    (tmp_path / "token").write_text("token-1\n")

    async def sleep(seconds: float) -> None:
        w.waits.append(seconds)
        await asyncio.sleep(0)

    source = PodDiscovery(Kubernetes(api_server=api.url, **settings), account=str(tmp_path), environ={}, sleep=sleep)
    w = Watching(api, source)
    task = asyncio.create_task(source.run(w.publish))
    try:
        yield w
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def story(tell: Callable[[Api], Awaitable[None]]) -> None:
    async def whole() -> None:
        before = len(asyncio.all_tasks())
        async with Api() as api:
            await tell(api)
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == before

    open_before = len(os.listdir("/proc/self/fd"))
    asyncio.run(whole())
    assert len(os.listdir("/proc/self/fd")) <= open_before


def test_pods_come_and_go(tmp_path: Path) -> None:
    """Listed in pages, then followed: added, changed, ending, deleted; the token of the account is shown."""

    async def tell(api: Api) -> None:
        for i in range(5):
            await api.put(pod(f"p{i}", ip=f"10.0.0.{i}"))
        async with watching(api, tmp_path, label_selector="app=x", field_selector="spec.nodeName=n") as w:
            await w.until(lambda: len(w.targets) == 5)
            assert [q.get("continue") for _, q in api.asked[:3]] == [None, "2", "4"]
            assert all((q["labelSelector"], q["fieldSelector"]) == ("app=x", "spec.nodeName=n") for _, q in api.asked)
            await api.put(pod("new", ip="10.0.0.9"))
            await w.until(lambda: "new" in w.names)
            await api.put(pod("p0", ip="10.0.0.0", restarts=1, started="2026-11-21T09:00:00Z"))
            await w.until(lambda: w.targets[1].restarts == 1)
            await api.put(pod("p1", deleted=True))
            await w.until(lambda: "p1" not in w.names)
            await api.delete("p2")
            await w.until(lambda: "p2" not in w.names)
            assert w.source.status().healthy
            assert w.source.status().last_success is not None

    story(tell)


def test_a_watch_goes_on_where_it_ended(tmp_path: Path) -> None:
    """An ended watch is taken up from the last version, the bookmarks' included; nothing is listed again."""

    async def tell(api: Api) -> None:
        await api.put(pod("a"))
        async with watching(api, tmp_path) as w:
            await w.until(lambda: w.names == ["a"])
            await api.bookmark()
            await w.until(lambda: w.source.events == 1)
            at = api.version
            await api.cut()
            await w.until(lambda: len([q for _, q in api.asked if q.get("watch")]) >= 2)
            last = api.asked[-1][1]
            assert (last["resourceVersion"], last["allowWatchBookmarks"]) == (str(at), "true")
            await api.put(pod("b"))
            await w.until(lambda: w.names == ["a", "b"])
            assert w.source.relists == 0

    story(tell)


def test_gone_lists_anew(tmp_path: Path) -> None:
    """410, as an ERROR event or as a status: who vanished meanwhile is gone, who stayed is never lost."""

    async def tell(api: Api) -> None:
        await api.put(pod("a"))
        await api.put(pod("b"))
        async with watching(api, tmp_path) as w:
            await w.until(lambda: w.names == ["a", "b"])
            await api.forget()
            del api.pods["shop", "b"]
            await api.cut()
            await w.until(lambda: w.names == ["a"])
            assert w.source.relists == 1
            api.fail = [410]
            await api.cut()
            await w.until(lambda: w.source.relists == 2)
            assert w.names == ["a"]

    story(tell)


def test_a_new_token_counts_at_once(tmp_path: Path) -> None:
    """401 keeps what is known and says so; the token's file is read for each request."""

    async def tell(api: Api) -> None:
        await api.put(pod("a"))
        async with watching(api, tmp_path) as w:
            await w.until(lambda: w.names == ["a"])
            api.tokens = {"token-2"}
            await api.cut()
            await w.until(lambda: w.source.status().problems)
            (problem,) = w.source.status().problems
            assert problem.code == "unauthorized"
            assert "token-1" not in repr(w.source.status())
            assert w.names == ["a"]
            (tmp_path / "token").write_text("token-2")
            await w.until(lambda: w.source.status().healthy)

    story(tell)


@pytest.mark.parametrize(
    ("wrong", "code"),
    [(403, "forbidden"), (500, "bad-status"), (b"x" * 65536, "too-large"), (b'{"type": 5}\n' * 5_000, "bad-answer"), (b"}\n" * 30_000, "bad-answer")],
)  # fmt: skip
def test_a_broken_api_keeps_what_is_known(wrong: object, code: str, tmp_path: Path) -> None:
    """Refusals, endless lines and nonsense: told, tried again later each time, and over when it is over."""

    async def tell(api: Api) -> None:
        await api.put(pod("a"))
        async with watching(api, tmp_path) as w:
            await w.until(lambda: w.names == ["a"])
            api.fail = [wrong] * 4
            await api.cut()
            await w.until(lambda: not api.fail)
            await w.until(lambda: w.source.failures >= 4)
            assert w.names == ["a"]
            grown = [s for s in w.waits if s != kubernetes.BATCH_S]
            assert grown[-4:] == sorted(grown[-4:])
            assert max(grown) >= 4.0
            await api.put(pod("b"))
            await w.until(lambda: w.names == ["a", "b"])
            await w.until(lambda: w.source.status().healthy)

    seen: list[str] = []
    original = PodDiscovery.problem

    def remember(self: PodDiscovery, code: str, where: str, text: str) -> None:
        seen.append(code)
        original(self, code, where, text)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PodDiscovery, "problem", remember)
        patch.setattr(kubernetes, "MAX_EVENT_BYTES", 1 << 20)
        patch.setattr(kubernetes, "MAX_PAGE_BYTES", 1 << 20)
        story(tell)
    assert code in seen


def test_namespaces_are_watched_apart(tmp_path: Path) -> None:
    """Each has its list and watch; another bearer than the account's where `api_auth` says so."""

    async def tell(api: Api) -> None:
        api.tokens = {"mine"}
        for name in ("x", "y", "z"):
            await api.put(pod("p", namespace=name))
        auth = Auth(bearer=Secret("mine"))
        async with watching(api, tmp_path, namespaces=("x", "y"), api_auth=auth) as w:
            await w.until(lambda: [t.id for t in w.targets] == ["x/p", "y/p"])
            assert {path for path, _ in api.asked} == {"/api/v1/namespaces/x/pods", "/api/v1/namespaces/y/pods"}

    story(tell)


def test_outside_a_cluster_it_says_so(tmp_path: Path) -> None:
    """Without an API server nothing is published: nothing known is not "no targets"."""

    async def tell(api: Api) -> None:
        async with watching(api, tmp_path) as w:
            w.source._settings = Kubernetes()
            await w.until(lambda: w.source.status().problems)
            assert w.source.status().problems[0].code == "no-cluster"
            assert w.source.status().last_success is None

    story(tell)


def test_a_broken_pod_is_a_problem_of_its_own(tmp_path: Path) -> None:
    """The others are targets."""

    async def tell(api: Api) -> None:
        await api.put(pod("a"))
        await api.put(pod("b", annotations={"parkwarden.io/port": "none"}))
        async with watching(api, tmp_path) as w:
            await w.until(lambda: w.names == ["a"])
            assert [(p.code, p.where) for p in w.source.status().problems] == [("bad-pod", "shop/b")]

    story(tell)
