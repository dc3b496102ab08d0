"""`python -m bench [SECTION ...]`: measure, print a table of ratios, write bench/out/bench.json."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time

from rich.console import Console
from rich.table import Table

from bench.measure import OUT
from bench.sections import SECTIONS


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"which: {', '.join(SECTIONS)} (default: all)")
    parser.add_argument("--runs", type=int, default=3, help="runs of each program; the median counts")
    parser.add_argument("--quick", action="store_true", help="leave out the peers that take half a minute and more")
    args = parser.parse_args()
    unknown = set(args.sections) - set(SECTIONS)
    if unknown:
        parser.error(f"unknown section {', '.join(sorted(unknown))}; there are {', '.join(SECTIONS)}")
    rows = []
    for name, section in SECTIONS.items():
        if not args.sections or name in args.sections:
            print(f"bench: {name} ...", file=sys.stderr)
            rows += section(args.runs, args.quick)
    table = Table(title="Parkwarden beside its peers (seconds, lower is better)")
    for column in ("work", "peer", "ours", "peer's", "ratio", "wanted", "note"):
        table.add_column(column, justify="right" if column in ("ours", "peer's", "ratio", "wanted") else "left")
    for row in rows:
        wanted = "" if row.wanted is None else f">= {row.wanted:g}"
        mark = "" if row.wanted is None else (" ok" if row.ratio >= row.wanted else " MISSED")
        table.add_row(
            row.work, row.peer, f"{row.ours_s:.3f}", f"{row.peer_s:.3f}", f"{row.ratio:.1f} x{mark}", wanted, row.note
        )
    Console(width=160 if not sys.stdout.isatty() else None).print(table)
    OUT.mkdir(parents=True, exist_ok=True)
    (OUT / "bench.json").write_text(
        json.dumps(
            {
                "schema": "parkwarden.bench/1",
                "machine": {"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.system()},
                "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
                "rows": [row.as_dict() for row in rows],
            },
            indent=2,
        )
    )
    print(f"written: {(OUT / 'bench.json').relative_to(OUT.parent.parent)}", file=sys.stderr)
    return 0 if all(row.wanted is None or row.ratio >= row.wanted for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
