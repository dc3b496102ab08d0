"""The loader of compiled hot loops."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from parkwarden import kernels


def test_counts_a_byte() -> None:
    """A kernel gives the same answer as Python."""
    data = b"a\nbb\n\nc"
    assert kernels.load("lines")["count_byte"](data, len(data), 10) == data.count(b"\n")


def test_wrong_arguments_are_refused() -> None:
    """Kernels trust their arguments, so the wrapper refuses a wrong type, layout or number before the call."""
    count = kernels.load("lines")["count_byte"]
    with pytest.raises(TypeError, match="takes 3"):
        count(b"x", 1)
    with pytest.raises(TypeError, match="contiguous"):
        count(np.zeros(4, dtype=np.int64), 4, 0)
    with pytest.raises(TypeError, match="contiguous"):
        count(np.zeros(8, dtype=np.uint8)[::2], 4, 0)


def test_loading_needs_no_numba() -> None:
    """With a cache, a process never imports numba: that is what the cache is for."""
    code = "from parkwarden import kernels; kernels.load('lines'); import sys; print('numba' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


def test_compiles_into_a_fresh_cache_and_mistrusts_a_damaged_one(tmp_path: Path) -> None:
    """Without a cache the kernel is compiled and kept; a damaged or writable-by-others entry is compiled anew."""
    env = {**os.environ, "PARKWARDEN_CACHE_DIR": str(tmp_path)}
    code = "from parkwarden import kernels; print(kernels.load('lines')['count_byte'](b'xx', 2, 120))"

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
