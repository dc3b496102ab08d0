"""lives: deaths, restarts and the kernel's kills, told once and in order."""

from __future__ import annotations

from parkwarden.model import Event, Gone, Instance, Read, Reading, Started
from parkwarden.run.engine import Engine
from parkwarden.run.lives import MAX_UNTOLD, Lives

T0 = 1_700_000_000.0


class World:
    def __init__(self) -> None:
        self.engine = Engine()
        self.lives = Lives(self.engine)

    def hear(self, event: Event) -> None:
        self.lives.heed(event)
        self.engine.feed(event)

    def life(self, start: float, *, name: str = "i1") -> None:
        self.hear(Started(Instance(id=name, start_time=start), start))

    def read(self, at: float, kills: int | None = None) -> None:
        self.hear(Read(at, "i1", Reading(at=at, goroutines=1, oom_kills=kills)))

    def texts(self) -> list[tuple[float, str]]:
        return [(one.at, one.text) for one in self.lives.taken()]


def test_a_restart_is_told_with_its_death() -> None:
    """When it was heard of last, how long it had lived, and when the new life began; once."""
    world = World()
    world.life(T0)
    world.read(T0 + 90)
    world.life(T0 + 95)
    [(at, text)] = world.texts()
    assert at == T0 + 95
    assert text == "i1 died after 2023-11-14 22:14:50 UTC, 90 s after its start, and was started again"
    assert world.texts() == []


def test_a_first_start_and_new_labels_are_no_death() -> None:
    """Who is seen for the first time, or under other labels, has not died."""
    world = World()
    world.life(T0)
    world.hear(Started(Instance(id="i1", start_time=T0 + 0.5, labels={"version": "2"}), T0 + 5))
    world.hear(Started(Instance(id="i2"), T0))
    world.hear(Started(Instance(id="i2", start_time=T0), T0))
    assert world.texts() == []


def test_a_kill_by_the_kernel_is_told_at_the_death_it_brought() -> None:
    """The group's counter is read only in the next life; the kill came before it. The first number read says nothing."""
    world = World()
    world.life(T0)
    world.read(T0 + 5, kills=3)
    world.read(T0 + 90, kills=3)
    world.life(T0 + 95)
    world.read(T0 + 97, kills=4)
    told = world.texts()
    assert [at for at, _ in told] == [T0 + 90, T0 + 95]
    assert told[0][1] == "the kernel has killed a process of i1's control group for memory"
    world.read(T0 + 99, kills=6)
    assert world.texts() == [(T0 + 99, "the kernel has killed 2 processes of i1's control group for memory")]


def test_a_first_look_without_the_host_s_word_keeps_the_kill_at_its_death() -> None:
    """The first reading of a new life is often of its page alone, before its process has been found."""
    world = World()
    world.life(T0)
    world.read(T0 + 90, kills=0)
    world.life(T0 + 95)
    world.read(T0 + 97)
    world.read(T0 + 102, kills=1)
    assert [at for at, _ in world.texts()] == [T0 + 90, T0 + 95]


def test_who_is_gone_is_forgotten() -> None:
    """A target that comes back with a lower or higher counter is another one."""
    world = World()
    world.read(T0, kills=1)
    world.hear(Gone(T0 + 1, "i1"))
    world.read(T0 + 2, kills=5)
    assert world.texts() == []


def test_what_nobody_asks_for_is_bounded() -> None:
    """A fleet that restarts over and over fills no memory."""
    world = World()
    for n in range(MAX_UNTOLD + 10):
        world.life(T0 + 10.0 * n)
    assert len(world.texts()) == MAX_UNTOLD
