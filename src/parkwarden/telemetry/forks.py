"""Forked children: locks that may have been held by threads which are not there any more, and what is the parent's to tell."""

from __future__ import annotations

import os
from typing import Protocol
from weakref import WeakSet


class Forkable(Protocol):
    def forked(self) -> None:
        """Called in the child, before anything else runs there."""


def heed_forks(it: Forkable) -> None:
    """Have `it` told of forks as long as somebody else holds it."""
    _HEEDING.add(it)


def _forked() -> None:
    for it in list(_HEEDING):
        it.forked()


_HEEDING: WeakSet[Forkable] = WeakSet()
if hasattr(os, "register_at_fork"):  # not on Windows, which does not fork
    os.register_at_fork(after_in_child=_forked)
