"""Writes to every part of the store as fast as it can and says on standard output what was acknowledged, until it is killed.

`python store_writer.py FOLDER ROUND`. One line per acknowledged thing: `state N`, `journal N`, `evidence DIGEST`, `history N`.
"""

from __future__ import annotations

import os
import sys
import time
from itertools import count
from pathlib import Path

from parkwarden.formats import recording
from parkwarden.model import Capture, Read, Reading
from parkwarden.run.evidence import open_store
from parkwarden.store.history import History
from parkwarden.store.journal import Journal
from parkwarden.store.settings import StoreSettings
from parkwarden.store.state import State
from tests.store.words import incident, notification


def tell(what: str) -> None:
    os.write(1, f"{what}\n".encode())


def main(folder: Path, turn: int) -> None:
    settings = StoreSettings(folder=str(folder))
    hours = count()
    began = time.time()
    state = State.open(settings=settings)
    # every 40th append the hour turns, so that segments are closed and made history under fire
    hour = [0]
    journal = Journal(folder / "journal", lambda: 1.7e9 + turn * 1e6 + hour[0] * 3600, settings)
    history = History(folder / "history", settings)
    history.heal()
    evidence = open_store(settings)
    tell(f"ready {time.time() - began:.3f}")
    for n in count():
        key = f"{turn}-{n}"
        state.commit([incident(f"i{key}", count=n)], [notification(f"k{key}")])
        tell(f"state {key}")
        journal.append([recording.write(Read(1.7e9 + n, f"j{key}", Reading(at=1.7e9 + n, goroutines=n)))])
        tell(f"journal {key}")
        if n % 5 == 0:
            body = f"goroutine {n} [running]:\nmain.f{key}()\n".encode() * 50
            item = evidence.put(
                Capture(
                    instance="a", service="shop", kind="goroutine-dump", at=1.0, body=body, why="test", file="d.txt"
                )
            )
            tell(f"evidence {item.digest}")
        if n % 40 == 39:
            hour[0] = next(hours) + 1
            for segment in journal.closed():
                history.convert(segment)
                journal.done(segment)
                tell(f"history {segment.number}")


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
