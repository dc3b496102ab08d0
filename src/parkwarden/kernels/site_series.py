"""One look's counts into the columns of one instance's sites (aggregate/sites.py), and which of these may have risen: a walk over the rows
instead of thirty array operations."""

from __future__ import annotations

import numpy as np
from numba import njit

from parkwarden.kernels import _site_layout as to

LEAST_APART_S = 30.0
"""Looks closer than this say nothing about goroutines that live for seconds: they see the same ones twice."""
MOST = np.float32(4.0)
"""Times Poisson's variance that one look may add to the jitter: a burst is no noise."""
TWO, SIX, ONE = np.float32(2.0), np.float32(6.0), np.float32(1.0)


@njit(inline="always")
def _push(column, begin, end, value):
    """Let a value in at the end, the oldest out. Hand over hand: a plain copying loop would become a call of `memmove`, which no kernel can make."""
    for i in range(end - 1, begin - 1, -1):
        value, column[i] = column[i], value


def look(
    shape, state, bucket, fresh, values, times, recent, first_at, jitter, peak, floors, means, weights, told, load
):
    """Counts `values` (capacity) at `state[AT]`, whose time slots are `fresh` (levels). Returns how many slots are new.

    `bucket` (levels) are the newest time slots so far; `times` (recent), `recent` (capacity, recent), `first_at`, `jitter`, `peak` (capacity),
    `floors` and `means` (levels, capacity, slots), `weights`, `told` and `load` (levels, slots) are those of `SiteTable`. All are brought up to date.
    """
    capacity, looks, slots = shape[to.CAPACITY], shape[to.RECENT], shape[to.FLOORS]
    at = state[to.AT]
    _push(times, 0, looks, at)
    apart = (
        times[looks - 1] - times[looks - 2] >= LEAST_APART_S and times[looks - 2] - times[looks - 3] >= LEAST_APART_S
    )
    if apart:
        state[to.SHAKEN] += 1.0
    over = np.float32(min(state[to.SHAKEN], float(shape[to.JITTER_LOOKS])))
    for row in range(capacity):
        value = values[row]
        begin = row * looks
        _push(recent, begin, begin + looks, value)
        if value > 0 and np.isnan(first_at[row]):
            first_at[row] = at
        if apart:  # the second difference has six times the variance of one look, whatever the trend
            a, b = np.float32(recent[begin + looks - 3]), np.float32(recent[begin + looks - 2])
            c = np.float32(value)
            bend = a - TWO * b + c
            new = min(bend * bend / SIX, MOST * (min(a, min(b, c)) + ONE))
            jitter[row] += (new - jitter[row]) / over
    opened = 0
    for level in range(shape[to.LEVELS]):
        here = level * slots
        if fresh[level] > bucket[level] or bucket[level] < 0:
            steps = min(fresh[level] - bucket[level], slots) if bucket[level] >= 0 else slots
            opened += 1
            bucket[level] = fresh[level]
            for step in range(steps):
                newest = step == steps - 1
                _push(told, here, here + slots, np.uint8(newest))
                _push(weights, here, here + slots, np.int32(newest))
                _push(load, here, here + slots, np.float32(np.nan))
            for row in range(capacity):
                first = (level * capacity + row) * slots
                if level == shape[to.PEAK_LEVEL]:
                    for i in range(first, first + steps):
                        peak[row] = max(peak[row], floors[i])
                for step in range(steps):
                    newest = step == steps - 1
                    _push(floors, first, first + slots, values[row] if newest else np.int32(to.NOT_TOLD))
                    _push(means, first, first + slots, np.float32(values[row] if newest else 0))
        else:
            weights[here + slots - 1] += 1
            weight = float(weights[here + slots - 1])
            for row in range(capacity):
                newest = (level * capacity + row) * slots + slots - 1
                floors[newest] = min(floors[newest], values[row])
                mean = float(means[newest])
                means[newest] = np.float32(mean + (float(values[row]) - mean) / weight)
    return opened


def screen(shape, looks, column, told, jitter, limits, found):
    """Marks in `found` (rows, all 0 before) who may have risen; returns how many.

    `column` (levels, rows, slots) are counts, valid where `told` (levels, slots); `looks` (levels) how many a slot averages over, `jitter` (rows)
    their variance from look to look. A row may have risen at a level where its last three values stand `limits[LEAST_RISE]` above the first third,
    beyond what jitter and the wander of a crowd do, and its middle lies between.
    """
    rows, slots = shape[to.ROWS], shape[to.SLOTS]
    third = slots // 3
    marked = 0
    for level in range(shape[to.FIRST], shape[to.END]):
        at = level * slots
        early_told, middle_told, late_told, last_told = 0, 0, 0, 0
        for i in range(slots):
            if told[at + i]:
                early_told += i < third
                middle_told += third <= i < slots - third
                late_told += i >= slots - third
                last_told += i >= slots - 3
        if early_told + middle_told + late_told < limits[to.LEAST_TOLD]:
            continue
        for row in range(rows):
            begin = (level * rows + row) * slots
            last = 0.0
            for i in range(slots - 3, slots):
                if told[at + i]:
                    last += float(column[begin + i])
            last /= max(last_told, 1)
            if found[row] or last < limits[to.LEAST_RISE]:  # nobody rises by more than are there: most sites are small
                continue
            early, middle = 0.0, 0.0
            for i in range(slots - third):
                if told[at + i]:
                    if i < third:
                        early += float(column[begin + i])
                    else:
                        middle += float(column[begin + i])
            early /= max(early_told, 1)
            middle /= max(middle_told, 1)
            first = early if early_told else middle
            noise = float(jitter[row]) + 0.25
            variance = 2 * max(first - noise, 0.0) + 0.5 * noise / looks[level]
            rise = last - first
            beyond = rise - limits[to.LEAST_RISE]
            sure = beyond >= 0 and beyond * beyond >= limits[to.SIGMAS] * limits[to.SIGMAS] * variance
            if sure and last >= middle + 0.2 * rise:
                found[row] = np.uint8(1)
                marked += 1
    return marked


KERNELS = {
    "screen": (screen, "i64*,f64*,f32*,u8*,f32*,f64*,u8*"),
    "look": (look, "i64*,f64*,i64*,i64*,i32*,f64*,i32*,f64*,f32*,i32*,i32*,f32*,i32*,u8*,f32*"),
}
