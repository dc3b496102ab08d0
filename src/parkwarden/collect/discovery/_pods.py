"""A pod as the Kubernetes API tells it -> a target, or why it is none. Pure: no sockets, no clocks.

Everything in a pod but its IP is its owner's to write and hostile: an annotation can choose port, scheme and path, never the host.
Source: k8s.io/api/core/v1 types.go (PodStatus, ContainerStatus), kubernetes.io/docs/reference/labels-annotations-taints.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from parkwarden.collect.discovery.addresses import BadAddressError, make_target
from parkwarden.collect.discovery.settings import Kubernetes
from parkwarden.model.instance import Target

PREFIX = "parkwarden.io/"
_ANNOTATED = {"service": "service", "env": "env", "team": "team", "sla_tier": "sla-tier", "version": "version"}


def key_of(pod: Any) -> str:
    """`namespace/name`, "" where the object has none."""
    meta = _dict(pod, "metadata")
    namespace, name = _text(meta, "namespace"), _text(meta, "name")
    return f"{namespace}/{name}" if namespace and name else ""


def pod_target(pod: Any, settings: Kubernetes) -> Target | str | None:
    """The pod's target; None if it does not want to be one or is not there (any more); a sentence if it wants but cannot."""
    meta, spec, status = _dict(pod, "metadata"), _dict(pod, "spec"), _dict(pod, "status")
    annotations = _dict(meta, "annotations")
    scrape = _text(annotations, PREFIX + "scrape").lower()
    if scrape == "false" or (settings.opt_in and scrape != "true"):
        return None
    if meta.get("deletionTimestamp") or status.get("phase") != "Running":
        return None
    ip = _text(status, "podIP")
    if not ip:
        return None
    port, container = _port(annotations, spec, settings)
    if not port:
        wanted = _text(annotations, PREFIX + "port")
        return (
            "the annotation parkwarden.io/port names no port of it"
            if wanted
            else "no port of it is known for debugging"
        )
    scheme = _text(annotations, PREFIX + "scheme") or settings.scheme
    if scheme not in ("http", "https"):
        return "the annotation parkwarden.io/scheme is neither http nor https"
    start_time, restarts = _life(status, container)
    key = key_of(pod)
    try:
        return make_target(
            f"{scheme}://{f'[{ip}]' if ':' in ip else ip}:{port}",
            settings,
            _labels(meta, annotations, settings),
            target_id=f"{settings.cluster}/{key}" if settings.cluster else key,
            metrics_path=_text(annotations, PREFIX + "metrics-path"),
            pprof_path=_text(annotations, PREFIX + "path"),
            start_time=start_time,
            restarts=restarts,
        )
    except BadAddressError as error:
        return f"its address is {error}"


def _port(annotations: Mapping[str, Any], spec: Mapping[str, Any], settings: Kubernetes) -> tuple[int, str]:
    """(port, name of the container it belongs to); port 0 where there is none."""
    named: dict[str, tuple[int, str]] = {}
    numbered: dict[int, str] = {}
    first = ""
    for container in _dicts(spec, "containers"):
        name = _text(container, "name")
        first = first or name
        for port in _dicts(container, "ports"):
            number = _port_number(port.get("containerPort"))
            if number:
                named.setdefault(_text(port, "name"), (number, name))
                numbered.setdefault(number, name)
    wanted = _text(annotations, PREFIX + "port")
    if wanted:
        if wanted.isascii() and wanted.isdigit() and len(wanted) <= 5:
            number = _port_number(int(wanted))
            return number, numbered.get(number, first)
        return named.get(wanted, (0, ""))
    for name in settings.port_names:
        if name in named:
            return named[name]
    return settings.port, numbered.get(settings.port, first)


def _port_number(number: Any) -> int:
    """A port, or 0 where it is none."""
    return number if isinstance(number, int) and not isinstance(number, bool) and 0 < number < 65_536 else 0


def _life(status: Mapping[str, Any], container: str) -> tuple[float | None, int | None]:
    """(Unix seconds since when the container runs, how often it was restarted); None where it is not told."""
    for one in _dicts(status, "containerStatuses"):
        if one.get("name") == container:
            started = _text(_dict(_dict(one, "state"), "running"), "startedAt")
            restarts = one.get("restartCount")
            return unix_seconds(started), restarts if isinstance(restarts, int) and restarts >= 0 else None
    return None, None


def unix_seconds(text: str) -> float | None:
    """Of an RFC 3339 time (`2026-11-21T08:00:00Z`); None where it is none."""
    try:
        at = datetime.fromisoformat(text)
        return at.timestamp() if at.tzinfo is not None else None
    except (ValueError, OverflowError):
        return None


def _labels(meta: Mapping[str, Any], annotations: Mapping[str, Any], settings: Kubernetes) -> dict[str, str]:
    theirs = _dict(meta, "labels")
    labels: dict[str, str] = {}
    for ours, names in settings.labels_from.items():
        value = next((v for n in names if (v := _text(theirs, n))), "")
        if value:
            labels[ours] = value
    for ours, name in _ANNOTATED.items():
        value = _text(annotations, PREFIX + name)
        if value:
            labels[ours] = value
    if "service" not in labels and "service" not in settings.labels:
        labels["service"] = _owner(meta, theirs)
    labels |= {"namespace": _text(meta, "namespace"), "pod": _text(meta, "name")}
    if settings.cluster:
        labels["cluster"] = settings.cluster
    return labels


def _owner(meta: Mapping[str, Any], labels: Mapping[str, Any]) -> str:
    """What made the pod: the Deployment's name from its ReplicaSet's, which ends in the template's hash; else the pod's own."""
    for owner in _dicts(meta, "ownerReferences"):
        name = _text(owner, "name")
        tail = "-" + _text(labels, "pod-template-hash")
        if name:
            return name.removesuffix(tail) if len(tail) > 1 else name
    return _text(meta, "name")


def _dict(of: Any, name: str) -> dict[str, Any]:
    found = of.get(name) if isinstance(of, dict) else None
    return found if isinstance(found, dict) else {}


def _dicts(of: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    found = of.get(name)
    return [one for one in found if isinstance(one, dict)] if isinstance(found, list) else []


def _text(of: Mapping[str, Any], name: str) -> str:
    found = of.get(name)
    return found if isinstance(found, str) else ""
