"""Rules without a noise level: quasi-optimality and the balancing principle."""

from __future__ import annotations

import math
from typing import Any, Unpack

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_noise_level, check_positive
from ipbox.choose.grid import EXTENSIONS, Ends, interior_minimum, minimum, sweep, weights
from ipbox.choose.path import Map, Options, Path, Point
from ipbox.choose.result import Choice
from ipbox.keywords import answering

MOVED = 0.05  # share of the change with λ by which a finer solve may move the image
KNOWN = 100  # roundings of the image, below which a change is not known
GAMMA = 0.5  # D = λR/2, the point of slope -1 of the L-curve


@answering
def quasi_optimality(  # type: ignore[misc]  # an option of others is an argument here
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
    lams, lam0, x_true, inner_tol, tol, progress, shape
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
    if noise_level is not None:
        check_noise_level(noise_level)
    grid = weights(lams, lam0)
    path = Path(reconstruct, A, b, inner_tol=inner_tol, **options)
    changes = Changes(path)
    ends = Ends(path, grid, changes.visit)
    lam, at_end = changes.least()
    for _ in range(EXTENSIONS if lams is None else 0):
        if not at_end:
            break
        ends.grow(not math.isnan(path.column("change")[0]), True)
        lam, at_end = changes.least()
    if np.isnan(path.column("change")).all():
        raise ValueError("the image is the same for every weight, or not known well enough; expected others (lams=...)")
    return path.finish("quasi_optimality", lam, at_end)


class Changes:
    """‖u_{λ_{j+1}} - u_{λ_j}‖ along a path, NaN where the solves are not accurate enough to tell."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.images: dict[float, Array] = {}  # at the two ends
        self.beside: Array | None = None

    def visit(self, lam: float) -> None:
        """Solve for a weight next to one end of those before."""
        upper = max(self.images, default=0.0)
        low = bool(self.images) and lam < upper
        end = min(self.images) if low else upper
        self.beside = self.images.get(end)
        point = self.path.solve(lam, self._settled)
        if self.beside is not None:
            change = backend.norm(self.path.x - self.beside)
            lower = point if low else next(p for p in self.path.points if p["lam"] == end)
            x: Array = self.path.x
            rounding = KNOWN * float(np.finfo(x.dtype).eps) * backend.norm(x)
            lower["change"] = change if self.path.settled and change > rounding else math.nan
        if len(self.images) > 1:
            del self.images[end]
        found: Array = self.path.x
        self.images[lam] = found.copy()

    def least(self) -> tuple[float, bool]:
        lam, change = self.path.column("lam")[:-1], self.path.column("change")[:-1]  # the greatest λ has no change
        return interior_minimum(lam, change)

    def _settled(self, point: Point, finer: Point, x: Array, y: Array) -> bool:
        return self.beside is None or backend.norm(y - x) <= MOVED * backend.norm(y - self.beside)


@answering
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
    lams, lam0, x_true, inner_tol, tol, progress, shape
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
    >>> s = 0.8 ** np.arange(30)
    >>> A = np.vstack([np.diag(s), np.zeros((70, 30))])
    >>> b = A @ 0.8 ** np.arange(30) + 1e-2 * rng.standard_normal(100)
    >>> tikhonov = lambda lam: (s * b[:30] / (s**2 + lam), None)
    >>> choice = balancing(tikhonov, A, b, lambda u: 0.5 * float(u @ u), lam0=1e-3)
    >>> bool(0.001 < choice.lam < 0.1), choice.at_end
    (True, False)
    """
    if R is None:
        raise TypeError("R is None; the balancing principle expects the regulariser's value, R(u)")
    if noise_level is not None:
        check_noise_level(noise_level)
    gamma, grid = check_positive(gamma, "gamma"), weights(lams, lam0)
    path = Path(reconstruct, A, b, R=R, **options)

    def evaluate(point: Point) -> None:
        misfit = 0.5 * point["residual"] ** 2 if path.D is None else float(path.D.value(path.x))
        F = misfit + point["lam"] * point["R"]
        point["balance"] = (1 + gamma) * math.log(F) - math.log(point["lam"]) if F > 0 else math.nan

    zero = "D + λR is 0 for every weight; expected data that are not zero, or other weights (lams=...)"
    lam, at_end = sweep(path, grid, "balance", evaluate, lams is None, _local, zero)
    return path.finish("balancing", lam, at_end)


def _local(lam: np.ndarray, values: np.ndarray) -> tuple[float, bool]:
    """The deepest local minimum; without one, the flattest point: there D and γλR are nearest to balance."""
    inside = values[1:-1]
    if ((inside <= values[:-2]) & (inside <= values[2:])).any():
        return interior_minimum(lam, values)
    return minimum(lam, np.abs(np.gradient(values, np.log(lam))))[0], True
