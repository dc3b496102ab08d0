"""Source attribution: the right file, the statement in its function, blame, and nothing outside the folder."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from parkwarden.collect import source
from parkwarden.collect.source import MAX_FUNCTION_LINES, blame_line, excerpt, index
from parkwarden.model import Frame

STORE = """package store

import "sync"

type T struct{ mu sync.Mutex }

// Get waits.
func (t *T) Get(ch chan int) int {
	for v := range ch {
		use(v)
	}
	select {
	case v := <-ch:
		return v
	case ch <- 1:
	}
	go func() {
		<-ch
	}()
	return call(
		ch,
	)
}

var hook = func(ch chan int) {
	<-ch
}

func init() { <-wait }

func Generic[E any](ch chan E) { <-ch }
"""


def _line(text: str, of: str = STORE) -> int:
    return of.split("\n").index(text) + 1


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    (tmp_path / "go.mod").write_text("module example.com/shop\n\ngo 1.27\n")
    for folder in ("store", "other/store"):
        (tmp_path / folder).mkdir(parents=True)
    (tmp_path / "store" / "store.go").write_text(STORE)
    (tmp_path / "other" / "store" / "store.go").write_text("package store\n" + "\n" * 40 + "func Other() {}\n")
    (tmp_path / "main.go").write_text("package main\n\nfunc main() {\n\tstart()\n}\n")
    return tmp_path


def _frame(text: str, function: str = "example.com/shop/store.(*T).Get") -> Frame:
    return Frame(function, "/ci/build/shop/store/store.go", _line(text))


@pytest.mark.parametrize(
    ("line", "function", "statement"),
    [
        ("	for v := range ch {", "(*T).Get", (0, 0)),
        ("		use(v)", "(*T).Get", (0, 0)),
        ("	select {", "(*T).Get", (0, 4)),
        ("	case v := <-ch:", "(*T).Get", (-1, 3)),
        ("	go func() {", "(*T).Get", (0, 0)),
        ("		<-ch", "(*T).Get.func1", (0, 0)),
        ("	return call(", "(*T).Get", (0, 2)),
        ("	<-ch", "glob..func1", (0, 0)),
        ("func init() { <-wait }", "init.0", (0, 0)),
        ("func Generic[E any](ch chan E) { <-ch }", "Generic[...]", (0, 0)),
    ],
)
def test_statement_at_a_line(checkout: Path, line: str, function: str, statement: tuple[int, int]) -> None:
    """Loops and literals show their head, a select is shown whole, a call over several lines too."""
    frame = _frame(line, "example.com/shop/store." + function)
    found = excerpt(index(checkout), frame)
    assert found is not None
    assert found.file == "store/store.go"
    assert found.statement == (frame.line + statement[0], frame.line + statement[1])
    assert found.lines[frame.line - found.first_line] == line
    assert found.function == frame.function
    assert found.blame == ""  # no repository


def test_short_function_is_shown_whole(checkout: Path) -> None:
    """From its first to its last line."""
    found = excerpt(index(checkout), _frame("		use(v)"))
    assert found is not None
    assert found.lines[0] == "func (t *T) Get(ch chan int) int {"
    assert found.lines[-1] == "}"


def test_long_function_is_cut_around_the_statement(tmp_path: Path) -> None:
    """Never more than the limits say, the statement always within."""
    body = "".join(f"\tstep({i})\n" for i in range(500))
    (tmp_path / "f.go").write_text(f"package main\n\nfunc f() {{\n{body}}}\n")
    found = excerpt(index(tmp_path), Frame("main.f", "/x/f.go", 250))
    assert found is not None
    assert len(found.lines) < MAX_FUNCTION_LINES
    assert found.first_line < 250 < found.first_line + len(found.lines)
    assert found.statement == (250, 250)


def test_go_mod_and_path_choose_among_files_of_one_name(checkout: Path) -> None:
    """The package's folder by go.mod goes first, then the longest common path."""
    tree = index(checkout)
    assert tree.modules == [("example.com/shop", "")]
    assert tree.find(Frame("example.com/shop/store.F", "/anywhere/store.go", 1)) == "store/store.go"
    assert tree.find(Frame("example.com/shop/other/store.F", "example.com/shop/other/store/store.go", 1)) == (
        "other/store/store.go"
    )
    assert tree.find(Frame("unknown.org/x.F", "/b/other/store/store.go", 1)) == "other/store/store.go"
    assert tree.find(Frame("main.f", "/b/missing.go", 1)) is None


def test_source_that_is_not_what_ran_is_not_shown(checkout: Path) -> None:
    """Another function at that line, an empty line or a line past the end: another version, so nothing."""
    tree = index(checkout)
    assert excerpt(tree, _frame("		use(v)", "example.com/shop/store.(*T).Put")) is None
    assert excerpt(tree, Frame("example.com/shop/store.Other", "/x/store/store.go", _line("		use(v)"))) is None
    assert excerpt(tree, Frame("example.com/shop/store.(*T).Get", "/x/store/store.go", 2)) is None
    assert excerpt(tree, Frame("example.com/shop/store.(*T).Get", "/x/store/store.go", 10**9)) is None
    assert excerpt(tree, Frame("example.com/shop/store.(*T).Get", "/x/store/store.go", 0)) is None


def test_links_out_of_the_folder_are_refused(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A repository must not make us read /etc or a neighbour's files, by file or by folder link."""
    outside = tmp_path_factory.mktemp("outside")
    (outside / "secret.go").write_text("package main\n\nfunc f() { secret() }\n")
    (checkout / "secret.go").symlink_to(outside / "secret.go")
    (checkout / "linked").symlink_to(outside)
    (checkout / "loop.go").symlink_to(checkout / "loop.go")
    tree = index(checkout)
    assert excerpt(tree, Frame("main.f", "/x/secret.go", 3)) is None
    assert excerpt(tree, Frame("main.f", "/x/loop.go", 3)) is None
    assert tree.files["secret.go"] == ["secret.go"]  # the folder link was not followed


def test_only_regular_files_of_bounded_size_are_read(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A pipe named like a source does not hang us; a file over the limit is left alone."""
    os.mkfifo(checkout / "pipe.go")
    (checkout / "dir.go").mkdir()
    tree = index(checkout)
    assert excerpt(tree, Frame("main.f", "/x/pipe.go", 1)) is None
    assert excerpt(tree, Frame("main.f", "/x/dir.go", 1)) is None
    assert excerpt(tree, _frame("		use(v)")) is not None
    monkeypatch.setattr(source, "MAX_PARSED_BYTES", 10)
    assert excerpt(tree, _frame("		use(v)")) is None
    monkeypatch.undo()
    monkeypatch.setattr(source, "MAX_SOURCE_BYTES", 10)
    assert excerpt(tree, _frame("		use(v)")) is None


def test_index_ends_at_its_limit_and_says_so(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home folder given by mistake is not walked for ever."""
    monkeypatch.setattr(source, "MAX_FOLDERS", 1)
    tree = index(checkout)
    assert tree.truncated
    assert "main.go" in tree.files
    with pytest.raises(NotADirectoryError):
        index(checkout / "main.go")


@pytest.mark.parametrize(
    "junk", [b"\xff\xfe\x00" * 50, b"func f() {" * 5000, b"(" * 20000, b"package main\r\nfunc f() {\r\n\tg()\r\n}\r\n"]
)
def test_any_bytes_are_survived(tmp_path: Path, junk: bytes) -> None:
    """What is no Go, is nested without end or ends its lines with CRLF costs nothing but itself."""
    (tmp_path / "x.go").write_bytes(junk)
    found = excerpt(index(tmp_path), Frame("main.f", "x.go", min(3, junk.count(b"\n") + 1)))
    assert found is None or all("\r" not in line for line in found.lines)


def _git(folder: Path, *words: str) -> None:
    who = ["-c", "user.name=A", "-c", "user.email=a@example.com", "-c", "init.defaultBranch=main"]
    environment = {
        **os.environ,
        "GIT_AUTHOR_DATE": "2026-03-04T05:06:07Z",
        "GIT_COMMITTER_DATE": "2026-03-04T05:06:07Z",
    }
    subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, env=environment)


def test_blame_names_commit_date_and_subject(checkout: Path) -> None:
    """In a repository the line's last commit; what is not committed says so; hostile names and settings run nothing."""
    _git(checkout, "init", "-q")
    _git(checkout, "add", ".")
    _git(checkout, "commit", "-q", "-m", "Wait for the store")
    marker = checkout / "ran"
    _git(checkout, "config", "core.fsmonitor", f"touch {marker}")
    _git(checkout, "config", "diff.go.textconv", f"touch {marker}; cat")
    (checkout / ".gitattributes").write_text("*.go diff=go\n")
    found = excerpt(index(checkout), _frame("		use(v)"))
    assert found is not None
    commit, date, subject = found.blame.split(" ", 2)
    assert (len(commit), date, subject) == (12, "2026-03-04", "Wait for the store")
    assert not marker.exists()
    (checkout / "main.go").write_text("package main\n\nfunc main() {\n\tchanged()\n}\n")
    assert blame_line(checkout, "main.go", 4) == "not committed yet"
    assert blame_line(checkout, "--output=ran", 1) == ""
    assert blame_line(checkout, "no\0where", 1) == ""
    assert blame_line(checkout, "main.go", 4000) == ""
    assert not marker.exists()


def test_blame_ends_at_its_time_limit(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository that makes git slow costs the limit, not the report."""
    monkeypatch.setattr(source, "BLAME_TIMEOUT_S", 0.0)
    _git(checkout, "init", "-q")
    assert blame_line(checkout, "main.go", 1) == ""
