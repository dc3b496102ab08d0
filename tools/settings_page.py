"""docs/configuration.md and docs/schema/config-1.json from the settings' dataclasses: names, types, defaults, and the docstring under each
field. `settings()` walks them; a test holds that each has a meaning.
"""

from __future__ import annotations

import ast
import dataclasses
import inspect
import json
import re
import textwrap
import types
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from parkwarden.act.settings import Pace
from parkwarden.model.instance import Auth, Secret
from parkwarden.run._config_types import hints
from parkwarden.run.config import Config

HEAD = """# Configuration

{note}`parkwarden watch -c parkwarden.yaml` and `parkwarden doctor -c parkwarden.yaml` read one YAML file. Every setting has a default; a file with nothing
but `targets` is a whole one. [parkwarden.example.yaml](parkwarden.example.yaml) is a commented file to start from, and editors that know YAML
schemas complete and check with this first line (the [schema](schema/config-1.json) by path or address):

```yaml
# yaml-language-server: $schema=PATH/TO/docs/schema/config-1.json
```

- **Durations** (settings that end in `_s`): `5s`, `1h30m`, `250ms`, `2d`, or a bare number of seconds.
- **Sizes**: `64MiB`, `10GB`, or a bare number of bytes. **Maps** are `name: value`, **lists** `[one, two]` or `- one` a line.
- **Secrets** never stand in the file: `{{env: NAME}}` takes one from the environment, `{{file: PATH}}` from a file that holds nothing else. They
  never show in logs, errors, our pages or evidence.
- **Paths** (`files`, `folder`, settings that end in `_file`) are relative to the configuration file.
- A mistake is told with file, line and key, all of them at once; a setting that is not known is one. `parkwarden doctor` checks what a file
  cannot show: whether targets answer, the disk has room, the database is there.
- Not taken: YAML aliases, tags, several documents, files beyond 1 MiB (long lists of targets belong into `discovery.file_sd`).

"""

MORE = {
    "targets": "```yaml\ntargets:\n  - urls: [http://10.1.2.3:6060, http://10.1.2.4:6060]\n    labels: {service: checkout, env: prod, "
    'sla_tier: "0"}\n```\n',
    "discovery": 'A source that fails keeps its last good targets and tells a problem. Prometheus\'s format is `[{"targets": ["host:port"], '
    '"labels": {…}}]`; of labels\nthat begin with `__` these are understood: `__scheme__`, `__metrics_path__`, '
    "`__scrape_interval__`, and ours `__pprof_path__`. All others\n(`__meta_*`, `__param_*`) are left out: relabelling is Prometheus's. "
    "Without a `service` label, `job` is the service.\n\nIn Kubernetes the account needs this, and each pod that wants to be watched the annotation:\n\n"
    '```yaml\nrules: [{apiGroups: [""], resources: [pods], verbs: [list, watch]}]   # a (Cluster)Role\n'
    'metadata: {annotations: {parkwarden.io/scrape: "true", parkwarden.io/port: "6060"}}   # a pod\n```\n',
    "rules": "Each group is one detector: [detectors](detectors/README.md). The same groups make a file for `parkwarden replay --rules FILE`.\n",
    "web": "Any address but a loopback one (127.0.0.0/8, ::1, localhost) is refused without a token. Who may do what, and how browsers and programs "
    "show a token: [the page](page.md#access).\n\n```yaml\nweb:\n  listen: 0.0.0.0:9870\n  tokens:\n    - {name: eva, role: operator, "
    "token: {env: EVAS_TOKEN}}\n    - {name: wall-screen, token: {file: /run/secrets/wall-screen}}\n```\n",
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting. `path` as in the file: `targets[].auth.bearer`, `channels.webhook.<name>.url`."""

    path: str
    kind: str
    default: str
    """As one would write it; "" = it must be given."""
    meaning: str


def field_docs(cls: type) -> dict[str, str]:
    """The docstring under each field, those of the classes it is made from included."""
    found: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if not dataclasses.is_dataclass(base):
            continue
        (tree,) = ast.parse(textwrap.dedent(inspect.getsource(base))).body
        assert isinstance(tree, ast.ClassDef)
        for here, after in zip(tree.body, tree.body[1:], strict=False):
            if (
                isinstance(here, ast.AnnAssign)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
            ):
                assert isinstance(here.target, ast.Name)
                found[here.target.id] = " ".join(str(after.value.value).split())
    return found


def inner(wanted: Any) -> tuple[Any, str]:
    """(what a type holds at its heart, what is put after its name in a path): `tuple[Auth, ...]` -> Auth, `[]`."""
    origin, args = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (typing.Union, types.UnionType):
        kept = [a for a in args if a is not types.NoneType]
        return inner(kept[0]) if len(kept) == 1 else (wanted, "")
    if origin is tuple and dataclasses.is_dataclass(args[0]):
        return args[0], "[]"
    if getattr(origin, "__name__", "") in ("Mapping", "dict") and dataclasses.is_dataclass(args[1]):
        return args[1], ".<name>"
    return wanted, ""


def settings(cls: type = Config, prefix: str = "") -> Iterator[Setting]:
    """Every setting, groups before what is in them."""
    docs, types_ = field_docs(cls), hints(cls)
    for one in dataclasses.fields(cls):
        wanted, tail = inner(types_[one.name])
        path = f"{prefix}{one.name}{tail}"
        meaning = docs.get(one.name, "")
        if dataclasses.is_dataclass(wanted) and isinstance(wanted, type):
            kind = {"": "group", "[]": "list of groups"}.get(tail, "groups by name")
            yield Setting(path, kind, "", meaning or first_words(wanted))
            yield from settings(wanted, f"{path}.")
        else:
            yield Setting(path, kind_of(wanted, one.name), default_of(one), meaning or about(wanted))


def kind_of(wanted: Any, name: str) -> str:
    origin, args = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(dict.fromkeys(kind_of(a, name) for a in args if a is not types.NoneType))
    if origin is typing.Literal:
        return ", ".join(f"`{a}`" for a in args)
    if origin is tuple:
        if typing.get_origin(args[0]) is tuple:
            return f"map of {kind_of(typing.get_args(args[0])[1], name)}"
        return f"list of {kind_of(args[0], name)}"
    if getattr(origin, "__name__", "") in ("Mapping", "dict"):
        return f"map of {kind_of(args[1], name)}"
    if isinstance(wanted, type) and issubclass(wanted, Enum):
        return ", ".join(f"`{m.value}`" for m in wanted)
    if wanted is float:
        return "duration" if name.endswith("_s") else "number"
    if wanted is int:
        return "size" if name.endswith(("_bytes", "_memory")) else "whole number"
    return {bool: "yes/no", str: "text", Secret: "secret"}.get(wanted, "value")


def plain(value: Any) -> Any:
    """A default as JSON has it."""
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, dict):
        return {plain(k): plain(v) for k, v in value.items()}
    if isinstance(value, tuple | list | set | frozenset):
        return [plain(v) for v in value]
    return value


def default_value(one: dataclasses.Field[Any]) -> Any:
    if one.default_factory is not dataclasses.MISSING:
        return plain(one.default_factory())
    return plain(one.default) if one.default is not dataclasses.MISSING else dataclasses.MISSING


def default_of(one: dataclasses.Field[Any]) -> str:
    value = default_value(one)
    if value is dataclasses.MISSING:
        return ""
    return written(value, one.name)


def written(value: Any, name: str) -> str:
    """As one would write it in the file."""
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and name.endswith("_s"):
        return duration(value)
    if isinstance(value, int) and name.endswith(("_bytes", "_memory")):
        unit, size = next(
            ((u, s) for u, s in (("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)) if value and value % s == 0),
            ("", 1),
        )
        return f"{value // size}{unit}"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{k}: {written(v, name)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(written(v, name) for v in value) + "]"
    return f'"{value}"' if value == "" else str(value)


def duration(seconds: float) -> str:
    for unit, size in (("d", 86_400), ("h", 3600), ("m", 60)):
        if seconds and seconds % size == 0:
            return f"{seconds // size:g}{unit}"
    return f"{seconds:g}s" if seconds >= 1 or seconds == 0 else f"{seconds * 1000:g}ms"


SHARED = (Auth, Pace)
"""Groups that stand in many places: told once, at the end."""


def page(note: str) -> str:
    """docs/configuration.md."""
    out = [HEAD.format(note=note)]
    docs = field_docs(Config)
    for section in dataclasses.fields(Config):
        wanted, tail = inner(hints(Config)[section.name])
        out.append(f"## {section.name}\n\n{docs[section.name]}\n\n{MORE.get(section.name, '')}")
        out += group_page(wanted, f"{section.name}{tail}")
    for cls in SHARED:
        out.append(f"## {cls.__name__.lower()}\n\n{first_words(cls)}\n")
        out += group_page(cls, "")
    return re.sub(r"\n{3,}", "\n\n", "".join(out)).rstrip() + "\n"


def group_page(cls: type, path: str) -> Iterator[str]:
    """A table of a group's own settings, what must be given first; then a part for each group in it."""
    docs, types_ = field_docs(cls), hints(cls)
    rows: list[tuple[bool, str]] = []
    groups: list[tuple[type, str, str]] = []
    for one in dataclasses.fields(cls):
        wanted, tail = inner(types_[one.name])
        meaning = docs.get(one.name) or about(wanted)
        if isinstance(wanted, type) and dataclasses.is_dataclass(wanted) and wanted not in SHARED:
            groups.append((wanted, f"{path}.{one.name}{tail}", meaning))
            continue
        needed = default_value(one) is dataclasses.MISSING
        if wanted in SHARED:
            word = wanted.__name__.lower()
            kind, default = f"[{word}](#{word})", "none" if default_value(one) is None else "see there"
        else:
            kind, default = kind_of(wanted, one.name), "must be given" if needed else f"`{default_of(one)}`"
        rows.append((not needed, f"| `{one.name}` | {cell(kind)} | {cell(default)} | {cell(meaning)} |\n"))
    if rows:
        yield f"\n| {f'`{path}.`' if path else ''} | | default | |\n|---|---|---|---|\n"
        yield from (row for _, row in sorted(rows, key=lambda r: r[0]))
    for wanted, where, meaning in groups:
        yield f"\n### {escape(where)}\n\n{escape(inspect.getdoc(wanted) or meaning)}\n"
        yield from group_page(wanted, where)
    yield "\n"


def about(wanted: Any) -> str:
    """What a type says of itself, where it is one of ours."""
    ours = isinstance(wanted, type) and wanted.__module__.startswith("parkwarden.")
    return first_words(wanted) if ours and wanted is not Secret else ""


def first_words(cls: type) -> str:
    return " ".join((inspect.getdoc(cls) or "").split("\n\n")[0].split())


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def escape(text: str) -> str:
    return text.replace("<", "&lt;").replace(">", "&gt;")


DURATION = {"type": ["number", "string"], "pattern": r"^([0-9]+(\.[0-9]+)?(ms|s|m|h|d|w))+$"}
SIZE = {"type": ["integer", "string"], "pattern": r"^[0-9]+(\.[0-9]+)? ?([kKMGT]i?)?B?$"}
SECRET = {
    "oneOf": [
        {"type": "object", "properties": {n: {"type": "string"}}, "required": [n], "additionalProperties": False}
        for n in ("env", "file")
    ],
    "description": "{env: NAME} or {file: PATH}",
}


def schema() -> str:
    """docs/schema/config-1.json: JSON Schema 2020-12 of the configuration, for editors."""
    made: dict[str, Any] = {}
    root = of_class(Config, made)
    whole = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "parkwarden.yaml",
        **root,
        "$defs": dict(sorted(made.items())),
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def of_class(cls: type, made: dict[str, Any]) -> dict[str, Any]:
    docs, types_ = field_docs(cls), hints(cls)
    properties: dict[str, Any] = {}
    required: list[str] = []
    for one in dataclasses.fields(cls):
        told = of_type(types_[one.name], one.name, made)
        value = default_value(one)
        if value is dataclasses.MISSING:
            required.append(one.name)
        elif value is not None and not dataclasses.is_dataclass(value):
            told = {**told, "default": value}
        properties[one.name] = {**told, **({"description": docs[one.name]} if one.name in docs else {})}
    out: dict[str, Any] = {"type": ["object", "null"], "additionalProperties": False, "properties": properties}
    return out | ({"required": required} if required else {})


def of_type(wanted: Any, name: str, made: dict[str, Any]) -> dict[str, Any]:
    origin, args = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (typing.Union, types.UnionType):
        kept = [of_type(a, name, made) for a in args if a is not types.NoneType]
        return kept[0] if len(kept) == 1 else {"anyOf": kept}
    if origin is typing.Literal:
        return {"enum": list(args)}
    if origin is tuple:
        if typing.get_origin(args[0]) is tuple:
            return {"type": "object", "additionalProperties": of_type(typing.get_args(args[0])[1], name, made)}
        return {"type": "array", "items": of_type(args[0], name, made)}
    if getattr(origin, "__name__", "") in ("Mapping", "dict"):
        keys = args[0]
        told: dict[str, Any] = {"type": "object", "additionalProperties": of_type(args[1], name, made)}
        if isinstance(keys, type) and issubclass(keys, Enum):
            told["propertyNames"] = {"enum": [m.value for m in keys]}
        return told
    if wanted is Secret:
        made["Secret"] = SECRET
        return {"$ref": "#/$defs/Secret"}
    if dataclasses.is_dataclass(wanted) and isinstance(wanted, type):
        if wanted.__name__ not in made:
            made[wanted.__name__] = {}
            made[wanted.__name__] = {"description": first_words(wanted), **of_class(wanted, made)}
        return {"$ref": f"#/$defs/{wanted.__name__}"}
    if isinstance(wanted, type) and issubclass(wanted, Enum):
        return {"enum": [m.value for m in wanted]}
    if wanted is float:
        return dict(DURATION) if name.endswith("_s") else {"type": "number"}
    if wanted is int:
        return dict(SIZE) if name.endswith(("_bytes", "_memory")) else {"type": "integer"}
    return {"type": {bool: "boolean", str: "string"}[wanted]}
