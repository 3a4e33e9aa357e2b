"""Pairs of true images and noisy data to learn from."""

from __future__ import annotations

import numpy as np

from ipbox.checks import check_choice, check_count, check_not_negative
from ipbox.problems.truths.crops import photograph_crops

__all__ = ["interval_pairs", "photograph_pairs"]


def interval_pairs(n: int = 10, size: int = 256, noise: float = 0.1, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Indicators of random intervals on [-2, 2], and the same with Gaussian noise.

    u = 1 where (t - c)² < r², c uniform in (-1, 1), |r| in (1/2, 1); b = u + σn.  The first test problem of the
    literature on learning with dynamic accuracy, with its random numbers (of NumPy's legacy generator).

    Parameters
    ----------
    n : int
        Number of pairs.
    size : int
        Samples of one signal.
    noise : float
        σ >= 0.
    seed : int

    Returns
    -------
    truths, data : numpy.ndarray
        (n, size) float64.

    Raises
    ------
    ValueError
        where a number is not as above.

    References
    ----------
    Ehrhardt and Roberts, J. Math. Imaging Vis. 63 (2021), section 4.1.

    Examples
    --------
    >>> from ipbox.problems.simulated.pairs import interval_pairs
    >>> u, b = interval_pairs()
    >>> round(float(((b - u) ** 2).sum()), 4)
    24.3088
    """
    check_count(n, "n")
    check_count(size, "size")
    rng, t = np.random.RandomState(seed), np.linspace(-2, 2, size)
    truths = np.empty((n, size))
    for u in truths:
        centre, radius = rng.uniform(-1, 1), rng.uniform(-0.5, -1)
        u[:] = (t - centre) ** 2 < radius**2
    noise = check_not_negative(noise, "noise")
    return truths, np.stack([u + noise * rng.randn(size) for u in truths])


def photograph_pairs(
    n: int = 20, size: int = 256, noise: float = 0.1, seed: int = 0, split: str = "train", dtype: str = "float64"
) -> tuple[np.ndarray, np.ndarray]:
    """Tiles of photographs, and the same with Gaussian noise.

    Parameters
    ----------
    n, size, split
        As for `ipbox.problems.truths.crops.photograph_crops`.
    noise : float
        σ >= 0, for images in [0, 1].
    seed : int
    dtype : {"float64", "float32"}

    Returns
    -------
    truths, data : numpy.ndarray
        (n, size, size).

    Raises
    ------
    ValueError
        where an argument is not as above.

    Examples
    --------
    >>> from ipbox.problems.simulated.pairs import photograph_pairs
    >>> u, b = photograph_pairs(2, 64)
    >>> b.shape, round(float((b - u).std()), 2)
    ((2, 64, 64), 0.1)
    """
    check_choice(dtype, "dtype", ("float64", "float32"))
    truths = photograph_crops(n, size, split)
    data = truths + check_not_negative(noise, "noise") * np.random.default_rng(seed).standard_normal(truths.shape)
    return truths.astype(dtype), data.astype(dtype)
