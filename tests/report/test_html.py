"""The HTML report: self-contained, inert, bounded, verdict first."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from parkwarden.model import Case, Report
from parkwarden.report.html import MAX_HTML_BYTES, render
from tests.report import samples


class Page(HTMLParser):
    """Collects what a browser would see: tags with attributes, scripts, styles."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.inside: list[str] = []
        self.raw: dict[str, list[str]] = {"script": [], "style": []}
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag in self.raw:
            self.raw[tag].append("")
            self.inside.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if self.inside and self.inside[-1] == tag:
            self.inside.pop()

    def handle_data(self, data: str) -> None:
        if self.inside:
            self.raw[self.inside[-1]][-1] += data
        else:
            self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


@pytest.fixture(scope="module")
def hostile() -> Page:
    return Page(render(*samples.hostile()))


def test_verdict_culprit_and_advice_come_in_this_order() -> None:
    """The verdict is the first thing on the page, then the culprit, the path, why, what to do, the rest."""
    text = Page(render(samples.report(), samples.case())).text
    order = ["LEAK", samples.leak().title, "culprit", samples.QUOTE.function, "The leak path", "Why we say so",
             "What to do", "In your source", "Other findings", "Clusters", "Flame graph", "What the trace saw", "Inputs"]  # fmt: skip
    places = [text.index(word, text.index("Skip to")) for word in order[:1]]
    for word in order[1:]:
        places.append(text.index(word, places[-1] if word != "Clusters" else text.index("Other findings")))
    assert places == sorted(places)
    assert "just after a restart" in text
    assert "3 secrets" in text


def test_page_asks_for_nothing_from_anywhere() -> None:
    """No address, no import, no font, no image: it opens offline and tells nobody."""
    page = Page(render(samples.report(), samples.case()))
    for _tag, attrs in page.tags:
        for name in ("src", "href", "action", "data", "poster", "srcset", "xlink:href", "background"):
            value = attrs.get(name)
            assert value is None or value.startswith("#") or value == "data:,"
    for text in page.raw["style"] + page.raw["script"]:
        assert not re.search(r"https?://|url\(\s*[\"']?(?!#)|@import|fetch\(|XMLHttpRequest|WebSocket", text)


def test_policy_allows_exactly_our_script_and_style() -> None:
    """CSP by hash of what is really in the file; no inline handler or style attribute needs an exception."""
    page = Page(render(samples.report(), samples.case()))
    policy = next(
        a["content"] for t, a in page.tags if t == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy is not None
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for text in [page.raw["style"][0], page.raw["script"][1]]:
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy
    assert not [a for _t, attrs in page.tags for a in attrs if a.startswith("on") or a == "style"]


def test_script_never_parses_text_as_markup() -> None:
    """Data reaches the page through textContent only."""
    script = Page(render(samples.report(), samples.case())).raw["script"][1]
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|setAttribute\(\"on", script
    )


def test_hostile_names_make_no_tags(hostile: Page) -> None:
    """Names full of markup add no element: two scripts (data and ours), no image, no handler."""
    tags = [tag for tag, _ in hostile.tags]
    assert tags.count("script") == 2
    assert "img" not in tags
    assert not [a for _t, attrs in hostile.tags for a in attrs if a.startswith("on")]
    assert "<script>alert(1)</script>" in hostile.text
    assert "{{ 7 * 7 }}" in hostile.text


def test_hostile_names_are_visible_escapes(hostile: Page) -> None:
    """No control, bidi or zero-width character is in the file; it is valid UTF-8."""
    report, case = samples.hostile()
    text = render(report, case)
    assert not [c for c in text if not c.isprintable() and c != "\n"]
    assert text.encode("utf-8")
    assert "\\x1b[31mred" in hostile.text
    assert "\\u202e" in hostile.text


def test_data_block_cannot_be_left(hostile: Page) -> None:
    """The JSON block has no `<` at all, and parses to the inert names."""
    block = hostile.raw["script"][0]
    assert "<" not in block
    data = json.loads(block)
    assert "</script><img src=x onerror=alert(2)>" in data["strings"]


def test_huge_case_stays_below_the_limit_and_says_so() -> None:
    """5,000 clusters of 60 frames with long names: below 2 MB, and the page says what is left out."""
    case = samples.huge()
    text = render(samples.report(), case)
    assert len(text.encode()) <= MAX_HTML_BYTES < 2_000_000
    assert "biggest of 5,000 are shown" in Page(text).text
    assert "boxes are too small to draw" in Page(text).text


def test_worst_case_of_everything_stays_below_the_limit() -> None:
    """Even when every name is at its longest after escaping, the limits are halved until the page fits."""
    report, case = samples.hostile()
    worst = samples.huge(n=600, depth=60, name=10)
    for i, cluster in enumerate(worst.clusters):
        name = "<\u202e&" * 200 + str(i)
        worst.clusters[i].labels = case.clusters[0].labels
        cluster.site = samples.site(
            i, name, tuple(f._replace(function=name + str(j)) for j, f in enumerate(cluster.site.frames))
        )
    report.findings = report.findings * 20
    report.inputs = report.inputs * 100
    assert len(render(report, worst).encode()) <= MAX_HTML_BYTES


def test_empty_report_renders() -> None:
    """No findings, no inputs, no goroutines: a calm page that says so."""
    text = Page(render(Report(generated_at="now", inputs=[], findings=[]), Case(artefacts=[]))).text
    assert "Nothing wrong found" in text
    assert "Flame graph" not in text


def test_leak_path_is_a_picture_in_two_forms() -> None:
    """Inline SVG for wide and narrow screens, with the path in words for those who cannot see it."""
    page = Page(render(samples.report(samples.leak()), samples.case()))
    pictures = [attrs for tag, attrs in page.tags if tag == "svg" and "path" in (attrs.get("class") or "").split()]
    assert len(pictures) == 2
    label = pictures[0]["aria-label"] or ""
    assert label.index("Quote") < label.index("NewTimingWheelWithTicker") < label.index("(*TimingWheel).run")
    assert "stuck here: select, ≥ 47 min" in page.text


def test_same_report_same_page() -> None:
    """Rendering is a pure function."""
    assert render(samples.report(), samples.case()) == render(samples.report(), samples.case())


def test_rows_come_by_what_there_is_now() -> None:
    """The first order is the one the header tells: goroutines of the last look, most first."""
    page = Page(render(samples.report(), samples.case(40)))
    counts = [int(attrs["data-n"] or 0) for tag, attrs in page.tags if tag == "tr" and attrs.get("class") == "row"]
    assert len(counts) == 40
    assert counts == sorted(counts, reverse=True)
