"""Computed tomography: simulated chest CT and phantoms, and a measured tilt series."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_between, check_count, check_integer, is_integer, shown
from ipbox.operators import RayTransform
from ipbox.problems import ProblemInfo
from ipbox.problems.measuring import noise as noises
from ipbox.problems.simulated.joseph import joseph
from ipbox.problems.simulated.posed import check_common, pose
from ipbox.problems.truths import datasets, phantoms
from ipbox.problems.truths.attenuation import own_slice


def ct(
    size: int | None = None,
    views: int = 180,
    noise: float | None = None,
    seed: int = 0,
    image: str | Array | tuple[Array, Any] = "lung",
    slice: int = 0,
    patient: str = "test",
    photons: float | None = None,
    detectors: int | None = None,
    arc: float = math.pi,
    dtype: Any = "float32",
    xp: str = "numpy",
    rays_per_bin: int = 2,
    pixel_size: float | tuple[float, float] | None = None,
    units: str | None = None,
) -> tuple[RayTransform, Array, Array, ProblemInfo]:
    """Simulated parallel-beam CT, without inverse crime.

    The data of ``"shepp-logan"`` are exact line integrals of ellipses, averaged over each detector bin.  Those of the
    other images come from Joseph's projector on a finer grid: from the 512 x 512 slice where there is one and
    ``size`` divides 256, else from x as piecewise constant on a grid twice as fine.  ``info.model_error`` tells how
    far A x is from them.

    Parameters
    ----------
    size : int, optional
        Pixels a side; 256 by default.
    views : int
        Projection angles, equally spaced on [0, ``arc``).
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
        Detector bins, each as wide as a pixel; by default they cover the image's diagonal.
    arc : float
        In radians.
    dtype : dtype
        float32 or float64, of A, b and x.
    xp : str
        ``"numpy"`` or ``"cupy"``: everything is simulated on the host and moved once.
    rays_per_bin : int
        Rays of Joseph's projector averaged over each detector bin.
    pixel_size : float or pair of float, optional
        Width in mm of the square pixels of your own image; 1 by default, or the spacing that came with the image.
    units : str, optional
        Of your own image: ``"HU"`` for Hounsfield units, ``"attenuation"`` to take it as it is.  By default what
        reaches from about -1000 to tissue is noticed and converted, with a warning.

    Returns
    -------
    A : RayTransform
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
    >>> from ipbox.problems.simulated.ct import ct
    >>> A, b, x, info = ct(size=64, views=20, noise=0.02)
    >>> b.shape == A.dimsd, info.units
    (True, 'x in 1/mm, lengths in mm')
    """
    level = check_scan(views, arc, noise, photons, seed, xp)
    truth, fine, h, about = truth_and_finer(image, size, slice, patient, pixel_size, units)
    angles = np.arange(views) * (arc / views)
    A = RayTransform(truth.shape, angles, n_det=detectors, pixel_size=h, dtype=dtype)
    if fine is None:
        s = (np.arange(A.n_det) - (A.n_det - 1) / 2) * h
        clean = phantoms.ellipses_sinogram(phantoms.SHEPP_LOGAN, angles, s, bin_width=h)
    else:
        width = h * truth.shape[1] / fine.shape[1]
        clean = joseph(fine, angles, A.n_det, h, pixel_size=width, rays_per_bin=rays_per_bin)

    return scanned("ct", A, truth, clean, level, photons, h, about, seed, xp)


# ---------------------------------------------------------------- the parts, of fan beam too


def check_scan(views: int, arc: float, noise: float | None, photons: float | None, seed: int, xp: str) -> float:
    """The level of Gaussian noise."""
    level = 0.01 if noise is None else noise
    check_common(xp, seed, level, "photons=1e5")
    check_count(views, "views")
    check_between(arc, "arc", 0, 2 * math.pi, "(]", "radians")
    if noise is not None and photons is not None:
        raise ValueError(f"noise is {noise} and photons is {photons}; expected at most one of them")
    return level


def scanned(
    name: str,
    A: Any,
    truth: np.ndarray,
    clean: np.ndarray,
    level: float,
    photons: float | None,
    h: float,
    about: dict[str, Any],
    seed: int,
    xp: str,
) -> tuple[Any, Array, Array, ProblemInfo]:
    """The problem with noise on the ``clean`` line integrals: that of ``photons`` a ray, or Gaussian of a level."""
    x, clean = truth.astype(A.dtype_in), clean.astype(A.dtype_out)
    if photons is None:
        b, noise_level = noises.gaussian(clean, level, seed)
    else:
        b, noise_level = noises.poisson_counts(clean, photons, seed)
    disc = datasets.field_of_view(x.shape[-2:]) if about.pop("masked") else True
    mask = np.full(x.shape, disc)
    about |= dict(name=name, pixel_size=h, angles=A.angles, mask=backend.to_device(mask, xp), seed=seed)
    return pose(A, b, x, noise_level, clean, xp, **about)


def truth_and_finer(
    image: Any, size: int | None, index: int, patient: str, pixel_size: Any, units: str | None
) -> tuple[np.ndarray, np.ndarray | None, float, dict[str, Any]]:
    """The truth, the same on a finer grid (None: known exactly), the pixel width, and what to say about it."""
    if not isinstance(image, str):
        u, h, about = own_slice(image, size, pixel_size, units, "'lung', 'shepp-logan' or an array")
        return u, _refined(u, 2), h, about
    for name, value in (("pixel_size", pixel_size), ("units", units)):
        if value is not None:
            raise ValueError(f"{name} is {shown(value)} and image is {image!r}; expected it with an image of your own")
    n = 256 if size is None else size
    check_count(n, "size")
    if image == "shepp-logan":
        about = dict(units="x dimensionless, lengths in half image widths", masked=True, extra={"image": image})
        about |= dict(source="Shepp and Logan 1974, with Toft's contrast", licence="none needed")
        return phantoms.shepp_logan(n), None, 2.0 / n, about
    if image != "lung":
        own = "an image of your own, as ip.read_image(path) gives"
        raise ValueError(f"image is {image!r}; expected 'lung', 'shepp-logan' or {own}")

    truth, h = datasets.lung_slice(index, n, patient)
    mask = datasets.field_of_view(truth.shape)
    fine, _ = datasets.lung_slice(index, patient=patient)
    finer = fine.shape[0] // n
    truth = truth * mask
    if finer >= 2 and fine.shape[0] % n == 0:
        fine = fine * _refined(mask, finer)
    else:
        fine = _refined(truth, 2)
    about = dict(units="x in 1/mm, lengths in mm", unit="1/mm", masked=True) | datasets.credit(datasets.LUNGS[patient])
    return truth, fine, h, about | dict(extra={"image": "lung", "slice": index, "patient": patient})


def _refined(u: np.ndarray, k: int) -> np.ndarray:
    """The piecewise constant image u on a grid k times as fine."""
    return np.repeat(np.repeat(u, k, axis=0), k, axis=1)


# ---------------------------------------------------------------- measured data


def measured(
    slice: int = 0, angles: int | Sequence[int] | None = None, dtype: Any = "float32", xp: str = "numpy"
) -> tuple[RayTransform, Array, None, ProblemInfo]:
    """A measured parallel-beam tilt series (HAADF-STEM of a layered needle) with a missing wedge.

    77 angles from -76 to 76 degrees, 256 detector pixels of 3.36 nm; reconstructed on 256 x 256 pixels of that size.
    The truth and the noise are unknown.  The sense of the tilt is a convention: with the opposite one, the same data
    give the mirrored image.

    Parameters
    ----------
    slice : int
        0 to 10.
    angles : int or sequence of int, optional
        Which of the 77 projections: every ``angles``-th, or those with the given indices; by default all.
    dtype : dtype
        float32 or float64, of A and b.
    xp : str
        ``"numpy"`` or ``"cupy"``.

    Returns
    -------
    A : RayTransform
    b : array, (n_angles, 256)
    x : None
    info : ProblemInfo
        ``info.extra["indices"]`` are the projections taken.

    Raises
    ------
    ValueError
        where an argument is not as above.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.problems.simulated.ct import measured
    >>> held_out = np.arange(0, 77, 5)
    >>> A, b, _, info = measured(angles=np.setdiff1d(np.arange(77), held_out))
    >>> b.shape
    (61, 256)
    """
    backend.as_module(xp)
    data = datasets.load("tomo_haadf")
    projections = data["projections"]
    check_integer(slice, "slice", 0, len(projections) - 1)
    indices = _indices(angles, projections.shape[1])
    theta = np.deg2rad(data["angles_deg"].astype(np.float64))[indices]
    h, n = 3.36, projections.shape[2]
    A = RayTransform((n, n), theta, n_det=n, pixel_size=h, dtype=dtype)
    b = projections[slice, indices].astype(A.dtype_out)
    info = ProblemInfo(
        name="tomography-measured",
        noise_level=None,
        model_error=None,
        pixel_size=h,
        units="x in detector counts per nm, lengths in nm",
        unit="counts/nm",
        angles=theta,
        peak=None,
        mask=backend.to_device(datasets.field_of_view((n, n)), xp),
        seed=None,
        extra={"slice": int(slice), "indices": indices},
        **datasets.credit("tomo_haadf"),
    )
    return A, backend.to_device(b, xp), None, info


def _indices(angles: int | Sequence[int] | None, count: int) -> np.ndarray:
    """The indices of the projections taken."""
    if angles is None:
        return np.arange(count)
    if is_integer(angles):
        if not 1 <= angles <= count:
            raise ValueError(f"angles is {angles}; expected a step from 1 to {count}, or a list of indices")
        return np.arange(0, count, angles)
    indices = np.asarray(angles)
    if indices.ndim != 1 or indices.size == 0 or indices.dtype.kind not in "iu":
        raise ValueError(f"angles is {angles!r}; expected a step, or a list of indices from 0 to {count - 1}")
    if indices.min() < 0 or indices.max() >= count or np.unique(indices).size < indices.size:
        raise ValueError(f"angles has indices that repeat or are not in 0 to {count - 1}")
    return indices
