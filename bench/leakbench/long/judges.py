"""Who judges: our engine, or a peer's rule. The runner asks every judge the same: what do you accuse now, where, how surely?"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import NamedTuple, Protocol

from bench.leakbench.peers.base import Peer
from parkwarden.model import Event, Finding, Named, Verdict
from parkwarden.run.engine import Engine

OURS = "parkwarden"


class Accused(NamedTuple):
    """`site` "" = the whole process; `sure`: a `leak`, not only a suspicion; `why` is asked only for what is kept."""

    instance: str
    site: str
    sure: bool
    why: Callable[[], str]


class Judge(Protocol):
    """Events of any number of instances in, accusations out."""

    def named(self, instances: Iterable[str], names: Iterable[Named]) -> None:
        """What the sites of these instances stand for, before anything is told of them."""

    def feed(self, event: Event) -> None: ...

    def tick(self, now: float) -> Iterator[Accused]: ...


class Parkwarden:
    """The engine that watch, check and replay run, with default rules."""

    def __init__(self) -> None:
        self._engine = Engine()
        self.feed = self._engine.feed

    def named(self, instances: Iterable[str], names: Iterable[Named]) -> None:
        for name in names:
            self._engine.feed(name)

    def tick(self, now: float) -> Iterator[Accused]:
        for finding in self._engine.tick(now).findings:
            if finding.verdict.rank >= Verdict.SUSPECT.rank:
                sure = finding.verdict is Verdict.LEAK
                site = finding.site.id if finding.site else ""
                yield Accused(finding.instances[0], site, sure, partial(_why, finding))


def _why(finding: Finding) -> str:
    return "; ".join(f"{e.what}: {e.value}" for e in finding.evidence)


class OnePeer:
    """A peer watches one instance: as many of them as there are instances. All it says is meant as a leak.

    Told is what it accuses anew: an accusation that stood before says nothing new of a leak that begins now.
    """

    def __init__(self, make: Callable[[], Peer]) -> None:
        self._make = make
        self._peers: dict[str, Peer] = {}
        self._names: dict[str, list[Named]] = {}
        self._standing: dict[str, set[str]] = {}

    def named(self, instances: Iterable[str], names: Iterable[Named]) -> None:
        told = list(names)
        self._names |= dict.fromkeys(instances, told)

    def feed(self, event: Event) -> None:
        if isinstance(event, Named):
            return
        instance = event.instance if isinstance(event.instance, str) else event.instance.id
        peer = self._peers.get(instance)
        if peer is None:
            peer = self._peers[instance] = self._make()
            for name in self._names.get(instance, ()):
                peer.feed(name)
        peer.feed(event)

    def tick(self, now: float) -> Iterator[Accused]:
        for instance, peer in self._peers.items():
            said = peer.tick(now)
            for site in said - self._standing.get(instance, set()):
                yield Accused(instance, site, True, partial(str, peer.name))
            self._standing[instance] = said


def judges(names: list[str]) -> dict[str, Callable[[], Judge]]:
    """Makers by name; "peers" stands for all of them. Raises KeyError for a name nobody has."""
    from bench.leakbench.peers import peers

    known: dict[str, Callable[[], Judge]] = {OURS: Parkwarden}
    for i, peer in enumerate(peers()):
        known[peer.name] = lambda i=i: OnePeer(lambda: peers()[i])  # type: ignore[misc]
    wanted = [n for name in names for n in ([k for k in known if k != OURS] if name == "peers" else [name])]
    return {name: known[name] for name in wanted}


__all__ = ["OURS", "Accused", "Judge", "OnePeer", "Parkwarden", "judges"]
