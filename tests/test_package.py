"""The package's face."""

from __future__ import annotations

import subprocess
import sys

import parkwarden


def test_the_face_is_small_and_whole() -> None:
    """`__all__` is the public face: nothing else is promised, and everything in it is there."""
    assert parkwarden.__all__ == ["__version__", "cluster", "diagnose", "read"]
    assert all(hasattr(parkwarden, name) for name in parkwarden.__all__)


def test_import_is_near_free() -> None:
    """Importing the package pulls in no heavy library: an engineer types `parkwarden --help` and gets it at once."""
    code = "import parkwarden, sys; print([m for m in ('numpy', 'rich', 'llvmlite', 'aiohttp', 'typer') if m in sys.modules])"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )


def test_help_pulls_in_nothing_heavy() -> None:
    """`--help` imports the command line only: no arrays, no compiler, no HTTP."""
    code = (
        "import sys, parkwarden.cli as c\ntry: c.app(['--help'], standalone_mode=False)\nexcept SystemExit: pass\n"
        "print([m for m in ('numpy', 'llvmlite', 'aiohttp', 'jinja2', 'numba') if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "diagnose" in out
    assert out.strip().endswith("[]")
