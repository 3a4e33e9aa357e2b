"""Where the pixels of an image, the angles and the detector of a scan are."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, ClassVar, Self

import numpy as np

from ipbox import backend
from ipbox.angles import check_angles
from ipbox.backend import Array
from ipbox.checks import check_count, check_dims, check_finite, check_positive, has_shape, shown
from ipbox.operators.core.base import Operator, check_real
from ipbox.operators.core.subsets import OrderedSubsets
from ipbox.operators.tomography.cone.scene import ScanGeometry, in_plane


class Projector(OrderedSubsets, Operator):
    """Line integrals of a 2-D image, data (angles, detector pixels): the base of all geometries."""

    magnification = 1.0  # of the axis on the detector
    beam: ClassVar[str] = "parallel"
    kept: ClassVar[tuple[str, ...]] = ("n_det", "det_spacing", "pixel_size", "pixel_widths", "image_centre", "reach")

    def __init__(
        self,
        dims: tuple[int, int],
        angles: Any,
        n_det: int | None = None,
        det_spacing: float | None = None,
        det_shift: float | Array = 0.0,
        pixel_size: float | tuple[float, float] = 1.0,
        dtype: Any = "float32",
        *,
        image_centre: tuple[float, float] = (0.0, 0.0),
    ) -> None:
        name, shape = type(self).__name__, check_dims(dims, "dims")
        if len(shape) != 2:
            raise ValueError(f"dims is {shape}; {name} expects (ny, nx)")
        dims = shape[0], shape[1]
        angles = check_angles(angles)
        self.pixel_widths = hy, hx = check_widths(pixel_size)
        self.pixel_size = hx if hx == hy else (hy, hx)
        self.image_centre = y0, x0 = _pair(image_centre, "image_centre", check_finite)
        far = (0.5 * dims[0] * (hy / hx) + abs(y0) / hx, 0.5 * dims[1] + abs(x0) / hx)
        self.reach = hx * math.hypot(*far)  # the image lies within this distance of the axis
        half_shadow = self._half_shadow()
        ds = min(hy, hx) * self.magnification if det_spacing is None else check_positive(det_spacing, "det_spacing")
        self.det_spacing, self.det_shift = ds, check_shift(det_shift, angles.size)
        self.n_det = math.ceil(2 * half_shadow / ds) if n_det is None else check_count(n_det, "n_det")
        self._place(dims, angles, check_real(dtype, name))

    @classmethod
    def like(cls, convention: str, *given: Any, **options: Any) -> Self:
        """The operator whose data another package's are: pixels, angles and detector where that one has them.

        ``like("skimage", sinogram, theta=None, *, circle=True, dims=None)``
            for data of ``skimage.transform.radon``, (detector pixels, angles) with ``theta`` in degrees, by default
            evenly over 180: of them, ``sinogram.T`` is ours.  ``circle`` as there; ``dims`` is (ny, nx) or a side, by
            default that which ``iradon`` gives.  Image and detector turn about their pixels n // 2, odd or even.
        ``like("astra", proj_geom, vol_geom, *, dtype="float32")``
            for geometries that ``astra.create_proj_geom`` and ``astra.create_vol_geom`` made, ``"parallel"`` or
            ``"fanflat"``, and their ``_vec`` where the detector shifts along itself; data are (angles, detector pixels)
            as ours.  ASTRA need not be there.

        Raises
        ------
        TypeError, ValueError
            for another convention, a sinogram that is no array, angles that are not one for each view, or a geometry
            that this class has not.

        Examples
        --------
        >>> import numpy as np, ipbox as ip
        >>> sinogram = np.ones((64, 90))                    # radon(image) of 64 x 64 pixels
        >>> A = ip.RayTransform.like("skimage", sinogram)
        >>> A.dims, ip.fbp(A, sinogram.T)[0].shape
        ((64, 64), (64, 64))
        """
        from ipbox.operators.tomography.conventions import arguments

        return cls(**arguments(convention, cls.beam, *given, **options))

    def _half_shadow(self) -> float:
        """Half the width of the image's shadow on the detector, from any angle."""
        return self.reach

    def _place(self, dims: tuple[int, int], angles: np.ndarray, dtype: np.dtype) -> None:
        """Set up the operator at some angles, after what is ``kept`` by subsets, and their ``det_shift``."""
        self.angles = angles
        super().__init__(dims, (angles.size, self.n_det), dtype, name=type(self).__name__)

    @property
    def geometry(self) -> ScanGeometry:
        """Where beam, detector and image are, with a picture: ``A.geometry.show()``."""
        return in_plane(
            tuple(self.dims), self.pixel_widths, self.image_centre, self.angles, self.n_det, self.det_spacing,
            self.det_shift, *self._source(),
        )  # fmt: skip

    def _source(self) -> tuple[tuple[float, float] | None, bool]:
        """Distances of source and detector from the axis, and whether the detector is curved; None: parallel beam."""
        return None, False

    def positions(self) -> np.ndarray:
        """Where the detector pixels are on the detector: (n_det,), or (n_angles, n_det) with a shift for each view."""
        shift = np.asarray(self.det_shift)[..., None]
        return (np.arange(self.n_det) - 0.5 * (self.n_det - 1)) * self.det_spacing + shift

    def square_pixel(self) -> float:
        """The width of a pixel, for what needs square ones."""
        if isinstance(self.pixel_size, tuple):
            raise ValueError(f"pixel_size is {self.pixel_size}; expected square pixels here, one width")
        return self.pixel_size

    def with_detector(self, n_det: int, det_shift: float | Array) -> Projector:
        """The same transform on another part of the detector's line."""
        shift = check_shift(det_shift, self.angles.size)
        return self._changed(self.angles, n_det=check_count(n_det, "n_det"), det_shift=shift)

    def _changed(self, angles: np.ndarray, **changes: Any) -> Projector:
        made = object.__new__(type(self))
        made.__dict__.update({name: self.__dict__[name] for name in self.kept} | changes)
        made._place(tuple(self.dims), angles, self.dtype_in)
        return made

    def _at(self, chosen: np.ndarray) -> Projector:
        shift = self.det_shift
        return self._changed(self.angles[chosen], det_shift=shift if isinstance(shift, float) else shift[chosen])


def check_widths(pixel_size: Any) -> tuple[float, float]:
    """(h_y, h_x) of pixels of one width, or of two."""
    if has_shape(pixel_size, ()):
        h = check_positive(pixel_size, "pixel_size", "a positive number, or two (h_y, h_x)")
        return h, h
    return _pair(pixel_size, "pixel_size", check_positive)


def _pair(values: Any, name: str, check: Callable[[Any, str], float]) -> tuple[float, float]:
    if not has_shape(values, (2,)):
        raise ValueError(f"{name} is {shown(values)}; expected two numbers (y, x)")
    y, x = (check(v, name) for v in values)
    return y, x


def check_shift(shift: Any, views: int, name: str = "det_shift") -> Any:
    """A finite number, or a read-only float64 vector of one for each view."""
    if backend.is_array(shift) and shift.ndim or isinstance(shift, list | tuple):
        expected = f"a number, or one for each of {views} views"
        try:
            a = np.array(backend.to_host(shift) if backend.is_array(shift) else shift)
        except ValueError as err:  # lists in a list, not all of one length
            raise ValueError(f"{name} is {shown(shift)}; expected {expected}") from err
        if a.shape != (views,):
            raise ValueError(f"{name} has shape {a.shape}; expected {expected}")
        if a.dtype.kind not in "fiu":
            raise TypeError(f"{name} has dtype {a.dtype}; expected real numbers")
        if not np.isfinite(a).all():
            raise ValueError(f"{name} has NaN or infinite entries; expected finite numbers")
        a = a.astype(np.float64)
        a.flags.writeable = False
        return a
    return check_finite(shift, name)
