"""Data fidelities D(Au, b)."""

from __future__ import annotations

from typing import Any

import numpy as np

from ipbox import backend, kernels
from ipbox.backend import Array
from ipbox.functionals.base import Functional, Work, buffer, check_step
from ipbox.functionals.composition import Composition, check_data
from ipbox.operators import as_operator


class L2(Functional):
    """½‖Au - b‖²; without A, ½‖u - b‖², and without b, ½‖Au‖².

    Parameters
    ----------
    A : Operator, optional
        Anything `as_operator` takes.
    b : array, optional
        Data of shape A.dimsd, or with one leading batch axis; kept, not copied.

    Notes
    -----
    ∇ = A*(Au - b), L = ‖A‖².  Without A: μ = L = 1, prox_{τf}(x) = (x + τb)/(1 + τ), f*(y) = ½‖y‖² + <y, b>.

    Raises
    ------
    ValueError, TypeError
        where b has not A's shape or dtype, is complex for a real operator, or is not finite.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.L2(b=np.array([1.0, 2.0])).value(np.zeros(2))
    2.5
    """

    has_grad = True

    def __init__(self, A: Any = None, b: Array | None = None) -> None:
        self.A = None if A is None else as_operator(A)
        self.b = None if b is None else check_data(b)
        self.has_prox = self.finite_conj = self.A is None
        if self.A is not None and b is not None:
            check_fits(self.A, b)
        super().__init__(None if self.A is None else tuple(self.A.dims))

    @property
    def name(self) -> str:
        return super().name + (f"({self.A.name})" if self.A is not None else "")

    @property
    def _L(self) -> float:
        return 1.0 if self.A is None else self.A.norm() ** 2

    @property
    def _mu(self) -> float:
        return 1.0 if self.A is None else 0.0

    def residual(self, x: Array, out: Array | None = None) -> Array:
        """Au - b."""
        if self.A is not None:
            r = self.A.apply(x, out=out)
        else:
            r = backend.array_module(x).empty_like(x) if out is None else out
            r[...] = x
        if self.b is not None:
            r -= self._data(r)
        return r

    def _data(self, y: Array) -> Array:
        """b in the shape of ``y``, which may be flat or have a batch axis."""
        if self.b.shape in (y.shape, y.shape[1:]):
            return self.b
        if self.b.size != y.size:
            raise ValueError(f"x has shape {y.shape}; L2 with b of shape {self.b.shape} expects the same")
        return self.b.reshape(y.shape)

    def _value(self, x: Array, batch: bool) -> Any:
        return 0.5 * backend.sum_squares(self.residual(x), batch)

    def _grad(self, x: Array, out: Array, work: Work) -> None:
        if self.A is None:
            self.residual(x, out)
        else:
            batch = x.shape[: x.ndim - len(self.A.dims)]
            r = buffer(work, "residual", x, batch + tuple(self.A.dimsd), self.A.dtype_out)
            self.A.apply_adjoint(self.residual(x, r), out=out)

    def _prox(self, x: Array, t: Any, out: Array, work: Work) -> None:
        if self.A is not None:
            raise TypeError(f"{self.name} has no prox; use it as a smooth term or as a dual term")
        t = backend.per_sample(t, x)
        out[...] = (x if self.b is None else x + t * self._data(x)) / (1 + t)

    def prox_conj(self, y: Array, sigma: Any, out: Array | None = None, work: Work = None) -> Array:
        """prox_{σf*}(y) = (y - σb)/(1 + σ/λ)."""
        if self.A is not None:
            raise TypeError(f"the conjugate's prox of {self.name} is not known; use f.as_dual")
        self._check_convex("prox of the conjugate")
        sigma = backend.per_sample(check_step(sigma, "sigma"), y)
        z = backend.array_module(y).empty_like(y) if out is None else out
        z[...] = y if self.b is None else y - sigma * self._data(y)
        z /= 1 + sigma / self.weight
        return z

    def _conj(self, y: Array, weight: float, batch: bool) -> Any:
        if self.A is not None:
            raise TypeError(f"the conjugate of {self.name} is not known; use f.as_dual")
        value = backend.sum_squares(y, batch) / (2 * weight)
        return value if self.b is None else value + backend.reduce_sum((y * self._data(y).conj()).real, batch)

    def take(self, index: np.ndarray) -> Functional:
        if self.b is None or (self.A is not None and self.b.ndim == len(self.A.dimsd)):
            return self  # one set of data for every sample
        f = L2(self.A, self.b[index])
        f.weight = self.weight
        return f

    def as_dual(self, like: Any) -> Any:
        if self.A is None:
            return super().as_dual(like)
        return Composition(L2(b=self.b).scaled(self.weight), self.A)

    def merge(self, other: Functional) -> Functional | None:
        from ipbox.functionals.constraints import Box, L2Box

        if self.A is None and self.b is not None and isinstance(other, Box):
            return L2Box(self, other)
        return None

    def descend(self, x: Array, d: Array, tau: float, theta: float, x_bar: Array, work: Work = None) -> None:
        if self.A is not None or self.b is None or self.b.shape != x.shape or x.dtype.kind == "c":
            super().descend(x, d, tau, theta, x_bar, work)
        else:
            kernels.primal_step(x, d, tau, theta, x_bar, b=self.b, w=self.weight)


def check_fits(A: Any, b: Array) -> None:
    """Refuse data that ``A`` cannot have produced."""
    dimsd = tuple(A.dimsd)
    if b.shape != dimsd and b.shape[1:] != dimsd:
        raise ValueError(f"b has shape {b.shape}; {A.name} gives {dimsd}, with at most one leading batch axis")
    if b.dtype != A.dtype_out:
        raise TypeError(f"b has dtype {b.dtype}; {A.name} gives {A.dtype_out}")
