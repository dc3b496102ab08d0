"""The watch's own beat, without its loops: what is judged is committed, what fails is told, and no clock is believed blindly."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from parkwarden import kernels
from parkwarden.act.settings import Channels, StdoutSettings
from parkwarden.collect.fleet.settings import CollectSettings
from parkwarden.collect.streams.prometheus.settings import PrometheusSource
from parkwarden.collect.streams.settings import Listener, ReceiveSettings
from parkwarden.model import (
    Capture,
    Frame,
    IncidentState,
    Instance,
    Named,
    Read,
    Reading,
    Site,
    SiteCounts,
    Started,
    StoreError,
    UsageError,
)
from parkwarden.run.clock import SteadyClock
from parkwarden.run.config import Config
from parkwarden.run.headlines import Headline
from parkwarden.run.supervise import CALM_S
from parkwarden.run.watch import Watch
from parkwarden.store.settings import StoreSettings
from parkwarden.store.state import State

NOON = 1_700_000_000.0
FRAMES = (Frame("main.quote", "/src/shop/price.go", 42),)
SITE = Site("s1", "chan send", "main.quote", "/src/shop/price.go", 42, FRAMES, None)


class Scene:
    """A watch over one service that leaks 50 goroutines a second, on a time of its own."""

    def __init__(self, folder: Path) -> None:
        self.wall, self.steady, self.leaked = NOON, 0.0, 0
        self.headlines: list[Headline] = []
        config = replace(
            Config(),
            store=StoreSettings(folder=str(folder)),
            channels=Channels(stdout={"out": StdoutSettings()}),
        )
        clock = SteadyClock(lambda: self.wall, lambda: self.steady)
        self.watch = Watch(config, tell=self.headlines.append, clock=clock)

    def hear(self) -> None:
        now = self.watch.clock.now()
        self.watch._event(Read(now, "i1", Reading(at=now, goroutines=100 + self.leaked)))
        self.watch._event(SiteCounts(now, "i1", {"s1": self.leaked}))

    async def live(self, beats: int, *, leaks: bool = True) -> None:
        """So many beats of 5 s, a reading and a profile in each."""
        for _ in range(beats):
            self.wall, self.steady = self.wall + 5.0, self.steady + 5.0
            self.leaked += 250 if leaks else 0
            await self.watch._heed_clock()
            self.hear()
            await self.watch._judge(self.watch.clock.now())

    def firing(self) -> list[str]:
        return [i.id for i in self.watch.status().incidents if i.state is IncidentState.FIRING]

    def said(self, kind: str) -> list[str]:
        return [h.text for h in self.headlines if h.kind == kind]

    async def ask(self, call: Callable[[State], object]) -> object:
        return await self.watch._state.run(call)


@asynccontextmanager
async def a_scene(folder: Path) -> AsyncIterator[Scene]:
    scene = Scene(folder)
    async with scene.watch.opened():
        scene.watch._event(Started(Instance(id="i1", labels={"service": "shop"}, start_time=NOON - 9000), NOON))
        scene.watch._event(Named(SITE))
        scene.hear()
        yield scene


def test_what_is_found_is_committed_with_its_notification(tmp_path: Path) -> None:
    """A leak becomes one incident and one notification, in the database, before anybody is told."""

    async def work() -> None:
        async with a_scene(tmp_path) as scene:
            await scene.live(12)
            (incident,) = scene.firing()
            stored = await scene.ask(
                lambda s: [(q.notification.incident_id, q.notification.tell.value) for q in s.due(2e9)]
            )
            assert (incident, "firing") in stored
            assert any("main.quote" in text for text in scene.said("incident"))
            assert scene.watch.status().troubles == {}

    asyncio.run(work())


def test_the_next_process_goes_on_where_this_one_stopped(tmp_path: Path) -> None:
    """Incidents and windows are there again; nothing is told anew."""

    async def work() -> None:
        async with a_scene(tmp_path) as scene:
            await scene.live(12)
            before = scene.firing()
            counts = await scene.ask(lambda s: s.outbox_counts())
        scene2 = Scene(tmp_path)
        scene2.wall, scene2.leaked = scene.wall, scene.leaked
        scene2.watch.clock.jumped()
        async with scene2.watch.opened():
            await scene2.live(2)
            assert scene2.firing() == before
            assert await scene2.ask(lambda s: s.outbox_counts()) == counts
        assert any("resumed: 1 open incidents" in text for text in scene2.said("info"))

    asyncio.run(work())


@pytest.mark.parametrize("step", [3600.0, -3600.0])
def test_a_clock_that_is_set_cures_and_blinds_nobody(tmp_path: Path, step: float) -> None:
    """An hour forward or back in the middle of an incident: told once, the incident stays, and the leak is still seen."""

    async def work() -> None:
        async with a_scene(tmp_path) as scene:
            await scene.live(12)
            before = scene.firing()
            scene.wall += step
            await scene.live(24)
            assert scene.firing() == before
            assert len(scene.watch.status().incidents) == 1
            told = [text for text in scene.said("info") if "clock was set" in text]
            assert len(told) == 1
            assert scene.watch.engine.windows.last("i1", "goroutines") == 100 + scene.leaked
            await scene.live(30, leaks=False)
            times, counts = scene.watch.engine.sites.counts("i1", "s1")
            assert counts[-1] == scene.leaked
            assert times[-1] == scene.watch.clock.now()

    asyncio.run(work())


class Full:
    """The state on a full disk: it can be read."""

    def __init__(self, state: State) -> None:
        self.state = state

    def __getattr__(self, name: str) -> object:
        if name in ("commit", "delivered", "failed", "ping", "prune"):
            raise StoreError("disk-full", "State cannot be written: database or disk is full.", passing=True)
        return getattr(self.state, name)


def test_a_full_disk_is_told_and_over_when_it_is_over(tmp_path: Path) -> None:
    """The incident opens and is due for telling all the same; with room again it is in the database and we are well."""

    async def work() -> None:
        async with a_scene(tmp_path) as scene:
            await scene.live(1)
            whole = scene.watch._state.state
            scene.watch._state.state = Full(whole)  # type: ignore[assignment]
            await scene.live(11)
            (incident,) = scene.firing()
            assert "State cannot be written" in scene.watch.status().troubles["state"]
            assert {q.notification.incident_id for q in await scene.watch._outbox.due(2e9)} == {incident}
            assert "not all could be written down (state)" in scene.watch.unwritten()
            scene.watch._state.state = whole
            await scene.live(1)
            assert scene.watch.status().troubles == {}
            assert scene.watch.unwritten() == ""
            assert await scene.ask(lambda s: [i.id for i in s.incidents()]) == [incident]
            assert (len(scene.said("trouble")), len(scene.said("recovered"))) == (1, 1)

    asyncio.run(work())


def test_what_cannot_be_tidied_does_not_keep_the_rest_from_making_room(tmp_path: Path) -> None:
    """Where the database takes nothing, journals, history and evidence are pruned all the same."""

    async def work() -> None:
        async with a_scene(tmp_path) as scene:
            scene.watch._state.state = Full(scene.watch._state.state)  # type: ignore[assignment]
            pruned: list[str] = []
            scene.watch._keeper.store.prune = lambda now, pinned: pruned.append("evidence") or []  # type: ignore[method-assign]
            await scene.watch._tidy(NOON)
            assert pruned == ["evidence"]

    asyncio.run(work())


def test_a_part_that_keeps_failing_is_told(tmp_path: Path) -> None:
    """It is in our troubles while it fails and for a calm minute after."""

    async def work() -> None:
        async with a_scene(tmp_path) as scene:
            scene.watch._failed("discovery", ValueError("secret"), 0.5)
            await scene.live(1)
            assert scene.watch.status().troubles == {"discovery": "fails and is started again: ValueError"}
            await scene.live(int(CALM_S / 5) + 1)
            assert scene.watch.status().troubles == {}
            assert scene.watch.status().restarts == {"discovery": 1}

    asyncio.run(work())


def test_a_known_error_of_a_part_is_told_in_its_own_words_once(tmp_path: Path) -> None:
    """One line in the log, no traceback; the headline and the trouble say what is wrong and what to do; the same again is no news."""
    known = UsageError("address-in-use", "cannot listen on 127.0.0.1:4317", context="(taken)", hint="choose another")

    async def work() -> None:
        async with a_scene(tmp_path) as scene:
            with capture_logs() as logs:
                scene.watch._failed("otlp-grpc", known, 0.5)
                scene.watch._failed("otlp-grpc", known, 1.0)
            said = "cannot listen on 127.0.0.1:4317 (taken) | choose another"
            assert [(line["error"], "exc_info" in line) for line in logs] == [(said, False)]
            told = [headline.text for headline in scene.headlines if "otlp-grpc" in headline.text]
            assert told == [f"otlp-grpc failed and starts again in 0.5 s: {said}"]
            await scene.live(1)
            assert scene.watch.status().troubles == {"otlp-grpc": said}
            assert scene.watch.status().restarts == {"otlp-grpc": 2}

    asyncio.run(work())


def test_what_is_not_compiled_is_compiled_before_anybody_is_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All kernels that the watch's judges, looks and streams take are loaded when it opens; that it takes long is told only where it does."""
    loaded: list[str] = []
    compiled: set[str] = set()
    monkeypatch.setattr(kernels, "load", loaded.append)
    monkeypatch.setattr(kernels, "is_compiled", compiled.__contains__)
    receive = ReceiveSettings(remote_write=Listener(listen="127.0.0.1:0"))
    sources = CollectSettings(prometheus=(PrometheusSource(url="http://127.0.0.1:9090"),))
    config = Config(store=StoreSettings(folder=str(tmp_path)), receive=receive, collect=sources)

    def told() -> list[str]:
        headlines: list[Headline] = []
        watch = Watch(config, tell=headlines.append)
        asyncio.run(watch._compile())
        return [headline.text for headline in headlines]

    first = told()
    assert [text.partition(":")[0] for text in first] == ["compiling 8 kernels, once"]
    used = ["dump_scan", "fleet_counts", "profile_wire", "prometheus_json", "remote_write", "site_series"]
    assert sorted(loaded) == [*used, "trace_scan", "trace_tables"]
    compiled.update(loaded)
    assert told() == []


def test_a_capture_that_cannot_be_kept_holds_no_other_up(tmp_path: Path) -> None:
    """A refused one and a reader's mistake are dropped and counted; the next one is stored and told to the incident."""

    def refuse(kind: str, body: bytes) -> tuple[bytes, int]:
        if body == b"bad":
            raise StoreError("evidence-refused", "A capture cannot be redacted.")
        if body == b"worse":
            raise KeyError(kind)
        return body, 0

    async def work() -> None:
        async with a_scene(tmp_path) as scene:
            scene.watch._keeper.store._redact = refuse  # type: ignore[attr-defined]
            for body in (b"bad", b"worse", b"good"):
                scene.watch._capture(
                    Capture(instance="i1", service="shop", kind="other", at=NOON, body=body, why="a test", file="x.txt")
                )
            task = asyncio.create_task(scene.watch._keeper.run())
            async with asyncio.timeout(20):
                while not scene.watch._keeper.kept:
                    await asyncio.sleep(0)
            task.cancel()
            status = scene.watch.status()
            assert (status.evidence_kept, status.dropped["evidence"]) == (1, 2)
            assert scene.watch._keeper.trouble == ""

    asyncio.run(work())


def test_targets_that_come_and_go_leave_nothing_behind(tmp_path: Path) -> None:
    """A thousand short-lived services: what is held afterwards does not grow with how many there were."""

    async def work() -> None:
        async with a_scene(tmp_path) as scene:
            engine = scene.watch.engine

            def held() -> tuple[int, ...]:
                sites = engine.sites
                return tuple(
                    len(known)
                    for known in (engine.instances, engine.last_news, engine.began, engine._services, engine._held,
                                  sites.tables, sites._members, engine.windows.slots)
                )  # fmt: skip

            before = held()
            for k in range(1000):
                name = f"job-{k}"
                engine.feed(Started(Instance(id=name, labels={"service": name}, start_time=NOON), NOON))
                engine.feed(Read(NOON + 1, name, Reading(at=NOON + 1, goroutines=7)))
                engine.feed(SiteCounts(NOON + 1, name, {"s1": 7}))
                scene.watch._retarget([])
                engine.feed(Started(Instance(id="i1", labels={"service": "shop"}), NOON))
            assert [a <= b for a, b in zip(held(), before, strict=True)] == [True] * len(before)

    asyncio.run(work())


def test_each_beat_is_a_trace(tmp_path: Path) -> None:
    """A beat is one segment of our own tracer: an entry with a span each for judging, advancing and committing."""

    async def life() -> None:
        async with a_scene(tmp_path) as scene:
            await scene.live(2)
            assert scene.watch.tracer.open == 0
            for segment in scene.watch.traces.drain():
                assert [span.name for span in segment.spans] == ["judge", "advance", "commit", "beat"]
            assert scene.watch.traces.taken == 2
            assert scene.watch.status().dropped["spans"] == 0

    asyncio.run(life())
