"""Trajectories of non-Cartesian MRI, in cycles per field of view."""

from __future__ import annotations

import math

import numpy as np

from ipbox.checks import check_count, check_positive
from ipbox.problems.measuring.kspace import check_plane

GOLDEN_ANGLE = math.pi * (math.sqrt(5) - 1) / 2  # 111.25 degrees


def radial_trajectory(spokes: int, readout: int, shape: tuple[int, int], golden_angle: bool = False) -> np.ndarray:
    r"""Straight lines through the centre of k-space.

    .. math:: k_{s,j} = \Bigl(n_y \tfrac{j - \lfloor J/2 \rfloor}{J} \sin θ_s,\;
              n_x \tfrac{j - \lfloor J/2 \rfloor}{J} \cos θ_s\Bigr), \quad j = 0, …, J - 1

    Parameters
    ----------
    spokes : int
        Number of lines.  ⌈π/2 max(ny, nx)⌉ of them leave no gap larger than 1/(field of view).
    readout : int
        Samples J of each, from edge to edge; sample J // 2 is at k = 0.  2 max(ny, nx) is usual: the readout's
        field of view is then twice the image's.
    shape : (ny, nx)
        Image shape, square pixels.
    golden_angle : bool
        θ_s = s π(√5 - 1)/2, so that any run of consecutive spokes covers all directions; else θ_s = s π/spokes.

    Returns
    -------
    numpy.ndarray, (spokes, readout, 2)
        (k_y, k_x) in cycles per field of view, |k_a| <= n_a/2; float64.

    Raises
    ------
    ValueError
        for numbers that are not positive integers, or a shape that has not two axes.

    References
    ----------
    Winkelmann et al., An optimal radial profile order based on the golden ratio, IEEE Trans. Med. Imaging 26 (2007).

    Examples
    --------
    >>> from ipbox.problems.measuring.trajectories import radial_trajectory
    >>> k = radial_trajectory(4, 8, (16, 16))
    >>> k.shape, k[0, :, 1]                     # the first spoke lies on the k_x axis
    ((4, 8, 2), array([-8., -6., -4., -2.,  0.,  2.,  4.,  6.]))
    """
    spokes, readout, shape = check_count(spokes, "spokes"), check_count(readout, "readout"), check_plane(shape)
    theta = np.arange(spokes) * (GOLDEN_ANGLE if golden_angle else math.pi / spokes)
    r = (np.arange(readout) - readout // 2) / readout
    return _scaled(np.outer(np.sin(theta), r), np.outer(np.cos(theta), r), shape)


def spiral_trajectory(
    interleaves: int, samples: int, shape: tuple[int, int], turns: float | None = None, power: float = 1.0
) -> np.ndarray:
    r"""Interleaved spirals from the centre of k-space to its edge, at constant speed.

    .. math:: κ(φ) = \tfrac12 (φ / 2πT)^α e^{i(φ + 2πl/I)}, \quad 0 \le φ \le 2πT, \quad
              (k_y, k_x) = (n_y\, \mathrm{Im}\, κ,\; n_x\, \mathrm{Re}\, κ)

    Parameters
    ----------
    interleaves : int
        Number I of spirals.
    samples : int
        Samples of each, equally spaced in arc length: the gradient's amplitude is constant (its slew rate near the
        centre is not limited).  About π/4 N/I of them put one sample on each cell of the Cartesian grid.
    shape : (ny, nx)
        Image shape, N square pixels.
    turns : float, optional
        Turns T of each; max(ny, nx)/(2I) by default, with which an Archimedean spiral leaves no gap larger than
        1/(field of view).
    power : float
        α: 1 is Archimedean; with more, the centre is denser than the edge.

    Returns
    -------
    numpy.ndarray, (interleaves, samples, 2)
        (k_y, k_x) in cycles per field of view, |k_a| <= n_a/2; float64.

    Raises
    ------
    ValueError
        for numbers that are not positive.

    References
    ----------
    Ahn, Kim and Cho, High-speed spiral-scan echo planar NMR imaging, IEEE Trans. Med. Imaging 5 (1986).

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.problems.measuring.trajectories import spiral_trajectory
    >>> k = spiral_trajectory(8, 500, (64, 64))
    >>> k.shape, k[0, 0], float(np.linalg.norm(k[0, -1]).round(6))
    ((8, 500, 2), array([0., 0.]), 32.0)
    """
    interleaves, samples = check_count(interleaves, "interleaves"), check_count(samples, "samples")
    shape = check_plane(shape)
    turns = max(shape) / (2 * interleaves) if turns is None else check_positive(turns, "turns")
    power = check_positive(power, "power")
    phi = np.linspace(0.0, 2 * math.pi * turns, math.ceil(1000 * turns) + 1000)
    kappa = 0.5 * (phi / phi[-1]) ** power * np.exp(1j * phi)
    length = np.concatenate([[0.0], np.cumsum(np.abs(np.diff(kappa)))])
    phi = np.interp(np.linspace(0.0, length[-1], samples), length, phi)
    kappa = 0.5 * (phi / (2 * math.pi * turns)) ** power * np.exp(1j * phi)
    kappa = np.exp(2j * math.pi * np.arange(interleaves) / interleaves)[:, None] * kappa
    return _scaled(kappa.imag, kappa.real, shape)


def _scaled(ky: np.ndarray, kx: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """From cycles per pixel to cycles per field of view."""
    return np.stack([shape[0] * ky, shape[1] * kx], axis=-1)
