"""Distances between laws: Wasserstein's, of order 2 between Gaussians, and of order 1 or 2 between samples."""

from __future__ import annotations

import math

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_count, check_integer, check_seed
from ipbox.keywords import answering


@answering
def gaussian_wasserstein(mean: Array, covariance: Array, other_mean: Array, other_covariance: Array) -> float:
    r"""The distance W_2 of two Gaussians, or of the Gaussians that have the moments of two laws.

    .. math:: W_2^2 = \|m_1 - m_2\|^2 + \mathrm{tr}\bigl(C_1 + C_2 - 2(C_1^{1/2} C_2 C_1^{1/2})^{1/2}\bigr)

    Parameters
    ----------
    mean, other_mean : array
        Of one shape, n numbers each.
    covariance, other_covariance : array, shape (n, n)

    Returns
    -------
    float
        In the units of the images.

    Raises
    ------
    ValueError
        for shapes that do not fit.

    References
    ----------
    Gelbrich, On a formula for the L2 Wasserstein metric, Math. Nachr. 147 (1990).

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.bayes import gaussian_wasserstein
    >>> gaussian_wasserstein(np.zeros(2), np.eye(2), np.array([3.0, 0.0]), np.diag([1.0, 25.0]))
    5.0
    """
    names = ("mean", "covariance", "other_mean", "other_covariance")
    given = (mean, covariance, other_mean, other_covariance)
    m, C, other_m, other_C = (real_and_finite(a, name) for a, name in zip(given, names, strict=True))
    if m.shape != other_m.shape or not C.shape == other_C.shape == (m.size, m.size):
        shapes = ", ".join(f"{name} {a.shape}" for name, a in zip(names, (m, C, other_m, other_C), strict=True))
        raise ValueError(f"the shapes are {shapes}; expected two means of n pixels and two covariances (n, n)")
    values, V = _eigen(C, "covariance")
    _eigen(other_C, "other_covariance")
    half = (V * np.sqrt(np.maximum(values, 0))) @ V.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(half @ other_C @ half), 0)).sum()
    square = float(((m - other_m) ** 2).sum() + np.trace(C) + np.trace(other_C) - 2 * cross)
    return math.sqrt(max(square, 0.0))


@answering
def wasserstein(x: Array, y: Array, order: int = 2) -> float:
    r"""The distance W_p of two sets of equally many samples: the least over all ways to pair them.

    .. math:: W_p^p = \min_π \frac1N \sum_i \|x_i - y_{π(i)}\|^p

    Parameters
    ----------
    x, y : array
        (samples, ...), of one shape.
    order : 1 or 2
        p; that of order 1 is the earth mover's distance.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        for arrays of different shapes, or another order.

    Notes
    -----
    Exact for the samples, as an assignment problem: N³ operations.  Two sets from *one* law in n dimensions
    are N^(-1/n) apart, not 0: compare with the distance of two sets of exact samples.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.bayes import wasserstein
    >>> wasserstein(np.array([[0.0], [4.0]]), np.array([[7.0], [3.0]]))
    3.0
    """
    from scipy.optimize import linear_sum_assignment

    p = check_integer(order, "order", 1, 2)
    x, y = _pair(x, y)
    squares = np.maximum((x**2).sum(axis=1)[:, None] + (y**2).sum(axis=1) - 2 * x @ y.T, 0)
    rows, columns = linear_sum_assignment(squares ** (p / 2))
    return float((np.linalg.norm(x[rows] - y[columns], axis=1) ** p).mean()) ** (1 / p)


@answering
def sliced_wasserstein(x: Array, y: Array, directions: int = 200, seed: int = 0) -> float:
    r"""W_2 of projections on random lines, in root mean square: fast, and small where the samples are of one law.

    .. math:: SW_2^2 = \frac1L \sum_l W_2^2(\langle θ_l, x \rangle, \langle θ_l, y \rangle), \quad \|θ_l\| = 1

    Parameters
    ----------
    x, y : array
        (samples, ...), of one shape.
    directions : int
        L.
    seed : int
        Of the directions.

    Returns
    -------
    float
        For x = y + c about ‖c‖/√n in n dimensions.

    Raises
    ------
    ValueError
        for arrays of different shapes, or numbers out of range.

    References
    ----------
    Bonneel, Rabin, Peyré and Pfister, Sliced and Radon Wasserstein barycenters of measures, JMIV 51 (2015).

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.bayes import sliced_wasserstein
    >>> sliced_wasserstein(np.array([[0.0], [4.0]]), np.array([[7.0], [3.0]]))
    3.0
    """
    x, y = _pair(x, y)
    theta = np.random.default_rng(check_seed(seed)).standard_normal((x.shape[1], check_count(directions, "directions")))
    theta /= np.linalg.norm(theta, axis=0)
    return math.sqrt(float(((np.sort(x @ theta, axis=0) - np.sort(y @ theta, axis=0)) ** 2).mean()))


def _pair(x: Array, y: Array) -> tuple[np.ndarray, np.ndarray]:
    """Two sets of samples as rows, on the host in double precision."""
    x, y = real_and_finite(x, "x"), real_and_finite(y, "y")
    if x.shape != y.shape or x.ndim < 2 or not x.size:
        raise ValueError(f"x has shape {x.shape} and y {y.shape}; expected samples (N, ...) of one shape")
    return x.reshape(len(x), -1), y.reshape(len(y), -1)


def real_and_finite(x: Array, name: str) -> np.ndarray:
    """On the host in double precision."""
    if backend.check_array(x, name).dtype.kind not in "fiu":
        raise TypeError(f"{name} has dtype {x.dtype}; expected real numbers")
    x = backend.to_host(x).astype(np.float64)
    if not np.isfinite(x).all():
        raise ValueError(f"{name} has NaN or infinite entries; expected finite numbers")
    return x


def _eigen(C: np.ndarray, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues and eigenvectors of a covariance, which may be singular."""
    skew, size = float(abs(C - C.T).max()), float(abs(C).max())
    values, V = np.linalg.eigh(C)
    if skew > 1e-8 * size or values[0] < -1e-8 * size:
        raise ValueError(
            f"{name} differs from its transpose by {skew:.2g} and has an eigenvalue {values[0]:.2g}; expected a "
            "symmetric matrix with eigenvalues >= 0"
        )
    return values, V
