"""Variational reconstruction: min_u D(Au, b) + λ R(u)."""

from __future__ import annotations

import math
import numbers
from typing import Any

from ipbox.backend import Array
from ipbox.functionals import L2, TV, Box
from ipbox.functionals.composition import check_data
from ipbox.operators import Gradient, as_operator
from ipbox.reconstruct.iterative import batch_of
from ipbox.solvers import CGLS, PDHG, Problem, Solution, solve, stopping


def tikhonov(
    A: Any,
    b: Array,
    lam: float,
    *,
    gradient: bool = False,
    tol: float = 1e-4,
    niter: int = 500,
    x0: Array | None = None,
    **options: Any,
) -> tuple[Array, Solution]:
    """Tikhonov regularisation min_u ½‖Au - b‖² + λ/2 ‖u‖², or λ/2 ‖∇u‖² with ``gradient``.

    Parameters
    ----------
    A : Operator
    b : array
        Data of shape A.dimsd.
    lam : float
        λ > 0.
    gradient : bool
        Penalise the gradient instead of the image.
    tol : float
        Relative norm of the normal equations' residual at which conjugate gradients stop.
    niter : int
        Bound on the iterations.
    x0 : array, optional
    **options
        ``callbacks``, ``progress``, ``state`` of `solve`.

    Returns
    -------
    x : array
    info : Solution
        ``info.certificate`` bounds ‖x - x*‖ where the image itself is penalised.

    Raises
    ------
    ValueError, TypeError
        for λ <= 0, or data that do not fit A.

    References
    ----------
    Engl, Hanke and Neubauer, Regularization of Inverse Problems, 1996, chapter 5.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.tikhonov(np.eye(2), np.array([1.0, 2.0]), 1.0)[0]
    array([0.5, 1. ])
    """
    A = as_operator(A)
    lam = check_lam(lam)
    penalty = L2(Gradient(tuple(A.dims), A.dtype_in)) if gradient else L2()
    problem = Problem(L2(A, b) + lam * penalty, batch=batch_of(A, b))
    info = solve(problem, CGLS(), x0=x0, stop=stopping.residual(tol, every=1) | stopping.niter(niter), **options)
    return info.x, info


def tv(
    A: Any,
    b: Array,
    lam: float,
    *,
    nonneg: bool = False,
    box: tuple[float, float] | None = None,
    isotropic: bool = True,
    tol: float = 1e-4,
    niter: int = 1000,
    x0: Array | None = None,
    **options: Any,
) -> tuple[Array, Solution]:
    """Total variation: min_u ½‖Au - b‖² + λ TV(u), optionally with u >= 0 or lo <= u <= hi.

    Parameters
    ----------
    A : Operator or None
        None denoises.
    b : array
        Data of shape A.dimsd.
    lam : float
        λ > 0, in units of ‖b‖² over those of TV(u) (pixel units).
    nonneg : bool
        Constrain u >= 0.
    box : (lo, hi), optional
        Constrain lo <= u <= hi.
    isotropic : bool
    tol : float
        Relative duality gap at which to stop where it is finite (denoising, or a bounded box); elsewhere relative
        fixed-point residual.
    niter : int
        Bound on the iterations.
    x0 : array, optional
    **options
        ``callbacks``, ``progress``, ``state`` of `solve`.

    Returns
    -------
    x : array
    info : Solution

    Raises
    ------
    ValueError, TypeError
        for λ <= 0, ``nonneg`` together with ``box``, or data that do not fit A.

    References
    ----------
    Rudin, Osher and Fatemi, Physica D 60 (1992); Sidky, Jørgensen and Pan, Phys. Med. Biol. 57 (2012).

    Examples
    --------
    >>> import ipbox as ip
    >>> A, b, x_true, info = ip.problem("ct", image="shepp-logan", size=64, views=30)
    >>> x, info = ip.tv(A, b, lam=0.05, nonneg=True)
    >>> float(x.min()) >= 0
    True
    """
    if nonneg and box is not None:
        raise ValueError("nonneg and box are both given; expected one of them")
    if box is not None and not (isinstance(box, tuple | list) and len(box) == 2):
        raise TypeError(f"box is {box!r}; expected (lo, hi)")
    for name, value in (("nonneg", nonneg), ("isotropic", isotropic)):
        if not isinstance(value, bool):
            raise TypeError(f"{name} is {value!r}; expected True or False")
    A = None if A is None else as_operator(A)
    dims = check_data(b).shape if A is None else tuple(A.dims)
    objective = L2(A, b) + check_lam(lam) * TV(dims, isotropic)
    if nonneg or box is not None:
        objective = objective + (Box(0.0, math.inf) if nonneg else Box(*box))
    problem = Problem(objective, batch=None if A is None else batch_of(A, b))
    finite = problem.assign(PDHG.takes).prox.finite_conj
    stop = stopping.gap(tol) if finite else stopping.residual(tol)
    info = solve(problem, PDHG(), x0=x0, stop=stop | stopping.niter(niter), **options)
    return info.x, info


def check_lam(lam: Any) -> float:
    """The regularisation weight as a positive float."""
    if not isinstance(lam, numbers.Real) or not (lam > 0 and math.isfinite(lam)):
        raise ValueError(f"lam is {lam!r}; expected a positive number")
    return float(lam)
