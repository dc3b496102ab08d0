"""A YAML document of a user -> plain data, and the line each value stands on.

In: the text of one document. Out: `Document(data, lines)`; `lines[path]` is the line (from 1) of the value at `path`, a tuple of keys
and indices. Raises ConfigError, whose texts never hold a scalar of the document: it may be a misplaced secret.

Built from PyYAML's events instead of its nodes: aliases are refused before anything is expanded, depth and number of nodes are limits, and no
recursion grows with the input. Words are typed as YAML 1.1's safe loader does, but for the traps no setting needs: times, base 60
numbers and binaries stay text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from parkwarden.model.errors import UsageError

MAX_CONFIG_BYTES = 1 << 20
"""Of one configuration file: 10,000 static targets fit; longer lists belong into file_sd."""
MAX_DEPTH = 24
"""Collections within collections; the deepest setting is at 6."""
MAX_NODES = 200_000
"""Values of one document; 1 MiB of `a,` would be half a million."""
MAX_SCALAR = 16 << 10
"""Characters of one value."""
MAX_PROBLEMS = 50
"""Mistakes told about one file; who has more reads these first."""

_TEXT = "tag:yaml.org,2002:str"
"""`!!str 5`: the only tag that is taken."""

Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class ConfigProblem:
    """One mistake in a configuration: where (file, line, key path), what is wrong, what would be right."""

    file: str
    line: int | None
    key: str
    text: str
    hint: str = ""

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.key}: {self.text}" if self.key else f"{place}: {self.text}"


class ConfigError(UsageError):
    """A configuration that cannot be used. `problems` holds all mistakes, in the order of their lines."""

    def __init__(self, problems: list[ConfigProblem]) -> None:
        first, *others = problems
        more = "; ".join(str(p) for p in others[:3]) + (f"; {len(others) - 3} more" if len(others) > 3 else "")
        super().__init__(
            "config",
            str(first),
            context=f"also: {more}" if more else "",
            hint=f"parkwarden doctor -c {first.file} lists all {len(problems)}"
            if others
            else first.hint or "see docs/configuration.md",
        )
        self.problems = tuple(problems)


@dataclass(slots=True)
class Document:
    """Plain data (dict, list, str, int, float, bool, None) and where it stands."""

    file: str
    data: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    problems: list[ConfigProblem] = field(default_factory=list)
    more_problems: int = 0

    def line(self, path: Path) -> int | None:
        """The line of the value at `path`, or of the nearest one around it."""
        for n in range(len(path), -1, -1):
            if path[:n] in self.lines:
                return self.lines[path[:n]]
        return None

    def problem(self, path: Path, text: str, hint: str = "", line: int | None = None) -> None:
        if len(self.problems) < MAX_PROBLEMS:
            line = self.line(path) if line is None else line
            self.problems.append(ConfigProblem(self.file, line, shown_path(path), text, hint))
        else:
            self.more_problems += 1

    def check(self) -> None:
        """Raise ConfigError if there were mistakes."""
        if self.problems:
            problems = sorted(self.problems, key=lambda p: p.line or 0)
            if self.more_problems:
                problems.append(ConfigProblem(self.file, None, "", f"and {self.more_problems} more mistakes"))
            raise ConfigError(problems)


_SHOWN_KEY = re.compile(r"[A-Za-z]?[a-z_./-]{0,62}[a-z0-9]?", re.ASCII)


def shown_path(path: Path) -> str:
    """`targets[0].labels.env`. Keys that look like no name (a misplaced secret?) are stars."""
    out = ""
    for part in path:
        if isinstance(part, int):
            out += f"[{part}]"
        else:
            out += ("." if out else "") + (part if _SHOWN_KEY.fullmatch(part) else "***")
    return out


def parse(text: str, file: str) -> Document:
    """Read one document; an empty one is `{}`."""
    import yaml

    document = Document(file)
    try:
        _Builder(document).build(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        document.lines[()] = mark.line + 1 if mark else 1
        # neither PyYAML's snippet nor its sentence: both may quote the document
        document.problem(
            (), "not valid YAML here (or just before)", "indentation, quotes and brackets are the usual causes"
        )
    except (yaml.YAMLError, UnicodeEncodeError):  # libyaml wants UTF-8, so no lone surrogates
        document.problem((), "not valid YAML: it holds characters that YAML does not allow")
    except RecursionError:
        document.problem((), f"nested deeper than {MAX_DEPTH} levels")
    document.check()
    if document.data is None:
        document.data = {}
    if not isinstance(document.data, dict):
        document.problem((), "expected settings as `name: value`", "see docs/parkwarden.example.yaml")
    document.check()
    return document


class _Builder:
    def __init__(self, document: Document) -> None:
        self.document = document

    def build(self, text: str) -> None:
        import yaml

        lines = self.document.lines
        stack: list[_Open] = []
        nodes = documents = 0
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # libyaml is 20 times as fast, where the wheel has it
        for event in yaml.parse(text, Loader=loader):
            line = event.start_mark.line + 1 if event.start_mark else 1
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise self._refused(line, "a second document: only one is read")
            if isinstance(event, yaml.AliasEvent):
                raise self._refused(
                    line, "aliases (`*name`) are not allowed: they can blow up a small file", "write it out"
                )
            if isinstance(event, yaml.CollectionEndEvent):
                stack.pop()
                continue
            if not isinstance(event, yaml.NodeEvent):
                continue
            nodes += 1
            if nodes > MAX_NODES:
                raise self._refused(line, f"more than {MAX_NODES:,} values")
            tag: str | None = getattr(event, "tag", None)
            if tag is not None and not (isinstance(event, yaml.ScalarEvent) and tag == _TEXT):
                raise self._refused(line, "tags (`!name`) are not allowed")
            value: Any
            if isinstance(event, yaml.ScalarEvent):
                value = self._scalar(event, line)
            else:
                value = {} if isinstance(event, yaml.MappingStartEvent) else []
            path = self._place(stack, value, line, isinstance(event, yaml.ScalarEvent))
            if path is not None:
                lines[path] = line
            if not isinstance(event, yaml.ScalarEvent):
                if len(stack) >= MAX_DEPTH:
                    raise self._refused(line, f"nested deeper than {MAX_DEPTH} levels")
                stack.append(_Open(value, path or ()))

    def _place(self, stack: list[_Open], value: Any, line: int, scalar: bool) -> Path | None:
        """Put a value where it belongs; its path, or None for the key of a mapping."""
        if not stack:
            self.document.data = value
            return ()
        top = stack[-1]
        if isinstance(top.value, list):
            top.value.append(value)
            return (*top.path, len(top.value) - 1)
        if top.key is None:
            if not scalar or value is None:
                raise self._refused(line, "a key that is no word")
            key = value if isinstance(value, str) else str(value).lower()
            if key in top.value:
                raise self._refused(line, "a key that was given before in the same place")
            top.key = key
            return None
        path = (*top.path, top.key)
        top.value[top.key] = value
        top.key = None
        return path

    def _scalar(self, event: Any, line: int) -> Any:
        import yaml

        if len(event.value) > MAX_SCALAR:
            raise self._refused(line, f"a value longer than {MAX_SCALAR:,} characters")
        if event.tag is not None or not event.implicit[0]:
            return event.value
        tag = _resolver().resolve(yaml.ScalarNode, event.value, event.implicit)
        kind = tag.rsplit(":", 1)[-1]
        if kind == "null":
            return None
        if kind not in ("int", "float", "bool") or ":" in event.value:
            return event.value
        node = yaml.ScalarNode(tag, event.value)
        try:
            return getattr(_constructor(), f"construct_yaml_{kind}")(node)
        except ValueError:  # `0b_`, a number of 5,000 digits
            return event.value

    def _refused(self, line: int, text: str, hint: str = "") -> ConfigError:
        return ConfigError([ConfigProblem(self.document.file, line, "", text, hint)])


@dataclass(slots=True)
class _Open:
    """A collection that is being filled."""

    value: Any
    path: Path
    key: str | None = None


def _resolver() -> Any:
    import yaml

    return _once("resolver", yaml.resolver.Resolver)


def _constructor() -> Any:
    import yaml

    return _once("constructor", yaml.constructor.SafeConstructor)


_made: dict[str, Any] = {}


def _once(name: str, make: Any) -> Any:
    if name not in _made:
        _made[name] = make()
    return _made[name]
