"""Trajectories in k-space: checked, and in the units of the non-uniform FFT."""

from __future__ import annotations

import numpy as np

from ipbox.backend import Array
from ipbox.operators.core.held import host_array
from ipbox.warning import warn


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
    reach, band = np.abs(k).reshape(-1, len(dims)).max(axis=0), np.array(dims) / 2 * (1 + 1e-6)
    for a, n in enumerate(dims):
        if reach[a] > band[a]:
            hint = "; its axes are those of the image, so (ky, kx)" if (reach[::-1] <= band).all() else ""
            raise ValueError(
                f"trajectory reaches {reach[a]:g} along axis {a}; expected cycles per field of view, at most "
                f"{n / 2:g} for {n} pixels{hint}"
            )
    _check_unit(reach, dims)
    return k


def _check_unit(reach: np.ndarray, dims: tuple[int, ...]) -> None:
    """Warn of a trajectory that fills the band of another unit, and next to nothing of its own."""
    for unit, edge, factor in (("cycles", 0.5, "n"), ("radians", np.pi, "n / (2 pi)")):
        if min(dims) > 4 * edge and (0.98 * edge < reach).all() and (reach < edge * (1 + 1e-6)).all():
            warn(
                f"trajectory reaches {reach.max():.3g} along every axis; expected cycles per field of view, up to "
                f"{max(dims) / 2:g}: these seem to be {unit} per pixel, which times {factor} are",
                UserWarning,
            )
