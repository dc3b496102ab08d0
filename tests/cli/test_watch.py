"""`parkwarden watch` on the command line: what it refuses, and how it says so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from parkwarden.cli import watch
from parkwarden.cli.errors import show
from parkwarden.model import UsageError


def refused(capsys: pytest.CaptureFixture[str], *urls: str, **options: Any) -> str:
    with pytest.raises(UsageError) as ended:
        watch.command(list(urls), **options)
    show(ended.value)
    return capsys.readouterr().err


def test_nothing_to_watch_is_told_with_the_next_step(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Without a target nothing would ever be said: the command ends instead of waiting for ever."""
    assert refused(capsys) == (
        "error[nothing-to-watch]: there is nothing to watch\n  next: give a URL, or -c parkwarden.yaml\n"
    )
    empty = tmp_path / "empty.yaml"
    empty.write_text("log: {level: info}\n")
    assert refused(capsys, config_file=empty) == (
        f"error[nothing-to-watch]: {empty} names no targets\n"
        "  next: give it targets, a discovery, a Prometheus or a receiver (docs/configuration.md), or a URL beside -c\n"
    )


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (
            {"listen": "0.0.0.0:9999"},
            "error[token-needed]: listening on 0.0.0.0 would show our pages to everybody who can reach it\n"
            "  next: set web.token or web.tokens in the configuration ({env: NAME} or {file: PATH}), or listen on 127.0.0.1\n",
        ),
        (
            {"listen": "foo"},
            "error[bad-listen]: --listen foo: expected host:port, such as 127.0.0.1:9870 or [::1]:9870\n"
            "  next: --listen 127.0.0.1:0 takes any free port\n",
        ),
        (
            {"webhook": ["foo"]},
            "error[channel-url]: --webhook: webhook-1 needs http:// or https:// URLs without credentials in them (they belong "
            "under auth)\n  next: docs/configuration.md#channels says what a channel may be\n",
        ),
    ],
)
def test_errors_teach(capsys: pytest.CaptureFixture[str], options: dict[str, Any], wanted: str) -> None:
    """What is wrong with which option, and what would be right."""
    assert refused(capsys, "http://127.0.0.1:6060", **options) == wanted
