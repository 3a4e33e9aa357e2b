"""What all total variations share: the dual term and the prox with its certificate."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_count, check_flag, check_positive
from ipbox.functionals.core.base import Work, indicator
from ipbox.functionals.total_variation.image_gradient import ImageGradient
from ipbox.functionals.total_variation.inner import IteratedProx


class GradientNorm(IteratedProx):
    """c Σ_i |(Ku)_i| for differences K u; a subclass may give other K than that of its ``gradient``.

    prox_{τf}(z) minimises ½‖u - z‖² + τλc Σ|(Ku)_i|; with a dual y, |y_i| <= τλc, the gap is
    ½‖u - z + K*y‖² + τλc Σ|(Ku)_i| - <Ku, y>, and by strong convexity ½‖u - p‖² <= gap.  Solved by the fast gradient
    projection method with restarts; with ``work`` the dual is kept and the next call starts from it.
    """

    def __init__(self, gradient: ImageGradient, isotropic: bool, accuracy: float | None, niter: int) -> None:
        self.accuracy = None if accuracy is None else check_positive(accuracy, "accuracy")
        self.gradient, self.isotropic = gradient, check_flag(isotropic, "isotropic")
        self.niter = check_count(niter, "niter")
        super().__init__(gradient.dims)

    # ------------------------------------------------------------ K

    def _forward(self, x: Array, out: Array) -> Array:
        return self.gradient.forward(x, out)

    def _adjoint(self, y: Array, out: Array, add: bool, work: Work) -> None:
        self.gradient.adjoint(y, out, add, work)

    def _dual_step(self, y: Array, x: Array, sigma: float, radius: float, work: Work) -> None:
        """y <- P(y + σ K x), P the projection on |y_i| <= radius."""
        self.gradient.dual_step(y, x, sigma, radius, self.isotropic, work)

    def _values(self, x: Array) -> np.ndarray:
        """c Σ|(Kx)_i| of every sample, in float64."""
        return self.gradient.value(x, self.isotropic)

    def _value(self, x: Array, batch: bool) -> Any:
        return self._values(self._image(x))

    # ------------------------------------------------------------ the dual term λc‖·‖_{2,1}∘K

    @property
    def dual_dims(self) -> tuple[int, ...]:
        return self.gradient.field_dims

    def _fields(self, x: list[Array], out: Array, work: Work) -> Array:
        """out <- K u."""
        return self._forward(x[0], out)

    def ascend(self, y: Array, x_bar: list[Array], sigma: float, work: Work) -> None:
        self._dual_step(y, x_bar[0], sigma, self.weight * self.gradient.factor, work)

    def adjoint(self, y: Array, out: list[Array], add: bool, work: Work) -> None:
        self._adjoint(y, out[0], add, work)

    def term_norm(self) -> float:
        return self.gradient.norm

    def term_value(self, x: list[Array], batch: bool) -> Any:
        return self.value(x[0], batch)

    def dual_value(self, y: Array, batch: bool) -> Any:
        """0 where |y_i| <= λc, up to roundings of the projection."""
        room = 1 + 8 * np.finfo(backend.real_dtype(y.dtype)).eps
        inside = self.gradient.largest(y, self.isotropic) <= self.weight * self.gradient.factor * room
        return indicator(inside, batch)

    # ------------------------------------------------------------ prox, with a certificate

    def _denoise(self, z: Array, t: float, start: dict[str, Array]) -> tuple[Array, float]:
        """argmin_u ½‖u - z‖² + t c Σ|(Ku)_i|: accelerated projected gradient steps until the gap certifies."""
        scratch: dict[str, Any] = {}
        single = backend.real_dtype(z.dtype) == np.float32
        accuracy, size = self.accuracy or (1e-4 if single else 1e-6), backend.norm(z)
        enough = self._provable(z, t) if single and self.accuracy is None else accuracy
        sigma, radius = 1 / (self.term_norm() ** 2 or 1.0), t * self.gradient.factor
        mean = self.gradient.means(z)
        d, p = (backend.array_module(z).empty_like(z) for _ in range(2))
        old, s, last, bound = start["y"], 1.0, math.inf, math.inf
        new = old.copy()  # ȳ until the dual step has made it y⁺

        def descend(y: Array) -> None:
            """p <- z - K*y."""
            self._adjoint(y, d, False, scratch)
            p[...] = z - d

        def error() -> float:
            nonlocal s, last, bound
            descend(old)
            bound, energy = self._certificate(p, d, t, mean)
            if energy > last:  # the dual objective went down: forget the momentum (O'Donoghue and Candès)
                s = 1.0
                new[...] = old
            last = energy
            return bound

        for _ in self.steps("prox", error, accuracy, 10, size, enough):
            descend(new)
            self._dual_step(new, p, sigma, radius, scratch)
            s, s_old = (1 + math.sqrt(1 + 4 * s * s)) / 2, s
            old -= new
            old *= -(s_old - 1) / s
            old += new  # ȳ = y⁺ + (s_k - 1)/s_{k+1} (y⁺ - y)
            new, old = old, new
        start["y"][...] = old
        return p, bound

    def _provable(self, z: Array, t: float) -> float:
        """The accuracy that y in single precision proves: z - K*y is rounded, and the gap has the variation of that.

        The image is as accurate as ever.
        """
        size, largest = backend.norm(z), t * self.gradient.volume * self.gradient.ndim / min(self.gradient.widths)
        n = backend.count(z)
        noise = float(np.finfo(z.dtype).eps) * largest * (size * math.sqrt(n) + n * largest)
        return math.sqrt(2 * noise) / (size or 1.0)

    def _certificate(self, p: Array, d: Array, t: float, mean: Array) -> tuple[float, float]:
        """A bound on ‖p - prox(z)‖ for p = z - d, d = K*y, and ‖p - mean‖², which falls as the dual objective rises."""
        centred = p - mean  # <p, d> = <p - mean, d>, with far less rounding: K* gives images of mean 0
        gap = t * float(self._values(p)[0]) - backend.inner(centred, d)
        energy = backend.inner(centred, centred)  # in float64, to tell small changes
        # d is a sum of 2 ndim numbers up to t c/h, each rounded: independent errors in <p - mean, d>
        eps = float(np.finfo(p.dtype).eps)
        largest = self.gradient.volume * sum(1 / h for h in self.gradient.widths)
        rounding = 2 * eps * t * largest * math.sqrt(energy)
        return math.sqrt(2 * (max(gap, 0.0) + rounding)) + eps * backend.norm(p), energy
