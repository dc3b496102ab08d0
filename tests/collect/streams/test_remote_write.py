"""The remote-write receiver: whose samples they are, what senders are told, what is refused."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import aiohttp
import cramjam
import pytest

from parkwarden.collect.streams.admission import Admission
from parkwarden.collect.streams.http_server import Message, RefusedError
from parkwarden.collect.streams.remote_write import DOUBLE_S, SHARDS_S, RemoteWriteStream
from parkwarden.collect.streams.settings import Listener
from parkwarden.model import Secret, Started
from tests.collect.streams.world import NOON, World
from tests.formats.remote_writes import STALE_BITS, Series, version_1, version_2

V1 = ("application/x-protobuf", "")
V2 = ("application/x-protobuf", "proto=io.prometheus.write.v2.Request")


class Receiver:
    def __init__(self, points_per_s: float = 50_000) -> None:
        self.world = World()
        self.stream = RemoteWriteStream(
            Listener(listen="127.0.0.1:0"),
            {"env": "test"},
            self.world.roll,
            Admission(lambda: self.world.now, points_per_s=points_per_s),
            lambda _text: None,
            monotonic=lambda: self.world.now,
        )

    def send(self, body: bytes, kind: tuple[str, str] = V1) -> Any:
        return asyncio.run(self.stream.take(Message(body, *kind, {})))

    def wait(self, seconds: float) -> None:
        self.world.now += seconds
        self.stream._assembly.flush()


def told(name: str, value: float, at: float = NOON - 5, **labels: str) -> Series:
    return ({"__name__": name, "instance": "10.0.0.1:80", "job": "shop", **labels}, [(round(at * 1000), value)])


@pytest.mark.parametrize(("kind", "body_of"), [(V1, version_1), (V2, version_2)])
def test_series_become_readings(kind: tuple[str, str], body_of: Any) -> None:
    """One label set is one instance; its metrics, in several messages, are one reading with the time of the scrape; 2.0's senders are told
    that all was written."""
    r = Receiver()
    answer = r.send(body_of([told("go_goroutines", 12), told("process_cpu_seconds_total", 1.5), told("up", 1)]), kind)
    r.send(body_of([told("process_open_fds", 7)]), kind)
    r.wait(SHARDS_S + 0.1)
    assert (answer.status_code, answer.headers["X-Prometheus-Remote-Write-Samples-Written"]) == (204, "3")
    assert [vars(reading) for reading in r.world.readings("10.0.0.1:80")] == [
        {"goroutines": 12, "cpu_s": 1.5, "open_fds": 7, "at": NOON - 5}
    ]
    (started,) = [e for e in r.world.events if isinstance(e, Started)]
    assert started.instance.labels == {"service": "shop", "env": "test", "job": "shop", "instance": "10.0.0.1:80"}
    assert r.stream.points == Counter({"taken": 3, "no-field": 1})


def test_only_go_programs_are_met() -> None:
    """A number that every process has makes nobody known; who is known by a Go metric is told all of its numbers, whatever came first."""
    r = Receiver()
    r.send(version_1([told("process_open_fds", 7)]))
    assert len(r.world.roll) == 0
    r.send(version_1([told("process_open_fds", 7), told("go_goroutines", 12)]))
    r.wait(SHARDS_S + 0.1)
    assert r.world.readings()[0].open_fds == 7
    assert r.stream.points["no-instance"] == 1


def test_what_waited_at_the_sender_comes_in_order() -> None:
    """Several scrapes in one message, series by series: readings by time, nothing late."""
    r = Receiver()
    times = [NOON - 40 + 10 * i for i in range(4)]
    rows = [({"__name__": n, "instance": "a:1"}, [(round(at * 1000), v + i) for i, at in enumerate(times)]) for n, v in (("go_goroutines", 10), ("go_threads", 20))]  # fmt: skip
    r.send(version_1(rows))
    r.wait(SHARDS_S + 0.1)
    assert [(x.at, x.goroutines, x.threads) for x in r.world.readings()] == [
        (at, 10 + i, 20 + i) for i, at in enumerate(times)
    ]
    assert r.stream.points == Counter({"taken": 8})


def test_a_series_that_ended_tells_nothing() -> None:
    """A stale marker is no value; who tells nothing more goes blind like a target that does not answer."""
    r = Receiver()
    stale: Series = ({"__name__": "go_goroutines", "instance": "a:1"}, [(round(NOON * 1000), STALE_BITS)])  # type: ignore[list-item]
    r.send(version_1([stale]))
    r.wait(SHARDS_S + 0.1)
    assert r.world.readings() == []
    assert r.stream.points == Counter({"stale": 1})


def test_an_id_belongs_to_the_label_set_that_had_it_first() -> None:
    """Two clusters' instances of one name do not mix: the second is left out, told as a trouble, and takes over once the first is silent."""
    r = Receiver()
    r.send(version_1([told("go_goroutines", 12, cluster="one")]))
    r.send(version_1([told("go_goroutines", 900, cluster="two")]))
    assert r.stream.points["no-instance"] == 1
    r.wait(DOUBLE_S + 1)
    r.send(version_1([told("go_goroutines", 900, at=r.world.now, cluster="two")]))
    r.wait(SHARDS_S + 0.1)
    assert [x.goroutines for x in r.world.readings()] == [12, 900]


def test_too_many_points_are_refused_politely() -> None:
    """Beyond what is taken a second: 429 and when to come back; the points are counted as not taken."""
    r = Receiver(points_per_s=10)
    full = version_1([told("go_goroutines", i, at=NOON + i) for i in range(20)])
    assert r.send(full).status_code == 204
    with pytest.raises(RefusedError) as caught:
        r.send(full)
    assert (caught.value.refused.status, caught.value.refused.again_s) == (429, 2.0)
    assert r.stream.points["over-limit"] == 20


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        (V1, b"\xff\xff", 400),
        (("application/json", ""), b"", 415),
        (("application/x-protobuf", "proto=io.prometheus.write.v3.Request"), b"", 415),
    ],
)
def test_what_cannot_be_read_is_not_to_be_sent_again(kind: tuple[str, str], body: bytes, status: int) -> None:
    """Damaged bytes are 400, protocols we do not speak 415: a 2.0 sender falls back then."""
    with pytest.raises(RefusedError) as caught:
        Receiver().send(body, kind)
    assert caught.value.refused.status == status


def test_who_is_forgotten_can_come_again() -> None:
    """An instance that was silent for too long leaves nothing behind, and is met again."""
    r = Receiver()
    r.send(version_1([told("go_goroutines", 12)]))
    r.wait(SHARDS_S + 0.1)
    r.world.now += 4_000
    r.world.roll.tidy()
    for _, name in r.world.forgotten:
        r.stream.gone(name)
    assert (len(r.world.roll), r.stream._ids, r.stream._owners) == (0, {}, {})
    r.send(version_1([told("go_goroutines", 13, at=r.world.now)]))
    r.wait(SHARDS_S + 0.1)
    assert [x.goroutines for x in r.world.readings()] == [12, 13]


def test_a_sender_is_taken_over_http() -> None:
    """The whole way: a packed message with the token at our path, and the counts of 2.0 in the answer."""
    one = told("go_goroutines", 12)

    async def work() -> None:
        world = World()
        where: list[str] = []
        listener = Listener(listen="127.0.0.1:0", token=Secret("a long enough token"))
        stream = RemoteWriteStream(listener, {}, world.roll, Admission(lambda: 0.0), where.append)
        tasks = [asyncio.ensure_future(part()) for part in stream.parts().values()]
        while not where:
            await asyncio.sleep(0.005)
        headers = {
            "Authorization": "Bearer a long enough token",
            "Content-Encoding": "snappy",
            "Content-Type": "application/x-protobuf;proto=io.prometheus.write.v2.Request",
            "X-Prometheus-Remote-Write-Version": "2.0.0",
        }
        body = bytes(cramjam.snappy.compress_raw(version_2([one])))
        url = f"http://127.0.0.1:{stream.port}/api/v1/write"
        async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as answer:
            assert answer.status == 204
            assert answer.headers["X-Prometheus-Remote-Write-Samples-Written"] == "1"
        assert "10.0.0.1:80" in world.roll
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(work())
