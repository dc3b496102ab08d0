"""One block of fuzz cases in a process of its own: `python -m tests.fuzz.worker SEED FROM TO STATE_FILE`.

Every case goes through detection and, as its content may no longer be recognised, through one reader by hand; what
names goroutines is clustered; one case in JUDGED is judged, redacted and reported as well. The process's memory is limited, each case's time measured; the number of the case
under way is in STATE_FILE, so that a death can be told from its case.
"""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import json
import resource
import sys
import time
from pathlib import Path
from typing import Any

from parkwarden.formats import detect
from parkwarden.judge import judge_case
from parkwarden.judge.inputs import entries
from parkwarden.model import ParkwardenError, Report
from parkwarden.report.json import report_to_json
from parkwarden.report.redact import redact_report
from parkwarden.run.cases import assemble
from tests.fuzz.mutate import case, load_corpus

MAX_SECONDS = 2.0
JUDGED = 10
"""Judging and reporting cost more than reading, and see only what the readers let through."""

MAX_ADDRESS_SPACE = 3 << 30
"""Of the worker; a reader that balloons on a 256 kB input dies here and is found."""

READERS = (
    "goroutine_dump", "profile_proto", "profile_text", "trace", "expvar", "metrics_page",
)  # fmt: skip


def read_all(readers: list[Any], data: bytes, number: int) -> None:
    """Feed one case to detection (always) and to one reader in turn by hand; typed refusals are right answers."""
    artefacts = detect.read_bytes(data, "fuzz")
    for artefact in artefacts:
        for problem in artefact.problems:
            if problem.code == "reader-failed":
                raise AssertionError(problem.text)
    with contextlib.suppress(ParkwardenError):
        artefacts.append(readers[number % len(readers)].read(data, "fuzz"))
    case, grouping = assemble(artefacts, ("example.com/shop",), None)
    if case.looks:
        # the runtime's own goroutines are left out of clusters, so the sum may fall short of the total, never pass it
        assert sum(c.count for c in case.clusters) <= case.looks[-1].snapshot.total
    if number % JUDGED == 0:
        findings = judge_case(case, grouping)
        report = Report(generated_at="", inputs=entries(case, findings), findings=findings)
        json.loads(report_to_json(redact_report(report)))


def main() -> int:
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_AS, (MAX_ADDRESS_SPACE, MAX_ADDRESS_SPACE))
    seed, first, last = (int(a) for a in sys.argv[1:4])
    state = Path(sys.argv[4]).open("r+b", buffering=0)  # noqa: SIM115 - lives as long as the process
    corpus = load_corpus(Path(__file__).parent.parent / "data")
    readers = [importlib.import_module(f"parkwarden.formats.{name}") for name in READERS]
    worst = 0.0
    failures = 0
    for number in range(first, last):
        state.seek(0)
        state.write(b"%012d" % number)
        name, data = case(corpus, seed, number)
        began = time.perf_counter()
        try:
            read_all(readers, data, number)
        except Exception as error:  # a fuzzer's job is to catch everything
            failures += 1
            print(f"case {number} of seed {seed} (from {name}): {type(error).__name__}: {str(error)[:300]}")
        seconds = time.perf_counter() - began
        if seconds > MAX_SECONDS:
            failures += 1
            print(f"case {number} of seed {seed} (from {name}): took {seconds:.1f} s")
        worst = max(worst, seconds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"done {last - first} cases, {failures} failures, slowest {worst:.3f} s, peak {peak} MiB")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
