"""Numbers and prose in words, the same in every report."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from parkwarden.model import Cluster, Finding, Frame, Grade, Kind, Report, TimeLeft, Verdict
from parkwarden.model.words import UNKNOWN as UNKNOWN
from parkwarden.model.words import count as count
from parkwarden.model.words import moment as moment
from parkwarden.model.words import percent as percent
from parkwarden.model.words import rate as rate
from parkwarden.model.words import seconds as seconds
from parkwarden.model.words import size as size
from parkwarden.model.words import time_left as _time_left

VERDICT_WORDS = {
    Verdict.LEAK: "LEAK",
    Verdict.SUSPECT: "SUSPECT",
    Verdict.EXHAUSTING: "EXHAUSTING",
    Verdict.TIGHT: "TIGHT",
    Verdict.UNKNOWN: "UNKNOWN",
    Verdict.OK: "OK",
}
VERDICT_SENTENCES = {
    Verdict.LEAK: "Found: this needs a fix.",
    Verdict.SUSPECT: "Suspicious, not proven.",
    Verdict.EXHAUSTING: "A limit will be reached: act before it is.",
    Verdict.TIGHT: "A limit is near, or something moves towards it.",
    Verdict.UNKNOWN: "Too little evidence to judge.",
    Verdict.OK: "Nothing wrong found in these inputs.",
}


def overall(report: Report) -> tuple[Verdict, str]:
    """The verdict over everything and a sentence for it; without findings it is `ok` only if there was enough to judge."""
    if report.findings:
        worst = report.findings[0].verdict
        return worst, VERDICT_SENTENCES[worst]
    unread = sum(
        entry.kind == Kind.UNKNOWN or any(p.code == "reader-failed" for p in entry.problems) for entry in report.inputs
    )
    if unread == len(report.inputs) > 0:
        return Verdict.UNKNOWN, "None of the inputs could be read." if unread > 1 else "The input could not be read."
    if unread:
        return Verdict.UNKNOWN, f"Nothing found, but {unread} of {len(report.inputs)} inputs could not be read."
    if not any(entry.used for entry in report.inputs):
        return Verdict.UNKNOWN, "Nothing found, but these inputs show no goroutine: they cannot acquit a service."
    return Verdict.OK, VERDICT_SENTENCES[Verdict.OK]


GRADE_WORDS = {
    Grade.NONE: "",
    Grade.YELLOW: "yellow: grows slowly",
    Grade.AMBER: "amber: grows",
    Grade.RED: "red: grows fast",
}


NO_STACK = "(no stack told)"
"""Instead of a function's name: Go lists a goroutine that has not run yet without frames, and a trace that was cut has lost them."""


def place(frame: Frame) -> str:
    """`file:line` as the producer told it, "" where it told none."""
    if not frame.file:
        return ""
    return f"{frame.file}:{frame.line}" if frame.line else frame.file


def short_place(frame: Frame) -> str:
    """The last two parts of the path: enough to recognise a file, short enough for a table."""
    parts = frame.file.replace("\\", "/").rsplit("/", 2)
    return place(frame._replace(file="/".join(parts[-2:])))


def short_function(name: str) -> str:
    """A Go function without the directories of its package: `collection.(*TimingWheel).run`."""
    head = name.split("[", 1)[0].split("(", 1)[0]
    return name[head.rfind("/") + 1 :]


def title(finding: Finding) -> str:
    """The title with the finding's own functions cut to their short names; the long ones stand beside it anyway."""
    site = finding.site
    frames = [*finding.path, *((*site.frames, Frame(site.function)) if site else ())]
    frames += [frame for frame in (finding.culprit, site.created_by if site else None) if frame is not None]
    text = finding.title
    # longest first: one function's name may begin with another's
    for name in sorted({frame.function for frame in frames if "/" in frame.function}, key=len, reverse=True):
        text = text.replace(name, short_function(name))
    return text.replace(" -> ", " → ")


def is_heap(finding: Finding) -> bool:
    """Whether the finding counts memory, not goroutines (codes PW3xx)."""
    return finding.code.startswith("PW3")


def is_crash(finding: Finding) -> bool:
    """Whether the finding says why a process died (codes PW2xx)."""
    return finding.code.startswith("PW2")


def path_caption(finding: Finding) -> str:
    """What the drawn path is."""
    if finding.pattern == "stack-overflow":
        return "The cycle"
    return "Where it is allocated" if is_heap(finding) else "The leak path"


def site_frame(cluster: Cluster) -> Frame:
    """The blocked frame of a cluster."""
    return Frame(cluster.site.function, cluster.site.file, cluster.site.line)


def waits(cluster: Cluster) -> str:
    """Wait bounds of a cluster: `12-47 min`; "" where not told."""
    if cluster.wait_min is None:
        return ""
    low, high = cluster.wait_min
    if high <= 0:
        return "< 1 min"
    return f"≥ {high} min" if low == high else f"{low}-{high} min"


@dataclass(frozen=True, slots=True)
class Fact:
    """One key number of a finding: its name and the value in words."""

    name: str
    value: str


COUNTED = {
    "fd-exhaustion": "descriptors open",
    "memory-and-descriptors": "descriptors open",
    "event-loop-health": "descriptors open",
    "thread-exhaustion": "threads",
    "many-threads": "threads",
}
"""What a finding's count counts, where it is not goroutines."""

LIMITED = frozenset(
    ("fd-exhaustion", "thread-exhaustion", "memory-exhaustion", "memory-and-descriptors", "many-threads")
)
"""Findings whose share is one of a limit."""


def facts(finding: Finding) -> list[Fact]:
    """The numbers a finding leads with. Each other number is in its evidence, with its source."""
    out: list[Fact] = []
    heap = is_heap(finding)
    if finding.count is not None and finding.count > 1:
        what = (
            "objects here"
            if heap
            else "times"
            if is_crash(finding)
            else COUNTED.get(finding.pattern or "", "goroutines here")
        )
        out.append(Fact(what, count(finding.count)))
    if finding.share is not None:
        of = "of the heap" if heap else "of the limit" if finding.pattern in LIMITED else "of all goroutines"
        out.append(Fact(of, percent(finding.share)))
    if finding.rate_per_min is not None and abs(finding.rate_per_min) >= 0.05:
        word = GRADE_WORDS[finding.grade].split(":")[0]
        out.append(Fact("growth" + (f" ({word})" if word else ""), rate(finding.rate_per_min)))
    if finding.wait_min_s is not None:
        out.append(Fact("waiting at least", seconds(finding.wait_min_s)))
    if finding.since:
        out.append(Fact("since", since(finding.since)))
    if finding.since_version:
        out.append(Fact("since version", finding.since_version))
    if finding.first_seen is not None:
        out.append(Fact("first seen", time_of(finding.first_seen)))
    if finding.time_left is not None:
        out.append(Fact("time left", time_left(finding.time_left)))
    out.append(Fact("confidence", percent(finding.confidence)))
    return out


REAL_FROM_S = 1e8
"""Times from 1973 on are Unix times; earlier ones count a recording's own seconds."""


def time_of(at: float) -> str:
    """A time as people read it: a Unix time as a moment, a recording's or scenario's own seconds as `1h2m5s`."""
    if at >= REAL_FROM_S:
        try:
            return moment(datetime.fromtimestamp(at, UTC).isoformat(timespec="seconds").replace("+00:00", "Z"))
        except (OverflowError, OSError, ValueError):
            return f"{at:.15g} s"
    whole = round(abs(at))
    parts = ((whole // 3600, "h"), (whole % 3600 // 60, "m"), (whole % 60, "s"))
    return ("-" if at < 0 and whole else "") + ("".join(f"{n}{unit}" for n, unit in parts if n) or "0s")


def since(text: str) -> str:
    """RFC 3339 as people read it; one that counts a recording's own seconds (it says 1970) as those."""
    if text.startswith("1970-"):
        try:
            return time_of(datetime.fromisoformat(text).timestamp())
        except ValueError:
            return text
    return moment(text)


def time_left(left: TimeLeft) -> str:
    """`9 min until memory limit (7 min to 14 min)`."""
    return _time_left(left.seconds, left.limit, left.low_s, left.high_s)


@dataclass(frozen=True, slots=True)
class Step:
    """One box of the leak path: a frame and its part in the story."""

    frame: Frame
    role: str
    """`culprit`, `starts` (holds the `go` statement), `blocked`, "" for those between, `gap` for frames left out."""
    skipped: int = 0


MAX_STEPS = 9
"""Boxes of a drawn leak path; a longer one is folded in its middle, which is said."""


def leak_path(finding: Finding) -> list[Step]:
    """The leak path in calling order: culprit -> ... -> `go` statement -> ... -> blocked line, folded to MAX_STEPS."""
    site = finding.site
    frames = list(finding.path)
    if not frames and site is not None:
        inner = list(reversed(site.frames)) or [Frame(site.function, site.file, site.line)]
        frames = ([site.created_by] if site.created_by else []) + inner
        if finding.culprit is not None and finding.culprit not in frames:
            frames.insert(0, finding.culprit)
    if not frames and finding.culprit is not None:
        frames = [finding.culprit]
    steps = [Step(frame, "") for frame in frames]
    _give_role(steps, "blocked", _blocked_index(frames, finding))
    starts = frames.index(site.created_by) if site and site.created_by in frames else -1
    _give_role(steps, "starts", starts)
    culprit = finding.culprit
    _give_role(steps, "culprit", frames.index(culprit) if culprit in frames else -1)
    return _folded(steps, starts)


def _blocked_index(frames: list[Frame], finding: Finding) -> int:
    site = finding.site
    if site is None or finding.pattern == "stack-overflow":
        return -1  # a cycle has no last line
    wanted = Frame(site.function, site.file, site.line)
    for i in range(len(frames) - 1, -1, -1):
        if frames[i] == wanted:
            return i
    return len(frames) - 1 if site.wait_reason else -1


def _give_role(steps: list[Step], role: str, at: int) -> None:
    if 0 <= at < len(steps):
        roles = f"{steps[at].role} {role}".strip()
        steps[at] = Step(steps[at].frame, roles)


def _folded(steps: list[Step], starts: int) -> list[Step]:
    """Keep the ends, everything with a role and its neighbours; fold the longest stretches between."""
    if len(steps) <= MAX_STEPS:
        return steps
    keep = {0, len(steps) - 1} | {i for i, step in enumerate(steps) if step.role}
    if 0 <= starts < len(steps) - 1:
        keep.add(starts + 1)
    spare = (i for i in range(len(steps) - 1, -1, -1) if i not in keep)
    while len(keep) < MAX_STEPS - 2 and (extra := next(spare, None)) is not None:
        keep.add(extra)
    out: list[Step] = []
    skipped = 0
    for i, step in enumerate(steps):
        if i in keep:
            if skipped:
                out.append(Step(Frame(""), "gap", skipped))
                skipped = 0
            out.append(step)
        else:
            skipped += 1
    return out


def role_words(step: Step, finding: Finding) -> str:
    """What a step is, for people: `stuck here: select, ≥ 47 min`, `go statement`, `your code: fix here`."""
    site = finding.site
    if is_heap(finding):
        last = "allocates here"
    elif is_crash(finding):
        last = "died here"
    else:
        last = "stuck here"
        if site is not None and site.wait_reason:
            last += f": {site.wait_reason}" + (f", ≥ {seconds(finding.wait_min_s)}" if finding.wait_min_s else "")
    said = {"blocked": last, "starts": "go statement", "culprit": "your code: fix here"}
    return " · ".join(said[role] for role in said if role in step.role.split())


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of prose: `text` paragraphs and `item`s are one line each, `code` keeps its lines."""

    kind: str
    lines: tuple[str, ...]


def prose(text: str) -> list[Block]:
    """Advice and explanations to blocks: ``` fences or four-blank indents are code, `- ` begins an item."""
    blocks: list[Block] = []
    words: list[str] = []
    code: list[str] = []
    fenced = False

    def flush() -> None:
        if words:
            blocks.append(Block("text", (" ".join(words),)))
            words.clear()
        while code and not code[-1].strip():
            code.pop()
        if code:
            blocks.append(Block("code", tuple(code)))
            code.clear()

    for line in text.replace("\r\n", "\n").split("\n"):
        bare = line.strip()
        if bare.startswith("```"):
            flush()
            fenced = not fenced
        elif fenced:
            code.append(line)
        elif line.startswith(("    ", "\t")) and not words:
            code.append(line[1:] if line[0] == "\t" else line[4:])
        elif not bare:
            if code:
                code.append("")
            else:
                flush()
        elif bare.startswith(("- ", "* ")):
            flush()
            blocks.append(Block("item", (bare[2:],)))
        else:
            if code:
                flush()
            words.append(bare)
    flush()
    return blocks
