"""TGV's unit of length, radii and step sizes, and dual variables that give finite dual values."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_axes
from ipbox.kernels.core.layout import unit_of
from ipbox.kernels.tgv import front as kernels
from ipbox.operators.images.differences import check_spacing, spread


@dataclass(frozen=True)
class Geometry:
    """TGV's voxel sizes and weights, in a unit of length in which the voxels' mean size is 1.

    With h = κ⁻¹ h', v = κ v': TGV_h(u; β) = κ (‖∇'u - v'‖ + βκ ‖E'v'‖).  All blocks of K then have norms of one size,
    which the step sizes rely on.
    """

    spacing: tuple[float, ...]  # h', inf along axes that are not coupled
    factor: float  # κ
    beta: float  # β κ

    @classmethod
    def of(cls, c: int, beta: float, spacing: Any, axes: Any = None) -> Geometry:
        coupled = check_axes(axes, c)
        h = np.array(check_spacing(1.0 if spacing is None else spacing, len(coupled)))
        kappa = float(np.exp(-np.log(h).mean()))
        return cls(spread(tuple(float(k) for k in h * kappa), coupled, c), kappa, beta * kappa)

    def radii(self, weight: float) -> tuple[float, float]:
        """Bounds on |p| and |q|."""
        return weight * self.factor, weight * self.factor * self.beta

    def value(self, size_p: Any, size_q: Any) -> Any:
        return self.factor * (size_p + self.beta * size_q)

    def norm(self, dims: tuple[int, ...]) -> float:
        """A bound on ‖K‖: the norm of ((g, 1), (0, g)) with g >= ‖∇‖, ‖E‖."""
        g = sum((2 * math.cos(math.pi / (2 * n)) / h) ** 2 for n, h in zip(dims, self.spacing, strict=True))
        return math.sqrt(g + 0.5 + math.sqrt(g + 0.25))

    def primal_step(self, b: Array, weight: float, least: float = 0.005) -> float:
        """τ, in proportion to the image's contrast over the weight, as the primal and dual variables are.

        The factor is measured: 0.005 and 0.05 (for values) were best on photographs, more on images of few pixels.
        """
        spread = math.sqrt(max(backend.sum_squares(b - b.mean()) / b.size, 0.0))
        factor = max(least, 0.3 / b.size ** (1 / len(self.spacing)))
        return factor * spread / (weight * self.factor) if spread > 0 else 1.0

    def make_feasible(self, y: Array, radius_p: float, radius_q: float) -> Array:
        """y <- s (E*q, q), q shrunk where |E*q| is too large and s <= 1 what is still missing; returns p.

        q is divided by 1 + w, w >= 2 (|E*q|/radius_p - 1), where w falls off so slowly that its slope takes away no
        more than half of the gain.  Few pixels are in excess, so this costs far less of the dual value than s alone.
        """
        xp, c = backend.array_module(y), len(self.spacing)
        # so that squares are in range; a power of two: no bit changes
        unit = unit_of(radius_p, backend.real_dtype(y.dtype).type)
        y *= unit
        radius_p, radius_q, q = radius_p * float(unit), radius_q * float(unit), y[c:]
        q /= xp.maximum(xp.sqrt(_squares(q)) / radius_q, 1)
        p = self._divergence(y)
        w = 2 * xp.maximum(xp.sqrt(_squares(p)) / radius_p - 1, 0)
        self._spread(w)
        w += 1
        q /= w
        p = self._divergence(y)
        largest = math.sqrt(float(_squares(p).max()))
        y[:c] = p
        if largest > radius_p:
            y *= radius_p / largest
        y /= unit
        return y[:c]

    def _divergence(self, y: Array) -> Array:
        """E*q; p is overwritten with 0."""
        xp, c = backend.array_module(y), len(self.spacing)
        y[:c] = 0
        d, p = xp.empty(y.shape[1:], dtype=y.dtype), xp.empty(y[:c].shape, dtype=y.dtype)
        kernels.tgv_adjoint(y, d, p, self.spacing)
        return p

    def _spread(self, w: Array) -> None:
        """w[i] <- max_k w[i + k] Π_a γ_a^|k_a|, |k_a| < 32, where √c β (1/γ_a - 1)/h_a = ½."""
        xp = backend.array_module(w)
        for a, h in enumerate(self.spacing):
            gamma = 1 / (1 + h / (2 * math.sqrt(w.ndim) * self.beta))
            along = xp.moveaxis(w, a, 0)
            for k in (1, 2, 4, 8, 16):
                before, after = along[:-k] * gamma**k, along[k:] * gamma**k
                along[k:] = xp.maximum(along[k:], before)
                along[:-k] = xp.maximum(along[:-k], after)


def _squares(field: Array) -> Array:
    """|.|² in each pixel."""
    each = field * field if field.dtype.kind != "c" else field.real**2 + field.imag**2
    return each.sum(axis=0)
