"""The L-curve."""

from __future__ import annotations

import math
from typing import Any, Unpack

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_choice
from ipbox.choose.grid import EXTENSIONS, Ends, weights
from ipbox.choose.path import Map, Options, Path
from ipbox.choose.result import Choice
from ipbox.keywords import answering

# d log‖Au - b‖/d log λ above which all data are fitted, and the residual is proportional to λ.  Chosen among 0.9, 0.95,
# 0.98 and no bound by the PSNR that TV loses on ten problems with images of the training patient.
FITTED = 0.98
KNOWN = 100  # roundings of the data, below which a residual is not known
FINE = 40  # points of the splines between two weights


@answering
def l_curve(
    reconstruct: Map,
    A: Any,
    b: Array,
    R: Any = None,
    *,
    corner: str = "distance",
    lams: np.ndarray | None = None,
    lam0: float = 1.0,
    **options: Unpack[Options],
) -> Choice:
    r"""The corner of the L-curve (log‖Au_λ - b‖, log R(u_λ)).

    ``corner="distance"`` takes the point furthest from the line through the ends of the curve, both axes scaled to
    [0, 1]: below it at the corner of an L, above it at the shoulder that the curve has instead where few data can be
    fitted exactly.  The arm on which they are (ρ ∝ λ, slope above `FITTED`) is left out, as its length is arbitrary.
    ``corner="curvature"`` takes the point of greatest curvature: with ρ, η the two logarithms and ' the derivative by
    log λ, of cubic splines through the points,

    .. math:: κ = \frac{ρ' η'' - ρ'' η'}{(ρ'^2 + η'^2)^{3/2}}.

    It is Hansen's, meant for quadratic R; the curves of TV have several bends.  The L-curve needs no noise level, and
    is a heuristic: no rule without it converges as δ → 0 (Bakushinskii's veto).

    Parameters
    ----------
    reconstruct : callable
        λ -> (u_λ, info); ``x0`` or ``start``, and ``tol``, are used where it has them.
    A : Operator or None
    b : array
        Data, without a batch axis.
    R : callable
        Value of the regulariser at an image; for a quadratic one its root, as ‖u‖.
    corner : str
        ``"distance"`` or ``"curvature"``.
    lams, lam0, x_true, inner_tol, tol, progress, shape
        As in `weighted_gcv`.
    D : Fidelity, optional
        √(2D) then stands for the residual.

    Returns
    -------
    Choice
        ``curve`` has ``"R"`` and ``"distance"`` or ``"curvature"``.

    References
    ----------
    Hansen and O'Leary, SIAM J. Sci. Comput. 14 (1993); for the distance Satopää, Albrecht, Irwin and
    Raghavan, ICDCS Workshops 2011.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.choose import l_curve
    >>> rng = np.random.default_rng(0)
    >>> s = 0.8 ** np.arange(30)  # singular values
    >>> b = s * 0.8 ** np.arange(30) + 1e-3 * rng.standard_normal(30)
    >>> choice = l_curve(lambda lam: (s * b / (s**2 + lam), None), np.diag(s), b, np.linalg.norm, lam0=1e-3)
    >>> bool(1e-5 < choice.lam < 1e-2)
    True
    """
    if R is None:
        raise TypeError("R is None; the L-curve expects the regulariser's value, R(u)")
    check_choice(corner, "corner", CORNERS)
    grid = weights(lams, lam0)
    path = Path(reconstruct, A, b, R=R, **options)
    ends = Ends(path, grid, path.solve)
    lam, down, up = _corner(path, corner)
    for _ in range(EXTENSIONS if lams is None else 0):
        if not (down or up):
            break
        ends.grow(down, up)
        lam, down, up = _corner(path, corner)
    if math.isnan(lam):
        raise ValueError("the L-curve is a point or a line for these weights; expected others (lams=...)")
    return path.finish("l_curve", lam, at_end=down or up)


def _corner(path: Path, corner: str) -> tuple[float, bool, bool]:
    """λ at the corner of splines through the points, and whether it is at the lower or the upper end."""
    from scipy.interpolate import CubicSpline

    lam, residual, R = (path.column(name) for name in ("lam", "residual", "R"))
    if path.D is not None:  # what is minimised; the residual of counts is relative to what is expected of them
        residual = np.sqrt(2 * np.maximum(path.column("D"), 0.0))
    rounding = KNOWN * float(np.finfo(path.b.dtype).eps) * backend.norm(path.b)
    known = np.flatnonzero((residual > rounding) & (R > 0))
    values = np.full(len(lam), np.nan)
    if len(known) > 2:
        part = slice(known[0], known[-1] + 1)
        t, rho, eta = (np.log(v[part]) for v in (lam, residual, R))
        values[part] = CORNERS[corner](t, rho, eta)
    for point, value in zip(sorted(path.points, key=lambda p: p["lam"]), values, strict=True):
        point[corner] = float(value)
    if np.isnan(values).all():
        return math.nan, False, True
    k = int(np.nanargmax(values))
    down, up = k <= 1 or math.isnan(values[k - 1]), k >= len(lam) - 2 or math.isnan(values[k + 1])
    fine = np.linspace(t[0], t[-1], FINE * (len(t) - 1) + 1)
    between = CORNERS[corner](fine, *(CubicSpline(t, v)(fine) for v in (rho, eta)))
    between[(fine < math.log(lam[max(k - 1, 0)])) | (fine > math.log(lam[min(k + 1, len(lam) - 1)]))] = np.nan
    return float(lam[k]) if np.isnan(between).all() else math.exp(fine[np.nanargmax(between)]), down, up


def distance(t: np.ndarray, rho: np.ndarray, eta: np.ndarray) -> np.ndarray:
    """How far (ρ, η) lies from the line through its ends, both scaled to [0, 1]; NaN at the ends and where ρ ∝ λ."""
    free = np.gradient(rho, t) < FITTED
    first = int(np.argmax(free)) if free.any() else len(t)
    far = np.full(len(t), np.nan)
    x, y = (v[first:] - v[first:].min(initial=math.inf) for v in (rho, eta))
    if len(x) > 2 and x.max() > 0 and y.max() > 0:
        far[first:] = abs(1 - x / x.max() - y / y.max()) / math.sqrt(2)
        far[[first, -1]] = np.nan
    return far


def curvature(t: np.ndarray, rho: np.ndarray, eta: np.ndarray) -> np.ndarray:
    """Signed curvature of (ρ, η)(t), positive at the corner of an L; NaN at the ends."""
    from scipy.interpolate import CubicSpline

    (d1, d2), (e1, e2) = (
        (spline(t, 1), spline(t, 2)) for spline in (CubicSpline(t, v, bc_type="natural") for v in (rho, eta))
    )
    speed = (d1**2 + e1**2) ** 1.5
    kappa = (d1 * e2 - d2 * e1) / np.where(speed > 0, speed, np.inf)
    kappa[[0, -1]] = np.nan
    return kappa


CORNERS = {"distance": distance, "curvature": curvature}
