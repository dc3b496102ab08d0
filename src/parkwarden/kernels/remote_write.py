"""Series of a Prometheus remote-write message, 1.0 and 2.0, on the wire -> columns.

Source: prometheus/prometheus `prompb/remote.proto`, `prompb/types.proto`, `prompb/io/prometheus/write/v2/types.proto`. Times are milliseconds,
values the bits of a float64 (a stale marker is a NaN of its own).
"""

from __future__ import annotations

import numba
import numpy as np

from parkwarden.kernels._series_hash import hash_of, is_name, label_hash, mixed
from parkwarden.kernels._wire_common import field, varint

# Slots of `counts`
SERIES, POINTS, HISTOGRAMS, EXEMPLARS, SYMBOLS, AT = range(6)
COUNTS = 6

DAMAGED, TOO_MUCH = -1, -2


@numba.njit
def _sample(data, at, end):
    """(milliseconds, bits of the value, whether it can be read) of a Sample."""
    time = np.int64(0)
    bits = np.int64(0)
    while at < end:
        number, wire, value, start, at = field(data, at, end)
        if at < 0:
            return time, bits, False
        if number == 2 and wire == 0:
            time = value
        elif number == 1 and wire == 1:
            bits = np.int64(0)
            for i in range(8):
                bits |= np.int64(data[start + i]) << np.int64(8 * i)
    return time, bits, True


@numba.njit
def _label(data, at, end, seed):
    """(hash, where the value begins and ends if this is the name, -1 otherwise, whether it can be read) of a Label."""
    none = np.int64(-1)
    name = hash_of(data, at, at, seed)
    value = name
    is_metric = False
    begin = none
    stop = none
    while at < end:
        number, wire, _value, start, at = field(data, at, end)
        if at < 0:
            return np.int64(0), none, none, False
        if number == 1 and wire == 2:
            name = hash_of(data, start, at, seed)
            is_metric = is_name(data, start, at)
        elif number == 2 and wire == 2:
            value = hash_of(data, start, at, seed)
            begin = start
            stop = at
    if is_metric:
        return np.int64(0), begin, stop, True
    return label_hash(name, value), none, none, True


def scan(data, size, version, seed, symbols, hashes, names, series, firsts, times, bits, limits, counts):
    """All of one message. Per series: the hash of its labels without the name, where the name stands (begin, end; end 0 = none) and the series
    (begin, end), its first point; per point milliseconds and bits. `symbols` (begin, end, hash per symbol) are 2.0's. `limits`: the most series,
    points and symbols. Returns 0, DAMAGED (`counts[AT]`: where) or TOO_MUCH."""
    at = np.int64(0)
    n = 0
    points = 0
    known = 0
    histograms = 0
    exemplars = 0
    own = 1 if version == 1 else 5
    while at < size:
        counts[AT] = at
        number, wire, _value, start, at = field(data, at, size)
        if at < 0:
            return DAMAGED
        if version == 2 and number == 4 and wire == 2:
            if known >= limits[2]:
                return TOO_MUCH
            symbols[3 * known] = start
            symbols[3 * known + 1] = at
            symbols[3 * known + 2] = hash_of(data, start, at, seed)
            known += 1
        if number != own or wire != 2:
            continue
        if n >= limits[0]:
            return TOO_MUCH
        series[2 * n] = start
        series[2 * n + 1] = at
        firsts[n] = points
        names[2 * n] = 0
        names[2 * n + 1] = 0
        total = np.int64(0)
        pos = start
        while pos < at:
            number, wire, _value, inner, pos = field(data, pos, at)
            if pos < 0:
                return DAMAGED
            if wire != 2:
                continue
            if number == 1 and version == 1:
                word, begin, stop, fine = _label(data, inner, pos, seed)
                if not fine:
                    return DAMAGED
                total += word
                if begin >= 0:
                    names[2 * n] = begin
                    names[2 * n + 1] = stop
            elif number == 1:
                while inner < pos:
                    key, inner = varint(data, inner, pos)
                    if inner < 0:
                        return DAMAGED
                    value, inner = varint(data, inner, pos)
                    if inner < 0 or key < 0 or value < 0 or key >= known or value >= known:
                        return DAMAGED
                    if is_name(data, symbols[3 * key], symbols[3 * key + 1]):
                        names[2 * n] = symbols[3 * value]
                        names[2 * n + 1] = symbols[3 * value + 1]
                    else:
                        total += label_hash(symbols[3 * key + 2], symbols[3 * value + 2])
            elif number == 2:
                if points >= limits[1]:
                    return TOO_MUCH
                times[points], bits[points], fine = _sample(data, inner, pos)
                if not fine:
                    return DAMAGED
                points += 1
            elif (number == 4 and version == 1) or (number == 3 and version == 2):
                histograms += 1
            elif number == 3 or number == 4:
                exemplars += 1
        hashes[n] = mixed(total)
        n += 1
    firsts[n] = points
    counts[SERIES] = n
    counts[POINTS] = points
    counts[HISTOGRAMS] = histograms
    counts[EXEMPLARS] = exemplars
    counts[SYMBOLS] = known
    return 0


KERNELS = {
    "scan": (scan, "u8*, i64, i64, i64, i64*, i64*, i64*, i64*, i64*, i64*, i64*, i64*, i64*"),
}
