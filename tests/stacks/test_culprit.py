"""The user's own line: on the stack, at the creating line, or above the library's `go` statement."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from parkwarden.model import Creation, Frame, Stack
from parkwarden.stacks.culprit import MAX_PATH, constructor_per_request, creations_of, culprit, leak_path
from parkwarden.stacks.normalise import site_of

LIB = "github.com/zeromicro/go-zero/core/collection."
FILE = "/home/u/go/pkg/mod/github.com/zeromicro/go-zero@v1.6.0/core/collection/"
CLEAN = "github.com/zeromicro/go-zero/core/collection/"

RUN = Frame(LIB + "(*TimingWheel).run", FILE + "timingwheel.go", 240)
GO = Frame(LIB + "NewTimingWheelWithTicker", FILE + "timingwheel.go", 110)
NEW = Frame(LIB + "NewCache", FILE + "cache.go", 60)
USER = Frame("example.com/shop/store.New", "/home/u/shop/store/store.go", 21)
HANDLER = Frame("main.handle", "/home/u/shop/main.go", 33)
SERVE = Frame("net/http.HandlerFunc.ServeHTTP", "/usr/local/go/src/net/http/server.go", 2322)
CONN = Frame("net/http.(*conn).serve", "/usr/local/go/src/net/http/server.go", 2102)
MODULES = ("main", "example.com/shop")


def _creation(*frames: Frame, **fields: Any) -> Creation:
    told: dict[str, Any] = {
        "start": RUN._replace(line=200), "count": 500, "first_s": 0.0, "last_s": 5.0, "peak_per_s": 150.0, "alive": 490, "parents": 8,
    }  # fmt: skip
    return Creation(stack=Stack(frames), **{**told, **fields})


PER_REQUEST = _creation(GO, NEW, USER, HANDLER, SERVE, CONN)
WHEEL = Stack((RUN,), GO)


def test_own_frame_nearest_the_blocked_line_is_the_culprit() -> None:
    """A user frame on the goroutine's own stack goes before its creator."""
    stack = Stack((Frame("net.(*conn).Read", "n.go", 1), USER, HANDLER, SERVE), Frame("main.main", "m.go", 1))
    assert culprit(stack, MODULES) == USER
    assert culprit(site_of(stack), MODULES) == USER


def test_creating_line_of_the_user_is_next() -> None:
    """`go lib.Run()` in user code: the user's `go` statement."""
    assert culprit(Stack((RUN,), HANDLER), MODULES) == HANDLER


def test_a_trace_names_who_called_the_library() -> None:
    """Blocked in a library, created by the library: the first user frame above its `go` statement."""
    assert culprit(WHEEL, MODULES) is None
    assert culprit(WHEEL, MODULES, [PER_REQUEST]) == USER
    assert culprit(site_of(WHEEL), MODULES, [PER_REQUEST]) == USER


def test_old_goroutines_of_a_trace_match_by_entry_function() -> None:
    """Without `created by` the function the goroutine runs finds its `go` statement."""
    assert creations_of(Stack((RUN,)), [PER_REQUEST]) == [PER_REQUEST]
    assert creations_of(Stack((SERVE,)), [PER_REQUEST]) == []
    assert creations_of(Stack(()), [PER_REQUEST]) == []


def test_leak_path_goes_from_culprit_over_creating_to_blocked_line() -> None:
    """Outermost first: who called the library, its `go` statement, then down to the wait."""
    path = leak_path(WHEEL, MODULES, [PER_REQUEST])
    assert [(f.function, f.line) for f in path] == [
        (USER.function, 21),
        (NEW.function, 60),
        (GO.function, 110),
        (RUN.function, 240),
    ]
    assert path[2].file == CLEAN + "timingwheel.go"
    own = Stack((Frame("net.(*conn).Read", "n.go", 1), USER, SERVE), HANDLER)
    assert [f.function for f in leak_path(own, MODULES)] == [HANDLER.function, SERVE.function, USER.function]


def test_leak_path_is_bounded() -> None:
    """Of a very long way both ends are kept."""
    frames = tuple(Frame(f"main.f{i}", "a.go", i) for i in range(500))
    path = leak_path(Stack(frames), MODULES)
    assert len(path) == MAX_PATH
    assert (path[0], path[-1]) == (frames[-1], frames[0])


def test_constructor_per_request() -> None:
    """One library `go` statement under many requests: the user's frame that called in, the handler, and the rate."""
    other = _creation(
        GO, NEW, Frame("main.other", "m.go", 4), SERVE, CONN, count=100, alive=100, peak_per_s=20.0, parents=2
    )
    (found,) = constructor_per_request([PER_REQUEST, other], MODULES, duration_s=5.0)
    assert found.creating == Frame(GO.function, CLEAN + "timingwheel.go", 110)
    assert found.module == "github.com/zeromicro/go-zero"
    assert found.caller == USER
    assert found.entry == HANDLER
    assert [n for _, n in found.callers] == [500, 100]
    assert (found.count, found.alive, found.parents, found.per_s, found.peak_per_s) == (600, 590, 10, 120.0, 150.0)
    assert [f.function for f in found.path] == [f.function for f in (HANDLER, USER, NEW, GO)]


def test_what_is_no_constructor_per_request() -> None:
    """Start-up work, the user's own `go`, the standard library's and the few are left out."""
    main = Frame("main.main", "m.go", 1)
    quiet = [
        _creation(GO, NEW, main),
        _creation(HANDLER, SERVE, CONN),
        _creation(Frame("net/http.(*Server).Serve", "s.go", 1), main),
        _creation(GO, NEW, USER, SERVE, count=3),
        _creation(GO, NEW),
        _creation(),
    ]
    assert constructor_per_request(quiet, MODULES) == []


def test_main_that_serves_itself_is_no_start_up() -> None:
    """A chain from main.main through a dispatcher (an in-process router) is a request."""
    chain = _creation(GO, NEW, USER, SERVE, Frame("main.main", "m.go", 1))
    (found,) = constructor_per_request([chain], MODULES)
    assert found.per_s == 100.0


FRAMES = st.lists(st.builds(Frame, st.text(max_size=12), st.text(max_size=12), st.integers(0, 99)), max_size=8)


@given(FRAMES, FRAMES, st.lists(st.text(max_size=8), max_size=3))
def test_any_frames_are_survived(frames: list[Frame], made: list[Frame], modules: list[str]) -> None:
    """Hostile names never raise; a culprit is always one of the frames on the way."""
    stack = Stack(tuple(frames), made[0] if made else None)
    creations = [_creation(*made)]
    found = culprit(stack, modules, creations)
    assert found is None or found.line in {f.line for f in frames + made}
    assert len(leak_path(stack, modules, creations)) <= MAX_PATH
    assert isinstance(constructor_per_request(creations, modules), list)
