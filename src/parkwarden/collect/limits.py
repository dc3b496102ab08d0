"""What coming in may cost: the limits of collecting, each with its reason, and how progress is told.

Limits of single formats stand in their readers, those of containers in formats/unpack.py.
"""

from __future__ import annotations

from collections.abc import Callable

Tell = Callable[[str, float | None], None]
"""`tell(what, fraction)`: what is being done now, and how much of all is done (0..1, None = not known)."""


def quiet(_what: str, _fraction: float | None = None) -> None:
    """A `Tell` that tells nobody."""


MAX_FILE_BYTES = 1 << 30
"""A file read whole into memory. Text dumps end at 64 MB; a crash log or heap profile of this size is not one."""

MAX_TRACE_BYTES = 8 << 30
"""A trace is mapped, not read; an hour of a busy service's trace."""

MAP_FROM_BYTES = 16 << 20
"""Traces above this are mapped; below, reading is as fast."""

MAX_STDIN_BYTES = 512 << 20
"""Standard input has no end one could ask for; a log that long is better cut to its end (`tail -c`)."""

MAX_FILES = 2_000
"""Files of all folders of one bag: an incident's folder has dozens; a home directory given by mistake has millions."""

MAX_FOLDER_DEPTH = 12
"""Folders within folders."""

MAX_FOLDER_ENTRIES = 100_000
"""Directory entries looked at in all."""

MAX_FOLDER_FILE_BYTES = 512 << 20
"""A file found in a folder (not named by the user) above this is skipped with a Problem, unless it is a trace."""

MAX_BAG_BYTES = 4 << 30
"""Bytes of all files of one bag, so that a folder of disk images ends."""

MAX_BODY_BYTES = {"trace": 128 << 20, "debug=2": 80 << 20, "heap": 64 << 20, "metrics": 16 << 20}
"""Bytes of one answer of a live service by what was asked. debug=2 ends at 64 MB in the runtime; a census of a busy service
with 100,000 goroutines has 2 MB, a second's trace tens."""

MAX_BODY_BYTES_ELSE = 32 << 20
"""Bytes of any other answer: the goroutine profile of 100,000 goroutines on 24 stacks has 3 kB."""

MAX_REDIRECTS = 3
"""Redirects followed, on the same host and port only: another host was not asked for."""

ENDPOINT_TIMEOUT_S = 20.0
"""One answer, from connecting to its last byte (a trace: its own length on top). Slow-drip servers end here."""

CONNECT_TIMEOUT_S = 5.0
"""Until the connection stands."""

IDLE_TIMEOUT_S = 10.0
"""Between two pieces of an answer (a trace: its own length on top): a text dump of 100,000 goroutines thinks for 7.5 s."""

LOOK_TIMEOUT_S = 120.0
"""All looks at one service together."""

LEAK_PROFILE_MAX_GOROUTINES = 10_000
"""The leak profile is a GC cycle that stalls the service: 22 ms at 10,000, 5.8 s at 100,000 (docs: what a look costs)."""

TEXT_DUMP_MAX_GOROUTINES = 2_000
"""debug=2 stops the world: 13 ms at 1,000, 94 ms at 10,000, 753 ms at 100,000."""

RATE_TRACE_MAX_GOROUTINES = 5_000
"""Below this the second trace is long enough to tell creation rates; above, its size and its stacks cost too much."""

CENSUS_MAX_GOROUTINES = 500_000
"""A census writes every stack: 1.7 MB and 2-4 ms of stall at 100,000."""
