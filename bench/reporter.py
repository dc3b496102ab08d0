"""A reporter beside apache-skywalking's and OpenTelemetry's, in front of back ends that fail.

    python -m bench.reporter [--rounds N] [--faults slow-drain flapping ...] [--libraries "parkwarden OTLP/gRPC" ...]

For each back end each library in turn lives in a process of its own: REQUESTS requests of two spans at PER_SECOND, IDLE_S of
quiet, the interpreter's ordinary end. Measured from outside: how long the end took (killed after KILL_S), different spans that
arrived until KILL_S after the host's last line - what the system still sends when the process is gone included - or lie in a
spool, lines on standard error; and inside: how long requests took, and peak resident memory. The next process begins when the last
one only has to end: ends wait, they do not work. The peers live in a virtual environment of the bench's own
(bench/out/reporter-peers). The table is printed and written to bench/out/reporter.md.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bench.measure import OUT, ROOT
from bench.reporter_host import LIBRARIES
from parkwarden.protos.skywalking_pb2 import SegmentObject
from parkwarden.run.backends import SLOW_S, Backend, Fault
from parkwarden.telemetry.reporter import Spool
from parkwarden.telemetry.segment import Segment, w3c_span_id, w3c_trace_id

REQUESTS, PER_SECOND, IDLE_S = 5_000, 2_000, 3.0
KILL_S = 60.0
QUIET_S = 1.5
"""Without a byte for so long nothing more is on its way: six times what a slow drain rests between two reads."""
PEERS = ("apache-skywalking==1.2.0", "opentelemetry-sdk", "opentelemetry-exporter-otlp-proto-grpc", "opentelemetry-exporter-otlp-proto-http")  # fmt: skip
"""1.3.0 of apache-skywalking lacks its protobuf modules; of OpenTelemetry the newest."""
VENV = OUT / "reporter-peers"


@dataclass
class Found:
    """Of one process. `lost`: spans that did not arrive, and are not `kept` on disk; `reasons`: what the library itself says of them."""

    backend: str
    library: str
    exit_s: float
    killed: bool
    lost: int
    kept: int
    reasons: dict[str, int]
    balanced: bool | None
    p50_us: float
    p99_us: float
    log_lines: int
    peak_mib: float


def peers() -> str:
    """The peers' Python."""
    python = VENV / "bin" / "python"
    if not python.exists():
        print("bench: installing the peers ...", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(VENV)], check=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", *PEERS], check=True)
    return str(python)


class Process:
    """A host at work, and after it."""

    def __init__(self, fault: Fault, library: str, requests: int) -> None:
        self.fault, self.library = fault, library
        self.spans: set[tuple[bytes | str, bytes | str | int]] = set()
        self.requests = requests
        self.backend = Backend(fault, take=self._take)
        self.backend.__enter__()
        self.folder = tempfile.TemporaryDirectory(dir=OUT)
        python = sys.executable if library.startswith(("parkwarden", "none")) else peers()
        self.process = subprocess.Popen(
            [python, str(ROOT / "bench" / "reporter_host.py"), library, self.backend.address, str(requests), str(PER_SECOND), str(IDLE_S), self.folder.name],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        self.errors: list[str] = []
        self.reader = threading.Thread(target=self._read_errors)
        self.reader.start()
        self.told: dict[str, Any] = json.loads(self.process.stdout.readline())
        self.ended: Found | None = None
        self.ending = threading.Thread(target=self._end)
        self.ending.start()

    def _take(self, path: str, message: bytes) -> None:
        if path.endswith("/collect") and "TraceSegment" in path:
            segment = SegmentObject.FromString(message)
            self.spans.update((segment.traceSegmentId, span.spanId) for span in segment.spans)
        elif "race" in path:
            told = ExportTraceServiceRequest.FromString(message)
            scopes = [scope for one in told.resource_spans for scope in one.scope_spans]
            self.spans.update((span.trace_id, span.span_id) for scope in scopes for span in scope.spans)

    def _kept(self) -> int:
        """Spans in the spool that have not arrived."""
        spool, found = Spool(Path(self.folder.name)), set(self.spans)
        while (stored := spool.oldest()) is not None:
            for item in stored.items:
                assert isinstance(item, Segment)
                trace = bytes.fromhex(item.w3c_id or w3c_trace_id(item.trace_id))
                for span in item.spans:
                    both = {
                        (item.segment_id, span.span_id),
                        (trace, bytes.fromhex(w3c_span_id(item.segment_id, span.span_id))),
                    }
                    if not both & self.spans:
                        found.add((item.segment_id, span.span_id))
            spool.done(stored)
        return len(found) - len(self.spans)

    def _drained(self, until: float) -> None:
        """Wait for what the system still brings."""
        seen, since = -1, time.monotonic()
        while (now := time.monotonic()) < until and now - since < QUIET_S:
            if (bytes_seen := self.backend.seen["bytes"]) != seen:
                seen, since = bytes_seen, now
            time.sleep(SLOW_S)

    def _read_errors(self) -> None:
        assert self.process.stderr is not None
        self.errors.extend(self.process.stderr)

    def _end(self) -> None:
        timer = threading.Timer(KILL_S, self.process.kill)
        timer.start()
        _, status = os.waitpid(self.process.pid, 0)
        ended = time.monotonic()
        timer.cancel()
        self.process.returncode = os.waitstatus_to_exitcode(status)
        self.reader.join()
        self._drained(self.told["bye"] + KILL_S)
        self.backend.__exit__()
        kept = self._kept()
        self.folder.cleanup()
        assert self.process.stdout is not None
        last = self.process.stdout.read().strip()
        account = json.loads(last.splitlines()[-1]) if last.startswith("{") else {}
        self.ended = Found(
            self.fault, self.library, round(ended - self.told["bye"], 3), self.process.returncode == -9,
            2 * self.requests - len(self.spans) - kept if self.library != "none" else 0, kept,
            account.get("lost", {}), account.get("balanced"),
            round(self.told["p50_us"]), round(self.told["p99_us"]), len(self.errors), round(self.told["peak_kib"] / 1024, 1),
        )  # fmt: skip


def measure(faults: list[Fault], libraries: list[str], rounds: int, requests: int) -> list[Found]:
    found: list[Process] = []
    for number in range(rounds):
        for fault in faults:
            for library in libraries:
                print(f"bench: round {number + 1}, {fault}, {library} ...", file=sys.stderr)
                found.append(Process(fault, library, requests))
    for process in found:
        process.ending.join()
    return [process.ended for process in found if process.ended is not None]


def merged(found: list[Found]) -> list[dict[str, Any]]:
    """Of exits, losses, lines and memory the worst round; of latencies the quietest: what else runs here is nobody's fault."""
    rows = []
    for backend, library in dict.fromkeys((one.backend, one.library) for one in found):
        of = [one for one in found if (one.backend, one.library) == (backend, library)]
        worst = max(of, key=lambda one: one.lost)
        row = asdict(worst) | {
            name: max(getattr(one, name) for one in of) for name in ("exit_s", "log_lines", "peak_mib")
        }
        row |= {name: min(getattr(one, name) for one in of) for name in ("p50_us", "p99_us")}
        rows.append(row | {"killed": any(one.killed for one in of)})
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """For docs/telemetry.md."""
    lines = [
        "| back end | library | exit s | spans lost of 10,000 | kept on disk | said why | host p50 / p99 µs | log lines | peak MiB |",
        "|---|---|---:|---:|---:|---|---:|---:|---:|",
    ]
    for row in rows:
        why = ", ".join(f"{reason} {count}" for reason, count in sorted(row["reasons"].items())) or "-"
        end = f"> {KILL_S:.0f}, killed" if row["killed"] else f"{row['exit_s']:.2f}"
        lines.append(
            f"| {row['backend']} | {row['library']} | {end} | {row['lost']:,.0f} | {row['kept'] or '-'} | {why} | {row['p50_us']:.0f} / {row['p99_us']:.0f} "
            f"| {row['log_lines']:.0f} | {row['peak_mib']:.0f} |"
        )
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--faults", nargs="*", type=Fault, default=list(Fault))
    parser.add_argument("--libraries", nargs="*", choices=LIBRARIES, default=list(LIBRARIES))
    args = parser.parse_args()
    OUT.mkdir(parents=True, exist_ok=True)
    rows = merged(measure(args.faults, args.libraries, args.rounds, args.requests))
    (OUT / "reporter.json").write_text(json.dumps(rows, indent=2))
    (OUT / "reporter.md").write_text(table(rows) + "\n")
    print(table(rows))
    ours = [row for row in rows if row["library"].startswith("parkwarden")]
    return 0 if all(row["exit_s"] <= 2.0 and row["balanced"] for row in ours) else 1


if __name__ == "__main__":
    sys.exit(main())
