"""Blurred photographs, with one point-spread function or one that varies over the image."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_between, check_choice, check_flag, check_integer
from ipbox.operators import Blur, VaryingBlur
from ipbox.operators.images.blur import check_boundary
from ipbox.operators.images.psf import disc_psf, gaussian_psf, motion_psf, uniform_psf
from ipbox.operators.images.varying_blur import interpolation_weights, node_positions
from ipbox.problems import ProblemInfo
from ipbox.problems.measuring import noise as noises
from ipbox.problems.simulated.posed import check_common, pose
from ipbox.problems.truths.scenes import scene

KERNELS = ("gaussian", "motion", "out-of-focus", "uniform")
VARYING = ("rotation", "defocus")
FINER = 3  # the data of a varying blur come from so many times more kernels along each axis


def blur(
    size: int | None = None,
    kernel: str | Array = "gaussian",
    boundary: str = "reflective",
    noise: float = 0.01,
    seed: int = 0,
    image: str | Array = "camera",
    sigma: float = 2.0,
    length: float = 15.0,
    angle: float = 0.0,
    radius: float = 4.0,
    width: int = 9,
    inverse_crime: bool = False,
    dtype: Any = "float32",
    xp: str = "numpy",
) -> tuple[Blur, Array, Array, ProblemInfo]:
    """A blurred photograph, without inverse crime at the boundary.

    The scene is larger than the field of view: what lies outside is blurred in, and the operator's boundary is a model
    of it.  ``info.model_error`` tells how far A x is from the data without noise.

    Parameters
    ----------
    size : int, optional
        Pixels a side of the field of view; 256 by default.
    kernel : str or array
        ``"gaussian"``, ``"motion"``, ``"out-of-focus"``, ``"uniform"`` (see `ipbox.operators.images.psf`), or a
        point-spread function of your own, centred at shape // 2.
    boundary : str
        Boundary of A: ``"reflective"``, ``"periodic"`` or ``"zero"``.
    noise : float
        Relative level of Gaussian noise.
    seed : int
        Seed of the noise.
    image : str or array
        Name of a photograph (`ipbox.problems.truths.photographs.PHOTOGRAPHS`, ``"moon"``, ``"text"``), or a real
        floating image of your own, whose rim is what lies outside of the field of view.
    sigma : float
        Of ``"gaussian"``, in pixels.
    length, angle : float
        Of ``"motion"``, in pixels and radians counter-clockwise.  Along the axes (angle 0 and π/2) the kernel is
        symmetric, and the reflective boundary diagonal in the cosine transform.
    radius : float
        Of ``"out-of-focus"``, in pixels.
    width : int
        Of ``"uniform"``, in pixels.
    inverse_crime : bool
        Make the data by A itself, boundary included.
    dtype : dtype
        float32 or float64, of A, b and x.
    xp : str
        ``"numpy"`` or ``"cupy"``: everything is simulated on the host and moved once.

    Returns
    -------
    A : Blur
    b, x : array, (ny, nx)
        The blurred, noisy image and the truth, on the field of view.
    info : ProblemInfo
        ``info.extra["kernel"]`` is the point-spread function.

    Raises
    ------
    ValueError, TypeError
        where an argument is not as above.

    Examples
    --------
    >>> from ipbox.problems.simulated.blur import blur
    >>> A, b, x, info = blur(size=64, kernel="motion", length=7, image="coins")
    >>> b.shape, info.extra["kernel"].shape
    ((64, 64), (1, 9))
    """
    check_common(xp, seed, noise)
    check_flag(inverse_crime, "inverse_crime")
    check_boundary(boundary)
    k = _kernel(kernel, sigma, length, angle, radius, width)
    margin = tuple(n // 2 for n in k.shape)
    wide, view, about = scene(image, size, margin)
    A = Blur(wide[view].shape, k, boundary, dtype)
    x = wide[view].astype(A.dtype_in)
    clean = A.apply(x) if inverse_crime else Blur(wide.shape, k, "periodic", "float64").apply(wide)[view]
    about["extra"] |= {"kernel": A.kernel, "blur": kernel if isinstance(kernel, str) else "own"}
    return _noisy("blur", A, x, clean, noise, seed, about, xp)


def blur_varying(
    size: int | None = None,
    kernel: str = "rotation",
    boundary: str = "reflective",
    noise: float = 0.01,
    seed: int = 0,
    image: str | Array = "camera",
    strength: float = 6.0,
    grid: int = 6,
    inverse_crime: bool = False,
    dtype: Any = "float32",
    xp: str = "numpy",
) -> tuple[VaryingBlur, Array, Array, ProblemInfo]:
    """A photograph whose blur varies over the image, without inverse crime.

    The operator interpolates between ``grid`` x ``grid`` kernels, the data are made from three times as many along
    each axis and a scene that goes on beyond the field of view.

    Parameters
    ----------
    size : int, optional
        Pixels a side of the field of view; 256 by default.
    kernel : str
        ``"rotation"``: the camera turned about the image's middle during the exposure; ``"defocus"``: sharp on the
        left, out of focus on the right.
    strength : float
        Length of the motion, or radius of the disc, at the edge of the field of view, in pixels.
    grid : int
        Kernels along each axis, from 2.
    boundary, noise, seed, image, inverse_crime, dtype, xp
        As in `blur`.

    Returns
    -------
    A : VaryingBlur
    b, x : array, (ny, nx)
    info : ProblemInfo
        ``info.extra["kernels"]`` are the point-spread functions of A.

    Raises
    ------
    ValueError, TypeError
        where an argument is not as above.

    Examples
    --------
    >>> from ipbox.problems.simulated.blur import blur_varying
    >>> A, b, x, info = blur_varying(size=64, kernel="defocus", strength=3.0, grid=3)
    >>> b.shape, info.extra["kernels"].shape
    ((64, 64), (9, 9, 9))
    """
    check_common(xp, seed, noise)
    check_flag(inverse_crime, "inverse_crime")
    check_boundary(boundary)
    check_choice(kernel, "kernel", VARYING)
    check_between(strength, "strength", 0, 50, "(]", "a number of pixels")
    check_integer(grid, "grid", 2, 32)
    reach = math.ceil(strength) + 1
    wide, view, about = scene(image, size, (reach, reach))
    dims = wide[view].shape
    if grid > min(dims) or 2 * reach + 1 > min(dims):
        raise ValueError(f"the field of view has {dims} pixels; expected at least {max(grid, 2 * reach + 1)} a side")
    kernels = _local_kernels(kernel, strength, node_positions(dims, (grid, grid)), dims, reach)
    A = VaryingBlur(dims, kernels, interpolation_weights(dims, (grid, grid)), boundary, dtype)
    x = wide[view].astype(A.dtype_in)
    clean = A.apply(x) if inverse_crime else _finely_blurred(wide, kernel, strength, grid, dims, reach)[view]
    about["extra"] |= {"kernels": A.kernels, "grid": (grid, grid), "blur": kernel}
    return _noisy("blur-varying", A, x, clean, noise, seed, about, xp)


# ---------------------------------------------------------------- the parts


def _kernel(kernel: str | Array, sigma: float, length: float, angle: float, radius: float, width: int) -> np.ndarray:
    if not isinstance(kernel, str):
        backend.check_array(kernel, "kernel", f"one of {', '.join(map(repr, KERNELS))}, or an array")
        if kernel.ndim != 2:
            raise ValueError(f"kernel has shape {kernel.shape}; expected two axes")
        return backend.to_host(kernel)
    check_choice(kernel, "kernel", KERNELS, ", or an array")
    made = {
        "gaussian": lambda: gaussian_psf(sigma),
        "motion": lambda: motion_psf(length, angle),
        "out-of-focus": lambda: disc_psf(radius),
        "uniform": lambda: uniform_psf(width),
    }
    return made[kernel]()


def _local_kernels(kind: str, strength: float, positions: np.ndarray, dims: tuple[int, int], reach: int) -> np.ndarray:
    """The kernels at ``positions``, in pixels of the field of view, all of 2 reach + 1 pixels a side."""
    kernels = np.zeros((len(positions), 2 * reach + 1, 2 * reach + 1))
    half = 0.5 * min(dims)
    for k, (i, j) in zip(kernels, positions, strict=True):
        y, x = (dims[0] - 1) / 2 - i, j - (dims[1] - 1) / 2  # y upwards
        if kind == "rotation":  # tangential, proportional to the distance from the middle
            psf = motion_psf(min(strength * math.hypot(x, y) / half, 2 * reach), math.atan2(x, -y))
        else:
            psf = disc_psf(min(max(strength * (0.5 + 0.5 * x / half), 0.3), reach))
        ry, rx = (n // 2 for n in psf.shape)
        k[reach - ry : reach + ry + 1, reach - rx : reach + rx + 1] = psf
    return kernels


def _finely_blurred(
    wide: np.ndarray, kind: str, strength: float, grid: int, dims: tuple[int, int], reach: int
) -> np.ndarray:
    """The scene blurred with finer interpolation, one row of kernels at a time to save memory."""
    fine = tuple(min(FINER * grid, n) for n in wide.shape)
    positions = node_positions(wide.shape, fine) - reach
    kernels = _local_kernels(kind, strength, positions, dims, reach)
    weights = interpolation_weights(wide.shape, fine)
    clean = np.zeros(wide.shape)
    for row in range(fine[0]):
        part = slice(row * fine[1], (row + 1) * fine[1])
        clean += VaryingBlur(wide.shape, kernels[part], weights[part], "zero", "float64").apply(wide)
    return clean


def _noisy(
    name: str, A: Any, x: np.ndarray, clean: np.ndarray, noise: float, seed: int, about: dict[str, Any], xp: str
) -> tuple[Any, Array, Array, ProblemInfo]:
    clean = clean.astype(A.dtype_out)
    b, noise_level = noises.gaussian(clean, noise, seed)
    return pose(A, b, x, noise_level, clean, xp, name=name, seed=seed, **about)
