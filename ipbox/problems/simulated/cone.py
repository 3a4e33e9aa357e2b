"""Cone-beam computed tomography: a simulated scan of a chest."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_choice, check_count, check_integer, check_positive, shown
from ipbox.operators import ConeBeamTransform
from ipbox.operators.tomography.cone.panel import check_panel, check_three
from ipbox.problems import ProblemInfo
from ipbox.problems.simulated import ct
from ipbox.problems.truths import datasets
from ipbox.problems.truths.slices import held_out_slices, training_slices

APART = 5.0  # mm: what the slices of the chests are taken to be apart
WIDTH = {"train": 256 * 1.140625, "test": 256 * 1.2539062}  # mm, of a slice


def cone(
    size: int | None = None,
    views: int = 120,
    noise: float | None = None,
    seed: int = 0,
    image: str | Array = "lung",
    patient: str = "test",
    photons: float | None = None,
    panel: tuple[int, int] | None = None,
    arc: float = 2 * math.pi,
    source_distance: float | None = None,
    detector_distance: float | None = None,
    dtype: Any = "float32",
    xp: str = "numpy",
    rays_per_pixel: int = 2,
    pixel_size: float | tuple[float, float, float] | None = None,
) -> tuple[ConeBeamTransform, Array, Array, ProblemInfo]:
    """Simulated cone-beam CT with a flat panel on a circular orbit, without inverse crime.

    A reading is the average of ``rays_per_pixel``² rays over a pixel of the panel, where A has one ray; and the rays go
    through a grid that is twice as fine in each slice where there is such a truth.  ``info.model_error`` tells how far
    A x is from the data.

    Parameters
    ----------
    size : int, optional
        Pixels a side of the slices of ``"lung"``, at most 256; 64 by default.
    views : int
        Views β, equally spaced on [0, ``arc``).
    noise : float, optional
        Relative level of Gaussian noise; 0.01 by default where ``photons`` is not given.
    seed : int
        Seed of the noise.
    image : str or array
        ``"lung"``: all slices of a chest CT as attenuation in 1/mm, 0 outside the inscribed disc, taken to be 5 mm
        apart; or a volume (nz, ny, nx) of your own, real and floating, taken as it is.
    patient : str
        ``"test"`` or ``"train"``.
    photons : float, optional
        Photons a ray: Poisson counts instead of Gaussian noise.
    panel : (int, int), optional
        Rows and columns, each pixel a voxel's least width at the axis; by default they cover the volume.
    arc : float
        In radians; a short scan needs π and the fan's opening angle.
    source_distance, detector_distance : float, optional
        From the axis, in the lengths of x; by default 1.5 and 1 widths of the slices.
    dtype : dtype
        float32 or float64, of A, b and x.
    xp : str
        ``"numpy"`` or ``"cupy"``: everything is simulated on the host and moved once.
    rays_per_pixel : int
        Rays averaged over each pixel along each of its sides.
    pixel_size : float or (float, float, float), optional
        Widths (h_z, h_y, h_x) of the voxels of your own volume; 1 by default.

    Returns
    -------
    A : ConeBeamTransform
    b : array, (views, rows, columns)
        Line integrals with noise.
    x : array, (nz, ny, nx)
        The truth: voxel averages.
    info : ProblemInfo

    Raises
    ------
    ValueError, TypeError
        where an argument is not as above.

    Examples
    --------
    >>> from ipbox.problems.simulated.cone import cone
    >>> A, b, x, info = cone(size=16, views=10, noise=0.02)
    >>> x.shape, b.shape == A.dimsd, info.units
    ((61, 16, 16), True, 'x in 1/mm, lengths in mm')
    """
    level = ct.check_scan(views, arc, noise, photons, seed, xp)
    check_count(rays_per_pixel, "rays_per_pixel")
    truth, fine, widths, about = _truth_and_finer(image, size, patient, pixel_size)
    width = max(truth.shape[1] * widths[1], truth.shape[2] * widths[2])
    A = ConeBeamTransform(
        truth.shape,
        np.arange(views) * (arc / views),
        None if panel is None else check_panel(panel, "panel"),
        source_distance=1.5 * width if source_distance is None else source_distance,
        detector_distance=width if detector_distance is None else detector_distance,
        pixel_size=widths,
        dtype=dtype,
    )
    return ct.scanned("cone", A, truth, _simulated(A, fine, rays_per_pixel), level, photons, widths[2], about, seed, xp)


def _simulated(A: ConeBeamTransform, fine: np.ndarray, rays: int) -> np.ndarray:
    """Averages of rays over the panel's pixels, through the volume ``fine``."""
    (rows, columns), (height, width) = A.n_det, A.det_spacing
    hz, hy, hx = A.voxel_widths
    finer = ConeBeamTransform(
        fine.shape,
        A.angles,
        (rows * rays, columns * rays),
        (height / rays, width / rays),
        source_distance=A.source_distance,
        detector_distance=A.detector_distance,
        pixel_size=(hz, hy * A.dims[1] / fine.shape[1], hx * A.dims[2] / fine.shape[2]),
        dtype=A.dtype_in,
    )
    p = finer.apply(fine.astype(A.dtype_in))
    return p.reshape(A.angles.size, rows, rays, columns, rays).mean(axis=(2, 4), dtype=np.float64)


def _truth_and_finer(
    image: Any, size: int | None, patient: str, pixel_size: Any
) -> tuple[np.ndarray, np.ndarray, tuple[float, float, float], dict[str, Any]]:
    """The truth, the same on a finer grid, the voxel widths, and what to say about it."""
    if not isinstance(image, str):
        backend.check_array(image, "image", "'lung' or an array")
        u = np.asarray(backend.to_host(image))
        if u.ndim != 3 or u.dtype.kind != "f" or not np.isfinite(u).all():
            raise ValueError(
                f"image has shape {u.shape} and dtype {u.dtype}; expected a finite floating volume (nz, ny, nx)"
            )
        if size is not None:
            raise ValueError(f"size is {size} and image is an array; expected the array's own size")
        pixel_size = 1.0 if pixel_size is None else pixel_size
        widths = check_three(pixel_size, "pixel_size", check_positive, "a positive number, or three")
        about = dict(units="as the volume and pixel_size", masked=False, extra={"image": "own"})
        return u, np.repeat(np.repeat(u, 2, axis=1), 2, axis=2), widths, about
    check_choice(image, "image", ("lung",), " or a volume of your own")
    if pixel_size is not None:
        raise ValueError(f"pixel_size is {shown(pixel_size)} and image is {image!r}; expected it with a volume")
    check_choice(patient, "patient", WIDTH)
    n = 64 if size is None else check_integer(size, "size", 1, 256)
    slices = training_slices if patient == "train" else held_out_slices
    mask, finer = datasets.field_of_view((n, n)), 2 if n <= 128 else 1
    truth = slices("ct", n) * mask
    fine = slices("ct", finer * n) * np.repeat(np.repeat(mask, finer, axis=0), finer, axis=1)
    h = WIDTH[patient] / n
    about = dict(units="x in 1/mm, lengths in mm", unit="1/mm", masked=True) | datasets.credit(datasets.LUNGS[patient])
    return truth, fine, (APART, h, h), about | dict(extra={"image": "lung", "patient": patient})
