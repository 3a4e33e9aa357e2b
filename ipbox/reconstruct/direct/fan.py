"""Filtered back-projection for fan beam: redundancy weights, filtering, distance-weighted back-projection."""

from __future__ import annotations

import math

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.kernels.fan.front import backproject_weighted
from ipbox.operators import FanBeamTransform


def fan_back_projection(A: FanBeamTransform, b: Array, response: np.ndarray, n: int) -> Array:
    r"""Images from fan-beam data ``b`` (a batch of shape (B,) + A.dimsd).

    .. math:: u(X) = \sum_β Δβ\, U^{-2} (h * [w \cos γ\; b_β])(a(X))

    with h the ramp on the detector scaled to the centre, of frequency response ``response`` on the n//2 + 1 frequencies
    of rfft at length n, and w the `redundancy_weights`.  Between detector pixels, linear interpolation: on the phantoms
    of ellipses it gives smaller errors than band-limited interpolation.
    """
    fft, xp = backend.fft_module(b), backend.array_module(b)
    distance, a = A.source_distance + A.detector_distance, A.positions()
    gamma = np.arctan(a / distance)
    weights = redundancy_weights(A.angles, gamma) * np.cos(gamma)
    lines = fft.rfft(b * xp.asarray(weights, dtype=b.dtype), n=n, axis=-1)
    lines *= xp.asarray(response, dtype=b.dtype)
    q = fft.irfft(lines, n=n, axis=-1)[..., : A.n_det]
    x = xp.empty((b.shape[0], *A.dims), dtype=b.dtype)
    scale = A.source_distance * A.det_spacing / A.pixel_size**2
    backproject_weighted(q, x, A._views_like(b), scale)
    return x


def redundancy_weights(angles: np.ndarray, gamma: np.ndarray) -> np.ndarray:
    r"""Δβ times the share w(β, γ) of each ray in its line, shape (n_angles, n_det).

    A line is measured at (β, γ) and at (β + π - 2γ, -γ).  On a full circle both count one half.  Otherwise (a largest
    gap between views that stands out) the arc is π + 2Γ, and the weights are Parker's with Γ for the fan's half angle:

    .. math:: w = \sin^2(\tfrac{π}{4} \tfrac{β}{Γ + γ}), \; 1, \; \sin^2(\tfrac{π}{4} \tfrac{π + 2Γ - β}{Γ - γ})
              \quad \text{for } β < 2(Γ + γ), \text{ between, and for } β > π + 2γ.

    Lines that the arc does not hold twice count once.
    """
    order = np.argsort(np.mod(angles, 2 * np.pi), kind="stable")
    beta = np.mod(angles, 2 * np.pi)[order]
    gaps = np.diff(beta, append=beta[0] + 2 * np.pi)  # to the next view
    typical = float(np.median(gaps[gaps > 1e-9])) if (gaps > 1e-9).any() else 2 * np.pi
    weights = np.empty((beta.size, gamma.size))
    if gaps.max() <= 2 * typical:
        weights[order] = (0.25 * (gaps + np.roll(gaps, 1)))[:, None]
        return weights
    first = (int(gaps.argmax()) + 1) % beta.size  # the view behind the largest gap
    order, gaps = np.roll(order, -first), np.roll(gaps, -first)
    steps = np.minimum(gaps, 2 * typical)
    steps[-1] = typical
    step = 0.5 * (steps + np.roll(steps, 1))
    t = np.concatenate([[0.0], np.cumsum(gaps[:-1])]) + 0.5 * typical  # in the arc, from its rim
    half = 0.5 * (t[-1] + 0.5 * typical - math.pi)  # Γ
    weights[order] = step[:, None] * parker(t[:, None], gamma[None, :], half)
    return weights


def parker(beta: np.ndarray, gamma: np.ndarray, half: float) -> np.ndarray:
    """w(β, γ) on 0 <= β <= π + 2Γ, Γ = ``half``; see `redundancy_weights`."""
    rise = _smooth(beta, half + gamma)
    fall = _smooth(math.pi + 2 * half - beta, half - gamma)
    return rise * fall


def _smooth(distance: np.ndarray, width: np.ndarray) -> np.ndarray:
    """sin²(π/4 distance/width) up to distance = 2 width, then 1; 1 where the width is not positive."""
    ratio = np.divide(distance, width, out=np.full(np.broadcast(distance, width).shape, 2.0), where=width > 0)
    return np.sin(0.25 * np.pi * np.clip(ratio, 0.0, 2.0)) ** 2
