"""Fredholm and Volterra equations of the first kind, ∫ K(s, t) f(t) dt = g(s): the classical test problems in 1-D."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_count, check_integer, check_positive
from ipbox.operators import as_operator
from ipbox.operators.core.adapters import MatrixOperator
from ipbox.problems import ProblemInfo
from ipbox.problems.measuring import noise as noises
from ipbox.problems.simulated.posed import check_common, pose

Signal = tuple[MatrixOperator, Array, Array, ProblemInfo]
SIZE = 64


def deriv2(
    size: int | None = None,
    noise: float = 0.01,
    seed: int = 0,
    example: int = 1,
    dtype: Any = "float64",
    xp: str = "numpy",
) -> Signal:
    r"""The second derivative: K is Green's function of d²/ds² on [0, 1] with zero at both ends; mildly ill-posed.

    .. math:: K(s, t) = s(t - 1) \;(s < t), \quad t(s - 1) \;(s \ge t); \qquad σ_k = (kπ)^{-2}

    Parameters
    ----------
    size : int, optional
        n, 64 by default: unknowns, and data.  x are the means of f over n cells, b those of g; A's entries are the
        means of K over pairs of cells, times their width, so that only f's variation in a cell is lost.
    noise : float
        Relative level ‖n‖/‖b‖ of white Gaussian noise.
    seed : int
        Seed of the noise.
    example : int
        1: f = t, g = (s³ - s)/6.  2: f = exp t, g = exp s + (1 - e) s - 1.  3: f = t up to 1/2, then 1 - t.
    dtype : dtype
        float32 or float64, of A, b and x.
    xp : str
        ``"numpy"`` or ``"cupy"``: everything is simulated on the host and moved once.

    Returns
    -------
    A : MatrixOperator
        ``A.matrix`` is the (n, n) array.
    b, x : array, (n,)
        The noisy data and the truth.
    info : ProblemInfo
        ``info.extra["t"]`` and ``["s"]``: where the unknowns and the data are.

    Raises
    ------
    ValueError, TypeError
        where an argument is not as above.

    References
    ----------
    Delves and Mohamed, Computational Methods for Integral Equations, 1985, p. 310; Hansen, Regularization Tools, Numer.
    Algorithms 6 (1994).

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.problems.simulated.fredholm import deriv2
    >>> A, b, x, info = deriv2(size=100)
    >>> (np.linalg.svd(A.matrix, compute_uv=False)[:3] * (np.arange(1, 4) * np.pi) ** 2).round(3)
    array([1.   , 1.   , 0.999])
    """
    truths: dict[int, tuple[Callable[..., Any], Callable[..., Any]]] = {
        1: (lambda t: t, lambda s: (s**3 - s) / 6),
        2: (np.exp, lambda s: np.exp(s) + (1 - math.e) * s - 1),
        3: (lambda t: np.minimum(t, 1 - t), lambda s: (4 * np.minimum(s, 1 - s) ** 3 - 3 * np.minimum(s, 1 - s)) / 24),
    }
    f, g = truths[check_integer(example, "example", 1, 3)]
    t, h = _grid(size, 0.0, 1.0)
    matrix = h * (np.outer(t, t) - np.minimum.outer(t, t))
    matrix[np.diag_indices_from(matrix)] += h**2 / 6  # min(s, t) has a kink there, its mean is h/6 below
    return _posed("deriv2", matrix, _means(f, t, h), _means(g, t, h), t, t, noise, seed, dtype, xp)


def shaw(
    size: int | None = None, noise: float = 0.01, seed: int = 0, dtype: Any = "float64", xp: str = "numpy"
) -> Signal:
    r"""Image restoration in 1-D: light of angle t through a slit is seen at angle s; severely ill-posed.

    .. math:: K(s, t) = (\cos s + \cos t)^2 (\sin u/u)^2, \quad u = π(\sin s + \sin t), \quad s, t \in [-π/2, π/2]

    The source is f = 2 exp(-6 (t - 0.8)²) + exp(-2 (t + 0.5)²).  A is that of the midpoint rule, and b = A x.

    Parameters
    ----------
    size, noise, seed, dtype, xp
        As for `deriv2`.

    Returns
    -------
    A, b, x, info
        As for `deriv2`; x are the values of f.

    References
    ----------
    Shaw, J. Math. Anal. Appl. 37 (1972); Hansen, Regularization Tools, Numer. Algorithms 6 (1994).

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.problems.simulated.fredholm import shaw
    >>> A, b, x, info = shaw()
    >>> s = np.linalg.svd(A.matrix, compute_uv=False)
    >>> bool(s[0] > 2.9), int((s > 1e-10).sum())                          # of 64
    (True, 16)
    """
    t, h = _grid(size, -math.pi / 2, math.pi / 2)
    c = np.add.outer(np.cos(t), np.cos(t))
    matrix = h * (c * np.sinc(np.add.outer(np.sin(t), np.sin(t)))) ** 2
    x = 2 * np.exp(-6 * (t - 0.8) ** 2) + np.exp(-2 * (t + 0.5) ** 2)
    return _posed("shaw", matrix, x, None, t, t, noise, seed, dtype, xp)


def heat(
    size: int | None = None,
    noise: float = 0.01,
    seed: int = 0,
    kappa: float = 1.0,
    dtype: Any = "float64",
    xp: str = "numpy",
) -> Signal:
    r"""The inverse heat equation: temperature at one end of a rod from that at the other; a Volterra equation.

    .. math:: K(s, t) = k(s - t), \quad k(τ) = \frac{τ^{-3/2}}{2κ\sqrt{π}} \exp(-\frac{1}{4κ^2 τ}), \quad τ > 0

    A is that of the midpoint rule at the ends of n cells of [0, 1], lower triangular, and b = A x.

    Parameters
    ----------
    kappa : float
        κ > 0: 1 is severely ill-posed, 5 well-conditioned.
    size, noise, seed, dtype, xp
        As for `deriv2`.

    Returns
    -------
    A, b, x, info
        As for `deriv2`; x are the values of f.

    References
    ----------
    Carasso, SIAM J. Appl. Math. 42 (1982); Eldén, in Deuflhard and Hairer (eds.), Numerical Treatment of Inverse
    Problems in Differential and Integral Equations, 1983; Hansen, Regularization Tools, Numer. Algorithms 6 (1994).

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.problems.simulated.fredholm import heat
    >>> A, b, x, info = heat(size=50, kappa=5)
    >>> bool(np.allclose(A.matrix, np.tril(A.matrix))), bool(np.linalg.cond(A.matrix) < 200)
    (True, True)
    """
    kappa = check_positive(kappa, "kappa")
    t, h = _grid(size, 0.0, 1.0)
    k = h / (2 * kappa * math.sqrt(math.pi)) * t**-1.5 * np.exp(-1 / (4 * kappa**2 * t))
    lag = np.subtract.outer(np.arange(len(t)), np.arange(len(t)))
    u = 20 * t  # a rise, a bump and a decay in the first half, nothing in the second
    pieces = [u < 2, u < 3, u < 10]
    x = np.select(pieces, [0.1875 * u**2, 0.75 + (u - 2) * (3 - u), 0.75 * np.exp(-2 * (u - 3))], 0.0)
    return _posed("heat", np.where(lag >= 0, k[lag], 0.0), x, None, t + h / 2, t, noise, seed, dtype, xp)


def phillips(
    size: int | None = None, noise: float = 0.01, seed: int = 0, dtype: Any = "float64", xp: str = "numpy"
) -> Signal:
    r"""Phillips' problem: a smooth bump seen through itself, on [-6, 6]; mildly ill-posed.

    .. math:: K(s, t) = φ(s - t), \quad f = φ, \quad φ(x) = 1 + \cos(πx/3) \;(|x| < 3), \quad 0 \text{ elsewhere},

    so that g(s) = (6 - |s|)(1 + cos(πs/3)/2) + 9/(2π) sin(π|s|/3).

    Parameters
    ----------
    size, noise, seed, dtype, xp
        As for `deriv2`; A, x and b are means over cells too.

    Returns
    -------
    A, b, x, info
        As for `deriv2`.

    References
    ----------
    Phillips, J. ACM 9 (1962); Hansen, Regularization Tools, Numer. Algorithms 6 (1994).

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.problems.simulated.fredholm import phillips
    >>> A, b, x, info = phillips(noise=0.0)
    >>> bool(np.allclose(A.matrix @ x, b, atol=3e-3 * b.max())), bool(np.allclose(A.matrix, A.matrix.T))
    (True, True)
    """
    t, h = _grid(size, -6.0, 6.0)

    def f(x: np.ndarray) -> np.ndarray:
        return np.where(abs(x) < 3, 1 + np.cos(math.pi * x / 3), 0.0)

    def g(s: np.ndarray) -> np.ndarray:
        s = abs(s)
        return (6 - s) * (1 + np.cos(math.pi * s / 3) / 2) + 9 / (2 * math.pi) * np.sin(math.pi * s / 3)

    def twice(x: np.ndarray) -> np.ndarray:
        """The even function with second derivative φ and value 0 at 0."""
        inner = np.minimum(abs(x), 3.0)
        return inner**2 / 2 + 9 / math.pi**2 * (1 - np.cos(math.pi * inner / 3)) + 3 * (abs(x) - inner)

    lag = h * np.subtract.outer(np.arange(len(t)), np.arange(len(t)))
    matrix = (twice(lag + h) - 2 * twice(lag) + twice(lag - h)) / h
    return _posed("phillips", matrix, _means(f, t, h), _means(g, t, h), t, t, noise, seed, dtype, xp)


def gravity(
    size: int | None = None,
    noise: float = 0.01,
    seed: int = 0,
    example: int = 1,
    depth: float = 0.25,
    dtype: Any = "float64",
    xp: str = "numpy",
) -> Signal:
    r"""Gravity surveying: mass at the depth d under [0, 1] from the vertical field at the surface; severely ill-posed.

    .. math:: K(s, t) = d\,(d^2 + (s - t)^2)^{-3/2}

    A is that of the midpoint rule, and b = A x.

    Parameters
    ----------
    example : int
        1: f = sin πt + sin(2πt)/2.  2: two linear pieces, 0 at the ends and 2 at t = 1/3.  3: f = 2 up to t = 1/3, then
        1.
    depth : float
        d > 0: the deeper, the faster the singular values decay.
    size, noise, seed, dtype, xp
        As for `deriv2`.

    Returns
    -------
    A, b, x, info
        As for `deriv2`; x are the values of f.

    References
    ----------
    Wing, A Primer on Integral Equations of the First Kind, 1991, p. 17; Hansen, Discrete Inverse Problems, 2010,
    section 2.1.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.problems.simulated.fredholm import gravity
    >>> deep, flat = (np.linalg.cond(gravity(size=16, depth=d)[0].matrix) for d in (0.25, 0.1))
    >>> bool(deep > 30 * flat)
    True
    """
    depth = check_positive(depth, "depth")
    truths: dict[int, Callable[..., Any]] = {
        1: lambda t: np.sin(math.pi * t) + 0.5 * np.sin(2 * math.pi * t),
        2: lambda t: np.minimum(6 * t, 3 * (1 - t)),
        3: lambda t: np.where(t < 1 / 3, 2.0, 1.0),
    }
    f = truths[check_integer(example, "example", 1, 3)]
    t, h = _grid(size, 0.0, 1.0)
    matrix = h * depth * (depth**2 + np.subtract.outer(t, t) ** 2) ** -1.5
    return _posed("gravity", matrix, f(t), None, t, t, noise, seed, dtype, xp)


# ---------------------------------------------------------------- the parts


def _grid(size: int | None, low: float, high: float) -> tuple[np.ndarray, float]:
    """Midpoints and width of the cells."""
    n = SIZE if size is None else check_count(size, "size", least=2)
    h = (high - low) / n
    return low + h * (np.arange(n) + 0.5), h


def _means(f: Callable[..., Any], t: np.ndarray, h: float) -> np.ndarray:
    """The means of f over the cells, halved for kinks at their middle, by Gauss and Legendre."""
    nodes, weights = np.polynomial.legendre.leggauss(8)
    halves = [f(np.add.outer(t + side * h / 4, h / 4 * nodes)) @ weights / 2 for side in (-1, 1)]
    return (halves[0] + halves[1]) / 2


def _posed(
    name: str,
    matrix: np.ndarray,
    x: np.ndarray,
    clean: np.ndarray | None,
    s: np.ndarray,
    t: np.ndarray,
    noise: float,
    seed: int,
    dtype: Any,
    xp: str,
) -> Signal:
    """``clean``, the data before noise, where they are not A x."""
    check_common(xp, seed, noise)
    dtype = np.dtype(dtype)
    if dtype not in (np.float32, np.float64):
        raise TypeError(f"dtype is {dtype}; expected float32 or float64")
    matrix, x = matrix.astype(dtype), x.astype(dtype)
    clean = None if clean is None else clean.astype(dtype)
    b, noise_level = noises.gaussian(matrix @ x if clean is None else clean, noise, seed)
    about = dict(name=name, seed=seed, units="x dimensionless", pixel_size=float(t[1] - t[0]), extra={"s": s, "t": t})
    A, b, x, info = pose(as_operator(matrix, (len(x),)), b, x, noise_level, clean, xp, **about)
    return as_operator(backend.to_device(matrix, xp), A.dims), b, x, info
