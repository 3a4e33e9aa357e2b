"""Parameters of a method from problems whose truths are known: those of best mean quality."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ipbox import backend, metrics, summary
from ipbox.backend import Array
from ipbox.checks import check_between, check_count, check_positive, check_type
from ipbox.keywords import answering
from ipbox.progress import bar
from ipbox.solvers.core.divergence import Diverged

__all__ = ["Fitted", "fit_parameters"]


@dataclass(frozen=True)
class Fitted:
    """What `fit_parameters` returns.

    Attributes
    ----------
    values : dict
        The best parameters that were tried.
    quality : float
        Their mean quality over the problems.
    history : list of dict
        All that were tried, in order, each with its ``"quality"``.

    Examples
    --------
    >>> import ipbox as ip
    >>> problems = [ip.problem("denoise", size=32, noise=0.1, seed=k) for k in range(2)]
    >>> found = ip.choose.fit_parameters(lambda A, b, lam: ip.tv(A, b, lam), problems, {"lam": 0.01}, evaluations=6)
    >>> list(found.values), len(found.history) <= 6
    (['lam'], True)
    """

    values: dict[str, float]
    quality: float
    history: list[dict[str, float]]

    __repr__ = summary.of_fields


@answering
def fit_parameters(
    reconstruct: Callable[..., Any],
    problems: Sequence[tuple],
    start: Mapping[str, float],
    *,
    factor: float = 4.0,
    evaluations: int = 30,
    quality: Callable[[Array, Array], float] = metrics.psnr,
    progress: bool = False,
) -> Fitted:
    r"""Fit a method's positive parameters, such as λ and the scale of a learned regulariser, on training images.

    .. math:: \max_{θ > 0} \; \frac{1}{n} \sum_i q(Φ_θ(A_i, b_i), x_i)

    by Nelder and Mead's simplex in log θ: no derivatives, and parameters of any size.  Report on other images.

    Parameters
    ----------
    reconstruct : callable
        ``reconstruct(A, b, **parameters)``, x or (x, info).
    problems : sequence of tuple
        (A, b, x_true) or (A, b, x_true, info), as `ip.problem` gives them.
    start : mapping
        The first parameters by name, each positive.
    factor : float
        > 1; the first steps multiply a parameter by it.
    evaluations : int
        At most so many parameters are tried, each on all problems; at least one more than there are parameters.
    quality : callable
        q(x, x_true), more being better; `ipbox.psnr` by default.
    progress : bool
        Show a bar.

    Returns
    -------
    Fitted

    Raises
    ------
    ValueError, TypeError
        where an argument is not as above, or no parameters give a finite quality.

    Notes
    -----
    Parameters whose run is `Diverged` on a problem, or whose quality is not finite, count as infinitely bad.

    References
    ----------
    Nelder and Mead, A simplex method for function minimization, Computer J. 7 (1965).

    Examples
    --------
    >>> import ipbox as ip
    >>> problems = [ip.problem("denoise", size=64, noise=0.1, seed=k) for k in range(2)]
    >>> fitted = ip.choose.fit_parameters(lambda A, b, lam: ip.tv(A, b, lam), problems, {"lam": 0.01}, evaluations=12)
    >>> 0.01 < fitted.values["lam"] < 1 and fitted.quality > fitted.history[0]["quality"]
    True
    """
    posed = _check_problems(problems)
    check_type(start, "start", Mapping, "parameters by name, such as {'lam': 1.0}")
    if not start:
        raise ValueError("start is empty; expected parameters by name, such as {'lam': 1.0}")
    if not callable(reconstruct):
        raise TypeError(f"reconstruct is {type(reconstruct).__name__}; expected a function of A, b and parameters")
    if not callable(quality):
        raise TypeError(f"quality is {type(quality).__name__}; expected a function of x and x_true")
    first = np.log([check_positive(value, f"start[{name!r}]") for name, value in start.items()])
    check_between(factor, "factor", 1, math.inf), check_count(evaluations, "evaluations", least=len(start) + 1)
    history: list[dict[str, float]] = []

    with bar("parameters", "trial", evaluations, shown=progress) as shown:

        def badness(logs: np.ndarray) -> float:
            values = dict(zip(start, np.exp(logs).tolist(), strict=True))
            found = _mean_quality(reconstruct, posed, values, quality)
            history.append({**values, "quality": found})
            shown.update(1)
            return -found

        _simplex(badness, first, math.log(factor), evaluations)
    best = max(history, key=lambda row: row["quality"])
    if not math.isfinite(best["quality"]):
        raise ValueError(f"start is {dict(start)}; no parameters near it gave a finite quality")
    return Fitted({name: best[name] for name in start}, best["quality"], history)


def _check_problems(problems: Any) -> list[tuple]:
    check_type(problems, "problems", Sequence, "a sequence of (A, b, x_true)")
    if not problems:
        raise ValueError("problems is empty; expected at least one (A, b, x_true)")
    for problem in problems:
        if not isinstance(problem, tuple | list) or len(problem) < 3 or not backend.is_array(problem[2]):
            raise TypeError(f"problems has {summary.of_value(problem)}; expected (A, b, x_true), x_true an array")
        if not bool((abs(problem[2]) < math.inf).all()):
            raise ValueError("problems has an x_true with values that are not finite; expected finite ones")
    return [tuple(problem[:3]) for problem in problems]


def _mean_quality(
    reconstruct: Callable[..., Any], posed: list[tuple], values: dict[str, float], quality: Callable[..., float]
) -> float:
    total = 0.0
    for A, b, x_true in posed:
        try:
            x = reconstruct(A, b, **values)
        except Diverged:
            return -math.inf
        total += float(quality(x[0] if isinstance(x, tuple) else x, x_true))
    return total / len(posed) if math.isfinite(total) else -math.inf


def _simplex(badness: Callable[[np.ndarray], float], first: np.ndarray, step: float, evaluations: int) -> None:
    from scipy.optimize import minimize

    simplex = np.vstack([first, first + step * np.eye(len(first))])
    options = {"initial_simplex": simplex, "maxfev": evaluations, "xatol": 1e-3, "fatol": 1e-4}
    minimize(badness, first, method="Nelder-Mead", options=options)
