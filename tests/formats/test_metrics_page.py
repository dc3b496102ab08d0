"""metrics_page: real client_golang pages in both formats, escapes, exemplars, damage."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkwarden.formats import metrics_page
from parkwarden.model import FormatError, Kind, LimitError


@pytest.mark.parametrize("version", ["go1.25", "go1.27"])
@pytest.mark.parametrize("form", ["prometheus", "openmetrics"])
def test_real_pages(data: Path, version: str, form: str) -> None:
    """go_* and process_* metrics, Go's version, and requests summed over hostile labels and exemplars."""
    page = (data / "metrics_page" / version / f"{form}.txt").read_bytes()
    assert metrics_page.sniff(page[:256])
    artefact = metrics_page.read(page)
    reading = artefact.reading
    assert artefact.kind is Kind.METRICS
    assert reading is not None
    assert reading.goroutines is not None
    assert reading.goroutines > 20
    assert reading.open_fds is not None
    assert reading.max_fds is not None
    assert reading.rss is not None
    assert reading.threads is not None
    assert reading.gomaxprocs is not None
    assert reading.start_time is not None
    assert reading.mem_limit is None  # no limit set
    assert reading.requests_total == 7
    assert reading.go_version is not None
    assert reading.go_version.startswith(version)
    assert (artefact.lost, artefact.problems) == (0, [])


def test_lines_of_every_shape() -> None:
    """Time stamps, exemplars, escaped quotes, NaN, Inf, CRLF and # EOF."""
    page = (
        b'# TYPE go_goroutines gauge\r\ngo_goroutines{a="x\\"}\\\\\\n",} 12 1700000000000\r\n'
        b'go_threads NaN\nprocess_open_fds +Inf\nhttp_requests_total{c="1"} 3 # {trace_id="a b"} 1 1.5\n'
        b"# EOF\ngo_info 1\nprocess_max_fds 9\n"
    )
    artefact = metrics_page.read(page)
    reading = artefact.reading
    assert reading is not None
    assert (reading.goroutines, reading.at, reading.threads, reading.open_fds) == (12, 1.7e9, None, None)
    assert (reading.requests_total, reading.max_fds) == (3, None)


def test_a_damaged_line_costs_one_line() -> None:
    """What is no sample is counted; lines of other families are not looked into."""
    artefact = metrics_page.read(b'go_goroutines{a="x} 1\n!\nsomething{else 5\ngo_threads 7\n')
    assert artefact.reading is not None
    assert (artefact.lost, artefact.records, artefact.reading.threads) == (2, 4, 7)
    assert [p.where for p in artefact.problems] == ["line 1", "line 2"]


def test_pages_without_go_metrics_say_so() -> None:
    """A page of another exporter is a metrics page that does not help."""
    artefact = metrics_page.read(b"# HELP node_load1 1m load average.\nnode_load1 0.5\n")
    assert [p.code for p in artefact.problems] == ["no-go-metrics"]


def test_other_input_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Dumps and JSON are no metrics pages; size is limited."""
    for other in (b"", b"goroutine 1 [running]:\n", b'{"go_goroutines": 1}', b"# runtime.MemStats\n"):
        assert not metrics_page.sniff(other)
        with pytest.raises(FormatError):
            metrics_page.read(other)
    monkeypatch.setattr(metrics_page, "MAX_BYTES", 3)
    with pytest.raises(LimitError):
        metrics_page.read(b"go_goroutines 1\n")


@given(st.binary(max_size=300))
def test_no_bytes_crash_the_reader(junk: bytes) -> None:
    """Anything after a good line leaves that line readable."""
    artefact = metrics_page.read(b"go_goroutines 5\n" + junk)
    assert artefact.reading is not None
    assert artefact.reading.goroutines == 5


_NUMBERS = st.one_of(
    st.integers(0, 1 << 40).map(str),
    st.floats().map(repr),
    st.sampled_from(["NaN", "+Inf", "-1", "9.223372036854776e+18", "x"]),
)
_LINES = st.lists(
    st.tuples(
        st.sampled_from(
            ["go_goroutines", "go_threads", "go_memstats_last_gc_time_seconds", "go_gc_gomemlimit_bytes", "process_cpu_seconds_total",
             'http_requests_total{a="b} 9 "}', 'http_requests_total{c="\\\\"}', "requests_total", 'go_info{version="go1.27"}', "other",
             'go_sched_goroutines_goroutines{x="y"}', "go_memstats_alloc_bytes", "go_memstats_heap_alloc_bytes"]
        ),
        _NUMBERS,
    ),
    max_size=20,
)  # fmt: skip


@given(_LINES, st.lists(_NUMBERS, min_size=40, max_size=40))
def test_a_reader_of_many_pages_reads_as_one_page_is_read(lines: list[tuple[str, str]], others: list[str]) -> None:
    """What is learnt from one page changes nothing of what the next one says: other values, the same page, another order."""

    def page(pairs: list[tuple[str, str]]) -> bytes:
        return b"# TYPE go_goroutines gauge\n" + "".join(f"{k} {v}\n" for k, v in pairs).encode()

    reader = metrics_page.Reader()
    changed = [(key, others[i]) for i, (key, _) in enumerate(lines)]
    for pairs in (lines, lines, changed, lines, changed[::-1], lines):
        assert reader.read(page(pairs)) == metrics_page.read(page(pairs)).reading


@pytest.mark.parametrize("version", ["go1.25", "go1.27"])
def test_the_second_page_of_a_program_is_followed_not_scanned(data: Path, version: str) -> None:
    """Real pages are read in full once, then only looked into; every so often again in full."""
    page = (data / "metrics_page" / version / "prometheus.txt").read_bytes()
    whole = metrics_page.read(page).reading
    reader = metrics_page.Reader()
    assert all(reader.read(page) == whole for _ in range(metrics_page.RELEARN))
    assert reader.full == 1
    assert reader.read(page) == reader.read(page) == whole
    assert reader.full == 2


def test_a_page_with_another_line_is_learnt_anew(data: Path) -> None:
    """Requests that are counted from some time on are seen at once; a page that is none raises as ever."""
    page = b"# HELP go_goroutines x\ngo_goroutines 5\n"
    reader = metrics_page.Reader()
    assert reader.read(page).requests_total is None
    assert (
        reader.read(page + b'http_requests_total{code="200"} 3\nhttp_requests_total{code="500"} 4\n').requests_total
        == 7
    )
    with pytest.raises(FormatError):
        reader.read(b"<html>")


def test_what_is_learnt_of_pages_is_bounded() -> None:
    """A page of another make each time, with labels of 60 kB, is read in full and nothing of it is kept for the fleet."""
    known = dict(metrics_page._layouts)
    reader = metrics_page.Reader()
    for lines in (1, 2, 3):
        page = b"# HELP go_goroutines x\n" + b"".join(
            b'go_goroutines{a="%d%060000d"} 7\n' % (i, i) for i in range(lines)
        )
        assert reader.read(page).goroutines == 7
    assert metrics_page._layouts == known
    assert reader.full == 3
