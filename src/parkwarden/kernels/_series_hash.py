"""Which instance a series is of, by a hash of its labels: shared by all kernels that read series.

A label set's hash is the sum of its labels' hashes, so the order in which a server writes them does not matter; `__name__` is left out, so
that all series of one instance have one. `seed` is random per process: nobody outside can aim at a collision. 64 bits: among a million
label sets two meet by chance once in 37 million runs.
"""

from __future__ import annotations

import numba
import numpy as np

_PRIME = np.int64(1099511628211)  # FNV-1a's, 64 bits
_ODD = np.int64(-7046029254386353131)  # 2^64 / golden ratio
_NAME = (95, 95, 110, 97, 109, 101, 95, 95)  # __name__


@numba.njit(inline="always")
def mixed(word):
    """Spread every bit over all others."""
    word = (word ^ (word >> np.int64(32))) * _ODD
    word = (word ^ (word >> np.int64(29))) * _ODD
    return word ^ (word >> np.int64(32))


@numba.njit(inline="always")
def step(word, byte):
    """Take one more byte of a text in."""
    return (word ^ np.int64(byte)) * _PRIME


@numba.njit
def hash_of(data, begin, end, seed):
    """The hash of the bytes [begin, end)."""
    word = seed
    for i in range(begin, end):
        word = step(word, data[i])
    return mixed(word)


@numba.njit(inline="always")
def label_hash(name, value):
    """The hash of one label, from those of its name and value."""
    return mixed(name + value * _PRIME)


@numba.njit
def is_name(data, begin, end):
    """Whether [begin, end) is `__name__`."""
    if end - begin != 8:
        return False
    for i in range(8):  # noqa: SIM110 -- a generator is none of the subset
        if data[begin + i] != _NAME[i]:
            return False
    return True
