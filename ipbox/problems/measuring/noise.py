"""Noise for simulated data, with the norm it is expected to have: (complex) Gaussian, Poisson, salt and pepper."""

from __future__ import annotations

import math
from typing import Any

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_between, check_finite, check_not_negative, check_positive, check_seed
from ipbox.warning import warn


def gaussian(b: Array, level: float, seed: int = 0) -> tuple[Array, float]:
    r"""White Gaussian noise of a given relative level.

    .. math:: b^δ = b + n, \quad n_i \sim N(0, σ^2), \quad σ = \text{level}\, \|b\| / \sqrt{m}

    Parameters
    ----------
    b : array
        m clean data, floating (NumPy or CuPy).  Complex data get circular complex Gaussian noise: real and
        imaginary part are independent with variance σ²/2 each, so that E|n_i|² = σ².
    level : float
        Expected ‖n‖/‖b‖; 0 adds nothing.
    seed : int
        Seed; each of NumPy and CuPy draws its own sequence.

    Returns
    -------
    noisy : array
        A new array with the dtype and on the device of ``b``.
    noise_level : float
        σ√m, the expected norm of the noise.

    Raises
    ------
    ValueError, TypeError
        for a negative level or seed, or data that are not floating or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.problems.measuring.noise import gaussian
    >>> b, delta = gaussian(np.ones(10000), level=0.05)
    >>> round(delta, 6), bool(abs(np.linalg.norm(b - 1) - delta) < 0.1)
    (5.0, True)
    """
    xp = _check(b, "b", seed)
    noise_level = check_not_negative(level, "level") * backend.norm(b)
    rng, real = backend.generator(seed, like=b), backend.real_dtype(b.dtype)
    sigma = noise_level / math.sqrt(max(b.size, 1))
    noise = rng.standard_normal(b.shape, dtype=real)
    if b.dtype.kind == "c":
        noise = (noise + 1j * rng.standard_normal(b.shape, dtype=real)) * math.sqrt(0.5)
    return xp.asarray(b + sigma * noise, dtype=b.dtype), noise_level


def poisson_counts(line_integrals: Array, photons: float, seed: int = 0) -> tuple[Array, float]:
    r"""Line integrals as a photon-counting detector sees them.

    .. math:: N_i \sim \text{Poisson}(I_0 e^{-p_i}), \quad p^δ_i = -\log(\max(N_i, 1) / I_0)

    Parameters
    ----------
    line_integrals : array
        Clean line integrals p (dimensionless), float32 or float64.
    photons : float
        Photons I₀ sent along each ray.
    seed : int
        Seed.

    Returns
    -------
    noisy : array
        p^δ, a new array with the dtype and on the device of ``line_integrals``.
    noise_level : float
        Expected norm of the noise by the delta method, √(Σ_i exp(p_i)/I₀): Var p^δ_i ≈ 1/E N_i, which holds while
        counts stay well above 1; a warning says where they are expected below 1.

    Raises
    ------
    ValueError, TypeError
        for a number of photons that is not positive, a negative seed, data that are not real floating or not finite,
        or expected counts beyond 1e18.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.problems.measuring.noise import poisson_counts
    >>> p, delta = poisson_counts(np.full(10000, 2.0), photons=1e5)
    >>> round(delta, 3), bool(abs(np.linalg.norm(p - 2) - delta) < 0.02)
    (0.86, True)
    """
    p = line_integrals
    xp = _check(p, "line_integrals", seed)
    _check_real(p, "line_integrals")
    photons = check_positive(photons, "photons")
    transmitted = xp.exp(-p.astype("float64"))
    most = photons * float(transmitted.max()) if p.size else 0.0
    if not most <= 1e18:
        raise ValueError(f"line_integrals and photons give up to {most:g} counts a ray; expected at most 1e18")
    if p.size and not float(transmitted.min()) > 0.0:
        raise ValueError(f"line_integrals reach {float(p.max()):g}; expected values at which some light passes")
    if starved := int((photons * transmitted < 1).sum()):
        what = f"photons is {photons:g} and line integrals reach {float(p.max()):g}"
        many = f"{starved} of {p.size} rays expect less than one count, and the noise level is not that of the data"
        warn(f"{what}: {many}; expected more photons, or less of what attenuates them", RuntimeWarning)
    counts = backend.generator(seed, like=p).poisson(photons * transmitted)
    noisy = -xp.log(xp.maximum(counts, 1) / photons)
    return noisy.astype(p.dtype), math.sqrt(float((1.0 / transmitted).sum()) / photons)


def poisson(mean: Array, seed: int = 0) -> tuple[Array, float]:
    r"""Poisson counts with a given mean, as of photons, or of coincidences in PET.

    .. math:: N_i \sim \text{Poisson}(λ_i), \quad E\|N - λ\|^2 = \sum_i λ_i

    Parameters
    ----------
    mean : array
        Expected counts λ >= 0, float32 or float64, at most 1e18 each.
    seed : int
        Seed; each of NumPy and CuPy draws its own sequence.

    Returns
    -------
    counts : array
        A new array with the dtype and on the device of ``mean``; in float32, counts beyond 2^24 are rounded.
    noise_level : float
        √(Σ_i λ_i).

    Raises
    ------
    ValueError, TypeError
        for expected counts that are negative, beyond 1e18, not real floating or not finite, and a negative seed.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.problems.measuring.noise import poisson
    >>> counts, delta = poisson(np.full(10000, 4.0))
    >>> delta, bool(abs(np.linalg.norm(counts - 4) - delta) < 5)
    (200.0, True)
    """
    xp = _check(mean, "mean", seed)
    _check_real(mean, "mean")
    low, high = (float(mean.min()), float(mean.max())) if mean.size else (0.0, 0.0)
    if low < 0 or high > 1e18:
        raise ValueError(f"mean has values from {low:g} to {high:g}; expected counts from 0 to 1e18")
    counts = backend.generator(seed, like=mean).poisson(mean.astype("float64"))
    return xp.asarray(counts, dtype=mean.dtype), math.sqrt(backend.reduce_sum(mean))


def salt_and_pepper(
    b: Array, fraction: float, low: float | None = None, high: float | None = None, seed: int = 0
) -> tuple[Array, float]:
    r"""Impulse noise: each value is replaced with probability p, by a low or a high one with equal odds.

    .. math:: E\|b^δ - b\|^2 = \frac p2 \sum_i \left((b_i - \text{low})^2 + (b_i - \text{high})^2\right)

    Parameters
    ----------
    b : array
        Clean data, float32 or float64.
    fraction : float
        p in [0, 1].
    low, high : float, optional
        Pepper and salt; by default the least and the largest value of ``b``.
    seed : int
        Seed; each of NumPy and CuPy draws its own sequence.

    Returns
    -------
    noisy : array
        A new array with the dtype and on the device of ``b``; where it differs from ``b`` the value is lost.
    noise_level : float
        The root of the expectation above.

    Raises
    ------
    ValueError, TypeError
        for a fraction outside [0, 1], low > high, a negative seed, or data that are not real floating or not finite.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.problems.measuring.noise import salt_and_pepper
    >>> noisy, delta = salt_and_pepper(np.full(10000, 0.5), fraction=0.1, low=0.0, high=1.0)
    >>> round(delta, 3), np.unique(noisy)
    (15.811, array([0. , 0.5, 1. ]))
    """
    xp = _check(b, "b", seed)
    _check_real(b, "b")
    p = check_between(fraction, "fraction", 0, 1, "[]")
    low = (float(b.min()) if b.size else 0.0) if low is None else check_finite(low, "low")
    high = (float(b.max()) if b.size else 0.0) if high is None else check_finite(high, "high")
    if low > high:
        raise ValueError(f"low is {low:g} and high is {high:g}; expected low <= high")
    rng = backend.generator(seed, like=b)
    draw = rng.random(b.shape, dtype="float64")
    noisy = xp.where(draw < p, xp.where(draw < 0.5 * p, low, high), b).astype(b.dtype)
    squares = (b.astype("float64") - low) ** 2 + (b.astype("float64") - high) ** 2
    return noisy, math.sqrt(0.5 * p * backend.reduce_sum(squares))


def _check(b: Array, name: str, seed: int) -> Any:
    xp = backend.array_module(b)
    backend.real_dtype(b.dtype)  # refuses what is not floating
    check_seed(seed)
    if not bool(xp.isfinite(b).all()):
        raise ValueError(f"{name} has NaN or infinite entries; expected finite values")
    return xp


def _check_real(b: Array, name: str) -> None:
    if b.dtype.kind == "c":
        raise TypeError(f"{name} has dtype {b.dtype}; expected float32 or float64")
