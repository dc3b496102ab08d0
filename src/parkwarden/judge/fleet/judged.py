"""What every count detector hands back: columns of verdicts, causes and numbers over the fleet's rows."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from parkwarden import kernels
from parkwarden.aggregate.windows import FIELDS, LIMITS, ROW, Floats, Windows
from parkwarden.kernels import _fleet_layout as layout
from parkwarden.model import Signal, Verdict

VERDICTS = (Verdict.OK, Verdict.UNKNOWN, Verdict.SUSPECT, Verdict.LEAK)
CAUSES = (
    "",
    "no reading yet",
    "the number is not told",
    "too few samples",
    "too short a span",
    "a gap in the readings",
    "restarted a moment ago",
    "the clock stepped",
    "a counter fell",
    "the base is a lone zero",
)
"""Why a row is unknown, in words, by the number in `Judged.cause`."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One detector's columns: shape (rows,) for `verdict` (rank of model.Verdict) and `cause` (index of CAUSES), both uint8, and
    (numbers, rows) for `numbers`, float64, NaN = does not apply. Rows are those of `Windows`; free ones are unknown."""

    detector: str
    at: float
    names: tuple[str, ...]
    verdict: npt.NDArray[np.uint8]
    cause: npt.NDArray[np.uint8]
    numbers: Floats

    def __getitem__(self, name: str) -> Floats:
        """One number's column."""
        column: Floats = self.numbers[self.names.index(name)]
        return column

    def found(self) -> list[tuple[int, dict[str, float]]]:
        """Rows at suspect or worse with the numbers that apply."""
        rows = np.flatnonzero(self.verdict >= layout.SUSPECT)
        columns = self.numbers[:, rows].T.tolist()
        return [
            (row, {name: value for name, value in zip(self.names, values, strict=True) if value == value})
            for row, values in zip(rows.tolist(), columns, strict=True)
        ]

    def suspicion(
        self,
        windows: Windows,
        row: int,
        *,
        code: str,
        text: str,
        confidence: float,
        numbers: Mapping[str, float],
        since: float | None = None,
        rate_per_min: float | None = None,
        count: int | None = None,
    ) -> Signal:
        """What a count detector says of a row: never more than suspect, since a count alone does not tell a leak from load."""
        return Signal(
            detector=self.detector,
            code=code,
            at=self.at,
            instance=windows.instance(row).id,
            site=None,
            verdict=Verdict.SUSPECT,
            confidence=confidence,
            text=text,
            since=since,
            rate_per_min=rate_per_min,
            count=count,
            numbers=numbers,
        )

    def verdict_of(self, row: int) -> tuple[Verdict, str]:
        """A row's verdict and, where it is unknown, the cause in words."""
        return VERDICTS[self.verdict[row]], CAUSES[self.cause[row]]


def scan(
    detector: str,
    kernel: str,
    windows: Windows,
    fields: Sequence[str],
    params: Sequence[float],
    names: tuple[str, ...],
    remembers: tuple[Hashable, int] | None = None,
) -> Judged:
    """Run one kernel of kernels/fleet_counts.py over all rows. `params[0]` is now; `remembers` is (memory's key, its width)."""
    rows = windows.size
    out = np.empty((len(names), rows))
    verdict = np.empty(rows, dtype=np.uint8)
    cause = np.empty(rows, dtype=np.uint8)
    numbers = [ROW[f] if f in FIELDS else LIMITS.index(f) for f in fields]
    shape = np.array([windows.capacity, windows.samples, rows, *numbers], dtype=np.int64)
    memory = windows.memory(*remembers) if remembers else np.empty((1, 1))
    kernels.load("fleet_counts")[kernel](
        windows.columns, windows.limits, shape, windows.head, windows.count, windows.began,
        np.array(params, dtype=np.float64), memory, verdict, cause, out,
    )  # fmt: skip
    return Judged(detector, params[0], names, verdict, cause, out)
