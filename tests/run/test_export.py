"""Exporting: merged on the wire where it can be, from the model where it must be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from parkwarden.collect.limits import quiet
from parkwarden.formats import profile_proto
from parkwarden.model import FormatError, UsageError
from parkwarden.run.export import export


def goroutine(data: Path) -> Path:
    return data / "profile_proto" / "go1.27" / "goroutine.pb.gz"


def test_profiles_add_up(data: Path) -> None:
    """Two times the same profile merged holds twice the goroutines."""
    one = str(goroutine(data))
    merged = export([one, one], "pprof", redact=True, tell=quiet)
    assert isinstance(merged, bytes)
    once, twice = profile_proto.read(goroutine(data).read_bytes()), profile_proto.read(merged)
    assert once.snapshot is not None
    assert twice.snapshot is not None
    assert twice.snapshot.total == 2 * once.snapshot.total


def test_a_dump_becomes_a_profile_and_folded_stacks(data: Path) -> None:
    """Any artefact with stacks can be exported in every form."""
    dump = str(data / "goroutine_dump" / "1.27" / "debug2.txt")
    made = export([dump], "pprof", redact=True, tell=quiet)
    assert isinstance(made, bytes)
    assert profile_proto.read(made).records > 0
    folded = export([dump], "folded", redact=True, tell=quiet)
    assert isinstance(folded, str)
    assert all(line.rpartition(" ")[2].isdigit() for line in folded.splitlines())
    scope = export([dump], "speedscope", redact=True, tell=quiet)
    assert json.loads(scope)["profiles"]


def test_what_cannot_be_exported_is_refused(data: Path) -> None:
    """Pages of numbers hold no stacks; live services are saved first."""
    with pytest.raises(FormatError, match="holds stacks"):
        export([str(data / "expvar" / "go1.27" / "vars.json")], "folded", redact=True, tell=quiet)
    with pytest.raises(UsageError, match="reads files"):
        export(["http://127.0.0.1:9"], "pprof", redact=True, tell=quiet)
