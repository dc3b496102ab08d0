"""Processes of a lab: started in a group of their own, watched, and always ended with all their children."""

from __future__ import annotations

import contextlib
import http.client
import os
import random
import signal
import socket
import subprocess
import threading
import time
import types
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from parkwarden.model.errors import ParkwardenError, UnreachableError, UsageError
from parkwarden.run._lab_build import go_environment
from parkwarden.run._lab_limits import MemoryGroup

READY_S = 20.0
"""A lab answers within a second; more means that it will not."""
STOP_S = 3.0
"""After SIGTERM, before SIGKILL."""
PORT_TRIES = 3
"""Another program may take the free port between our look and the service's start."""
LOWEST_FREE_PORT, HIGHEST_FREE_PORT = 15_000, 32_767
"""What `free_port` gives: above what services are known by, below what systems give out by themselves."""
MAX_PORTS_TRIED = 200
FETCH_TIMEOUT_S = 30.0
MAX_FETCH_BYTES = 64 << 20
"""Labs write at most a few MB per file."""
LOG_TAIL_BYTES = 2000
POLL_S = 0.05

_given: set[int] = set()
_chance = random.SystemRandom()  # who seeds `random` for a test must not make two processes agree
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass(slots=True, kw_only=True)
class LabProcess:
    """A lab's program at work. `url` is its base URL on the loopback ("" for a load generator)."""

    name: str
    url: str
    process: subprocess.Popen[bytes]
    log: Path
    """Its standard output and error."""
    started: float
    """time.monotonic() of the start."""

    @property
    def pid(self) -> int:
        return self.process.pid

    @property
    def alive(self) -> bool:
        return self.process.poll() is None

    def rss(self) -> int | None:
        """Resident bytes, None once it is gone."""
        if not self.alive:
            return None
        return resident_bytes(self.pid)

    def said(self) -> str:
        """The end of its output, for error messages."""
        with contextlib.suppress(OSError):
            return self.log.read_bytes()[-LOG_TAIL_BYTES:].decode("utf-8", "replace").strip()
        return ""

    def get(self, path: str, timeout_s: float = FETCH_TIMEOUT_S) -> bytes:
        """One GET from the service; UnreachableError if it does not answer in full."""
        return fetch(self.url + path, timeout_s)

    def kill(self) -> None:
        """SIGKILL to the whole group, as the kernel's OOM killer does to a container."""
        _signal_group(self.process, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """End the whole group: politely, then not. Idempotent."""
        if self.alive:
            _signal_group(self.process, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(timeout=STOP_S)
        # children may outlive their parent: the group is killed in any case
        self.kill()


def _signal_group(process: subprocess.Popen[bytes], what: int) -> None:
    # the group's id is the leader's pid; the kernel does not reuse it while the group has members
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, what)


def resident_bytes(pid: int) -> int | None:
    """Resident set size of a process, None if it cannot be told."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        pass
    try:  # no /proc: macOS, BSD
        told = subprocess.run(
            ["ps", "-o", "rss=", "-p", str(pid)], capture_output=True, text=True, timeout=5, check=False
        )
        return int(told.stdout) * 1024
    except (OSError, ValueError, subprocess.SubprocessError):
        return None


def free_port() -> int:
    """A TCP port on the loopback that is free, and stays so but for somebody who asks for it by its number.

    It lies below the range the system takes ports of outgoing connections and of listeners without a wish from (ip(7),
    ip_local_port_range): a port of that range is soon somebody else's where hundreds of connections come and go. No
    port is given twice in a process.
    """
    ports = range(LOWEST_FREE_PORT, min(_first_local_port(), HIGHEST_FREE_PORT + 1))
    for port in _chance.sample(ports, min(len(ports), MAX_PORTS_TRIED)):
        if port not in _given and _can_be_bound(port):
            _given.add(port)
            return port
    with socket.create_server(("127.0.0.1", 0)) as any_port:  # the system keeps next to none outside of its range
        return int(any_port.getsockname()[1])


def _first_local_port() -> int:
    try:
        return int(Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    except (OSError, ValueError, IndexError):  # no Linux: elsewhere the range begins at 49152 (RFC 6335)
        return HIGHEST_FREE_PORT + 1


def _can_be_bound(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as s:
        try:
            s.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def fetch(url: str, timeout_s: float = FETCH_TIMEOUT_S) -> bytes:
    """GET from the loopback, never through a proxy, bounded in time and bytes."""
    try:
        with _direct.open(url, timeout=timeout_s) as answer:
            body: bytes = answer.read(MAX_FETCH_BYTES + 1)
    except (OSError, urllib.error.URLError, ValueError) as error:
        raise UnreachableError("lab-no-answer", f"{url} did not answer", context=str(error)) from error
    except http.client.HTTPException as error:  # the service died in the middle of its answer
        raise UnreachableError("lab-no-answer", f"{url} broke off", context=repr(error)) from error
    if len(body) > MAX_FETCH_BYTES:
        raise ParkwardenError("lab-answer-too-long", f"{url} answered more than {MAX_FETCH_BYTES >> 20} MiB")
    return body


def spawn(
    name: str, command: Sequence[str], log: Path, url: str = "", env: Mapping[str, str] | None = None
) -> LabProcess:
    """Start a program in a group of its own, output appended to `log`; `env` adds to the environment."""
    if not hasattr(os, "killpg"):
        raise UsageError("lab-unsupported", "the lab needs a system with process groups (Linux, macOS)")
    with log.open("ab") as out, _interrupts.held():
        process = subprocess.Popen(
            list(command),
            env=_service_environment() | dict(env or {}),
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    started = LabProcess(name=name, url=url, process=process, log=log, started=time.monotonic())
    if _interrupts.take():
        started.kill()
        raise KeyboardInterrupt
    return started


def _service_environment() -> dict[str, str]:
    env = go_environment()
    return {key: value for key, value in env.items() if not key.lower().endswith("_proxy")}


def start_service(
    name: str,
    program: Path,
    log: Path,
    args: Sequence[str] = (),
    *,
    port: int | None = None,
    into: MemoryGroup | None = None,
    env: Mapping[str, str] | None = None,
) -> LabProcess:
    """Start a lab's service on a free loopback port (or on `port`, as a restart does) and wait until it answers.

    Raises ParkwardenError with the end of its log if it dies or stays silent; nothing is left running then.
    """
    for attempt in range(PORT_TRIES):
        address = f"127.0.0.1:{port or free_port()}"
        command = [str(program), "-addr", address, *args]
        service = spawn(name, into.wrap(command) if into else command, log, f"http://{address}", env)
        try:
            if _becomes_ready(service):
                return service
            lost_port = "address already in use" in service.said()
            died = not service.alive
        except BaseException:
            service.stop()
            raise
        service.stop()
        if not (lost_port and attempt + 1 < PORT_TRIES):
            break
    raise ParkwardenError(
        "lab-not-ready",
        f"{name} {'ended at once' if died else f'did not answer in {READY_S:.0f} s'}",
        context=service.said(),
    )


def _becomes_ready(service: LabProcess) -> bool:
    until = service.started + READY_S
    while time.monotonic() < until and service.alive:
        with contextlib.suppress(UnreachableError):
            service.get("/debug/pprof/cmdline", 2.0)
            # the port may have been taken by somebody else's Go program: ours must still be there
            return service.alive
        time.sleep(POLL_S)
    return False


class _Interrupts:
    """Signals that come while a process is being started wait until somebody knows its pid: else nobody would end it."""

    def __init__(self) -> None:
        self._holding = False
        self._came = False

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        # handlers run in the main thread: only there can one come in between
        self._holding = threading.current_thread() is threading.main_thread()
        try:
            yield
        finally:
            self._holding = False

    def take(self) -> bool:
        """Whether one came while they were held."""
        came, self._came = self._came and threading.current_thread() is threading.main_thread(), False
        return came

    def come(self, _signum: int, _frame: types.FrameType | None) -> None:
        if self._holding:
            self._came = True
        else:
            raise KeyboardInterrupt


_interrupts = _Interrupts()


@contextlib.contextmanager
def terminated_like_interrupted() -> Iterator[None]:
    """SIGINT, SIGTERM and SIGHUP raise KeyboardInterrupt inside, so that `finally` ends the lab's processes."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    # what the caller ignores on purpose (nohup) stays ignored
    wanted = [
        number
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    ]
    before = {number: signal.signal(number, _interrupts.come) for number in wanted}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
