"""Close looks: how often what is asked, what stands in for what, and that all of it is heard in order."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from parkwarden.collect import live
from parkwarden.collect.live import LiveBag, LiveOptions
from parkwarden.model import Artefact, Source
from tests.collect.test_live import DUMP, INDEX, answer, ask, pages

BASE = {"/debug/pprof/": answer(INDEX % 3), "/debug/pprof/goroutine": answer(DUMP)}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred times as fast as it is."""
    for name in ("PROFILE_EVERY_S", "CENSUS_EVERY_S", "DUMP_EVERY_S", "PAGES_EVERY_S"):
        monkeypatch.setattr(live, name, getattr(live, name) / 100)
    monkeypatch.setattr(live, "STALL_SHARE", 1.0)


def looked(
    table: dict[str, bytes], understood: bool = True, **options: object
) -> tuple[LiveBag, list[tuple[Source, float]]]:
    heard: list[tuple[Source, float]] = []

    def hear(_service: str, artefact: Artefact, at: float) -> bool:
        if artefact.snapshot is not None:
            heard.append((artefact.snapshot.source, at))
        return understood

    found = LiveOptions(interval_s=0.3, heard=hear, **options)  # type: ignore[arg-type]
    return ask(pages(BASE | table), options=found), heard


def asked(bag: LiveBag) -> Counter[str]:
    """How often each look was really asked."""
    return Counter(cost.what for cost in bag.costs if cost.took_s is not None)


def test_censuses_tell_who_is_there(data: Path) -> None:
    """More profiles than censuses, no text dump beside them; the bag keeps the last of each, and everything was heard in time order."""
    trace = answer((data / "trace" / "1.27" / "sample.trace").read_bytes())
    bag, heard = looked({"/debug/pprof/trace": trace})
    assert 3 <= asked(bag)["trace"] <= asked(bag)["goroutine"]
    assert asked(bag)["goroutine?debug=2"] == 0
    assert asked(bag)["heap"] == 0
    assert len(bag.artefacts) < len(heard)
    assert [at for _, at in heard] == sorted(at for _, at in heard)
    assert bag.bodies == {}


@pytest.mark.parametrize(("options", "traces"), [({}, 3), ({"census": False}, 0)])
def test_text_dumps_stand_in_where_there_is_no_census(options: dict[str, bool], traces: int) -> None:
    """Somebody else is tracing (tried three times), or nobody may."""
    busy = answer(b"Could not enable tracing", "500 Internal Server Error")
    bag, _ = looked({"/debug/pprof/trace": busy}, **options)
    assert asked(bag)["trace"] == traces
    assert asked(bag)["goroutine?debug=2"] >= 3


def test_a_go_too_old_is_traced_once(data: Path) -> None:
    """A trace that names no stacks would name none the next time."""
    old = answer((data / "trace" / "1.22" / "sample.trace").read_bytes())
    bag, _ = looked({"/debug/pprof/trace": old}, understood=False)
    assert asked(bag)["trace"] == 1
    assert asked(bag)["goroutine?debug=2"] >= 3


def test_a_large_process_is_not_dumped() -> None:
    """Above the limit counts are all there is, and the price list says so, once."""
    page = answer(b'{"cmdline": ["x"], "memstats": {"HeapInuse": 1}}')
    index = answer(INDEX % 10_001)
    bag, heard = looked({"/debug/pprof/": index, "/debug/pprof/goroutine": answer(b"", "500 no"), "/debug/vars": page})
    assert asked(bag)["goroutine?debug=2"] == 0
    assert next(c.note for c in bag.costs if c.what == "goroutine?debug=2").startswith("not asked: 10,001 goroutines")
    assert len([c for c in bag.costs if c.what == "goroutine?debug=2"]) == 1
    assert heard == []


def test_pages_that_are_not_there_are_asked_for_once() -> None:
    """Neither metrics nor expvar: the profiles' totals are the readings."""
    bag, _ = looked({})
    assert (asked(bag)["metrics"], asked(bag)["vars"]) == (1, 1)
