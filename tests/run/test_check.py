"""The rules of `check` that need no live service."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import jsonschema
import pytest

from parkwarden.collect import live
from parkwarden.collect.live import LiveBag, LiveOptions
from parkwarden.formats.baseline import write
from parkwarden.formats.detect import read_bytes
from parkwarden.model import Artefact, Exit, FormatError, UnreachableError, UsageError
from parkwarden.report.check import check_to_json, check_to_junit
from parkwarden.run.check import CheckOptions, baselines_of, check

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "schema" / "check-1.json").read_text())
WORKER = """goroutine {id} [chan receive]:
example.com/shop.worker(0xc000)
\t/src/shop/pool.go:31 +0x44
created by example.com/shop.Start in goroutine 1
\t/src/shop/pool.go:12 +0x20

"""
LEAKED = """goroutine {id} [chan send]:
example.com/shop.quote.func1()
\t/src/shop/quote.go:9 +0x44
created by example.com/shop.quote in goroutine 1
\t/src/shop/quote.go:8 +0x20

"""


def dump(workers: int, leaked: int = 0, proven: bool = False) -> bytes:
    """A text dump; `proven`: the runtime marks the leaked ones, so that the judge needs no growth."""
    blocks = [WORKER.format(id=i + 10) for i in range(workers)] + [LEAKED.format(id=i + 900) for i in range(leaked)]
    text = "".join(blocks)
    return (text.replace("[chan send]", "[chan send (leaked)]") if proven else text).encode()


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    """before.txt with four workers, after.txt with four workers and three leaked."""
    (tmp_path / "before.txt").write_bytes(dump(4))
    (tmp_path / "after.txt").write_bytes(dump(4, 3))
    return [str(tmp_path / "before.txt"), str(tmp_path / "after.txt")]


def test_the_first_file_is_the_baseline_of_the_last(files: list[str]) -> None:
    """Three more than before fail, with site, start and creator; more tolerance lets them pass."""
    result = check(files)
    assert result.exit is Exit.FOUND
    (one,) = result.subjects[0].remainders
    assert (one.start, one.before, one.now) == ("example.com/shop.quote.func1", 0, 3)
    site, _ = one.sites[0]
    assert (site.function, site.line, site.wait_reason) == ("example.com/shop.quote.func1", 9, "chan send")
    assert site.created_by is not None
    assert site.created_by.line == 8
    assert check(files, CheckOptions(tolerance=3)).exit is Exit.OK
    assert check(files[::-1]).exit is Exit.OK
    assert check(files[1:]).subjects[0].before is None


def test_a_baseline_may_be_a_dump_or_what_check_wrote(files: list[str], tmp_path: Path) -> None:
    """`--baseline before.txt after.txt` and a written baseline say the same."""
    before = check(files[:1])
    assert before.exit is Exit.OK
    assert before.subjects[0].goroutines == 4
    written = tmp_path / "b.json"
    written.write_bytes(write(baselines_of(before)))
    for baseline in (Path(files[0]), written):
        result = check(files[1:], CheckOptions(baseline=baseline))
        assert (result.exit, result.subjects[0].before, result.subjects[0].more) == (Exit.FOUND, 4, 3)


def test_a_dump_that_lost_goroutines_never_passes(tmp_path: Path) -> None:
    """Too little to judge by is no pass: a dump cut in the middle ends with `unreadable`."""
    (tmp_path / "before.txt").write_bytes(dump(4))
    (tmp_path / "after.txt").write_bytes(dump(4) + b"goroutine 77 [chan rec")
    result = check([str(tmp_path / "before.txt"), str(tmp_path / "after.txt")])
    assert not result.passed
    assert result.exit is Exit.UNREADABLE


def test_files_without_goroutines_do_not_pass(tmp_path: Path) -> None:
    """A page of numbers acquits nobody."""
    (tmp_path / "vars.json").write_text('{"memstats": {"Alloc": 1}}')
    result = check([str(tmp_path / "vars.json")])
    assert (result.passed, result.exit) == (False, Exit.UNREADABLE)


@pytest.mark.parametrize(
    ("inputs", "options", "code"),
    [
        (["a.txt", "http://h:1"], CheckOptions(), "mixed-inputs"),
        (["http://h:1"], CheckOptions(for_s=0.1), "bad-duration"),
        (["http://h:1"], CheckOptions(tolerance=-1), "bad-tolerance"),
        (["http://h:1"], CheckOptions(baseline=Path("none.json")), "baseline-missing"),
    ],
)
def test_what_makes_no_sense_is_said_before_anything_is_asked(
    inputs: list[str], options: CheckOptions, code: str
) -> None:
    """Usage errors come at once, not after thirty seconds."""
    with pytest.raises(UsageError) as error:
        check(inputs, options)
    assert error.value.code == code


def test_a_damaged_baseline_is_said(files: list[str], tmp_path: Path) -> None:
    """A baseline that lost a site would call its goroutines new; one without goroutines is none."""
    for text, code in (
        ('{"schema": "parkwarden.baseline/1", "subjects": [{"subject": "x", "sites": [7]}]}', "baseline-damaged"),
        ('{"schema": "parkwarden.baseline/9", "subjects": []}', "baseline-version"),
        ('{"memstats": {"Alloc": 1}}', "baseline-unreadable"),
    ):
        path = tmp_path / "b.json"
        path.write_text(text)
        with pytest.raises((UsageError, FormatError)) as error:
            check(files[1:], CheckOptions(baseline=path))
        assert error.value.code == code


class Services:
    """Live services made of dumps: what each look at a URL brings, and when it was begun."""

    def __init__(self, pages: dict[str, list[bytes]]) -> None:
        self.pages = pages
        self.together = 0
        self.most = 0

    async def look(self, url: str, *, options: LiveOptions | None = None, progress: object = None) -> LiveBag:
        self.together += 1
        self.most = max(self.most, self.together)
        await asyncio.sleep(0)
        self.together -= 1
        if url not in self.pages:
            raise UnreachableError("timeout", f"{url} did not answer")
        artefacts: list[Artefact] = []
        assert options is not None
        assert options.heard is not None
        for i, body in enumerate(self.pages[url]):
            artefacts += (found := read_bytes(body, f"{url}/{i}"))
            for artefact in found:
                options.heard(url, artefact, 1000.0 + i)
        return LiveBag(url=url, artefacts=artefacts, goroutines=1)


@pytest.fixture
def services(monkeypatch: pytest.MonkeyPatch) -> Services:
    found = Services({"http://a:1": [dump(4)], "http://b:1": [dump(4, 60, True), dump(4, 90, True)]})
    monkeypatch.setattr(live, "look", found.look)
    return found


def test_services_are_checked_side_by_side(services: Services) -> None:
    """All at once, each with its own answer; one that is silent fails alone, and a leak outweighs it."""
    result = check(["http://a:1", "http://b:1/", "http://b:1", "http://c:1"])
    assert services.most == 3
    assert [s.name for s in result.subjects] == ["http://a:1", "http://b:1", "http://c:1"]
    assert [s.passed for s in result.subjects] == [True, False, False]
    assert result.exit is Exit.FOUND
    assert check(["http://a:1", "http://c:1"]).exit is Exit.UNREACHABLE
    told = json.loads(check_to_json(result))
    jsonschema.validate(told, SCHEMA)
    assert b"unreachable" in check_to_junit(result)


def test_a_leak_that_the_baseline_has_is_known(services: Services, tmp_path: Path) -> None:
    """What leaked before and has not grown is said and not failed for; grown it fails."""
    first = check(["http://b:1"])
    assert first.exit is Exit.FOUND
    path = tmp_path / "b.json"
    path.write_bytes(write(baselines_of(first)))
    again = check(["http://b:1"], CheckOptions(baseline=path))
    assert (again.exit, len(again.subjects[0].known)) == (Exit.OK, 1)
    services.pages["http://b:1"].append(dump(4, 120, True))
    assert check(["http://b:1"], CheckOptions(baseline=path)).exit is Exit.FOUND


def test_a_baseline_of_several_services_is_matched_by_name(services: Services, tmp_path: Path) -> None:
    """Each finds its own; one that is not in it is told so, unless there is only one to compare with."""
    path = tmp_path / "b.json"
    both = check(["http://a:1", "http://b:1"])
    path.write_bytes(write(baselines_of(both)))
    services.pages["http://d:1"] = [dump(4)]
    assert check(["http://a:1"], CheckOptions(baseline=path)).subjects[0].before == 4
    with pytest.raises(UsageError) as error:
        check(["http://d:1"], CheckOptions(baseline=path))
    assert error.value.code == "baseline-other"
    path.write_bytes(write(baselines_of(both)[:1]))
    assert check(["http://d:1"], CheckOptions(baseline=path)).exit is Exit.OK
