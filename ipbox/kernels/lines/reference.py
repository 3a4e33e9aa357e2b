"""The matrix of `lines.project`, ray by ray in plain NumPy: what the fused kernels are tested against."""

from __future__ import annotations

import math
from typing import Any

import numpy as np


def matrix(
    shape: tuple[int, int],
    views: np.ndarray,
    n_det: int,
    pixel_widths: tuple[float, float] = (1.0, 1.0),
    turn: float = 0.0,
) -> Any:
    """Joseph's matrix, a SciPy CSR array of shape (n_views * n_det, ny * nx), float64."""
    from scipy.sparse import coo_array

    (ny, nx), (hy, hx) = shape, pixel_widths
    rays, pixels, weights = [], [], []
    for k, view in enumerate(views):
        P, dP, d, dd = view.reshape(4, 2)
        for m in range(n_det):
            along, across = (math.cos(m * turn), math.sin(m * turn)) if turn else (1, m)
            (r0, c0), (dr, dc) = P + m * dP, along * d + across * dd
            if abs(dr) >= abs(dc):  # one step a row
                step, i = math.hypot(hy * dr, hx * dc) / abs(dr), np.arange(ny)
                position, n = c0 + (i - r0) * dc / dr, nx
            else:
                step, i = math.hypot(hy * dr, hx * dc) / abs(dc), np.arange(nx)
                position, n = r0 + (i - c0) * dr / dc, ny
            left = np.floor(position)
            for j, weight in ((left, 1 - (position - left)), (left + 1, position - left)):
                inside = (j >= 0) & (j < n)
                a, b = i[inside], j[inside].astype(int)
                pixels.append(a * nx + b if abs(dr) >= abs(dc) else b * nx + a)
                rays.append(np.full(a.size, k * n_det + m))
                weights.append(step * weight[inside])
    entries = np.concatenate(weights), (np.concatenate(rays), np.concatenate(pixels))
    return coo_array(entries, shape=(len(views) * n_det, ny * nx)).tocsr()


def backproject_weighted(q: np.ndarray, out: np.ndarray, views: np.ndarray, scale: float) -> None:
    """Pixel by pixel what `ipbox.kernels.fan.front.backproject_weighted` computes, for one image."""
    ny, nx = out.shape
    n_det = q.shape[1]
    for r in range(ny):
        for c in range(nx):
            total = 0.0
            for k, view in enumerate(views):
                S, _, d, dd = view.reshape(4, 2)
                X = np.array([r, c]) - S
                across = X[1] * dd[0] - X[0] * dd[1]
                m = (X[0] * d[1] - X[1] * d[0]) / across
                padded = np.concatenate([[0.0], q[k], [0.0]])
                total += np.interp(m, np.arange(-1, n_det + 1), padded) * (scale / across) ** 2
            out[r, c] = total


def backproject_curved(q: np.ndarray, out: np.ndarray, views: np.ndarray, scale: float, turn: float) -> None:
    """Pixel by pixel what `ipbox.kernels.fan.front.backproject_curved` computes, for one image."""
    for r, c in np.ndindex(out.shape):
        out[r, c] = 0.0
        for k, view in enumerate(views):
            S, _, d, dd = view.reshape(4, 2)
            along, across = np.linalg.solve(np.stack([d, dd], axis=1), np.array([r, c]) - S)
            m, padded = math.atan2(across, along) / turn, np.concatenate([[0.0], q[k], [0.0]])
            weight = scale**2 / (along**2 + across**2)
            out[r, c] += np.interp(m, np.arange(-1, q.shape[1] + 1), padded) * weight
