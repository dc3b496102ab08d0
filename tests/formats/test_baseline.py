"""Baseline files: stable, readable again, and harmless when damaged."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from parkwarden.formats.baseline import MAX_BYTES, read, sniff, write
from parkwarden.model import FormatError, Frame, LimitError
from parkwarden.model.baseline import Baseline, Standing

SCHEMA = json.loads((Path(__file__).parents[2] / "docs" / "schema" / "baseline-1.json").read_text())
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)

sites = st.builds(
    Standing,
    site_id=st.text("0123456789abcdef", min_size=1),
    start=TEXT,
    function=TEXT,
    file=TEXT,
    line=st.integers(0, 1 << 30),
    wait_reason=TEXT,
    count=st.integers(0, 1 << 40),
    created_by=st.none() | st.builds(Frame, TEXT, TEXT, st.integers(0, 1 << 30)),
)
baselines = st.lists(
    st.builds(Baseline, subject=TEXT, standing=st.lists(sites, max_size=4).map(tuple)),
    max_size=3,
    unique_by=lambda one: one.subject,
)


@given(baselines)
def test_what_is_written_is_read_again(kept: list[Baseline]) -> None:
    """Nothing is lost on the way, the order of subjects does not matter, and the file follows its schema."""
    data = write(kept)
    found, problems = read(data, "b.json")
    assert problems == []
    assert found == sorted(kept, key=lambda one: one.subject)
    assert write(list(reversed(kept))) == data
    assert sniff(data)
    jsonschema.validate(json.loads(data), SCHEMA)


@given(st.binary(max_size=200))
def test_anything_else_is_a_typed_error(data: bytes) -> None:
    """Bytes that are no baseline raise FormatError, never anything else."""
    with pytest.raises(FormatError):
        read(data, "x")


@given(st.recursive(st.none() | st.booleans() | st.integers() | TEXT, lambda c: st.lists(c) | st.dictionaries(TEXT, c)))
def test_a_bad_subject_or_site_costs_itself(junk: object) -> None:
    """What is no site is a problem with its place; the others are read."""
    good = json.loads(write([Baseline(subject="s", standing=(site(),))]))["subjects"][0]
    good["sites"].append(junk)
    text = json.dumps({"schema": "parkwarden.baseline/1", "subjects": [junk, good]}).encode()
    found, problems = read(text)
    assert found[-1].standing == (site(),)
    assert {p.where for p in problems} == {"subjects[0]", "subjects[1].sites[1]"}


def site() -> Standing:
    return Standing(site_id="s1", start="main.f", function="main.f", file="x.go", line=3, wait_reason="select", count=2)


def test_versions_and_sizes_have_limits() -> None:
    """A file of another version says which; one beyond the limit is not parsed at all."""
    with pytest.raises(FormatError) as other:
        read(b'{"schema": "parkwarden.baseline/2", "subjects": []}', "b.json")
    assert other.value.code == "baseline-version"
    with pytest.raises(LimitError):
        read(b" " * (MAX_BYTES + 1))
