"""Density compensation of k-space trajectories: the area of k-space that each sample stands for."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ipbox.backend import Array
from ipbox.checks import check_count, check_dims
from ipbox.operators.fourier.nonuniform import NonuniformFFT
from ipbox.operators.mri.trajectory import check_trajectory, radians

STRAIGHT = 1e-5  # how far, of the band, samples of a straight spoke may lie beside it (float32 trajectories)


def radial_density(trajectory: Array, dims: tuple[int, ...]) -> np.ndarray:
    r"""Density compensation of straight spokes through or from the centre of k-space: ring sectors.

    .. math:: w = \frac{Δθ}{2} (r_+^2 - r_-^2) \approx |k|\, Δk\, Δθ

    r_± lie halfway to the neighbours along the spoke, Δθ reaches halfway to the neighbouring spokes.  |k| has a kink
    at 0, which the formula of Euler and Maclaurin corrects for: the samples at k = 0 share 2/3 of the disc inside the
    first ring (where there are none, the first samples on both sides get 11/12 of their sectors).

    Parameters
    ----------
    trajectory : array, (spokes, readout, 2)
        In cycles per field of view, as `NonCartesianMRI` takes it.
    dims : (ny, nx)
        Image shape, square pixels.

    Returns
    -------
    numpy.ndarray, (spokes, readout)
        Areas in cells of the Cartesian grid, (cycles per field of view)²; float64.

    Raises
    ------
    ValueError, TypeError
        for a trajectory that does not consist of straight lines through the centre.

    References
    ----------
    Lauzon and Rutt, Effects of polar sampling in k-space, Magn. Reson. Med. 36 (1996).

    Examples
    --------
    >>> from ipbox.operators.mri.density import radial_density
    >>> from ipbox.problems.measuring.trajectories import radial_trajectory
    >>> w = radial_density(radial_trajectory(101, 64, (64, 64)), (64, 64))
    >>> w[0, [31, 32, 33]].round(4)             # 2/3 of the disc of radius 1/2 belong to 101 samples
    array([0.0311, 0.0052, 0.0311])
    """
    shape = check_dims(dims, "dims")
    k = check_trajectory(trajectory, shape)
    radii = _signed_radii(k, dims)
    if radii is None:
        raise ValueError("trajectory has samples off straight lines through the centre; expected radial spokes")
    r, angles = radii
    sectors = _ray_angles(r, angles)
    w = np.zeros(r.shape)
    for spoke in range(len(r)):
        centre = r[spoke] == 0
        for side, sector in zip((1, -1), sectors[:, spoke], strict=True):
            ray = np.flatnonzero(side * r[spoke] > 0)
            if ray.size == 0:
                continue
            ray = ray[np.argsort(side * r[spoke, ray], kind="stable")]
            rho = side * r[spoke, ray]
            inner = np.concatenate([[rho[0] / 2 if centre.any() else 0.0], (rho[1:] + rho[:-1]) / 2])
            outer = np.append(inner[1:], 2 * rho[-1] - inner[-1])
            w[spoke, ray] = 0.5 * sector * (outer**2 - inner**2)
            if centre.any():  # trapezoidal sum of |r| f(r): Euler and Maclaurin give f(0) two thirds of the disc
                w[spoke, centre] += 2 / 3 * 0.5 * sector * inner[0] ** 2 / centre.sum()
            else:  # midpoint rule
                w[spoke, ray[0]] *= 11 / 12
    return w * math.prod(dims)


def is_radial(trajectory: np.ndarray, dims: tuple[int, ...]) -> bool:
    """Whether `radial_density` takes ``trajectory``."""
    return _signed_radii(trajectory, dims) is not None


def _signed_radii(k: np.ndarray, dims: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray] | None:
    """r (spokes, readout) in cycles per pixel, exactly 0 at the centre, and the spokes' angles; None if not radial."""
    if k.ndim != 3 or k.shape[-1] != 2:
        return None
    kappa = k[..., 1] / dims[1] + 1j * k[..., 0] / dims[0]
    farthest = np.abs(kappa).argmax(axis=1)
    end = kappa[np.arange(len(kappa)), farthest]
    if not np.abs(end).min() > STRAIGHT:
        return None
    along = kappa * (end.conj() / np.abs(end))[:, None]
    if np.abs(along.imag).max() > STRAIGHT:
        return None
    r = np.where(np.abs(along.real) > STRAIGHT * np.abs(end)[:, None], along.real, 0.0)
    return r, np.angle(end)


def _ray_angles(r: np.ndarray, angles: np.ndarray) -> np.ndarray:
    """Δθ of both rays of every spoke, (2, spokes): half the distance to each neighbour; 0 for a ray not there."""
    there = np.stack([(r > 0).any(axis=1), (r < 0).any(axis=1)])
    phi = np.mod(np.stack([angles, angles + np.pi])[there], 2 * np.pi)
    order = np.argsort(phi, kind="stable")
    gaps = np.diff(phi[order], append=phi[order[0]] + 2 * np.pi)  # to the next one
    shares = np.empty_like(phi)
    shares[order] = 0.5 * (gaps + np.roll(gaps, 1))
    sectors = np.zeros(there.shape)
    sectors[there] = shares
    return sectors


def pipe_menon_density(trajectory: Array, dims: tuple[int, ...], niter: int = 30, eps: float = 1e-6) -> np.ndarray:
    r"""Density compensation of any trajectory: weights whose convolution is 1 at every sample.

    .. math:: w \leftarrow w / (K * w), \qquad K(k) = \prod_a \Bigl(\frac{\sin π k_a}{n_a \sin(π k_a / n_a)}\Bigr)^2

    K is non-negative, integrates to 1, and is the Fourier transform of a window that covers all differences between
    two pixels: it makes the point spread function of ``A* diag(w) A`` a peak within the field of view.

    Parameters
    ----------
    trajectory : array, (..., len(dims))
        In cycles per field of view, as `NonCartesianMRI` takes it.
    dims : tuple of int
        Image shape.
    niter : int
        Iterations.
    eps : float
        Tolerance of the non-uniform FFTs.

    Returns
    -------
    numpy.ndarray, trajectory.shape[:-1]
        Areas in cells of the Cartesian grid, (cycles per field of view)^d; float64, positive.

    Raises
    ------
    ValueError, TypeError
        for a trajectory that does not fit, or a number of iterations that is not positive.

    References
    ----------
    Pipe and Menon, Sampling density compensation in MRI, Magn. Reson. Med. 41 (1999); Johnson and Pipe, Convolution
    kernel design and efficient algorithm for sampling density correction, Magn. Reson. Med. 61 (2009).

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.operators.mri.density import pipe_menon_density
    >>> grid = np.stack(np.mgrid[-4:4, -4:4], axis=-1)
    >>> w = pipe_menon_density(grid, (8, 8))          # every sample of the Cartesian grid has one cell
    >>> bool(np.allclose(w, 1, atol=1e-5))
    True
    """
    dims = check_dims(dims, "dims")
    k = check_trajectory(trajectory, dims)
    niter = check_count(niter, "niter")
    F = NonuniformFFT(tuple(2 * n for n in dims), radians(k, dims), "float64", eps)
    window = np.ones(())
    for n in dims:
        window = np.multiply.outer(window, (1 - np.abs(np.arange(-n, n)) / n) / n)
    w = np.ones(F.size, dtype=np.complex128)
    for _ in range(niter):
        w /= np.abs(F.forward(window * F.adjoint(w)))
    return w.real.reshape(k.shape[:-1])


def density_compensation(trajectory: Array, dims: tuple[int, ...], **options: Any) -> np.ndarray:
    """`radial_density` for straight spokes in two dimensions, else `pipe_menon_density` (which takes the options)."""
    dims = check_dims(dims, "dims")
    k = check_trajectory(trajectory, dims)
    return radial_density(k, dims) if is_radial(k, dims) else pipe_menon_density(k, dims, **options)
