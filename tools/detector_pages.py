"""docs/detectors/: a page per detector of the fleet, from what the code itself says.

The module's docstring tells what is watched and why, the rule's fields tell every number with its reason and what raising or lowering it
costs, the scenario of the same name (tests/scenarios) shows both sides of each threshold and is run by the tests.
"""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
import textwrap
import typing
from pathlib import Path

from parkwarden.judge.codes import CODES
from parkwarden.judge.fleet.fuse import KINDS
from parkwarden.judge.fleet.rules import Rules

SCENARIOS = Path(__file__).resolve().parent.parent / "tests" / "scenarios"
_LABEL = re.compile(r"^([A-Z][a-z]+(?: [a-z]+){0,3})(?:\s{2,}|: )(?=\S)")
_WHY = re.compile(r"(?<=\.) Why: ")
_HEADINGS = {
    "What it watches": "Watches",
    "Cost of being wrong": "If wrong",
    "Blind spots": "Blind",
}
_LABELS = {"Watches", "Why", "Input", "Method", "Verdicts", "Parameters", "Example", "Source", "Blind", "If wrong"}
_INTRO = """# Detectors

{note}Each watches one symptom, over time, and says no more than it knows. `parkwarden.judge.fleet.fuse` makes one finding per site and
service of all that speak of it: detectors that look at different things bear each other out, two that look at the same thing do not.

- Every threshold is a setting (`rules:` in [the configuration](../recording.md#rules), `--rules FILE` of `replay`). Two sets can be judged side by
  side over the same recording: `parkwarden replay night.jsonl.zst --rules a.yaml --compare b.yaml`.
- Every page ends with the detector's scenario: what fires, and what is one step below. Scenarios are run by the tests, and
  [you can write your own](../recording.md#scenarios).
- Too little data, a gap or a restart is *unknown* with a cause, never *ok*.

| code | detector | looks at | symptom |
|---|---|---|---|
"""
_KINDS = {
    "count": "the process's count",
    "pressure": "garbage collection",
    "heap": "the heap",
    "standing": "counts per line",
    "growth": "counts per line, over time",
    "load": "counts per line beside requests",
    "life": "single goroutines (censuses)",
    "age": "replicas of different age",
    "deploy": "versions",
    "proof": "Go's leak profile",
    "limit": "readings beside their limits",
    "probe": "descriptors and the heap",
    "deadline": "who waits at a line, over time",
}


def pages(note: str) -> dict[str, str]:
    """File name -> text, the index included."""
    by_name = {code.name: code for code in CODES.values()}
    out = {}
    index = [_INTRO.format(note=note)]
    for name, kind in sorted(KINDS.items(), key=lambda item: by_name[item[0]].code):
        module = _module(name)
        if module is None:
            continue
        code = by_name[name]
        out[f"{name}.md"] = _page(name, code.code, code.title, module, note)
        index.append(f"| {code.code} | [{name}]({name}.md) | {_KINDS[kind]} | {code.title} |\n")
    return {"README.md": "".join(index), **out}


def _module(name: str) -> typing.Any:
    try:
        return importlib.import_module(f"parkwarden.judge.fleet.{name.replace('-', '_')}")
    except ModuleNotFoundError:
        return None


def _page(name: str, code: str, title: str, module: typing.Any, note: str) -> str:
    out = [f"# {code} {name}\n\n{note}*{title[0].upper()}{title[1:]}.*\n\n", _prose(inspect.getdoc(module) or "")]
    out += _settings(module)
    scenario = SCENARIOS / f"{name}.txt"
    if scenario.exists():
        out.append(
            f"\n## Scenario\n\n`parkwarden replay tests/scenarios/{name}.txt`\n\n```\n{scenario.read_text().strip()}\n```\n"
        )
    return "".join(out)


def _prose(doc: str) -> str:
    """A docstring as Markdown: its first line is the page's title already; labels at a line's begin stand out."""
    _, _, body = doc.partition("\n")
    blocks: list[str] = []
    for line in _WHY.sub("\nWhy: ", body.strip("\n")).split("\n"):
        label = _LABEL.match(line)
        if label and (label[1] in _HEADINGS or label[1] in _LABELS):
            said = line[label.end() :].strip()
            blocks.append(f"**{_HEADINGS.get(label[1], label[1])}.** {said[:1].upper()}{said[1:]}")
        elif not line.strip():
            blocks.append("")
        elif blocks and blocks[-1]:
            blocks[-1] += f" {line.strip()}"
        else:
            blocks.append(line.strip())
    text = "\n\n".join(block for block in blocks if block)
    return (
        "\n\n".join(
            textwrap.fill(part, 140, break_long_words=False, break_on_hyphens=False) for part in text.split("\n\n")
        )
        + "\n"
    )


def _settings(module: typing.Any) -> list[str]:
    """The rule's fields: name, default, and the reason that stands beside it in the code."""
    for field, cls in typing.get_type_hints(Rules).items():
        if getattr(cls, "__module__", "") == module.__name__:
            rows = [
                f"| `{one.name}` | {_shown(one.default)} | {_cell(why)} |\n"
                for one, why in zip(dataclasses.fields(cls), _reasons(cls), strict=True)
            ]
            return [
                f"\n## Numbers\n\nSet under `rules: {field}:`.\n\n| setting | default | why, and what changing it costs |\n|---|---|---|\n",
                *rows,
            ]
    return []


def _reasons(cls: type) -> list[str]:
    """The docstring below each field, in the fields' order; "" where there is none."""
    body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
    assert isinstance(body, ast.ClassDef)
    found: list[str] = []
    for statement in body.body:
        if isinstance(statement, ast.AnnAssign):
            found.append("")
        elif found and isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
            found[-1] = str(statement.value.value)
    return found


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def _shown(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float) and (abs(value) >= 1e6 or 0 < abs(value) < 1e-3):
        return f"{value:.0f}" if abs(value) >= 1 else f"{value:g}"
    return f"{value:g}" if isinstance(value, float) else str(value)
