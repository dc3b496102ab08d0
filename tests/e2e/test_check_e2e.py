"""`check` of real Go programs: a service that leaks, is clean, or has a pool; a test binary before and after its tests."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from parkwarden.formats.baseline import write
from parkwarden.model import Exit, Verdict
from parkwarden.model.check import CheckResult
from parkwarden.report.check import check_to_json, check_to_junit
from parkwarden.run._lab_process import LabProcess, start_service
from parkwarden.run.check import CheckOptions, baselines_of, check
from parkwarden.run.replay import Options, replay

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
TESTED = Path(__file__).parent / "programs" / "tested"


@pytest.fixture
def shop(go_build: Callable[..., Path], tmp_path: Path) -> Iterator[LabProcess]:
    """The lab's shop with a crew of 60, clean."""
    service = start_service("shop", go_build(ROOT / "lab" / "shop"), tmp_path / "shop.log", ["-pool", "60"])
    try:
        yield service
    finally:
        service.stop()


def checked(service: LabProcess, for_s: float = 2.0, baseline: Path | None = None) -> CheckResult:
    return check([service.url], CheckOptions(for_s=for_s, baseline=baseline))


def kept(result: CheckResult, folder: Path) -> Path:
    path = folder / "begin.json"
    path.write_bytes(write(baselines_of(result)))
    return path


def test_a_clean_service_passes_though_it_is_used_and_has_a_pool(shop: LabProcess, tmp_path: Path) -> None:
    """A crew that stands since before the baseline, bursts, requests and our own connections are nothing new."""
    begin = kept(checked(shop, 0.5), tmp_path)
    for item in range(200):
        shop.get(f"/buy?item={item}")
    shop.get("/burst?n=300&for=500ms")
    result = checked(shop, 2.0, begin)
    (subject,) = result.subjects
    assert result.exit is Exit.OK
    assert (subject.leaks, subject.more) == ([], 0)
    assert subject.before is not None
    assert subject.before >= 60


def test_a_leak_fails_with_and_without_a_baseline_and_is_named(shop: LabProcess, tmp_path: Path) -> None:
    """The judge names it by growth and proof; against the baseline it is new, with its site and how many."""
    begin = kept(checked(shop, 0.5), tmp_path)
    shop.get("/leak/start?kind=send-without-receiver&per_s=50")
    result = checked(shop, 3.0, begin)
    shop.get("/leak/stop")
    (subject,) = result.subjects
    assert result.exit is Exit.FOUND
    assert any(f.site is not None and f.site.function == "main.(*leak).quote" for f in subject.leaks)
    worst = subject.remainders[0]
    assert worst.start == "main.(*leak).quote"
    assert worst.more > 20
    alone = check([shop.url, "http://127.0.0.1:9"], CheckOptions(for_s=1.0))
    assert alone.exit is Exit.FOUND
    assert [bool(s.unreachable) for s in alone.subjects] == [False, True]
    suites = ElementTree.fromstring(check_to_junit(alone))
    assert [s.get("failures", "") + s.get("errors", "") for s in suites] == ["10", "01"]


def test_what_was_recorded_is_replayed_to_the_same_findings(shop: LabProcess, tmp_path: Path) -> None:
    """One judge: a recording of the check's own looks ends in the check's leaks, with the same numbers."""
    shop.get("/leak/start?kind=send-without-receiver&per_s=5")
    file = tmp_path / "seen.jsonl.zst"
    result = check([shop.url], CheckOptions(for_s=12.0, record=file, redact=False))
    shop.get("/leak/stop")
    again = replay([str(file)], Options(redact=False)).report.findings
    told = [
        [(f.site and f.site.id, f.code, f.count, f.rate_per_min, f.confidence, f.title) for f in found]
        for found in (result.subjects[0].leaks, [f for f in again if f.verdict is Verdict.LEAK])
    ]
    assert told[0] == told[1]
    assert len(told[0]) == 1
    assert result.exit is Exit.FOUND


def test_without_leak_profile_and_census_dumps_tell_who_stays(shop: LabProcess, tmp_path: Path) -> None:
    """`--no-leak-profile --no-census`: neither is asked for, and ids are known all the same."""
    result = check([shop.url], CheckOptions(for_s=5.0, leak_profile=False, census=False))
    asked = {cost.what for cost in result.cost if cost.took_s is not None}
    assert not asked & {"trace", "goroutineleak"}
    assert "goroutine?debug=2" in asked
    assert result.exit is Exit.OK


def test_three_more_fail_and_two_more_are_tolerated(shop: LabProcess, tmp_path: Path) -> None:
    """B4: plus two is tolerated, plus three is not, and its site is named."""
    begin = kept(checked(shop, 0.5), tmp_path)
    shop.get("/pool?n=2")
    assert checked(shop, 0.5, begin).exit is Exit.OK
    shop.get("/pool?n=1")
    result = checked(shop, 0.5, begin)
    assert result.exit is Exit.FOUND
    told = json.loads(check_to_json(result))["subjects"][0]
    assert [(new["start"], new["now"] - new["before"]) for new in told["new"]] == [("main.worker", 3)]
    assert told["new"][0]["sites"][0]["function"] == "main.worker"


def test_a_cured_leak_passes_again(shop: LabProcess, tmp_path: Path) -> None:
    """What was leaked and then ended is no failure: the end counts."""
    begin = kept(checked(shop, 0.5), tmp_path)
    shop.get("/leak/start?per_s=200")
    shop.get("/leak/release")
    result = checked(shop, 1.0, begin)
    assert result.exit is Exit.OK, result.subjects[0].remainders


@pytest.mark.parametrize(("hurry", "code"), [("", 0), ("1", 1)])
def test_a_test_binary_ends_with_the_goroutines_it_began_with(go: str, tmp_path: Path, hurry: str, code: int) -> None:
    """A real Go test binary without a port: dumps from TestMain, before and after; the leaking one names line and creator."""
    env = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false", "DUMPS": str(tmp_path), "HURRY": hurry}
    subprocess.run([go, "test", "-count=1", "."], cwd=TESTED, env=env, check=True, capture_output=True)
    files = [str(tmp_path / "before.txt"), str(tmp_path / "after.txt")]
    result = check(files)
    assert int(result.exit) == code, result.subjects[0].remainders
    assert int(check(files[1:], CheckOptions(baseline=Path(files[0]))).exit) == code
    if code:
        (one,) = result.subjects[0].remainders
        assert one.more == 5
        site, before = one.sites[0]
        assert (site.function, before) == ("example.com/tested.Quote.func1", 0)
        assert site.created_by is not None
        assert site.created_by.function == "example.com/tested.Quote"


def test_the_page_shows_the_code_that_is_tested() -> None:
    """docs/check.md prints the TestMain that this test runs, word for word."""
    page = (ROOT / "docs" / "check.md").read_text()
    code = (TESTED / "main_test.go").read_text()
    assert code[code.index("func TestMain") :].strip() in page
