"""Parkwarden: early warning, diagnosis and self-healing for goroutine leaks in Go services.

Three calls cover most needs from Python:

- `read(source)`: a path, a folder, an archive or the bytes themselves -> list of `Artefact` (records + problems).
- `cluster(data)`: the bytes of a text dump -> list of `Cluster`, biggest first.
- `diagnose(inputs)`: paths and URLs -> `Report`, findings worst first (what `parkwarden diagnose` prints).

Importing the package costs next to nothing: the calls come from `parkwarden.api` when they are first asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from parkwarden.api import cluster, diagnose, read

__version__ = "0.1.0"
__all__ = ["__version__", "cluster", "diagnose", "read"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        from parkwarden import api

        return getattr(api, name)
    raise AttributeError(f"module 'parkwarden' has no attribute {name!r}")
