"""The story of a death for memory, end to end: foretold, its evidence saved while there was somebody to ask, died of, carried over.

A real service behind real slow readers, in a memory cgroup of its own: the kernel kills it. `watch` is a process of its own, as its user
starts it. Where this machine lets no memory cgroup be made nobody would know the limit, and the tests are skipped, saying so.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from parkwarden.run._lab_build import build_lab
from parkwarden.run._lab_catalog import find_lab
from parkwarden.run._lab_limits import MemoryGroup, memory_group
from parkwarden.run._lab_process import LabProcess, free_port, spawn, start_service
from tests.e2e.watching import COMMAND, Watching, watching

ROWS = 4096
"""Of a report: 512 KiB."""
LOOKS = {"heap-profile", "goroutine-profile", "trace"}
"""What must have been saved before the death."""


@dataclass(frozen=True, slots=True)
class Story:
    """How fast it goes: the limit, and the readers a second that fill it."""

    limit_mib: int
    readers_per_s: float
    healthy_s: float
    dies_within_s: float
    settings: str


SHORT = Story(
    limit_mib=144,
    readers_per_s=2.5,
    healthy_s=8.0,
    dies_within_s=240.0,
    settings="""
collect: {interval_s: 1, timeout_s: 0.9, profile_every_s: 10, census_every_s: 30}
rules: {memory: {min_span_s: 15, min_samples: 8}}
""",
)
LONG = Story(limit_mib=384, readers_per_s=4.5, healthy_s=30.0, dies_within_s=300.0, settings="")
"""On the beats as they are set by default."""


@dataclass(slots=True)
class Stage:
    folder: Path
    program: Path
    port: int
    group: MemoryGroup

    @property
    def config(self) -> Path:
        return self.folder / "parkwarden.yaml"

    @contextmanager
    def service(self) -> Iterator[LabProcess]:
        running = start_service("oom", self.program, self.folder / "service.log", port=self.port, into=self.group)
        try:
            yield running
        finally:
            running.stop()

    @contextmanager
    def readers(self, service: LabProcess, per_s: float) -> Iterator[None]:
        args = ["-load", service.url, "-readers-per-s", str(per_s), "-rows", str(ROWS), "-for", "1h"]
        load = spawn("readers", [str(self.program), *args], self.folder / "readers.log")
        try:
            yield
        finally:
            load.stop()

    def ask(self, *words: str) -> Any:
        """What one of our commands answers about this watch's folder."""
        command = [*COMMAND, *words, "-c", str(self.config), "--format", "json"]
        return json.loads(subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout)


@contextmanager
def stage(folder: Path, story: Story) -> Iterator[Stage]:
    with memory_group("e2e", story.limit_mib << 20) as group:
        if group is None:
            pytest.skip("no memory cgroup can be made here (it takes root or a delegated one): the kernel kills nobody")
        port = free_port()
        (folder / "parkwarden.yaml").write_text(
            f"""
targets:
  - urls: [http://127.0.0.1:{port}]
    labels: {{service: reports, env: test}}
{story.settings}
web: {{listen: 127.0.0.1:0}}
store: {{folder: {folder / "data"}}}
"""
        )
        yield Stage(folder, build_lab(find_lab("oom"), folder), port, group)


def about_memory(there: Stage) -> list[dict[str, Any]]:
    """Open incidents that tell a time left until the memory limit."""
    rows = there.ask("incidents", "list")["incidents"]
    return [row for row in rows if row["time_left"] and row["time_left"]["limit"] == "memory-limit"]


@pytest.mark.e2e
def test_a_death_for_memory_is_foretold_saved_and_carried_over(tmp_path: Path, go: str) -> None:
    """See the module, on quick beats."""
    tell(tmp_path, SHORT)


@pytest.mark.full
def test_a_death_for_memory_on_the_beats_as_they_are(tmp_path: Path, go: str) -> None:
    """See the module, with nothing of collecting changed; the heap is then large enough for `diagnose` to judge it alone."""
    result = tell(tmp_path, LONG)
    heap = [one for one in result["findings"] if one["pattern"] == "heap-retained"]
    assert heap, result["findings"]
    assert heap[0]["culprit"]["function"] == "main.render"


def tell(folder: Path, story: Story) -> dict[str, Any]:
    """The whole story; what `diagnose` says of the evidence in the end."""
    with stage(folder, story) as there, watching(there.config) as watch:
        with there.service() as service:
            watch.wait(lambda: watch.said("target", "up"), 30)
            time.sleep(story.healthy_s)
            with there.readers(service, story.readers_per_s):
                before = foretold(there, watch, service, story)
                service.process.wait(timeout=story.dies_within_s)
            died = time.time()
            assert service.process.returncode == -9
            assert there.group.oom_kills() == 1
        check_forecast(before, died)
        with there.service():
            watch.wait(lambda: watch.said("target", "restarted"), 60)
            after = carried_over(there, watch, {row["id"] for row in before["rows"]})
            check_story(there, after, died)
            return diagnosed(there, after, died)


def foretold(there: Stage, watch: Watching, service: LabProcess, story: Story) -> dict[str, Any]:
    """The incidents as they are told while the service still lives, and when."""

    def judged() -> list[dict[str, Any]]:
        assert service.alive, "it died before anything was told"
        return [row for row in about_memory(there) if row["code"] == "PW522"]

    watch.wait(judged, story.dies_within_s)
    return {"at": time.time(), "rows": about_memory(there)}


def check_forecast(before: dict[str, Any], died: float) -> None:
    """The memory limit is named with a time left that is no worse than by half, and the line behind which reports pile up."""
    row = next(row for row in before["rows"] if row["code"] == "PW522")
    really = died - before["at"]
    assert row["verdict"] in ("tight", "exhausting")
    assert really > 5.0, "told when it was too late"
    assert row["time_left"]["seconds"] == pytest.approx(really, rel=0.6, abs=15.0)
    assert "main.(*desk).report" in row["line"] or "main.render" in row["line"]


def carried_over(there: Stage, watch: Watching, known: set[str]) -> dict[str, Any]:
    """The incident after the restart: the same one, as soon as the host has told of the kill (the next look or the one after)."""

    def restarted() -> dict[str, Any] | None:
        rows = [row for row in there.ask("incidents", "list")["incidents"] if row["id"] in known]
        told = (row for row in rows if any("kernel has killed" in one["text"] for one in row["happened"]))
        return next((row for row in told if row["code"] == "PW522"), None)

    found: dict[str, Any] = watch.wait(restarted, 60)
    return found


def check_story(there: Stage, row: dict[str, Any], died: float) -> None:
    """The retaining line by the heap, the death and the restart in its story, the evidence of before."""
    assert row["state"] in ("firing", "no-data")
    assert any("main.render" in why and "of the heap" in why for why in row["why"]), row["why"]
    told = [one["text"] for one in row["happened"]]
    assert any("died after" in text and "started again" in text for text in told), told
    assert any("kernel has killed" in text for text in told), told
    shown = subprocess.run(
        [*COMMAND, "incidents", "show", row["id"], "-c", str(there.config)],
        capture_output=True, text=True, check=True, timeout=60,
    ).stdout  # fmt: skip
    assert "was started again" in shown
    saved = of_before(there, row, died)
    assert {item["kind"] for item in saved} >= LOOKS, saved


def of_before(there: Stage, row: dict[str, Any], died: float) -> list[dict[str, Any]]:
    """The incident's evidence of the life that ended, taken because the limit was near; a profile that had just been taken for another reason does."""
    known = {item["digest"]: item for item in there.ask("evidence", "list")["items"]}
    items = [known[digest] for digest in row["evidence"] if digest in known]
    items = [i for i in items if moment(i["at"]) < died]
    return [
        i for i in items if i["why"].startswith("last chance before memory-limit") or i["kind"] == "goroutine-profile"
    ]


def moment(at: str | float) -> float:
    return at if isinstance(at, float) else datetime.fromisoformat(at).timestamp()


def diagnosed(there: Stage, row: dict[str, Any], died: float) -> dict[str, Any]:
    """The evidence exported as a bag of files: `diagnose` names the line behind which the goroutines wait."""
    bag = there.folder / "bag"
    bag.mkdir()
    for item in of_before(there, row, died):
        file = bag / f"{item['digest'][:12]}-{item['file']}"
        command = [*COMMAND, "evidence", "open", item["digest"], "-c", str(there.config), "-o", str(file)]
        subprocess.run(command, check=True, timeout=60)
    out = subprocess.run(
        [*COMMAND, "diagnose", str(bag), "--format", "json"], capture_output=True, text=True, timeout=120
    ).stdout
    result: dict[str, Any] = json.loads(out)
    lines = [one["culprit"]["function"] for one in result["findings"] if one["culprit"]]
    assert "main.(*desk).report" in lines or "main.render" in lines, result["findings"]
    return result
