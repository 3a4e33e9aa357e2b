"""First differences of one part of an image, second differences of the other."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.functionals.core.base import Work, buffer, shared
from ipbox.functionals.total_variation.image_gradient import ImageGradient
from ipbox.kernels.differences.front import symmetrised_gradient, symmetrised_gradient_adjoint


class SplitGradient:
    """K(u, w) = (∇(u - v), ∇²v), v = Cᵀ Λ^{-1/2} w with the cosine transform C, which makes ∇*∇ = Cᵀ Λ C diagonal.

    So ‖∇v‖ = ‖w‖, and K is as well conditioned as that of TGV; in v itself it would not be.  ∇² = E∇, without the
    second differences that need values beyond the image.  Fields: p = ∇(u - v), then q = ∇²v (see
    `ipbox.kernels.differences.front`), along the axis before the pixels'.
    """

    def __init__(self, dims: Any, spacing: Any = None) -> None:
        self.gradient = ImageGradient(dims, spacing)
        self.dims, self.ndim = self.gradient.dims, self.gradient.ndim
        self.field_dims = (self.ndim + self.ndim * (self.ndim + 1) // 2,) + self.dims
        self._h = self.gradient.widths

    @property
    def norm(self) -> float:
        """The norm of ((‖∇‖, 1), (0, ‖E‖)), a bound."""
        a = self.gradient.norm
        return float(np.linalg.norm([[a, 1.0], [0.0, a]], 2))

    def forward(self, x: list[Array], out: Array, work: Work = None) -> Array:
        """out <- K(u, w)."""
        u, v = x[0], self._inverse_root(x[1], False, work)
        first, second = self.parts(out)
        g, q = buffer(work, "g", first, first.shape), buffer(work, "q", second, second.shape)
        self.gradient.forward(v, g)
        symmetrised_gradient(g, q, self._h)
        second[...] = q
        self._cut(second)
        first[...] = self.gradient.forward(u - v, g)
        return out

    def adjoint(self, y: Array, out: list[Array], add: bool, work: Work = None) -> None:
        """out[0] <- ∇*p, or += with ``add``; out[1] <- Λ^{-1/2} C ((∇²)*q - ∇*p)."""
        first, second = self.parts(y)
        g, q = buffer(work, "g", first, first.shape), buffer(work, "q", second, second.shape)
        p, r = buffer(work, "p", first, first.shape), buffer(work, "r", out[1])
        p[...], q[...] = first, second
        self._cut(q)
        symmetrised_gradient_adjoint(q, g, self._h)
        g -= p
        self.gradient.adjoint(g, r, False)
        out[1][...] = self._inverse_root(r, True, work)
        self.gradient.adjoint(p, out[0], add)

    def feasible(self, y: Array) -> Array:
        """(p + ∇(∇*∇)⁺((∇²)*q - ∇*p), q): K* of it is 0 in w."""
        xp = backend.array_module(y)
        du, dw = (xp.empty(y.shape[: y.ndim - self.ndim - 1] + self.dims, dtype=y.dtype) for _ in range(2))
        self.adjoint(y, [du, dw], False)
        y = y.copy()
        first, _ = self.parts(y)
        first += self.gradient.forward(self._inverse_root(dw, False), xp.empty(first.shape, dtype=y.dtype))
        return y

    def parts(self, y: Array) -> tuple[Array, Array]:
        """Views of p and q."""
        pixels = (slice(None),) * self.ndim
        return y[(Ellipsis, slice(None, self.ndim), *pixels)], y[(Ellipsis, slice(self.ndim, None), *pixels)]

    def _cut(self, q: Array) -> None:
        """q_aa <- 0 at the last index of axis a, in place."""
        for a in range(self.ndim):
            q[(Ellipsis, a) + (slice(None),) * a + (-1,) + (slice(None),) * (self.ndim - a - 1)] = 0

    def _inverse_root(self, x: Array, transposed: bool, work: Work = None) -> Array:
        """Cᵀ Λ^{-1/2} x, or its transpose Λ^{-1/2} C x; 0 for the eigenvalue 0."""
        if x.dtype.kind == "c":
            return self._inverse_root(x.real, transposed, work) + 1j * self._inverse_root(x.imag, transposed, work)
        fft, axes = backend.fft_module(x), tuple(range(-self.ndim, 0))
        kept = shared(work)
        root = kept["root"] = kept["root"] if "root" in kept else self._root(x)
        if transposed:
            return root * fft.dctn(x, axes=axes, norm="ortho")
        return fft.idctn(root * x, axes=axes, norm="ortho")

    def _root(self, like: Array) -> Array:
        """Λ^{-1/2}, with 0 for the eigenvalue 0."""
        xp = backend.array_module(like)
        values = xp.zeros(self.dims, dtype=like.dtype)
        for a, (n, h) in enumerate(zip(self.dims, self._h, strict=True)):
            of_axis = (2 / h * xp.sin(math.pi / (2 * n) * xp.arange(n, dtype=like.dtype))) ** 2
            values += of_axis.reshape((-1,) + (1,) * (self.ndim - 1 - a))
        first = (0,) * self.ndim
        values[first] = 1
        root = 1 / xp.sqrt(values)
        root[first] = 0
        return root
