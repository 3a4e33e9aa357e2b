"""Parametric terms from torch: every derivative by automatic differentiation."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.bilevel.terms.base import ParametricTerm, differences
from ipbox.checks import check_not_negative, check_numbers
from ipbox.functionals import Functional
from ipbox.functionals.core.base import Work
from ipbox.operators.core.base import check_dims

if TYPE_CHECKING:
    from ipbox.learned.priors.parametric import ParametricEnergy

MARGIN = 1.1  # of estimates of ‖∇²E‖, which are from below
NEAR_ZERO = 1e-6
Bound = float | Callable[[np.ndarray], float]


class TorchTerm(ParametricTerm):
    """R_θ(u) = E(u, θ) for a smooth convex energy E written in torch.

    Parameters
    ----------
    energy : torch.nn.Module or callable
        ``module(u)``, where θ stands for all its parameters in their order, or ``function(u, theta)``; from a tensor
        of shape (n,) + dims to n numbers, each of its own image, twice differentiable; or of shape (n, 1) + dims, where
        it fails on two images of zeros without channels.  θ comes in the precision of u.  Of a module a copy is taken,
        in evaluation mode; `module` gives it back.
    dims : tuple of int
        Shape of an image.
    names : tuple of str, optional
        Of the entries of θ, for a function.
    mu : float or callable
        Modulus of strong convexity of E(·, θ), a number or a function of θ: what is certified holds only where it is
        not too large.  0 by default: convex, which is not checked.
    L : float or callable, optional
        Lipschitz constant of ∇E(·, θ), or a bound from above.  By default 1.1 times the largest ‖∇²E(u, θ)‖ for u near
        0 and near three of the images of a lower level, by the power method on the host; where a solve shows that E
        curves more elsewhere, at least twice as much from then on.
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
    >>> f.grad(np.array([[0.0, 0.0, 1.0, 1.0]])).round(3).tolist(), round(f.L)   # 1.1 times (2 + √2)/0.1
    ([[0.0, -0.995, 0.995, 0.0]], 38)
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
        self.mu, self.L, self.estimates = mu, L, L is None
        self._initial = self.energy.initial() if initial is None else check_numbers(initial, "initial")
        if self._initial is not None and self._initial.shape != (len(self.names),):
            raise ValueError(f"initial has shape {self._initial.shape}; expected ({len(self.names)},), as theta")
        self._images: Callable[[], Array] | None = None
        self._points: Array | None = None  # where the curvature is estimated
        self._estimate: tuple[bytes, float, tuple[Array, Array]] | None = None
        self._least, self.products = 0.0, 0.0

    def functional(self, theta: np.ndarray) -> Functional:
        mu = _check_bound("mu", self.mu(theta) if callable(self.mu) else self.mu)
        return TorchEnergy(self, np.array(theta, dtype=np.float64), mu)

    def mixed(self, theta: np.ndarray, u: Array, q: Array) -> np.ndarray:
        return self.energy.mixed(u, q, theta)

    def mixed_apply(self, theta: np.ndarray, u: Array, dtheta: np.ndarray) -> Array:
        return self.energy.mixed_apply(u, dtheta, theta)

    def initial(self) -> np.ndarray | None:
        return self._initial

    def module(self, theta: np.ndarray) -> Any:
        """The module that was given, with the learned θ as its parameters: a copy, in its precision.

        Raises
        ------
        TypeError
            where a function was given.
        """
        theta = np.asarray(theta, dtype=np.float64)
        if theta.shape != (len(self.names),):
            raise ValueError(f"theta has shape {theta.shape}; expected ({len(self.names)},)")
        return self.energy.module_at(theta)

    # ------------------------------------------------------------ the Lipschitz constant

    def near(self, images: Callable[[], Array]) -> ParametricTerm:
        if not self.estimates:
            return self
        term = copy.copy(self)
        term._images, term._points, term._estimate, term._least, term.products = images, None, None, 0.0, 0.0
        return term

    def lipschitz(self, theta: np.ndarray) -> float:
        """L at θ, as given or estimated; the last estimate is kept."""
        if self.L is not None:
            return _check_bound("L", self.L(theta) if callable(self.L) else self.L)
        return max(MARGIN * self._curvature(theta)[0], self._least)

    def raise_lipschitz(self, theta: np.ndarray, u: Array, L: float) -> None:
        if not self.estimates:
            return
        known = self.lipschitz(theta)
        _, (worst, _), spent = self.energy.curvature(backend.to_host(u), theta)
        self.products += spent
        self._points, self._estimate = np.concatenate([self._places(), worst]), None
        if self.lipschitz(theta) < known + 0.5 * L:
            self._least = known + L

    def constants_gradient(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Of an estimated L by automatic differentiation, as differences would take a power method for each."""
        if self.L is not None:
            return super().constants_gradient(theta)
        mu = self.functional(theta).mu
        (dmu,) = (
            differences(lambda t: (self.functional(t).mu,), theta) if callable(self.mu) else np.zeros((1, len(theta)))
        )
        curvature, (u, v) = self._curvature(theta)
        if MARGIN * curvature < max(mu, self._least):
            return dmu, dmu if mu > self._least else np.zeros_like(dmu)
        self.products += 1
        return dmu, MARGIN * self.energy.curvature_gradient(u, v, theta)

    def get_state(self) -> dict[str, Any] | None:
        if not self.estimates:
            return None
        theta, curvature, place = self._estimate or (b"", 0.0, ())
        last = {"theta": np.frombuffer(theta), "curvature": curvature, "place": list(place)}
        return {"points": self._points, "least": self._least, "estimate": last}

    def set_state(self, state: dict[str, Any]) -> None:
        self._points, self._least, last = state["points"], state["least"], state["estimate"]
        place = tuple(last["place"])
        self._estimate = (last["theta"].tobytes(), last["curvature"], place) if place else None

    def _curvature(self, theta: np.ndarray) -> tuple[float, tuple[Array, Array]]:
        """The largest ‖∇²E(u, θ)‖ at the points, and where it is: u, and the direction."""
        key, last = theta.tobytes(), self._estimate
        if last is None or last[0] != key:
            curvature, place, spent = self.energy.curvature(self._places(), theta)
            self.products += spent
            last = self._estimate = key, curvature, place
        return last[1], last[2]

    def _places(self) -> Array:
        if self._points is None:
            # not 0 itself: what torch makes of |z|² written as z.abs().square() has no curvature there
            zero = NEAR_ZERO * np.random.default_rng(0).standard_normal((1, *self.dims))
            images = [] if self._images is None else [backend.to_host(self._images())]
            double = np.result_type(zero.dtype, *images)
            self._points = np.concatenate([zero, *images]).astype(double)
        return self._points


class TorchEnergy(Functional):
    """E(·, θ) for a fixed θ."""

    dims: tuple[int, ...]
    _mu: float
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
