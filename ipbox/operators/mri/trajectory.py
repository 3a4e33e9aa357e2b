"""Trajectories in k-space: checked, and in the units of the non-uniform FFT."""

from __future__ import annotations

import numpy as np

from ipbox import backend
from ipbox.backend import Array


def radians(trajectory: np.ndarray, dims: tuple[int, ...]) -> list[np.ndarray]:
    """2π k_a / n_a of every point, a vector for each axis."""
    return [np.ascontiguousarray(2 * np.pi / n * trajectory[..., a]).reshape(-1) for a, n in enumerate(dims)]


def check_trajectory(trajectory: Array, dims: tuple[int, ...]) -> np.ndarray:
    """``trajectory`` as a read-only float64 copy on the host: finite, (..., len(dims)), in the band of ``dims``."""
    if not backend.is_array(trajectory):
        raise TypeError(f"trajectory is {type(trajectory).__name__}; expected a NumPy or CuPy array")
    if len(dims) not in (2, 3):
        raise ValueError(f"dims is {dims}; expected (ny, nx) or (nz, ny, nx)")
    if trajectory.ndim < 2 or trajectory.shape[-1] != len(dims) or trajectory.size == 0:
        raise ValueError(f"trajectory has shape {trajectory.shape}; expected (..., {len(dims)}) for dims {dims}")
    if trajectory.dtype.kind not in "fiu":
        raise TypeError(f"trajectory has dtype {trajectory.dtype}; expected real numbers in cycles per field of view")
    k = np.array(backend.to_host(trajectory), dtype=np.float64, order="C")
    if not np.isfinite(k).all():
        raise ValueError("trajectory has NaN or infinite entries; expected finite cycles per field of view")
    for a, n in enumerate(dims):
        reach = float(np.abs(k[..., a]).max())
        if reach > n / 2 * (1 + 1e-6):
            raise ValueError(
                f"trajectory reaches {reach:g} along axis {a}; expected cycles per field of view, at most "
                f"{n / 2:g} for {n} pixels"
            )
    k.flags.writeable = False
    return k
