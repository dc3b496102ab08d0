"""Going over many items without keeping the host from the interpreter.

Who waits for the interpreter pays for a slice and for being woken, so a request should meet one slice, and a short one: slices are
small, and the pauses between them longer than a request. Who has fallen behind takes larger ones: nothing may be lost to politeness.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

SLICE = 4
"""Items encoded in one go: some 50 µs. The interpreter itself would let a thread go on for five milliseconds."""
PAUSE_S = 0.001
"""Between slices: longer than the requests of a host that notices microseconds. A pause of 0 mostly hands the interpreter to nobody."""
CALM = 512
"""Items that may be queued behind a batch before slices grow: as many as gather while one is on its way at 2,000 a second."""
BEHIND = 16
"""Of so many items beyond each makes slices one larger: with 2,500 queued they are of 128, so that a host that never lets go of
the interpreter (and makes 25,000 segments a second of it) is kept up with."""

T = TypeVar("T")

_pace = threading.local()


def pace(behind: int) -> None:
    """How far this thread is behind: the items that are queued besides those it is given next."""
    _pace.slice = SLICE + max(0, behind - CALM) // BEHIND


def gently(items: Iterable[T]) -> Iterator[T]:
    size = getattr(_pace, "slice", SLICE)
    for number, item in enumerate(items, 1):
        yield item
        if number % size == 0:
            time.sleep(PAUSE_S)


def text(value: str) -> str:
    """What UTF-8 can say of it: lone surrogates become question marks."""
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
