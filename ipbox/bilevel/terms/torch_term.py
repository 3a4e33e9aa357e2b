"""Parametric terms from torch: every derivative by automatic differentiation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.bilevel.terms.base import ParametricTerm
from ipbox.checks import check_not_negative
from ipbox.functionals import Functional
from ipbox.functionals.core.base import Work
from ipbox.operators.core.base import check_dims

if TYPE_CHECKING:
    from ipbox.learned.priors.parametric import ParametricEnergy

Bound = float | Callable[[np.ndarray], float]


class TorchTerm(ParametricTerm):
    """R_θ(u) = E(u, θ) for a smooth convex energy E written in torch.

    Parameters
    ----------
    energy : torch.nn.Module or callable
        ``module(u)``, where θ stands for all its parameters in their order, or ``function(u, theta)``; from a tensor
        of shape (n,) + dims to n numbers, each of its own image, twice differentiable.  θ comes in the precision of u.
        Of a module a copy is taken, in evaluation mode.
    dims : tuple of int
        Shape of an image.
    names : tuple of str, optional
        Of the entries of θ, for a function.
    mu : float or callable
        Modulus of strong convexity of E(·, θ), a number or a function of θ: what is certified holds only where it is
        not too large.  0 by default: convex, which is not checked.
    L : float or callable, optional
        Lipschitz constant of ∇E(·, θ), or a bound from above.  By default 1.1 times ‖∇²E(u, θ)‖ for u near 0, by the
        power method on the host: right for sums of ψ(Ku) with ψ'' largest at 0; where E curves more elsewhere, solvers
        may diverge (certificates show it).
    initial : array, optional
        Where learning starts; for a module its own parameters by default.

    Raises
    ------
    TypeError, ValueError
        for other arguments, and for an energy that does not give n numbers.

    Notes
    -----
    Write |z|² as ``(z * z.conj()).real``: torch takes the second derivative of ``z.abs().square()`` at 0 to be 0.

    Examples
    --------
    >>> import numpy as np, torch
    >>> from ipbox.bilevel import TorchTerm
    >>> def huber(u, theta):                                     # 10^θ Σ √(|u' |² + 0.01)
    ...     return 10 ** theta[0] * (u.diff(dim=1).square() + 0.01).sqrt().sum(1)
    >>> term = TorchTerm(huber, (4,), ("log10 weight",))
    >>> f = term.functional(np.array([0.0]))
    >>> f.grad(np.array([[0.0, 0.0, 1.0, 1.0]])).round(3).tolist(), round(f.L, 1)   # 1.1 times (2 + √2)/0.1
    ([[0.0, -0.995, 0.995, 0.0]], 37.6)
    """

    def __init__(
        self,
        energy: Any,
        dims: tuple[int, ...],
        names: tuple[str, ...] | None = None,
        *,
        mu: Bound = 0.0,
        L: Bound | None = None,
        initial: Any = None,
    ) -> None:
        from ipbox.learned.priors.parametric import ParametricEnergy

        self.energy: ParametricEnergy = ParametricEnergy(energy, names)
        self.names, self.dims = self.energy.names, check_dims(dims, "dims")
        for name, value in (("mu", mu), ("L", L)):
            if value is not None and not callable(value):
                _check_bound(name, value)
        self.mu, self.L = mu, L
        self._initial = self.energy.initial() if initial is None else np.array(initial, dtype=np.float64)
        if self._initial is not None and self._initial.shape != (len(self.names),):
            raise ValueError(f"initial has shape {self._initial.shape}; expected ({len(self.names)},), as theta")
        self._estimate: tuple[bytes, float] | None = None

    def functional(self, theta: np.ndarray) -> Functional:
        mu = _check_bound("mu", self.mu(theta) if callable(self.mu) else self.mu)
        return TorchEnergy(self, np.array(theta, dtype=np.float64), mu)

    def mixed(self, theta: np.ndarray, u: Array, q: Array) -> np.ndarray:
        return self.energy.mixed(u, q, theta)

    def mixed_apply(self, theta: np.ndarray, u: Array, dtheta: np.ndarray) -> Array:
        return self.energy.mixed_apply(u, dtheta, theta)

    def initial(self) -> np.ndarray | None:
        return self._initial

    def lipschitz(self, theta: np.ndarray) -> float:
        """L at θ, as given or estimated; the last estimate is kept."""
        if self.L is not None:
            return _check_bound("L", self.L(theta) if callable(self.L) else self.L)
        key, last = theta.tobytes(), self._estimate
        if last is None or last[0] != key:
            last = self._estimate = key, self.energy.curvature(self.dims, theta, np.dtype("float64"))
        return last[1]


class TorchEnergy(Functional):
    """E(·, θ) for a fixed θ."""

    has_grad = True

    def __init__(self, term: TorchTerm, theta: np.ndarray, mu: float) -> None:
        super().__init__(term.dims)
        self.term, self.theta, self._mu = term, theta, mu

    @property
    def _L(self) -> float:
        return max(self.term.lipschitz(self.theta), self._mu)

    def _value(self, x: Array, batch: bool) -> Any:
        return self.term.energy.values(self._images(x), self.theta)

    def _grad(self, x: Array, out: Array, work: Work) -> None:
        out[...] = self.term.energy.gradient(self._images(x), self.theta).reshape(out.shape)

    def _hessian(self, x: Array, v: Array, out: Array, work: Work) -> None:
        out[...] = self.term.energy.hessian(self._images(x), self._images(v), self.theta).reshape(out.shape)

    def _images(self, x: Array) -> Array:
        return backend.array_module(x).ascontiguousarray(x).reshape(-1, *self.dims)


def _check_bound(name: str, value: Any) -> float:
    return check_not_negative(value, name, "a number >= 0, or a function of theta that gives one")
