"""`make screenshots`: the pictures of README and docs, taken from a real report in a real browser.

Runs the timing-wheel story of the lab, diagnoses what it saved, opens the HTML report in Debian's Chromium.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

ROOT = Path(__file__).resolve().parent.parent
IMAGES = ROOT / "docs" / "img"
PARKWARDEN = str(Path(sys.prefix) / "bin" / "parkwarden")


def main() -> int:
    chromium = shutil.which("chromium")
    if chromium is None:
        print("screenshots: chromium is missing (tools/setup-e2e.sh installs it)", file=sys.stderr)
        return 1
    IMAGES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        bag, page_file = Path(scratch) / "bag", Path(scratch) / "report.html"
        subprocess.run([PARKWARDEN, "lab", "run", "timing-wheel", "-o", str(bag)], check=True)
        subprocess.run(
            [
                PARKWARDEN,
                "diagnose",
                str(bag),
                "--source",
                str(ROOT / "lab" / "timing-wheel"),
                "--format",
                "html",
                "-o",
                str(page_file),
            ],
            check=False,
        )
        with sync_playwright() as play:
            browser = play.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            for name, width, scheme in (("report", 1280, "light"), ("report-dark", 1280, "dark")):
                page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)  # type: ignore[arg-type]
                page.goto(page_file.as_uri())
                page.screenshot(path=str(IMAGES / f"{name}.png"))
            browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
