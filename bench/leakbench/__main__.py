"""`python -m bench.leakbench long|live|peers|score`: measure, or show what was measured."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import sys
import time
from pathlib import Path

OUT = Path("out/leakbench")
PAGE = Path("docs/accuracy.md")


def main(argv: list[str]) -> int:
    """Hand over to the ruler: `bench.leakbench.<ruler>.command` has `main(argv)`."""
    parser = argparse.ArgumentParser(prog="python -m bench.leakbench", description=__doc__)
    parser.add_argument("what", choices=["long", "live", "peers", "score"])
    parser.add_argument("rest", nargs=argparse.REMAINDER)
    told = parser.parse_args(argv)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # a task is one core; read when numpy is first imported
    if told.what == "score":
        return score(told.rest)
    module = importlib.import_module(f"bench.leakbench.{told.what}.command")
    return int(module.main(told.rest))


def score(argv: list[str]) -> int:
    """Tables of what out/leakbench holds; `--write` puts them, and the pictures, into docs/accuracy.md."""
    from bench.leakbench.score import long_tables, seeds

    if "--write" in argv:
        return write()
    for file in map(Path, argv or [str(f) for f in sorted(OUT.glob("*.json"))]):
        rows = json.loads(file.read_text())
        if isinstance(rows, list) and rows:
            made = time.strftime("%Y-%m-%d %H:%M", time.localtime(file.stat().st_mtime))
            print(f"# {file.name} ({made}, {seeds(rows)})\n\n{long_tables(rows)}")
    return 0


def write() -> int:
    """Fill the page and draw the pictures; says what was not measured and stays as it was."""
    from bench.leakbench import page, picture

    missing = page.write(PAGE, OUT)
    drawn = picture.draw(page.measured(OUT), PAGE.parent / "img")
    print(
        "\n".join(
            [f"written: {PAGE}", *(f"drawn: {one}" for one in drawn), *(f"not measured: {one}" for one in missing)]
        )
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
