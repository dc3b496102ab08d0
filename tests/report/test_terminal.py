"""Terminal reports: verdict first, words not colour only, inert, plain where they must be, narrow where they must be."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.console import Console

from parkwarden.model import Artefact, Finding, FormatError, InputEntry, Kind, LookCost, Report, Verdict
from parkwarden.report.terminal import print_clusters, print_cost, print_report, print_trace, sparkline
from parkwarden.report.words import overall
from tests.report import samples


def printed(call: Callable[[Console], None], width: int = 100, *, colour: bool = False, encoding: str = "utf-8") -> str:
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding=encoding, errors="strict", newline="")
    console = Console(
        file=file, width=width, force_terminal=colour, color_system="standard" if colour else None,
        highlight=False, markup=False, _environ={},
    )  # fmt: skip
    call(console)
    file.flush()
    return raw.getvalue().decode(encoding)


def of(*findings: Finding) -> Callable[[Console], None]:
    return lambda console: print_report(samples.report(*findings), samples.case(), console)


def test_verdict_comes_first_in_words() -> None:
    """Who cannot see colour reads the verdict in the first line, then the culprit's function and line."""
    text = printed(of(samples.leak(), samples.suspect()))
    assert text.strip().splitlines()[0].strip().startswith("LEAK")
    assert "\x1b" not in text
    assert (
        text.index(samples.QUOTE.function)
        < text.index("The leak path")
        < text.index("Evidence")
        < text.index("What to do")
    )
    assert f"{samples.QUOTE.file}:42" in text


def test_every_number_has_its_source() -> None:
    """Evidence lines end in the input that says so."""
    text = printed(of(samples.leak()))
    assert "goroutines at this line: 18,412 of 20,000  [goroutine-dump-0]" in text


def test_leak_path_is_drawn_to_the_blocked_line() -> None:
    """The drawing runs culprit -> go statement -> blocked line, in this order, and says which is which."""
    text = printed(of(samples.leak()))
    path = text[text.index("The leak path") : text.index("Source")]
    marks = ["your code: fix here", "go statement", "go x 18,412 goroutines", "stuck here: select, ≥ 47 min"]
    assert [mark for mark in marks if mark in path] == marks
    assert sorted(marks, key=path.index) == marks


def test_recursion_is_drawn_as_a_cycle() -> None:
    """A stack overflow shows its round."""
    text = printed(of(samples.recursion()))
    assert "The cycle" in text
    assert "round again" in text


def test_useless_inputs_are_listed_with_the_reason() -> None:
    """C2: what did not help is said, with why; problems and redaction too."""
    text = printed(of(samples.leak()), width=140)
    assert "heap.pb.gz" in text
    assert "just after a restart" in text
    assert "truncated-record" in text
    assert "3 secrets or personal data redacted" in text


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    """60 columns are enough for everything."""
    case = samples.case(30)
    for call in (
        of(samples.leak(), samples.suspect(), samples.recursion()),
        lambda console: print_clusters(case, console, diff=True),
        lambda console: print_trace(case.artefacts[2], console, user_modules=("shop",)),
    ):
        assert max(map(len, printed(call, width).splitlines())) <= width


def test_plain_ascii_terminals_get_ascii() -> None:
    """An output that cannot encode box drawing gets ASCII instead of an exception."""
    text = printed(of(samples.leak()), encoding="ascii")
    assert text.isascii()
    assert "stuck here" in text
    assert "|" in text


def test_hostile_names_are_inert() -> None:
    """No control character, bidi mark or markup from an input reaches the terminal."""
    report, case = samples.hostile()
    for call in (
        lambda console: print_report(report, case, console, show_all=True),
        lambda console: print_clusters(case, console, diff=True, show_all=True),
        lambda console: print_trace(case.artefacts[2], console, show_all=True),
    ):
        text = printed(call)
        assert not [c for c in text if not c.isprintable() and c != "\n"]
    assert "[bold]rich[/bold] :smile:" in printed(lambda console: print_clusters(case, console, show_all=True))


def test_cut_lists_say_so() -> None:
    """A limit is never silent: `20 of 30 clusters shown; --all shows all`."""
    case = samples.case(30)
    assert "20 of 30 clusters shown; --all shows all" in printed(lambda console: print_clusters(case, console))
    assert "clusters shown" not in printed(lambda console: print_clusters(case, console, show_all=True))
    many = [samples.suspect() for _ in range(9)]
    assert "5 of 9 findings shown" in printed(of(*many))


def test_diff_shows_course_and_change_growth_first() -> None:
    """Several looks: each cluster's course as bars, its change with sign, what grew most first."""
    text = printed(lambda console: print_clusters(samples.case(), console, diff=True))
    assert "▃▆█" in text
    assert "+12,275" in text
    assert text.index("+12,275") < text.index("-10")
    assert "6,100 stayed since the first look" in text


def test_sparkline_scales_to_the_greatest() -> None:
    """Zero is the lowest bar, the greatest the highest; nothing at all is flat."""
    assert sparkline([0, 1, 8]) == "▁▂█"
    assert sparkline([0, 0]) == "▁▁"
    assert sparkline([]) == ""


def test_trace_shows_rates_waits_and_users_code() -> None:
    """Creations per second with who never ended, waits by time, and the user's own frame on the way."""
    text = printed(lambda console: print_trace(samples.case().artefacts[2], console, user_modules=("shop",)), 140)
    assert "3,680.0/s" in text
    assert "18,400 never ended" in text
    assert "yours: " + samples.QUOTE.function in text
    assert "12 h 30 min" in text


def test_no_trace_is_refused() -> None:
    """Typed refusal, not a traceback."""
    with pytest.raises(FormatError):
        printed(lambda console: print_trace(Artefact(name="x", kind=Kind.UNKNOWN, size=0), console))


def test_nothing_found_is_said() -> None:
    """A report without findings is a clear OK, not an empty screen."""
    entry = InputEntry(name="g", kind="goroutine-profile", bytes=1, records=1, problems=[], used=True, why="judged")
    text = printed(
        lambda console: print_report(Report(generated_at="now", inputs=[entry], findings=[]), samples.case(), console)
    )
    assert "OK" in text


def test_cost_of_looks_is_a_table() -> None:
    """What looking cost the service is told, refused looks too."""
    looks = [LookCost(what="goroutine profile", took_s=0.036, bytes=2700), LookCost(what="text dump", note="refused")]
    text = printed(lambda console: print_cost(looks, console))
    assert "36 ms" in text
    assert "2.6 KiB" in text
    assert "refused" in text
    assert printed(lambda console: print_cost([], console)) == ""


def test_colour_repeats_the_words() -> None:
    """With colour the same words are there."""
    assert "LEAK" in printed(of(samples.leak()), colour=True)


def test_too_little_is_unknown_never_ok() -> None:
    """No finding is `ok` only where goroutines were judged; unread inputs and pages of numbers acquit nobody."""
    numbers = InputEntry(name="vars", kind="expvar", bytes=1, records=1, problems=[], used=False, why="")
    judged = replace(numbers, kind="goroutine-profile", used=True)
    unread = replace(numbers, kind="unknown")

    def verdict(*inputs: InputEntry) -> Verdict:
        return overall(Report(generated_at="", inputs=list(inputs), findings=[]))[0]

    assert verdict(judged, numbers) is Verdict.OK
    assert verdict(numbers) is Verdict.UNKNOWN
    assert verdict(judged, unread) is Verdict.UNKNOWN
