"""`--source DIR`: http.Server literals and their timeouts, calls of debug.SetMaxThreads and its like, found in Go source.

Go tells a server's timeouts nowhere while it runs, so source is where they can be read. Constants are worked out (`30 * time.Second`,
`timeout` declared as one in the same file); what only running tells is None. Files below DIR only, bounded as in `collect/source`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from parkwarden.collect.source import MAX_DEPTH, SourceTree, index, read_file
from parkwarden.judge.limits.facts import Server

if TYPE_CHECKING:
    from tree_sitter import Node

MAX_FILES = 20_000
"""Files read; beyond, `truncated`."""
MAX_BYTES = 256 << 20
"""Bytes read in all: 1 s from a warm disk."""
MAX_PARSED = 400
"""Files parsed: those that name what is looked for; 5 ms each."""
MAX_FOUND = 64
"""Servers and calls kept of each."""

_SKIPPED = re.compile(r"(^|/)(vendor|testdata|node_modules)/|_test\.go$")
_WORTH = re.compile(
    rb"http\.Server\b|http\.(?:ListenAndServe|Serve)|\.Set(?:MaxThreads|MemoryLimit|GCPercent)\(|\.GOMAXPROCS\("
)
_FIELDS = {
    "ReadTimeout": "read_s",
    "ReadHeaderTimeout": "read_header_s",
    "WriteTimeout": "write_s",
    "IdleTimeout": "idle_s",
}
_UNITS = {"Nanosecond": 1e-9, "Microsecond": 1e-6, "Millisecond": 1e-3, "Second": 1.0, "Minute": 60.0, "Hour": 3600.0}
_BARE = frozenset(("ListenAndServe", "ListenAndServeTLS", "Serve", "ServeTLS"))
_CALLS = {
    ("runtime/debug", "SetMaxThreads"),
    ("runtime/debug", "SetMemoryLimit"),
    ("runtime/debug", "SetGCPercent"),
    ("runtime", "GOMAXPROCS"),
}


@dataclass(frozen=True, slots=True)
class Call:
    """A call that changes a limit: `SetMaxThreads` at `main.go:31` with `value` (None = only running tells)."""

    function: str
    where: str
    value: float | None


@dataclass(slots=True)
class Found:
    """What source tells."""

    servers: list[Server] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    files: int = 0
    truncated: bool = False


def server_settings(folder: Path) -> Found:
    """Everything below a folder. Raises NotADirectoryError if it is none."""
    tree = index(folder)
    found = Found(truncated=tree.truncated)
    read = parsed = 0
    for path in sorted(path for paths in tree.files.values() for path in paths):
        if _SKIPPED.search(path):
            continue
        if found.files >= MAX_FILES or read >= MAX_BYTES or parsed >= MAX_PARSED:
            found.truncated = True
            break
        data = read_file(tree, path)
        found.files += 1
        if data is None:
            continue
        read += len(data)
        if _WORTH.search(data):
            parsed += 1
            _File(data, path, found).scan()
    found.truncated |= len(found.servers) > MAX_FOUND or len(found.calls) > MAX_FOUND
    del found.servers[MAX_FOUND:], found.calls[MAX_FOUND:]
    return found


class _File:
    """One parsed file: its imports' names, its constants, its servers by variable."""

    def __init__(self, data: bytes, path: str, found: Found) -> None:
        import tree_sitter_go
        from tree_sitter import Language, Parser

        self.path = path
        self.found = found
        self.nodes = list(_walk(Parser(Language(tree_sitter_go.language())).parse(data).root_node))
        self.imports = dict(self._imports())
        self.constants: dict[str, float] = {}
        self._declare()

    def scan(self) -> None:
        set_later = self._assigned()
        for node in self.nodes:
            if node.type == "composite_literal" and self._names(node.child_by_field_name("type")) == (
                "net/http",
                "Server",
            ):
                self._server(node, dict(self._keyed(node)) | dict.fromkeys(set_later))
            elif node.type == "var_spec" and self._is_server(node.child_by_field_name("type")):
                self._server(node, dict.fromkeys(set_later))
            elif node.type == "call_expression":
                self._call(node, set_later)

    def _server(self, node: Node, timeouts: Mapping[str, float | None]) -> None:
        """One found at a node; timeouts that are not named are zero."""
        self.found.servers.append(replace(Server(where=self._where(node)), **timeouts))  # type: ignore[arg-type]

    def _is_server(self, node: Node | None) -> bool:
        return self._names(node) == ("net/http", "Server")

    def _call(self, node: Node, set_later: set[str]) -> None:
        function, arguments = node.child_by_field_name("function"), node.child_by_field_name("arguments")
        if function is not None and arguments is not None and _text(function) == "new":
            if any(map(self._is_server, arguments.named_children)):
                self._server(node, dict.fromkeys(set_later))
            return
        names = self._names(function)
        if names is None:
            return
        if names[0] == "net/http" and names[1] in _BARE:
            self.found.servers.append(Server(where=self._where(node), literal=False))
        elif names in _CALLS:
            arguments = node.child_by_field_name("arguments")
            first = (
                next((child for child in arguments.named_children if child.type != "comment"), None)
                if arguments
                else None
            )
            self.found.calls.append(Call(names[1], self._where(node), self._number(first)))

    def _assigned(self) -> set[str]:
        """Timeouts that some statement of the file sets later (`srv.ReadTimeout = ...`): which server's, only running tells."""
        found = set()
        for node in self.nodes:
            if node.type == "assignment_statement" and (left := node.child_by_field_name("left")) is not None:
                for target in left.named_children:
                    name = target.child_by_field_name("field") if target.type == "selector_expression" else None
                    if name is not None and _text(name) in _FIELDS:
                        found.add(_FIELDS[_text(name)])
        return found

    def _keyed(self, literal: Node) -> Iterator[tuple[str, float | None]]:
        body = literal.child_by_field_name("body")
        for element in body.named_children if body is not None else ():
            if element.type == "keyed_element" and len(parts := element.named_children) >= 2:
                name = _FIELDS.get(_text(parts[0]))
                if name is not None:
                    yield name, self._number(_inner(parts[-1]), seconds=True)

    def _names(self, node: Node | None) -> tuple[str, str] | None:
        """(import path, name) of `http.Server` or `debug.SetMaxThreads`."""
        if node is None or len(node.named_children) != 2:
            return None
        if node.type not in ("qualified_type", "selector_expression"):
            return None
        package, name = map(_text, node.named_children)
        path = self.imports.get(package)
        return (path, name) if path else None

    def _imports(self) -> Iterator[tuple[str, str]]:
        for node in self.nodes:
            if node.type == "import_spec" and (path := node.child_by_field_name("path")) is not None:
                text = _text(path).strip('"`')
                name = node.child_by_field_name("name")
                yield (_text(name) if name is not None else text.rpartition("/")[2]), text

    def _declare(self) -> None:
        """Constants of the file, whose values `_number` may use; a name declared twice is nobody's."""
        seen: set[str] = set()
        for node in self.nodes:
            if node.type != "const_spec":
                continue
            name, value = node.child_by_field_name("name"), node.child_by_field_name("value")
            if name is None or value is None or len(value.named_children) != 1:
                continue
            text = _text(name)
            number = self._number(value.named_children[0], seconds="time." in _text(value))
            if text in seen:
                self.constants.pop(text, None)
            elif number is not None:
                self.constants[text] = number
            seen.add(text)

    def _number(self, node: Node | None, *, seconds: bool = False, depth: int = 0) -> float | None:
        """A constant expression's value, None if it is none. `seconds`: durations in seconds, and a bare number is nanoseconds."""
        value = self._value(node, depth)
        if value is None:
            return None
        number, timed = value
        return number * 1e-9 if seconds and not timed and number else number

    def _value(self, node: Node | None, depth: int) -> tuple[float, bool] | None:
        """(value, whether it is a duration in seconds)."""
        if node is None or depth > 32:
            return None
        if node.type in ("int_literal", "float_literal"):
            try:
                text = _text(node).replace("_", "")
                return (float(int(text, 0)) if node.type == "int_literal" else float(text)), False
            except ValueError:
                return None
        if node.type == "parenthesized_expression" and node.named_children:
            return self._value(node.named_children[0], depth + 1)
        if node.type == "identifier":
            text = _text(node)
            return (self.constants[text], True) if text in self.constants else None
        if node.type == "selector_expression":
            names = self._names(node)
            return (_UNITS[names[1]], True) if names and names[0] == "time" and names[1] in _UNITS else None
        if node.type == "unary_expression" and _text(node).startswith("-") and node.named_children:
            inner = self._value(node.named_children[0], depth + 1)
            return (-inner[0], inner[1]) if inner else None
        if node.type == "binary_expression":
            return self._binary(node, depth)
        if node.type == "call_expression" and _text(node).startswith(("time.Duration(", "int64(", "int(")):
            arguments = node.child_by_field_name("arguments")
            return (
                self._value(arguments.named_children[0], depth + 1)
                if arguments and len(arguments.named_children) == 1
                else None
            )
        return None

    def _binary(self, node: Node, depth: int) -> tuple[float, bool] | None:
        left = self._value(node.child_by_field_name("left"), depth + 1)
        right = self._value(node.child_by_field_name("right"), depth + 1)
        operator = node.child_by_field_name("operator")
        if left is None or right is None or operator is None:
            return None
        a, b, timed = left[0], right[0], left[1] or right[1]
        match _text(operator):
            case "*":
                return a * b, timed
            case "+":
                return a + b, timed
            case "-":
                return a - b, timed
            case "/" if b:
                return a / b, timed
            case "<<" if 0 <= b < 63:
                return a * 2**b, timed
        return None

    def _where(self, node: Node) -> str:
        return f"{self.path}:{node.start_point[0] + 1}"


def _walk(root: Node) -> Iterator[Node]:
    """All nodes in order, with a cursor: no recursion over hostile nesting."""
    cursor, depth = root.walk(), 0
    while True:
        if cursor.node is not None:
            yield cursor.node
        if depth < MAX_DEPTH and cursor.goto_first_child():
            depth += 1
            continue
        while not cursor.goto_next_sibling():
            if not cursor.goto_parent():
                return
            depth -= 1


def _inner(node: Node) -> Node:
    """An element's expression: `literal_element` wraps it."""
    return node.named_children[0] if node.type == "literal_element" and len(node.named_children) == 1 else node


def _text(node: Node) -> str:
    return node.text.decode("utf-8", "replace") if node.text is not None else ""


__all__ = ["Call", "Found", "SourceTree", "server_settings"]
