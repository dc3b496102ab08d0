"""The log: no secret and no trick of a watched process gets into it."""

from __future__ import annotations

import errno
import json
import logging
import sys
from collections.abc import Iterator

import pytest
import structlog

from parkwarden.cli.logs import set_up


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:], root.level = handlers, level


def fail() -> None:
    headers = {"Authorization": "Bearer s3cr3t-w0rd"}
    raise ValueError(f"\x1b[31mred\u202e {len(headers)}")


@pytest.mark.parametrize("style", ["json", "text"])
def test_a_failure_tells_neither_secrets_nor_escapes(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Where it failed and with what words, without the variables that were there; at every level, in both styles."""
    set_up("debug", style)
    try:
        fail()
    except ValueError as error:
        structlog.get_logger().error("a part failed", part="sender\x1b[2J", exc_info=error)
    said = capsys.readouterr().err
    assert "ValueError" in said
    assert "fail" in said
    assert "s3cr3t" not in said
    assert "\x1b[31m" not in said
    assert "\x1b[2J" not in said
    assert "\u202e" not in said
    if style == "json":
        assert json.loads(said)["part"] == "sender\x1b[2J"


def test_a_log_on_a_full_disk_costs_lines_not_the_watch(monkeypatch: pytest.MonkeyPatch) -> None:
    """stderr that takes nothing raises in nobody's face."""

    class Full:
        def write(self, text: str = "") -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

        flush = write

        def isatty(self) -> bool:
            return False

    monkeypatch.setattr(sys, "stderr", Full())
    set_up("debug", "json")
    structlog.get_logger().error("a part failed")
    logging.getLogger("somebody's").warning("a library's word")
    assert structlog.is_configured()
