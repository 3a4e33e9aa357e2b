"""What runs where: a table made from what the classes declare, and the contracts test."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import Any


def modules() -> Iterator[ModuleType]:
    """Every module of the package whose imports are installed."""
    import ipbox

    yield ipbox
    for found in pkgutil.walk_packages(ipbox.__path__, "ipbox."):
        if found.name == "ipbox.__main__":
            continue
        try:
            yield importlib.import_module(found.name)
        except ModuleNotFoundError as err:  # of an extra, such as torch
            if (err.name or "").startswith("ipbox"):
                raise


def classes() -> dict[str, list[Any]]:
    """The operators, functionals, solvers and samplers of the whole package, by kind and sorted by name.

    Left out are private classes and bases: what others derive from and no package exports, or what has no ``step``.

    Examples
    --------
    >>> from ipbox.cli.capabilities import classes
    >>> [cls.__name__ for cls in classes()["sampler"]][-4:]
    ['ProbabilityFlow', 'Projection', 'ReverseDiffusion', 'ULA']
    """
    exported = {name for module in modules() if "__path__" in vars(module) for name in vars(module).get("__all__", ())}
    from ipbox.bayes.samplers import Sampler
    from ipbox.functionals import Functional
    from ipbox.operators import Operator
    from ipbox.solvers import Solver

    kinds = {"operator": Operator, "functional": Functional, "solver": Solver, "sampler": Sampler}
    found: dict[str, list[Any]] = {}
    for kind, base in kinds.items():
        derived = {cls for cls in _derived(base) if cls.__module__.startswith("ipbox.")} - {*kinds.values()}
        if kind == "solver":
            derived -= _derived(Sampler)
        if kind in ("solver", "sampler"):
            derived = {cls for cls in derived if cls.step is not Solver.step}
        shown = [cls for cls in derived if cls.__name__ in exported or not cls.__subclasses__()]
        found[kind] = sorted((cls for cls in shown if cls.__name__[0] != "_"), key=lambda cls: cls.__name__)
    return found


def _derived(base: Any) -> set[Any]:
    children: list[Any] = base.__subclasses__()
    return {cls for child in children for cls in {child} | _derived(child)}


def markdown() -> str:
    """The table of ``docs/what-runs-where.md``, which ``python -m ipbox info --classes`` prints.

    Examples
    --------
    >>> from ipbox.cli.capabilities import markdown
    >>> print(markdown().splitlines()[0])
    | | NumPy | CuPy | float32, float64 | complex64, complex128 |
    """
    lines = ["| | NumPy | CuPy | float32, float64 | complex64, complex128 |", "|---|---|---|---|---|"]
    for kind, of_kind in classes().items():
        for cls in of_kind:
            cells = ["numpy" in cls.backends, "cupy" in cls.backends]
            cells += ["float32" in cls.dtypes, "complex64" in cls.dtypes]
            lines.append(f"| {kind} `{cls.__name__}` | " + " | ".join("yes" if c else "" for c in cells) + " |")
    return "\n".join(lines)
