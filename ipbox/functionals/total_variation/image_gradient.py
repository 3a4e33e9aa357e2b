"""∇ of images as the total variations use it: voxel sizes, channels, complex numbers, reflections."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from ipbox import backend, kernels
from ipbox.backend import Array
from ipbox.checks import check_axes, check_dims, check_flag
from ipbox.functionals.core.base import Work, buffer, shared
from ipbox.functionals.total_variation.smoothed_norm import FieldMap
from ipbox.kernels.differences.front import spaced_gradient, spaced_gradient_adjoint
from ipbox.operators.images.differences import check_spacing, difference_norm, spread


class ImageGradient(FieldMap):
    """K u = ∇u by forward differences with Neumann boundary, of every channel; c Σ_i |(Ku)_i| is a total variation.

    With ``symmetric``, K u = m^{-1/2} (∇ F_1 u, ..., ∇ F_m u) for the m reflections F of the image: forward
    differences of a reflected image are backward differences of the image, so that every pixel sees its gradient in
    all m quadrants.

    Fields have the shape batch + [m] + [channels or slices] + (directions,) + pixel axes.  Slices are along axes that
    are not coupled: those before all that are; among the latter, voxels of infinite size, so that ∂u = 0 there.

    Attributes
    ----------
    dims, pixels : tuple of int
        Shape of the image, and without its channels or slices.
    coupled : tuple of int
        The axes of dims along which the gradient is taken.
    spacing : tuple of float or None
        Voxel sizes; None for pixel units.
    volume : float
        Of a voxel, in the directions that are coupled.
    field_dims : tuple of int
    factor : float
        c, the voxel's volume over √m.
    """

    def __init__(
        self, dims: Any, spacing: Any = None, channels: bool = False, symmetric: bool = False, axes: Any = None
    ) -> None:
        self.dims, self.channels = check_dims(dims, "dims"), check_flag(channels, "channels")
        self.pixels = self.dims[1:] if channels else self.dims
        coupled = check_axes(axes, len(self.pixels)) if self.pixels else ()
        self.coupled = tuple(a + len(self.dims) - len(self.pixels) for a in coupled)
        if axes is not None and not channels:
            self.pixels, coupled = self.pixels[coupled[0] :], tuple(a - coupled[0] for a in coupled)
        nd = len(self.pixels)
        if nd not in (1, 2, 3):
            after = ", after that of the channels" if channels else ""
            raise ValueError(f"dims is {self.dims}; expected one to three image axes{after}")
        sizes = check_spacing(1.0 if spacing is None else spacing, len(coupled))
        alone = len(coupled) < nd
        self.spacing, self.volume = (
            None if spacing is None and not alone else spread(sizes, coupled, nd),
            math.prod(sizes),
        )
        self.reflections = _subsets([a - nd for a in coupled]) if check_flag(symmetric, "symmetric") else [()]
        m = len(self.reflections)
        self.field_dims = ((m,) if symmetric else ()) + self.dims[: len(self.dims) - nd] + (nd,) + self.pixels
        self.factor = self.volume / math.sqrt(m)
        self.axes = self._components(True)
        inverse = [h**-2 for h in self.widths]
        self.bounds = [(self.norm**2, math.sqrt(sum(inverse) + max(inverse)))]
        if self.spacing is None and nd == len(self.dims) < 3 and m == 1:
            # forward differences are the backward ones of the reflected image
            self.boundary, self.flips = "neumann", ((-2, -1) if nd == 2 else ())

    @property
    def ndim(self) -> int:
        """Number of pixel axes."""
        return len(self.pixels)

    @property
    def norm(self) -> float:
        """‖K‖, which the reflections leave as it is: ∇*∇ commutes with them."""
        pairs = zip(self.pixels, self.widths, strict=True)
        return math.hypot(*(difference_norm(n, "forward", "neumann") / h for n, h in pairs))

    @property
    def widths(self) -> tuple[float, ...]:
        """Voxel sizes, 1 for pixel units."""
        return self.spacing or (1.0,) * self.ndim

    def forward(self, x: Array, out: Array) -> Array:
        """out <- K x."""
        for image, field in self._parts(x, out):
            self._gradient(image, field)
        if len(self.reflections) > 1:
            out *= len(self.reflections) ** -0.5
        return out

    def adjoint(self, y: Array, out: Array, add: bool, work: Work = None) -> None:
        """out <- K*y, or += with ``add``."""
        m = len(self.reflections)
        if m == 1:
            self._gradient_adjoint(y, out, add)
            return
        part, total = (buffer(shared(work), key, out, self.dims) for key in ("part", "total"))
        for image, fields in zip(out.reshape((-1, *self.dims)), y.reshape((-1, *self.field_dims)), strict=True):
            total[...] = 0
            for axes, field in zip(self.reflections, fields, strict=True):
                self._gradient_adjoint(field, part, False)
                total += _flip(part, axes)
            total *= m**-0.5
            image[...] = image + total if add else total

    def dual_step(self, y: Array, x: Array, sigma: float, radius: float, isotropic: bool, work: Work = None) -> None:
        """y <- P(y + σ K x), P the projection on |y_i| <= radius."""
        if self.fused(x):
            root = math.sqrt(len(self.reflections))
            for image, field in self._parts(x, y):
                kernels.tv_dual_step(field, image, sigma / root, radius, ndim=self.ndim, isotropic=isotropic)
            return
        step = self.forward(x, buffer(work, "Kx", y))
        step *= sigma
        y += step
        self.project(y, radius, isotropic)

    def project(self, y: Array, radius: float, isotropic: bool) -> None:
        """y <- P(y)."""
        scale = self.modulus(y, isotropic)
        scale /= radius
        y /= backend.array_module(y).maximum(scale, 1)

    def modulus(self, y: Array, isotropic: bool) -> Array:
        """|y_i|, with the axes of the field: over channels and, where isotropic, directions."""
        axes = self._components(isotropic)
        size = abs(y)
        if not axes:
            return size
        squares = size.astype(np.float64) ** 2  # in single precision they overflow long before the moduli do
        return backend.array_module(y).sqrt(squares.sum(axis=axes, keepdims=True)).astype(size.dtype)

    def largest(self, y: Array, isotropic: bool) -> Array:
        """max_i |y_i| of every field, or the moduli where no kernel has their largest."""
        if self.channels or self.ndim < 2 or y.dtype.kind == "c":
            return self.modulus(y, isotropic)
        return kernels.tv_dual_size(y, ndim=self.ndim, isotropic=isotropic)

    def _components(self, isotropic: bool) -> tuple[int, ...]:
        """The axes of a field over which its modulus is taken."""
        return ((-(self.ndim + 1),) if isotropic else ()) + ((-(self.ndim + 2),) if self.channels else ())

    def value(self, x: Array, isotropic: bool) -> np.ndarray:
        """c Σ_i |(Kx)_i| of every sample in float64, shape (samples,)."""
        x = x.reshape((-1, *self.dims))
        if self.fused(x):
            flipped = (_flip(x, axes) for axes in self.reflections)
            values = [kernels.tv_value(f, ndim=self.ndim, isotropic=isotropic) for f in flipped]
            return sum(backend.reduce_sum(v.reshape(len(x), -1), True) for v in values) / len(values)
        xp = backend.array_module(x)
        x = x.astype(np.complex128 if x.dtype.kind == "c" else np.float64)
        field = self.forward(x, xp.empty((len(x), *self.field_dims), dtype=x.dtype))
        return self.factor * backend.reduce_sum(self.modulus(field, isotropic), True)

    def means(self, z: Array) -> Array:
        """The mean of every image that is coupled, with its axes: K* gives images of mean 0."""
        return z.mean(axis=tuple(range(-self.ndim, 0)), keepdims=True)

    @property
    def by_slabs(self) -> bool:
        """Whether the first axis, of which each of several ranks may have a part, is not coupled."""
        return not self.channels and self.coupled[0] > 0

    # ------------------------------------------------------------ one image, one field

    def sweeps(self, x: Array) -> bool:
        """Whether a step of K and K* is one pass over memory."""
        return self.fused(x) and len(self.reflections) == 1

    def fused(self, x: Array) -> bool:
        """Whether the kernels of pixel units do it."""
        return self.spacing is None and self.ndim > 1 and not self.channels and x.dtype.kind == "f"

    def _gradient(self, x: Array, out: Array) -> None:
        if self.spacing is None and self.ndim > 1 and x.dtype.kind == "f":
            kernels.gradient(x, out, ndim=self.ndim)
        else:
            spaced_gradient(x, out, self.widths)

    def _gradient_adjoint(self, y: Array, out: Array, add: bool) -> None:
        if self.spacing is None and self.ndim > 1 and y.dtype.kind == "f":
            kernels.gradient_adjoint(y, out, ndim=self.ndim, add=add)
        else:
            spaced_gradient_adjoint(y, out, self.widths, add=add)

    def _parts(self, x: Array, y: Array) -> Iterator[tuple[Array, Array]]:
        """Every reflected image with the view of its field; the whole batch at once where there are no reflections."""
        if len(self.reflections) == 1:
            yield x, y
            return
        for image, fields in zip(x.reshape((-1, *self.dims)), y.reshape((-1, *self.field_dims)), strict=True):
            for axes, field in zip(self.reflections, fields, strict=True):
                yield _flip(image, axes), field


def _subsets(axes: list[int]) -> list[tuple[int, ...]]:
    """All sets of these axes."""
    return [some for k in range(len(axes) + 1) for some in itertools.combinations(axes, k)]


def _flip(x: Array, axes: tuple[int, ...]) -> Array:
    """``x`` reflected along the axes, contiguous."""
    xp = backend.array_module(x)
    return xp.ascontiguousarray(xp.flip(x, axes)) if axes else x
