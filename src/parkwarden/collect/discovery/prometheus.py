"""Prometheus's format of targets -> `Target`s: `[{"targets": ["host:port", …], "labels": {"name": "value", …}}, …]`.

In: bytes (JSON or YAML), or what they held. Out: targets; what could not be used goes to `problem(code, where, text)`, and one bad group or
address costs only itself. Raises FormatError (not the format at all), LimitError (MAX_BYTES, MAX_GROUPS, MAX_DEPTH).
Source: prometheus.io/docs/prometheus/latest/http_sd, configuration#file_sd_config.

Of the labels that begin with `__` these are understood, as Prometheus does: `__scheme__`, `__metrics_path__`, `__scrape_interval__`; and
ours: `__pprof_path__`. All others (`__meta_*`, `__param_*`) are left out: relabelling is Prometheus's; a group's `__address__` too, since each
target's own goes before it there as well. Where there is no `service` label, `job` is the service.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from parkwarden.collect.discovery.addresses import BadAddressError, make_target
from parkwarden.collect.discovery.settings import PerTarget
from parkwarden.model.errors import FormatError, LimitError
from parkwarden.model.instance import Target

MAX_BYTES = 16 << 20
"""Of one file or answer: 20,000 targets with ten labels each take some 8 MB."""
MAX_YAML_BYTES = 4 << 20
"""YAML is read a hundred times slower than JSON; larger lists are written by programs, which can write JSON."""
MAX_GROUPS = 50_000
"""Groups of one file or answer."""
MAX_TARGETS = 100_000
"""Targets of one file or answer, before `max_targets`."""
MAX_DEPTH = 8
"""Of YAML: the format needs 3 levels."""

Complain = Callable[[str, str, str], None]

_INTERVAL = re.compile(r"(?:[0-9]{1,6}(?:ms|s|m|h))+", re.ASCII)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def read_targets(raw: bytes, *, yaml: bool, per: PerTarget, problem: Complain, sockets: bool = True) -> list[Target]:
    """All targets of one file or answer, in its order; equal ids only once. `sockets`: whether it may name sockets of this machine."""
    data = _yaml(raw) if yaml else _json(raw)
    if data is None:
        data = []
    if not isinstance(data, list):
        raise FormatError("not-targets", "not a list of target groups")
    if len(data) > MAX_GROUPS:
        raise LimitError("too-many-groups", f"more than {MAX_GROUPS:,} groups")
    found: dict[str, Target] = {}
    seen = 0
    for i, group in enumerate(data):
        addresses = group.get("targets") if isinstance(group, dict) else None
        labels = group.get("labels") or {} if isinstance(group, dict) else None
        if not isinstance(addresses, list) or not isinstance(labels, dict):
            problem("bad-group", f"group {i}", "not of the form {targets: [...], labels: {...}}")
            continue
        if not all(isinstance(k, str) and isinstance(v, str) for k, v in labels.items()):
            problem("bad-label", f"group {i}", "labels that are no text were left out")
            labels = {k: v for k, v in labels.items() if isinstance(k, str) and isinstance(v, str)}
        for j, address in enumerate(addresses):
            seen += 1
            if seen > MAX_TARGETS:
                raise LimitError("too-many-targets", f"more than {MAX_TARGETS:,} targets")
            try:
                target = _target(address, labels, per)
                if target.url.startswith("unix:") and not sockets:
                    raise BadAddressError("of a socket of this machine, which nobody from outside may name")
            except BadAddressError as error:
                problem("bad-address", f"group {i}, target {j}", f"address {error}")
            else:
                found.setdefault(target.id, target)
    return list(found.values())


def _target(address: Any, labels: dict[str, str], per: PerTarget) -> Target:
    if not isinstance(address, str):
        raise BadAddressError("that is no text")
    scheme = labels.get("__scheme__") or "http"
    if scheme not in ("http", "https"):
        raise BadAddressError("with a scheme that is neither http nor https")
    own = {k: v for k, v in labels.items() if not k.startswith("__")}
    if not own.get("service") and own.get("job"):
        own["service"] = own["job"]
    interval = labels.get("__scrape_interval__", "")
    return make_target(
        address if "://" in address or address.startswith("unix:") else f"{scheme}://{address}",
        per,
        own,
        metrics_path=labels.get("__metrics_path__", ""),
        pprof_path=labels.get("__pprof_path__", ""),
        interval_s=interval_s(interval),
    )


def interval_s(text: str) -> float:
    """Seconds of Prometheus's `15s`, `1m30s`; 0 where it is no duration."""
    if not _INTERVAL.fullmatch(text):
        return 0.0
    return sum(int(n) * _UNITS[unit] for n, unit in re.findall(r"([0-9]+)(ms|s|m|h)", text))


def _json(raw: bytes) -> Any:
    import orjson

    if len(raw) > MAX_BYTES:
        raise LimitError("too-large", f"larger than {MAX_BYTES >> 20} MiB")
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise FormatError("not-json", f"not JSON: line {error.lineno}, column {error.colno}") from None


def _yaml(raw: bytes) -> Any:
    import yaml

    if len(raw) > MAX_YAML_BYTES:
        raise LimitError("too-large", f"YAML larger than {MAX_YAML_BYTES >> 20} MiB: write it as JSON")
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    depth = 0
    try:
        text = raw.decode("utf-8-sig")
        for event in yaml.parse(
            text, Loader=loader
        ):  # before anything is built: aliases and depth are how small files blow up
            if isinstance(event, yaml.AliasEvent):
                raise FormatError("yaml-alias", "YAML aliases (`*name`) are not taken: write it out")
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
                if depth > MAX_DEPTH:
                    raise LimitError("too-deep", f"nested deeper than {MAX_DEPTH} levels")
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
        return yaml.load(text, Loader=loader)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise FormatError("not-yaml", f"not YAML: line {line}") from None
    except (yaml.YAMLError, ValueError, RecursionError):
        raise FormatError("not-yaml", "not YAML") from None
