"""Reading a recording and judging it on virtual time, beside what was promised.

One invented day of ten instances: counts every 5 s, 40 sites a minute, a census every 5 minutes, one leak of six an hour. Reading is measured by
processor time of the reader alone; replaying as a whole process. Beside it a day of a fleet of a hundred (bench/gen_fleet.py), with and
without censuses, by processor time of the whole process.
"""

from __future__ import annotations

import resource
import time
from pathlib import Path
from statistics import median

from bench.gen_fleet import recorded
from bench.measure import BIN, OUT, run
from bench.sections import Row
from parkwarden.formats import scenario
from parkwarden.formats.recording import Reader, write

PROMISED_MB_PER_S = 100.0
"""Wanted, and reached by profiles and censuses (some 140 MB/s). Short lines of counts are slower: their 0.9 us of JSON become 7 us with the
objects that the judges take, and a replay judges ten times as long as it reads."""
PROMISED_SPEED = 500.0
"""Virtual seconds per second that a replay of ten instances should make: a day within three minutes."""
PROMISED_FLEET_DAY_S = 60.0
"""Processor seconds that a day of a hundred instances may take, readings and profiles."""
FLEET = 100
CHUNK = 1 << 20


def _scenario(hours: int) -> str:
    lines = [f"instance gw-{i} service=gateway started=-1d" for i in range(10)]
    lines += [f'site s{i} "select" shop/pool.worker{i} pool.go:{i}' for i in range(40)]
    lines += [f"crowd s{i} initial {i + 1} births 2/min lives 10s..50s" for i in range(39)]
    lines += ["crowd s39 on gw-0 initial 3 births 6/h lives forever"]
    lines += ["load 5s heap_inuse 64Mi~4Mix17280", "load 5s cpu_s 0+2x17280", "load 5s requests_total 0+500x17280"]
    lines += ["look count every 5s", "look profile every 1m", "look census every 5m", f"until {hours}h"]
    return "\n".join(lines)


def _recorded(hours: int) -> Path:
    file = OUT / f"recording-{hours}h.jsonl"
    if not file.exists():
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(b"".join(map(write, scenario.read(_scenario(hours).encode()).events())))
    return file


def _read_s(data: bytes) -> tuple[float, int]:
    """Processor seconds of reading it all, and the events in it."""
    reader = Reader()
    began = time.process_time()
    for at in range(0, len(data), CHUNK):
        reader.feed(data[at : at + CHUNK])
    return time.process_time() - began, reader.events


def _fleet(hours: int, censuses: bool) -> Row:
    """One replay of the fleet: processor time, since a fleet's day is long enough for other work to come between."""
    file = recorded(OUT / f"fleet-{hours}h{'-census' if censuses else ''}.jsonl.zst", FLEET, hours, censuses=censuses)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    whole = run([str(BIN / "parkwarden"), "replay", str(file), "--format", "json"], stdout_to=OUT / "replay.json")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Row(
        f"replay {hours} h of {FLEET} instances{', censuses too' if censuses else ''}",
        f"{PROMISED_FLEET_DAY_S:.0f} s a day",
        seconds,
        PROMISED_FLEET_DAY_S * hours / 24,
        1.0,
        f"processor time; {file.stat().st_size / 1e6:.0f} MB packed, peak memory {whole.peak >> 20} MiB",
    )


def section(runs: int, quick: bool) -> list[Row]:
    """Reading: 100 MB/s wanted of lines as they are mixed in a recording. Replaying: 500 times faster than life."""
    hours = 2 if quick else 24
    file = _recorded(hours)
    data = file.read_bytes()
    took = [_read_s(data) for _ in range(max(runs, 3))]
    seconds, events = median(s for s, _ in took), took[0][1]
    whole = run([str(BIN / "parkwarden"), "replay", str(file), "--format", "json"], stdout_to=OUT / "replay.json")
    mb = len(data) / 1e6
    return [
        Row(
            f"read a recording of {hours} h, 10 instances",
            "the promise of 100 MB/s",
            seconds,
            mb / PROMISED_MB_PER_S,
            None,
            f"{mb:.0f} MB, {events:,} events: {mb / seconds:.0f} MB/s, {seconds / events * 1e6:.1f} us an event",
        ),
        Row(
            f"replay it, {hours} h of virtual time",
            "500 x life",
            whole.seconds,
            hours * 3600 / PROMISED_SPEED,
            1.0,
            f"{hours * 3600 / whole.seconds:,.0f} x life, peak memory {whole.peak >> 20} MiB",
        ),
        _fleet(hours, False),
        _fleet(hours, True),
    ]
