"""The matrix of `cone.project`, ray by ray in plain NumPy: what the fused kernels are tested against."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np


def matrix(
    shape: tuple[int, int, int],
    views: np.ndarray,
    n_det: tuple[int, int],
    widths: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> Any:
    """Joseph's matrix, a SciPy CSR array of shape (n_views * rows * columns, nz * ny * nx), float64."""
    from scipy.sparse import coo_array

    rays, voxels, weights = [], [], []
    for ray, (view, r, c) in enumerate(itertools.product(views, *map(range, n_det))):
        S, P, U, V = view.reshape(4, 3)
        d = P + r * V + c * U - S
        main = max((1, 2, 0), key=lambda axis: abs(d[axis]))  # of equal ones the first
        a, b = (axis for axis in range(3) if axis != main)
        planes = np.arange(shape[main])
        at = (planes - S[main]) / d[main]
        step = np.linalg.norm(d * widths) / abs(d[main])
        for da, db in itertools.product((0, 1), repeat=2):
            index, weight = [planes] * 3, step * (at > 0)
            for axis, up in ((a, da), (b, db)):
                position = S[axis] + at * d[axis]
                left = np.floor(position)
                index[axis] = (left + up).astype(int)
                weight = weight * (position - left if up else 1 - (position - left))
                weight = weight * ((index[axis] >= 0) & (index[axis] < shape[axis]))
            inside = weight != 0
            voxels.append(np.ravel_multi_index([i[inside] for i in index], shape))
            rays.append(np.full(inside.sum(), ray))
            weights.append(weight[inside])
    entries = np.concatenate(weights), (np.concatenate(rays), np.concatenate(voxels))
    return coo_array(entries, shape=(len(views) * n_det[0] * n_det[1], int(np.prod(shape)))).tocsr()
