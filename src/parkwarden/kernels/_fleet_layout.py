"""What the fleet's count kernels and their callers agree on: codes, parameters, numbers. Not a kernel module itself."""

from __future__ import annotations

OK, UNKNOWN, SUSPECT, LEAK = range(4)
"""Ranks of model.Verdict."""

FINE, NO_DATA, NOT_TOLD, TOO_FEW, TOO_SHORT, GAP, RESTART, CLOCK, COUNTER_FELL, ZERO_BASE = range(10)
"""Why a row is unknown."""

NEW, RESTARTED, STEPPED = range(3)
"""Why a window begins where it does (aggregate/windows.py)."""

CAPACITY, SAMPLES, ROWS, FIELD = range(4)
"""Slots of `shape`; the rows of the fields a kernel reads follow from FIELD on."""

T_NOW, T_WINDOW, T_MIN_N, T_MIN_SPAN, T_MAX_GAP, T_SIGMA, T_SLOPE, T_RELEASE, T_HOLD = range(9)
"""Parameters of `trend`."""
T_BASE, T_SINCE, T_LAST, T_PEAK = range(4)
"""Memory of `trend`."""

G_NOW, G_WINDOW, G_MIN_SPAN, G_MAX_GAP, G_FRACTION, G_CORES = range(6)
"""Parameters of `gc`."""

H_NOW, H_SHARE, H_BYTES, H_MAX_GAP, H_HOLD = range(5)
"""Parameters of `heap`."""
H_SEEN, H_BASE, H_AT, H_GC = range(4)
"""Memory of `heap`."""

E_NOW, E_PER_PROC, E_MAX_AGE = range(3)
"""Parameters of `excess`."""

B_NOW, B_JUMP, B_EXTRA, B_MIN_N, B_MAX_AGE, B_TAU, B_HOLD = range(7)
"""Parameters of `blocked`."""
B_SEEN, B_BASE, B_N, B_FIRED, B_LOOKED = range(5)
"""Memory of `blocked`; SEEN is the time of the newest share, LOOKED of the newest reading judged."""

DELTAS, AVERAGE = 1, 2
"""Where a GC fraction came from."""
