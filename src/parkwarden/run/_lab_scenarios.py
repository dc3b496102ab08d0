"""What happens in each lab: start, load, save what an operator would have saved, and how it ends."""

from __future__ import annotations

import contextlib
import json
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from parkwarden.collect.limits import Tell
from parkwarden.model.errors import ParkwardenError, UnreachableError
from parkwarden.run._lab_catalog import Lab
from parkwarden.run._lab_limits import MemoryGroup, lower, memory_group
from parkwarden.run._lab_process import POLL_S, LabProcess, spawn, start_service

LOAD_GRACE_S = 10.0
"""A crash under way may take this much longer than its load: dying of a deep stack is work."""


@dataclass(slots=True, kw_only=True)
class LabRun:
    """One run of one lab: its processes, the folder its files are collected in, and what is worth telling."""

    lab: Lab
    program: Path
    stage: Path
    """Files land here and move to the user's folder only when all are there."""
    logs: Path
    seconds: float
    tell: Tell
    patterns: tuple[str, ...] = ()
    innocent: bool = False
    service: LabProcess | None = None
    notes: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def step(self, what: str, done: float) -> None:
        self.tell(f"{self.lab.name}: {what}", done)

    def start(self, log: Path | None = None, *args: str, into: MemoryGroup | None = None) -> LabProcess:
        """Start the service (again). It is ended by `close()`, whatever happens."""
        if self.service is not None:
            self.service.stop()
        path = log or self.logs / "service.log"
        self.service = start_service(self.lab.name, self.program, path, args, into=into)
        return self.service

    @contextlib.contextmanager
    def load(self, service: LabProcess, *args: str) -> Iterator[LabProcess]:
        """The lab's own load generator, a second process of the same program, ended with the block."""
        command = [str(self.program), "-load", service.url, "-for", f"{self.seconds:.1f}s", *args]
        generator = spawn(f"{self.lab.name} load", command, self.logs / "load.log")
        try:
            yield generator
        finally:
            generator.stop()

    def save(self, service: LabProcess, name: str, path: str) -> int:
        """GET one thing from the service into a file of the result; bytes written."""
        body = service.get(path)
        (self.stage / name).write_bytes(body)
        return len(body)

    def rise_to(self, service: LabProcess, limit: int, until: float, what: str, done: tuple[float, float]) -> bool:
        """Watch the service's memory until it reaches `limit` bytes; False if it did not by `until` (monotonic) or died."""
        first, last = done
        while time.monotonic() < until:
            rss = service.rss()
            if rss is None:
                return False
            if rss >= limit:
                return True
            self.step(f"{what}: {rss >> 20} of {limit >> 20} MiB", first + (last - first) * rss / limit)
            time.sleep(POLL_S)
        return False

    def die_at_limit(self, service: LabProcess, until: float, done: tuple[float, float]) -> None:
        """Let memory grow to the lab's limit, and kill the service there, as the kernel kills a container."""
        limit = (self.lab.memory_limit_mib or 0) << 20
        if self.rise_to(service, limit, until, "memory grows", done):
            service.kill()
            self.notes.append(
                f"killed at its memory limit of {limit >> 20} MiB, {time.monotonic() - service.started:.1f} s after its start"
            )
        else:
            self.notes.append(f"did not reach its memory limit of {limit >> 20} MiB on this machine; stopped")
            service.stop()

    def close(self) -> None:
        if self.service is not None:
            self.service.stop()


TRACE_S = 1.5
CPU_S = 2.0
BURST_RATE = 8000
"""Messages per second: 16,000 goroutines a second, and the memory limit some two and a half seconds away."""
LEAD_S = 0.3
"""The trace begins this long before the burst, so that it shows the difference."""


def timing_wheel(run: LabRun) -> None:
    """C: the six files of one night. Everything but the heap from the dying process, the heap from the next one."""
    run.step("starting the consumer", 0.05)
    consumer = run.start()
    with ThreadPoolExecutor(max_workers=2) as pool, _killed_on_error(consumer):
        run.step("recording trace and CPU profile", 0.15)
        cpu = pool.submit(run.save, consumer, "cpu.pprof", f"/debug/pprof/profile?seconds={CPU_S:.0f}")
        trace = pool.submit(run.save, consumer, "trace.out", f"/debug/pprof/trace?seconds={TRACE_S}")
        time.sleep(LEAD_S)
        with run.load(consumer, "-rate", str(BURST_RATE)) as load:
            until = load.started + run.seconds
            _wait_all(run, [trace, cpu], consumer, "messages come in", (0.2, 0.6))
            for name in ("threadcreate", "mutex", "block"):
                run.step(f"saving {name}.pprof", 0.65)
                run.save(consumer, f"{name}.pprof", f"/debug/pprof/{name}")
            run.die_at_limit(consumer, until, (0.65, 0.9))
    run.step("restarted; saving the heap profile, too late", 0.9)
    consumer = run.start()
    run.save(consumer, "mem.pprof", "/debug/pprof/heap?gc=1")
    run.notes.append(
        f"restarted; mem.pprof taken {time.monotonic() - consumer.started:.1f} s after the new process began"
    )


def _wait_all(
    run: LabRun, futures: list[Future[int]], service: LabProcess, what: str, done: tuple[float, float]
) -> None:
    first, last = done
    began = time.monotonic()
    while not all(f.done() for f in futures):
        rss = service.rss() or 0
        run.step(f"{what}: {rss >> 20} MiB", min(last, first + (last - first) * (time.monotonic() - began) / CPU_S))
        time.sleep(POLL_S)
    for f in futures:
        f.result()


@contextlib.contextmanager
def _killed_on_error(service: LabProcess) -> Iterator[None]:
    """On an error or Ctrl-C the service goes first: fetches that threads wait for then break off at once."""
    try:
        yield
    except BaseException:
        service.kill()
        raise


CLIENTS = 160
"""More than the memory limit has room for."""
FIRST_LOOK_AT, EVIDENCE_AT = 0.35, 0.75
"""Shares of the memory limit: somebody looks, and looks again when the alert on memory comes."""
SHORT_TRACE_S = 0.5


def transcoder(run: LabRun) -> None:
    """B1: clients keep coming, buffers pile up behind the slow ones; two looks on the way to the memory limit."""
    run.step("starting the transcoder", 0.05)
    service = run.start()
    limit = (run.lab.memory_limit_mib or 0) << 20
    with run.load(service, "-clients", str(CLIENTS)) as load:
        until = load.started + run.seconds
        looks = (
            (FIRST_LOOK_AT, 0.4, (("goroutine.pprof", "/debug/pprof/goroutine"),)),
            (
                EVIDENCE_AT,
                0.8,
                (
                    ("heap.pprof", "/debug/pprof/heap"),
                    ("goroutine.txt", "/debug/pprof/goroutine?debug=2"),
                    ("trace.out", f"/debug/pprof/trace?seconds={SHORT_TRACE_S}"),
                ),
            ),
        )
        for share, latest, files in looks:
            by = load.started + run.seconds * latest
            run.rise_to(service, int(limit * share), by, "buffers fill", (0.1, 0.1 + 0.8 * share))
            for name, path in files:
                run.step(f"saving {name}", 0.1 + 0.8 * share)
                run.save(service, name, path)
            state = json.loads(service.get("/debug/vars"))
            run.notes.append(
                f"{', '.join(name for name, _path in files)}: {state['sessions']} sessions kept, "
                f"{state['codecs']} codecs at work, {time.monotonic() - service.started:.1f} s after the start"
            )
        run.die_at_limit(service, until, (0.7, 1.0))


QUEUE_SHARE = 0.75
"""The goroutine profile is taken when the reporter's queue is this full."""


def reporter_recursion(run: LabRun) -> None:
    """D: the queue fills, the full queue is logged through itself, the process dies; its stderr is the crash log."""
    run.step("starting the checkout and a back end that never answers", 0.05)
    service = run.start(run.stage / "crash.log")
    with run.load(service) as load:
        until = load.started + run.seconds
        while True:
            state = json.loads(service.get("/debug/vars"))
            queued, room = int(state["agent_queue"]), int(state["agent_queue_max"])
            run.step(f"the agent's queue fills: {queued} of {room}", 0.1 + 0.6 * queued / room)
            if queued >= room * QUEUE_SHARE or time.monotonic() > until:
                break
            time.sleep(POLL_S)
        run.save(service, "goroutine.pprof", "/debug/pprof/goroutine")
        run.notes.append(f"goroutine.pprof taken with {queued} of {room} events queued")
        while service.alive and time.monotonic() < until + LOAD_GRACE_S:
            run.step("waiting for the stack to overflow", 0.85)
            time.sleep(POLL_S)
        if service.alive:
            raise ParkwardenError("lab-survived", "the checkout did not die in time", hint="try --seconds 60")
    code = service.process.returncode
    run.notes.append(f"died by itself {time.monotonic() - service.started:.1f} s after its start, exit code {code}")


LEAKS_A_ROUND = 40
COSTLY = {"spinning-loop": 2, "child-process-pipe": 10}
"""Callers a round where each costs a core or a process."""
ROUND_PAUSE_S = 1.5
"""Innocent goroutines have ended by then, or stand still."""
CENSUS_S = 0.1


def leaks(run: LabRun) -> None:
    """A7: two rounds of requests, a dump after each, then the cheaper looks. Costly patterns come last."""
    kind = "innocent" if run.innocent else "leak"
    patterns = sorted(run.patterns or run.lab.patterns, key=lambda name: name in COSTLY)
    run.step("starting the shop", 0.05)
    service = run.start()
    for number in (1, 2):
        first = 0.1 + 0.35 * (number - 1)
        for i, pattern in enumerate(patterns):
            run.step(f"round {number}: {kind} {pattern}", first + 0.25 * i / len(patterns))
            service.get(f"/{kind}/{pattern}?n={COSTLY.get(pattern, LEAKS_A_ROUND)}")
        run.step("letting it settle", first + 0.28)
        time.sleep(ROUND_PAUSE_S)
        run.step("saving a full dump", first + 0.32)
        run.save(service, f"goroutine-{number}.txt", "/debug/pprof/goroutine?debug=2")
    run.step("saving profiles and a short trace", 0.85)
    run.save(service, "goroutine.pprof", "/debug/pprof/goroutine")
    run.save(service, "trace.out", f"/debug/pprof/trace?seconds={CENSUS_S}")
    try:
        run.save(service, "goroutineleak.pprof", "/debug/pprof/goroutineleak")
    except UnreachableError:
        run.notes.append("no goroutineleak.pprof: it needs Go 1.27 (or 1.26 with GOEXPERIMENT=goroutineleakprofile)")


SHOP_CREW, SHOP_BURST = 40, 200
SHOP_LEAKS_PER_S = 50
"""The fast leak that watching must name within seconds."""


def shop(run: LabRun) -> None:
    """Watch: traffic, a crew and a burst that are innocent, and one site that leaks; two looks while it does."""
    run.step("starting the shop", 0.05)
    service = run.start()
    service.get(f"/pool?n={SHOP_CREW}")
    service.get(f"/leak/start?kind=send-without-receiver&per_s={SHOP_LEAKS_PER_S}")
    began = time.monotonic()
    for number in (1, 2):
        until = began + run.seconds * number / 2
        while (left := until - time.monotonic()) > 0:
            run.step("requests come in, and each slow one leaves a goroutine behind", 0.9 - 0.8 * left / run.seconds)
            service.get(f"/buy?item={number}")
            time.sleep(min(left, POLL_S))
        if number == 1:
            service.get(f"/burst?n={SHOP_BURST}&for=1s")
        run.save(service, f"goroutine-{number}.pprof", "/debug/pprof/goroutine")
        run.save(service, f"trace-{number}.out", f"/debug/pprof/trace?seconds={CENSUS_S}")
    run.save(service, "metrics.txt", "/metrics")
    run.save(service, "goroutineleak.pprof", "/debug/pprof/goroutineleak")
    run.notes.append(f"{json.loads(service.get('/leak'))['leaked']} goroutines leaked in {run.seconds:g} s")


LOOKS_AT = (0.3, 0.85)
"""Shares of the way to the limit at which somebody looks."""
TRUTH_S = 0.2
"""Between two questions to a lab how far it is."""


def _way(run: LabRun, service: LabProcess, until: float, how_far: Callable[[LabProcess], float | None]) -> None:
    """Two looks on the way to a limit, then on until it broke (`how_far` is 1 then), the service died, or time is up."""
    looks = list(enumerate(LOOKS_AT, 1))
    while service.alive and time.monotonic() < until:
        try:
            share = how_far(service)
            if share is None or share >= 1:
                return
            if looks and share >= looks[0][1]:
                number, _ = looks.pop(0)
                run.save(service, f"metrics-{number}.txt", "/metrics")
                run.save(service, f"goroutine-{number}.txt", "/debug/pprof/goroutine?debug=2")
                if number == len(LOOKS_AT):
                    for name, path in LATE.items():
                        if name in run.lab.saves:
                            run.save(service, name, path)
                    _planted(run, service)
        except UnreachableError:
            if service.alive:  # at its limit of files it takes no connection any more
                time.sleep(TRUTH_S)
            continue
        run.step(f"leaks; {share:.0%} of the way to its limit", 0.1 + 0.8 * share)
        time.sleep(TRUTH_S)


LATE = {
    "goroutine.pprof": "/debug/pprof/goroutine",
    "threadcreate.pprof": "/debug/pprof/threadcreate",
    "heap.pprof": "/debug/pprof/heap",
    "trace.out": f"/debug/pprof/trace?seconds={SHORT_TRACE_S}",
}
"""What is saved beside the dump at the later look."""


def _planted(run: LabRun, service: LabProcess) -> None:
    truth = json.loads(service.get("/truth"))
    where = truth["holder"]
    run.notes.append(
        f"{truth['kind']}: {truth['leaked']} leaked, held by {where['function']} {Path(where['file']).name}:{where['line']}"
    )


def _kind(run: LabRun) -> str:
    """The pattern asked for; of all, the first."""
    return run.patterns[0] if run.patterns else ""


def files_run_out(run: LabRun) -> None:
    """B5, B8: descriptors leak until the system refuses another (EMFILE); healthy requests are refused with them."""
    run.step("starting the service", 0.05)
    log = run.stage / "service.log"
    kind = ("-kind", _kind(run)) if run.patterns else ()
    service = run.start(log, *kind)
    limit = run.lab.max_files or 0
    lower(service.pid, files=limit)
    if not run.innocent:
        service.get(f"/leak/start?per_s={run.lab.leak_per_s}")
    broke = b"broke at "

    def how_far(service: LabProcess) -> float | None:
        if broke in log.read_bytes():
            return 1.0
        return len(list(Path(f"/proc/{service.pid}/fd").iterdir())) / limit

    began = time.monotonic()
    _way(run, service, began + run.seconds, how_far)
    said = log.read_bytes()
    if broke in said:
        line = said[said.index(broke) :].split(b"\n", 1)[0].decode("utf-8", "replace")
        run.notes.append(f"open files ran out at their limit of {limit}: {line}")
    else:
        run.notes.append(f"did not reach its limit of {limit} open files in {run.seconds:g} s")


def threads_run_out(run: LabRun) -> None:
    """B6: goroutines in blocking system calls take a thread each until Go ends the process; its stderr is the crash log."""
    run.step("starting the ledger", 0.05)
    limit = run.lab.max_threads or 0
    service = run.start(run.stage / "crash.log", "-kind", _kind(run), "-max-threads", str(limit))
    if not run.innocent:
        service.get(f"/leak/start?per_s={run.lab.leak_per_s}")

    def how_far(service: LabProcess) -> float | None:
        return min(len(list(Path(f"/proc/{service.pid}/task").iterdir())) / limit, 0.99)

    _way(run, service, time.monotonic() + run.seconds, how_far)
    if service.alive:
        run.notes.append(f"did not reach its limit of {limit} threads in {run.seconds:g} s")
        return
    code = service.process.returncode
    run.notes.append(
        f"died at Go's limit of {limit} threads {time.monotonic() - service.started:.1f} s after its start, exit code {code}"
    )


def memory_runs_out(run: LabRun) -> None:
    """Reports pile up behind slow readers until the memory limit: the kernel's, in a cgroup, where one can be made."""
    limit = (run.lab.memory_limit_mib or 0) << 20
    with memory_group(run.lab.name, limit) as group:
        run.step("starting the reporting service", 0.05)
        service = run.start(into=group)
        with run.load(service, "-readers-per-s", str(run.lab.leak_per_s)):

            def how_far(service: LabProcess) -> float | None:
                rss = service.rss()
                if rss is None:
                    return None
                return rss / limit if group is None else min(rss / limit, 0.99)  # there the kernel has the last word

            _way(run, service, time.monotonic() + run.seconds, how_far)
        if group is not None and group.oom_kills():
            run.notes.append(
                f"killed by the kernel at its memory limit of {limit >> 20} MiB ({group.kind}), "
                f"{time.monotonic() - service.started:.1f} s after its start, exit code {service.process.wait()}"
            )
            _kernel_log(run, service.pid)
        elif group is None and (service.rss() or 0) >= limit:
            service.kill()
            run.notes.append(
                f"killed by the runner at {limit >> 20} MiB: no memory cgroup can be made here "
                "(it takes root, or a delegated cgroup)"
            )
        else:
            run.notes.append(f"did not reach its memory limit of {limit >> 20} MiB in {run.seconds:g} s")
        service.stop()


def _kernel_log(run: LabRun, pid: int) -> None:
    """What the kernel said of the kill, where one may read that."""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        told = subprocess.run(
            ["dmesg"], capture_output=True, text=True, errors="replace", timeout=5, check=False
        ).stdout
        lines = [line for line in told.splitlines() if "oom" in line.lower() or "Killed process" in line]
        mine = [i for i, line in enumerate(lines) if f"Killed process {pid} " in line]
        if mine:
            (run.stage / "kernel.log").write_text("\n".join(lines[max(0, mine[-1] - 3) : mine[-1] + 1]) + "\n")


SCENARIOS: dict[str, Callable[[LabRun], None]] = {
    "fd-leak": files_run_out,
    "leaks": leaks,
    "no-deadline": files_run_out,
    "oom": memory_runs_out,
    "reporter-recursion": reporter_recursion,
    "shop": shop,
    "thread-leak": threads_run_out,
    "timing-wheel": timing_wheel,
    "transcoder": transcoder,
}
