"""What the kernel of the site series and its caller agree on. Not a kernel module itself."""

from __future__ import annotations

CAPACITY, RECENT, LEVELS, FLOORS, PEAK_LEVEL, JITTER_LOOKS, SHAPE = range(7)
"""Slots of `shape`, and how many they are."""

NOT_TOLD = -1
"""Count of a slot without any look."""

AT, SHAKEN, STATE = range(3)
"""Slots of `state`: the look's time, and how many looks the jitter is averaged over, kept up to date."""

ROWS, FIRST, END, SLOTS, SCREEN = range(5)
"""Slots of `screen`'s shape, and how many they are: rows, levels from FIRST to before END, slots of each."""

LEAST_RISE, SIGMAS, LEAST_TOLD, LIMITS = range(4)
"""Slots of `screen`'s limits: goroutines a row must have risen by, beyond so many sigmas, of so many slots told; and how many they are."""
