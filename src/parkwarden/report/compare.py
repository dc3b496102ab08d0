"""Two sets of rules over the same data, side by side: what only one of them found, and which was earlier. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

from parkwarden.model.finding import Finding

FindingKey: TypeAlias = tuple[str, str, str]
"""(service, env, site id or the symptom's name): what a finding is about, whichever rules found it."""


def key_of(finding: Finding) -> FindingKey:
    """What a finding is about, equal over time and between sets of rules."""
    about = finding.site.id if finding.site is not None else finding.pattern or finding.code
    return finding.service or "", finding.labels.get("env", ""), about


@dataclass(frozen=True, slots=True)
class Row:
    """One thing that was found by A, by B or by both."""

    a: Finding | None
    b: Finding | None

    @property
    def either(self) -> Finding:
        found = self.a or self.b
        assert found is not None
        return found

    @property
    def earlier(self) -> str:
        """`a` or `b` where only it found the thing or reached its verdict first, `same` at the same time."""
        if self.a is None or self.b is None:
            return "b" if self.a is None else "a"
        if self.a.verdict is not self.b.verdict:
            return "a" if self.a.verdict.rank > self.b.verdict.rank else "b"
        first_a, first_b = self.a.first_seen or 0.0, self.b.first_seen or 0.0
        return "same" if first_a == first_b else "a" if first_a < first_b else "b"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The names of two sets of rules and what each found."""

    a: str
    b: str
    findings_a: Sequence[Finding]
    findings_b: Sequence[Finding]

    @property
    def rows(self) -> list[Row]:
        """A's findings in its order, then those only B has."""
        theirs = {key_of(finding): finding for finding in self.findings_b}
        rows = [Row(finding, theirs.pop(key_of(finding), None)) for finding in self.findings_a]
        return rows + [Row(None, finding) for finding in theirs.values()]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One `expect` line of a scenario, and whether it was met."""

    file: str
    line: int
    text: str
    met: bool
    told: str
    """What was judged instead, where it was not."""
