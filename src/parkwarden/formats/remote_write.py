"""Prometheus remote-write messages, 1.0 and 2.0 -> series in columns.

Input: the unpacked body. `read` gives a `WriteMessage`: a series is known by the hash of its labels without `__name__`; who meets a hash for
the first time asks for the labels. Raises FormatError where it is no such message, LimitError beyond MAX_SERIES, MAX_POINTS, MAX_SYMBOLS.
Sources: prometheus.io/docs/specs/prw/remote_write_spec and remote_write_spec_2_0; prometheus/prometheus `prompb/`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from parkwarden.formats._varint import read_uvarint
from parkwarden.kernels import load
from parkwarden.model.errors import FormatError, LimitError

MAX_SERIES = 1 << 17
"""Of one message. Prometheus sends 2,000 samples in one, large Mimirs' senders 10,000."""
MAX_POINTS = 1 << 18
"""Samples of one message: what comes after an outage has several for a series."""
MAX_SYMBOLS = 1 << 18
"""Strings of a 2.0 message: two for each label at most."""
MAX_LABELS = 128
"""Labels of one series that are read."""
STALE = 0x7FF0000000000002
"""The bits of a stale marker (model/value/value.go: StaleNaN): the series has ended, or its scrape failed."""

_TOO_MUCH = -2
_SERIES, _POINTS, _HISTOGRAMS, _EXEMPLARS, _SYMBOLS, _AT = range(6)


@dataclass(slots=True)
class WriteMessage:
    """One message. Per series `hashes` (int64), `firsts` (its points are `firsts[i]`..`firsts[i + 1]`); per point `times` (Unix seconds),
    `values` and `stale`."""

    hashes: npt.NDArray[np.int64]
    firsts: npt.NDArray[np.int64]
    times: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]
    stale: npt.NDArray[np.bool_]
    histograms: int
    """Native histograms, which hold nothing of ours."""
    exemplars: int
    _data: bytes
    _version: int
    _names: list[int]
    _series: list[int]
    _symbols: list[int]

    def name(self, series: int) -> bytes:
        """The metric's name; b"" where there is none."""
        return self._data[self._names[2 * series] : self._names[2 * series + 1]]

    def labels(self, series: int) -> dict[str, str]:
        """The labels of a series, of which what is no text is made so."""
        begin, end = self._series[2 * series : 2 * series + 2]
        pairs = self._labels_1(begin, end) if self._version == 1 else self._labels_2(begin, end)
        return {name.decode("utf-8", "replace"): value.decode("utf-8", "replace") for name, value in pairs[:MAX_LABELS]}

    def _labels_1(self, begin: int, end: int) -> list[tuple[bytes, bytes]]:
        pairs = []
        for number, start, stop in _parts(self._data, begin, end):
            if number == 1:
                told = {n: self._data[a:b] for n, a, b in _parts(self._data, start, stop)}
                pairs.append((told.get(1, b""), told.get(2, b"")))
        return pairs

    def _labels_2(self, begin: int, end: int) -> list[tuple[bytes, bytes]]:
        references = []
        for number, start, stop in _parts(self._data, begin, end):
            at = start
            while number == 1 and 0 <= at < stop:
                reference, at = read_uvarint(self._data, at)
                references.append(reference)
        texts = [self._data[self._symbols[3 * r] : self._symbols[3 * r + 1]] for r in references]
        return list(zip(texts[::2], texts[1::2], strict=False))


def _parts(data: bytes, at: int, end: int) -> list[tuple[int, int, int]]:
    """(number, begin, end) of the fields with a length in a message the kernel has walked through already."""
    found = []
    while 0 <= at < end:
        key, at = read_uvarint(data, at)
        if key & 7 == 2:
            length, at = read_uvarint(data, at)
            found.append((key >> 3, at, at + length))
            at += length
        elif key & 7 == 0:
            _value, at = read_uvarint(data, at)
        else:
            at += 8 if key & 7 == 1 else 4
    return found


def read(data: bytes, version: int, seed: int) -> WriteMessage:
    """See the module. `version` 1 or 2; `seed` (64 bits, signed) is the same for all messages whose hashes are compared, and nobody's to know."""
    most = np.array([MAX_SERIES, MAX_POINTS, MAX_SYMBOLS], np.int64)
    series_room, points_room, symbols_room = (min(len(data) // 2, int(n)) + 1 for n in most)
    symbols = np.empty(3 * symbols_room, np.int64)
    hashes, firsts = np.empty(series_room, np.int64), np.empty(series_room + 1, np.int64)
    names, series = np.empty(2 * series_room, np.int64), np.empty(2 * series_room, np.int64)
    times, bits = np.empty(points_room, np.int64), np.empty(points_room, np.int64)
    counts = np.zeros(6, np.int64)
    code = load("remote_write")["scan"](
        data, len(data), version, seed, symbols, hashes, names, series, firsts, times, bits, most, counts
    )
    if code == _TOO_MUCH:
        raise LimitError(
            "message-too-big", f"more than {MAX_SERIES:,} series, {MAX_POINTS:,} samples or {MAX_SYMBOLS:,} symbols"
        )
    if code:
        raise FormatError(
            "not-remote-write", "This is no remote-write message, or a damaged one.", context=f"byte {counts[_AT]:,}"
        )
    n, points, known = int(counts[_SERIES]), int(counts[_POINTS]), int(counts[_SYMBOLS])
    raw = bits[:points].copy()
    return WriteMessage(
        hashes=hashes[:n].copy(),
        firsts=firsts[: n + 1].copy(),
        times=times[:points] / 1000.0,
        values=raw.view(np.float64),
        stale=raw == STALE,
        histograms=int(counts[_HISTOGRAMS]),
        exemplars=int(counts[_EXEMPLARS]),
        _data=data,
        _version=version,
        _names=names[: 2 * n].tolist(),
        _series=series[: 2 * n].tolist(),
        _symbols=symbols[: 3 * known].tolist(),
    )
