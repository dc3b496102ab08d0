"""One stretch of load on a service: latencies from the load generator, memory and goroutines from samples, growth from the detectors."""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from parkwarden.model.drill import Growing, Phase
from parkwarden.model.errors import ParkwardenError
from parkwarden.run._drill_desks import Drilled
from parkwarden.run._lab_process import LabProcess, spawn

if TYPE_CHECKING:
    from parkwarden.model.finding import Finding

SAMPLE_S, SAMPLE_TIMEOUT_S = 1.0, 2.0
"""A sample is a request to the service as well: one a second among hundreds, 1-2 ms."""
WARMUP_S = 1.0
"""Of the load, not counted: connections and caches."""
CONNECTIONS = 16
"""Requests that may wait for their answer at once."""
GRACE_S = 15.0
"""For a load generator whose last answers take their whole timeout of 10 s."""
MAX_GROWING = 8
"""Findings kept of a phase, worst first."""
_TOTAL = re.compile(rb"goroutine profile: total (\d{1,12})")


@dataclass(slots=True)
class Samples:
    """What was seen of a process once a second, until `stop`."""

    service: LabProcess
    rss_max: int | None = None
    goroutines: list[int] = field(default_factory=list)
    _over: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None

    def __enter__(self) -> Samples:
        self._thread = threading.Thread(target=self._run, name="drill-samples", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join(SAMPLE_TIMEOUT_S + 1)

    def _run(self) -> None:
        while not self._over.wait(SAMPLE_S):
            rss = self.service.rss()
            if rss is not None:
                self.rss_max = max(rss, self.rss_max or 0)
            with contextlib.suppress(ParkwardenError):
                found = _TOTAL.match(self.service.get("/debug/pprof/goroutine?debug=1", SAMPLE_TIMEOUT_S))
                if found is not None:
                    self.goroutines.append(int(found[1]))


@dataclass(slots=True)
class Judged:
    """The detectors at work on a service for some seconds, in a thread of their own."""

    service: LabProcess
    seconds: float
    growing: tuple[Growing, ...] = ()
    why_not: str = "the service ended first"
    _thread: threading.Thread | None = None

    def __enter__(self) -> Judged:
        # daemon: after Ctrl-C nobody waits for a look that is under way
        self._thread = threading.Thread(target=self._run, name="drill-check", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._thread is not None and exc[0] is None:
            self._thread.join(self.seconds + GRACE_S)

    def _run(self) -> None:
        from parkwarden.run.check import CheckOptions, check

        try:
            result = check([self.service.url], CheckOptions(for_s=self.seconds))
        except ParkwardenError as error:
            self.why_not = error.message
            return
        subject = result.subjects[0]
        self.why_not = subject.unreachable or subject.incomplete
        self.growing = tuple(growing(one) for one in (*subject.leaks, *subject.suspects)[:MAX_GROWING])


def growing(finding: Finding) -> Growing:
    """A finding in the words of a drill."""
    frame = finding.culprit or (finding.site.created_by if finding.site is not None else None)
    place = "" if frame is None else f"{frame.function} {Path(frame.file).name}:{frame.line}"
    return Growing(code=finding.code, verdict=finding.verdict.value, title=finding.title, place=place)


def load_command(program: Path, url: str, rate: float, seconds: float, warmup: float) -> list[str]:
    """The load generator's command line."""
    options = {"-url": url, "-rate": f"{rate:g}", "-for": f"{seconds}s", "-warmup": f"{warmup}s"}
    return [str(program), *(word for pair in options.items() for word in pair), "-conns", str(CONNECTIONS)]


def measure(
    name: str, drilled: Drilled, service: LabProcess, load_program: Path, logs: Path, *, rate: float, seconds: float
) -> Phase:
    """Load the service for `seconds` and say how that went. A service that dies in it leaves a phase with what was seen."""
    log = logs / f"load-{name}.json"
    said, used, began = drilled.said_lines(service), _cpu_s(service), time.monotonic()
    command = load_command(load_program, drilled.work(service), rate, seconds, WARMUP_S)
    with Samples(service) as samples, Judged(service, seconds) as judged:
        load = spawn("drill load", command, log)
        try:
            with contextlib.suppress(Exception):
                load.process.wait(seconds + WARMUP_S + GRACE_S)
        finally:
            load.stop()
        used_now, took = _cpu_s(service), time.monotonic() - began
    latencies = _latencies(log)
    said_now = drilled.said_lines(service)
    return Phase(
        name=name,
        seconds=seconds,
        requests=_whole(latencies.get("requests")),
        errors=_whole(latencies.get("errors")),
        p50_ms=latencies.get("p50_ms"),
        p99_ms=latencies.get("p99_ms"),
        max_ms=latencies.get("max_ms"),
        late_ms=latencies.get("late_p99_ms"),
        cpu_cores=None if used is None or used_now is None else (used_now - used) / took,
        rss_max=samples.rss_max,
        goroutines_max=max(samples.goroutines, default=None),
        goroutines_end=samples.goroutines[-1] if samples.goroutines else None,
        said_lines=None if said is None or said_now is None else max(0, said_now - said),
        growing=judged.growing,
        not_judged=judged.why_not,
    )


def _latencies(log: Path) -> Mapping[str, float]:
    """The load generator's result; empty if it could not finish."""
    with contextlib.suppress(OSError, ValueError):
        told = json.loads(log.read_bytes())
        if isinstance(told, dict):
            return told
    return {}


def _cpu_s(service: LabProcess) -> float | None:
    """Seconds of processor the process has used (/proc/PID/stat: utime and stime, proc_pid_stat(5)); None where they are not told."""
    try:
        fields = Path(f"/proc/{service.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)
