"""What the real CuPy offers: names, kinds and signatures, read from ``cupy_api.json``.

A signature is a list of words: ``a`` is required, ``axis=`` has a default, ``*`` starts keyword-only ones.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path

_TABLE = json.loads((Path(__file__).parent / "cupy_api.json").read_text(encoding="utf-8"))
VERSION = _TABLE["version"]


class _Default:
    def __repr__(self) -> str:
        return "..."


_DEFAULT = _Default()


def kind(module: str, name: str) -> str | None:
    """``"functions"``, ``"ufuncs"``, ``"classes"``, ``"values"``, or None where CuPy has no such name."""
    for group, names in _TABLE.get(module, {}).items():
        if name in (names if isinstance(names, dict) else names.split()):
            return group
    return None


def names(module: str, group: str | None = None) -> list[str]:
    """All recorded names of a module, or those of one group."""
    groups = _TABLE.get(module, {})
    chosen = groups if group is None else {group: groups.get(group, "")}
    return [n for value in chosen.values() for n in (value if isinstance(value, dict) else value.split())]


def signature(module: str, name: str, *leading: str) -> inspect.Signature:
    """The signature of a function; ``leading`` names are put in front (``self`` of a method)."""
    parameters = [inspect.Parameter(n, inspect.Parameter.POSITIONAL_ONLY) for n in leading]
    keyword_only = False
    for word in _TABLE[module]["functions"][name].split():
        default = _DEFAULT if word.endswith("=") else inspect.Parameter.empty
        word = word.rstrip("=")
        if word == "*":
            keyword_only = True
            continue
        if word.startswith("**"):
            how = inspect.Parameter.VAR_KEYWORD
        elif word.startswith("*"):
            how, keyword_only = inspect.Parameter.VAR_POSITIONAL, True
        elif keyword_only:
            how = inspect.Parameter.KEYWORD_ONLY
        else:
            how = inspect.Parameter.POSITIONAL_OR_KEYWORD
        if how in (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL):
            default = inspect.Parameter.empty
        parameters.append(inspect.Parameter(word.lstrip("*"), how, default=default))
    return inspect.Signature(parameters)
