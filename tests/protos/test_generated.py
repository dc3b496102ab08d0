"""The generated protobuf modules."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from parkwarden.protos import skywalking_paths as paths

ROOT = Path(__file__).resolve().parents[2]


def test_generated_modules_are_of_the_proto_files_beside_them() -> None:
    """Whoever changes a .proto runs the generator."""
    done = subprocess.run(
        [sys.executable, "tools/gen_protos.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_old_agents_ask_without_a_package() -> None:
    """v3's services have been asked for without a package, v10's never."""
    assert paths.old(paths.SEGMENTS) == "/TraceSegmentReportService/collect"
    assert paths.old(paths.PPROF_TASKS) == paths.PPROF_TASKS
