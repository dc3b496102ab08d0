"""What a look is expected to stall the watched service: the measured table of docs (what a look costs), interpolated. Pure."""

from __future__ import annotations

import math
from enum import StrEnum


class Look(StrEnum):
    """Looks at a service, in the order of their price."""

    PROFILE = "goroutine"
    CENSUS = "census"
    HEAP = "heap"
    TRACE = "trace"
    LEAK = "goroutineleak"
    DUMP = "goroutine?debug=2"


DEAR = frozenset([Look.TRACE, Look.LEAK, Look.DUMP])
"""Only on suspicion, and within budgets per instance and service."""

_TABLE_N = (1_000, 10_000, 100_000)
_STALL_S = {
    Look.PROFILE: (0.002, 0.002, 0.036),
    Look.CENSUS: (0.002, 0.003, 0.004),
    Look.HEAP: (0.002, 0.002, 0.002),
    Look.TRACE: (0.002, 0.005, 0.010),
    Look.LEAK: (0.003, 0.022, 5.835),
    Look.DUMP: (0.013, 0.094, 0.753),
}
"""Longest stall in seconds at 1,000, 10,000 and 100,000 goroutines, Go 1.27 on two cores. The longer trace is a census that goes on
writing events; its stall is put at twice the census' at many goroutines."""


def stall_s(look: Look, goroutines: int) -> float:
    """Expected longest stall in seconds: straight lines between the measured points on log-log axes, the last one prolonged."""
    table = _STALL_S[look]
    if goroutines <= _TABLE_N[0]:
        return table[0]
    i = 0 if goroutines <= _TABLE_N[1] else 1
    slope = math.log(table[i + 1] / table[i]) / math.log(_TABLE_N[i + 1] / _TABLE_N[i])
    return table[i] * math.exp(slope * math.log(goroutines / _TABLE_N[i]))
