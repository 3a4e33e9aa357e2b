"""The rows of the benchmark: name, requirement, and the function that measures the figure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from fnmatch import fnmatch
from importlib import import_module
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Figure:
    """What a row measured: the figure, a line on what is behind it, and the raw repeats for the JSON file."""

    value: float
    note: str = ""
    raw: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """A figure with its requirement: ``compare`` "min" asks for at least ``required``, "max" for at most."""

    name: str
    measure: Callable[[Any], Figure]
    required: float | None
    compare: str
    unit: str
    peers: bool

    def ok(self, value: float) -> bool:
        if self.required is None:
            return True
        return bool(value >= self.required if self.compare == "min" else value <= self.required)


ROWS: dict[str, Row] = {}


def row(
    name: str, required: float | None = None, compare: str = "min", unit: str = "", peers: bool = False
) -> Callable[[Callable[[Any], Figure]], Callable[[Any], Figure]]:
    """Register a row; ``required=None`` prints the figure unjudged, ``peers`` says that it needs them."""
    if compare not in ("min", "max"):
        raise ValueError(f"compare is {compare!r}; expected 'min' or 'max'")

    def register(measure: Callable[[Any], Figure]) -> Callable[[Any], Figure]:
        if name in ROWS:
            raise ValueError(f"row {name!r} is registered twice")
        ROWS[name] = Row(name, measure, required, compare, unit, peers)
        return measure

    return register


def load_rows() -> dict[str, Row]:
    """Every row of the files ``rows_*.py`` beside this one."""
    for file in sorted(Path(__file__).parent.glob("rows_*.py")):
        import_module(f"{__package__}.{file.stem}")
    return ROWS


def select(patterns: list[str]) -> list[Row]:
    """The rows whose names match one of ``patterns`` (shell style, or a part of the name); all by default."""
    rows = list(load_rows().values())
    for pattern in patterns:
        if not any(_matches(r.name, pattern) for r in rows):
            raise ValueError(f"no row matches {pattern!r}; the rows are {', '.join(r.name for r in rows)}")
    return [r for r in rows if not patterns or any(_matches(r.name, p) for p in patterns)]


def _matches(name: str, pattern: str) -> bool:
    return fnmatch(name, pattern) or pattern in name
