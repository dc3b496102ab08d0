"""Going over many items without keeping the host from the interpreter.

Who waits for the interpreter pays for a slice and for being woken, so a request should meet one slice, and a short one: slices are
small, and the pauses between them longer than a request. Who has fallen behind hurries: nothing may be lost to politeness.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from sys import maxsize
from typing import TypeVar

SLICE = 4
"""Items encoded in one go: some 50 µs. The interpreter itself would let a thread go on for five milliseconds."""
PAUSE_S = 0.0005
"""Between slices: longer than the requests of a host that notices microseconds. A pause of 0 mostly hands the interpreter to nobody."""
CALM = 512
"""Items that may be queued behind a batch before we hurry: more than gather while one is on its way at 2,000 a second."""
HURRY, HURRY_S = 16, 0.00005
"""Slice and pause in a hurry: so short a pause is mostly over before the host's thread has been woken."""
KEPT_S, MOST = 0.002, 512
"""Who was kept waiting longer than this shares with a host that never lets go of the interpreter, and takes twice as many when its
turn comes, up to MOST: both go on for five milliseconds at a time then."""
ALONE = maxsize
"""So many wait when the host only waits for us to be done: slices of MOST then."""

T = TypeVar("T")

_pace = threading.local()


def pace(behind: Callable[[], int]) -> None:
    """For this thread: how many items wait besides those it goes over."""
    _pace.behind = behind


def gently(items: Iterable[T]) -> Iterator[T]:
    behind: Callable[[], int] = getattr(_pace, "behind", int)
    left = size = SLICE
    for item in items:
        yield item
        left -= 1
        if left > 0:
            continue
        waiting = behind()
        if waiting <= CALM:
            time.sleep(PAUSE_S)
            size = SLICE
        elif waiting >= ALONE:
            size = MOST
        else:
            began = time.perf_counter()
            time.sleep(HURRY_S)
            size = min(2 * size, MOST) if time.perf_counter() - began > KEPT_S else HURRY
        left = size


def text(value: str) -> str:
    """What UTF-8 can say of it: lone surrogates become question marks."""
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")
