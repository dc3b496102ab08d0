"""One stretch of load on a service: latencies from the load generator, memory and goroutines from samples, growth from the detectors."""

from __future__ import annotations

import contextlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from parkwarden.model.drill import Growing, Phase
from parkwarden.model.errors import ParkwardenError, UnreachableError
from parkwarden.run._lab_process import LabProcess, spawn

if TYPE_CHECKING:
    from parkwarden.model.finding import Finding

SAMPLE_S = 1.0
"""A sample is a request to the service as well: one a second among hundreds."""
TRUTH_TIMEOUT_S = 2.0
WARMUP_S = 1.0
"""Of the load, not counted: connections and caches."""
CONNECTIONS = 16
"""Requests that may wait for their answer at once."""
GRACE_S = 15.0
"""For a load generator whose last answers take their whole timeout of 10 s."""
MAX_GROWING = 8
"""Findings kept of a phase, worst first."""


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
            self._thread.join(TRUTH_TIMEOUT_S + 1)

    def _run(self) -> None:
        while not self._over.wait(SAMPLE_S):
            rss = self.service.rss()
            if rss is not None:
                self.rss_max = max(rss, self.rss_max or 0)
            with contextlib.suppress(ParkwardenError):
                self.goroutines.append(int(truth(self.service)["goroutines"]))


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
        self.growing = tuple(_growing(one) for one in (*subject.leaks, *subject.suspects)[:MAX_GROWING])


def _growing(finding: Finding) -> Growing:
    frame = finding.culprit or (finding.site.created_by if finding.site is not None else None)
    place = "" if frame is None else f"{frame.function} {Path(frame.file).name}:{frame.line}"
    return Growing(code=finding.code, verdict=finding.verdict.value, title=finding.title, place=place)


def truth(service: LabProcess) -> dict[str, Any]:
    """What the service says of itself. Raises UnreachableError."""
    try:
        told = json.loads(service.get("/truth", TRUTH_TIMEOUT_S))
    except ValueError as error:
        raise UnreachableError("drill-no-truth", "the service's /truth is no JSON") from error
    if not isinstance(told, dict):
        raise UnreachableError("drill-no-truth", "the service's /truth is no object")
    return told


def measure(
    name: str, service: LabProcess, load_program: Path, logs: Path, *, rate: float, seconds: float, prints_orders: bool
) -> Phase:
    """Load the service for `seconds` and say how that went. A service that dies in it leaves a phase with what was seen."""
    log = logs / f"load-{name}.json"
    lines = _lines(service.log)
    orders = _orders(service)
    command = [str(load_program), "-url", f"{service.url}/order?item=7", "-rate", f"{rate:g}", "-for", f"{seconds}s"]
    command += ["-warmup", f"{WARMUP_S}s", "-conns", str(CONNECTIONS)]
    with Samples(service) as samples, Judged(service, seconds) as judged:
        load = spawn("drill load", command, log)
        try:
            with contextlib.suppress(Exception):
                load.process.wait(seconds + WARMUP_S + GRACE_S)
        finally:
            load.stop()
    latencies = _latencies(log)
    said = _lines(service.log) - lines
    after = _orders(service)
    if prints_orders and orders is not None and after is not None:
        said -= after - orders
    return Phase(
        name=name,
        seconds=seconds,
        requests=_whole(latencies.get("requests")),
        errors=_whole(latencies.get("errors")),
        p50_ms=latencies.get("p50_ms"),
        p99_ms=latencies.get("p99_ms"),
        max_ms=latencies.get("max_ms"),
        rss_max=samples.rss_max,
        goroutines_max=max(samples.goroutines, default=None),
        goroutines_end=samples.goroutines[-1] if samples.goroutines else None,
        said_lines=max(0, said),
        growing=judged.growing,
        not_judged=judged.why_not,
    )


def _latencies(log: Path) -> Mapping[str, float]:
    """The load generator's result; empty if it could not finish."""
    with contextlib.suppress(OSError, ValueError):
        told = json.loads(log.read_bytes().splitlines()[-1])
        if isinstance(told, dict):
            return told
    return {}


def _whole(value: float | None) -> int | None:
    return None if value is None else int(value)


def _lines(log: Path) -> int:
    with contextlib.suppress(OSError):
        return log.read_bytes().count(b"\n")
    return 0


def _orders(service: LabProcess) -> int | None:
    with contextlib.suppress(ParkwardenError):
        return int(truth(service)["told"]["logs"])
    return None
