"""The frame of the page in a real Chromium over live leaks: live, inert, accessible, by keyboard, at any width."""

from __future__ import annotations

from typing import Any

import pytest

from tests.e2e.page import LiveBoard, accessible, fits

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_fleet_page_keeps_nobody_out(live: LiveBoard, browser: Any, scheme: str) -> None:
    """axe-core finds nothing serious, at a desk and at 360 px, light and dark; no console error, nothing foreign, hostile names inert."""
    for width in (1280, 360):
        with live.page(browser, "/", width=width, scheme=scheme) as page:
            page.get_by_text("live", exact=True).wait_for()
            accessible(page)
            fits(page)
