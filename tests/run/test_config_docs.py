"""The configuration's documentation is one with the code: page, schema, example."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from parkwarden.run.config import ConfigError, parse_config

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

import settings_page  # noqa: E402

SCHEMA = json.loads(settings_page.schema())


def test_every_setting_says_what_it_means() -> None:
    """Each has a sentence under it, and stands on the page with its default."""
    settings = list(settings_page.settings())
    assert len(settings) > 100
    assert [s.path for s in settings if not s.meaning] == []
    page = settings_page.page("")
    for one in settings:
        name = one.path.rstrip("[]").removesuffix(".<name>").rpartition(".")[2]
        assert re.search(rf"(`|\.|## ){name}\b", page), one.path


def test_the_schema_is_one() -> None:
    """A JSON Schema in good standing (tests/test_docs.py holds that it is the written one)."""
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_example_loads(tmp_path: Path) -> None:
    """The commented example is a configuration, by us and by the schema."""
    text = (ROOT / "docs/parkwarden.example.yaml").read_text()
    for name in ("inventory", "us-1-token", "pagerduty", "wall-screen"):
        (tmp_path / name).write_text(f"word-of-a-test-{name}")
    text_here = text.replace("/run/secrets", str(tmp_path))
    names = set(re.findall(r"\{env: ([A-Z_]+)\}", text))
    config = parse_config(text_here, environ=dict.fromkeys(names, "a-word-long-enough"))
    assert len(config.discovery.kubernetes) == 2
    assert config.alert.routes[0].unanswered == ("mail",)
    jsonschema.validate(yaml.safe_load(text), SCHEMA)


@pytest.mark.parametrize(
    "text",
    ["web: {lisen: x}", "web: {token: plain}", "collect: {interval_s: soon}", "targets: [{labels: {}}]", "log: {level: loud}", "store: {sync: never}"],
)  # fmt: skip
def test_schema_and_loader_refuse_the_same(text: str) -> None:
    """An editor warns of what loading will refuse."""
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(yaml.safe_load(text), SCHEMA)
    with pytest.raises(ConfigError):
        parse_config(text, environ={})
