"""Plain data of a document -> what the dataclasses of the settings want, by their types, with words for every mistake.

Durations (`5s`, `1h30m`) become seconds where a number of a setting `…_s` is wanted, sizes (`64MiB`) bytes where a whole number is,
`{env: NAME}` and `{file: PATH}` a `Secret`, paths of `…_file` settings relative to the configuration's folder. Unknown keys are told with the nearest known
one. What is left (is it a number, a word of the list) is pydantic's, whose errors are put into our words.

What was given is quoted only where it cannot be a secret: numbers, and words near to an allowed one. See `_given`.
"""

from __future__ import annotations

import dataclasses
import re
import types
import typing
from collections.abc import Mapping
from functools import cache
from pathlib import Path as FilePath
from typing import Any

from parkwarden.model.instance import Auth, Secret
from parkwarden.run._config_yaml import Document, Path, shown_path

MAX_SECRET_BYTES = 64 << 10
"""Of a secret's file: a token has dozens, a service account's JWT some thousand."""
NEAR = 60.0
"""rapidfuzz' ratio (0..100) from which a known key is offered: a letter or two amiss."""

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_DURATION = re.compile(r"(?:[0-9]{1,12}(?:\.[0-9]{1,6})?(?:ms|s|m|h|d|w))+", re.ASCII)
_DURATION_PART = re.compile(r"([0-9.]+)(ms|s|m|h|d|w)")
_UNITS_B = {
    "": 1, "B": 1, "k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40,
}  # fmt: skip
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,6})?) ?([kKMGT]i?)?B?", re.ASCII)
_ENV_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}", re.ASCII)
_SHOWN_ENV_NAME = re.compile(r"[A-Z_][A-Z0-9_]{0,63}", re.ASCII)
_SHOWN_KEY = re.compile(r"[A-Za-z][a-z_]{0,39}", re.ASCII)
_SHOWN_NUMBER = re.compile(r"[-+]?[0-9][0-9.]{0,11} ?[a-zA-Z]{0,3}", re.ASCII)
_SECRET_WORDS = re.compile(r"secret|passw|token|credential|private", re.IGNORECASE)

WAY_OUT = "write `{env: NAME}` or `{file: PATH}` instead"


def duration_s(text: str) -> float | None:
    """Seconds of `5s`, `1h30m`, `250ms`; None if it is no duration."""
    if not _DURATION.fullmatch(text):
        return None
    return sum(float(n) * _UNITS_S[unit] for n, unit in _DURATION_PART.findall(text))


def size_bytes(text: str) -> int | None:
    """Bytes of `64MiB`, `10GB`, `4096`; None if it is no size."""
    found = _SIZE.fullmatch(text)
    if not found:
        return None
    unit = (found[2] or "").replace("K", "k").replace("ki", "Ki")
    return int(float(found[1]) * _UNITS_B[unit])


@cache
def hints(cls: type) -> dict[str, Any]:
    """Types of a dataclass' fields that can be set, by name."""
    found = typing.get_type_hints(cls)
    return {f.name: found[f.name] for f in dataclasses.fields(cls) if f.init}


class Preparer:
    """One document on its way. `environ` and `folder` are where secrets are looked for."""

    def __init__(self, document: Document, environ: Mapping[str, str], folder: FilePath) -> None:
        self.document = document
        self._environ = environ
        self._folder = folder

    def prepare(self, value: Any, wanted: Any, path: Path = ()) -> Any:
        """`value` as pydantic can take it for the type `wanted`; mistakes go to the document."""
        origin, args = typing.get_origin(wanted), typing.get_args(wanted)
        if origin is typing.Annotated:
            return self.prepare(value, args[0], path)
        if origin in (typing.Union, types.UnionType):
            return self._union(value, args, path)
        if wanted is Secret:
            return self._secret(value, path)
        if dataclasses.is_dataclass(wanted) and isinstance(wanted, type):
            return self._dataclass(value, wanted, path)
        if origin in (list, tuple, set, frozenset) or _is_abstract(origin, "Sequence"):
            return self._list(value, args, path)
        if origin is dict or _is_abstract(origin, "Mapping"):
            return self._mapping(value, args, path)
        return self._scalar(value, wanted, path)

    def _dataclass(self, value: Any, cls: type, path: Path) -> Any:
        if value is None:  # `collect:` with everything under it commented out
            value = {}
        if not isinstance(value, dict):
            self.document.problem(path, f"expected settings as `name: value`; given: {given(value)}")
            return None
        known = hints(cls)
        out: dict[str, Any] = {}
        for key, item in value.items():
            if key not in known:
                self._unknown_key(key, list(known), path)
            else:
                out[key] = self.prepare(item, known[key], (*path, key))
        for field in dataclasses.fields(cls):
            required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
            if required and field.init and field.name not in out:
                self.document.problem(path, f"`{field.name}` is missing")
        if cls is Auth and out.get("bearer") is not None and (out.get("user") or out.get("password") is not None):
            self.document.problem(path, "either user and password or bearer, not both")
        return out

    def _unknown_key(self, key: str, known: list[str], path: Path) -> None:
        from rapidfuzz import process

        near = process.extractOne(key, known, score_cutoff=NEAR) if len(key) < 64 else None
        shown = f"`{key}`" if _SHOWN_KEY.fullmatch(key) else f"of {len(key):,} characters"
        allowed = ", ".join(known)
        hint = f"did you mean `{near[0]}`?" if near else f"known here: {allowed}"
        text = (
            f"unknown setting {shown}" + (f", the nearest is `{near[0]}`" if near else "") + f"; known here: {allowed}"
        )
        self.document.problem(path, text, hint, line=self.document.line((*path, key)))

    def _union(self, value: Any, args: tuple[Any, ...], path: Path) -> Any:
        members = [a for a in args if a is not types.NoneType]
        if value is None and len(members) < len(args):
            return None
        if Secret in members:
            named_so = any(isinstance(p, str) and _SECRET_WORDS.search(p) for p in path[-1:])
            if len(members) == 1 or isinstance(value, dict) or named_so:
                return self._secret(value, path)
        if isinstance(value, dict):
            classes = [m for m in members if dataclasses.is_dataclass(m)]
            if classes:
                return self.prepare(value, _chosen(classes, value), path)
        others = [m for m in members if m is not Secret]
        return self.prepare(value, others[0], path) if len(others) == 1 else value

    def _list(self, value: Any, args: tuple[Any, ...], path: Path) -> Any:
        each = args[0] if args else Any
        if isinstance(value, dict) and typing.get_origin(each) is tuple:  # pairs are nicer written as a mapping
            second = typing.get_args(each)[1]
            return tuple((k, self.prepare(v, second, (*path, k))) for k, v in value.items())
        if value is None:
            return ()
        if isinstance(value, dict) and dataclasses.is_dataclass(each):
            value = [value]  # one group of settings where several may stand
        if not isinstance(value, list):
            self.document.problem(
                path, f"expected a list; given: {given(value)}", "write `[one, two]`, or `- one` a line"
            )
            return ()
        return tuple(self.prepare(v, each, (*path, i)) for i, v in enumerate(value))

    def _mapping(self, value: Any, args: tuple[Any, ...], path: Path) -> Any:
        if value is None:
            return {}
        if not isinstance(value, dict):
            self.document.problem(path, f"expected `name: value` lines; given: {given(value)}")
            return {}
        return {k: self.prepare(v, args[1] if args else Any, (*path, k)) for k, v in value.items()}

    def _scalar(self, value: Any, wanted: Any, path: Path) -> Any:
        name = next((p for p in reversed(path) if isinstance(p, str) and p.endswith("_s")), "")
        if wanted in (int, float) and isinstance(value, bool):
            self.document.problem(path, f"expected a number; given: {given(value)}")
            return None
        if wanted in (int, float) and isinstance(value, int | float) and value < 0:
            self.document.problem(path, f"expected 0 or more; given: {given(value)}")
            return None
        if isinstance(value, str):
            if wanted is float:
                seconds = duration_s(value) if name else None
                if seconds is None:
                    what = "a duration such as 5s, 10m, 2h (a bare number is seconds)" if name else "a number"
                    self.document.problem(path, f"expected {what}; given: {given(value)}")
                return seconds
            if wanted is int:
                size = size_bytes(value)
                if size is None:
                    self.document.problem(
                        path, f"expected a whole number or a size such as 64MiB; given: {given(value)}"
                    )
                return size
            if wanted is str and value and _is_path(path):
                return str(self._folder / value)
        elif wanted is str and value is not None and not isinstance(value, dict | list):
            text = f"expected text; given: {given(value)}, which YAML takes for a {_kind(value)}"
            self.document.problem(path, text, "put it in quotes")
            return ""
        return value

    # -- secrets

    def _secret(self, value: Any, path: Path) -> Secret | None:
        problem = self.document.problem
        if not isinstance(value, dict):
            problem(path, "a secret must not stand in the configuration itself", WAY_OUT)
            return None
        if (
            len(value) != 1
            or next(iter(value)) not in ("env", "file")
            or not isinstance(next(iter(value.values())), str)
        ):
            problem(path, "a secret is written `{env: NAME}` or `{file: PATH}`, nothing beside", WAY_OUT)
            return None
        ((kind, where),) = value.items()
        word = self._from_env(where, path) if kind == "env" else self._from_file(where, path)
        return Secret(word) if word else None

    def _from_env(self, name: str, path: Path) -> str:
        if not _ENV_NAME.fullmatch(name):
            self.document.problem(path, "not a name of an environment variable: letters, digits and _", WAY_OUT)
            return ""
        word = self._environ.get(name, "")
        if not word:
            state = "empty" if name in self._environ else "not set"
            shown = name if _SHOWN_ENV_NAME.fullmatch(name) else f"of {len(name)} characters"
            self.document.problem(
                path, f"the environment variable {shown} is {state}", "set it where parkwarden starts"
            )
        return word

    def _from_file(self, name: str, path: Path) -> str:
        hint = "the file holds the secret and nothing else"
        try:
            with open(self._folder / name, "rb") as file:
                raw = file.read(MAX_SECRET_BYTES + 1)
            word = raw.decode().strip()
        except UnicodeDecodeError:
            self.document.problem(path, "the secret's file is not UTF-8 text", hint)
            return ""
        except (OSError, ValueError) as error:
            why = getattr(error, "strerror", None) or "not a path"
            self.document.problem(path, f"the secret's file cannot be read: {why}", hint)
            return ""
        if len(raw) > MAX_SECRET_BYTES:
            self.document.problem(path, f"the secret's file is larger than {MAX_SECRET_BYTES >> 10} KiB", hint)
            return ""
        if not word:
            self.document.problem(path, "the secret's file is empty", hint)
        return word


def _is_path(path: Path) -> bool:
    """`…_file: NAME`, `files: [NAME]` and `folder: NAME` are relative to the configuration's folder, as in Prometheus."""
    name = next((p for p in reversed(path) if isinstance(p, str)), "")
    return name.endswith("_file") or name in ("files", "folder")


def _is_abstract(origin: Any, name: str) -> bool:
    return getattr(origin, "__module__", "") == "collections.abc" and origin.__name__ in (name, f"Mutable{name}")


def _chosen(classes: list[Any], value: dict[str, Any]) -> Any:
    """The dataclass of a union that a mapping means: the one whose Literal tag it carries, else the one that knows most keys."""

    def rank(cls: Any) -> tuple[bool, int]:
        known = hints(cls)
        tagged = any(
            typing.get_origin(t) is typing.Literal and value.get(n) in typing.get_args(t) for n, t in known.items()
        )
        return tagged, len(known.keys() & value.keys())

    return max(classes, key=rank)


def _kind(value: Any) -> str:
    return "yes/no value" if isinstance(value, bool) else "number"


def given(value: Any, allowed: tuple[str, ...] = ()) -> str:
    """What a user gave, in words that cannot hold a secret: text is described, unless it looks like a number or like an allowed word."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, int):
        return str(value) if abs(value) < 10**12 else "a very large number"
    if isinstance(value, str):
        if not value:
            return "empty text"
        if _SHOWN_NUMBER.fullmatch(value) or _near(value, allowed):
            return f"`{value}`"
        return f"text of {len(value):,} characters"
    if isinstance(value, dict):
        return "a group of settings"
    if isinstance(value, list | tuple):
        return f"a list of {len(value):,}"
    return "a secret" if isinstance(value, Secret) else type(value).__name__


def _near(value: str, allowed: tuple[str, ...]) -> str | None:
    if not allowed or len(value) > 40:
        return None
    from rapidfuzz import process

    found = process.extractOne(value, allowed, score_cutoff=NEAR)
    return str(found[0]) if found else None


def explain(error: Mapping[str, Any], document: Document, told: int = 0) -> None:
    """One of pydantic's errors (`ValidationError.errors()`) in our words, into the document's problems; nothing about a place that one
    of the first `told` problems is about."""
    path: Path = tuple(p for p in error["loc"] if not (isinstance(p, str) and p.startswith("function-")))
    path = _known_part(path, document.data)
    shown = shown_path(path)
    if any(p.key == shown or shown.startswith((f"{p.key}.", f"{p.key}[")) for p in document.problems[:told] if p.key):
        return
    kind, context = str(error["type"]), error.get("ctx") or {}
    value = error.get("input")
    if kind in ("enum", "literal_error"):
        words = tuple(re.findall(r"'([^']*)'", str(context.get("expected", ""))))
        near = _near(value, words) if isinstance(value, str) else None
        text = f"expected one of {', '.join(words)}; given: {given(value, words)}"
        document.problem(path, text, f"did you mean `{near}`?" if near else "")
        return
    if kind == "missing":
        document.problem(path[:-1], f"`{path[-1]}` is missing" if path else "something is missing")
        return
    wanted = {
        "int_from_float": "a whole number",
        "int_type": "a whole number",
        "int_parsing": "a whole number",
        "float_type": "a number",
        "float_parsing": "a number",
        "finite_number": "a finite number",
        "bool_type": "true or false",
        "bool_parsing": "true or false",
        "string_type": "text",
        "none_required": "nothing",
    }.get(kind)
    if wanted is None:
        for key, than in (("gt", "more than"), ("ge", "at least"), ("lt", "less than"), ("le", "at most")):
            if key in context:
                wanted = f"a number {than} {context[key]}"
    if wanted is not None:
        document.problem(path, f"expected {wanted}; given: {given(value)}")
    elif kind in ("value_error", "assertion_error"):
        document.problem(path, _masked(str(context.get("error", "not allowed")), value))
    else:
        document.problem(path, f"not what this setting takes ({kind.replace('_', ' ')}); given: {given(value)}")


def _known_part(path: Path, data: Any) -> Path:
    """The part of a path that is in the document: pydantic adds the names of union members."""
    out: list[str | int] = []
    at: Any = data
    for part in path:
        if (part in at) if isinstance(at, dict) else isinstance(at, list) and part in range(len(at)):
            at = at[part]
            out.append(part)
    return tuple(out)


def _masked(text: str, value: Any) -> str:
    """A sentence of a settings' own check, without the texts that were given: they may be secrets."""
    words: list[str] = []

    def walk(node: Any) -> None:
        if isinstance(node, Secret):
            words.append(node.reveal())
        elif isinstance(node, str):
            words.append(node)
        elif isinstance(node, Mapping):
            for item in node.values():
                walk(item)
        elif isinstance(node, list | tuple):
            for item in node:
                walk(item)

    walk(value)
    for word in sorted(set(words), key=len, reverse=True):
        if len(word) >= 4 and not _SHOWN_NUMBER.fullmatch(word):
            text = text.replace(word, "…")
    return text
