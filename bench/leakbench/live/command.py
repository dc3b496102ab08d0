"""`python -m bench.leakbench live`: the live ruler's command line. Results: out/leakbench/live.json."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.leakbench.live.again import rejudged
from bench.leakbench.live.cases import RATES, Case, innocents, leaks
from bench.leakbench.live.run import MODES, SIDE_BY_SIDE, Measured, mark_provable, run_all
from bench.leakbench.live.score import tally
from bench.leakbench.score import percent, table
from bench.measure import ROOT

OUT = ROOT / "out" / "leakbench" / "live.json"


def picked(seed: int, only: str | None, what: str, rates: Sequence[float] = RATES) -> list[Case]:
    """The cases of a seed whose text contains `only` (several: parted by commas)."""
    cases = [*(leaks(seed, rates) if what != "innocent" else ()), *(innocents(seed) if what != "leaks" else ())]
    wanted = [word.strip() for word in (only or "").split(",") if word.strip()]
    return [case for case in cases if not wanted or any(word in case.text for word in wanted)]


def tables(scores: dict[str, Any]) -> str:
    """The scores as Markdown, a column per mode."""
    keys = ["recall", "precision", "lookalikes_accused", "lookalikes_suspected"]
    keys += ["go_leak_profile_alone", "go_leak_profile_wrong_services"]
    rows = [[key.replace("_", " "), *(_share(s[key]) for s in scores.values())] for key in keys]
    for group in ("by_rate", "by_mixed", "by_proof", "by_kind"):
        for value in dict.fromkeys(v for s in scores.values() for v in s[group]):
            cells = [_share(s[group][value]) if value in s[group] else "-" for s in scores.values()]
            rows.append([f"{group.removeprefix('by_')} {value}", *cells])
    return table(["", *scores], rows)


def _share(one: dict[str, Any]) -> str:
    suspected = f" + {one['suspect']} suspect" if one.get("suspect") else ""
    return percent(one["hits"], one["of"]) + suspected if one["of"] else "-"


def main(argv: Sequence[str]) -> int:
    """The command line; 0 once it is measured, 1 if a case could not be."""
    parser = argparse.ArgumentParser(prog="python -m bench.leakbench live", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=1, help="each with the next seed")
    parser.add_argument("--for", dest="for_s", type=float, default=30.0, metavar="S", help="length of each check")
    parser.add_argument("--modes", default=",".join(MODES), help="of " + ", ".join(MODES))
    parser.add_argument("--only", metavar="TEXT", help="cases whose text contains this; several parted by commas")
    parser.add_argument("--what", choices=("all", "leaks", "innocent"), default="all")
    parser.add_argument("--rates", default=",".join(f"{r:g}" for r in RATES), help="of the leaks, per second")
    parser.add_argument("--jobs", type=int, default=SIDE_BY_SIDE, help="cases side by side")
    parser.add_argument("--keep", type=Path, metavar="DIR", help="keep what each check saw, for --rejudge")
    parser.add_argument(
        "--rejudge", type=Path, nargs="+", metavar="FILE", help="run nothing: judge again what a live.json kept"
    )
    parser.add_argument("--output", type=Path, default=OUT)
    args = parser.parse_args(argv)
    modes = args.modes.split(",")
    if unknown := set(modes) - set(MODES):
        parser.error(f"unknown mode {', '.join(sorted(unknown))}")
    rates = [float(rate) for rate in args.rates.split(",")]
    seeds = range(args.seed, args.seed + args.repeats)
    wanted = [
        (case, mode, seed) for seed in seeds for case in picked(seed, args.only, args.what, rates) for mode in modes
    ]
    began = time.monotonic()

    def tell(done: int, trouble: str) -> None:
        print(f"live: {done} of {len(wanted)} checks {trouble}", file=sys.stderr, flush=True)

    measured, cut = Measured(), False
    if args.rejudge:
        before = [json.loads(file.read_text(encoding="utf-8")) for file in args.rejudge]
        kept = [row for one in before for row in one["runs"] if row["recording"]]
        measured = Measured([rejudged(row) for row in kept], [line for one in before for line in one["failed"]])
        modes = [mode for mode in MODES if any(row["mode"] == mode for row in measured.rows)]
        args.for_s, args.jobs = before[0]["for_s"], before[0]["side_by_side"]
    else:
        try:
            run_all(wanted, args.for_s, args.jobs, keep=args.keep, into=measured, tell=tell)
        except KeyboardInterrupt:
            cut = True
    rows, failed = measured.rows, measured.failed
    mark_provable(rows)
    scores = {mode: tally([row for row in rows if row["mode"] == mode]) for mode in modes}
    args.output.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "ruler": "live", "seeds": sorted({row["seed"] for row in rows}), "for_s": args.for_s, "side_by_side": args.jobs,
        "cpus": os.cpu_count(), "took_s": round(time.monotonic() - began), "scores": scores, "runs": rows, "failed": failed, "cut": cut,
    }  # fmt: skip
    args.output.write_text(json.dumps(document, indent=1), encoding="utf-8")
    print(tables(scores))
    return 130 if cut else 1 if failed else 0
