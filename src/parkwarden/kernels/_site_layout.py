"""What the kernel of the site series and its caller agree on. Not a kernel module itself."""

from __future__ import annotations

CAPACITY, RECENT, LEVELS, FLOORS, PEAK_LEVEL, JITTER_LOOKS, SHAPE = range(7)
"""Slots of `shape`, and how many they are."""

NOT_TOLD = -1
"""Count of a slot without any look."""

AT, SHAKEN, STATE = range(3)
"""Slots of `state`: the look's time, and how many looks the jitter is averaged over, kept up to date."""
