"""sites: counts and ids per site of profiles, leak profiles and censuses."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from parkwarden.collect.fleet.sites import MAX_NAME, MAX_SITE_TEXT, MAX_SITES, sites_of
from parkwarden.formats import profile_proto, trace
from parkwarden.model import Frame, Source, Stack, make_snapshot
from parkwarden.model.snapshot import Mark
from parkwarden.stacks.names import clean_function
from parkwarden.stacks.normalise import place


def stack(name: str, *, by: Frame | None = None) -> Stack:
    return Stack((Frame("runtime.gopark", "proc.go", 1), Frame(name, "main.go", 7)), by)


SYSTEM = Stack((Frame("runtime.gopark", "proc.go", 1), Frame("runtime.bgsweep", "mgc.go", 2)))


def test_counts_of_a_profile() -> None:
    """Rows at one site add up, the runtime's own are left out, those without a stack are unknown."""
    snapshot = make_snapshot(
        Source.PROFILE, [stack("main.a"), stack("main.b"), SYSTEM, Stack(())], [0, 1, 0, 2, 3], count=[5, 2, 4, 9, 3]
    )
    found = sites_of(snapshot)
    a, b = (place(stack(name))[0].id for name in ("main.a", "main.b"))
    assert found.counts == {a: 9, b: 2}
    assert (found.unknown, found.left_out, found.max_goid, dict(found.goids)) == (3, 0, 0, {})
    assert found.named[a].function == "main.a"


def test_who_ran_during_a_census() -> None:
    """Ids of those that did something, by site; a look that cannot tell says so."""
    stacks, marks = [stack("main.a"), stack("main.b")], [0, Mark.RAN, 0]
    census = make_snapshot(Source.CENSUS, stacks, [0, 0, 1], goid=[7, 9, 11], marks=marks)
    a = place(stack("main.a"))[0].id
    ran = sites_of(census).ran
    assert ran is not None
    assert {site: ids.tolist() for site, ids in ran.items()} == {a: [9]}
    assert sites_of(make_snapshot(Source.DUMP, stacks, [0, 0, 1], goid=[7, 9, 11])).ran is None


def test_what_a_dump_says_is_leaked_and_lost() -> None:
    """A text dump after a leak profile marks who is proven; goroutines whose text was cut are counted."""
    stacks, marks = [stack("main.a"), stack("main.b")], [0, Mark.LEAKED, Mark.LEAKED]
    dump = make_snapshot(Source.DUMP, stacks, [0, 1, 1], goid=[7, 9, 11], marks=marks, headers_seen=5)
    found = sites_of(dump)
    assert (found.leaked, found.lost) == ({place(stack("main.b"))[0].id: 2}, 2)


def test_ids_of_a_census() -> None:
    """All ids per site in rising order, the highest of all, the reason of one that waits, the creator where one was told."""
    by = Frame("main.spawn", "main.go", 3)
    snapshot = make_snapshot(
        Source.CENSUS,
        [stack("main.a"), stack("main.a", by=by), SYSTEM],
        [0, 1, 0, 2],
        states=["running", "chan receive"],
        state=[0, 1, 1, 1],
        goid=[30, 10, 20, 99],
    )
    found = sites_of(snapshot)
    (site_id,) = found.counts
    assert found.goids[site_id].tolist() == [10, 20, 30]
    assert found.max_goid == 99
    assert found.named[site_id].wait_reason == "chan receive"
    assert found.named[site_id].created_by == by


def test_a_flood_of_sites_is_cut_and_counted() -> None:
    """Those with the most goroutines are told, the rest only counted."""
    many = [stack(f"main.f{i}") for i in range(MAX_SITES + 50)]
    found = sites_of(make_snapshot(Source.PROFILE, many, np.arange(len(many)), count=np.arange(len(many)) + 1))
    assert (len(found.counts), len(found.named), found.left_out) == (MAX_SITES, MAX_SITES, 50)
    assert min(found.counts.values()) == 51


def test_names_made_to_fill_memory_are_cut() -> None:
    """Names of a megabyte and stacks of a thousand frames: so much of them is told, under the id of the whole."""
    huge = Stack(
        tuple(Frame(f"main.f{i}" + "x" * 1_000_000 * (i % 2), "y" * 2_000, i) for i in range(100)),
        Frame("main.by" + "z" * 9_000),
    )
    found = sites_of(make_snapshot(Source.PROFILE, [huge, stack("main.a")], [0, 1]))
    site = next(site for site in found.named.values() if len(site.frames) > 2)
    assert 2 < len(site.frames) < 20
    texts = [site.function, site.file, *(text for frame in site.frames for text in frame[:2])]
    assert sum(map(len, texts)) <= MAX_SITE_TEXT
    assert site.created_by is not None
    assert max(len(text) for text in (*texts, site.created_by.function)) == MAX_NAME
    assert clean_function.cache_info().currsize == place.cache_info().currsize == 0
    assert site.id == place(huge)[0].id
    usual = place(stack("main.a"))[0]
    assert found.named[usual.id] == usual


def test_nothing() -> None:
    """An empty snapshot has no sites."""
    found = sites_of(make_snapshot(Source.LEAK_PROFILE, [], []))
    assert (found.counts, found.unknown, found.max_goid) == ({}, 0, 0)


def test_profile_and_census_name_the_same_sites(data: Path) -> None:
    """Golden samples read: every goroutine of a profile has a site, a census' ids are all different."""
    profile = profile_proto.read((data / "profile_proto" / "go1.25" / "goroutine.pb.gz").read_bytes())
    assert profile.snapshot is not None
    found = sites_of(profile.snapshot)
    assert sum(found.counts.values()) == profile.snapshot.total
    census = trace.read((data / "trace" / "1.27" / "sample.trace").read_bytes()).snapshot
    assert census is not None
    ids = np.concatenate(list(sites_of(census).goids.values()))
    assert len(set(ids.tolist())) == len(ids)
