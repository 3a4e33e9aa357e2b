"""Iterative regularisation: iterations that are stopped early."""

from __future__ import annotations

from typing import Any

from ipbox.backend import Array
from ipbox.functionals import L2
from ipbox.functionals.core.composition import check_data
from ipbox.operators import as_operator
from ipbox.solvers import CGLS, GradientDescent, Problem, Solution, Solver, callbacks, solve, stopping


def landweber(
    A: Any,
    b: Array,
    noise_level: float | None = None,
    *,
    niter: int = 1000,
    tau: float | None = None,
    x0: Array | None = None,
    safety: float = 1.01,
    x_true: Array | None = None,
    **options: Any,
) -> tuple[Array, Solution]:
    """Landweber's iteration u ← u - τ A*(Au - b), stopped by the discrepancy principle.

    Parameters
    ----------
    A : Operator
    b : array
        Data of shape A.dimsd.
    noise_level : float, optional
        Expected norm of the noise δ: stops at ‖Au - b‖ <= safety · δ.  Without it ``niter`` iterations are done.
    niter : int
        Bound on the iterations.
    tau : float, optional
        0 < τ < 2/‖A‖²; 1/‖A‖² by default.
    x0 : array, optional
        Start; zero by default.
    safety : float
        Factor on the noise level.
    x_true : array, optional
        The truth, where it is known: the best iterate is kept in ``info.extra["best"]``.
    **options
        ``callbacks``, ``progress``, ``state`` of `solve`.

    Returns
    -------
    x : array
    info : Solution
        ``info.stop`` names the rule that fired; with ``x_true``, ``info.extra["best"]`` has the ``x``, ``k`` and
        ``psnr`` of the best iterate.

    Raises
    ------
    ValueError, TypeError
        for data that do not fit A, a negative noise level, or a step size beyond its bound.

    References
    ----------
    Landweber, Amer. J. Math. 73 (1951); Engl, Hanke and Neubauer, Regularization of Inverse Problems, 1996, chapter 6.

    Examples
    --------
    >>> import ipbox as ip
    >>> A, b, x_true, info = ip.problem("ct", image="shepp-logan", size=64, views=60, noise=0.05)
    >>> x, info = ip.landweber(A, b, noise_level=info.noise_level)
    >>> info.stop
    'discrepancy'
    """
    return _iterate(A, b, GradientDescent(tau), noise_level, niter, x0, safety, x_true, options)


def cgls(
    A: Any,
    b: Array,
    noise_level: float | None = None,
    *,
    niter: int = 100,
    x0: Array | None = None,
    safety: float = 1.01,
    x_true: Array | None = None,
    **options: Any,
) -> tuple[Array, Solution]:
    """Conjugate gradients for min ‖Au - b‖², stopped by the discrepancy principle.

    Parameters and returns are those of `landweber`; it needs far fewer iterations, so overshooting costs more.

    References
    ----------
    Hanke, Conjugate Gradient Type Methods for Ill-Posed Problems, 1995.

    Examples
    --------
    >>> import ipbox as ip
    >>> A, b, x_true, info = ip.problem("ct", image="shepp-logan", size=64, views=60, noise=0.05)
    >>> x, info = ip.cgls(A, b, noise_level=info.noise_level)
    >>> info.niter < 20
    True
    """
    return _iterate(A, b, CGLS(), noise_level, niter, x0, safety, x_true, options)


def _iterate(
    A: Any,
    b: Array,
    solver: Solver,
    noise_level: float | None,
    niter: int,
    x0: Array | None,
    safety: float,
    x_true: Array | None,
    options: dict[str, Any],
) -> tuple[Array, Solution]:
    A = as_operator(A)
    problem = Problem(L2(A, b), batch=batch_of(A, b))
    return stopped_early(problem, solver, noise_level, niter, x0, safety, x_true, options)


def stopped_early(
    problem: Problem,
    solver: Solver,
    noise_level: float | None,
    niter: int,
    x0: Array | None,
    safety: float,
    x_true: Array | None,
    options: dict[str, Any],
) -> tuple[Array, Solution]:
    """Solve until the discrepancy principle stops, keeping the best iterate where the truth is known."""
    stop = stopping.niter(niter)
    if noise_level is not None:
        stop = stopping.discrepancy(noise_level, safety) | stop
    if x_true is None:
        info = solve(problem, solver, x0=x0, stop=stop, **options)
        return info.x, info
    best = callbacks.Best(x_true)
    given = {**options, "callbacks": [best, *options.get("callbacks", ())]}
    info = solve(problem, solver, x0=x0, stop=stop, **given)
    info.extra["best"] = {"x": best.x, "k": best.k, "psnr": best.value}
    return info.x, info


def batch_of(A: Any, b: Array) -> int | None:
    """Number of samples where ``b`` has a batch axis."""
    return b.shape[0] if check_data(b).ndim > len(A.dimsd) else None
