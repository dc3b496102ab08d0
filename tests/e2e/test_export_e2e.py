"""What we write opens in Go's own tool, and a merge equals its merge."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

import pytest

from parkwarden.formats import profile_proto
from parkwarden.report import export

pytestmark = pytest.mark.e2e


def _pprof(go: str, *args: str) -> str:
    return subprocess.run([go, "tool", "pprof", *args], check=True, capture_output=True, text=True).stdout


@pytest.mark.parametrize("name", ["goroutine", "heap", "cpu", "mutex"])
def test_go_tool_pprof_reads_what_we_write(go: str, data: Path, tmp_path: Path, name: str) -> None:
    """`-top` over our file equals `-top` over Go's own but for `(inline)`, which the model does not keep."""
    original = data / "profile_proto" / "go1.27" / f"{name}.pb.gz"
    ours = tmp_path / "ours.pb.gz"
    ours.write_bytes(export.to_pprof(profile_proto.read(original.read_bytes())))
    tables = []
    for path in (original, ours):
        lines = _pprof(go, "-top", "-nodecount=1000", str(path)).splitlines()
        start = next(i for i, line in enumerate(lines) if "flat%" in line)
        tables.append(
            Counter(" ".join(w for w in line.split() if not w.endswith(("%", "inline)"))) for line in lines[start:])
        )
    assert tables[0] == tables[1]


@pytest.mark.parametrize("name", ["goroutine", "heap", "block"])
def test_merge_equals_go_tool_pprof(go: str, data: Path, tmp_path: Path, name: str) -> None:
    """Samples of our merge are those of `go tool pprof -proto a b`, in `-traces` down to lines."""
    files = [str(data / "profile_proto" / version / f"{name}.pb.gz") for version in ("go1.25", "go1.27")] * 2
    theirs, ours = tmp_path / "theirs.pb.gz", tmp_path / "ours.pb.gz"
    subprocess.run([go, "tool", "pprof", "-proto", "-output", str(theirs), *files], check=True, capture_output=True)
    ours.write_bytes(profile_proto.merge([Path(f).read_bytes() for f in files]))
    read = [_pprof(go, "-traces", "-lines", str(path)).split("-----------+") for path in (theirs, ours)]
    assert Counter(read[0]) == Counter(read[1])
