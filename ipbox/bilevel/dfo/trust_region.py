"""Steps of a trust region ‖s‖ <= Δ within bounds lo <= s <= hi, exact, for few variables."""

from __future__ import annotations

import math

import numpy as np


def linear_step(g: np.ndarray, lo: np.ndarray, hi: np.ndarray, radius: float) -> np.ndarray:
    """argmin <g, s> over ‖s‖ <= radius, lo <= s <= hi, where lo <= 0 <= hi.

    The minimiser is s = P(-t g), P the projection on the bounds, for the largest t that the ball allows: entries that
    meet their bound stay there as t grows, so that at most n of them have to be found.

    Examples
    --------
    >>> linear_step(np.array([-3.0, -4.0]), np.array([-9.0, -9.0]), np.array([9.0, 1.0]), 5.0).round(3)
    array([4.899, 1.   ])
    """
    s, free = np.zeros_like(g), g != 0.0
    while free.any():
        left = radius * radius - float(s @ s)
        if left <= 0.0:
            break
        size = math.hypot(*g[free]) if free.sum() < 8 else float(np.linalg.norm(g[free]))
        trial = np.where(free, (-math.sqrt(left) / size) * g, s)
        out = free & ((trial < lo) | (trial > hi))
        if not out.any():
            return trial
        s = np.where(out, np.minimum(np.maximum(trial, lo), hi), s)
        free &= ~out
    return s


def trust_region_step(g: np.ndarray, H: np.ndarray, lo: np.ndarray, hi: np.ndarray, radius: float) -> np.ndarray:
    """argmin <g, s> + ½ <s, Hs> over ‖s‖ <= radius, lo <= s <= hi: eq. (27) with bounds.

    With the multiplier λ >= 0 of the ball, s(λ) minimises <g, s> + ½ <s, (H + λI)s> within the bounds.  ‖s(λ)‖ falls
    with λ, and Newton's method on 1/‖s(λ)‖ = 1/radius finds where it meets the radius.

    Parameters
    ----------
    g, H : arrays, shapes (n,) and (n, n)
        H symmetric and positive semidefinite; definite where the radius is infinite.
    lo, hi : arrays, shape (n,)
        lo <= 0 <= hi.
    radius : float

    Returns
    -------
    array, shape (n,)
        Within the bounds exactly, and with ‖s‖ <= (1 + 1e-10) radius.

    References
    ----------
    Conn, Gould and Toint, Trust-Region Methods, SIAM 2000, section 7.3; Bertsekas, SIAM J. Control Optim. 20 (1982).

    Examples
    --------
    >>> g, H, wide = np.array([-3.0, -4.0]), np.eye(2), np.full(2, 9.0)
    >>> trust_region_step(g, H, -wide, wide, 2.5), trust_region_step(g, H, -wide, np.array([9.0, 1.0]), 9.0)
    (array([1.5, 2. ]), array([3., 1.]))
    """
    n = len(g)
    size = float(H.trace())
    if not size > 0.0:
        return linear_step(g, lo, hi, radius)
    eye = np.eye(n)
    low = lam = 0.0 if radius == math.inf else 1e-14 * size  # makes a singular H definite
    high = math.inf
    s = np.zeros(n)
    for _ in range(100):
        B = H + lam * eye
        s, free = _within_bounds(g, B, lo, hi, s)
        norm2 = float(s @ s)
        norm = math.sqrt(norm2)
        if norm <= radius and lam == low and high == math.inf:
            return s  # the ball does not matter
        if abs(norm - radius) <= 1e-10 * radius:
            return s  # as it is, since scaled it would leave the bounds it meets
        low, high = (lam, high) if norm > radius else (low, lam)
        part = s[free]
        slope = float(part @ np.linalg.solve(B[np.ix_(free, free)], part)) if part.size else 0.0
        after = lam + (norm / radius - 1.0) * norm2 / slope if slope > 0.0 else math.nan
        if not low < after < high:
            after = 10.0 * lam if high == math.inf else max(math.sqrt(low * high), 0.01 * high)
            if not low < after < high:
                break
        lam = after
    return s * min(1.0, radius / norm)


def _within_bounds(
    g: np.ndarray, B: np.ndarray, lo: np.ndarray, hi: np.ndarray, s: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """argmin <g, s> + ½ <s, Bs> over the bounds, B definite, by projected Newton steps; and which entries are free."""
    free = np.ones(len(g), dtype=bool)
    x = np.linalg.solve(B, -g)
    if ((x >= lo) & (x <= hi)).all():
        return x, free
    value = float(g @ s + 0.5 * (s @ (B @ s)))
    for _ in range(20 * len(g) + 50):
        d = g + B @ s
        free = ~(((s <= lo) & (d > 0.0)) | ((s >= hi) & (d < 0.0)))
        if not free.any():
            break
        step = np.zeros_like(s)
        step[free] = np.linalg.solve(B[np.ix_(free, free)], -d[free])
        t, slope = 1.0, float(d @ step)
        if slope >= 0.0:
            break
        while True:
            x = np.minimum(np.maximum(s + t * step, lo), hi)
            after = float(g @ x + 0.5 * (x @ (B @ x)))
            if after <= value + 1e-4 * float(d @ (x - s)) or t < 1e-12:
                break
            t *= 0.5
        inside = t == 1.0 and bool((x == s + step).all())
        stuck = after >= value and not inside
        if not stuck:
            s, value = x, after
        if stuck or (inside and _optimal(g + B @ s, s, lo, hi, free)):
            break
    return s, free


def _optimal(d: np.ndarray, s: np.ndarray, lo: np.ndarray, hi: np.ndarray, free: np.ndarray) -> bool:
    """Whether no entry that is held at its bound wants to leave it."""
    held = ~free
    return bool(((d[held] >= 0.0) | (s[held] >= hi[held])).all() and ((d[held] <= 0.0) | (s[held] <= lo[held])).all())
