"""The loader of compiled hot loops."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from parkwarden import kernels

BATCH = bytes([1, 1, 1, 1, 2, 0, 0])
"""A trace's batch: type, generation, thread, time, size, two bytes of content."""


def test_a_kernel_answers() -> None:
    """A loaded kernel is the function that was compiled: here, where after junk a batch begins."""
    data = b"\xff\xff" + BATCH
    assert kernels.load("trace_tables")["resync"](data, len(data), 0, 0) == 2
    assert kernels.load("trace_tables")["resync"](b"\xff" * 9, 9, 0, 0) == 9


def test_wrong_arguments_are_refused() -> None:
    """Kernels trust their arguments, so the wrapper refuses a wrong type, layout or number before the call."""
    resync = kernels.load("trace_tables")["resync"]
    with pytest.raises(TypeError, match="takes 4"):
        resync(b"x", 1)
    with pytest.raises(TypeError, match="contiguous"):
        resync(np.zeros(4, dtype=np.int64), 4, 0, 0)
    with pytest.raises(TypeError, match="contiguous"):
        resync(np.zeros(8, dtype=np.uint8)[::2], 4, 0, 0)


def test_loading_needs_no_numba() -> None:
    """With a cache, a process never imports numba: that is what the cache is for."""
    code = "from parkwarden import kernels; kernels.load('trace_tables'); import sys; print('numba' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_compiles_into_a_fresh_cache_and_mistrusts_a_damaged_one(tmp_path: Path) -> None:
    """Without a cache the kernel is compiled and kept; a damaged or writable-by-others entry is compiled anew."""
    env = {**os.environ, "PARKWARDEN_CACHE_DIR": str(tmp_path)}
    code = "from parkwarden import kernels; print(kernels.load('trace_tables')['resync'](b'xx', 2, 0, 0))"

    def run() -> str:
        return subprocess.run(
            [sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True
        ).stdout.strip()

    assert run() == "2"
    (entry,) = tmp_path.glob("*.kernel")
    good = entry.read_bytes()
    entry.write_bytes(good[:-10] + b"x" * 10)
    assert run() == "2"
    assert entry.read_bytes() == good
    entry.chmod(0o666)
    assert run() == "2"
    assert entry.stat().st_mode & 0o022 == 0
