"""The `expect` lines of a scenario, held against every tick of its replay."""

from __future__ import annotations

from dataclasses import dataclass

from parkwarden.formats.scenario import Expectation, Scenario
from parkwarden.judge.codes import CODES
from parkwarden.judge.fleet.fuse import KINDS
from parkwarden.judge.grade import grade
from parkwarden.model import Finding, FormatError, Grade, Signal, Verdict
from parkwarden.report.compare import Checked
from parkwarden.report.words import time_of
from parkwarden.run.engine import Engine, Tick

MAX_TOLD = 6
"""Statements told of what was judged instead."""


@dataclass(frozen=True, slots=True)
class _Said:
    """A signal or a finding, by what an expectation can ask of it."""

    text: str
    verdict: Verdict
    grade: Grade
    limit: str
    numbers: dict[str, float]


class Expectations:
    """All expectations of one scenario; `tick` after each judgement, `checked` at the end.

    Raises FormatError at once where an expectation names a detector that is none.
    """

    def __init__(self, scenario: Scenario, engine: Engine) -> None:
        self._scenario = scenario
        self._engine = engine
        self._met: dict[int, bool] = {}
        """By index: holds at some tick that counts (`always`: at all)."""
        self._told: dict[int, str] = {}
        names = {*KINDS, *CODES, *(code.name for code in CODES.values())}
        for one in scenario.expectations:
            if one.name and one.name not in names:
                import difflib

                near = difflib.get_close_matches(one.name, sorted(names), 1)
                raise FormatError(
                    "bad-scenario",
                    f"{scenario.name}: line {one.line}: there is no detector, pattern or code `{one.name[:80]}`",
                    context=one.text,
                    hint=f"did you mean `{near[0]}`?" if near else f"detectors: {', '.join(sorted(KINDS))}",
                )

    @property
    def stops(self) -> list[float]:
        """Times that must be ticked at, rising."""
        return sorted({one.at for one in self._scenario.expectations if one.when in ("at", "by")})

    def tick(self, tick: Tick) -> None:
        for i, one in enumerate(self._scenario.expectations):
            late = tick.at > one.at or (one.when == "before" and tick.at == one.at)
            if late or (one.when == "at" and tick.at != one.at):
                continue
            held = self._holds(one, tick)
            before = self._met.get(i)
            if one.when == "always":
                self._met[i] = held and before is not False
                worth = not held and before is not False
            else:
                self._met[i] = held or bool(before)
                worth = held and not before if one.negated else not before
            if worth:
                self._told[i] = f"at {time_of(tick.at)}: {self._summary(one, tick)}"

    def checked(self) -> list[Checked]:
        """Every expectation in the file's order."""
        return [
            Checked(
                file=self._scenario.name,
                line=one.line,
                text=one.text,
                met=(met := self._met.get(i, False) != one.negated),
                told="" if met else self._told.get(i, "nothing was judged at that time"),
            )
            for i, one in enumerate(self._scenario.expectations)
        ]

    def _holds(self, one: Expectation, tick: Tick) -> bool:
        said = self._said(one, tick)
        if one.verdict is Verdict.OK:
            return all(s.verdict.rank < Verdict.SUSPECT.rank for s in said)
        if one.verdict is Verdict.UNKNOWN:
            return any(s.verdict is Verdict.UNKNOWN for s in said)
        return any(s.verdict.rank >= one.verdict.rank and _fits(one, s) for s in said)

    def _said(self, one: Expectation, tick: Tick) -> list[_Said]:
        """What was said of the expectation's place by whom it names."""
        findings = [f for f in tick.findings if self._about(one, f)]
        signals = [s for s in tick.signals if one.name and self._signal_about(one, s)]
        return [*map(_of_signal, signals), *map(_of_finding, findings)]

    def _about(self, one: Expectation, finding: Finding) -> bool:
        return (
            (not one.name or one.name in (finding.pattern, finding.code))
            and (not one.site or (finding.site is not None and finding.site.id == one.site))
            and (not one.on or one.on in finding.instances or one.on in (finding.instance, finding.service))
        )

    def _signal_about(self, one: Expectation, signal: Signal) -> bool:
        return (
            one.name in (signal.detector, signal.code)
            and (not one.site or signal.site == one.site)
            and (not one.on or one.on in (signal.instance, self._engine.instance(signal.instance).service))
        )

    def _summary(self, one: Expectation, tick: Tick) -> str:
        said = self._said(one, tick) or [*map(_of_signal, tick.signals), *map(_of_finding, tick.findings)]
        return "; ".join(s.text for s in said[:MAX_TOLD]) or "nothing was found"


def _of_signal(signal: Signal) -> _Said:
    numbers = {"confidence": signal.confidence}
    if signal.rate_per_min is not None:
        numbers["rate"] = signal.rate_per_min
    if signal.count is not None:
        numbers["count"] = float(signal.count)
    place = f" site {signal.site}" if signal.site else ""
    text = f"{signal.verdict} {signal.detector}{place} on {signal.instance} ({_shown(numbers)})"
    return _Said(text, signal.verdict, grade(signal.rate_per_min), "", numbers)


def _of_finding(finding: Finding) -> _Said:
    numbers = {"confidence": finding.confidence}
    if finding.rate_per_min is not None:
        numbers["rate"] = finding.rate_per_min
    if finding.count is not None:
        numbers["count"] = float(finding.count)
    if finding.time_left is not None:
        numbers["time-left"] = finding.time_left.seconds
    place = f" site {finding.site.id}" if finding.site else ""
    limit = finding.time_left.limit if finding.time_left else ""
    text = f"{finding.verdict} {finding.pattern or finding.code}{place} in all ({_shown(numbers)}{' ' * bool(limit)}{limit})"
    return _Said(text, finding.verdict, finding.grade, limit, numbers)


def _shown(numbers: dict[str, float]) -> str:
    return ", ".join(f"{name} {value:.4g}" for name, value in numbers.items())


def _fits(one: Expectation, said: _Said) -> bool:
    if one.grade is not None and said.grade is not one.grade:
        return False
    if one.limit and said.limit != one.limit:
        return False
    return all(name in said.numbers and low <= said.numbers[name] <= high for name, (low, high) in one.numbers.items())
