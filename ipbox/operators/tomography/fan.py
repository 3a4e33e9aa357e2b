"""The fan-beam transform with a flat or a curved detector."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ipbox.backend import Array
from ipbox.checks import check_choice, check_not_negative, check_positive
from ipbox.operators.tomography.joseph import LineTransform


class FanBeamTransform(LineTransform):
    r"""Fan-beam transform A of a 2-D image: a point source and a detector that turn about the image's centre.

    .. math:: (A u)(β, a) = \int u(S + t\, (D - S)/|D - S|)\, dt, \quad
              S = R (\sin β, -\cos β), \quad D = R_d (-\sin β, \cos β) + a (\cos β, \sin β),

    with the source S, the detector pixel D at position a on the detector, R = ``source_distance`` and R_d =
    ``detector_distance``.  It is the parallel-beam reading at

    .. math:: θ = β - γ, \quad s = R \sin γ, \quad \tan γ = a / (R + R_d).

    A curved detector is an arc about the source, a the length along it: γ = a / (R + R_d), and rays are the same angle
    apart (equiangular), D = S + (R + R_d) (\cos γ (-\sin β, \cos β) + \sin γ (\cos β, \sin β)).

    Parameters
    ----------
    dims : (ny, nx)
        Image shape.
    angles : array of float
        β in radians, any number in any order; a full scan covers 2π.
    n_det : int, optional
        Detector pixels; by default they cover the disc around the image.
    det_spacing : float, optional
        Detector pixel width, in the units of ``pixel_size``; by default (R + R_d)/R times it, so that rays are a pixel
        apart at the image's centre.
    source_distance : float
        R, from the source to the centre: the source stays outside the disc around the image.
    detector_distance : float
        R_d >= 0, from the centre to the detector; 0 for a virtual detector through the centre.
    detector : {"flat", "curved"}
        Of a curved one, ``det_spacing`` and ``det_shift`` are lengths of arc.
    det_shift : float or array
        Position of the detector's centre on its axis, in the same units; a vector has one for each view (jitter).
    pixel_size : float or (float, float)
        Width h of square pixels, or (h_y, h_x) of rectangular ones; the line integrals are in its units.
    dtype : dtype
        float32 or float64.
    image_centre : (float, float)
        (y, x) of the image's centre, where the axis of rotation is not there; in the same units.

    Notes
    -----
    x points right and y up (row 0 has the largest y), pixel centres as those of `RayTransform`, detector pixels
    a_m = (m - (n_det-1)/2) det_spacing + det_shift.  Data shape: (len(angles), n_det).  For R → ∞ it becomes
    `JosephTransform` at the same angles.

    Discretisation: a reading is the integral along the ray to the middle of the detector pixel, by Joseph's method:
    linear interpolation between two pixels in each row (or column) that the ray crosses.  So the matrix has no
    negative entry, and the adjoint is its transpose to rounding.  `norm` is a bound by Collatz and Wielandt.

    A stack of slices is a batch, (n_slices, ny, nx): fan beam slice by slice.  Slices share the positions of the rays.

    Raises
    ------
    ValueError
        for an empty ``angles``, values that look like degrees, a size that is not positive, a source that is not
        outside the disc around the image, or a negative ``detector_distance``.

    References
    ----------
    Joseph, An improved algorithm for reprojecting rays through pixel images, IEEE Trans. Med. Imaging 1 (1982); Kak and
    Slaney, Principles of Computerized Tomographic Imaging, SIAM 2001, section 3.4.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> beta = np.linspace(0, 2 * np.pi, 60, endpoint=False)
    >>> A = ip.FanBeamTransform((64, 64), beta, n_det=97, source_distance=200.0, detector_distance=100.0)
    >>> p = A.apply(np.ones((64, 64), np.float32))
    >>> float(p[0, 48])                                             # the central ray at β = 0 is 64 pixels long
    64.0
    >>> A.apply(np.ones((3, 64, 64), np.float32)).shape             # a stack of slices
    (3, 60, 97)
    """

    beam = "fan"
    kept = (*LineTransform.kept, "source_distance", "detector_distance", "detector", "magnification")

    def __init__(
        self,
        dims: tuple[int, int],
        angles: Any,
        n_det: int | None = None,
        det_spacing: float | None = None,
        *,
        source_distance: float,
        detector_distance: float,
        detector: str = "flat",
        det_shift: float | Array = 0.0,
        pixel_size: float | tuple[float, float] = 1.0,
        dtype: Any = "float32",
        image_centre: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        self.source_distance = R = check_positive(source_distance, "source_distance")
        self.detector_distance = check_not_negative(detector_distance, "detector_distance")
        self.detector = check_choice(detector, "detector", ("flat", "curved"))
        self.magnification = (R + self.detector_distance) / R
        super().__init__(dims, angles, n_det, det_spacing, det_shift, pixel_size, dtype, image_centre=image_centre)

    def _half_shadow(self) -> float:
        R, reach = self.source_distance, self.reach
        if R <= reach:
            raise ValueError(
                f"source_distance is {R:g}; expected more than {reach:g}, so that the source stays outside the image"
            )
        gamma = math.asin(reach / R)
        return (R + self.detector_distance) * (gamma if self.detector == "curved" else math.tan(gamma))

    def _source(self) -> tuple[tuple[float, float] | None, bool]:
        return (self.source_distance, self.detector_distance), self.detector == "curved"

    @property
    def turn(self) -> float:  # type: ignore[override]  # read only: the detector tells
        """Angle from a ray to the next on a curved detector; 0 on a flat one."""
        return self.det_spacing / (self.source_distance + self.detector_distance) if self.detector == "curved" else 0.0

    def parallel_coordinates(self) -> tuple[np.ndarray, np.ndarray]:
        """(θ, s), each (n_angles, n_det): the parallel-beam angle and offset of every ray."""
        gamma = self.positions() / (self.source_distance + self.detector_distance)
        gamma = gamma if self.detector == "curved" else np.arctan(gamma)
        s = np.broadcast_to(self.source_distance * np.sin(gamma), (self.angles.size, self.n_det))
        return self.angles[:, None] - gamma, s

    def _lines(self) -> np.ndarray:
        c, s, R, ds = np.cos(self.angles), np.sin(self.angles), self.source_distance, self.det_spacing
        a, length = self.positions()[..., 0], R + self.detector_distance
        if self.detector == "curved":
            along, across = np.cos(a / length), np.sin(a / length)
            first, quarter = (
                (across * c - along * s, along * c + across * s),
                (across * s + along * c, along * s - across * c),
            )
            return self._in_indices((R * s, -R * c), (0.0, 0.0), first, quarter)
        first = (-length * s + a * c, length * c + a * s)
        return self._in_indices((R * s, -R * c), (0.0, 0.0), first, (ds * c, ds * s))
