"""Public names: that they are there, documented, declared for type checkers, and found where they used to be."""

from __future__ import annotations

import ast
import importlib
import inspect

import pytest

import ipbox
from ipbox import moved
from tests.house.source import PACKAGE


def test_public_names() -> None:
    for name in ipbox.__all__:
        value = getattr(ipbox, name)
        assert inspect.ismodule(value) or callable(value), name
        assert name in dir(ipbox) and getattr(ipbox, name) is value
        assert value.__doc__, f"{name} has no docstring"
        assert inspect.ismodule(value) or ">>> " in value.__doc__, f"{name} has no example"


def test_unknown_name() -> None:
    with pytest.raises(AttributeError, match="no_such_name"):
        ipbox.no_such_name  # noqa: B018


def test_stop_is_the_module_of_stop_rules() -> None:
    from ipbox.solvers import stopping

    assert ipbox.stop is stopping


def test_stub_lists_every_public_name() -> None:
    """The names type checkers see are those that exist at run time (``stop`` is written by hand in both)."""
    declared = {"stop"}
    for node in ast.parse((PACKAGE / "__init__.pyi").read_text()).body:
        if isinstance(node, ast.ImportFrom):
            declared |= {alias.asname or alias.name for alias in node.names}
    assert declared == set(ipbox.__all__)


@pytest.mark.parametrize("old", moved.MOVED)
def test_old_import_path_gives_the_module_at_its_new_one(old: str) -> None:
    new = f"ipbox.{moved.MOVED[old]}"
    assert not (PACKAGE / f"{old.replace('.', '/')}.py").exists()
    with pytest.warns(DeprecationWarning, match=f"ipbox.{old} is now {new}"):
        module = moved.OldPaths().create_module(moved.OldPaths().find_spec(f"ipbox.{old}"))
    assert module is importlib.import_module(new)
