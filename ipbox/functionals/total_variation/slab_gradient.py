"""∇ of a volume of which each of several ranks has some slices: one slice of a neighbour is what each asks for."""

from __future__ import annotations

from typing import Any

import numpy as np

from ipbox import backend, kernels, shares
from ipbox.backend import Array
from ipbox.functionals.core.base import Work
from ipbox.functionals.total_variation.image_gradient import ImageGradient
from ipbox.operators.images.differences import difference_norm


class SlabGradient(ImageGradient):
    """`ImageGradient` where the first axis is coupled and split: ``dims`` are those of this rank's slab.

    (∂u)_k = u_{k+1} - u_k in the last slice of a slab needs the first of the next, and (∂*y)_k = y_{k-1} - y_k in the
    first slice the last y of the rank before.  All else is what a slab alone has: that is computed first, and then its
    last, or first, slice is put right.  Two slices a rank are sent for K and K*, whatever the size of the slab.
    """

    by_slabs = True

    def __init__(self, dims: Any, spacing: Any = None, axes: Any = None) -> None:
        self.total = int(_ranks().total(float(dims[0])))
        super().__init__(dims, spacing, axes=axes)

    @property
    def norm(self) -> float:
        sizes = zip((self.total, *self.pixels[1:]), self.widths, strict=True)
        return float(np.hypot.reduce([difference_norm(n, "forward", "neumann") / h for n, h in sizes]))

    def forward(self, x: Array, out: Array) -> Array:
        ghost = self._from_next(x)
        super().forward(x, out)
        if ghost is not None:
            self._end(out)[...] = (ghost - self._slice(x, -1)) / self.widths[0]
        return out

    def adjoint(self, y: Array, out: Array, add: bool, work: Work = None) -> None:
        last = self._end(y) / self.widths[0]
        before = _ranks().from_previous(last)
        super().adjoint(y, out, add, work)
        if before is not None:
            self._slice(out, 0)[...] += before
        if _ranks().rank < _ranks().size - 1:
            self._slice(out, -1)[...] -= last

    def dual_step(self, y: Array, x: Array, sigma: float, radius: float, isotropic: bool, work: Work = None) -> None:
        if not self.fused(x):
            super().dual_step(y, x, sigma, radius, isotropic, work)
            return
        ghost = self._from_next(x)
        if ghost is None:
            super().dual_step(y, x, sigma, radius, isotropic, work)
            return
        pair, two = self._with(x, ghost), self._with(y, self._slice(y, -1))
        super().dual_step(y, x, sigma, radius, isotropic, work)
        super().dual_step(two, pair, sigma, radius, isotropic, work)
        self._slice(y, -1)[...] = self._slice(two, 0)

    def value(self, x: Array, isotropic: bool) -> np.ndarray:
        x = x.reshape((-1, *self.dims))
        if not self.fused(x):
            return super().value(x, isotropic)
        ghost = self._from_next(x)
        parts = [x] if ghost is None else [x, self._with(x, ghost), self._slice(x, -1), ghost]
        found = (kernels.tv_value(_contiguous(part), ndim=self.ndim, isotropic=isotropic) for part in parts)
        values, *ends = (backend.to_host(value) for value in found)
        if ghost is not None:  # ∂u = 0 at the end of a slab, but not before the ghost
            pair, last, beyond = ends
            values = values + (pair - last - beyond)
        return _ranks().total(values)

    def means(self, z: Array) -> Any:
        return z.dtype.type(backend.mean(z)) if z.dtype.kind == "f" else super().means(z)

    def sweeps(self, x: Array) -> bool:
        return False  # between K and K* a slice is sent

    # ------------------------------------------------------------ slices

    def _slice(self, a: Array, k: int) -> Array:
        """Slice 0 or -1 of images or fields, the axis kept."""
        index = slice(0, 1) if k == 0 else slice(-1, None)
        return a[(..., index, *(slice(None),) * (self.ndim - 1))]

    def _end(self, y: Array) -> Array:
        """The differences between slabs: the first component of the last slice."""
        return self._slice(y[(..., 0, *(slice(None),) * self.ndim)], -1)

    def _with(self, a: Array, ghost: Array) -> Array:
        """The last slice of ``a`` with what follows it."""
        return _contiguous(backend.array_module(a).concatenate([self._slice(a, -1), ghost], axis=-self.ndim))

    def _from_next(self, x: Array) -> Array | None:
        return _ranks().from_next(self._slice(x, 0))


def _contiguous(a: Array) -> Array:
    return backend.array_module(a).ascontiguousarray(a)


def _ranks() -> shares.Sharing:
    """Those who share the volume."""
    ranks = shares.sharing()
    if ranks is None:
        raise RuntimeError("TV was made of slabs; expected its use where it was made: within with ranks.slabs()")
    return ranks
