"""Whether samples say the truth about a posterior that is known: the gap of their mean, coverage, and ranks."""

from __future__ import annotations

import math

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.bayes.known.distances import real_and_finite
from ipbox.bayes.known.laws import Gaussian, GaussianMixture
from ipbox.checks import check_between, check_count, check_seed, check_type, counted
from ipbox.keywords import answering


@answering
def mmse_gap(x: Array, posterior: GaussianMixture) -> float:
    r"""By how many dB the mean squared error of an estimate exceeds the least possible one.

    .. math::
        10 \log_{10} \frac{E\|x - u\|^2}{E\|m - u\|^2} = 10 \log_{10}\Bigl(1 + \frac{\|x - m\|^2}{\mathrm{tr}\, C}\Bigr)

    for u of the posterior, m its mean and C its covariance.

    Parameters
    ----------
    x : array, of the posterior's dims
        Such as the mean of samples; of N independent exact ones the gap is about 4.3/N dB.
    posterior : GaussianMixture

    Returns
    -------
    float

    References
    ----------
    Zach, Haouchat and Unser, A statistical benchmark for diffusion posterior sampling algorithms, arXiv 2509.12821.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.bayes import Gaussian, mmse_gap
    >>> round(mmse_gap(np.array([1.0, 1.0]), Gaussian(np.zeros(2), np.eye(2))), 2)
    3.01
    """
    check_type(posterior, "posterior", GaussianMixture, "a Gaussian or a GaussianMixture")
    x = real_and_finite(x, "x")
    if x.shape != posterior.dims:
        raise ValueError(f"x has shape {x.shape}; expected {posterior.dims}")
    d = x - backend.to_host(posterior.mean)
    return 10 * math.log10(1 + float((d**2).sum()) / float(np.trace(backend.to_host(posterior.covariance))))


@answering
def region_coverage(x: Array, posterior: Gaussian, level: float = 0.9, draws: int = 4000, seed: int = 0) -> float:
    r"""How much of a Gaussian posterior lies in the ellipsoid that its samples take for the most probable 90 per cent.

    With mean m and covariance C of N samples of n numbers the ellipsoid is

    .. math:: (u - m)^T C^{-1} (u - m) \le \frac{n(N^2 - 1)}{N(N - n)} F_{n, N-n}(0.9),

    which holds 90 per cent on average where the samples are exact and independent, for every N > n.

    Parameters
    ----------
    x : array
        Samples, (N,) + dims.
    posterior : Gaussian
    level : float
        Of the region.
    draws : int
        Of the posterior, by which its share is estimated, to √(0.09/draws).
    seed : int
        Of the draws.

    Returns
    -------
    float
        Below ``level`` the samples are too sure; above, too unsure.

    Raises
    ------
    ValueError, TypeError
        with no more samples than pixels, or for a posterior that is not Gaussian.

    References
    ----------
    Hotelling, The generalization of Student's ratio, Ann. Math. Statist. 2 (1931).

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.bayes import Gaussian, region_coverage
    >>> law = Gaussian(np.zeros(2), np.eye(2))
    >>> bool(abs(region_coverage(law.sample(4000, seed=1), law) - 0.9) < 0.02)
    True
    >>> bool(region_coverage(0.5 * law.sample(4000, seed=1), law) < 0.5)
    True
    """
    from scipy.stats import f

    check_type(posterior, "posterior", Gaussian, "a Gaussian: of others, see interval_coverage")
    level, x = check_between(level, "level", 0, 1), _rows(x, posterior)
    N, n = x.shape
    if N <= n + 1:
        raise ValueError(f"x has {N} samples of {n} pixels; expected more samples than pixels, for their covariance")
    threshold = n * (N**2 - 1) / (N * (N - n)) * f.ppf(level, n, N - n)
    u = backend.to_host(posterior.sample(check_count(draws, "draws"), check_seed(seed))).reshape(draws, n)
    C = np.cov(x.T).reshape(n, n)
    if np.linalg.matrix_rank(C, hermitian=True) < n:
        raise ValueError(f"x has samples in a subspace of the {n} pixels; expected a covariance that is definite")
    L = np.linalg.cholesky(C)
    squares = (np.linalg.solve(L, (u - x.mean(axis=0)).T) ** 2).sum(axis=0)
    return float((squares <= threshold).mean())


@answering
def interval_coverage(x: Array, posterior: GaussianMixture, level: float = 0.9) -> float:
    """How much of a posterior lies between the quantiles of its samples, averaged over the pixels, in closed form.

    The quantiles are those of probability (1 ± level)/2 by the rule i/(N + 1), with which intervals of N independent
    exact samples hold ``level`` on average.

    Parameters
    ----------
    x : array
        Samples, (N,) + dims.
    posterior : GaussianMixture
    level : float

    Returns
    -------
    float
        Below ``level`` the samples are too sure; above, too unsure.

    Raises
    ------
    ValueError
        for so few samples that no interval has that level.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.bayes import GaussianMixture, interval_coverage
    >>> law = GaussianMixture([0.5, 0.5], np.array([[-3.0], [3.0]]), np.eye(1))
    >>> bool(abs(interval_coverage(law.sample(10_000), law) - 0.9) < 0.01)
    True
    """
    from scipy.stats import norm

    check_type(posterior, "posterior", GaussianMixture, "a Gaussian or a GaussianMixture")
    level, x = check_between(level, "level", 0, 1), _rows(x, posterior)
    least = math.ceil(2 / (1 - level) - 1 - 1e-9)
    if len(x) < least:
        raise ValueError(f"x has {counted(len(x), 'sample')}; expected at least {least} at level {level:g}")
    low, high = np.quantile(x, [(1 - level) / 2, (1 + level) / 2], axis=0, method="weibull")
    m = backend.to_host(posterior.means).reshape(len(posterior.weights), -1)
    s = np.sqrt(np.diagonal(backend.to_host(posterior.covariances), axis1=1, axis2=2))
    inside = norm.cdf((high - m) / s) - norm.cdf((low - m) / s)
    return float((posterior.weights @ inside).mean())


@answering
def ranks(truths: Array, samples: Array) -> np.ndarray:
    """How many of the samples of a posterior lie below the truth: uniform on 0, ..., N where the sampler is exact.

    Simulation-based calibration: draw u from the prior and b from its data, sample the posterior of b, and rank u.

    Parameters
    ----------
    truths : array, shape (repetitions,) + dims
        Or functions of them, such as means over a region.
    samples : array, shape (repetitions, N) + dims
        Independent samples of each posterior.

    Returns
    -------
    numpy.ndarray of int
        Of the truths' shape.

    Raises
    ------
    ValueError
        for shapes that do not fit.

    References
    ----------
    Talts, Betancourt, Simpson, Vehtari and Gelman, Validating Bayesian inference algorithms with simulation-based
    calibration, arXiv 1804.06788.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.bayes import ranks
    >>> ranks(np.array([0.0, 2.0]), np.array([[-1.0, 1.0, 3.0], [0.0, 1.0, 1.5]]))
    array([1, 3])
    """
    u, x = real_and_finite(truths, "truths"), real_and_finite(samples, "samples")
    if x.ndim != u.ndim + 1 or x.shape[:1] + x.shape[2:] != u.shape:
        raise ValueError(
            f"truths has shape {u.shape} and samples {x.shape}; expected (repetitions,) + dims and N samples of each"
        )
    return (x < u[:, None]).sum(axis=1)


@answering
def rank_uniformity(found: np.ndarray, N: int, bins: int = 10) -> float:
    """The p-value of a χ² test that ranks are uniform on 0, ..., N: tiny where a sampler is not calibrated.

    Parameters
    ----------
    found : array of int
        Of independent repetitions, as `ranks` gives them for one pixel or function.
    N : int
        Samples of each posterior.
    bins : int
        Of the histogram; N + 1 has to be a multiple, so that all are equally probable.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        for bins that do not fit, or fewer than five ranks a bin.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.bayes import rank_uniformity
    >>> rank_uniformity(np.arange(100), 99)
    1.0
    >>> rank_uniformity(np.arange(100) // 2, 99) < 1e-10
    True
    """
    from scipy.stats import chisquare

    found = np.asarray(found).ravel()
    if found.dtype.kind not in "iu":
        raise TypeError(f"found has dtype {found.dtype}; expected integers, as ranks gives them")
    N, bins = check_count(N, "N"), check_count(bins, "bins", least=2)
    if (N + 1) % bins:
        raise ValueError(f"bins is {bins}; expected a divisor of N + 1 = {N + 1}")
    if found.size < 5 * bins or found.min() < 0 or found.max() > N:
        ends = f", from {found.min()} to {found.max()}" if found.size else ""
        raise ValueError(
            f"found has {counted(found.size, 'rank')}{ends}; expected at least {5 * bins} integers from 0 to {N}"
        )
    return float(chisquare(np.bincount(found * bins // (N + 1), minlength=bins)).pvalue)


def _rows(x: Array, posterior: GaussianMixture) -> np.ndarray:
    """Samples as rows, on the host in double precision."""
    x = real_and_finite(x, "x")
    if x.ndim < 2 or x.shape[1:] != posterior.dims:
        raise ValueError(f"x has shape {x.shape}; expected (samples,) + {posterior.dims}")
    return x.reshape(len(x), -1)
