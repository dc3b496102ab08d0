"""Proposed limits as text to paste: a systemd unit's part, a Kubernetes container's part, Go."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from enum import StrEnum

from parkwarden.judge.limits import Profile, Proposal, Tuning
from parkwarden.judge.limits.rules import mebibytes


class Snippet(StrEnum):
    """What to print."""

    SYSTEMD = "systemd"
    KUBERNETES = "kubernetes"
    GO = "go"
    ALL = "all"


def snippets(tuning: Tuning, which: Snippet) -> dict[str, str]:
    """The texts asked for, by name, each ending in a newline."""
    values = {one.name: one for one in tuning.proposals}
    names = [one for one in _WRITERS if which in (Snippet.ALL, one)]
    return {name.value: _WRITERS[name](values, tuning.profile) for name in names}


def _systemd(values: Mapping[str, Proposal], _profile: Profile) -> str:
    lines = ["[Service]"]
    lines.append(f"LimitNOFILE={_number(values['fd-limit'])}")
    lines.append(f"LimitNPROC={_number(values['process-limit'])}")
    lines.append(f"TasksMax={_number(values.get('pids-limit', values['process-limit']))}")
    if "address-space" in values:
        lines.append("LimitAS=infinity")
    if "memory-limit" in values:
        lines.append(f"MemoryMax={mebibytes(values['memory-limit'].value).removesuffix('iB')}")
        lines.append(f"Environment=GOMEMLIMIT={mebibytes(values['gomemlimit'].value)}")
    lines += [f"Environment={line}" for line in _environment(values)]
    return "\n".join(lines) + "\n"


def _kubernetes(values: Mapping[str, Proposal], _profile: Profile) -> str:
    lines = ["# in the container; ulimit -n and pids come from the node (containerd LimitNOFILE, kubelet podPidsLimit)"]
    lines.append(
        f"# this service wants {_number(values['fd-limit'])} descriptors and {_number(values['process-limit'])} pids"
    )
    if "memory-limit" in values:
        mebi = int(values["memory-limit"].value) >> 20
        lines += ["resources:", f"  requests: {{memory: {mebi}Mi}}", f"  limits: {{memory: {mebi}Mi}}"]
    environment = [tuple(line.split("=", 1)) for line in _environment(values)]
    if "gomemlimit" in values:
        environment.insert(0, ("GOMEMLIMIT", mebibytes(values["gomemlimit"].value)))
    if environment:
        lines.append("env:")
        lines += [f'  - {{name: {name}, value: "{value}"}}' for name, value in environment]
    if "gomemlimit" in values:
        lines.append(
            "# GOMEMLIMIT is 90 % of limits.memory: resourceFieldRef would give all of it, and the kernel would kill first"
        )
    return "\n".join(lines) + "\n"


def _environment(values: Mapping[str, Proposal]) -> list[str]:
    """GOGC and GOMAXPROCS where they are not what Go does by itself."""
    found = []
    gogc = values["gogc"].value
    if gogc != 100:
        found.append(f"GOGC={'off' if math.isinf(gogc) else int(gogc)}")
    procs = values["gomaxprocs"]
    if procs.changes and math.isfinite(procs.value) and procs.now is not None:
        found.append(f"GOMAXPROCS={int(procs.value)}")
    return found


def _go(values: Mapping[str, Proposal], profile: Profile) -> str:
    lines = ["srv := &http.Server{"]
    for name, field in (
        ("read-header-timeout", "ReadHeaderTimeout"),
        ("read-timeout", "ReadTimeout"),
        ("write-timeout", "WriteTimeout"),
        ("idle-timeout", "IdleTimeout"),
    ):
        value = values[name].value
        said = f"{_duration(value)}," if value else "0, // each read or write has its own deadline, see below"
        lines.append(f"\t{field + ':':<18} {said}")
    lines += ["}", f"debug.SetMaxThreads({_number(values['go-max-threads'])}) // a crash limit, no protection"]
    if "gomemlimit" in values:
        lines.append(
            f"debug.SetMemoryLimit({int(values['gomemlimit'].value) >> 20} << 20) // or GOMEMLIMIT in the environment"
        )
    if profile.streaming:
        each = _duration(profile.timeout_s)
        lines += [
            "",
            "// in a handler that streams, before each write (and SetReadDeadline before each read of a body):",
            "rc := http.NewResponseController(w)",
            f"if err := rc.SetWriteDeadline(time.Now().Add({each})); err != nil {{",
            "\treturn",
            "}",
        ]
    return "\n".join(lines) + "\n"


def _duration(seconds: float) -> str:
    return f"{int(seconds)} * time.Second" if seconds == int(seconds) else f"{int(seconds * 1000)} * time.Millisecond"


def _number(one: Proposal) -> str:
    return "infinity" if math.isinf(one.value) else f"{int(one.value)}"


_WRITERS: Mapping[Snippet, Callable[[Mapping[str, Proposal], Profile], str]] = {
    Snippet.SYSTEMD: _systemd,
    Snippet.KUBERNETES: _kubernetes,
    Snippet.GO: _go,
}
