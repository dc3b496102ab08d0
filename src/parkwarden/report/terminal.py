"""Reports for a terminal: the verdict first, in words as well as in colour.

All functions take a `rich.console.Console` and print; nothing else is touched. They degrade by themselves: no colour with
NO_COLOR, TERM=dumb or a file; ASCII lines where the encoding has no box drawing; readable at 60 columns. Every text from
an input goes through `inert` and is printed as `Text`, never as markup. Lists are cut at named limits, which is said
("12 of 340 shown; --all shows all").
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.box import ASCII2, SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from parkwarden.model import (
    Artefact,
    Case,
    Cluster,
    Finding,
    FormatError,
    Frame,
    LookCost,
    Report,
    SourceExcerpt,
    Trace,
    Verdict,
)
from parkwarden.report import words
from parkwarden.report.compare import Checked, Comparison
from parkwarden.report.json import user_frame
from parkwarden.report.safe import inert, inert_lines, middle
from parkwarden.stacks.normalise import blocked_frame

MAX_FINDINGS = 5
"""Findings shown whole; more than a screen of verdicts is no verdict."""
MAX_CLUSTERS = 20
MAX_CREATIONS = 12
MAX_WAITS = 12
"""Rows of the tables: what fits a screen; `--all` shows the rest."""
MAX_PROBLEMS = 8
"""Problems shown per input; the JSON report has them all."""
MAX_EVIDENCE = 12
"""Numbers shown per finding."""
MAX_ROWS = 40
"""Rows of two sets of rules beside each other."""
MAX_INPUTS = 40
"""Rows of the table of inputs; an archive may hold hundreds of files."""
WIDE = 110
"""Columns from which the table of inputs gives each property a column of its own."""

STYLES = {
    Verdict.LEAK: "bold red",
    Verdict.SUSPECT: "bold yellow",
    Verdict.EXHAUSTING: "bold red",
    Verdict.TIGHT: "bold yellow",
    Verdict.UNKNOWN: "bold blue",
    Verdict.OK: "bold green",
}
_DIM = "dim"


@dataclass(frozen=True, slots=True)
class _Marks:
    """Drawing characters: Unicode, or ASCII where the output's encoding cannot."""

    line: str
    turn: str
    arrow: str
    dot: str
    stop: str
    gap: str
    back: str
    bars: str


_UNICODE = _Marks("│", "╰", "▼", "●", "■", "┊", "↺", "▁▂▃▄▅▆▇█")
_ASCII = _Marks("|", "+", "v", "o", "#", ":", "^", "_.-=+*%#")


def _marks(console: Console) -> _Marks:
    return _UNICODE if _unicode(console) else _ASCII


def _unicode(console: Console) -> bool:
    try:
        "│█…·".encode(console.encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _say(console: Console, *parts: str | tuple[str, str], indent: int = 0, hang: int = 0) -> None:
    """One paragraph of parts (text, or text with style), wrapped under its indent; later lines `hang` deeper."""
    text = Text(overflow="fold")
    plain = not _unicode(console)
    for part in parts:
        words_, style = (part, "") if isinstance(part, str) else part
        text.append(_ascii(words_) if plain else words_, style=style or None)
    if not indent:
        console.print(text)
        return
    # not rich.padding: it fills every line with blanks up to the width, which hurts in files and when copied
    for i, line in enumerate(text.wrap(console, max(20, console.width - indent - hang), overflow="fold")):
        console.print(Text(" " * (indent + hang if i else indent)).append(line))


_TYPOGRAPHY = str.maketrans({"·": "-", "…": "...", "≥": ">=", "→": "->", "µ": "u", "×": "x"})


def _ascii(text: str) -> str:
    """Our own typography in ASCII, for outputs that have no more; the rest becomes visible escapes."""
    return text if text.isascii() else text.translate(_TYPOGRAPHY).encode("ascii", "backslashreplace").decode()


def _rule(console: Console, title: str) -> None:
    console.print()
    console.print(Text(title, style="bold underline"))


def _more(console: Console, shown: int, total: int, what: str) -> None:
    if total > shown:
        _say(console, (f"{shown} of {words.count(total)} {what} shown; --all shows all", _DIM), indent=2)


def _table(console: Console) -> Table:
    return Table(box=SIMPLE_HEAD if _unicode(console) else ASCII2, pad_edge=False, show_edge=False, expand=False)


def _cell(console: Console, text: str, style: str = "") -> Text:
    return Text(text if _unicode(console) else _ascii(text), style=style, overflow="fold")


# ---- diagnose


def print_report(report: Report, case: Case, console: Console, *, show_all: bool = False) -> None:
    """The whole report: verdict, culprit, leak path, numbers with their sources, what to do, inputs, problems."""
    findings = report.findings
    limit = len(findings) if show_all else MAX_FINDINGS
    _headline(report, case, console)
    for i, finding in enumerate(findings[:limit]):
        if i:
            console.print()
        _finding(finding, console, number=i + 1, of=len(findings), first=i == 0)
    _more(console, limit, len(findings), "findings")
    _inputs(report, console, show_all)
    _footer(report, console)


def print_replay(
    report: Report,
    console: Console,
    *,
    comparison: Comparison | None = None,
    checked: Sequence[Checked] = (),
    recorded: bool = False,
    show_all: bool = False,
) -> None:
    """A replay: the expectations first, where there were any; then the report, which of scenarios alone (not `recorded`) nobody
    needs beside them; then two sets of rules side by side."""
    if checked:
        _expectations(checked, console, show_all)
    if not checked or recorded or show_all:
        print_report(report, Case(artefacts=[]), console, show_all=show_all)
    if comparison is not None:
        _comparison(comparison, console, show_all)


def _expectations(checked: Sequence[Checked], console: Console, show_all: bool) -> None:
    """What was not met, with what was judged instead; with `show_all` what was met too."""
    failed = [one for one in checked if not one.met]
    for one in checked if show_all else failed:
        word, style = ("met", "green") if one.met else ("NOT MET", "bold red")
        _say(console, (f"{word:8}", style), f"{inert(one.file, 120)}:{one.line}: ", (inert(one.text, 200), "bold"))
        if one.told:
            _say(console, (inert(one.told, 600), _DIM), indent=8)
    verdict, style = ("NOT MET", "bold red reverse") if failed else ("MET", "bold green reverse")
    console.print()
    many = f"{words.count(len(checked) - len(failed))} of {words.count(len(checked))} expectations are met"
    _say(console, (f" {verdict} ", style), f" {many}")


def _comparison(comparison: Comparison, console: Console, show_all: bool) -> None:
    """One row for each thing that A or B found."""
    _rule(console, f"A: {inert(comparison.a, 80)} beside B: {inert(comparison.b, 80)}")
    rows = comparison.rows
    if not rows:
        _say(console, "Neither found anything.", indent=2)
        return
    table = _table(console)
    for name in ("what", "A", "B", "earlier"):
        table.add_column(name)
    limit = len(rows) if show_all else MAX_ROWS
    for row in rows[:limit]:
        one = row.either
        what = f"{one.pattern or one.code} {one.service or ''}"
        what += f" {words.short_function(one.site.function) or one.site.id}" if one.site else ""
        earlier = {"a": "A", "b": "B"}.get(row.earlier, "same")
        if row.a is None or row.b is None:
            earlier = f"only {earlier}"
        table.add_row(
            _cell(console, inert(what, 160)),
            *(_side(finding, console) for finding in (row.a, row.b)),
            _cell(console, earlier, "bold" if earlier != "same" else _DIM),
        )
    console.print(table)
    _more(console, limit, len(rows), "rows")
    only_a, only_b = sum(r.b is None for r in rows), sum(r.a is None for r in rows)
    _say(console, f"{only_a} only A, {only_b} only B, {len(rows) - only_a - only_b} both", indent=2)


def _side(finding: Finding | None, console: Console) -> Text:
    if finding is None:
        return _cell(console, "-", _DIM)
    first = "" if finding.first_seen is None else f" at {words.time_of(finding.first_seen)}"
    return _cell(console, words.VERDICT_WORDS[finding.verdict] + first, STYLES[finding.verdict])


def _headline(report: Report, case: Case, console: Console) -> None:
    worst, sentence = words.overall(report)
    used = sum(entry.used for entry in report.inputs)
    parts = [f"{used} of {len(report.inputs)} inputs helped" if report.inputs else "no input"]
    if case.looks:
        parts.append(f"{words.count(case.looks[-1].snapshot.total)} goroutines")
    if len(case.looks) > 1:
        parts.append(f"{len(case.looks)} looks")
    if case.build.go_version:
        parts.append(inert(case.build.go_version, 40))
    if case.build.main_module:
        parts.append(inert(case.build.main_module, 80))
    console.print()
    _say(console, (f" {words.VERDICT_WORDS[worst]} ", STYLES[worst] + " reverse"), " ", sentence)
    _say(console, (" · ".join(parts), _DIM))
    console.print()


def _finding(finding: Finding, console: Console, *, number: int, of: int, first: bool) -> None:
    style = STYLES[finding.verdict]
    head = f"{number}. " if of > 1 else ""
    _say(console, (head + words.VERDICT_WORDS[finding.verdict], style), "  ", (inert(words.title(finding)), "bold"))
    known = [inert(finding.code, 20), inert(finding.pattern or "", 60)]
    known += [inert(text, 80) for text in (finding.service, finding.instance) if text]
    _say(console, (" · ".join(filter(None, known)), _DIM), indent=3)
    if finding.culprit is not None:
        _say(console, ("culprit  ", "bold"), (inert(finding.culprit.function), style), indent=3)
        if finding.culprit.file:
            _say(console, "         ", (inert(words.place(finding.culprit)), "bold"), indent=3)
    _say(console, " · ".join(f"{fact.name} {inert(fact.value, 80)}" for fact in words.facts(finding)), indent=3)
    if finding.explanation:
        console.print()
        _prose(finding.explanation, console)
    if first or finding.path:
        _path(finding, console)
    if finding.source is not None:
        _source(finding.source, console)
    _evidence(finding, console)
    if finding.advice:
        console.print()
        _say(console, ("What to do", "bold"), indent=3)
        _prose(finding.advice, console)


def _prose(text: str, console: Console) -> None:
    for block in words.prose(text):
        if block.kind == "code":
            for line in inert_lines("\n".join(block.lines)):
                _say(console, (line, "cyan"), indent=7)
        else:
            lead = "- " if block.kind == "item" else ""
            _say(console, lead + inert(block.lines[0], 2000), indent=5 if lead else 3)


def _path(finding: Finding, console: Console) -> None:
    """The leak path as a drawing: down the caller's stack, a turn at the `go` statement, down the stuck goroutine."""
    steps = words.leak_path(finding)
    if len(steps) < 2:
        return
    marks = _marks(console)
    console.print()
    _say(console, (words.path_caption(finding), "bold"), indent=3)
    lead = ""
    width = max(24, console.width - 14)
    for i, step in enumerate(steps):
        last = i == len(steps) - 1
        if "gap" in step.role:
            _say(console, (f"{lead}{marks.gap} {step.skipped} more frames", _DIM), indent=4)
            continue
        blocked, culprit = "blocked" in step.role, "culprit" in step.role
        style = "bold red" if blocked else "bold yellow" if culprit else ""
        dot = marks.stop if blocked else marks.dot
        _say(
            console,
            f"{lead}{dot} ",
            (inert(words.short_function(step.frame.function) or step.frame.function), style),
            indent=4,
        )
        rail = f"{lead}{' ' if last else marks.line}   "
        note = inert(words.role_words(step, finding), 200)
        if step.frame.file:
            _say(console, rail, (middle(inert(words.place(step.frame)), width - len(rail)), _DIM), indent=4)
        if note:
            _say(console, rail, (f"<- {note}", style or "bold"), indent=4)
        if "starts" in step.role and not last:
            many = f" x {words.count(finding.count)} goroutines" if finding.count and finding.count > 1 else ""
            _say(console, f"{lead}{marks.turn}-- ", (f"go{many}", "bold magenta"), indent=4)
            lead += "    "
        elif not last:
            _say(console, f"{lead}{marks.arrow}", indent=4)
    if finding.pattern == "stack-overflow":
        _say(console, (f"{marks.back} and round again", "bold red"), indent=4)


def _source(source: SourceExcerpt, console: Console) -> None:
    console.print()
    _say(console, ("Source  ", "bold"), inert(source.file), indent=3)
    first, last = source.statement
    for offset, line in enumerate(inert_lines("\n".join(source.lines))):
        number = source.first_line + offset
        hit = first <= number <= last
        _say(console, (f"{'>' if hit else ' '} {number:5d}  ", _DIM), (line, "bold red" if hit else ""), indent=4)
    if source.blame:
        _say(console, (f"last changed: {inert(source.blame)}", _DIM), indent=4)


def _evidence(finding: Finding, console: Console) -> None:
    if not finding.evidence:
        return
    console.print()
    _say(console, ("Evidence", "bold"), indent=3)
    for item in finding.evidence[:MAX_EVIDENCE]:
        source = f"  [{inert(item.source, 120)}]" if item.source else ""
        _say(console, f"- {inert(item.what, 160)}: ", (inert(item.value), "bold"), (source, _DIM), indent=5, hang=2)
    _more(console, MAX_EVIDENCE, len(finding.evidence), "numbers")


def _inputs(report: Report, console: Console, show_all: bool) -> None:
    if not report.inputs:
        return
    _rule(console, "Inputs")
    wide = console.width >= WIDE
    table = _table(console)
    table.add_column("used", no_wrap=True)
    table.add_column("input", max_width=max(16, console.width * 2 // 5))
    if wide:
        table.add_column("kind")
        table.add_column("size", justify="right", no_wrap=True)
        table.add_column("records", justify="right", no_wrap=True)
    table.add_column("why")
    limit = len(report.inputs) if show_all else MAX_INPUTS
    for entry in report.inputs[:limit]:
        name, kind = inert(entry.name, 160), inert(entry.kind, 60)
        size, records = words.size(entry.bytes), words.count(entry.records)
        used = Text("yes", style="green") if entry.used else Text("no", style="yellow")
        why = _cell(console, inert(entry.why))
        if wide:
            table.add_row(used, _cell(console, name), _cell(console, kind), size, records, why)
        else:
            what = _cell(console, name).append(f"\n{_ascii(kind)}, {size}" if kind else f"\n{size}", style=_DIM)
            table.add_row(used, what, why)
    console.print(table)
    _more(console, limit, len(report.inputs), "inputs")
    problems = [(entry, problem) for entry in report.inputs for problem in entry.problems]
    if problems:
        _rule(console, f"Problems ({words.count(len(problems))})")
        limit = len(problems) if show_all else MAX_PROBLEMS
        for entry, problem in problems[:limit]:
            where = f" {inert(problem.where, 60)}" if problem.where else ""
            _say(
                console,
                f"- {inert(entry.name, 80)}{where}: {inert(problem.text)} ",
                (f"({inert(problem.code, 40)})", _DIM),
                indent=2,
                hang=2,
            )
        _more(console, limit, len(problems), "problems")


def _footer(report: Report, console: Console) -> None:
    console.print()
    hidden = (
        f"{words.count(report.redacted)} secrets or personal data redacted"
        if report.redacted
        else "nothing needed redaction"
    )
    _say(console, (f"{inert(report.generated_at, 40)} · {hidden}", _DIM))


# ---- stacks


def print_clusters(case: Case, console: Console, *, diff: bool = False, show_all: bool = False) -> None:
    """The clusters of a case, biggest first; with `diff` what grew comes first, with its course as a sparkline."""
    clusters = case.clusters
    if diff:
        clusters = sorted(clusters, key=lambda c: (-(c.count - (c.counts[0] if c.counts else 0)), -c.count))
    limit = len(clusters) if show_all else MAX_CLUSTERS
    total = case.looks[-1].snapshot.total if case.looks else sum(c.count for c in clusters)
    looks = len(case.looks)
    _say(
        console,
        (f"{words.count(total)} goroutines", "bold"),
        f" in {words.count(len(clusters))} clusters" + (f", {looks} looks" if looks > 1 else ""),
    )
    if diff:
        _course(case, console)
    peak = max((c.count for c in clusters[:limit]), default=1)
    for cluster in clusters[:limit]:
        _cluster(cluster, case, console, diff=diff, looks=looks, peak=peak)
    _more(console, limit, len(clusters), "clusters")
    for artefact in case.artefacts:
        for problem in artefact.problems[: None if show_all else MAX_PROBLEMS]:
            _say(console, (f"{inert(artefact.name, 80)} {inert(problem.where, 60)}: {inert(problem.text)}", _DIM))
        if artefact.lost:
            _say(console, (f"{inert(artefact.name, 80)}: {words.count(artefact.lost)} records lost", "yellow"))


def _course(case: Case, console: Console) -> None:
    for i, look in enumerate(case.looks):
        before = case.looks[i - 1].snapshot.total if i else look.snapshot.total
        change = look.snapshot.total - before
        after = ""
        if i and look.at is not None and case.looks[i - 1].at is not None:
            after = f", {words.seconds(max(0.0, look.at - (case.looks[i - 1].at or 0.0)))} later"
        _say(
            console,
            f"{i + 1}. {inert(look.artefact.name, 80)}: {words.count(look.snapshot.total)} goroutines",
            (f" ({change:+,}{after})" if i else "", _DIM),
            indent=2,
        )


def sparkline(values: Sequence[int], bars: str = _UNICODE.bars) -> str:
    """Counts as a row of bars, scaled to their greatest; zero is the lowest bar."""
    top = max(values, default=0)
    if top <= 0:
        return bars[0] * len(values)
    return "".join(bars[min(len(bars) - 1, int(value * len(bars) / top))] if value > 0 else bars[0] for value in values)


def _heat(share: float) -> str:
    return "bold red" if share >= 0.25 else "red" if share >= 0.05 else "yellow" if share >= 0.01 else ""


def _cluster(cluster: Cluster, case: Case, console: Console, *, diff: bool, looks: int, peak: int) -> None:
    marks = _marks(console)
    site = cluster.site
    console.print()
    parts: list[str | tuple[str, str]] = [(f"{words.count(cluster.count):>9}", _heat(cluster.share)), "  "]
    if looks > 1:
        change = cluster.count - (cluster.counts[0] if cluster.counts else 0)
        bar = sparkline(cluster.counts[-24:], marks.bars)
        parts += [(bar, _heat(cluster.share)), "  ", (f"{change:+,}", "red" if change > 0 else _DIM), "  "]
    else:
        width = max(1, round(10 * cluster.count / max(peak, 1)))
        parts += [(marks.bars[-1] * width, _heat(cluster.share)), " "]
    parts += [(inert(site.wait_reason, 60) or "no state told", "bold"), (f"  {inert(site.id, 20)}", _DIM)]
    _say(console, *parts)
    inner = user_frame(site.frames, case.user_modules)
    _say(console, (inert(site.function) or words.NO_STACK, "bold"), indent=11)
    _say(console, (middle(inert(words.place(words.site_frame(cluster))), max(24, console.width - 12)), _DIM), indent=11)
    if inner is not None and inner.function != site.function:
        _who(console, "yours: ", inner, "yellow")
    if site.created_by is not None:
        _who(console, "go:    ", site.created_by)
    _say(console, (" · ".join(_traits(cluster, diff)), _DIM), indent=11)


def _traits(cluster: Cluster, diff: bool) -> list[str]:
    out = [words.percent(cluster.share)]
    if waits := words.waits(cluster):
        out.append(f"waiting {waits}")
    if cluster.growth_per_min is not None and cluster.growth_per_min:
        out.append(f"{words.rate(cluster.growth_per_min)} growth")
    if cluster.stayed is not None:
        out.append(f"{words.count(cluster.stayed)} stayed since the first look")
    if cluster.leaked:
        out.append(f"{words.count(cluster.leaked)} proven leaked by the runtime")
    if len(cluster.states) > 1:
        out.append("states " + ", ".join(f"{inert(s, 40)} {words.count(n)}" for s, n in cluster.states.most_common(3)))
    if cluster.blocking_points:
        out.append(", ".join(f"{inert(p, 40)} x {words.count(n)}" for p, n in cluster.blocking_points.most_common(2)))
    if cluster.labels:
        out.append(
            ", ".join(
                f"{inert(k, 40)}={inert(v, 40)} x {words.count(n)}" for (k, v), n in cluster.labels.most_common(2)
            )
        )
    if len(cluster.members) > 1:
        out.append(f"{len(cluster.members)} near-equal stacks")
    if diff and cluster.goids:
        out.append("goroutines " + ", ".join(map(str, cluster.goids[:4])))
    return out


# ---- trace


def print_trace(
    artefact: Artefact, console: Console, *, user_modules: Sequence[str] = (), show_all: bool = False
) -> None:
    """What a trace says: creations over time, `go` statements by rate, waits by stack. Raises FormatError without one."""
    trace = artefact.trace
    if trace is None:
        raise FormatError("no-trace", "the input holds no execution trace", context=inert(artefact.name))
    alive = max(trace.created - trace.ended, 0)
    _say(
        console,
        (inert(artefact.name, 120), "bold"),
        f"  {words.size(artefact.size)}, trace {inert(trace.version, 20)}, {words.count(trace.events)} events",
    )
    _say(
        console,
        f"{words.seconds(trace.duration_s)} long, ",
        (f"{words.count(trace.created)} goroutines created", "bold"),
        f", {words.count(trace.ended)} ended ({words.count(alive)} more at the end than at the begin)"
        if trace.created >= trace.ended
        else f", {words.count(trace.ended)} ended",
    )
    if trace.census is not None:
        _say(
            console,
            f"census: {words.count(trace.census.total)} goroutines at the end, {words.count(len(trace.census.stacks))} stacks",
        )
    _histogram(trace, console)
    _creations(trace, console, user_modules, show_all)
    _waits(trace, console, user_modules, show_all)
    for problem in artefact.problems[: None if show_all else MAX_PROBLEMS]:
        _say(console, (f"{inert(problem.where, 60)}: {inert(problem.text)}", _DIM))


def _histogram(trace: Trace, console: Console) -> None:
    bins = [int(n) for n in trace.created_per_s]
    if not bins or trace.duration_s <= 0:
        return
    width = max(10, min(len(bins), console.width - 24))
    columns = [
        sum(bins[i * len(bins) // width : max((i + 1) * len(bins) // width, i * len(bins) // width + 1)])
        for i in range(width)
    ]
    peak = max(bins) * len(bins) / trace.duration_s
    _say(console, "created  ", (sparkline(columns, _marks(console).bars), "cyan"), (f"  peak {peak:,.0f}/s", _DIM))


def _creations(trace: Trace, console: Console, user_modules: Sequence[str], show_all: bool) -> None:
    _rule(console, "Go statements, by goroutines created")
    ranked = sorted(trace.creations, key=lambda one: -one.count)
    limit = len(ranked) if show_all else MAX_CREATIONS
    for one in ranked[:limit]:
        per_s = one.count / trace.duration_s if trace.duration_s > 0 else 0.0
        kept = one.alive / one.count if one.count else 0.0
        style = "bold red" if kept > 0.5 and one.count >= 50 else ""
        leaf = one.stack.frames[0] if one.stack.frames else Frame("")
        parents = f" · by {words.count(one.parents)} goroutine{'s' * (one.parents > 1)}" if one.parents else ""
        console.print()
        _say(
            console,
            (f"{words.count(one.count):>9}", style or "bold"),
            f"  {per_s:,.1f}/s · peak {one.peak_per_s:,.0f}/s · ",
            (f"{words.count(one.alive)} never ended", style),
            parents,
        )
        _who(console, "go:    ", leaf)
        _who(console, "runs:  ", one.start)
        _yours(console, one.stack.frames, user_modules, leaf)
    _more(console, limit, len(ranked), "go statements")


def _waits(trace: Trace, console: Console, user_modules: Sequence[str], show_all: bool) -> None:
    _rule(console, "Waits, by time in all")
    ranked = sorted(trace.waits, key=lambda one: -one.total_s)
    limit = len(ranked) if show_all else MAX_WAITS
    for one in ranked[:limit]:
        leaf = blocked_frame(one.stack.frames) if one.stack.frames else Frame("")
        still = f" · {words.count(one.open)} still waiting" if one.open else ""
        console.print()
        _say(
            console,
            (f"{words.seconds(one.total_s):>9}", "bold"),
            f"  {inert(one.reason, 60)} x {words.count(one.count)} · longest {words.seconds(one.max_s)}{still}",
        )
        _who(console, "at:    ", leaf)
        _yours(console, one.stack.frames, user_modules, leaf)
    _more(console, limit, len(ranked), "waits")


def _who(console: Console, what: str, frame: Frame, style: str = "") -> None:
    """`what` and a frame on one line where it fits: without the package's directories if it has to be."""
    name, where = inert(frame.function) or words.NO_STACK, inert(words.short_place(frame))
    if len(what) + len(name) + len(where) + 14 > console.width:
        name = inert(words.short_function(frame.function)) or name
    _say(console, what, (name, style), (f"  {where}", _DIM), indent=11, hang=7)


def _yours(console: Console, frames: Iterable[Frame], user_modules: Sequence[str], leaf: Frame) -> None:
    mine = user_frame(tuple(frames), user_modules)
    if mine is not None and mine != leaf:
        _who(console, "yours: ", mine, "yellow")


# ---- the price of looking


def print_cost(looks: Sequence[LookCost], console: Console) -> None:
    """What each look cost the watched service: which, how long the answer took, its size, what was seen or refused."""
    if not looks:
        return
    _rule(console, "What looking cost")
    table = _table(console)
    for name, justify in (("look", "left"), ("took", "right"), ("size", "right")):
        table.add_column(name, justify="right" if justify == "right" else "left", no_wrap=justify == "right")
    table.add_column("note")
    for look in looks:
        took = "" if look.took_s is None else words.seconds(look.took_s)
        table.add_row(
            _cell(console, inert(look.what, 120)),
            _cell(console, took),
            "" if look.bytes is None else words.size(look.bytes),
            _cell(console, inert(look.note)),
        )
    console.print(table)
