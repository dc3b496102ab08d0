"""docs/patterns.md: the atlas, the library signatures and the thresholds of accusation, written from the code itself."""

from __future__ import annotations

import ast
import inspect
from itertools import pairwise

from parkwarden.stacks import libraries
from parkwarden.stacks.libraries import LIBRARIES
from parkwarden.stacks.patterns import PATTERNS, Pattern, accusing

INTRO = """\
A *pattern* says what kind of wait a crowd of goroutines is in. Whether it is a leak is decided by numbers, since every
pattern has an innocent twin with the very same stack: the runtime's own proof first, then waits that cannot end by their
nature, then time (who was born, who stayed, who left). `lab/leaks` produces each pattern and each twin.

Stacks alone do not tell everything. A text dump shows a plain receive, a range over a channel, a ticker loop and a wait
for a context as the same `chan receive`; then the candidates are put in order by what else there is: the runtime's entry
points in profiles and traces (`chanrecv2` is a range), wake-ups seen in a trace (a ticker), the leak profile (it reaches a
running ticker's channel, not a forgotten one), the source (`--source`), and, last and least, words in function names.
"""


def page(note: str) -> str:
    """The whole page, Markdown."""
    out = [
        "# Leak patterns\n\n",
        note,
        INTRO,
        "\n| code | pattern | waits in | the leak profile can prove it |\n|---|---|---|---|\n",
    ]
    for p in PATTERNS.values():
        reasons = ", ".join(f"`{reason}`" for reason in p.wait_reasons) or "anything"
        out.append(f"| {p.code} | [{p.id}](#{p.id}) | {reasons} | {'yes' if p.provable else 'no'} |\n")
    out += [_section(p) for p in PATTERNS.values()]
    out.append(
        "\n## When a crowd is accused\n\n"
        + inspect.cleandoc(accusing.__doc__ or "")
        + "\n\n| threshold | value | meaning, reason, cost |\n|---|---|---|\n"
    )
    for module in (accusing, libraries):
        out += [f"| `{name}` | {value} | {text} |\n" for name, value, text in constants(inspect.getsource(module))]
    out.append(
        "\n## Library goroutines\n\n"
        + inspect.cleandoc(libraries.__doc__ or "")
        + "\n\n| library | does | normal | many of them mean | cure |\n|---|---|---|---|---|\n"
    )
    out += [f"| {lib.name} | {lib.does} | {lib.role.expected} | {lib.multiplied} | {lib.cure} |\n" for lib in LIBRARIES]
    return "".join(out)


def _section(p: Pattern) -> str:
    return (
        f"\n## {p.id}\n\n**{p.code}: {p.title}.** {p.meaning}\n\n{p.why}\n\n"
        f"- In its life: {p.life.value}.\n- Look for: {p.look_for}\n- Innocent twin: {p.twin}\n\n"
        f"Cure: {p.cure}\n\n```go\n// before\n{p.before}\n\n// after\n{p.after}\n```\n"
    )


def constants(source: str) -> list[tuple[str, str, str]]:
    """Upper-case numbers of a module and the docstrings below them."""
    body = ast.parse(source).body
    found = []
    for at, text in pairwise(body):
        if not (
            isinstance(at, ast.Assign) and isinstance(at.targets[0], ast.Name) and isinstance(at.value, ast.Constant)
        ):
            continue
        if isinstance(text, ast.Expr) and isinstance(text.value, ast.Constant) and isinstance(text.value.value, str):
            found.append((at.targets[0].id, f"{at.value.value:,}", " ".join(text.value.value.split())))
    return found
