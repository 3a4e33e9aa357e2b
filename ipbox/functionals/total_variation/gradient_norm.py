"""What all total variations share: the dual term and the prox with its certificate."""

from __future__ import annotations

import math
import numbers
import warnings
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_count
from ipbox.functionals.core.base import Functional, Work, buffer
from ipbox.functionals.core.composition import DualTerm
from ipbox.functionals.total_variation.image_gradient import ImageGradient


class GradientNorm(Functional, DualTerm):
    """c Σ_i |(Ku)_i| for differences K u; a subclass may give other K than that of its ``gradient``.

    prox_{τf}(z) minimises ½‖u - z‖² + τλc Σ|(Ku)_i|; with a dual y, |y_i| <= τλc, the gap is
    ½‖u - z + K*y‖² + τλc Σ|(Ku)_i| - <Ku, y>, and by strong convexity ½‖u - p‖² <= gap.  Solved by the fast gradient
    projection method with restarts; with ``work`` the dual is kept and the next call starts from it.
    """

    has_prox = True

    def __init__(self, gradient: ImageGradient, isotropic: bool, accuracy: float | None, niter: int) -> None:
        if accuracy is not None and not (isinstance(accuracy, numbers.Real) and 0 < accuracy < math.inf):
            raise ValueError(f"accuracy is {accuracy!r}; expected a positive number")
        if not isinstance(isotropic, bool):
            raise TypeError(f"isotropic is {isotropic!r}; expected True or False")
        self.gradient, self.isotropic, self.accuracy = gradient, isotropic, accuracy
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
        values = self._values(backend.array_module(x).ascontiguousarray(x))
        return values if batch else float(np.sum(values))

    # ------------------------------------------------------------ the dual term λc‖·‖_{2,1}∘K

    @property
    def dual_dims(self) -> tuple[int, ...]:
        return self.gradient.field_dims

    def as_dual(self, like: Any) -> Any:
        return self

    def forward(self, x: list[Array], out: Array | None = None, work: Work = None) -> Array:
        """K u."""
        if out is None:
            batch = x[0].shape[: x[0].ndim - len(self.dims)]
            out = backend.array_module(x[0]).empty(batch + self.dual_dims, dtype=x[0].dtype)
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
        inside = self.gradient.modulus(y, self.isotropic) <= self.weight * self.gradient.factor * room
        if not batch:
            return 0.0 if bool(inside.all()) else np.inf
        return np.where(backend.to_host(inside.reshape(y.shape[0], -1).all(axis=1)), 0.0, np.inf)

    # ------------------------------------------------------------ prox, with a certificate

    def _prox(self, x: Array, t: Any, out: Array, work: Work) -> None:
        z = backend.array_module(x).ascontiguousarray(x).reshape((-1,) + self.dims)
        t = np.broadcast_to(np.asarray(t, dtype=np.float64), z.shape[:1])
        shape = z.shape[:1] + self.dual_dims
        warm = work is not None and "y" in work and (work["y"].shape, work["y"].dtype) == (shape, z.dtype)
        if work is not None and not warm:
            work.pop("y", None)
        y = buffer(work, "y", z, shape)
        if not warm:
            y[...] = 0
        bounds = np.zeros(len(z))
        for i, (zi, yi) in enumerate(zip(z, y, strict=True)):  # one stop for each sample
            if warm and work["t"][i] not in (0.0, t[i]):  # 0: a sample of a batch that has no y yet
                yi *= float(t[i] / work["t"][i])  # keeps |y| <= t
            out.reshape(z.shape)[i], bounds[i] = self._denoise(zi, yi, float(t[i]))
        if work is not None:
            work["t"], work["bound"] = t.copy(), bounds

    def _denoise(self, z: Array, y: Array, t: float) -> tuple[Array, float]:
        """argmin_u ½‖u - z‖² + t c Σ|(Ku)_i|: accelerated projected gradient steps until the gap certifies."""
        size, scratch = backend.norm(z), {}
        accuracy = self.accuracy or (1e-4 if backend.real_dtype(z.dtype) == np.float32 else 1e-6)
        sigma, radius = 1 / (self.term_norm() ** 2 or 1.0), t * self.gradient.factor
        mean = z.mean(axis=tuple(range(-self.gradient.ndim, 0)), keepdims=True)
        d, p = (backend.array_module(z).empty_like(z) for _ in range(2))
        new, old, s, last = y.copy(), y, 1.0, math.inf  # new holds ȳ until the dual step has made it y⁺
        for k in range(self.niter + 1):
            if k % 10 == 0:
                self._adjoint(old, d, False, scratch)
                p[...] = z
                p -= d
                bound, energy = self._certificate(p, d, t, mean)
                if bound <= accuracy * size or math.isnan(bound):
                    break
                if energy > last:  # the dual objective went down: forget the momentum (O'Donoghue and Candès)
                    s = 1.0
                    new[...] = old
                last = energy
            self._adjoint(new, d, False, scratch)
            p[...] = z
            p -= d
            self._dual_step(new, p, sigma, radius, scratch)
            s, s_old = (1 + math.sqrt(1 + 4 * s * s)) / 2, s
            old -= new
            old *= -(s_old - 1) / s
            old += new  # ȳ = y⁺ + (s_k - 1)/s_{k+1} (y⁺ - y)
            new, old = old, new
        else:
            warnings.warn(
                f"{type(self).__name__}.prox stopped after niter={self.niter} with a certified error of "
                f"{bound / size:.1e} ‖x‖; asked for {accuracy:.1e}",
                RuntimeWarning,
                stacklevel=5,
            )
        if old is not y:
            y[...] = old
        return p, bound

    def _certificate(self, p: Array, d: Array, t: float, mean: Array) -> tuple[float, float]:
        """A bound on ‖p - prox(z)‖ for p = z - d, d = K*y, and ‖p - mean‖², which falls as the dual objective rises."""
        centred = p - mean  # <p, d> = <p - mean, d>, with far less rounding: K* gives images of mean 0
        gap = t * float(self._values(p)[0]) - _real_sum(centred, d)
        energy = _real_sum(centred, centred)  # in float64, to tell small changes
        # d is a sum of 2 ndim numbers up to t c/h, each rounded: independent errors in <p - mean, d>
        eps = float(np.finfo(p.dtype).eps)
        widths = self.gradient.widths
        largest = math.prod(widths) * sum(1 / h for h in widths)
        rounding = 2 * eps * t * largest * math.sqrt(energy)
        return math.sqrt(2 * (max(gap, 0.0) + rounding)) + eps * backend.norm(p), energy


def _real_sum(a: Array, b: Array) -> float:
    """Re<a, b> summed in float64."""
    return backend.reduce_sum(a.real * b.real + a.imag * b.imag if a.dtype.kind == "c" else a * b)
