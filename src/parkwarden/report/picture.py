"""The leak path as geometry: boxes and arrows for an SVG, in a wide form (two lanes) and a narrow one (one lane).

Left lane: the caller, from the culprit down to the `go` statement. Right lane: the goroutines it started, down to the line
where they are stuck, and below it who may hold the lock they wait for. Lengths are SVG user units; texts are inert and already cut to
their box.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from parkwarden.model import Finding, Frame
from parkwarden.report.safe import inert, middle
from parkwarden.report.words import Step, count, leak_path, place, role_words, short_function

MONO = 0.602
"""Width of a monospace character in units of its size: what the usual ones (Menlo, Consolas, DejaVu) stay at or below."""


@dataclass(frozen=True, slots=True)
class Layout:
    """Measures of one form of the picture."""

    width: int
    lane: int
    """Width of a box."""
    alone: int
    """Width of a box where there is only one lane, without an arrow back."""
    lanes: int
    name_size: float
    place_size: float
    gap: int


WIDE = Layout(width=1080, lane=500, alone=760, lanes=2, name_size=15, place_size=12, gap=34)
NARROW = Layout(width=340, lane=324, alone=324, lanes=1, name_size=13, place_size=11, gap=32)

PAD = 16
TOP = 10


@dataclass(frozen=True, slots=True)
class Box:
    x: int
    y: int
    width: int
    height: int
    kind: str
    """`culprit`, `starts`, `blocked`, `holder`, `gap`, `plain`: the strongest role, for colour."""
    name: str
    place: str
    note: str
    title: str
    """The full text, for a tooltip."""
    stacked: bool


@dataclass(frozen=True, slots=True)
class Link:
    """An arrow along `d` (SVG path data), with a label at (x, y)."""

    d: str
    kind: str
    label: str = ""
    x: int = 0
    y: int = 0


@dataclass(slots=True)
class Picture:
    layout: Layout
    height: int
    boxes: list[Box] = field(default_factory=list)
    links: list[Link] = field(default_factory=list)
    words: str = ""
    """The picture told in a sentence, for those who cannot see it."""


def draw(finding: Finding, layout: Layout, holder: Frame | None = None) -> Picture | None:
    """The picture of a finding's leak path, None where there is too little to draw; `holder` may hold the lock at its end."""
    steps = leak_path(finding)
    if len(steps) < 2:
        return None
    split = next((i + 1 for i, step in enumerate(steps) if "starts" in step.role), len(steps))
    picture = Picture(layout, 0)
    cycle = finding.pattern == "stack-overflow"
    y = TOP + (18 if split <= 1 and layout.lanes > 1 else 0)  # room for the label above the first box
    for i, step in enumerate(steps):
        right = i >= split
        x = layout.width - layout.lane - 8 if right and layout.lanes > 1 else 8
        width = layout.lane if split < len(steps) else layout.alone - 34 * cycle
        box = _box(step, finding, layout, x, y, width, stacked=right and (finding.count or 0) > 1)
        if picture.boxes:
            if i == split and layout.lanes > 1:
                y = picture.boxes[-1].y  # beside the `go` statement
                box = _box(step, finding, layout, x, y, width, stacked=(finding.count or 0) > 1)
            picture.links.append(_link(picture.boxes[-1], box, started=i == split, finding=finding))
        picture.boxes.append(box)
        y = max(y, box.y) + box.height + layout.gap
        if i == split and layout.lanes > 1:
            y = max(y, picture.boxes[-2].y + picture.boxes[-2].height + layout.gap)
    if holder is not None:
        _hold(picture, holder)
    picture.height = max(box.y + box.height for box in picture.boxes) + 16
    if cycle:
        picture.links.append(_back(picture.boxes[0], picture.boxes[-1]))
    names = [short_function(step.frame.function) for step in steps if step.frame.function]
    picture.words = inert(" → ".join(names), 600)
    return picture


def _box(step: Step, finding: Finding, layout: Layout, x: int, y: int, width: int, *, stacked: bool) -> Box:
    roles = step.role.split()
    kind = next((role for role in ("gap", "blocked", "culprit", "starts") if role in roles), "plain")
    if kind == "gap":
        return Box(x, y, width, 26, kind, f"⋯ {step.skipped} more frames", "", "", "", False)
    return _frame_box(step.frame, kind, role_words(step, finding), layout, x, y, width, stacked=stacked)


def _frame_box(
    frame: Frame, kind: str, note: str, layout: Layout, x: int, y: int, width: int, *, stacked: bool = False
) -> Box:
    room = width - 2 * PAD
    name = short_function(frame.function) or frame.function
    where = place(frame)
    return Box(
        x=x,
        y=y,
        width=width,
        height=78 if note else 56,
        kind=kind,
        name=middle(inert(name), int(room / (layout.name_size * MONO))),
        place=_tail(inert(where), int(room / (layout.place_size * MONO))),
        note=middle(inert(note, 200), int(room / (layout.place_size * 0.58))),
        title=f"{inert(frame.function)}\n{inert(where)}",
        stacked=stacked,
    )


def _hold(picture: Picture, frame: Frame) -> None:
    """Below the blocked line: who may hold what it waits for."""
    last = picture.boxes[-1]
    y = last.y + last.height + picture.layout.gap + 12  # below the shadow of several goroutines
    box = _frame_box(frame, "holder", "may hold the lock", picture.layout, last.x, y, last.width)
    x = box.x + 36
    picture.links.append(
        Link(f"M{x} {last.y + last.height + 9}V{y - 4}", "holds", "waits for", x + 12, last.y + last.height + 29)
    )
    picture.boxes.append(box)


def _tail(path: str, width: int) -> str:
    return path if len(path) <= width else "…" + path[len(path) - width + 1 :]


def _link(upper: Box, lower: Box, *, started: bool, finding: Finding) -> Link:
    many = f" × {count(finding.count)}" if finding.count and finding.count > 1 else ""
    if started and lower.x > upper.x:
        y = upper.y + min(upper.height, lower.height) // 2
        begin, end = upper.x + upper.width, lower.x - 4
        # the label stands above the goroutines it counts
        words = f"go{many} goroutines" if many else "go"
        return Link(f"M{begin} {y}H{end}", "go", words, lower.x + 2, lower.y - 12)
    x = lower.x + 36
    begin, end = upper.y + upper.height, lower.y - 4
    label = f"go{many}" if started else ""
    return Link(f"M{x} {begin}V{end}", "go" if started else "call", label, x + 12, (begin + end) // 2 + 5)


def _back(first: Box, last: Box) -> Link:
    """From the last box of a cycle around the right side back to the first."""
    right = first.x + first.width
    top, bottom = first.y + first.height // 2, last.y + last.height // 2
    bend = right + 26
    d = f"M{right} {bottom}H{bend - 10}Q{bend} {bottom} {bend} {bottom - 10}V{top + 10}Q{bend} {top} {bend - 10} {top}H{right + 4}"
    return Link(d, "back")
