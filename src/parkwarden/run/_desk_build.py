"""Building the order desk (lab/instrumented): with OpenTelemetry's Go SDK, and with the SkyWalking Go agent.

The agent is no library but a program that Go's build calls for every package (`-toolexec`), and that writes itself into runtime,
net/http, zap and main. Its own repository builds it in a workspace; its modules are taken from the module proxy here, and the
one file that lists its plugins is replaced (lab/instrumented/agent/register). What it touches is compiled into a build cache of
its own: Go does not tell such packages from untouched ones, and the user's other builds must never find them.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from parkwarden.collect.limits import Tell
from parkwarden.kernels import cache_dir
from parkwarden.model.errors import ParkwardenError
from parkwarden.run._lab_build import build_error, find_go, go_build, go_environment
from parkwarden.run._lab_catalog import labs_folder

AGENT_MODULE = "github.com/apache/skywalking-go/tools/go-agent"
AGENT_VERSION = "v0.0.0-20250423075209-b7f3404dacc0"
"""The commit of release 0.6.0; the modules below the release's own are not tagged."""
AGENT_SUM = "h1:i1MUzMycXAb/kGOAHuqrH1I8nLbPGM0w3qrQVCYRfzw="
"""What go.sum would say of it: go.mod replaces it by the copy made of it, so go.sum does not."""
AGENT_RELEASE = "0.6.0"
DOWNLOAD_TIMEOUT_S = 120
"""For one module of some hundred KB."""


def build_desk(name: str, into: Path, tell: Tell) -> Path:
    """Build the desk of lab/instrumented/`name` (`otel`, `skywalking`) into a folder; its path.

    Raises as `go_build` does: UnreachableError where modules cannot be fetched.
    """
    folder = labs_folder() / "instrumented" / name
    program = into / f"desk-{name}"
    if name == "skywalking":
        home = _agent(tell)
        tell("building the desk with the SkyWalking agent (the first time compiles the standard library)", None)
        env = {"GOCACHE": str(home / "go-build")}
        go_build("the SkyWalking desk", folder, program, modules=True, flags=(f"-toolexec={home / 'agent'}",), env=env)
    else:
        tell("building the desk with OpenTelemetry's SDK", None)
        go_build("the OpenTelemetry desk", folder, program, modules=True)
    return program


def _agent(tell: Tell) -> Path:
    """The folder in our cache that holds `agent` and the build cache of what it touched, made if it is not there."""
    recipe = labs_folder() / "instrumented" / "agent"
    home = builds_dir() / f"skywalking-agent-{AGENT_RELEASE}-{_key(recipe)}"
    if (home / "agent").exists():
        return home
    home.mkdir(parents=True, exist_ok=True)
    tell("building the SkyWalking agent", None)
    with tempfile.TemporaryDirectory(dir=home) as scratch:
        folder = Path(scratch, "recipe")
        shutil.copytree(recipe, folder)
        copy = folder / "go-agent"
        shutil.copytree(_module(Path(scratch)), copy, copy_function=shutil.copyfile)
        for path in (copy, *copy.rglob("*")):
            path.chmod(
                0o755 if path.is_dir() else 0o644
            )  # the module cache is read-only, and so are copies of its folders
        shutil.copyfile(folder / "register" / "register.go", copy / "instrument" / "plugins" / "register.go")
        program = Path(scratch, "agent")
        go_build("the SkyWalking agent", folder, program, modules=True, package=f"{AGENT_MODULE}/cmd")
        os.replace(program, home / "agent")
    return home


def builds_dir() -> Path:
    """Where large builds are kept: our cache folder, beside the kernels', or the one that was asked for."""
    return cache_dir() if os.environ.get("PARKWARDEN_CACHE_DIR") else cache_dir().parent


def _key(recipe: Path) -> str:
    """What the agent and its build cache depend on: our part of it, the pinned module, the toolchain."""
    key = hashlib.sha256(f"{AGENT_VERSION} {AGENT_SUM} {go_version()}".encode())
    for path in sorted(recipe.rglob("*")):
        if path.is_file():
            key.update(path.relative_to(recipe).as_posix().encode() + b"\0" + path.read_bytes())
    return key.hexdigest()[:16]


def go_version() -> str:
    """`go1.27.3`, as the toolchain tells it."""
    told = subprocess.run(
        [find_go(), "env", "GOVERSION"], env=go_environment(), capture_output=True, text=True, timeout=30, check=False
    )
    return told.stdout.strip()


def _module(scratch: Path) -> Path:
    """The agent's module in Go's module cache, downloaded if need be, and no other than the pinned one."""
    told = subprocess.run(
        [find_go(), "mod", "download", "-json", f"{AGENT_MODULE}@{AGENT_VERSION}"],
        cwd=scratch,
        env=go_environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=DOWNLOAD_TIMEOUT_S,
        check=False,
    )
    try:
        found = json.loads(told.stdout)
    except ValueError:
        raise build_error("the SkyWalking agent", told.stderr, modules=True) from None
    if told.returncode != 0 or "Dir" not in found:
        raise build_error("the SkyWalking agent", str(found.get("Error", told.stderr)), modules=True)
    if found.get("Sum") != AGENT_SUM:
        raise ParkwardenError(
            "agent-not-the-pinned",
            f"the module proxy's {AGENT_MODULE} is not the one this was written for",
            context=f"{found.get('Sum')} in place of {AGENT_SUM}",
        )
    return Path(found["Dir"])
