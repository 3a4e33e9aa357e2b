"""Cartesian MRI of a head: one coil or several, undersampled."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_choice, check_count
from ipbox.operators import CartesianMRI
from ipbox.operators.fourier.transform import check_complex
from ipbox.problems import ProblemInfo
from ipbox.problems.measuring import kspace_masks
from ipbox.problems.measuring import noise as noises
from ipbox.problems.measuring.coils import simulate_sensitivities
from ipbox.problems.measuring.kspace import check_acceleration
from ipbox.problems.simulated.posed import check_common, pose
from ipbox.problems.truths.heads import head_image

MASKS = ("uniform", "variable-density", "variable-density-points", "poisson-disc")


def mri(
    size: int | None = None,
    coils: int = 1,
    mask: str | Array = "variable-density",
    acceleration: float | None = None,
    calibration: int | None = None,
    noise: float = 0.01,
    seed: int = 0,
    image: str | Array = "head",
    slice: int = 11,
    patient: str = "test",
    phase: bool = False,
    real_image: bool = False,
    dtype: Any = "complex64",
    xp: str = "numpy",
) -> tuple[CartesianMRI, Array, Array, ProblemInfo]:
    """Simulated undersampled Cartesian MRI.

    k-space is computed from the pixels of x with the coils that A knows, which is an inverse crime, and x itself, an
    MR magnitude, is what a scanner reconstructed.  To reconstruct with estimated sensitivities, make an operator
    from A.mask and your own.

    Parameters
    ----------
    size : int, optional
        Pixels a side; 256 by default, which is the most there is.
    coils : int
        1: the image is seen as it is.  More: simulated coils (`ipbox.problems.measuring.coils.simulate_sensitivities`),
        the squares of whose maps add up to 1.
    mask : str or array
        ``"uniform"`` or ``"variable-density"`` (lines), ``"variable-density-points"`` or ``"poisson-disc"`` (points),
        as in `ipbox.problems.measuring.kspace_masks`; or a mask of your own, bool or weights >= 0, of the image's
        shape.
    acceleration : float, optional
        Points over sampled points: 4 by default; none with a mask of your own.
    calibration : int, optional
        Lines, or points along each axis, of the fully sampled middle; by default 24, or fewer where that is
        more than half of the samples.
    noise : float
        Relative level of complex Gaussian noise on the samples.
    seed : int
        Seed of the mask and of the noise.
    image : str or array
        ``"head"``: an MR magnitude (see `ipbox.problems.truths.brains.brain_slice`); or a floating (ny, nx) image of
        your own, real or complex, taken as it is.
    slice, patient : int, str
        Which slice of whose head, ``"test"`` or ``"train"``.
    phase : bool
        Give the head a smooth phase.
    real_image : bool
        x and A's model are real, the data complex.
    dtype : dtype
        complex64 or complex128, of A and b.
    xp : str
        ``"numpy"`` or ``"cupy"``: everything is simulated on the host and moved once.

    Returns
    -------
    A : CartesianMRI
    b : array, (coils, ny, nx), or (ny, nx) for one coil
        Data with noise, zero where nothing is sampled.
    x : array, (ny, nx)
        The truth.
    info : ProblemInfo
        The noise level counts the sampled entries.  ``info.extra``: ``"mask"``, ``"acceleration"`` (as it came out),
        ``"calibration"`` (None with a mask of your own), ``"sensitivities"`` (None for one coil).

    Raises
    ------
    ValueError, TypeError
        where an argument is not as above.

    Examples
    --------
    >>> import ipbox as ip
    >>> A, b, x, info = ip.problem("mri", size=64, coils=4, acceleration=4)
    >>> b.shape, x.dtype, round(info.extra["acceleration"], 2)
    ((4, 64, 64), dtype('complex64'), 4.0)
    """
    check_common(xp, seed, noise)
    dtype = check_complex(dtype)
    check_count(coils, "coils")
    truth, about = head_image(image, size, slice, patient, phase, real_image)
    W, calibration = _mask(mask, truth.shape, acceleration, calibration, seed)
    S = None if coils == 1 else simulate_sensitivities(coils, truth.shape, dtype="complex128")
    A = CartesianMRI(W, None if S is None else S.astype(dtype), dtype, real_image)
    exact = CartesianMRI(W, S, "complex128", real_image)
    x, clean = truth.astype(A.dtype_in), exact.apply(truth).astype(dtype)
    b, sampled = np.zeros_like(clean), np.broadcast_to(A.mask > 0, clean.shape)
    b[sampled], noise_level = noises.gaussian(clean[sampled], noise, seed)
    extra = {
        "mask": A.mask,
        "acceleration": A.mask.size / int(np.count_nonzero(A.mask)),
        "calibration": calibration,
        "sensitivities": None if S is None else backend.to_device(S.astype(dtype), xp),
    }
    about["extra"] = extra | about["extra"]
    return pose(A, b, x, noise_level, clean, xp, name="mri", seed=seed, **about)


def _mask(
    mask: str | Array, shape: tuple[int, int], acceleration: float | None, calibration: int | None, seed: int
) -> tuple[Array, int | None]:
    """The mask and the width of its calibration region."""
    if not isinstance(mask, str):
        backend.check_array(mask, "mask", f"one of {', '.join(map(repr, MASKS))}, or an array")
        if mask.shape != shape:
            raise ValueError(f"mask has shape {mask.shape}; expected that of the image, {shape}")
        for name, value in (("acceleration", acceleration), ("calibration", calibration)):
            if value is not None:
                raise ValueError(f"{name} is {value}; expected none with a mask of your own")
        return mask, None
    check_choice(mask, "mask", MASKS, ", or an array")
    R = check_acceleration(4.0 if acceleration is None else acceleration)
    lines = mask in ("uniform", "variable-density")
    if calibration is None:
        half = shape[-1] / (2 * R) if lines else math.sqrt(math.prod(shape) / (2 * R))
        calibration = min(24, int(half), min(shape))
    if mask == "uniform":
        return kspace_masks.uniform_mask(shape, R, calibration), calibration
    if mask == "poisson-disc":
        return kspace_masks.poisson_disc_mask(shape, R, calibration, seed=seed), calibration
    kind = "lines" if lines else "points"
    return kspace_masks.variable_density_mask(shape, R, calibration, kind=kind, seed=seed), calibration
