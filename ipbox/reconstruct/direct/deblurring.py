"""Deblurring in the transform that diagonalises the blur: Wiener filter and truncated inverse."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_choice, check_flag, check_not_negative, check_positive
from ipbox.functionals.core.composition import check_data
from ipbox.functionals.fidelities.l2 import check_fits
from ipbox.keywords import answering
from ipbox.operators import Blur
from ipbox.operators.images import diagonal
from ipbox.operators.images.diagonal import Diagonal
from ipbox.reconstruct.direct.info import AnalyticInfo, reported

SIGNALS = ("natural", "white")
DISCREPANCY = 1.01  # the residual asked for, in units of the noise, as in `cgls` and `landweber`


@answering
def wiener(
    A: Blur,
    b: Array,
    noise_level: float | None = None,
    *,
    noise_to_signal: float | Array | None = None,
    signal: str = "natural",
    edgetaper: bool = False,
) -> tuple[Array, AnalyticInfo]:
    r"""The Wiener filter, the linear estimate of least mean square error where signal and noise have known spectra.

    .. math:: \hat u(ω) = \frac{\overline{\hat k(ω)}\, \hat b(ω)}{|\hat k(ω)|^2 + S_n(ω)/S_u(ω)}

    Exactly one of ``noise_level`` and ``noise_to_signal`` is given.

    Parameters
    ----------
    A : Blur
    b : array
        Data of shape A.dimsd, or a batch of them.
    noise_level : float, optional
        Expected norm δ of white noise: S_n = δ²/m.  The signal's spectrum S_u is then that of ``signal``, scaled to the
        data: the scale of greatest likelihood under b̂(ω) ~ N(0, |k̂|² S_u + S_n), ω ≠ 0 (Whittle).
    noise_to_signal : float or array, optional
        S_n/S_u >= 0 itself: a number (then this is Tikhonov regularisation with λ = S_n/S_u), or one for each
        coefficient, in the shape of ``A.diagonal.values``.
    signal : str
        ``"natural"``: S_u ∝ 1/|ω|², as photographs have it on average (the mean ω = 0 as the lowest frequency);
        ``"white"``: S_u the same for all ω ≠ 0.
    edgetaper : bool
        Whatever the boundary of A, blend the edges of ``b`` with a blurred copy of it and take the boundary as
        periodic: an approximation, for blurs that no fast transform diagonalises and for photographs, which go on
        beyond their edges.

    Returns
    -------
    x : array
        Image of shape A.dims, in the dtype of ``b``.
    info : AnalyticInfo
        ``parameters``: the ratio S_n/S_u over its extremes, "transform" ("fft" or "dct"), "signal".

    Raises
    ------
    TypeError
        where A is no `Blur`.
    ValueError
        where no fast transform diagonalises A (zero boundary; reflective boundary and a kernel that is not symmetric
        along each axis) and ``edgetaper`` is not set; for a noise level beyond the variance of ``b``; where S_n/S_u is
        negative, of another shape, or zero where k̂ is.

    References
    ----------
    Wiener, Extrapolation, Interpolation, and Smoothing of Stationary Time Series, 1949; Field, Relations between the
    statistics of natural images and the response properties of cortical cells, J. Opt. Soc. Am. A 4 (1987); Whittle,
    Estimation and information in stationary time series, Ark. Mat. 2 (1953).

    Examples
    --------
    >>> import ipbox as ip
    >>> A, b, x_true, info = ip.problem("blur", size=64, kernel="gaussian", sigma=1.0)
    >>> x, run = ip.wiener(A, b, info.noise_level)
    >>> ip.psnr(x, x_true) > ip.psnr(b, x_true)
    True
    """
    if (noise_level is None) == (noise_to_signal is None):
        raise ValueError(
            f"noise_level is {noise_level} and noise_to_signal is {noise_to_signal}; expected exactly one of them"
        )
    check_choice(signal, "signal", SIGNALS)
    start = time.perf_counter()
    T, c = _transformed(A, b, edgetaper, "wiener")
    xp = backend.array_module(b)
    if noise_level is not None:
        ratio = _noise_to_signal(T, c, check_positive(noise_level, "noise_level"), signal)
    else:
        ratio = _given_ratio(noise_to_signal, T)[None]
    power = np.abs(T.values) ** 2 + ratio
    if not (power > 0).all():
        raise ValueError("noise_to_signal is zero where the blur's spectrum is; expected a positive ratio there")
    c *= xp.asarray((T.values.conj() / power).astype(c.dtype))
    x = T.inverse(c).reshape(b.shape).astype(b.dtype, copy=False)
    told = {"noise_to_signal": (float(ratio.min()), float(ratio.max())), "transform": T.kind}
    told |= {"signal": signal} if noise_level is not None else {}
    return reported(x, "wiener", start, parameters=told)


@answering
def truncated_inverse(
    A: Blur, b: Array, noise_level: float | None = None, *, threshold: float | None = None, edgetaper: bool = False
) -> tuple[Array, AnalyticInfo]:
    r"""The spectral cut-off: the inverse on the coefficients that the blur leaves large enough, 0 on the others.

    .. math:: \hat u(ω) = \hat b(ω)/\hat k(ω) \text{ where } |\hat k(ω)| > t, \text{ else } 0

    The truncated singular value decomposition of A.  Exactly one of ``noise_level`` and ``threshold`` is given.

    Parameters
    ----------
    A : Blur
    b : array
        Data of shape A.dimsd, or a batch of them.
    noise_level : float, optional
        Expected norm δ of the noise: the discrepancy principle takes the largest t with a residual of at most 1.01 δ,
        exactly, since ‖A u - b‖² = Σ_{|k̂| <= t} |b̂|²; one t for each image of a batch.
    threshold : float, optional
        t >= 0 itself, in units of k̂ (1 is the mean's for a kernel of sum 1).
    edgetaper : bool
        As in `wiener`.

    Returns
    -------
    x : array
        Image of shape A.dims, in the dtype of ``b``.
    info : AnalyticInfo
        ``parameters``: "threshold" and "residual" (a list for a batch), "kept": the share of coefficients kept.

    Raises
    ------
    TypeError
        where A is no `Blur`.
    ValueError
        where no fast transform diagonalises A and ``edgetaper`` is not set (see `wiener`), or ``threshold`` is
        negative.

    References
    ----------
    Engl, Hanke and Neubauer, Regularization of Inverse Problems, 1996, sections 3.3 and 4.1; Hansen, Nagy and O'Leary,
    Deblurring Images, SIAM 2006, chapter 6.

    Examples
    --------
    >>> import ipbox as ip
    >>> A, b, x_true, info = ip.problem("blur", size=64, kernel="gaussian", sigma=1.0, inverse_crime=True)
    >>> x, run = ip.truncated_inverse(A, b, info.noise_level)
    >>> bool(run.parameters["residual"] <= 1.01 * info.noise_level)
    True
    """
    if (noise_level is None) == (threshold is None):
        raise ValueError(f"noise_level is {noise_level} and threshold is {threshold}; expected exactly one of them")
    start = time.perf_counter()
    T, c = _transformed(A, b, edgetaper, "truncated_inverse")
    xp, modulus = backend.array_module(b), np.abs(T.values)
    if threshold is not None:
        thresholds = np.full(len(c), check_not_negative(threshold, "threshold"))
    else:
        thresholds = _discrepancy_thresholds(T, c, DISCREPANCY * check_positive(noise_level, "noise_level"))
    kept = modulus > np.maximum(thresholds, modulus.max() * _rounding(T)).reshape((-1,) + (1,) * modulus.ndim)
    counts = xp.asarray(T.counts)
    left = (
        (xp.abs(c).astype(np.float64) ** 2 * counts * xp.asarray(~kept))
        .reshape(len(c), -1)
        .sum(axis=1, dtype=np.float64)
    )
    inverse = np.divide(1.0, T.values, out=np.zeros(kept.shape, T.values.dtype), where=kept)
    c *= xp.asarray(inverse.astype(c.dtype))
    x = T.inverse(c).reshape(b.shape).astype(b.dtype, copy=False)
    shares = (kept * T.counts).reshape(len(kept), -1).sum(axis=1) / T.counts.sum()
    told = {"threshold": thresholds, "residual": np.sqrt(backend.to_host(left)), "kept": shares}
    single = b.ndim == len(T.dims)
    parameters = {name: value.tolist()[0] if single else value.tolist() for name, value in told.items()}
    parameters["transform"] = T.kind
    return reported(x, "truncated_inverse", start, parameters=parameters)


# ---------------------------------------------------------------- the parts


def _transformed(A: Blur, b: Array, tapered: bool, who: str) -> tuple[Diagonal, Array]:
    """The diagonalisation, and the coefficients of the data, (B,) + spectrum."""
    if not isinstance(A, Blur):
        raise TypeError(f"A is {type(A).__name__}; {who} expects a Blur")
    check_flag(tapered, "edgetaper")
    check_fits(A, check_data(b))
    if b.size == 0:
        raise ValueError(f"b has shape {b.shape}; expected at least one image")
    of_A: Any = A.diagonal
    if of_A is None and not tapered:
        symmetry = " and a kernel that is not symmetric along each axis" if A.boundary == "reflective" else ""
        raise ValueError(
            f"A has {A.boundary} boundary{symmetry}, which no fast transform diagonalises; {who} expects periodic "
            f"boundary, reflective boundary with a symmetric kernel, or edgetaper=True to approximate it (cgls, "
            f"tikhonov and tv take every boundary)"
        )
    y = b.reshape((-1, *A.dims))
    if not tapered:
        return of_A, of_A.forward(y)
    T = diagonal.periodic(A.kernel, tuple(A.dims))
    return T, T.forward(edgetaper(y, A.kernel))


def _noise_to_signal(T: Diagonal, c: Array, noise_level: float, signal: str) -> np.ndarray:
    """S_n/S_u for each image, (B,) + spectrum, on the host."""
    m = math.prod(T.dims)
    noise = noise_level**2 / m
    omega = T.frequencies.copy()
    omega.flat[0] = omega.flat[1] if omega.size > 1 else 1.0  # the mean: as a lowest frequency
    shape = omega**-2.0 if signal == "natural" else np.ones(omega.shape)
    counts = T.counts.copy()
    counts.flat[0] = 0.0  # the mean says nothing about the spectrum
    spectra = backend.to_host(c)
    strengths = [_strength(np.abs(s.astype(np.complex128)) ** 2, T, shape, counts, noise) for s in spectra]
    return noise / (np.array(strengths).reshape((-1,) + (1,) * shape.ndim) * shape)


def _strength(power: np.ndarray, T: Diagonal, shape: np.ndarray, counts: np.ndarray, noise: float) -> float:
    """a of S_u = a * shape: the minimiser of Whittle's negative log-likelihood Σ log v + |b̂|²/v, v = a|k̂|²s + S_n."""
    from scipy.optimize import minimize_scalar

    blurred = np.abs(T.values) ** 2 * shape
    spread = float((counts * power).sum())
    left = spread - noise * counts.sum()
    if not (left > 0 and (counts * blurred).any()):
        noise_level = math.sqrt(noise * math.prod(T.dims))
        raise ValueError(
            f"noise_level is {noise_level:g}; expected less than ‖b - mean(b)‖, which is {math.sqrt(spread):g}"
        )

    def likelihood(log_a: float) -> float:
        v = math.exp(log_a) * blurred + noise
        return float((counts * (np.log(v) + power / v)).sum())

    moment = math.log(left / float((counts * blurred).sum()))  # a from the energies alone, off by orders at worst
    found = minimize_scalar(likelihood, bounds=(moment - 14, moment + 7), method="bounded", options={"xatol": 1e-3})
    return math.exp(found.x)


def _given_ratio(ratio: Any, T: Diagonal) -> np.ndarray:
    r = backend.to_host(ratio) if backend.is_array(ratio) else np.asarray(ratio)
    if r.dtype.kind not in "fiu":
        raise TypeError(f"noise_to_signal has dtype {r.dtype}; expected real numbers")
    if r.shape not in ((), T.values.shape):
        raise ValueError(f"noise_to_signal has shape {r.shape}; expected a number, or {T.values.shape}")
    if not (np.isfinite(r).all() and (r >= 0).all()):
        raise ValueError("noise_to_signal has negative or infinite entries or NaN; expected ratios S_n/S_u >= 0")
    return np.broadcast_to(r.astype(np.float64), T.values.shape)


def _discrepancy_thresholds(T: Diagonal, c: Array, target: float) -> np.ndarray:
    """For each image the largest t with Σ_{|k̂| <= t} |b̂|² <= target², t being 0 or one of the |k̂|."""
    xp = backend.array_module(c)
    modulus = np.abs(T.values).reshape(-1)
    order = np.argsort(modulus, kind="stable")
    energy = (xp.abs(c).astype(np.float64) ** 2 * xp.asarray(T.counts)).reshape(len(c), -1)
    left = xp.cumsum(energy[:, xp.asarray(order)], axis=1)
    dropped = backend.to_host((left <= target**2).sum(axis=1))  # how many of the smallest can go
    ascending = modulus[order]
    thresholds = np.zeros(len(c))
    for i, count in enumerate(dropped.tolist()):
        if count < modulus.size:  # coefficients as large as the first that stays, stay with it
            count = int(np.searchsorted(ascending, ascending[count], side="left"))
        thresholds[i] = ascending[count - 1] if count else 0.0
    return thresholds


def _rounding(T: Diagonal) -> float:
    """Eigenvalues below this share of the largest are zero but for rounding."""
    return np.finfo(np.float64).eps * math.prod(T.dims) ** 0.5


def edgetaper(b: Array, kernel: np.ndarray) -> Array:
    r"""α b + (1 - α) (k * b), with the periodic convolution; α is 0 at the edges and 1 further inside than k reaches.

    .. math:: α = Π_a (1 - r_a / \max r_a), \quad r_a \text{ the autocorrelation of k summed over the other axes}

    Parameters
    ----------
    b : array, (B,) + dims
        float32 or float64.
    kernel : numpy.ndarray
        With as many axes as an image; taken as |k| / Σ|k|.

    Returns
    -------
    array
        As ``b``.

    References
    ----------
    Reeves, Fast image restoration without boundary artifacts, IEEE Trans. Image Process. 14 (2005), who compares it.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.reconstruct.direct.deblurring import edgetaper
    >>> b = np.linspace(0, 1, 9)[None]           # jumps by 1 where it is continued periodically
    >>> edgetaper(b, np.full(3, 1 / 3))[0, [0, -1]].round(2)
    array([0.38, 0.62])
    """
    xp, dims = backend.array_module(b), b.shape[1:]
    k = np.abs(kernel) / np.abs(kernel).sum()
    alpha = np.ones(())
    for axis, n in enumerate(dims):
        profile = k.sum(axis=tuple(a for a in range(k.ndim) if a != axis))
        r = np.correlate(profile, profile, "full")[profile.size - 1 :]  # lags 0, 1, ..., K - 1
        distance = np.minimum(np.arange(n), n - 1 - np.arange(n))
        edge = np.where(distance < r.size, r[np.minimum(distance, r.size - 1)] / r[0], 0.0)
        alpha = np.multiply.outer(alpha, 1.0 - edge)
    alpha = xp.asarray(alpha.astype(b.dtype))
    blurred = Blur(dims, k, "periodic", b.dtype).apply(b)
    return alpha * b + (1 - alpha) * blurred
