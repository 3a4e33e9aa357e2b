"""Denoising by smoothed total variation as a loop in plain NumPy over one image at a time, as published code has it."""

from __future__ import annotations

import math

import numpy as np


def fista(
    b: np.ndarray, u: np.ndarray, accuracy: float, most: int, alpha: float, nu: float, xi: float, boundary: str
) -> tuple[np.ndarray, int]:
    """Strongly convex FISTA on one signal or image ``b`` from ``u``; the result, and how many iterations it took."""
    mu, L = 1 + xi, 1 + 4 * b.ndim * alpha / nu + xi
    q, t, before = mu / L, 0.0, u
    k = 0
    while k < most:
        k += 1
        after = (1 - q * t**2 + math.sqrt((1 - q * t**2) ** 2 + 4 * t**2)) / 2
        beta = (t - 1) * (1 - q * after) / (after * (1 - q))
        y = u + beta * (u - before)
        g = gradient(y, b, alpha, nu, xi, boundary)
        before, u, t = u, y - g / L, after
        if np.linalg.norm(g) * (1 / mu - 1 / L) <= accuracy:
            break
    return u, k


def gradient(u: np.ndarray, b: np.ndarray, alpha: float, nu: float, xi: float, boundary: str) -> np.ndarray:
    """∇Φ(u)."""
    g = (1 + xi) * u - b
    d = np.zeros_like(u)
    d[..., 1:] = u[..., 1:] - u[..., :-1]
    if boundary == "zero":
        d[..., 0] = u[..., 0]
    if u.ndim == 1:
        d *= alpha / np.sqrt(d * d + nu * nu)
    else:
        e = np.zeros_like(u)
        e[1:] = u[1:] - u[:-1]
        r = alpha / np.sqrt(d * d + e * e + nu * nu)
        d *= r
        e *= r
        g += e
        g[:-1] -= e[1:]
    g += d
    g[..., :-1] -= d[..., 1:]
    return g
