"""Resource attributes -> the instance they speak of. Pure.

The *place* names an instance, as everywhere in Parkwarden, and stays over restarts; what comes first counts:

    service.instance.id as host:port    10.1.2.3:6060       a Prometheus receiver's targets, named as our own are
    k8s.namespace.name, k8s.pod.name    prod/web-0          named as our own pods are
    service.instance.id                 shop/worker-3       an SDK's; one that is random per life is another place each time
    host.name, process.pid              shop/host-1:4711
    service.name alone                  shop                one instance, as far as anybody can tell

Nothing at all, or SDKs' `unknown_service`, is nobody: instances cannot be told apart.
"""

from __future__ import annotations

from collections.abc import Mapping

from parkwarden.collect.discovery._pods import unix_seconds
from parkwarden.collect.discovery.addresses import clean_labels, is_address
from parkwarden.collect.streams.roll import MAX_ID
from parkwarden.model.instance import Instance
from parkwarden.model.safe import inert

UNKNOWN = "unknown_service"
"""What SDKs say where nobody told them a name."""

LABELS = {
    "service": ("service.name",),
    "env": ("deployment.environment.name", "deployment.environment"),
    "version": ("service.version",),
    "team": ("team", "service.team"),
    "sla_tier": ("sla_tier", "service.sla_tier"),
    "namespace": ("k8s.namespace.name", "service.namespace"),
    "pod": ("k8s.pod.name",),
    "cluster": ("k8s.cluster.name",),
    "host": ("host.name", "k8s.node.name"),
    "pid": ("process.pid",),
}
"""Labels of ours and the attributes they are read from; the first that is told counts."""


def instance_of(attributes: Mapping[str, str], labels: Mapping[str, str]) -> Instance | None:
    """Who it is; `labels` are every instance's, and go after what it says itself. None where it does not say."""
    told = {ours: next((v for n in names if (v := attributes.get(n, ""))), "") for ours, names in LABELS.items()}
    if told["service"].startswith(UNKNOWN):
        told["service"] = ""
    place = _place(attributes, told)
    if not place:
        return None
    kept, _lost = clean_labels({**labels, **{name: inert(value) for name, value in told.items() if value}})
    return Instance(id=place, labels=kept, start_time=unix_seconds(attributes.get("process.creation.time", "")))


def is_foreign(attributes: Mapping[str, str]) -> bool:
    """Whether it says that it is no Go program."""
    return attributes.get("telemetry.sdk.language", "go") != "go" or attributes.get(
        "process.runtime.name", "go"
    ) not in ("go", "gc")


def _place(attributes: Mapping[str, str], told: Mapping[str, str]) -> str:
    own, service = attributes.get("service.instance.id", ""), told["service"]
    pod, host = told["pod"], attributes.get("host.name", "")
    if is_address(own):
        place = own
    elif pod:
        place = "/".join(
            filter(None, (attributes.get("k8s.cluster.name", ""), attributes.get("k8s.namespace.name", ""), pod))
        )
    elif own:
        place = f"{service}/{own}" if service else own
    elif host:
        place = f"{service}/{host}" if service else host
        place += f":{told['pid']}" if told["pid"] else ""
    else:
        place = service
    return inert(place, MAX_ID)
