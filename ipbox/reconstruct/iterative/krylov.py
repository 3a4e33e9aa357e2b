"""Least squares by Krylov methods: LSQR stopped early, and its hybrid with Tikhonov regularisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from ipbox.backend import Array
from ipbox.checks import check_not_negative
from ipbox.functionals import L2
from ipbox.keywords import answering
from ipbox.operators import as_operator
from ipbox.reconstruct.iterative.early_stopping import EarlyOptions, batch_of, compared, stopped_early
from ipbox.reconstruct.iterative.iterates import asked_for
from ipbox.reconstruct.weights import check_weights, weighted
from ipbox.solvers import LSQR, HybridLSQR, Problem, Solution, solve, stopping
from ipbox.solvers.core.solve import SolveOptions
from ipbox.solvers.krylov.hybrid import FlatGCV


@answering
def lsqr(
    A: Any,
    b: Array,
    noise_level: float | None = None,
    *,
    damp: float = 0.0,
    niter: int | Sequence[int] = 100,
    weights: Array | None = None,
    shape: tuple[int, ...] | None = None,
    **options: Unpack[EarlyOptions],
) -> tuple[Array, Solution]:
    """LSQR for min ½‖Au - b‖² + damp/2 ‖u‖², stopped by the discrepancy principle.

    Parameters
    ----------
    A : Operator
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    b : array
        Data of shape A.dimsd, or with one leading batch axis.
    noise_level : float, optional
        Expected norm of the noise δ: stops at ‖Au - b‖ <= safety · δ.  Without it ``niter`` iterations are done.
    damp : float
        Weight λ >= 0 (the square of what SciPy calls ``damp``).
    niter : int or sequence of int
        Bound on the iterations; of several numbers the largest, and ``info.extra["iterates"]`` has the iterates with
        these numbers.
    weights : array, optional
        w >= 0, or a mask: ½ Σ_i w_i (Au - b)_i² takes the place of ½‖Au - b‖², as in `landweber`.
    x0 : array, optional
        Start; zero by default.
    safety : float
        Factor on the noise level.
    x_true : array, optional
        The truth, where it is known: as in `landweber`.
    **options
        ``callbacks``, ``progress``, ``state`` of `solve`.

    Returns
    -------
    x : array
    info : Solution
        ``info.stop`` names the rule that fired.

    Raises
    ------
    ValueError, TypeError
        for data that do not fit A, or a negative noise level or weight.

    References
    ----------
    Paige and Saunders, ACM Trans. Math. Software 8 (1982).

    Examples
    --------
    >>> import ipbox as ip
    >>> A, b, x_true, info = ip.problem("ct", image="shepp-logan", size=64, views=60, noise=0.05)
    >>> x, info = ip.lsqr(A, b, noise_level=info.noise_level)
    >>> info.stop, info.niter < 20
    ('discrepancy', True)
    """
    R = L2().scaled(damp) if check_not_negative(damp, "damp") else None
    return stopped_early(L2(*weighted(as_operator(A, shape), b, weights)), LSQR(), noise_level, niter, R=R, **options)


@answering
def hybrid_lsqr(
    A: Any,
    b: Array,
    lam: str | float = "gcv",
    noise_level: float | None = None,
    *,
    niter: int | Sequence[int] = 100,
    x0: Array | None = None,
    safety: float = 1.01,
    reorthogonalise: bool = True,
    tol: float = 1e-6,
    x_true: Array | None = None,
    weights: Array | None = None,
    shape: tuple[int, ...] | None = None,
    **options: Unpack[SolveOptions],
) -> tuple[Array, Solution]:
    """Hybrid LSQR: Tikhonov regularisation within the Krylov spaces of LSQR, λ chosen in every step.

    Parameters
    ----------
    A : Operator
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    b : array
        Data of shape A.dimsd, or with one leading batch axis.
    lam : str or float
        ``"gcv"`` or ``"wgcv"`` (need no noise level), ``"discrepancy"``, or λ >= 0; see `HybridLSQR`.
    noise_level : float, optional
        Expected norm of the noise, for ``"discrepancy"``.
    niter : int or sequence of int
        Bound on the iterations; so many images are held.  Of several numbers the largest, and
        ``info.extra["iterates"]`` has the iterates with these numbers.
    x0 : array, optional
        u_0, towards which is regularised; zero by default.
    safety : float
        Factor on the noise level.
    reorthogonalise : bool
        Keep the basis orthonormal in spite of rounding.
    tol : float
        Stops with ``"flat_gcv"`` where the GCV function of the steps changes by at most ``tol`` of its first value, or
        has not fallen for four steps; with a given number λ with ``"residual"``, where the normal equations are
        fulfilled to ``tol``.  0 does all ``niter`` iterations.
    x_true : array, optional
        The truth, where it is known: ``info.history["psnr"]`` and ``["nrmse"]`` have a value for each iterate.
    weights : array, optional
        w >= 0, or a mask: ½ Σ_i w_i (Au - b)_i² takes the place of ½‖Au - b‖², as in `landweber`; for GCV the data with
        w = 0 do not count.
    **options
        ``callbacks``, ``progress``, ``state`` of `solve`.

    Returns
    -------
    x : array
    info : Solution
        ``info.extra["lam"]`` lists λ for every iteration; ``info.stop`` names the rule that fired.

    Raises
    ------
    ValueError, TypeError
        for data that do not fit A, another ``lam``, weights that are negative or have another shape, or the discrepancy
        principle without a noise level.

    References
    ----------
    Chung, Nagy and O'Leary, Electron. Trans. Numer. Anal. 28 (2008).

    Examples
    --------
    >>> import ipbox as ip
    >>> A, b, x_true, info = ip.problem("ct", image="shepp-logan", size=64, views=60, noise=0.05)
    >>> x, info = ip.hybrid_lsqr(A, b)
    >>> info.stop, len(info.extra["lam"]) == info.niter
    ('flat_gcv', True)
    """
    A = as_operator(A, shape)
    most, keep = asked_for(niter, batch_of(A, b))
    stop, readings = stopping.niter(most), None
    if weights is not None:
        A, b = weighted(A, b, weights)
        readings = int((check_weights(weights, tuple(A.dimsd)) > 0).sum())
    if tol:
        stop = stop | (FlatGCV(tol) if isinstance(lam, str) else stopping.residual(tol, every=1))
    solver = HybridLSQR(lam, noise_level, safety, max(most, 1), reorthogonalise, readings)
    options = compared(options, x_true)
    if keep is not None:
        options = {**options, "callbacks": [keep, *(options.get("callbacks") or ())]}
    info = solve(Problem(L2(A, b), batch=batch_of(A, b)), solver, x0=x0, stop=stop, **options)
    if keep is not None:
        info.extra["iterates"] = keep.kept(info.state.loop)
    info.extra["lam"] = info.state.lams[: info.niter]
    return info.x, info
