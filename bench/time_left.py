"""`python -m bench.time_left [--runs 20] [--side-by-side 6] [--write]`: how often the time left is right.

Real services of the lab (fd-leak in its three ways, thread-leak, oom, no-deadline) run into real limits: RLIMIT_NOFILE lowered from
outside, debug.SetMaxThreads, a memory cgroup in which the kernel kills. Rates, limits and the moments of the single leaks differ from run
to run, by seed. The real collector reads them, and the host's local depth with it; all that came in is kept as a recording beside what the
lab says was planted and the moment at which it really broke. Then the engine is run over the recordings as `watch` runs it, and asked at
three moments of each run what it says: is the limit named, is the line of the holder named, does the interval hold the moment of the end?

What is asked are the judges of limits (PW520 to PW522). Findings about sites and counts tell a time left, too, often earlier and until
the limit's own is there by a simpler method; how often those are right stands below the table, apart.

Measuring and judging are apart: `--judge-only` judges recordings taken before, so that a detector can be looked at without 40 minutes of
runs. Whoever tunes on a seed takes another one for the numbers that are published (`--seed`).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import random
import sys
import tempfile
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from bench.measure import ROOT
from parkwarden.collect.fleet.collector import Collector
from parkwarden.collect.fleet.probe import merge
from parkwarden.collect.fleet.settings import CollectSettings
from parkwarden.collect.procfs import look, reading
from parkwarden.formats import recording
from parkwarden.judge.fleet.rules import Rules
from parkwarden.judge.fleet.time_left import TimeLeftRule
from parkwarden.model import Capture, Descriptors, Event, Finding, Read, Target
from parkwarden.model.errors import ParkwardenError
from parkwarden.run._lab_build import build_lab
from parkwarden.run._lab_catalog import find_lab
from parkwarden.run._lab_limits import MemoryGroup, lower, memory_group
from parkwarden.run._lab_process import LabProcess, spawn, start_service
from parkwarden.run.engine import Engine

OUT = ROOT / "out" / "time-left"
PAGE = ROOT / "docs" / "limits.md"
HEADING = "## How often the time left is right\n\n"
BEGIN, END = "<!-- measured by `python -m bench.time_left --write` -->\n", "<!-- end of time left -->"

COLLECT = CollectSettings(interval_s=2.5, profile_every_s=10.0, census_every_s=30.0, suspect_again_s=30.0)
"""The runs are some thirty times shorter than what they stand for; the beats are scaled down by two to ten."""
TICK_S = 2.5
"""Between two judgements: `watch` has 5 s."""
HEALTHY_S = (15.0, 25.0)
"""Before the leak begins."""
BREAKS_AFTER_S = (60.0, 150.0)
"""From the leak's begin to the limit, on average: drawn per run."""
GIVE_UP_S = 300.0
"""A run that has not broken by then is told as such and counts against nobody."""
POLL_S = 0.05
ASKED_AT = {"first": 0.0, "half": 0.5, "late": 0.75}
"""Moments a run is asked at: when a time left was told for the first time, and at these shares of the way from there to the end."""
JUDGES = frozenset(("PW520", "PW521", "PW522"))
WANTED = 0.9
FD_BASE, THREAD_BASE, MEMORY_BASE = 9, 8, 22 << 20
"""What a healthy service of the lab holds: open files, threads, bytes."""


@dataclass(frozen=True, slots=True)
class Case:
    """One way to break. `each` is what one leak takes of the limit."""

    lab: str
    kind: str
    limit: str
    lowest: int
    highest: int
    each: float

    @property
    def name(self) -> str:
        return f"{self.lab}/{self.kind}"


CASES = (
    Case("fd-leak", "child-pipes", "fd-limit", 160, 420, 3),
    Case("fd-leak", "streaming-bodies", "fd-limit", 100, 400, 1),
    Case("fd-leak", "temp-files", "fd-limit", 100, 400, 1),
    Case("thread-leak", "flock", "thread-limit", 60, 240, 1),
    Case("oom", "slow-readers", "memory-limit", 64 << 20, 192 << 20, 0),
    Case("no-deadline", "silent-partner", "fd-limit", 100, 400, 1),
)


@dataclass(slots=True, kw_only=True)
class Run:
    """One run: what was drawn, what was planted, and how it ended."""

    case: str
    seed: int
    limit: str
    limit_value: int
    per_s: float
    rows: int = 0
    """Rows of a report (oom)."""
    healthy_s: float = 0.0
    leak_at: float = 0.0
    broke_at: float = 0.0
    """Unix seconds, 0 = it did not."""
    how: str = ""
    holder: dict[str, Any] = field(default_factory=dict)
    recording: str = ""


def drawn(case: Case, seed: int) -> Run:
    """A run's limit and rate, the same for the same seed."""
    chance = random.Random(f"{case.name} {seed}")
    limit = chance.randint(case.lowest, case.highest)
    until_s = chance.uniform(*BREAKS_AFTER_S)
    run = Run(case=case.name, seed=seed, limit=case.limit, limit_value=limit, per_s=0.0)
    run.healthy_s = chance.uniform(*HEALTHY_S)
    if case.limit == "memory-limit":
        run.rows = chance.choice((1024, 2048, 4096))
        run.per_s = (limit - MEMORY_BASE) / (run.rows * 128) / until_s
    else:
        base = FD_BASE if case.limit == "fd-limit" else THREAD_BASE
        run.per_s = (limit - base) / case.each / until_s
    return run


def jobs_seed(run: Run) -> int:
    """What the service draws the moments of its single leaks from: each way of one seed its own, or a lull in one would be a lull in all."""
    return zlib.crc32(f"{run.case} {run.seed}".encode())


# ---- measuring


async def measure(case: Case, run: Run, program: Path, folder: Path) -> Run:
    """One real run from start to break, recorded."""
    stem = f"{case.lab}-{case.kind}-{run.seed}"
    log = folder / f"{stem}.log"
    log.unlink(missing_ok=True)
    args = ["-kind", case.kind, "-seed", str(jobs_seed(run))]
    if case.limit == "thread-limit":
        args += ["-max-threads", str(run.limit_value)]
    with ExitStack() as ends:
        group = None
        if case.limit == "memory-limit":
            group = ends.enter_context(memory_group(f"{stem}", run.limit_value))
        service = await asyncio.to_thread(start_service, stem, program, log, args, into=group)
        ends.callback(service.stop)
        if case.limit == "fd-limit":
            lower(service.pid, files=run.limit_value)
        run.recording = f"{stem}.jsonl"
        with (folder / run.recording).open("wb") as out:
            collector = _collector(case, run, service, out)
            collecting = asyncio.create_task(collector.run())
            try:
                await asyncio.sleep(run.healthy_s)
                run.leak_at = time.time()
                if case.limit == "memory-limit":
                    command = [str(program), "-load", service.url, "-readers-per-s", f"{run.per_s:.4f}", "-for", "1h"]
                    command += ["-rows", str(run.rows), "-load-seed", str(jobs_seed(run))]
                    readers = spawn("readers", command, log)
                    ends.callback(readers.stop)
                else:
                    await asyncio.to_thread(service.get, f"/leak/start?per_s={run.per_s:.4f}")
                await _until_broken(case, run, service, group, log)
            finally:
                collecting.cancel()
                await asyncio.gather(collecting, return_exceptions=True)
    (folder / f"{stem}.json").write_text(json.dumps(asdict(run), indent=1) + "\n")
    return run


def _collector(case: Case, run: Run, service: LabProcess, out: Any) -> Collector:
    def emit(event: Event) -> None:
        if isinstance(event, Read):
            with suppress(ParkwardenError):
                local = look(service.pid, sockets=False)
                merge(event.reading, reading(local))
                out.write(recording.write(Descriptors(event.at, event.instance, local.kinds or {})))
        out.write(recording.write(event))

    def keep(_capture: Capture) -> None:
        """The judges do not see captures."""

    collector = Collector(COLLECT, emit, keep)
    name = service.url.removeprefix("http://")
    collector.set_targets([Target(id=name, url=service.url, labels={"service": case.lab})])
    return collector


async def _until_broken(case: Case, run: Run, service: LabProcess, group: MemoryGroup | None, log: Path) -> None:
    until = time.monotonic() + GIVE_UP_S
    asked = 0.0
    while time.monotonic() < until:
        if case.limit == "fd-limit" and b"broke at " in (said := log.read_bytes()):
            line = said.partition(b"broke at ")[2].split(b"\n")[0].decode()
            run.broke_at, run.how = float(line.split()[0]), line
            return
        if not service.alive:
            run.broke_at = time.time()
            run.how = f"exit code {service.process.returncode}"
            if group is not None:
                run.how += f", {group.oom_kills()} OOM kills in the {group.kind}"
            return
        if case.limit == "memory-limit" and group is None and (service.rss() or 0) >= run.limit_value:
            run.broke_at, run.how = time.time(), "killed by the runner: no memory cgroup can be made here"
            service.kill()
            return
        if time.monotonic() - asked > 5.0 and not run.holder.get("line"):
            asked = time.monotonic()
            with suppress(ParkwardenError):
                run.holder = json.loads(await asyncio.to_thread(service.get, "/truth", 2.0))["holder"]
        await asyncio.sleep(POLL_S)


async def measure_all(cases: Sequence[Case], seeds: Sequence[int], at_once: int, folder: Path) -> None:
    """All runs, a few side by side; one that is there already is not run again."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="parkwarden-bench-") as scratch:
        programs = {name: build_lab(find_lab(name), Path(scratch)) for name in {case.lab for case in cases}}
        room = asyncio.Semaphore(at_once)
        total, done = len(cases) * len(seeds), 0

        async def one(case: Case, seed: int) -> None:
            nonlocal done
            if not (folder / f"{case.lab}-{case.kind}-{seed}.json").exists():
                async with room:
                    run = await measure(case, drawn(case, seed), programs[case.lab], folder)
                    took = f"after {run.broke_at - run.leak_at:.0f} s" if run.broke_at else "did not break"
                    print(f"{case.name} {seed}: {took} {run.how}", file=sys.stderr)
            done += 1
            print(f"bench: {done} of {total} runs", file=sys.stderr)

        await asyncio.gather(*(one(case, seed) for seed in seeds for case in cases))


# ---- judging


@dataclass(slots=True, kw_only=True)
class Said:
    """What was said at one moment about the limit that broke."""

    at: float
    code: str
    verdict: str
    seconds: float
    low_s: float
    high_s: float
    left_s: float
    """What was really left."""
    holder: bool
    """The culprit is the line planted."""
    on_path: bool
    """The line planted is among the site's frames."""
    culprit: str

    @property
    def within(self) -> bool:
        return self.low_s <= self.left_s <= self.high_s


def ticks(run: Run, folder: Path) -> Iterator[tuple[float, list[Finding]]]:
    """The recording, judged as `watch` judges, up to the moment it broke."""
    rule = Rules().time_left
    if run.limit == "thread-limit":
        rule = replace(rule, thread_limit=run.limit_value)
    engine = Engine(rules_with(rule))
    reader = recording.Reader()
    events = [*reader.feed((folder / run.recording).read_bytes()), *reader.close()]
    due = math.nan
    for event in events:
        at = getattr(event, "at", None)
        if at is not None:
            if math.isnan(due):
                due = at + TICK_S
            while at > due:
                if due >= run.broke_at:
                    return
                yield due, engine.tick(due).findings
                due += TICK_S
        engine.feed(event)
    while due < run.broke_at:
        yield due, engine.tick(due).findings
        due += TICK_S


def rules_with(rule: TimeLeftRule) -> Rules:
    """The defaults but for what the service set itself."""
    return replace(Rules(), time_left=rule)


def sayings(run: Run, folder: Path) -> tuple[list[Said], list[Said]]:
    """What was said at every tick about the limit that broke: by the judges of limits, and by the surest of the others."""
    judges: list[Said] = []
    others: list[Said] = []
    for at, findings in ticks(run, folder):
        told = [f for f in findings if f.time_left is not None and f.time_left.limit == run.limit]
        for saying, some in ((judges, True), (others, False)):
            mine = [f for f in told if (f.code in JUDGES) == some]
            if mine:
                saying.append(_said(run, at, max(mine, key=lambda f: (f.verdict.rank, f.confidence))))
    return judges, others


def _said(run: Run, at: float, finding: Finding) -> Said:
    left, culprit = finding.time_left, finding.culprit
    assert left is not None
    where = (run.holder.get("function"), run.holder.get("line"))
    frames = finding.site.frames if finding.site is not None else ()
    late = at - left.at
    return Said(
        at=at,
        code=finding.code,
        verdict=str(finding.verdict),
        seconds=left.seconds - late,
        low_s=left.low_s - late,
        high_s=left.high_s - late,
        left_s=run.broke_at - at,
        holder=culprit is not None and (culprit.function, culprit.line) == where,
        on_path=any((frame.function, frame.line) == where for frame in frames),
        culprit=f"{culprit.function} {Path(culprit.file).name}:{culprit.line}" if culprit is not None else "",
    )


def judged(run: Run, folder: Path) -> dict[str, Any]:
    """One run's row of the results."""
    said, others = sayings(run, folder)
    row: dict[str, Any] = {**asdict(run), "lasted_s": run.broke_at - run.leak_at, "told": len(said)}
    if said:
        first = said[0].at
        for name, share in ASKED_AT.items():
            moment = first + share * (run.broke_at - first)
            one = max((s for s in said if s.at <= moment), key=lambda s: s.at)
            row[name] = {**asdict(one), "within": one.within}
        row["within_share"] = sum(s.within for s in said) / len(said)
        row["holder_share"] = sum(s.holder for s in said) / len(said)
    row["others_told"], row["others_within"] = len(others), sum(s.within for s in others)
    row["first_by_others_left_s"] = others[0].left_s if others else None
    return row


@dataclass(slots=True, kw_only=True)
class Score:
    """One case over its runs."""

    case: str
    runs: int
    unbroken: int
    named: int
    """Runs in which the limit was named before it broke."""
    holder: int
    on_path: int
    within: dict[str, int]
    warned_s: float
    """Median seconds between the first time left told and the end."""
    width: float
    """Median of the interval's width at the half, over what was really left."""
    off: float
    """Median of |said - true| / true at the half."""
    others_told: int
    others_within: int
    """Ticks at which findings about sites and counts told this limit's time left, and those within."""


def scored(name: str, rows: Sequence[dict[str, Any]]) -> Score:
    broken = [row for row in rows if row["broke_at"]]
    told = [row for row in broken if row["told"]]
    return Score(
        case=name,
        runs=len(broken),
        unbroken=len(rows) - len(broken),
        named=len(told),
        holder=sum(row["late"]["holder"] for row in told),
        on_path=sum(row["late"]["holder"] or row["late"]["on_path"] for row in told),
        within={moment: sum(row[moment]["within"] for row in told) for moment in ASKED_AT},
        warned_s=_median(row["first"]["left_s"] for row in told),
        width=_median((row["half"]["high_s"] - row["half"]["low_s"]) / row["half"]["left_s"] for row in told),
        others_told=sum(row["others_told"] for row in broken),
        others_within=sum(row["others_within"] for row in broken),
        off=_median(abs(row["half"]["seconds"] - row["half"]["left_s"]) / row["half"]["left_s"] for row in told),
    )


def _median(values: Iterator[float]) -> float:
    ordered = sorted(values)
    return ordered[len(ordered) // 2] if ordered else math.nan


def page(scores: Sequence[Score], seeds: Sequence[int]) -> str:
    """The table of the docs."""
    lines = [
        "| service | runs | limit named | holder's line named | truth within the interval: first told | half way | at three quarters "
        "| told before the end | half way: width / left | half way: off by |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for s in scores:
        within = " | ".join(f"{s.within[moment]} of {s.runs}" for moment in ASKED_AT)
        unbroken = f" ({s.unbroken} did not break)" if s.unbroken else ""
        lines.append(
            f"| {s.case} | {s.runs}{unbroken} | {s.named} | {s.holder} | {within} | {s.warned_s:.0f} s | {s.width:.2f} | {s.off:.0%} |"
        )
    runs = sum(s.runs for s in scores)
    others = (sum(s.others_within for s in scores), sum(s.others_told for s in scores))
    shares = ", ".join(
        f"{sum(s.within[moment] for s in scores) / max(runs, 1):.0%} {words}"
        for moment, words in zip(ASKED_AT, ("when first told", "half way from there", "at three quarters"), strict=True)
    )
    return (
        f"Over all {runs} runs the moment of the end lay within the interval in {shares}; promised are {WANTED:.0%} (an interval is one of 90 %). "
        f"Seeds {min(seeds)} to {max(seeds)}, {os.cpu_count()} cores, several runs side by side, readings every {COLLECT.interval_s:g} s, "
        f"judged every {TICK_S:g} s. A run in which no time left was told counts as missed.\n\n"
        + "\n".join(lines)
        + f"\n\nThe time left that findings about sites and counts tell beside it (PW1xx, PW50x) held the end at {others[0]:,} of "
        f"{others[1]:,} ticks ({others[0] / max(others[1], 1):.0%}): it is the limit's own where that is on its way, and else a line that takes "
        "readings for independent of each other, which what comes at random and stays is not.\n"
    )


def write_page(text: str) -> None:
    told = PAGE.read_text(encoding="utf-8") if PAGE.exists() else "# Limits\n\n"
    if BEGIN in told:
        head, _, rest = told.partition(BEGIN)
        told = head + BEGIN + text + END + rest.partition(END)[2]
    else:
        told = f"{told.rstrip()}\n\n{HEADING}{BEGIN}{text}{END}\n"
    PAGE.write_text(told, encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench.time_left", description=__doc__)
    parser.add_argument("--runs", type=int, default=20, help="of each way to break")
    parser.add_argument("--seed", type=int, default=1, help="the first; run n has seed + n")
    parser.add_argument("--side-by-side", type=int, default=6, help="runs at a time")
    parser.add_argument("--case", action="append", choices=[c.name for c in CASES], help="only these")
    parser.add_argument("--judge-only", action="store_true", help="judge the recordings there are")
    parser.add_argument("--folder", type=Path, default=OUT, help="recordings and truths")
    parser.add_argument("--write", action="store_true", help=f"put the table into {PAGE.relative_to(ROOT)}")
    args = parser.parse_args()
    cases = [case for case in CASES if args.case is None or case.name in args.case]
    seeds = range(args.seed, args.seed + args.runs)
    if not args.judge_only:
        asyncio.run(measure_all(cases, seeds, args.side_by_side, args.folder))
    scores, rows = [], []
    for case in cases:
        mine = []
        for seed in seeds:
            truth = args.folder / f"{case.lab}-{case.kind}-{seed}.json"
            if truth.exists():
                run = Run(**json.loads(truth.read_text()))
                mine.append(judged(run, args.folder) if run.broke_at else {**asdict(run), "told": 0, "others_told": 0})
        scores.append(scored(case.name, mine))
        rows += mine
    table = page(scores, seeds)
    print(table)
    told = {"schema": "parkwarden.time-left/1", "seeds": [seeds[0], seeds[-1]], "cases": [asdict(s) for s in scores]}
    (args.folder / f"results-{seeds[0]}-{seeds[-1]}.json").write_text(
        json.dumps({**told, "runs": rows}, indent=1) + "\n"
    )
    if args.write:
        write_page(table)
    return 0 if all(s.within["half"] >= WANTED * s.runs and s.named == s.runs for s in scores) else 1


if __name__ == "__main__":
    sys.exit(main())
