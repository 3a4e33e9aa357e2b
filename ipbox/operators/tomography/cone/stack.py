"""A stack of slices in parallel or fan beam, as one operator on volumes."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_count, check_positive
from ipbox.operators.core.base import Operator
from ipbox.operators.core.subsets import OrderedSubsets
from ipbox.operators.tomography.cone.scene import ScanGeometry
from ipbox.operators.tomography.geometry import Projector

CHUNK = 1 << 23  # readings of some slices that are worked on at a time


class SliceStack(OrderedSubsets, Operator):
    r"""Parallel or fan beam through every slice of a volume: one operator, so that regularisers couple the slices.

    .. math:: (A u)_{k z m} = (A_0 u_z)_{k m}

    for the views k, slices z and detector pixels m: what a panel of as many rows as there are slices reads in a
    parallel beam at right angles to the axis.

    Parameters
    ----------
    A : RayTransform, JosephTransform or FanBeamTransform
        A_0, of one slice (ny, nx).
    n_slices : int
        nz.
    slice_spacing : float, optional
        Distance of the slices in the units of ``pixel_size``; by default the least width of a pixel.  The data do not
        depend on it; ``spacing`` of `TV` does.

    Notes
    -----
    Volumes are (nz, ny, nx) as in `ConeBeamTransform`: z from slice to slice, y up and x right in a slice.  Data shape:
    (n_views, nz, n_det), projections with the slices in their order, so that ``b[k::n]`` are those of ordered subsets.
    Adjoint, norm and `normal` are those of A_0.  Axes that are tilted are for `ParallelVectorTransform`.

    Raises
    ------
    TypeError, ValueError
        for another operator, or a number of slices or a spacing that is not positive.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = ip.SliceStack(ip.RayTransform((32, 32), np.linspace(0, np.pi, 20, endpoint=False)), 9)
    >>> ball = np.hypot(*np.ogrid[-15.5:16, -15.5:16]) ** 2 + np.arange(-4, 5)[:, None, None] ** 2 < 9
    >>> b = A.apply(ball.astype("float32"))
    >>> A.dims, b.shape
    ((9, 32, 32), (20, 9, 46))
    >>> x, info = ip.tv(A, b, 0.1, nonneg=True)                     # 3-D TV
    >>> bool(ip.nrmse(x, ball) < 0.2)
    True
    """

    def __init__(self, A: Any, n_slices: int, slice_spacing: float | None = None) -> None:
        if not isinstance(A, Projector):
            expected = "a RayTransform, JosephTransform or FanBeamTransform"
            raise TypeError(f"A is {type(A).__name__}; SliceStack expects {expected}")
        n_slices, (hy, hx) = check_count(n_slices, "n_slices"), A.pixel_widths
        hz = min(hy, hx) if slice_spacing is None else check_positive(slice_spacing, "slice_spacing")
        self.A, self.voxel_widths, self.angles = A, (hz, hy, hx), A.angles
        views, n_det = A.dimsd
        super().__init__((n_slices, *A.dims), (views, n_slices, n_det), A.dtype_in, name=type(self).__name__)

    @property
    def geometry(self) -> ScanGeometry:
        """Where beam, detector and volume are, with a picture: ``A.geometry.show()``."""
        g, (slices, *_), (height, *_) = self.A.geometry, self.dims, self.voxel_widths
        up = np.broadcast_to([height, 0.0, 0.0], g.panels.shape)
        dims, n_det = (slices, *self.A.dims), (slices, self.A.n_det)
        return dataclasses.replace(g, dims=dims, voxel_widths=self.voxel_widths, n_det=n_det, along_columns=up)

    @property
    def nonnegative(self) -> bool:  # type: ignore[override]  # read only: that of the slices
        return self.A.nonnegative

    @property
    def parts(self) -> list[slice]:
        """The slices that are worked on at a time."""
        views, slices, n_det = self.dimsd
        step = max(1, CHUNK // (views * n_det))
        return [slice(start, start + step) for start in range(0, slices, step)]

    def _apply(self, x: Array, out: Array) -> None:
        xp = backend.array_module(x)
        for u, p in zip(x, out, strict=True):
            for part in self.parts:
                lines = xp.empty((len(u[part]), *self.A.dimsd), dtype=out.dtype)
                self.A._apply(u[part], lines)
                p[:, part] = lines.transpose(1, 0, 2)

    def _apply_adjoint(self, y: Array, out: Array) -> None:
        for p, u in zip(y, out, strict=True):
            for part in self.parts:
                self.A._apply_adjoint(self.by_slices(p[:, part]), u[part])

    def _apply_normal(self, x: Array, out: Array) -> None:
        for u, v in zip(x, out, strict=True):
            self.A._apply_normal(u, v)

    def _compute_norm(self) -> tuple[float, str]:
        return self.A.norm(), self.A.norm_kind

    @staticmethod
    def by_slices(b: Array) -> Array:
        """Data (..., n_views, nz, n_det) as a batch of those of A_0, (..., nz, n_views, n_det)."""
        xp = backend.array_module(b)
        return xp.ascontiguousarray(xp.swapaxes(b, -3, -2))

    def _at(self, chosen: np.ndarray) -> SliceStack:
        return SliceStack(self.A.subset(chosen), self.dims[0], self.voxel_widths[0])
