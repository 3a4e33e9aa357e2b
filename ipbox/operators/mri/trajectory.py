"""Trajectories in k-space: checked, and in the units of the non-uniform FFT."""

from __future__ import annotations

import numpy as np

from ipbox.backend import Array
from ipbox.operators.core.held import host_array


def radians(trajectory: np.ndarray, dims: tuple[int, ...]) -> list[np.ndarray]:
    """2π k_a / n_a of every point, a vector for each axis."""
    return [np.ascontiguousarray(2 * np.pi / n * trajectory[..., a]).reshape(-1) for a, n in enumerate(dims)]


def check_trajectory(trajectory: Array, dims: tuple[int, ...]) -> np.ndarray:
    """``trajectory`` as a read-only float64 copy on the host: finite, (..., len(dims)), in the band of ``dims``."""
    k = host_array(
        trajectory, "trajectory", "a NumPy or CuPy array", numbers="real numbers in cycles per field of view"
    )
    if len(dims) not in (2, 3):
        raise ValueError(f"dims is {dims}; expected (ny, nx) or (nz, ny, nx)")
    if k.ndim < 2 or k.shape[-1] != len(dims) or k.size == 0:
        raise ValueError(f"trajectory has shape {k.shape}; expected (..., {len(dims)}) for dims {dims}")
    for a, n in enumerate(dims):
        reach = float(np.abs(k[..., a]).max())
        if reach > n / 2 * (1 + 1e-6):
            raise ValueError(
                f"trajectory reaches {reach:g} along axis {a}; expected cycles per field of view, at most "
                f"{n / 2:g} for {n} pixels"
            )
    return k
