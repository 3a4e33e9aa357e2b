"""Positron emission tomography: simulated brain scans with attenuation, randoms and scatter."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_between, check_count, check_not_negative
from ipbox.operators import PET, JosephTransform
from ipbox.problems import ProblemInfo
from ipbox.problems.measuring import noise as noises
from ipbox.problems.simulated.joseph import joseph
from ipbox.problems.simulated.posed import check_common, pose
from ipbox.problems.truths import datasets
from ipbox.problems.truths.brains import brain_phantom

SCATTER_WIDTH = 60.0  # mm: standard deviation of the scatter's profile about that of the unscattered


def pet(
    size: int = 128,
    views: int = 180,
    counts: float = 1e6,
    randoms: float = 0.2,
    scatter: float = 0.2,
    blur_fwhm: float = 4.5,
    seed: int = 0,
    slice: int = 7,
    detectors: int | None = None,
    dtype: Any = "float32",
    xp: str = "numpy",
) -> tuple[PET, Array, Array, ProblemInfo]:
    r"""A simulated PET scan of a brain, without inverse crime.

    .. math:: b \sim \text{Poisson}(A u + r), \qquad A u = n\, e^{-Pμ}\, P H u

    The activity is FDG-like: 4 in grey and 1 in white matter of the MNI template, which gives the attenuation map and
    an MR image of the same head too.  The data come from the template at 1 mm (or, where ``size`` does not divide
    128, from x as piecewise constant on a grid twice as fine) and another projector, with two rays a detector bin.
    Scatter is a wide blur of the unscattered counts along each detector row, randoms are uniform.

    Parameters
    ----------
    size : int
        Pixels a side of a square of 256 mm, at most 256.
    views : int
        Projection angles, equally spaced on [0, π).
    counts : float
        Expected counts of the slice, background included.
    randoms, scatter : float
        Their shares of the counts.
    blur_fwhm : float
        Resolution of the scanner, in mm.
    seed : int
        Seed of the noise.
    slice : int
        0 to 14, from the cerebellum upwards.
    detectors : int, optional
        Detector bins, each as wide as a pixel; by default they cover the image's diagonal.
    dtype : dtype
        float32 or float64, of A, b and x.
    xp : str
        ``"numpy"`` or ``"cupy"``: everything is simulated on the host and moved once.

    Returns
    -------
    A : PET
        With the attenuation, the blur, n as its normalisation and r as its background.
    b : array, (views, n_det)
        Counts.
    x : array, (size, size)
        Activity: pixel averages.
    info : ProblemInfo
        ``extra`` has ``background`` (r), ``attenuation`` (μ in 1/mm), ``t1`` (the MR, in [0, 1]) and ``counts``.

    Raises
    ------
    ValueError, TypeError
        where an argument is not as above.

    Examples
    --------
    >>> from ipbox.problems.simulated.pet import pet
    >>> A, b, x, info = pet(size=64, views=40, counts=1e5)
    >>> bool(abs(b.sum() - 1e5) < 1500), float(x.max()) <= 4
    (True, True)
    """
    check_common(xp, seed)
    check_count(views, "views")
    check_between(counts, "counts", 0, 1e18, "(]", "a positive number")
    for name, share in (("randoms", randoms), ("scatter", scatter)):
        check_between(share, name, 0, 1, "[)", "a share of the counts")
    if randoms + scatter >= 1:
        raise ValueError(f"randoms is {randoms} and scatter is {scatter}; expected shares that leave some counts")
    check_not_negative(blur_fwhm, "blur_fwhm")

    truth = brain_phantom(slice, size)
    h, angles = truth.pixel_size, np.arange(views) * (math.pi / views)
    P = JosephTransform(truth.activity.shape, angles, n_det=detectors, pixel_size=h, dtype=dtype)
    unscattered = _unscattered(slice, size, P, blur_fwhm)
    n = (1 - randoms - scatter) * counts / unscattered.sum()
    r = _background(unscattered, h, randoms * counts, scatter * counts)
    A = PET(P, truth.attenuation, normalisation=n, blur_fwhm=blur_fwhm, background=r)

    expected = (n * unscattered + r).astype(A.dtype_out)
    b, noise_level = noises.poisson(expected, seed)
    x = truth.activity.astype(A.dtype_in)
    return pose(
        A,
        b,
        x,
        noise_level,
        None,
        xp,
        name="pet",
        model_error=backend.norm(A.mean(x) - expected),
        pixel_size=h,
        units="x in the activity of white matter, lengths in mm",
        unit="activity (white matter: 1)",
        angles=angles,
        mask=backend.to_device((truth.attenuation > 0) | (truth.activity > 0), xp),
        **datasets.credit("mni"),
        seed=seed,
        extra={
            "slice": int(slice),
            "counts": float(counts),
            "background": backend.to_device(A.background.copy(), xp),
            "attenuation": backend.to_device(truth.attenuation.astype(A.dtype_in), xp),
            "t1": backend.to_device(truth.t1.astype(A.dtype_in), xp),
        },
    )


def _unscattered(index: int, size: int, P: JosephTransform, blur_fwhm: float) -> np.ndarray:
    """e^{-Pμ} P H u from a finer grid, in float64."""
    from scipy.ndimage import gaussian_filter

    finer = brain_phantom(index, 256) if size <= 128 and 256 % size == 0 else brain_phantom(index, size)
    k = 1 if finer.activity.shape[0] > size else 2
    activity, attenuation = (np.kron(u, np.ones((k, k))) for u in (finer.activity, finer.attenuation))
    width = finer.pixel_size / k
    blurred = gaussian_filter(activity, blur_fwhm / math.sqrt(8 * math.log(2)) / width, mode="constant", truncate=6)
    emission, loss = (
        joseph(u, P.angles, P.n_det, P.det_spacing, pixel_size=width, rays_per_bin=2) for u in (blurred, attenuation)
    )
    return np.exp(-loss) * emission


def _background(unscattered: np.ndarray, h: float, randoms: float, scatter: float) -> np.ndarray:
    """Expected randoms (uniform) and scatter, each with its sum over the sinogram."""
    from scipy.ndimage import gaussian_filter1d

    wide = gaussian_filter1d(unscattered, SCATTER_WIDTH / h, axis=1, mode="constant")
    return randoms / unscattered.size + scatter / wide.sum() * wide
