"""What the host tells, joined to readings: whose process it is, what is filled in, what it may cost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from parkwarden.collect.fleet import local as module
from parkwarden.collect.fleet.local import LOCAL_SHARE, SEARCH_EVERY_S, SEARCH_SOON_S, LocalLooks, Told, fill
from parkwarden.model.artefact import Reading
from parkwarden.model.errors import UnreachableError
from parkwarden.model.instance import Target
from parkwarden.model.local import Cgroup, Local

HERE = Target(id="media", url="http://127.0.0.1:6060")
SEEN = Local(pid=7, at=0.0, start_time=1000.0, kinds={"pipe": 4}, open_fds=4, max_fds=100, threads=9, rss=5 << 20)


class Host:
    """A host whose processes the test makes; `looks` and `searches` are counted."""

    def __init__(self) -> None:
        self.now = 0.0
        self.processes: dict[int, Local] = {7: SEEN}
        self.owners: dict[tuple[str, int], list[int]] = {("127.0.0.1", 6060): [7]}
        self.searches = 0
        self.looks: list[bool] = []
        self.cpu_s = 0.0
        self.commands = {7: b"media\0-x\0"}

    def look(self, pid: int, *, files: bool, sockets: bool, root: str) -> Local:
        assert not sockets
        self.looks.append(files)
        self.spent += self.cpu_s
        if pid not in self.processes:
            raise UnreachableError("no-such-process", "gone")
        return self.processes[pid] if files else replace(self.processes[pid], kinds=None)

    spent = 0.0

    def listening(self, *, root: str) -> object:
        self.searches += 1
        table = dict(self.owners)

        class Found:
            def owners(self, host: str, port: int, *, resolve: bool) -> list[int]:
                return table.get((host, port), [])

        return Found()


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host()
    monkeypatch.setattr(module, "look", made.look)
    monkeypatch.setattr(module, "listening", made.listening)
    monkeypatch.setattr(module, "command_line", lambda pid, root: made.commands.get(pid, b""))
    monkeypatch.setattr(module.time, "thread_time", lambda: made.spent)
    return made


@pytest.fixture
def join(host: Host) -> Iterator[Callable[..., tuple[Told, Reading]]]:
    looks = LocalLooks(monotonic=lambda: host.now)
    with ThreadPoolExecutor(1) as pool:

        def one(
            reading: Reading | None = None,
            target: Target = HERE,
            cmdline: bytes | None = b"media\0-x",
            at: float | None = None,
        ) -> tuple[Told, Reading]:
            if at is not None:
                host.now = at
            told = reading or Reading(start_time=1000.4)

            async def ask() -> bytes | None:
                return cmdline

            return asyncio.run(looks.join(target, told, pool, ask)), told

        yield one


Join = Callable[..., tuple[Told, Reading]]


def test_numbers_are_filled_in(join: Join) -> None:
    """What the pages told stays, what they did not tell comes from the host, and descriptors are counted by kind."""
    told, reading = join(Reading(start_time=1000.4, threads=11))
    assert told.outcome == "ok"
    assert module.kinds_of(told) == {"pipe": 4}
    assert (reading.threads, reading.open_fds, reading.max_fds, reading.rss) == (11, 4, 100, 5 << 20)


def test_a_port_forward_is_not_the_service(join: Join, host: Host) -> None:
    """Who listens here but began at another time, or has another command line, is somebody who forwards: nothing is taken from it."""
    told, reading = join(Reading(start_time=500.0))
    assert told.outcome == "not-the-process"
    assert reading.open_fds is None
    looks = len(host.looks)
    assert join(Reading(start_time=500.0), at=1.0)[0].outcome == ""
    assert len(host.looks) == looks


@pytest.mark.parametrize(
    ("cmdline", "outcome"), [(b"media\0-x", "ok"), (b"other", "not-the-process"), (None, "not-the-process")]
)
def test_without_a_start_time_the_command_line_decides(join: Join, cmdline: bytes | None, outcome: str) -> None:
    """Pages without process_start_time: the process must have the command line that pprof tells, and who tells none is not taken."""
    told, reading = join(Reading(goroutines=3), cmdline=cmdline)
    assert told.outcome == outcome
    assert (reading.open_fds == 4) is (outcome == "ok")


def test_a_stranger_is_asked_once(join: Join, host: Host) -> None:
    """Who has another command line costs one request, not one a minute; a new pid is asked again."""
    assert join(Reading(goroutines=3), cmdline=b"other")[0].outcome == "not-the-process"
    assert join(Reading(goroutines=3), at=SEARCH_EVERY_S + 1)[0].outcome == ""
    host.processes[9] = replace(SEEN, pid=9)
    host.commands[9] = host.commands[7]
    host.owners["127.0.0.1", 6060] = [9]
    assert join(Reading(goroutines=3), at=2 * SEARCH_EVERY_S + 2)[0].outcome == "ok"


def test_one_process_is_one_target(join: Join, host: Host) -> None:
    """Many targets in one process (a simulator) do not all have its numbers."""
    host.owners["127.0.0.1", 6061] = [7]
    assert join(Reading(goroutines=3))[0].outcome == "ok"
    other = Target(id="other", url="http://127.0.0.1:6061")
    assert join(Reading(goroutines=3), target=other)[0].outcome == "not-the-process"


def test_a_simulator_is_looked_at_once(join: Join, host: Host) -> None:
    """A thousand targets that one process listens for, none of which it is, cost one look, not a thousand."""
    for i in range(1000):
        host.owners["127.0.0.1", 7000 + i] = [7]
    for i in range(1000):
        far = Target(id=f"m{i}", url=f"http://127.0.0.1:{7000 + i}")
        assert join(Reading(start_time=5.0), target=far)[0].outcome == "not-the-process"
    assert len(host.looks) == 1


def test_others_hosts_are_left_alone(join: Join, host: Host) -> None:
    """A target that nobody listens for here costs a look-up in memory; processes are walked through once a minute."""
    far = Target(id="far", url="http://10.9.9.9:6060")
    for at in (0.0, 5.0, 10.0, SEARCH_EVERY_S - 1):
        assert join(target=far, at=at)[0].outcome == ""
    assert (host.searches, host.looks) == (1, [])
    join(target=far, at=SEARCH_EVERY_S + 1)
    assert host.searches == 2


def test_a_pid_that_vanished_is_looked_up_again(join: Join, host: Host) -> None:
    """A restarted service has another pid: it is found at its first reading, and meanwhile no numbers are somebody else's."""
    join(at=0.0)
    del host.processes[7]
    told, reading = join(at=SEARCH_SOON_S)
    assert told.outcome == "no-such-process"
    assert reading.open_fds is None
    host.processes[8] = replace(SEEN, pid=8, start_time=2000.0, open_fds=1)
    host.owners["127.0.0.1", 6060] = [8]
    told, reading = join(Reading(start_time=2000.0), at=2 * SEARCH_SOON_S)
    assert told.outcome == "ok"
    assert reading.open_fds == 1
    assert host.searches == 3


def test_another_life_under_the_same_pid_is_noticed(join: Join, host: Host) -> None:
    """Pages that tell another start time than the process has are not its pages any more; searches stay seldom all the same."""
    join(at=0.0)
    for at in range(1, 60):
        told, reading = join(Reading(start_time=9999.0), at=float(at))
        assert told.outcome in ("not-the-process", "")
        assert reading.open_fds is None
    assert host.searches <= 3


def test_looks_take_their_share_at_most(join: Join, host: Host) -> None:
    """Dear looks come more seldom: over ten minutes of readings every second they take LOCAL_SHARE of one processor, hardly more."""
    host.cpu_s = 0.2
    for second in range(600):
        join(at=float(second))
    assert host.spent <= 600 * LOCAL_SHARE + 2 * host.cpu_s
    assert True in host.looks
    assert False in host.looks


def test_cgroup_memory_goes_first_and_nothing_without_a_limit() -> None:
    """What kills is the control group's limit, whatever GOMEMLIMIT is; use without a limit is not set beside Go's own limit."""
    told = Reading(mem_limit=100)
    fill(told, replace(SEEN, cgroup=Cgroup(version=2, path="/a", mem_limit=50, mem_used=20, oom_kills=1)))
    assert (told.mem_limit, told.mem_used, told.oom_kills) == (50, 20, 1)
    told = Reading(mem_limit=100)
    fill(told, replace(SEEN, cgroup=Cgroup(version=2, path="/a", mem_used=20, mem_stall_share=0.5)))
    assert (told.mem_limit, told.mem_used, told.mem_stall_share) == (100, None, 0.5)
