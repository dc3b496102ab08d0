"""What is measured, one function per promise; each returns rows for the table and the JSON."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.measure import BIN, GO, OUT, ROOT, build_peer, median_run, run, timed_lines

MIB = 1 << 20


@dataclass(frozen=True)
class Row:
    """One comparison: our seconds, theirs, the ratio that counts (theirs / ours: above 1 = we are faster)."""

    work: str
    peer: str
    ours_s: float
    peer_s: float
    wanted: float | None
    note: str = ""

    @property
    def ratio(self) -> float:
        return self.peer_s / self.ours_s

    def as_dict(self) -> dict[str, object]:
        met = None if self.wanted is None else self.ratio >= self.wanted
        return {**asdict(self), "ratio": round(self.ratio, 2), "met": met}


def _generate(script: str, out: Path, *args: str) -> Path:
    if not out.exists():
        out.parent.mkdir(parents=True, exist_ok=True)
        print(f"bench: generating {out.name} ...", file=sys.stderr)
        subprocess.run([sys.executable, str(ROOT / "bench" / script), str(out), *args], check=True, cwd=ROOT)
    return out


_CLUSTER = """
import sys, time
from parkwarden import cluster
data = open(sys.argv[1], "rb").read()
times = []
for _ in range(int(sys.argv[2])):
    began = time.perf_counter()
    clusters = cluster(data)
    times.append(time.perf_counter() - began)
print(f"{sorted(times)[len(times) // 2]:.6f} {sum(c.count for c in clusters)} {len(clusters)} {times[0]:.6f}")
"""


def dump(runs: int, quick: bool) -> list[Row]:
    """Bytes of a big text dump to clusters, in process, beside the two public parsers."""
    file = _generate("gen_dump.py", OUT / "dump-100k.txt", "--goroutines", "100003")
    size = file.stat().st_size
    ours = median_run([sys.executable, "-c", _CLUSTER, str(file), "5"], runs)
    seconds, (goroutines, clusters, first) = timed_lines(ours.stdout)
    once = run([sys.executable, "-c", _CLUSTER, str(file), "1"])
    parsed, (found, _errors) = timed_lines(run([str(build_peer("gostackparse")), str(file), "5"]).stdout)
    note = (
        f"{size / MIB:.1f} MiB; ours: {goroutines} goroutines in {clusters} clusters, first call {float(first):.3f} s, "
        f"peak memory {once.peak / size:.2f} x file; gostackparse found {found}"
    )
    rows = [Row("text dump to clusters", "gostackparse 0.7.0 (parses only)", seconds, parsed, 2.5, note)]
    if not quick:
        part = _part_without_labels(file)
        ours_s, (_, ours_found, _) = timed_lines(run([sys.executable, "-c", _CLUSTER, str(part), "5"]).stdout)
        panic_s, (found, buckets) = timed_lines(run([str(build_peer("panicparse")), str(part), "1"]).stdout)
        what = f"{found} in {buckets} buckets; ours: {ours_found} clusters; labels taken out, as it reads no header with labels"
        rows.append(Row("a quarter of that dump to clusters", "panicparse 2.5.0", ours_s, panic_s, 100.0, what))
    return rows


def _part_without_labels(file: Path) -> Path:
    """A quarter of the dump, as an older Go would have printed it: panicparse reads no header with Go 1.27's labels, and its
    time grows with the square of the goroutines (the whole took it 532 s here)."""
    part = file.with_name("dump-25k-bare.txt")
    if not part.exists():
        data = file.read_bytes()
        data = data[: data.index(b"\n\n", len(data) // 4) + 2]
        part.write_bytes(re.sub(rb"(?m)^(goroutine \d+ \[[^\]\n]*\]) ?\{[^\n]*\}:$", rb"\1:", data))
    return part


def trace(runs: int, quick: bool) -> list[Row]:
    """The whole `parkwarden trace --format json` beside `go tool trace` on the same file."""
    file = _generate("gen_trace.py", OUT / "trace-75mb.out", "--mb", "76")
    size = file.stat().st_size
    ours = median_run(
        [str(BIN / "parkwarden"), "trace", str(file), "--format", "json"], runs, stdout_to=OUT / "trace.json"
    )
    summary = json.loads((OUT / "trace.json").read_text())
    note = f"{size / MIB:.1f} MiB, {summary['events']:,} events; peak memory {ours.peak / size:.2f} x file"
    # the tool is built by its first use: that is not what is measured
    golden = next((ROOT / "tests" / "data" / "trace" / "1.27").iterdir())
    run([str(GO), "tool", "trace", "-d=footprint", str(golden)], stdout_to=OUT / "footprint.txt")
    footprint = median_run([str(GO), "tool", "trace", "-d=footprint", str(file)], runs, stdout_to=OUT / "footprint.txt")
    rows = [
        Row("execution trace, whole process", "go tool trace -d=footprint", ours.seconds, footprint.seconds, None, note)
    ]
    if not quick:
        sched = median_run([str(GO), "tool", "trace", "-pprof=sched", str(file)], runs, stdout_to=OUT / "sched.pb.gz")
        rows.append(
            Row(
                "execution trace, whole process",
                "go tool trace -pprof=sched",
                ours.seconds,
                sched.seconds,
                15.0,
                f"{note}; theirs {sched.peak / size:.1f} x file",
            )
        )
    return rows


def profiles(runs: int, quick: bool) -> list[Row]:
    """Merging 100 profiles to one, whole process, beside `go tool pprof -proto`."""
    folder = _generate("gen_profiles.py", OUT / "profiles")
    rows = []
    for kind in ("goroutine", "heap"):
        files = sorted(str(f) for f in (folder / kind).iterdir())[:100]
        out = OUT / f"merged-{kind}.pb.gz"
        ours = median_run([str(BIN / "parkwarden"), "export", *files, "--to", "pprof", "-o", str(out), "--force"], runs)
        run([str(GO), "tool", "pprof", "-proto", "-output", str(OUT / f"peer-{kind}.pb.gz"), files[0]])
        peer = median_run(
            [str(GO), "tool", "pprof", "-proto", "-output", str(OUT / f"peer-{kind}.pb.gz"), *files], runs
        )
        total = sum(Path(f).stat().st_size for f in files)
        rows.append(
            Row(
                f"merge {len(files)} {kind} profiles",
                "go tool pprof -proto",
                ours.seconds,
                peer.seconds,
                1.0,
                f"{total / 1024:.0f} KiB in all",
            )
        )
    return rows


def startup(runs: int, quick: bool) -> list[Row]:
    """`parkwarden --help`: promised within 0.25 s."""
    ours = median_run([str(BIN / "parkwarden"), "--help"], max(runs, 5))
    return [Row("parkwarden --help", "the promise of 0.25 s", ours.seconds, 0.25, 1.0)]


def scraping(runs: int, quick: bool) -> list[Row]:
    """1,000 live targets at 5 s on one core: CPU of ours beside Prometheus', and memory."""
    from bench import scraping as fleet

    with fleet.fleet(fleet.TARGETS) as base:
        readings, all_looks = fleet.ours(base, fleet.TARGETS, False), fleet.ours(base, fleet.TARGETS, True)
        peer = None if quick else fleet.prometheus(base, fleet.TARGETS)
    core = f"{all_looks['core']:.1%} of one core, {all_looks['rss'] / MIB:.0f} MiB"
    beyond = max(all_looks["rss"] - 250 * MIB, 0) / 1024 / fleet.TARGETS
    rows = [
        Row("1,000 targets at 5 s, looks on beat: CPU per second", "half a core", all_looks["core"], 0.5, 1.0, core),
        Row("the same: KiB per target beyond 250 MiB", "64 KiB", max(beyond, 0.001), 64.0, 1.0, core),
    ]
    if peer is not None:
        note = f"{peer['core']:.1%} of one core, {peer['rss'] / MIB:.0f} MiB, {peer['scrapes']:.0f} scrapes"
        rows += [
            Row(
                "CPU per scrape, readings alone",
                "prometheus",
                readings["per_scrape_s"],
                peer["per_scrape_s"],
                0.4,
                note,
            ),
            Row(
                "CPU per scrape, looks on beat too",
                "prometheus",
                all_looks["per_scrape_s"],
                peer["per_scrape_s"],
                0.4,
                note,
            ),
        ]
    return rows


def judging(runs: int, quick: bool) -> list[Row]:
    """A tick of all count detectors over 100,000 instances, beside Prometheus evaluating the same three rules."""
    from bench.judging import section

    return section(runs, quick)


def stall(runs: int, quick: bool) -> list[Row]:
    """How long each look holds up the watched service."""
    from bench.stall import section

    return section(runs, quick)


def local_depth(runs: int, quick: bool) -> list[Row]:
    """What a look of the host at a process costs, and whether it holds the process up."""
    from bench.local_depth import section

    return section(runs, quick)


def load(runs: int, quick: bool) -> list[Row]:
    """Latency of a service under load, with and without us watching."""
    from bench.load import section

    return section(runs, quick)


def replaying(runs: int, quick: bool) -> list[Row]:
    """Reading a recording, and judging it on virtual time."""
    from bench.replaying import section

    return section(runs, quick)


def storing(runs: int, quick: bool) -> list[Row]:
    """Commits, journal, history and evidence, beside the plainest way to do the same."""
    from bench.storing import section

    return section(runs, quick)


SECTIONS = {
    "dump": dump,
    "trace": trace,
    "profiles": profiles,
    "startup": startup,
    "scraping": scraping,
    "judging": judging,
    "storing": storing,
    "stall": stall,
    "local-depth": local_depth,
    "load": load,
    "replaying": replaying,
}
