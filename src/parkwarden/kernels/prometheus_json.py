"""Series of a Prometheus HTTP API answer (`/api/v1/query`, `/api/v1/query_range`) -> columns, at some hundred MB/s.

Reads the array that `"result":` begins, in the forms of Prometheus, Thanos, Mimir and VictoriaMetrics: objects with `metric` and `value`
(`[seconds,"number"]`) or `values` (an array of those), in any order and with any blanks; other keys (`histogram`, `group`) are skipped.
Source: prometheus/prometheus `web/api/v1/json_codec.go`, docs/querying/api.md.
"""

from __future__ import annotations

import numba
import numpy as np

from parkwarden.kernels._series_hash import hash_of, is_name, label_hash, mixed, step

# Slots of `counts`
SERIES, POINTS, AT = 0, 1, 2
COUNTS = 3

_QUOTE, _BACKSLASH, _COMMA, _COLON = 34, 92, 44, 58
_OPEN, _CLOSE, _BEGIN, _END = 91, 93, 123, 125


@numba.njit
def _skip(data, at, end):
    """Past blanks and commas."""
    while at < end and (data[at] == 32 or data[at] == _COMMA or data[at] == 10 or data[at] == 13 or data[at] == 9):
        at += 1
    return at


@numba.njit
def _colon(data, at, end):
    """Past blanks, a colon and blanks; -1 = none."""
    at = _skip(data, at, end)
    if at >= end or data[at] != _COLON:
        return np.int64(-1)
    return _skip(data, at + 1, end)


@numba.njit
def _text(data, at, end):
    """Where the string that begins at `at` ends (its closing quote); -1 = it does not."""
    if at >= end or data[at] != _QUOTE:
        return np.int64(-1)
    at += 1
    while at < end and data[at] != _QUOTE:
        at += 2 if data[at] == _BACKSLASH else 1
    return at if at < end else np.int64(-1)


@numba.njit
def _hashed_text(data, at, end, seed):
    """(hash of the string that begins at `at`, its closing quote); -1 = it does not end."""
    word = seed
    if at >= end or data[at] != _QUOTE:
        return word, np.int64(-1)
    at += 1
    while at < end and data[at] != _QUOTE:
        word = step(word, data[at])
        if data[at] == _BACKSLASH:
            at += 1
            if at >= end:
                return word, np.int64(-1)
            word = step(word, data[at])
        at += 1
    return mixed(word), at if at < end else np.int64(-1)


@numba.njit
def _value(data, at, end):
    """Past one JSON value of any kind; -1 = it does not end."""
    depth = 0
    while at < end:
        byte = data[at]
        if byte == _QUOTE:
            at = _text(data, at, end)
            if at < 0:
                return at
        elif byte in (_OPEN, _BEGIN):
            depth += 1
        elif byte in (_CLOSE, _END):
            if depth == 0:  # of whoever holds the value
                return at
            depth -= 1
        elif byte == _COMMA and depth == 0:
            return at
        at += 1
        if depth == 0 and (data[at - 1] == _CLOSE or data[at - 1] == _END or data[at - 1] == _QUOTE):
            return at
    return np.int64(-1)


@numba.njit
def _number(data, at, end):
    """(number at `at`, position behind it): decimal, with exponent, NaN, Inf; the position is -1 where there is none.

    Exact where it has at most 19 digits and stands for no more than 2^53 with at most 22 decimals (Clinger), which all of Go's do.
    """
    bad = np.int64(-1)
    negative = False
    if at < end and (data[at] == 45 or data[at] == 43):
        negative = data[at] == 45
        at += 1
    if at < end and data[at] == 78:  # NaN
        return np.nan, at + 3
    if at < end and data[at] == 73:  # Inf
        return (-np.inf if negative else np.inf), at + 3
    mantissa = np.int64(0)
    digits = 0
    power = 0
    seen = 0
    point = False
    while at < end:
        byte = data[at]
        if byte >= 48 and byte <= 57:
            seen += 1
            if digits < 18:
                mantissa = mantissa * 10 + (np.int64(byte) - 48)
                digits += 1 if mantissa else 0
                power -= 1 if point else 0
            elif not point:
                power += 1
        elif byte == 46 and not point:
            point = True
        else:
            break
        at += 1
    if seen == 0:
        return 0.0, bad
    if at < end and (data[at] == 101 or data[at] == 69):
        at += 1
        down = False
        if at < end and (data[at] == 45 or data[at] == 43):
            down = data[at] == 45
            at += 1
        exponent = 0
        seen = 0
        while at < end and data[at] >= 48 and data[at] <= 57:
            if exponent < 1000:
                exponent = exponent * 10 + (np.int64(data[at]) - 48)
            seen += 1
            at += 1
        if seen == 0:
            return 0.0, bad
        power += -exponent if down else exponent
    value = np.float64(mantissa)
    left = min(abs(power), 700)
    while left > 0:  # in steps that a float64 holds
        scale = 1.0
        for _ in range(min(left, 300)):
            scale *= 10.0
        value = value * scale if power > 0 else value / scale
        left -= 300
    return (-value if negative else value), at


@numba.njit
def _point(data, at, end):
    """(time, value, position behind) of `[seconds,"number"]`; -1 = it is none."""
    bad = np.int64(-1)
    if at >= end or data[at] != _OPEN:
        return 0.0, 0.0, bad
    time, at = _number(data, _skip(data, at + 1, end), end)
    if at < 0:
        return 0.0, 0.0, bad
    at = _skip(data, at, end)
    if at >= end or data[at] != _QUOTE:
        return 0.0, 0.0, bad
    value, at = _number(data, at + 1, end)
    if at < 0 or at >= end or data[at] != _QUOTE:
        return 0.0, 0.0, bad
    at = _skip(data, at + 1, end)
    if at >= end or data[at] != _CLOSE:
        return 0.0, 0.0, bad
    return time, value, at + 1


@numba.njit
def _labels(data, at, end, seed):
    """(hash of the label set without `__name__`, position behind) of the object at `at`; -1 = damaged."""
    bad = np.int64(-1)
    total = np.int64(0)
    if at >= end or data[at] != _BEGIN:
        return total, bad
    at = _skip(data, at + 1, end)
    while at < end and data[at] != _END:
        begin = at + 1
        at = _text(data, at, end)
        if at < 0:
            return total, bad
        stop = at
        at = _colon(data, at + 1, end)
        if at < 0:
            return total, bad
        if is_name(data, begin, stop):
            at = _text(data, at, end)
        else:
            word, at = _hashed_text(data, at, end, seed)
            total += label_hash(hash_of(data, begin, stop, seed), word)
        if at < 0:
            return total, bad
        at = _skip(data, at + 1, end)
    return mixed(total), at + 1 if at < end else bad


def scan(data, size, start, seed, hashes, begins, ends, firsts, times, values, counts):
    """From behind the `[` of the result at `start`: per series the hash of its labels, where their object stands, and its first point; per
    point time and value. `firsts` has one more entry than there are series. 0 = read to the closing `]`, behind which `counts[AT]` is;
    -1 = no series stands at `counts[AT]`. Series need 12 bytes at least and points 8: so large are the arrays."""
    at = start
    series = 0
    points = 0
    while True:
        at = _skip(data, at, size)
        counts[AT] = at
        counts[SERIES] = series
        counts[POINTS] = points
        firsts[series] = points
        if at >= size:
            return -1
        if data[at] == _CLOSE:
            counts[AT] = at + 1
            return 0
        if data[at] != _BEGIN:
            return -1
        at = _skip(data, at + 1, size)
        labelled = False
        first = points
        while at < size and data[at] != _END:
            key = at + 1
            at = _text(data, at, size)
            if at < 0:
                return -1
            length = at - key
            at = _colon(data, at + 1, size)
            if at < 0:
                return -1
            if length == 6 and data[key] == 109 and data[key + 1] == 101 and data[key + 5] == 99:  # metric
                begins[series] = at
                hashes[series], at = _labels(data, at, size, seed)
                if at < 0:
                    return -1
                ends[series] = at
                labelled = True
            elif length == 5 and data[key] == 118 and data[key + 4] == 101:  # value
                times[points], values[points], at = _point(data, at, size)
                if at < 0:
                    return -1
                points += 1
            elif length == 6 and data[key] == 118 and data[key + 5] == 115:  # values
                if at >= size or data[at] != _OPEN:
                    return -1
                at = _skip(data, at + 1, size)
                while at < size and data[at] != _CLOSE:
                    times[points], values[points], at = _point(data, at, size)
                    if at < 0:
                        return -1
                    points += 1
                    at = _skip(data, at, size)
                at += 1
            else:
                at = _value(data, at, size)
                if at < 0:
                    return -1
            at = _skip(data, at, size)
        if at >= size:
            return -1
        at += 1
        if labelled:
            series += 1
        else:
            points = first
    return -1


KERNELS = {
    "scan": (scan, "u8*, i64, i64, i64, i64*, i64*, i64*, i64*, f64*, f64*, i64*"),
}
