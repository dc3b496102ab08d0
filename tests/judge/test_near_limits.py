"""Limits in one look: near, refused, both together; who holds the descriptors."""

from __future__ import annotations

import pytest

from parkwarden.judge import near_limits
from parkwarden.model import Artefact, Case, Cluster, Frame, Kind, Local, Reading, Site, Verdict
from parkwarden.model.local import Cgroup

GIB = 1 << 30
COPY = Site(
    id="c",
    wait_reason="IO wait",
    function="os/exec.(*Cmd).writerDescriptor.func1",
    file="exec.go",
    line=560,
    frames=(Frame("os/exec.(*Cmd).writerDescriptor.func1", "exec.go", 560),),
)
WAITS = Site(
    id="w",
    wait_reason="chan receive",
    function="main.transcode",
    file="/src/main.go",
    line=88,
    frames=(Frame("os/exec.(*Cmd).Wait", "exec.go", 930), Frame("main.transcode", "/src/main.go", 88)),
)


def page(**numbers: int) -> Artefact:
    return Artefact(name="metrics", kind=Kind.METRICS, size=1, reading=Reading(**numbers))


def cluster(site: Site, count: int) -> Cluster:
    return Cluster(site=site, count=count, share=0.5, counts=(count,), members=(site.id,))


@pytest.mark.parametrize(
    ("used", "verdict"), [(819, None), (820, Verdict.TIGHT), (1018, Verdict.TIGHT), (1019, Verdict.EXHAUSTING)]
)
def test_descriptors_are_tight_from_four_fifths_and_gone_at_the_limit(used: int, verdict: Verdict | None) -> None:
    """0.8 of the limit is tight, 0.995 is refused; below nothing is said."""
    found = near_limits.judge(Case(artefacts=[page(open_fds=used, max_fds=1024)]))
    assert [f.verdict for f in found] == ([] if verdict is None else [verdict])
    assert all(f.code == "PW520" for f in found)


def test_one_alone_is_not_told_and_both_are() -> None:
    """Memory and descriptors near their limits have little confidence each and enough together."""
    files, memory, both = near_limits.judge(
        Case(artefacts=[page(open_fds=900, max_fds=1024, rss=GIB - GIB // 10, mem_limit=GIB)])
    )
    assert (files.code, memory.code, both.code) == ("PW520", "PW522", "PW523")
    assert max(files.confidence, memory.confidence) < 0.8 <= both.confidence
    assert memory.count is None


def test_memory_at_its_limit_is_no_end() -> None:
    """Go stays at GOMEMLIMIT for as long as it can: one look at a full heap is tight, never exhausting."""
    (found,) = near_limits.judge(Case(artefacts=[page(rss=GIB, mem_limit=GIB)]))
    assert found.verdict is Verdict.TIGHT


def test_no_limit_is_no_finding() -> None:
    """GOMEMLIMIT unset reads as the largest integer; a page without limits says nothing."""
    assert near_limits.judge(Case(artefacts=[page(rss=GIB, mem_limit=2**63 - 1), page(open_fds=10**6)])) == []


def test_the_host_tells_kinds_and_the_holder_is_named() -> None:
    """Pipes of child processes: the copying goroutines hold them, and the line that waits for the commands is the user's."""
    local = Local(pid=1, at=0.0, open_fds=1000, max_fds=1024, kinds={"pipe": 900, "socket": 100})
    case = Case(
        artefacts=[page()], clusters=[cluster(COPY, 900), cluster(WAITS, 450)], user_modules=("main",), local=local
    )
    (found,) = near_limits.judge(case)
    assert found.title.endswith("held by os/exec pipes from main.transcode main.go:88")
    assert found.culprit == Frame("main.transcode", "/src/main.go", 88)
    assert "pipe 900" in found.evidence[1].value


def test_a_handful_that_holds_some_is_not_named() -> None:
    """Without kinds a crowd is named only if it accounts for a tenth of what is open."""
    case = Case(artefacts=[page(open_fds=1000, max_fds=1024)], clusters=[cluster(COPY, 99)], user_modules=("main",))
    assert near_limits.judge(case)[0].site is None
    case.clusters = [cluster(COPY, 100)]
    assert near_limits.judge(case)[0].site == COPY


def test_the_systems_own_limit_of_threads_counts_where_it_is_lower() -> None:
    """400 threads are nothing to Go and most of a cgroup's 512."""
    local = Local(pid=1, at=0.0, threads=400, cgroup=Cgroup(version=2, path="/", pids_limit=512))
    (found,) = near_limits.judge(Case(artefacts=[page()], local=local))
    assert (found.code, found.verdict) == ("PW521", Verdict.TIGHT)
