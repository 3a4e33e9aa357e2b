"""Which of some names a mistyped one stands for."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def plain(word: str) -> str:
    """Letters and digits, in lower case.

    Examples
    --------
    >>> from ipbox.spelling import plain
    >>> plain("Ram-Lak")
    'ramlak'
    """
    return "".join(c for c in word.lower() if c.isalnum())


def alike(word: str, names: Iterable[str]) -> list[str]:
    """The names that differ from ``word`` in case, underscores and hyphens only."""
    return [name for name in names if plain(name) == plain(word)]


def close(word: str, names: Iterable[str], ratio: float) -> list[str]:
    """The names that come nearest to ``word``, where difflib's ratio is at least ``ratio``.

    Examples
    --------
    >>> from ipbox.spelling import close
    >>> close("filtre", ["filter", "niter"], 0.7)
    ['filter']
    """
    names = list(names)
    nearest = difflib.get_close_matches(plain(word), [plain(name) for name in names], 1, ratio)
    return [name for best in nearest for name in alike(best, names)]
