"""The words of the house are there when they are asked for, and only then."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import parkwarden.model as model


def test_every_word_is_there_under_its_name() -> None:
    """What `__all__` promises can be imported; nothing else pretends to be a word."""
    assert all(getattr(model, name) is not None for name in model.__all__)
    assert not hasattr(model, "NoSuchWord")


def test_type_checkers_and_programs_see_the_same_words() -> None:
    """The homes looked up at run time are the imports that type checkers read, word by word."""
    tree = ast.parse(Path(model.__file__).read_text())
    seen = {
        (node.module.rpartition(".")[2], alias.name)
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("parkwarden.model.")
        for alias in node.names
    }
    homes = {(module, name) for module, names in model._HOMES.items() for name in names.split()}
    assert homes == seen
    assert {name for _, name in homes} == set(model.__all__)


def test_an_error_needs_no_other_word() -> None:
    """A command line that fails at once has not built the words of watching."""
    code = "import sys, parkwarden.model.errors; print('parkwarden.model.incident' in sys.modules)"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()
        == "False"
    )
