"""Rules without a noise level: quasi-optimality and the balancing principle."""

from __future__ import annotations

import math
from typing import Any, Unpack

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_positive
from ipbox.choose.grid import interior_minimum, minimum, weights
from ipbox.choose.path import Map, Options, Path
from ipbox.choose.result import Choice

GAMMA = 0.5  # D = λR/2, the point of slope -1 of the L-curve


def quasi_optimality(
    reconstruct: Map,
    A: Any,
    b: Array,
    *,
    lams: np.ndarray | None = None,
    lam0: float = 1.0,
    noise_level: float | None = None,
    inner_tol: float | None = 1e-4,
    **options: Unpack[Options],
) -> Choice:
    r"""Quasi-optimality: the λ_j of a geometric grid at which ‖u_{λ_{j+1}} - u_{λ_j}‖ is least.

    There the image changes least with λ: below it noise comes in, above it detail is lost.  Where the differences
    tend to 0 with λ, as in problems that determine u by few data, the deepest minimum inside the grid is taken.

    Parameters
    ----------
    reconstruct : callable
        λ -> (u_λ, info); ``x0`` or ``start``, and ``tol``, are used where it has them.
    A : Operator or None
    b : array
        Data, without a batch axis.
    lams, lam0, x_true, inner_tol, tol, progress
        As in `weighted_gcv`; the differences need more accurate solves than other rules.
    noise_level
        Not used.
    D : Fidelity, optional
        √(2D) then stands for the residual.

    Returns
    -------
    Choice
        ``curve`` has ``"change"``, at the smaller weight of each pair.

    References
    ----------
    Tikhonov and Glasko, USSR Comput. Math. Math. Phys. 5 (1965); Bauer and Kindermann, Inverse Problems 24 (2008).

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.choose import quasi_optimality
    >>> rng = np.random.default_rng(0)
    >>> s = 0.8 ** np.arange(30)
    >>> b = s * 0.8 ** np.arange(30) + 1e-3 * rng.standard_normal(30)
    >>> choice = quasi_optimality(lambda lam: (s * b / (s**2 + lam), None), np.diag(s), b, lam0=1e-3)
    >>> bool(1e-5 < choice.lam < 1e-2)
    True
    """
    grid = weights(lams, lam0)
    path = Path(reconstruct, A, b, inner_tol=inner_tol, **options)
    last: Array | None = None
    for lam in grid:
        point = path.solve(float(lam))
        if last is not None:
            point["change"] = backend.norm(path.x - last)
        last = path.x.copy()
    lams_tried, change = path.column("lam")[:-1], path.column("change")[:-1]  # the greatest λ has no change
    lam, at_end = interior_minimum(lams_tried, change)
    return path.finish("quasi_optimality", lam, at_end)


def balancing(
    reconstruct: Map,
    A: Any,
    b: Array,
    R: Any = None,
    *,
    gamma: float = GAMMA,
    lams: np.ndarray | None = None,
    lam0: float = 1.0,
    noise_level: float | None = None,
    **options: Unpack[Options],
) -> Choice:
    r"""The balancing principle of Ito, Jin and Zou: data term and regulariser in a fixed proportion.

    .. math:: Φ_γ(λ) = F(λ)^{1+γ}/λ, \quad F(λ) = D(Au_λ, b) + λ R(u_λ); \qquad Φ_γ' = 0 ⇔ γ λ R = D

    since F' = R.  Its deepest local minimum inside the grid is taken.

    Parameters
    ----------
    reconstruct : callable
        λ -> (u_λ, info); ``x0`` or ``start``, and ``tol``, are used where it has them.
    A : Operator or None
    b : array
        Data, without a batch axis.
    R : callable
        Value of the regulariser at an image.
    gamma : float
        γ; larger values choose larger λ.
    lams, lam0, x_true, inner_tol, tol, progress
        As in `weighted_gcv`.
    noise_level
        Not used.
    D : Fidelity, optional
        ½‖Au - b‖² by default.

    Returns
    -------
    Choice
        ``curve`` has ``"balance"``, log Φ_γ.

    References
    ----------
    Ito, Jin and Zou, Inverse Problems 27 (2011).

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.choose import balancing
    >>> rng = np.random.default_rng(0)
    >>> u = np.repeat([0.0, 3.0], 50)
    >>> b = u + 0.3 * rng.standard_normal(100)
    >>> choice = balancing(lambda lam: (b / (1 + lam), None), None, b, lambda u: 0.5 * float(u @ u), lam0=0.1)
    >>> bool(0.001 < choice.lam < 10)
    True
    """
    if R is None:
        raise TypeError("R is None; the balancing principle expects the regulariser's value, R(u)")
    gamma, grid = check_positive(gamma, "gamma"), weights(lams, lam0)
    path = Path(reconstruct, A, b, R=R, **options)
    for lam in grid:
        point = path.solve(float(lam))
        misfit = 0.5 * point["residual"] ** 2 if path.D is None else float(path.D.value(path.x))
        F = misfit + lam * point["R"]
        point["balance"] = (1 + gamma) * math.log(F) - math.log(lam) if F > 0 else math.nan
    if all(math.isnan(p["balance"]) for p in path.points):
        raise ValueError("D + λR is 0 for every weight; expected data that are not zero, or other weights (lams=...)")
    lam, at_end = _local(path.column("lam"), path.column("balance"))
    return path.finish("balancing", lam, at_end)


def _local(lam: np.ndarray, values: np.ndarray) -> tuple[float, bool]:
    """The deepest local minimum; without one, the flattest point: there D and γλR are nearest to balance."""
    inside = values[1:-1]
    if ((inside <= values[:-2]) & (inside <= values[2:])).any():
        return interior_minimum(lam, values)
    return minimum(lam, np.abs(np.gradient(values, np.log(lam))))[0], True
