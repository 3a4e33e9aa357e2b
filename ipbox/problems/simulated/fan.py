"""Fan-beam computed tomography: simulated chest CT and phantoms."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ipbox.backend import Array
from ipbox.checks import check_count
from ipbox.operators import FanBeamTransform
from ipbox.problems import ProblemInfo
from ipbox.problems.simulated import ct
from ipbox.problems.truths import phantoms


def fan(
    size: int | None = None,
    views: int = 360,
    noise: float | None = None,
    seed: int = 0,
    image: str | Array | tuple[Array, Any] = "lung",
    slice: int = 0,
    patient: str = "test",
    photons: float | None = None,
    detectors: int | None = None,
    arc: float = 2 * math.pi,
    source_distance: float | None = None,
    detector_distance: float | None = None,
    dtype: Any = "float32",
    xp: str = "numpy",
    rays_per_bin: int = 4,
    pixel_size: float | tuple[float, float] | None = None,
    units: str | None = None,
) -> tuple[FanBeamTransform, Array, Array, ProblemInfo]:
    """Simulated fan-beam CT with a flat detector, without inverse crime.

    A reading is the average of ``rays_per_bin`` rays over a detector pixel, where A has one ray.  The rays go through
    the ellipses of ``"shepp-logan"`` themselves, or else through a finer grid: the 512 x 512 slice where there is one
    and ``size`` divides 256, else x as piecewise constant on a grid twice as fine.  ``info.model_error`` tells how far
    A x is from the data.

    Parameters
    ----------
    size : int, optional
        Pixels a side; 256 by default.
    views : int
        Views β, equally spaced on [0, ``arc``).
    noise : float, optional
        Relative level of Gaussian noise; 0.01 by default where ``photons`` is not given.
    seed : int
        Seed of the noise.
    image : str or array
        ``"lung"``: a chest-CT slice as attenuation in 1/mm (see `ipbox.problems.truths.datasets.lung_slice`), 0 outside
        the inscribed disc; ``"shepp-logan"``; or an image of your own, real and floating, taken as it is, or in
        Hounsfield units, also integers, which become attenuation in 1/mm.  What `ipbox.read_image` returns, with its
        spacing, is taken too.
    slice : int
        Slice of ``"lung"``: 0 to 4 for those with a finer truth, up to 60 (47 for ``patient="train"``).
    patient : str
        ``"test"`` or ``"train"``.
    photons : float, optional
        Photons a ray: Poisson counts instead of Gaussian noise.
    detectors : int, optional
        Detector pixels, each a pixel wide at the centre; by default they cover the disc around the image.
    arc : float
        In radians; a short scan needs π and the fan's opening angle.
    source_distance, detector_distance : float, optional
        From the centre, in the lengths of x; by default 1.5 and 1 image widths.
    dtype : dtype
        float32 or float64, of A, b and x.
    xp : str
        ``"numpy"`` or ``"cupy"``: everything is simulated on the host and moved once.
    rays_per_bin : int
        Rays averaged over each detector pixel.
    pixel_size : float or pair of float, optional
        Width in mm of the square pixels of your own image; 1 by default, or the spacing that came with the image.
    units : str, optional
        Of your own image: ``"HU"`` for Hounsfield units, ``"attenuation"`` to take it as it is.  By default what
        reaches from about -1000 to tissue is noticed and converted, with a warning.

    Returns
    -------
    A : FanBeamTransform
    b : array, (views, n_det)
        Line integrals with noise.
    x : array, (ny, nx)
        The truth: pixel averages.
    info : ProblemInfo

    Raises
    ------
    ValueError, TypeError
        where an argument is not as above.

    Examples
    --------
    >>> from ipbox.problems.simulated.fan import fan
    >>> A, b, x, info = fan(size=64, views=40, noise=0.02)
    >>> b.shape == A.dimsd, info.units
    (True, 'x in 1/mm, lengths in mm')
    """
    level = ct.check_scan(views, arc, noise, photons, seed, xp)
    check_count(rays_per_bin, "rays_per_bin")
    truth, fine, h, about = ct.truth_and_finer(image, size, slice, patient, pixel_size, units)
    angles, width = np.arange(views) * (arc / views), max(truth.shape) * h
    A = FanBeamTransform(
        truth.shape,
        angles,
        detectors,
        source_distance=1.5 * width if source_distance is None else source_distance,
        detector_distance=width if detector_distance is None else detector_distance,
        pixel_size=h,
        dtype=dtype,
    )
    return ct.scanned("fan", A, truth, _simulated(A, fine, rays_per_bin), level, photons, h, about, seed, xp)


def _simulated(A: FanBeamTransform, fine: np.ndarray | None, rays_per_bin: int) -> np.ndarray:
    """Averages of rays over the detector pixels, through the image ``fine``, or through Shepp and Logan's ellipses."""
    rays = FanBeamTransform(
        tuple(A.dims) if fine is None else fine.shape,
        A.angles,
        A.n_det * rays_per_bin,
        A.det_spacing / rays_per_bin,
        source_distance=A.source_distance,
        detector_distance=A.detector_distance,
        pixel_size=A.pixel_size if fine is None else A.pixel_size * A.dims[1] / fine.shape[1],
        dtype="float64",
    )
    if fine is None:
        p = phantoms.ellipses_line_integrals(phantoms.SHEPP_LOGAN, *rays.parallel_coordinates())
    else:
        p = rays.apply(fine.astype(np.float64))
    return p.reshape(A.angles.size, A.n_det, rays_per_bin).mean(axis=2)
