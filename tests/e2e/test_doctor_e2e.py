"""Doctor beside a real Go service: what it offers is what Go says, and asking leaves nothing behind."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from parkwarden.run.lab import running

pytestmark = pytest.mark.e2e

BIN = Path(sys.executable).with_name("parkwarden")


def doctor(cwd: Path, *args: str) -> tuple[int, dict[str, dict[str, object]]]:
    ran = subprocess.run(
        [str(BIN), "doctor", *args, "--format", "json"], cwd=cwd, capture_output=True, check=False, timeout=60
    )
    told = json.loads(ran.stdout)
    return ran.returncode, {f"{c['section']}/{c['name']}": c for c in told["checks"]}


def test_a_real_service(service: str, tmp_path: Path) -> None:
    """Go 1.27 offers pprof, the leak profile and a census; its clock is ours; nothing is written."""
    code, checks = doctor(tmp_path, f"http://{service}")
    target = checks[f"targets/{service}"]
    assert target["state"] != "fail", target
    details = target["details"]
    assert isinstance(details, dict)
    assert (details["pprof"], details["leak_profile"], details["census"]) == (True, True, True)
    assert details["goroutines"] > 0
    assert abs(details["clock_skew_s"]) < 2
    assert code == 0
    assert list(tmp_path.iterdir()) == []


def test_a_lab_by_file_sd(tmp_path: Path) -> None:
    """A service found through Prometheus's file, beside one that is gone: the whole fails, each says its own."""
    with running("leaks") as lab:
        address = lab.url.removeprefix("http://").rstrip("/")
        groups = [{"targets": [address, "127.0.0.1:1"], "labels": {"job": "leaks"}}]
        (tmp_path / "targets.json").write_text(json.dumps(groups))
        (tmp_path / "p.yaml").write_text("discovery: {file_sd: [{files: [targets.json]}]}\nstore: {folder: data}\n")
        code, checks = doctor(tmp_path, "-c", "p.yaml")
    assert code == 1
    assert checks["discovery/file_sd[0]"]["state"] == "ok"
    assert checks[f"targets/{address}"]["state"] in ("ok", "warn")
    assert checks["targets/127.0.0.1:1"]["state"] == "fail"
