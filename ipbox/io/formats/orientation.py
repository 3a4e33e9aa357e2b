"""Volumes turned to the order of DICOM's axial slices: slices to the head, rows to the back, columns to the left."""

from __future__ import annotations

from itertools import permutations

import numpy as np


def axial(array: np.ndarray, directions: np.ndarray) -> tuple[np.ndarray, tuple[float, float, float]]:
    """The volume with its last three axes permuted and flipped to (slices, rows, columns).

    Parameters
    ----------
    array : numpy.ndarray
        Any leading axes, then three of space.
    directions : numpy.ndarray
        (3, 3); row i is the step along spatial axis i in mm, its components towards the left, the back and the head
        (L, P, S).  An oblique volume is turned to the closest axes, never interpolated.

    Returns
    -------
    volume : numpy.ndarray
    spacing : tuple of float
        Of slices, rows and columns, in mm.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.io.formats.orientation import axial
    >>> stored = np.arange(24).reshape(2, 3, 4)  # axes to the right, to the front, to the feet
    >>> volume, spacing = axial(stored, np.diag([-1.0, -2.0, -5.0]))
    >>> volume.shape, spacing, bool(volume[0, 0, 0] == stored[-1, -1, -1])
    ((4, 3, 2), (5.0, 2.0, 1.0), True)
    """
    steps = np.linalg.norm(directions, axis=1)
    if not np.isfinite(steps).all() or (steps == 0).any():
        raise ValueError(f"its steps between pixels are {steps.tolist()} mm")
    towards = directions / steps[:, None]
    if abs(np.linalg.det(towards)) < 1e-3:
        raise ValueError("its axes lie in a plane")
    # which axis runs to the head, to the back, to the left
    order = max(permutations(range(3)), key=lambda p: abs(towards[p, (2, 1, 0)]).sum())
    lead = array.ndim - 3
    turned = array.transpose(*range(lead), *(lead + k for k in order))
    reverse = [towards[k, axis] < 0 for k, axis in zip(order, (2, 1, 0), strict=True)]
    turned = turned[(..., *(slice(None, None, -1 if r else 1) for r in reverse))]
    z, y, x = (float(steps[k]) for k in order)
    return np.ascontiguousarray(turned), (z, y, x)
