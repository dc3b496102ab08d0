"""`--source DIR`: the statement behind a frame, in its function, and who wrote the line last.

Reads files below DIR only: no symbolic link leads out, nothing but regular files of bounded size is opened. Git is asked
without a shell, with a time limit, and nothing in the repository's configuration gets to run.
"""

from __future__ import annotations

import os
import stat
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from parkwarden.model import Frame, SourceExcerpt
from parkwarden.stacks.modules import in_module, local_name, module_from_go_mod, package_of
from parkwarden.stacks.names import clean_function

if TYPE_CHECKING:
    from tree_sitter import Node

MAX_FILES = 200_000
"""Go files indexed below DIR; the Kubernetes tree has 20,000."""
MAX_FOLDERS = 100_000
"""Folders visited below DIR: a home folder given by mistake must not take minutes."""
MAX_SOURCE_BYTES = 1 << 20
"""A larger Go file is generated and shows nobody anything; the worst text of this size takes 0.5 s to parse."""
MAX_PARSED_BYTES = 4 << 20
"""Parsed in all while looking for one frame among files of its name."""
MAX_CANDIDATES = 64
"""Files of one base name that are looked at (`main.go`, `doc.go`): the longest matching paths first."""
MAX_FUNCTION_LINES = 60
"""A function up to this long is shown whole."""
AROUND_LINES = 15
"""Of a longer one, so many lines before and after the statement."""
MAX_STATEMENT_LINES = 40
MAX_LINE_CHARS = 400
MAX_DEPTH = 2_000
"""Nesting followed in a parse tree; real code stays below 100."""
BLAME_TIMEOUT_S = 10.0
MAX_BLAME_CHARS = 200

_SKIPPED_FOLDERS = frozenset([".git", ".hg", ".svn", "node_modules", ".venv", "__pycache__", ".idea", ".vscode"])
_DECLARATIONS = frozenset(["function_declaration", "method_declaration"])
_BODIES = frozenset(["block", "func_literal"])
_HOLDERS = frozenset(
    ["block", "statement_list", "expression_case", "default_case", "type_case", "communication_case", "source_file"]
)


@dataclass(slots=True)
class SourceTree:
    """The Go files below a folder, indexed once, and the modules declared in it."""

    root: Path
    files: dict[str, list[str]] = field(default_factory=dict)
    """Base name -> paths relative to the root, with `/`."""
    modules: list[tuple[str, str]] = field(default_factory=list)
    """(module path, folder relative to the root, "" for the root itself), deepest folder first."""
    truncated: bool = False
    """Whether a limit ended the search of the folder."""

    def find(self, frame: Frame) -> str | None:
        """The file of a frame, relative to the root: the first of `candidates`, None if there is none."""
        return next(iter(self.candidates(frame)), None)

    def candidates(self, frame: Frame) -> list[str]:
        """Files that may be the frame's, likeliest first: where go.mod says its package is, then longest common path."""
        parts = frame.file.replace("\\", "/").split("/")
        paths = self.files.get(parts[-1], [])
        package = package_of(frame.function)
        expected = {
            "/".join(p for p in (folder, package[len(module) :].strip("/"), parts[-1]) if p)
            for module, folder in self.modules
            if in_module(package, module)
        }

        def rank(path: str) -> tuple[bool, int, int, str]:
            folders = path.split("/")
            same = 0
            while same < len(parts) and same < len(folders) and parts[-1 - same] == folders[-1 - same]:
                same += 1
            return (path not in expected, -same, len(folders), path)

        return sorted(paths, key=rank)[:MAX_CANDIDATES]


def index(folder: str | os.PathLike[str]) -> SourceTree:
    """Index the Go files below a folder. Links are not followed; raises NotADirectoryError if it is no folder."""
    root = Path(folder).resolve()
    if not root.is_dir():
        raise NotADirectoryError(str(folder))
    tree = SourceTree(root)
    files = 0
    for folders, (here, below, names) in enumerate(os.walk(root, followlinks=False), start=1):
        below[:] = sorted(name for name in below if name not in _SKIPPED_FOLDERS)
        relative = os.path.relpath(here, root).replace(os.sep, "/")
        prefix = "" if relative == "." else relative + "/"
        for name in sorted(names):
            if name.endswith(".go"):
                files += 1
                tree.files.setdefault(name, []).append(prefix + name)
            elif name == "go.mod":
                text = read_file(tree, prefix + name)
                module = module_from_go_mod(text.decode("utf-8", "replace")) if text is not None else ""
                if module:
                    tree.modules.append((module, prefix.rstrip("/")))
        if folders >= MAX_FOLDERS or files >= MAX_FILES:
            tree.truncated = True
            break
    tree.modules.sort(key=lambda item: (-item[1].count("/") - bool(item[1]), item))
    return tree


def excerpt(tree: SourceTree, frame: Frame, *, blame: bool = True) -> SourceExcerpt | None:
    """The statement at a frame's line, in its function; None where no file below DIR has that function at that line.

    A file whose function at the line has another name is not the source that ran, and is not shown.
    """
    if frame.line < 1:
        return None
    parsed = 0
    for path in tree.candidates(frame):
        data = read_file(tree, path)
        if data is None:
            continue
        parsed += len(data)
        if parsed > MAX_PARSED_BYTES:
            return None
        found = _cut(data, frame, path)
        if found is not None:
            if not blame:
                return found
            return SourceExcerpt(
                file=found.file,
                first_line=found.first_line,
                lines=found.lines,
                statement=found.statement,
                function=found.function,
                blame=blame_line(tree.root, path, frame.line),
            )
    return None


def read_file(tree: SourceTree, path: str) -> bytes | None:
    """A regular file's bytes, None if it is none, is too large, or lies outside the tree once links are resolved."""
    try:
        real = (tree.root / path).resolve(strict=True)
        if not real.is_relative_to(tree.root):
            return None
        # Not blocking: a pipe or device under a name ending in .go must not hang us before we see what it is.
        handle = os.open(real, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        with open(handle, "rb") as file:
            status = os.fstat(handle)
            if not stat.S_ISREG(status.st_mode) or status.st_size > MAX_SOURCE_BYTES:
                return None
            data = file.read(MAX_SOURCE_BYTES + 1)
    except (OSError, ValueError, RuntimeError):  # gone, forbidden, NUL in the name, a loop of links
        return None
    return data if len(data) <= MAX_SOURCE_BYTES else None


def _cut(data: bytes, frame: Frame, path: str) -> SourceExcerpt | None:
    import tree_sitter_go
    from tree_sitter import Language, Parser

    raw = data.split(b"\n")
    row = frame.line - 1
    if row >= len(raw) or not raw[row].strip():
        return None
    column = len(raw[row]) - len(raw[row].lstrip())
    tree = Parser(Language(tree_sitter_go.language())).parse(data)
    chain = _ancestors(tree.root_node, row, column)
    declaration = next((node for node in chain if node.type in _DECLARATIONS), None)
    if declaration is not None and not _is_named(declaration, frame.function):
        return None
    if declaration is None and _declared_name(frame.function):
        return None
    first, last = _statement(chain, row)
    top, bottom = _shown(chain, declaration, first, last, len(raw))
    lines = tuple(line.rstrip(b"\r").decode("utf-8", "replace")[:MAX_LINE_CHARS] for line in raw[top : bottom + 1])
    return SourceExcerpt(
        file=path, first_line=top + 1, lines=lines, statement=(first + 1, last + 1), function=frame.function
    )


def _ancestors(root: Node, row: int, column: int) -> list[Node]:
    """Nodes around a point, outermost first. A cursor going down: asking a node for its parent starts at the root."""
    cursor = root.walk()
    chain = [root]
    while len(chain) < MAX_DEPTH and cursor.goto_first_child_for_point((row, column)) is not None:
        node = cursor.node
        if node is None or node.start_point > (row, column):
            break
        chain.append(node)
    return chain


def _statement(chain: list[Node], row: int) -> tuple[int, int]:
    """First and last row (0-based) of the innermost statement that holds the row.

    Of a loop, a condition or a function literal only the head: its body is other statements. A select is shown whole,
    because waiting on all its cases is what it does.
    """
    for above, node in zip(reversed(chain[:-1]), reversed(chain[1:]), strict=False):
        if above.type in _HOLDERS and node.is_named and node.type != "comment" and node.type not in _HOLDERS:
            first, last = node.start_point[0], node.end_point[0]
            if node.type != "select_statement":
                last = min(last, max(row, _head_end(node)))
            return min(first, row), max(row, min(last, first + MAX_STATEMENT_LINES - 1))
    return row, row


def _head_end(node: Node) -> int:
    """Row on which the first body inside a statement opens, its last row if there is none."""
    pending, seen = [node], 0
    while pending and seen < MAX_DEPTH:
        at = pending.pop(0)
        seen += 1
        for child in at.children:
            if child.type in _BODIES:
                body = child.child_by_field_name("body") if child.type == "func_literal" else child
                return (body or child).start_point[0]
            pending.append(child)
    return node.end_point[0]


def _shown(chain: list[Node], declaration: Node | None, first: int, last: int, size: int) -> tuple[int, int]:
    """First and last row to show: the whole function, the innermost literal that is short enough, or around it."""
    around = (max(0, first - AROUND_LINES), min(size - 1, last + AROUND_LINES))
    if declaration is None:
        return around
    for node in [declaration, *(n for n in reversed(chain) if n.type == "func_literal")]:
        top, bottom = node.start_point[0], min(node.end_point[0], size - 1)
        if bottom - top < MAX_FUNCTION_LINES and top <= first and last <= bottom:
            return top, bottom
    return max(around[0], declaration.start_point[0]), min(around[1], declaration.end_point[0], size - 1)


def _declared_name(function: str) -> str:
    """The declared name in a function's: `m` of `p.(*T).m.func1.2`; "" for literals of package variables and init."""
    name = local_name(clean_function(function)).replace("[...]", "")
    if name.startswith(("glob.", "init.")):
        return ""
    parts = name.partition(")")[2].lstrip(".") if name.startswith("(") else name
    return parts.split(".")[0].removesuffix("-fm")


def _is_named(declaration: Node, function: str) -> bool:
    """Whether a declaration may be the function a frame names; methods by value print as `T.m`, others as `(*T).m`."""
    node = declaration.child_by_field_name("name")
    name = node.text.decode("utf-8", "replace") if node is not None and node.text is not None else ""
    local = local_name(clean_function(function)).replace("[...]", "").replace("-fm", "")
    return name in local.split(".") or not name


def blame_line(root: Path, path: str, line: int) -> str:
    """`commit date subject` of who last changed a line; "" where the folder is no repository or git cannot tell.

    Commands a repository's configuration could name (file system monitor, text conversion, pager) are switched off.
    """
    command = [
        "git", "-c", "core.fsmonitor=false", "-c", "core.hooksPath=/dev/null", "--no-pager", "--literal-pathspecs",
        "blame", "--porcelain", "--no-textconv", "-L", f"{line},{line}", "--", path,
    ]  # fmt: skip
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith("GIT_")},
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_NO_LAZY_FETCH": "1",
        "LC_ALL": "C",
    }
    try:
        done = subprocess.run(
            command,
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=BLAME_TIMEOUT_S,
            check=False,
        )
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""
    if done.returncode != 0:
        return ""
    return _blame_text(done.stdout.decode("utf-8", "replace"))


def _blame_text(porcelain: str) -> str:
    """git-blame(1), "The porcelain format": a line with the commit, then `key value` lines, then the text after a tab."""
    lines = porcelain.split("\n")
    commit = lines[0].split(" ")[0]
    told = dict(line.split(" ", 1) for line in lines[1:] if " " in line and not line.startswith("\t"))
    if not commit or set(commit) == {"0"}:
        return "not committed yet" if commit else ""
    try:
        date = datetime.fromtimestamp(int(told.get("author-time", "")), UTC).strftime("%Y-%m-%d")
    except (ValueError, OverflowError, OSError):
        date = ""
    return " ".join(part for part in (commit[:12], date, told.get("summary", "")) if part)[:MAX_BLAME_CHARS]
