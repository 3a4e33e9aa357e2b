"""Non-Cartesian MRI of a head: radial or spiral, several coils, undersampled."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_choice, check_count, check_positive
from ipbox.operators import NonCartesianMRI
from ipbox.operators.fourier.transform import check_complex
from ipbox.operators.mri.density import density_compensation
from ipbox.problems import ProblemInfo
from ipbox.problems.measuring import noise as noises
from ipbox.problems.measuring.coils import simulate_sensitivities
from ipbox.problems.measuring.trajectories import radial_trajectory, spiral_trajectory
from ipbox.problems.simulated.posed import check_common, pose
from ipbox.problems.truths.heads import head_image

FULL_INTERLEAVES = 16  # spirals that fill k-space together

TRAJECTORIES = ("radial", "spiral")


def mri_radial(
    size: int | None = None,
    undersampling: float = 2.0,
    noise: float = 0.02,
    seed: int = 0,
    image: str | Array = "head",
    slice: int = 11,
    patient: str = "test",
    coils: int = 8,
    trajectory: str = "radial",
    golden_angle: bool = False,
    readout: int | None = None,
    real_image: bool = False,
    dtype: Any = "complex64",
    xp: str = "numpy",
) -> tuple[NonCartesianMRI, Array, Array, ProblemInfo]:
    """Simulated radial or spiral MRI with several coils.

    The data are the exact Fourier sums of the pixels of x (in double precision, tolerance 1e-12), as coils with the
    sensitivities that A knows see them: an inverse crime as far as pixels and sensitivities go.  To reconstruct with
    estimated ones, make an operator from ``info.extra["trajectory"]`` and your own.

    Parameters
    ----------
    size : int, optional
        Pixels a side; 256 by default, which is the most there is.
    undersampling : float
        How many times fewer spokes or spirals there are than leave no gap larger than 1/(field of view):
        ⌈π/2 size / undersampling⌉ spokes, or 16 / undersampling Archimedean spirals.
    noise : float
        Relative level of complex Gaussian noise.
    seed : int
        Seed of the noise.
    image : str or array
        ``"head"``: an MR magnitude (see `ipbox.problems.truths.brains.brain_slice`) with a smooth phase; or a floating
        (ny, nx) image of your own, real or complex, taken as it is.
    slice, patient : int, str
        Which slice of whose head, ``"test"`` or ``"train"``.
    coils : int
        Simulated coils (see `ipbox.problems.measuring.coils.simulate_sensitivities`), the squares of whose maps add up
        to 1.
    trajectory : str
        ``"radial"`` or ``"spiral"``.
    golden_angle : bool
        Spokes in the order of the golden angle instead of equally spaced.
    readout : int, optional
        Samples of each spoke or spiral; by default twice as dense as the image's pixels ask for.
    real_image : bool
        No phase: x and A's model are real, the data complex.
    dtype : dtype
        complex64 or complex128, of A and b.
    xp : str
        ``"numpy"`` or ``"cupy"``: everything is simulated on the host and moved once.

    Returns
    -------
    A : NonCartesianMRI
    b : array, (coils, spokes, readout)
        Data with noise.
    x : array, (ny, nx)
        The truth.
    info : ProblemInfo
        ``info.extra``: ``"trajectory"``, ``"sensitivities"``, ``"density"`` (compensation, as `gridding` takes it).

    Raises
    ------
    ValueError, TypeError
        where an argument is not as above.

    Examples
    --------
    >>> from ipbox.problems.simulated.mri_radial import mri_radial
    >>> A, b, x, info = mri_radial(size=64, coils=4)
    >>> b.shape, x.dtype, info.extra["density"].shape
    ((4, 51, 128), dtype('complex64'), (51, 128))
    """
    check_common(xp, seed, noise)
    dtype = check_complex(dtype)
    check_positive(undersampling, "undersampling")
    check_count(coils, "coils")
    check_choice(trajectory, "trajectory", TRAJECTORIES)
    truth, about = head_image(image, size, slice, patient, phase=not real_image, real_image=real_image)
    k = _trajectory(trajectory, truth.shape, float(undersampling), golden_angle, readout)
    S = simulate_sensitivities(coils, truth.shape, dtype="complex128")
    A = NonCartesianMRI(truth.shape, k, S.astype(dtype), dtype, real_image)
    exact = NonCartesianMRI(truth.shape, k, S, "complex128", real_image, eps=1e-12)
    x, clean = truth.astype(A.dtype_in), exact.apply(truth).astype(dtype)
    b, noise_level = noises.gaussian(clean, noise, seed)
    extra = {
        "trajectory": k,
        "sensitivities": backend.to_device(S.astype(dtype), xp),
        "density": density_compensation(k, truth.shape),
    }
    about["extra"] = extra | about["extra"]
    return pose(A, b, x, noise_level, clean, xp, name="mri-radial", seed=seed, **about)


def _trajectory(
    kind: str, shape: tuple[int, int], undersampling: float, golden_angle: bool, readout: int | None
) -> np.ndarray:
    n = max(shape)
    if kind == "radial":
        spokes = math.ceil(0.5 * math.pi * n / undersampling)
        return radial_trajectory(spokes, 2 * n if readout is None else readout, shape, golden_angle)
    if golden_angle:
        raise ValueError("golden_angle is for radial trajectories; expected False with trajectory='spiral'")
    interleaves = max(1, round(FULL_INTERLEAVES / undersampling))
    samples = math.ceil(0.5 * math.pi * n**2 / FULL_INTERLEAVES) if readout is None else readout
    return spiral_trajectory(interleaves, samples, shape, turns=n / (2 * FULL_INTERLEAVES))
