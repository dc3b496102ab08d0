"""What a browser loads: one palette, nothing from elsewhere, licences beside what is vendored, and little of it."""

from __future__ import annotations

import gzip
import re
from pathlib import Path

from parkwarden import report, web

STATIC = Path(web.__file__).parent / "static"
REPORT = Path(report.__file__).parent / "static"
TEMPLATES = Path(web.__file__).parent / "templates"
MAX_FRAME_BYTES = 60_000
"""Scripts and styles of the frame, compressed: a fifth of what the fleet page may load in all."""


def colours(block: str) -> dict[str, str]:
    return dict(re.findall(r"--([a-z-]+): ([^;]+);", block))


def test_page_and_report_have_one_palette() -> None:
    """Each colour of the report is the page's of the same name, light and dark."""
    ours = colours((STATIC / "base.css").read_text().split("}", 1)[0])
    text = (REPORT / "report.css").read_text()
    light, dark = (colours(block) for block in re.findall(r":root \{([^}]*)\}", text)[:2])
    assert len(dark) > 20
    for name, value in light.items():
        expected = f"light-dark({value}, {dark[name]})" if name in dark else value
        assert ours[name] == expected, name


def test_nothing_inline_and_nothing_from_elsewhere() -> None:
    """The policy forbids inline scripts and styles and other hosts: no template may hold one, a browser would drop it silently."""
    for file in TEMPLATES.glob("**/*.html"):
        text = file.read_text()
        assert not re.search(r"<script(?![^>]*(src=|application/json))[^>]*>", text), file.name
        assert not re.search(r"""\s(style|on[a-z]+|hx-on[:a-z-]*|hx-vals\s*=\s*["']js:)=?["']""", text), file.name
        assert "<style" not in text, file.name
        assert not re.search(r"(src|href|action)=[\"']?(https?:)?//", text), file.name
        assert "|safe" not in text, file.name


def test_what_is_vendored_has_its_licence() -> None:
    """Each file under vendor/ stands in its README with version and licence, and the licence's text is beside it."""
    readme = (STATIC / "vendor" / "README.md").read_text()
    for file in (STATIC / "vendor").iterdir():
        if file.suffix in (".js", ".css"):
            assert file.name in readme
            assert file.with_name(file.name.split(".")[0] + ".LICENSE").read_text().strip()


def test_the_frame_is_light() -> None:
    """What every page loads besides itself, compressed."""
    names = ("base.css", "base.js", "theme.js", "vendor/htmx.min.js", "icon.svg")
    assert sum(len(gzip.compress((STATIC / name).read_bytes(), 9)) for name in names) < MAX_FRAME_BYTES
