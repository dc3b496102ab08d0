"""The runtime's own settings on a metrics page."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from parkwarden.formats.go_settings import settings

PAGE = b"""# HELP go_gc_gogc_percent Heap size target percentage configured by the user, otherwise 100.
# TYPE go_gc_gogc_percent gauge
go_gc_gogc_percent 50
# TYPE go_gc_gomemlimit_bytes gauge
go_gc_gomemlimit_bytes 1.073741824e+09
go_sched_gomaxprocs_threads{pod="a"} 4 1700000000000
go_gc_gogc_percent 70
"""


def test_settings_as_client_golang_writes_them() -> None:
    """Values with exponents, labels and time stamps; the first of each counts."""
    assert settings(PAGE) == {"gogc": 50.0, "gomemlimit": float(1 << 30), "gomaxprocs": 4.0}


def test_off_is_infinite() -> None:
    """GOGC=off is MaxUint64, no GOMEMLIMIT MaxInt64, as floats print them."""
    page = b"go_gc_gogc_percent 1.8446744073709552e+19\r\ngo_gc_gomemlimit_bytes 9.223372036854776e+18\n"
    assert settings(page) == {"gogc": math.inf, "gomemlimit": math.inf}


def test_what_is_no_setting_is_not_told() -> None:
    """Comments, other names that begin alike, and values that are no numbers."""
    assert (
        settings(
            b"# go_gc_gogc_percent 5\ngo_gc_gogc_percent_x 5\nxgo_gc_gogc_percent 5\ngo_gc_gogc_percent NaN\ngo_gc_gogc_percent e+\n"
        )
        == {}
    )


@given(st.binary(max_size=300))
def test_any_page_is_read(page: bytes) -> None:
    """Whatever comes: numbers, never an error."""
    assert all(value >= 0 for value in settings(page + b"\ngo_gc_gogc_percent " + page).values())
