"""Drills: a real service under load, something it depends on taken away, and what that did to it.

    result = backend_unreachable(DrillOptions(services=("otel",), faults=(Fault.REFUSED,)))
    result.harm, result.trials[0].reasons

`backend_unreachable`: the telemetry back end of an instrumented service goes away in one of the ways of `run/backends`. For each
service and fault: load while it is well, load while it is not, load when it is well again; then it goes once more and the service is
asked to end. The detectors that judge a fleet judge the service all the while. Everything is on the loopback, and nothing outlives
the call, Ctrl-C and SIGTERM included.
"""

from __future__ import annotations

import contextlib
import re
import subprocess
import tempfile
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from parkwarden.collect.limits import Tell, quiet
from parkwarden.model.drill import Drill, Growing, Told, Trial
from parkwarden.model.errors import ParkwardenError, UsageError
from parkwarden.run._desk_build import AGENT_RELEASE, build_desk, go_version
from parkwarden.run._drill_desks import DESKS, RECURSION, DeskKind, Drilled, desk, own_service, recursion
from parkwarden.run._drill_phase import MAX_GROWING, growing, load_command, measure
from parkwarden.run._drill_tally import Tally
from parkwarden.run._drill_verdict import judge
from parkwarden.run._lab_build import build_lab, go_build
from parkwarden.run._lab_catalog import find_lab, labs_folder
from parkwarden.run._lab_process import LabProcess, spawn, terminated_like_interrupted
from parkwarden.run.backends import Backend, Fault

SERVICES = (*DESKS, RECURSION)
DEFAULT_SERVICES = ("otel", "skywalking")
DEFAULT_FAULTS = (Fault.REFUSED, Fault.BLACK_HOLE, Fault.HANG, Fault.SLOW_DRAIN)
MIN_PHASE_S, MAX_PHASE_S = 2.0, 600.0
"""Shorter, and no p99 means anything; longer is no drill but a soak."""
MIN_RATE, MAX_RATE = 1.0, 5000.0
"""Requests a second; each makes three spans and the back end that counts them is not built for more."""
MAX_LEAK = 1000.0
"""Goroutines a second; what the desk allows."""
MIN_EXIT_S, MAX_EXIT_S = 1.0, 600.0
"""How long a service may take to end before it is killed."""
SETTLE_S, SETTLE_LIMIT_S = 6.0, 20.0
"""What was lost is counted when nothing has come for SETTLE_S: OpenTelemetry sends a batch every 5 s."""
REFILL_S = 2.0
"""Load between the second fault and SIGTERM: a service that ends has something to send."""
WORDS_CHARS = 400
"""Of a dead service's log."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnService:
    """A service of the user's: how it is started, what of it is loaded, and where its debug pages are."""

    command: tuple[str, ...]
    url: str
    debug: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DrillOptions:
    """What the user chose."""

    services: tuple[str, ...] = DEFAULT_SERVICES
    faults: tuple[Fault, ...] = DEFAULT_FAULTS
    rate_per_s: float = 200.0
    before_s: float = 10.0
    during_s: float = 30.0
    after_s: float = 25.0
    """SkyWalking's agent comes back after up to 20 s."""
    exit_limit_s: float = 60.0
    """Twice what Kubernetes gives by default."""
    own: OwnService | None = None
    """Drilled in place of `services`."""
    leak_per_s: float = 0.0
    """A leak planted in the service beside the fault: to see that the detectors see."""


def backend_unreachable(options: DrillOptions | None = None, tell: Tell | None = None) -> Drill:
    """Drill each service with each fault. Raises UsageError, UnreachableError (modules), ParkwardenError (build, start)."""
    options, tell = options or DrillOptions(), tell or quiet
    _usable(options)
    began, begun_at = time.monotonic(), datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    trials = []
    with terminated_like_interrupted(), tempfile.TemporaryDirectory(prefix="parkwarden-drill-") as folder:
        scratch = Path(folder)
        load = scratch / "load"
        tell("building the load generator", None)
        go_build("the load generator", labs_folder() / "load", load, modules=False)
        plan = [(drilled, fault) for drilled in _drilled(options, scratch, tell) for fault in options.faults]
        for number, (drilled, fault) in enumerate(plan):
            place = scratch / f"trial-{number}"
            place.mkdir()
            trials.append(_Trial(options, drilled, fault, load, place, _part(tell, number, len(plan))).run())
    return Drill(
        name="backend-unreachable",
        begun_at=begun_at,
        took_s=time.monotonic() - began,
        rate_per_s=options.rate_per_s,
        versions=_versions(options),
        trials=trials,
    )


def _drilled(options: DrillOptions, scratch: Path, tell: Tell) -> list[Drilled]:
    """What is drilled, ready to be started."""
    if options.own is not None:
        return [own_service(options.own.command, options.own.url, options.own.debug)]
    kinds = _kinds(options)
    programs = {build: build_desk(build, scratch, tell) for build in dict.fromkeys(kind.build for kind in kinds)}
    drilled = {kind.name: desk(kind, programs[kind.build]) for kind in kinds}
    if RECURSION in options.services:
        drilled[RECURSION] = recursion(build_lab(find_lab(RECURSION), scratch))
    return [drilled[name] for name in options.services]


def _kinds(options: DrillOptions) -> list[DeskKind]:
    return [DESKS[name] for name in options.services if name in DESKS and options.own is None]


def _usable(options: DrillOptions) -> None:
    unknown = [name for name in options.services if name not in SERVICES]
    if unknown or not options.services:
        raise UsageError(
            "drill-service",
            f"there is no service named {unknown[0]!r} to drill" if unknown else "no service to drill",
            context="services: " + ", ".join(SERVICES),
        )
    if options.own is not None:
        _usable_own(options.own)
    if options.leak_per_s and (options.own is not None or RECURSION in options.services):
        raise UsageError("drill-leak", "--plant-leak is for the order desk: " + ", ".join(DESKS))
    if not options.faults or Fault.HEALTHY in options.faults:
        raise UsageError("drill-fault", "healthy is no fault" if options.faults else "no fault to drill with")
    for name in ("before_s", "during_s", "after_s"):
        if not MIN_PHASE_S <= getattr(options, name) <= MAX_PHASE_S:
            option = "--" + name.removesuffix("_s")
            raise UsageError("drill-seconds", f"{option} must be {MIN_PHASE_S:g} s to {MAX_PHASE_S:g} s")
    if not MIN_RATE <= options.rate_per_s <= MAX_RATE:
        raise UsageError("drill-rate", f"--rate must be {MIN_RATE:g} to {MAX_RATE:g} requests a second")
    if not MIN_EXIT_S <= options.exit_limit_s <= MAX_EXIT_S:
        raise UsageError("drill-seconds", f"--exit-limit must be {MIN_EXIT_S:g} s to {MAX_EXIT_S:g} s")
    if not 0 <= options.leak_per_s <= MAX_LEAK:
        raise UsageError("drill-leak", f"--plant-leak must be 0 to {MAX_LEAK:g} goroutines a second")


def _usable_own(own: OwnService) -> None:
    if not own.command:
        raise UsageError("drill-command", "no command to start the service with", hint="... --url URL -- COMMAND")
    for url in (own.url, own.debug):
        try:
            parts = urlsplit(url)
            here = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")
        except ValueError:
            here = False
        if not here:
            raise UsageError(
                "drill-url", "a drill loads this machine only", context=url, hint="--url http://127.0.0.1:PORT/PATH"
            )


def _part(tell: Tell, number: int, of: int) -> Tell:
    """The share of one trial in the whole progress."""

    def told(what: str, fraction: float | None = None) -> None:
        tell(f"{number + 1} of {of}: {what}", (number + (fraction or 0.0)) / of)

    return told


def _versions(options: DrillOptions) -> dict[str, str]:
    versions = {"go": go_version()}
    for kind in _kinds(options):
        if kind.build == "skywalking":
            versions["skywalking-go"] = AGENT_RELEASE
        else:
            needs = (labs_folder() / "instrumented" / kind.build / "go.mod").read_text(encoding="utf-8")
            found = re.search(r"^\s*go\.opentelemetry\.io/otel/sdk v(\S+)", needs, re.MULTILINE)
            versions["opentelemetry-go"] = found[1] if found else ""
    return versions


@dataclass(slots=True)
class _Trial:
    """One service, one fault, from the service's start to its end."""

    options: DrillOptions
    drilled: Drilled
    fault: Fault
    load: Path
    folder: Path
    tell: Tell

    def run(self) -> Trial:
        trial = Trial(service=self.drilled.name, fault=self.fault.value)
        tally = Tally()
        with _Place(tally) as place:
            service = self.drilled.start(place.address, self.folder / "service.log")
            try:
                self._phases(trial, service, place, tally)
                if service.alive:
                    self._account(trial, service, tally)
                    self._end(trial, service, place)
            except ParkwardenError as error:
                if service.alive:
                    trial.died = f"lives, but did not answer: {error.message}"
            finally:
                service.stop()
        judge(trial)
        return trial

    def _phases(self, trial: Trial, service: LabProcess, place: _Place, tally: Tally) -> None:
        if self.options.leak_per_s:
            service.get(f"/leak/start?per_s={self.options.leak_per_s:g}")
        plan = (
            ("before", Fault.HEALTHY, self.options.before_s),
            ("during", self.fault, self.options.during_s),
            ("after", Fault.HEALTHY, self.options.after_s),
        )
        whole = sum(seconds for _, _, seconds in plan) * 1.3  # counting and ending take some time too
        passed = 0.0
        for name, fault, seconds in plan:
            self.tell(f"{self.drilled.name}, back end {self.fault.value}: {name}", passed / whole)
            place.become(fault)
            tally.mark()
            trial.phases.append(
                measure(
                    name,
                    self.drilled,
                    service,
                    self.load,
                    self.folder,
                    rate=self.options.rate_per_s,
                    seconds=seconds,
                )
            )
            if not service.alive:
                trial.died = f"died {name}: exit code {service.process.returncode}"
                trial.phases[-1] = replace(trial.phases[-1], growing=_diagnosed(service))
                return
            passed += seconds
        trial.recovered_s = tally.first_after_s

    def _account(self, trial: Trial, service: LabProcess, tally: Tally) -> None:
        """What was made and what arrived, once nothing more comes."""
        self.tell(f"{self.drilled.name}, back end {self.fault.value}: counting", 0.8)
        made = self.drilled.made(service) if self.drilled.made is not None else None
        until, quiet_since, last = time.monotonic() + SETTLE_LIMIT_S, time.monotonic(), tally.last_at
        while time.monotonic() < until and time.monotonic() - quiet_since < SETTLE_S:
            time.sleep(0.1)
            if tally.last_at != last:
                quiet_since, last = time.monotonic(), tally.last_at
        if trial.recovered_s is None:
            trial.recovered_s = tally.first_after_s
        if made is None:
            trial.told = [Told(signal=name, made=None, arrived=count) for name, count in sorted(tally.items.items())]
        else:
            trial.told = [Told(signal=name, made=made[name], arrived=tally.items[name]) for name in made]

    def _end(self, trial: Trial, service: LabProcess, place: _Place) -> None:
        self.tell(f"{self.drilled.name}, back end {self.fault.value}: ending", 0.9)
        place.become(self.fault)
        command = load_command(self.load, self.drilled.work(service), self.options.rate_per_s, MAX_PHASE_S, 0)
        load = spawn("drill load", command, self.folder / "load-refill.json")
        try:
            time.sleep(REFILL_S)
        finally:
            load.stop()
        trial.exit_limit_s = self.options.exit_limit_s
        asked = time.monotonic()
        service.process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            service.process.wait(self.options.exit_limit_s)
            trial.exit_s = time.monotonic() - asked


def _diagnosed(service: LabProcess) -> tuple[Growing, ...]:
    """What `diagnose` makes of a dead service's log: why it died is in it, if it crashed."""
    from parkwarden.run.diagnose import diagnose

    try:
        findings = diagnose([str(service.log)]).report.findings
    except ParkwardenError:
        findings = []
    if findings:
        return tuple(growing(one) for one in findings[:MAX_GROWING])
    words = service.said()[-WORDS_CHARS:] or "it said nothing"
    return (Growing(code="", verdict="suspect", title=f"its last words: {words}"),)


class _Place:
    """One address whose back end is well or not, as it is told."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._backend = Backend(Fault.HEALTHY, take=tally.take)
        self._port = self._backend.port

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self._port}"

    def __enter__(self) -> _Place:
        self._backend.__enter__()
        return self

    def __exit__(self, *exc: object) -> None:
        self._backend.__exit__(*exc)

    def become(self, fault: Fault) -> None:
        """Connections are reset by the change, as when a host goes away."""
        if self._backend.fault is fault:
            return
        self._backend.__exit__(None, None, None)
        try:
            self._backend = Backend(fault, port=self._port, take=self._tally.take)
        except OSError as error:
            raise ParkwardenError("drill-port-taken", f"port {self._port} was taken by somebody else") from error
        self._backend.__enter__()
