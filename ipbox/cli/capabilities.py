"""What runs where: a table made from what the classes declare, and the contracts test."""

from __future__ import annotations

import inspect


def capabilities() -> list[tuple[str, str, tuple[str, ...], tuple[str, ...]]]:
    """(kind, class, array libraries, dtypes) for every public operator, functional and solver.

    Examples
    --------
    >>> from ipbox.cli.capabilities import capabilities
    >>> [row[2] for row in capabilities() if row[1] == "RayTransform"]
    [('numpy', 'cupy')]
    """
    from ipbox import functionals, operators, solvers

    bases = {"operator": operators.Operator, "functional": functionals.Functional, "solver": solvers.Solver}
    rows = []
    for module, (kind, base) in zip((operators, functionals, solvers), bases.items(), strict=True):
        for name in module.__all__:
            cls = getattr(module, name)
            if inspect.isclass(cls) and issubclass(cls, base) and cls is not base:
                rows.append((kind, name, cls.backends, cls.dtypes))
    return rows


def markdown() -> str:
    """The README's table.

    Examples
    --------
    >>> from ipbox.cli.capabilities import markdown
    >>> print(markdown().splitlines()[0])
    | | NumPy | CuPy | float32, float64 | complex64, complex128 |
    """
    lines = ["| | NumPy | CuPy | float32, float64 | complex64, complex128 |", "|---|---|---|---|---|"]
    for kind, name, backends, dtypes in capabilities():
        cells = ["numpy" in backends, "cupy" in backends, "float32" in dtypes, "complex64" in dtypes]
        lines.append(f"| {kind} `{name}` | " + " | ".join("yes" if c else "" for c in cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    print(markdown())
