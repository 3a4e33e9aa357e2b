"""Line integrals of volumes by Joseph's method, from a point source to a flat panel in each view."""

from __future__ import annotations

import functools
import math
from typing import Any, ClassVar, Self

import numpy as np

from ipbox.backend import Array
from ipbox.checks import check_count, check_dims, check_finite, check_positive, has_shape
from ipbox.operators.core.base import Operator
from ipbox.operators.core.held import HeldArray
from ipbox.operators.core.positive import collatz_wielandt
from ipbox.operators.core.subsets import OrderedSubsets
from ipbox.operators.tomography.cone.scene import ScanGeometry, in_space


class PanelTransform(OrderedSubsets, Operator):
    """Weighted sums along the rays to the pixels of flat panels: the base of the circular and the free geometry."""

    is_parallel: ClassVar[bool] = False  # rays to a panel
    nonnegative = True  # no entry of the matrix is negative
    kept: ClassVar[tuple[str, ...]] = ("voxel_widths", "pixel_size", "volume_centre")

    def _set_volume(self, dims: Any, pixel_size: Any, volume_centre: Any) -> tuple[int, int, int]:
        """Where the voxels are; their numbers, checked."""
        dims = check_dims(dims, "dims")
        if len(dims) != 3:
            raise ValueError(f"dims is {dims}; {type(self).__name__} expects (nz, ny, nx)")
        self.voxel_widths = check_three(pixel_size, "pixel_size", check_positive, "a positive number, or three")
        self.pixel_size = self.voxel_widths[0] if len(set(self.voxel_widths)) == 1 else self.voxel_widths
        self.volume_centre = check_three(volume_centre, "volume_centre", check_finite)
        return dims

    def _place(self, dims: tuple[int, ...], views: np.ndarray, n_det: tuple[int, int], dtype: Any) -> None:
        """Set up the operator for views (n_views, 12) as `_in_indices` gives them."""
        self.n_det = n_det
        self._views, self._widths = HeldArray(views), HeldArray(np.array(self.voxel_widths))
        super().__init__(dims, (len(views), *n_det), dtype, name=type(self).__name__)

    def _in_indices(self, dims: tuple[int, ...], *vectors: np.ndarray) -> np.ndarray:
        """What `ipbox.kernels.cone.front` takes, from source, first pixel and its two steps, each (n_views, 3).

        They are (z, y, x) in the units of ``pixel_size``, y upwards.
        """
        h = np.array(self.voxel_widths) * (1, -1, 1)
        origin = (np.array(dims) - 1) / 2 - np.array(self.volume_centre) / h
        rows = [vector / h + (origin if k < 2 else 0) for k, vector in enumerate(vectors)]
        return np.ascontiguousarray(np.concatenate(rows, axis=1), dtype=np.float64)

    @property
    def geometry(self) -> ScanGeometry:
        """Where source, panel and volume are, with a picture: ``A.geometry.show()``."""
        place = tuple(self.dims), self.voxel_widths, self.volume_centre
        return in_space(*place, self._views.host, self.n_det, self.is_parallel)

    @property
    def parts(self) -> list[slice]:
        """The slices that are worked on at a time, on the host."""
        from ipbox.kernels.cone.front import in_slabs

        return in_slabs(tuple(self.dims))

    @functools.cached_property
    def _upright(self) -> bool:
        from ipbox.kernels.cone.front import is_upright

        return is_upright(self._views.host)

    @functools.cached_property
    def _steep(self) -> bool:
        from ipbox.kernels.cone.front import has_steep

        return self._upright and has_steep(self._views.host, self.n_det)

    def _apply(self, x: Array, out: Array) -> None:
        from ipbox.kernels.cone import front as cone

        cone.project(x, out, self._views.like(x), self._widths.like(x), self._upright, self._steep)

    def _apply_adjoint(self, y: Array, out: Array) -> None:
        from ipbox.kernels.cone import front as cone

        cone.backproject(y, out, self._views.like(y), self._widths.like(y), self._upright, self._steep)

    def _compute_norm(self) -> tuple[float, str]:
        return math.sqrt(collatz_wielandt(self)), "bound"

    def _at(self, chosen: np.ndarray) -> Self:
        return self._changed(self._views.host[chosen], self.n_det)

    def _changed(self, views: np.ndarray, n_det: tuple[int, int], **changes: Any) -> Self:
        """The same transform at other views."""
        made = object.__new__(type(self))
        made.__dict__.update({name: self.__dict__[name] for name in self.kept} | changes)
        made._place(tuple(self.dims), views, n_det, self.dtype_in)
        return made


def check_three(values: Any, name: str, check: Any, what: str = "") -> tuple[float, float, float]:
    """Three numbers (z, y, x), or where ``what`` says so also one for all of them."""
    if what and has_shape(values, ()):
        return (check(values, name),) * 3
    if not has_shape(values, (3,)):
        raise ValueError(f"{name} is {values!r}; expected {what or 'three numbers'} (z, y, x)")
    z, y, x = (check(value, name) for value in values)
    return z, y, x


def check_panel(n_det: Any, name: str = "n_det") -> tuple[int, int]:
    """(rows, columns) of a panel."""
    if not has_shape(n_det, (2,)):
        raise ValueError(f"{name} is {n_det!r}; expected two positive integers (rows, columns)")
    rows, columns = (check_count(n, name) for n in n_det)
    return rows, columns
