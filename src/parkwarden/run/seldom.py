"""Python's search for reference cycles, made seldom while a great many records are made that have none."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from contextlib import contextmanager

COLLECT_AFTER = 100_000
"""New objects after which cycles are looked for, in place of 700: some tens of megabytes at most."""

_lock = threading.Lock()
_inside = 0
_before = gc.get_threshold()


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Within, cycles are looked for seldom: millions of records come (and stay, or go) without one, and looking again and again is a
    twentieth of a replay, and half of reading a dump of 20,000 different stacks. From several threads at once, too."""
    global _inside, _before
    with _lock:
        if not _inside:
            _before = gc.get_threshold()
            gc.set_threshold(COLLECT_AFTER, *_before[1:])
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                gc.set_threshold(*_before)
