"""Several reconstruction maps Φ on many problems, which processes or ranks share: figures, and their means."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ipbox import reports, summary
from ipbox.checks import check_count, check_type
from ipbox.comparison import Method, Row, compare
from ipbox.distributed.ranks import Ranks
from ipbox.keywords import answering

FIGURES = {
    "psnr": ("PSNR", ".2f"),
    "ssim": ("SSIM", ".3f"),
    "residual": ("residual", ".4f"),
    "niter": ("iterations", ".1f"),
}


@dataclass(frozen=True)
class Comparisons:
    """What `compare_many` found.

    Attributes
    ----------
    rows : list of list of Row
        Of each problem the rows of `compare`, without the images.

    Examples
    --------
    >>> import ipbox as ip
    >>> problems = [ip.problem("ct", size=32, views=20, noise=0.02, seed=seed) for seed in range(3)]
    >>> result = ip.compare_many(problems, {"fbp": ip.fbp})
    >>> len(result.rows), result.column("fbp", "psnr").shape
    (3, (3,))
    """

    rows: list[list[Row]]

    @property
    def methods(self) -> list[str]:
        return [row.method for row in self.rows[0]]

    def column(self, method: str, name: str) -> np.ndarray:
        """A figure of a method, such as ``"psnr"``, on every problem; NaN where it is not known.

        Raises
        ------
        KeyError
            for a method or a figure that is not there.
        """
        if method not in self.methods:
            raise KeyError(f"method is {method!r}; expected one of {', '.join(self.methods)}")
        if name not in (known := (*FIGURES, "seconds", "applications", "lam")):
            raise KeyError(f"name is {name!r}; expected one of {', '.join(known)}")
        k = self.methods.index(method)
        values = [getattr(rows[k], name) for rows in self.rows]
        return np.array([np.nan if value is None else value for value in values], dtype=np.float64)

    def table(self) -> str:
        """Mean and standard deviation over the problems, a line for each method."""
        lines = self._cells()
        widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
        return "\n".join(
            "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip() for line in lines
        )

    def _cells(self) -> list[list[str]]:
        columns = {"method": self.methods}
        for name, (title, form) in FIGURES.items():
            values = [self.column(method, name) for method in self.methods]
            if np.isfinite(values).any():
                columns[title] = [_mean(v, form) for v in values]
        columns["seconds"] = [_mean(self.column(method, "seconds"), ".2f") for method in self.methods]
        return [list(columns), *map(list, zip(*columns.values(), strict=True))]

    def __repr__(self) -> str:
        return f"{len(self.rows)} problems\n{self.table()}"

    def _repr_html_(self) -> str:
        return summary.table(self._cells())

    def report(self) -> dict[str, Any]:
        """``rows`` of every problem as dictionaries that ``json.dump`` writes, and ``versions`` of the packages."""
        return {"rows": [reports.ready(rows) for rows in self.rows], "versions": reports.versions()}


@answering
def compare_many(
    problems: Sequence[Any],
    methods: Mapping[str, Method] | Callable[[Any], Mapping[str, Method]],
    n_jobs: int | Ranks = 1,
) -> Comparisons:
    """Run several methods on each of many problems: test images, noise levels, seeds.

    Parameters
    ----------
    problems : sequence
        Of problems as `compare` takes them, or of functions without arguments that make one: then it is made where it
        is solved, and never all are in memory.
    methods : dict or function
        Name -> function ``(A, b) -> (x, info)``; or a function of the problem that gives such a dictionary, for methods
        that are told its noise level.
    n_jobs : int or Ranks
        Processes (joblib) that share the problems, or the ranks of MPI that do, `ipbox.distributed.world`: all of them
        get all rows.  Images stay where they were made.

    Returns
    -------
    Comparisons

    Raises
    ------
    ValueError, TypeError
        where there are no problems, problems have not the same methods, or `compare` refuses one.

    Examples
    --------
    >>> import ipbox as ip
    >>> def of_seed(seed):
    ...     return lambda: ip.problem("ct", size=32, views=20, noise=0.05, seed=seed)
    >>> def methods(problem):
    ...     return {"fbp": ip.fbp, "cgls": lambda A, b: ip.cgls(A, b, noise_level=problem[3].noise_level)}
    >>> result = ip.compare_many([of_seed(seed) for seed in range(4)], methods)
    >>> result.column("cgls", "psnr").mean() > result.column("fbp", "psnr").mean()
    np.True_
    """
    check_type(problems, "problems", Sequence, "a list of problems, or of functions that make one")
    check_type(methods, "methods", Mapping | Callable, "a dictionary of methods, or a function of the problem")
    n = check_count(len(problems), "len(problems)")
    if isinstance(n_jobs, Ranks):
        own = [_rows(problems[k], methods) for k in n_jobs.own(n)]
        found = [rows for told in n_jobs.comm.told(own) for rows in told]
    elif check_count(n_jobs, "n_jobs") == 1:
        found = [_rows(problem, methods) for problem in problems]
    else:
        import joblib

        found = joblib.Parallel(n_jobs=min(n_jobs, n))(joblib.delayed(_rows)(problem, methods) for problem in problems)
    names = [[row.method for row in rows] for rows in found]
    for k, other in enumerate(names):
        if other != names[0]:
            raise ValueError(f"methods gives {other} for problems[{k}]; expected those of problems[0], {names[0]}")
    return Comparisons(found)


def _rows(problem: Any, methods: Any) -> list[Row]:
    """The rows of one problem, without images: what is sent back."""
    problem = problem() if callable(problem) else problem
    named = methods if isinstance(methods, Mapping) else methods(problem)
    return [dataclasses.replace(row, x=None) for row in compare(problem, named).rows]


def _mean(values: np.ndarray, form: str) -> str:
    known = values[np.isfinite(values)]
    return f"{known.mean():{form}} ± {known.std():{form}}" if known.size else "-"
