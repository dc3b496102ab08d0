"""One block of mutated messages of senders in a process of its own: `python -m tests.fuzz.frames SEED FROM TO STATE_FILE`.

As `tests.fuzz.worker` does with files: real messages are mutated and handed to the streams' own code behind their servers. A message that is
refused is refused with a typed error; whatever happens, the stream goes on, nothing takes long and nothing balloons.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import gzip
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

from parkwarden.collect.streams.admission import Admission
from parkwarden.collect.streams.http_server import RefusedError, unpacked
from parkwarden.collect.streams.otlp.receiver import OtlpStream
from parkwarden.collect.streams.settings import OtlpReceiver
from parkwarden.formats.otlp_metrics import read_json, read_protobuf
from parkwarden.model import ParkwardenError, Read
from tests.collect.streams.otlp.messages import DELTA, SHOP, Request, runtime, runtime_into
from tests.collect.streams.world import NOON, World
from tests.fuzz.mutate import case
from tests.fuzz.worker import MAX_ADDRESS_SPACE, MAX_SECONDS

Take = Callable[[bytes], None]
FRESH_AFTER = 50
"""Cases after which a world begins anew: mutated names make up instances without end, and what comes twice at one time is late."""


def otlp(world: World) -> Take:
    """A message by either encoding, packed and bare, as its own bytes or as the unpacker's."""
    stream = OtlpStream(
        OtlpReceiver(),
        {},
        world.roll,
        Admission(lambda: 0.0, points_per_s=10**9),
        lambda: world.now,
        lambda _: None,
        lambda: world.now,
    )

    def take(data: bytes) -> None:
        for read in (read_protobuf, read_json):
            with contextlib.suppress(ParkwardenError):
                asyncio.run(stream.take(data, read))
        with contextlib.suppress(RefusedError):
            unpacked(data, "gzip")
        world.now += 3.0
        stream._assembly.flush()

    return take


def otlp_corpus() -> list[tuple[str, bytes]]:
    busy = Request(NOON, NOON - 60).of().histogram("http.server.request.duration", 4, 5, 6, temporality=DELTA)
    busy.sum("process.cpu.time", (1.5, {"state": "user"}), (0.5, {"state": "system"})).gauge(
        "process_start_time_seconds", NOON - 60
    )
    fleet = Request(NOON, NOON - 60)
    for n in range(5):
        runtime_into(fleet, n, {**SHOP, "service.instance.id": f"s-{n}"}, n + 1)
    requests = {"one": runtime(NOON, NOON - 60, 412), "busy": busy, "fleet": fleet}
    found = [(f"{name} protobuf", r.body()) for name, r in requests.items()]
    found += [(f"{name} json", r.json()) for name, r in requests.items()]
    return [*found, ("packed", gzip.compress(fleet.body(), mtime=0))]


KINDS: dict[str, tuple[Callable[[World], Take], Callable[[], list[tuple[str, bytes]]]]] = {"otlp": (otlp, otlp_corpus)}


def main() -> int:
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (MAX_ADDRESS_SPACE, MAX_ADDRESS_SPACE))
    seed, first, last = (int(a) for a in sys.argv[1:4])
    state = Path(sys.argv[4]).open("r+b", buffering=0)  # noqa: SIM115 - lives as long as the process
    failures, worst, readings = 0, 0.0, 0
    kinds = {name: (make, make_corpus()) for name, (make, make_corpus) in KINDS.items()}
    world = World()
    takes = {name: make(world) for name, (make, _) in kinds.items()}
    for number in range(first, last):
        if (number - first) % FRESH_AFTER == 0:
            readings += sum(isinstance(event, Read) for event in world.events)
            world = World()
            takes = {name: make(world) for name, (make, _) in kinds.items()}
        state.seek(0)
        state.write(b"%012d" % number)
        for name, (_, corpus) in kinds.items():
            sample, data = case(corpus, seed, number)
            began = time.perf_counter()
            try:
                takes[name](data)
            except Exception as error:  # a fuzzer's job is to catch everything
                failures += 1
                print(
                    f"{name} case {number} of seed {seed} (from {sample}): {type(error).__name__}: {str(error)[:300]}"
                )
            seconds = time.perf_counter() - began
            if seconds > MAX_SECONDS:
                failures += 1
                print(f"{name} case {number} of seed {seed} (from {sample}): took {seconds:.1f} s")
            worst = max(worst, seconds)
    readings += sum(isinstance(event, Read) for event in world.events)
    if last - first >= 1_000 and not readings:
        failures += 1
        print("no case became a reading: nothing behind the readers was tried")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(
        f"done {last - first} cases, {failures} failures, {readings} readings, slowest {worst:.3f} s, peak {peak} MiB"
    )
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
