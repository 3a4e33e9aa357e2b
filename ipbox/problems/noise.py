"""Noise for simulated data, with the norm it is expected to have."""

from __future__ import annotations

import math
import numbers
from typing import Any

from ipbox import backend
from ipbox.backend import Array


def gaussian(b: Array, level: float, seed: int = 0) -> tuple[Array, float]:
    r"""White Gaussian noise of a given relative level.

    .. math:: b^δ = b + n, \quad n_i \sim N(0, σ^2), \quad σ = \text{level}\, \|b\| / \sqrt{m}

    Parameters
    ----------
    b : array
        m clean data, floating (NumPy or CuPy).  Complex data get circular noise with E|n_i|² = σ².
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
    >>> from ipbox.problems.noise import gaussian
    >>> b, delta = gaussian(np.ones(10000), level=0.05)
    >>> round(delta, 6), bool(abs(np.linalg.norm(b - 1) - delta) < 0.1)
    (5.0, True)
    """
    xp = _check(b, "b", seed)
    check_level(level, "level")
    noise_level = float(level) * backend.norm(b)
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
        counts stay well above 1.

    Raises
    ------
    ValueError, TypeError
        for a number of photons that is not positive, a negative seed, data that are not real floating or not finite,
        or expected counts beyond 1e18.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.problems.noise import poisson_counts
    >>> p, delta = poisson_counts(np.full(10000, 2.0), photons=1e5)
    >>> round(delta, 3), bool(abs(np.linalg.norm(p - 2) - delta) < 0.02)
    (0.86, True)
    """
    p = line_integrals
    xp = _check(p, "line_integrals", seed)
    if p.dtype.kind == "c":
        raise TypeError(f"line_integrals has dtype {p.dtype}; expected float32 or float64")
    if not (isinstance(photons, numbers.Real) and math.isfinite(photons) and photons > 0):
        raise ValueError(f"photons is {photons!r}; expected a positive number")
    transmitted = xp.exp(-p.astype("float64"))
    most = float(photons) * float(transmitted.max()) if p.size else 0.0
    if not most <= 1e18:
        raise ValueError(f"line_integrals and photons give up to {most:g} counts a ray; expected at most 1e18")
    if p.size and not float(transmitted.min()) > 0.0:
        raise ValueError(f"line_integrals reach {float(p.max()):g}; expected values at which some light passes")
    counts = backend.generator(seed, like=p).poisson(float(photons) * transmitted)
    noisy = -xp.log(xp.maximum(counts, 1) / float(photons))
    return noisy.astype(p.dtype), math.sqrt(float((1.0 / transmitted).sum()) / float(photons))


def check_level(level: float, name: str) -> None:
    """A finite number, zero or positive."""
    if not (isinstance(level, numbers.Real) and math.isfinite(level) and level >= 0):
        raise ValueError(f"{name} is {level!r}; expected zero or a positive number")


def check_seed(seed: int) -> None:
    """A non-negative integer."""
    if not isinstance(seed, numbers.Integral) or seed < 0:
        raise ValueError(f"seed is {seed!r}; expected a non-negative integer")


def _check(b: Array, name: str, seed: int) -> Any:
    xp = backend.array_module(b)
    backend.real_dtype(b.dtype)  # refuses what is not floating
    check_seed(seed)
    if not bool(xp.isfinite(b).all()):
        raise ValueError(f"{name} has NaN or infinite entries; expected finite values")
    return xp
