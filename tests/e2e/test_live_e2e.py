"""A real Go service, looked at live: every cheap look arrives, the leak shows, nothing is left open."""

from __future__ import annotations

import os

import numpy as np
import pytest

from parkwarden.collect import limits
from parkwarden.collect.live import LiveOptions, look_sync
from parkwarden.model import Kind, Snapshot

pytestmark = pytest.mark.e2e


def test_a_whole_look_at_a_leaking_service(service: str) -> None:
    """Two profiles and two censuses show the growth and who stayed; each look's price is known; no descriptor stays open."""
    open_before = len(os.listdir("/proc/self/fd"))
    bag = look_sync(f"http://me:secret@{service}", options=LiveOptions(interval_s=1.5, rate_trace_s=0.5))
    assert len(os.listdir("/proc/self/fd")) <= open_before + 1
    kinds = [a.kind for a in bag.artefacts]
    for kind in (
        Kind.GOROUTINE_PROFILE,
        Kind.EXPVAR,
        Kind.TRACE,
        Kind.HEAP_PROFILE,
        Kind.BLOCK_PROFILE,
        Kind.GOROUTINELEAK_PROFILE,
        Kind.GOROUTINE_DUMP,
    ):
        assert kind in kinds
    assert all(p.code != "reader-failed" for a in bag.artefacts for p in a.problems)
    assert all(a.taken_at is not None for a in bag.artefacts)
    first, second = (a.snapshot for a in bag.artefacts if a.kind is Kind.GOROUTINE_PROFILE)
    assert first is not None
    assert second is not None
    assert second.total > first.total + 50
    before, after = (_ids(a.snapshot) for a in bag.artefacts if a.kind is Kind.TRACE)
    assert len(np.intersect1d(before, after)) > 50
    assert len(bag.cmdline) == 1
    assert "secret" not in repr(bag)
    assert {c.what for c in bag.costs if c.took_s is not None} >= {"index", "goroutine", "trace", "goroutine?debug=2"}


def _ids(snapshot: Snapshot | None) -> np.ndarray:
    assert snapshot is not None
    return snapshot.goid


def test_limits_follow_the_number_of_goroutines(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above their limits the dear looks are not asked, and the price list says why."""
    monkeypatch.setattr(limits, "TEXT_DUMP_MAX_GOROUTINES", 10)
    monkeypatch.setattr(limits, "LEAK_PROFILE_MAX_GOROUTINES", 10)
    bag = look_sync(service, options=LiveOptions(interval_s=0, rate_trace_s=0.05))
    kinds = [a.kind for a in bag.artefacts]
    assert Kind.GOROUTINE_DUMP not in kinds
    assert Kind.GOROUTINELEAK_PROFILE not in kinds
    assert sum(c.note.startswith("not asked") for c in bag.costs) == 3
