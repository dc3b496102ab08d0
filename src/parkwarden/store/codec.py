"""The words as plain JSON values and back: incidents, notifications, silences, evidence items.

`to_plain` gives dicts, lists, strings, numbers; `from_plain` takes what an older or newer version wrote: unknown keys are ignored,
missing ones take the field's default. Numbers that JSON has no word for (a time left that is infinite) travel as the strings
`inf`, `-inf`, `nan`. Text is hostile: NUL (PostgreSQL refuses it) and lone surrogates (no UTF-8) become U+FFFD.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache
from typing import Any, TypeVar

T = TypeVar("T")


def clean(text: str) -> str:
    """Text that every database takes."""
    if "\0" in text:
        text = text.replace("\0", "\ufffd")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def to_plain(value: Any) -> Any:
    """A dataclass (nested ones too) as plain JSON values."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, tuple | list):
        return [to_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {clean(str(key)): to_plain(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return value


def from_plain(kind: type[T], plain: Mapping[str, Any]) -> T:
    """The dataclass `kind` from what `to_plain` gave. Raises KeyError or ValueError if a field without default is missing or odd."""
    readers = _readers(kind)  # type: ignore[arg-type]  # a class is hashable
    return kind(**{name: readers[name](value) for name, value in plain.items() if name in readers})


@cache
def _readers(kind: type[Any]) -> dict[str, Callable[[Any], Any]]:
    return {name: _reader(hint) for name, hint in typing.get_type_hints(kind).items()}


def _reader(hint: Any) -> Callable[[Any], Any]:
    """How a field of this type is read back."""
    if isinstance(hint, types.UnionType):
        inner = next(arm for arm in typing.get_args(hint) if arm is not type(None))
        read = _reader(inner)
        return lambda value: None if value is None else read(value)
    origin = typing.get_origin(hint)
    if origin is tuple:
        item = _reader(typing.get_args(hint)[0])
        return lambda value: tuple(item(one) for one in value)
    if hint is float or (isinstance(hint, type) and issubclass(hint, Enum)):
        return hint
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return lambda value: from_plain(hint, value)
    return lambda value: value
