"""A consistent gateway as facts, from which the tests change one thing each."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from parkwarden.judge.limits import Facts, Look, Server, told

GIB = 1 << 30
NOW = Look(
    at=100.0, descriptors=206, threads=12, user_threads=20, group_threads=12, system_threads=500, memory=300 << 20,
    address_space=1200 << 20, go_memory=280 << 20, heap=200 << 20, next_gc=400 << 20, goroutines=450, connections=120, requests=100,
)  # fmt: skip
SETTINGS: Mapping[str, float] = {
    "process-limit": 2048,
    "pids-limit": 2048,
    "threads-system": 192_731,
    "go-max-threads": 1536,
    "fd-limit": 65_535,
    "fd-limit-hard": 65_536,
    "memory-limit": 2 * GIB,
    "memory-high": math.inf,
    "address-space": math.inf,
    "gomemlimit": 1843 << 20,
    "gogc": 100,
    "cpus": 2.0,
    "gomaxprocs": 2,
}
SERVER = Server(where="main.go:31", read_header_s=10.0, read_s=30.0, write_s=30.0, idle_s=30.0)


def facts(settings: Mapping[str, float | None] | None = None, **other: Any) -> Facts:
    """Facts; a setting of None is not visible. `now` changes fields of the one look."""
    from dataclasses import replace

    merged = {**SETTINGS, **(settings or {})}
    now = replace(NOW, **other.pop("now", {}))
    return Facts(
        settings={name: told(name, value, "test") for name, value in merged.items() if value is not None},
        looks=other.pop("looks", (now,)),
        go=other.pop("go", (1, 27)),
        root=other.pop("root", False),
        servers=other.pop("servers", (SERVER,)),
        source_read=True,
        **other,
    )
