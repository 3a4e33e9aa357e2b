"""Algebraic reconstruction as functions (A, b, ...) -> x, info: SIRT, Kaczmarz, Cimmino."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Unpack

from ipbox.backend import Array
from ipbox.functionals import L2
from ipbox.keywords import answering
from ipbox.operators import as_operator
from ipbox.reconstruct.iterative.early_stopping import EarlyOptions, make_constraint, stopped_early
from ipbox.reconstruct.weights import check_weights, weighted
from ipbox.solvers import SIRT, Cimmino, Kaczmarz, Solution, Solver


@answering
def sirt(
    A: Any,
    b: Array,
    noise_level: float | None = None,
    *,
    niter: int | Sequence[int] = 200,
    relaxation: float = 1.0,
    nonneg: bool = False,
    box: tuple[float, float] | None = None,
    weights: Array | None = None,
    shape: tuple[int, ...] | None = None,
    **options: Unpack[EarlyOptions],
) -> tuple[Array, Solution]:
    """Simultaneous iterative reconstruction u ← u - λ C A* R (A u - b), stopped by the discrepancy principle.

    Parameters
    ----------
    A : Operator
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    b : array
        Data of shape A.dimsd.
    noise_level : float, optional
        Expected norm of the noise δ: stops at ‖Au - b‖ <= safety · δ.  Without it ``niter`` iterations are done.
    niter : int or sequence of int
        Bound on the iterations; of several numbers the largest, and ``info.extra["iterates"]`` has the iterates with
        these numbers.
    relaxation : float
        0 < λ < 2.
    nonneg : bool
        Project onto u >= 0 in each iteration.
    box : (lo, hi), optional
        Project onto lo <= u <= hi.
    weights : array, optional
        w >= 0 (or a mask) in the shape of the data, or one for each entry of their first axis (views): w A and w b take
        the places of A and b, so that u ← u - λ C A* w R (Au - b) with C = 1/(A* w), and Σ_i w_i R_i (Au - b)_i² is
        minimised.  ``noise_level`` is that of w b: of a mask, the norm of the noise on the readings that count.
        Readings with w = 0 are not used.
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
        for data that do not fit A, a negative noise level, a relaxation outside of (0, 2), weights that are negative
        or have another shape, or ``nonneg`` with ``box``.

    References
    ----------
    Gilbert, J. Theor. Biol. 36 (1972); Hansen and Jørgensen, AIR Tools II, Numer. Algorithms 79 (2018).

    Examples
    --------
    >>> import ipbox as ip
    >>> A, b, x_true, info = ip.problem("ct", image="shepp-logan", size=64, views=60, noise=0.05)
    >>> x, info = ip.sirt(A, b, noise_level=info.noise_level, nonneg=True)
    >>> info.stop
    'discrepancy'
    """
    A, b = weighted(as_operator(A, shape), b, weights, power=1)
    return _iterate(A, b, SIRT(relaxation), noise_level, niter, nonneg, box, options)


@answering
def kaczmarz(
    A: Any,
    b: Array,
    noise_level: float | None = None,
    *,
    niter: int | Sequence[int] = 50,
    relaxation: float = 1.0,
    nonneg: bool = False,
    box: tuple[float, float] | None = None,
    blocks: int | None = None,
    order: str = "interleaved",
    seed: int = 0,
    weights: Array | None = None,
    shape: tuple[int, ...] | None = None,
    **options: Unpack[EarlyOptions],
) -> tuple[Array, Solution]:
    """Kaczmarz's method (ART, SART): one row, or one block of views, after another; stopped by the discrepancy.

    Parameters and returns are those of `sirt`; one iteration is a sweep through all blocks.

    Parameters
    ----------
    blocks : int, optional
        By default every row of a matrix and every view of a projector; see `Kaczmarz`.
    order : {"interleaved", "sequential", "random"}
    seed : int
        Of the random order.
    weights : array, optional
        As in `sirt`: a block of views has u ← u - λ C A_i* w_i R_i (A_i u - b_i) with C = 1/max_i A_i* w_i; for
        operators that have signs, A_i* w_i (A_i u - b_i)/max_i ‖√w_i A_i‖², and ``noise_level`` is that of √w b.  The
        step to a single row's hyperplane is the same whatever its weight, but 0.

    References
    ----------
    Gordon, Bender and Herman, J. Theor. Biol. 29 (1970); Andersen and Kak, Ultrason. Imaging 6 (1984).

    Examples
    --------
    >>> import ipbox as ip
    >>> A, b, x_true, info = ip.problem("ct", image="shepp-logan", size=64, views=60, noise=0.05)
    >>> x, info = ip.kaczmarz(A, b, noise_level=info.noise_level, relaxation=0.5)
    >>> info.niter < 10
    True
    """
    A = as_operator(A, shape)
    A, b = weighted(A, b, weights, power=1 if A.nonnegative else 0.5)
    return _iterate(A, b, Kaczmarz(relaxation, blocks, order, seed), noise_level, niter, nonneg, box, options)


@answering
def cimmino(
    A: Any,
    b: Array,
    noise_level: float | None = None,
    *,
    niter: int | Sequence[int] = 500,
    relaxation: float = 1.0,
    nonneg: bool = False,
    box: tuple[float, float] | None = None,
    weights: Array | None = None,
    shape: tuple[int, ...] | None = None,
    **options: Unpack[EarlyOptions],
) -> tuple[Array, Solution]:
    """Cimmino's method: the mean of the projections onto all equations, stopped by the discrepancy principle.

    Parameters and returns are those of `sirt`.

    Parameters
    ----------
    weights : array, optional
        w >= 0 (or a mask) as in `sirt`: a weighted mean of the projections, w_i/Σw in the place of 1/m, which minimises
        Σ_i w_i (a_i u - b_i)²/‖a_i‖² of rows a_i.  ``noise_level`` is that of √w b.  Of a projector the views are
        projected on, each with its largest w, by the norm of √w A_i.

    References
    ----------
    Cimmino, Ric. Sci. 16 (1938).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.cimmino(np.diag([1.0, 2.0]), np.array([3.0, -4.0]), niter=100, nonneg=True)[0].round(6) + 0
    array([3., 0.])
    """
    A, w = as_operator(A, shape), None
    if weights is not None:
        A, b = weighted(A, b, weights)
        w = check_weights(weights, tuple(A.dimsd))
    return _iterate(A, b, Cimmino(relaxation, w), noise_level, niter, nonneg, box, options)


def _iterate(
    A: Any,
    b: Array,
    solver: Solver,
    noise_level: float | None,
    niter: int | Sequence[int],
    nonneg: bool,
    box: tuple[float, float] | None,
    options: Any,
) -> tuple[Array, Solution]:
    return stopped_early(L2(A, b), solver, noise_level, niter, R=make_constraint(nonneg, box), **options)
