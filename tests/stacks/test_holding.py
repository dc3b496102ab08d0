"""Who holds what is open: proof by frames, matches by growth, hints by number."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from parkwarden.model import Site
from parkwarden.stacks.holding import Standing, explain
from tests.stacks.test_holders import COPYING, WRITING, site

WAITING = site("runtime.gopark", "runtime.chanrecv1", "main.upload", "main.handle")
RUNNING = site(
    "os.(*Process).pidfdWait", "os.(*Process).Wait", "os/exec.(*Cmd).Wait", "os/exec.(*Cmd).Run", "main.transcode"
)
LOOP = site("runtime.gopark", "runtime.selectgo", "net/http.(*persistConn).readLoop")
BODY = site("internal/poll.runtime_pollWait", "net.(*conn).Read", "net/http.(*body).Read", "main.fetch")


def told(
    sites: list[Standing], kinds: dict[str, tuple[int, int | None]]
) -> tuple[list[tuple[str, str, int, str]], dict[str, int]]:
    holders, rest = explain(sites, kinds, ("main",))
    return [(h.kind, h.line.function if h.line else "", h.descriptors, h.by) for h in holders], rest


def test_copied_output_is_held_by_the_line_that_runs_the_command() -> None:
    """The pipe that os/exec copies from and the pidfd both belong to the user's line; what is left is said to be."""
    found, rest = told(
        [Standing(COPYING, 40), Standing(RUNNING, 40)], {"pipe": (45, None), "pidfd": (40, None), "file": (3, None)}
    )
    assert sorted(found) == [("pidfd", "main.transcode", 40, "frames"), ("pipe", "main.transcode", 40, "frames")]
    assert rest == {"pipe": 5, "file": 3}


def test_one_socket_is_not_counted_twice() -> None:
    """A body that is read and the loop that reads its connection are one socket: the user's line has it, the loop what is left."""
    found, rest = told([Standing(LOOP, 30), Standing(BODY, 20)], {"socket": (30, None)})
    assert found == [("socket", "main.fetch", 20, "frames"), ("socket", "", 10, "frames")]
    assert rest == {}


def test_temporary_files_are_matched_by_growth() -> None:
    """No frame shows a file that is kept open: the user's line that grew by as many holds what grew, at two to one too."""
    found, rest = told(
        [Standing(WAITING, 60, 20), Standing(WRITING, 9, 9)], {"deleted-file": (63, 22), "socket": (9, 9)}
    )
    assert ("deleted-file", "main.upload", 60, "growth") in found
    assert rest == {"deleted-file": 3}
    found, _ = told([Standing(WAITING, 60, 20)], {"pipe": (121, 40)})
    assert found == [("pipe", "main.upload", 120, "growth")]


def test_equal_numbers_are_a_hint_and_uneven_ones_are_not() -> None:
    """Where nothing grew, as many goroutines as descriptors are a hint; a tenth more or less are chance, and so are a handful."""
    assert told([Standing(WAITING, 100)], {"file": (101, None)})[0] == [("file", "main.upload", 100, "number")]
    assert told([Standing(WAITING, 100)], {"file": (112, None)})[0] == []
    assert told([Standing(WAITING, 3)], {"file": (3, None)})[0] == []
    assert told([Standing(WAITING, 35, 30)], {"file": (35, 35)})[0] == []


def test_numbers_that_are_equal_hint_where_both_grew_by_a_few() -> None:
    """Two looks are never of one instant: eight more pidfds beside six more goroutines are no even ratio, thirteen of each are a hint."""
    assert told([Standing(WAITING, 13, 7)], {"pidfd": (13, 5)})[0] == [("pidfd", "main.upload", 13, "number")]
    assert told([Standing(WAITING, 13, 7)], {"pidfd": (19, 11)})[0] == []
    assert told([Standing(WAITING, 13, 13)], {"pidfd": (13, 5)})[0] == []
    assert told([Standing(WAITING, 13, 7)], {"pidfd": (13, 13)})[0] == []


def test_watchers_and_timers_made_per_request_have_a_line() -> None:
    """Every kind a service can leak by the hundred is matched, not files and pipes alone; the runtime's own one or two are nobody's."""
    for kind in ("inotify", "eventpoll", "timerfd", "eventfd"):
        assert told([Standing(WAITING, 60, 20)], {kind: (61, 21)}) == ([(kind, "main.upload", 60, "growth")], {kind: 1})
        assert told([Standing(WAITING, 60, 20)], {kind: (1, 1)}) == ([], {kind: 1})


@given(
    st.lists(
        st.tuples(
            st.sampled_from([COPYING, WRITING, WAITING, RUNNING, LOOP, BODY]), st.integers(1, 300), st.integers(0, 300)
        ),
        max_size=6,
    ),
    st.dictionaries(
        st.sampled_from(["pipe", "socket", "file", "deleted-file", "pidfd", "other"]),
        st.tuples(st.integers(0, 400), st.integers(0, 400)),
    ),
)
def test_never_more_than_is_open(sites: list[tuple[Site, int, int]], kinds: dict[str, tuple[int, int | None]]) -> None:
    """Explained and unexplained descriptors of a kind are together those that are open."""
    holders, rest = explain([Standing(one, count, before) for one, count, before in sites], kinds, ("main",))
    for kind, (count, _) in kinds.items():
        assert sum(h.descriptors for h in holders if h.kind == kind) + rest.get(kind, 0) == count
    assert all(h.descriptors > 0 for h in holders)


def test_loops_of_the_library_lend_the_line_that_grew_with_them() -> None:
    """A response body that nobody reads leaves net/http's loop and the user's goroutine that keeps it: the socket is that line's."""
    found, rest = told([Standing(LOOP, 60, 20), Standing(WAITING, 61, 20)], {"socket": (62, 22)})
    assert found == [("socket", "main.upload", 60, "growth")]
    assert rest == {"socket": 2}


def test_both_ends_of_a_child_are_its_readers() -> None:
    """Frames prove the pipe that is read; the other pipe and the pidfd grew beside it."""
    reading = site("internal/poll.runtime_pollWait", "os.(*File).Read", "bufio.(*Scanner).Scan", "main.frames")
    found, rest = told([Standing(reading, 74, 37)], {"pipe": (148, 74), "pidfd": (73, 37)})
    assert sorted(found) == [
        ("pidfd", "main.frames", 73, "growth"), ("pipe", "main.frames", 74, "frames"), ("pipe", "main.frames", 74, "growth"),
    ]  # fmt: skip
    assert rest == {}
