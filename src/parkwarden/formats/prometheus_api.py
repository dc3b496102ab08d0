"""Answers of a Prometheus HTTP API (`/api/v1/query`, `/api/v1/query_range`) -> series in columns.

Input: the whole body, from Prometheus, Thanos, Mimir or VictoriaMetrics. `read` gives an `ApiAnswer`: a series is known by the hash of its
labels without `__name__`, and only who meets a hash for the first time asks for the labels. Raises FormatError where it is no such answer,
LimitError beyond MAX_BYTES. An error the server tells of (`status: error`) is data: `error`. Histograms and scalars hold no series of ours.
Sources: prometheus/prometheus docs/querying/api.md and web/api/v1/json_codec.go; `isPartial` is VictoriaMetrics', `warnings` are everybody's.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import orjson

from parkwarden.kernels import load
from parkwarden.model.errors import FormatError, LimitError
from parkwarden.model.safe import inert

MAX_BYTES = 128 << 20
"""Of one answer: 131,072 series with 700 bytes of labels and a third of it for the rest."""
MAX_HEAD = 64 << 10
"""Bytes before and behind the result: statuses, warnings, statistics."""
MAX_WARNINGS = 8
"""Warnings kept of one answer; Thanos tells one per store that is away."""
MAX_TEXT = 200
"""Characters of a warning or an error."""

_RESULT = re.compile(rb'(?<!\\)"result"\s*:\s*\[')


@dataclass(slots=True)
class ApiAnswer:
    """What an API answered. Per series `hashes` (int64) and `firsts` (its points are `firsts[i]`..`firsts[i + 1]`); per point `times` (Unix
    seconds) and `values`."""

    hashes: npt.NDArray[np.int64]
    firsts: npt.NDArray[np.int64]
    times: npt.NDArray[np.float64]
    values: npt.NDArray[np.float64]
    warnings: tuple[str, ...] = ()
    """Why parts of it may be missing, in the server's words."""
    error: str = ""
    """`kind: words` where the server could not answer."""
    _data: bytes = b""
    _begins: npt.NDArray[np.int64] | None = None
    _ends: npt.NDArray[np.int64] | None = None

    def labels(self, series: int) -> dict[str, str]:
        """The labels of a series; {} where they are no text."""
        assert self._begins is not None
        assert self._ends is not None
        try:
            found = orjson.loads(self._data[self._begins[series] : self._ends[series]])
        except orjson.JSONDecodeError:
            return {}
        if not isinstance(found, dict):
            return {}
        return {name: value for name, value in found.items() if isinstance(value, str)}


def read(data: bytes, seed: int) -> ApiAnswer:
    """See the module. `seed` (64 bits, signed) is the same for all answers whose hashes are compared, and nobody's to know."""
    if len(data) > MAX_BYTES:
        raise LimitError("answer-too-big", "The API's answer is longer than the limit allows.",
                         context=f"{len(data):,} bytes, limit {MAX_BYTES:,}")  # fmt: skip
    found = _RESULT.search(data, 0, MAX_HEAD)
    if found is None:
        return _without_series(data)
    size = len(data) - found.end()
    hashes, begins, ends, firsts = (np.empty(size // 12 + 2, np.int64) for _ in range(4))
    times, values = (np.empty(size // 8 + 2) for _ in range(2))  # pages that are not written to cost nothing
    counts = np.zeros(3, np.int64)
    code = load("prometheus_json")["scan"](
        data, len(data), found.end(), seed, hashes, begins, ends, firsts, times, values, counts
    )
    series, points, at = (int(n) for n in counts)
    if code:
        raise _damaged(data, at)
    head = _envelope(data[: found.end()] + b"]" + data[at : at + MAX_HEAD + 1], len(data) - at)
    return ApiAnswer(
        hashes=hashes[:series].copy(),
        firsts=firsts[: series + 1].copy(),
        times=times[:points].copy(),
        values=values[:points].copy(),
        warnings=head.warnings,
        error=head.error,
        _data=data,
        _begins=begins[:series].copy(),
        _ends=ends[:series].copy(),
    )


def _damaged(data: bytes, at: int) -> FormatError:
    where = inert(data[at : at + 40].decode("utf-8", "replace"))
    return FormatError("not-series", "The API's answer breaks off or holds no series.", context=f"byte {at:,}: {where}")


def _without_series(data: bytes) -> ApiAnswer:
    """An error, or a result that is no array of series."""
    return _envelope(data[: MAX_HEAD + 1], len(data))


def _envelope(data: bytes, rest: int) -> ApiAnswer:
    """Everything of an answer but its series. `rest`: bytes behind them."""
    if rest > MAX_HEAD:
        raise FormatError("not-series", "The API's answer holds much more than series.", context=f"{rest:,} bytes")
    try:
        told = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        raise FormatError("not-json", "The API's answer is no JSON.", context=f"column {error.colno}") from None
    if not isinstance(told, dict) or told.get("status") not in ("success", "error"):
        raise FormatError("not-api", "This is no answer of a Prometheus API.", context="no status")
    warnings = [w for w in told.get("warnings") or () if isinstance(w, str)][:MAX_WARNINGS]
    if told.get("isPartial") is True:
        warnings.append("the answer is partial: not all of its storage answered")
    empty, none = np.empty(0, np.int64), np.empty(0)
    return ApiAnswer(
        hashes=empty,
        firsts=np.zeros(1, np.int64),
        times=none,
        values=none,
        warnings=tuple(inert(w, MAX_TEXT) for w in warnings),
        error=_error(told) if told["status"] == "error" else "",
    )


def _error(told: dict[str, Any]) -> str:
    return inert(f"{told.get('errorType', 'error')}: {told.get('error', '')}", MAX_TEXT)
