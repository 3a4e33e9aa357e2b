"""The cone-beam scan that all sides reconstruct: its geometry, ellipsoids, their closed-form projections. NumPy only.

Lengths are in voxels, points (z, y, x) about the centre, with z along the axis and y upwards; the source is at
R (0, -cos β, sin β), as `ipbox.ConeBeamTransform` has it.
"""

from __future__ import annotations

import numpy as np

SOURCE, PANEL = 1000 / 128, 500 / 128  # distances from the axis, in widths of the volume
# value, centre and semi-axes in half widths of the volume: long ones along the axis as a circle measures them best
ELLIPSOIDS = [
    (1.0, (0.0, 0.0, 0.0), (0.75, 0.8, 0.6)),
    (-0.4, (0.0, 0.1, 0.05), (0.6, 0.6, 0.45)),
    (0.3, (0.1, 0.3, -0.15), (0.25, 0.15, 0.12)),
    (-0.2, (-0.2, -0.2, 0.2), (0.2, 0.18, 0.1)),
    (0.5, (0.3, -0.25, -0.1), (0.08, 0.08, 0.08)),
]


def scan(n: int, views: int, n_det: int) -> dict[str, float]:
    """Distances and the width of the panel's pixels: square, and a tenth more of them than the volume's width needs."""
    return {"source": SOURCE * n, "panel": PANEL * n, "pixel": 1.1 * (1 + PANEL / SOURCE) * n / n_det}


def angles(views: int) -> np.ndarray:
    return 2 * np.pi * np.arange(views) / views


def projections(n: int, views: int, n_det: int) -> np.ndarray:
    """Line integrals (views, rows, columns) of the ellipsoids along the rays to the middles of the pixels, float32."""
    s = scan(n, views, n_det)
    t = (np.arange(n_det) - 0.5 * (n_det - 1)) * s["pixel"]
    out = np.empty((views, n_det, n_det), np.float32)
    for k, beta in enumerate(angles(views)):
        S = s["source"] * np.array([0.0, -np.cos(beta), np.sin(beta)])
        middle, across = -S * s["panel"] / s["source"], np.array([0.0, np.sin(beta), np.cos(beta)])
        d = middle - S + t[None, :, None] * across + t[:, None, None] * np.array([1.0, 0.0, 0.0])
        length, total = np.linalg.norm(d, axis=-1), 0.0
        for value, centre, semi_axes in ELLIPSOIDS:
            a = 0.5 * n * np.array(semi_axes)
            p, e = (S - 0.5 * n * np.array(centre)) / a, d / a
            ee, pe = (e**2).sum(-1), e @ p
            total = total + 2 * value * length / ee * np.sqrt(np.clip(pe**2 - ee * (p @ p - 1), 0, None))
        out[k] = total
    return out


def volume(n: int, parts: int = 3) -> np.ndarray:
    """The ellipsoids' averages over the voxels (n, n, n), from ``parts`` cubed points of each."""
    fine = (np.arange(n * parts) + 0.5) * 2 / (n * parts) - 1
    u = np.zeros((n, n, n), np.float32)
    for k in range(n):
        z, y, x = fine[k * parts : (k + 1) * parts, None, None], -fine[:, None], fine
        for value, (cz, cy, cx), (az, ay, ax) in ELLIPSOIDS:
            inside = ((z - cz) / az) ** 2 + ((y - cy) / ay) ** 2 + ((x - cx) / ax) ** 2 <= 1
            u[k] += value * inside.reshape(parts, n, parts, n, parts).mean(axis=(0, 2, 4))
    return u


def error(x: np.ndarray, truth: np.ndarray) -> float:
    """Relative error in the cylinder that all views see."""
    n = len(truth)
    i = np.arange(n) - 0.5 * (n - 1)
    seen = np.hypot(i[:, None], i) < 0.5 * n - 1
    return float(np.linalg.norm((x - truth)[:, seen].astype(np.float64)) / np.linalg.norm(truth[:, seen]))
