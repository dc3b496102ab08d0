"""Mutated real samples through every reader: a short run with the end-to-end tests, a million with `make e2e-full`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent.parent
SEED = int(os.environ.get("FUZZ_SEED", "1"))
BLOCK = 5_000
BLOCK_SECONDS = 600
"""A block that takes longer holds a hang inside a kernel, where no Python signal gets through."""


def _block(first: int, last: int, state: Path, worker: str = "worker") -> str:
    """Run one block of cases; what went wrong in words, or an empty string."""
    state.write_bytes(b"%012d" % first)
    command = [sys.executable, "-m", f"tests.fuzz.{worker}", str(SEED), str(first), str(last), str(state)]
    try:
        ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=BLOCK_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"hang in case {state.read_text()} of seed {SEED}"
    if ended.returncode < 0:
        return (
            f"killed by signal {-ended.returncode} in case {state.read_text()} of seed {SEED}\n{ended.stderr[-2000:]}"
        )
    print(ended.stdout.strip().splitlines()[-1] if ended.stdout.strip() else ended.stderr[-500:])
    return "" if ended.returncode == 0 else ended.stdout[-3000:] + ended.stderr[-2000:]


def _run(cases: int, tmp_path: Path, worker: str = "worker") -> list[str]:
    def blocks() -> Iterator[tuple[int, int, Path]]:
        for first in range(0, cases, BLOCK):
            yield first, min(first + BLOCK, cases), tmp_path / f"state-{first}"

    with ThreadPoolExecutor(max_workers=os.cpu_count() or 1) as pool:
        return [r for r in pool.map(lambda b: _block(*b, worker), blocks()) if r]


@pytest.mark.e2e
def test_twenty_thousand_mutations_do_no_harm(tmp_path: Path) -> None:
    """No crash, no hang over 2 s, no ballooning on 20,000 mutated samples."""
    assert _run(20_000, tmp_path) == []


@pytest.mark.full
def test_a_million_mutations_do_no_harm(tmp_path: Path) -> None:
    """No crash, no hang over 2 s, no ballooning on 1,000,000 mutated samples (FUZZ_SEED chooses others)."""
    assert _run(1_000_000, tmp_path) == []


@pytest.mark.e2e
def test_ten_thousand_mutated_messages_of_senders_do_no_harm(tmp_path: Path) -> None:
    """No crash, no hang over 2 s, no ballooning on 10,000 mutated messages of each receiver, and some of them still become readings."""
    assert _run(10_000, tmp_path, "frames") == []


@pytest.mark.full
def test_half_a_million_mutated_messages_of_senders_do_no_harm(tmp_path: Path) -> None:
    """The same with 500,000 messages of each receiver."""
    assert _run(500_000, tmp_path, "frames") == []
