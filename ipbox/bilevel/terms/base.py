"""Parametric terms of a lower level: families θ ↦ f_θ of smooth convex functionals, with their mixed derivatives."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_type
from ipbox.functionals import Functional
from ipbox.functionals.total_variation.smoothed_norm import SmoothedNorm

LN10 = math.log(10.0)
STENCIL = ((1, 2 / 3), (2, -1 / 12))  # central differences of fourth order
H = 1e-3  # their step, in log10 units: errors of 1e-12 in ∂μ and ∂L


class ParametricTerm:
    """Base of the families θ ↦ f_θ, θ in R^p, of smooth convex functionals on a batch of images u.

    A subclass gives ``names``, `functional`, `mixed` and `mixed_apply`.  θ is a float64 vector on the host, the images
    may be on a device.

    Attributes
    ----------
    names : tuple of str
        One for each entry of θ.
    A : Operator, optional
        Of a fidelity that has one: that of its lower level.
    signal_loop : function, optional
        (f, mu, L, method) ↦ the fused solve of the lower level Φ = f where this is its fidelity, or None.
    denoising_loop : function, optional
        (theta, b, method) ↦ the fused solve of denoising by this term alone, or None.
    estimates : bool
        Whether L is an estimate.
    products : float
        Hessian products that have been spent on the constants, where these are estimated.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.bilevel import ParametricTerm, Weight
    >>> term = Weight(ip.Tikhonov((4,), order=0))
    >>> isinstance(term, ParametricTerm), term.names, term.functional(np.array([-1.0])).value(np.ones(4))
    (True, ('log10 weight',), 0.2)
    """

    names: tuple[str, ...] = ()
    A: Any = None
    signal_loop: Callable[..., Any] | None = None
    denoising_loop: Callable[..., Any] | None = None
    estimates: bool = False
    products: float = 0.0

    def functional(self, theta: np.ndarray) -> Functional:
        """f_θ, with value, gradient, `hessian_apply`, L and mu."""
        raise NotImplementedError("abstract")

    def smoothed_norm(self, theta: np.ndarray) -> tuple[SmoothedNorm, np.ndarray] | None:
        """f_θ where it is a smoothed norm, and the derivative of log10 (α_1, α_2, ..., ξ, ν) by θ; None where not."""
        return None

    def mixed(self, theta: np.ndarray, u: Array, q: Array) -> np.ndarray:
        """B*q = ∂_θ <∇f_θ(u), q> with B = ∂_θ∇f_θ(u), for each sample: float64, shape (n, p)."""
        raise NotImplementedError(f"{type(self).__name__} has no mixed, the derivative by theta; expected it, or DFO")

    def mixed_apply(self, theta: np.ndarray, u: Array, dtheta: np.ndarray) -> Array:
        """B dθ, the change of ∇f_θ(u) with θ, as ``u``."""
        raise NotImplementedError(f"{type(self).__name__} has no mixed_apply; expected it, or a method such as DFO")

    def hessian_lipschitz(self, theta: np.ndarray) -> float | None:
        """Lipschitz constant of u ↦ ∇²f_θ(u), None where it is not known: then it is estimated."""
        return self.functional(theta).hessian_lipschitz

    def hessian_variation(self, theta: np.ndarray, q: Array) -> np.ndarray | None:
        """T_i with ‖(∇²f_θ(u + w) - ∇²f_θ(u)) q_i‖ <= T_i ‖w‖, None where it is not known."""
        return None if self.hessian_lipschitz(theta) is None else self.functional(theta).hessian_variation(q)

    def mixed_lipschitz(self, theta: np.ndarray) -> float | None:
        """Lipschitz constant of u ↦ B, None where it is not known: then it is estimated."""
        return None

    def constants_gradient(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """∂_θ of μ and of L of f_θ, shape (p,) each."""
        mu, L = differences(lambda t: ((f := self.functional(t)).mu, f.L), theta)
        return mu, L

    def near(self, images: Callable[[], Array]) -> ParametricTerm:
        """The term for use near these images: itself, unless it estimates its constants."""
        return self

    def raise_lipschitz(self, theta: np.ndarray, u: Array, L: float) -> None:
        """Take a larger constant where it is an estimate, L for the whole lower level having failed near u."""

    def get_state(self) -> dict[str, Any] | None:
        """What a checkpoint has to hold, estimates of constants; None where there is nothing."""
        return None

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what `get_state` gave."""

    def take(self, index: np.ndarray) -> ParametricTerm:
        """The term of a part of the samples: itself, unless it holds data of each."""
        return self

    def with_data(self, b: Array) -> ParametricTerm:
        """The term for other data: itself, unless it holds data."""
        return self

    def initial(self) -> np.ndarray | None:
        """Where to start learning from, or None where the user has to say so."""
        return None


def differences(f: Callable[[np.ndarray], Any], theta: np.ndarray) -> np.ndarray:
    """∂_θ of the numbers f(θ), by central differences: shape (len(f(θ)), p).

    Examples
    --------
    >>> differences(lambda t: (10 ** t[0], 3.0), np.array([0.0])).round(6).tolist()
    [[2.302585], [0.0]]
    """
    columns = []
    for e in np.eye(len(theta)):
        pairs = ((c, np.array(f(theta + k * H * e)), np.array(f(theta - k * H * e))) for k, c in STENCIL)
        columns.append(sum(c * (up - down) / H for c, up, down in pairs))
    return np.stack(columns, axis=1) if columns else np.zeros((len(f(theta)), 0))


class Fixed(ParametricTerm):
    """A functional without parameters as a term of a lower level."""

    def __init__(self, f: Functional) -> None:
        self.f = f

    def functional(self, theta: np.ndarray) -> Functional:
        return self.f

    def smoothed_norm(self, theta: np.ndarray) -> tuple[SmoothedNorm, np.ndarray] | None:
        f = self.f
        return (f, np.zeros((len(f.alpha) + 2, 0))) if isinstance(f, SmoothedNorm) else None

    def mixed(self, theta: np.ndarray, u: Array, q: Array) -> np.ndarray:
        return np.zeros((u.shape[0], 0))

    def mixed_apply(self, theta: np.ndarray, u: Array, dtheta: np.ndarray) -> Array:
        return backend.array_module(u).zeros_like(u)

    def mixed_lipschitz(self, theta: np.ndarray) -> float | None:
        return 0.0

    def take(self, index: np.ndarray) -> ParametricTerm:
        return Fixed(self.f.take(index))

    def initial(self) -> np.ndarray:
        return np.zeros(0)


class Weight(ParametricTerm):
    """10^θ f: the weight of any functional whose gradient and Hessian are known; θ is log10 of the weight.

    Parameters
    ----------
    f : Functional
        For example ``ip.SmoothedTV(dims, eps=1e-2)``.

    Raises
    ------
    TypeError
        where f is no functional, or has no gradient or no Hessian.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> term = ip.bilevel.Weight(ip.Tikhonov((2, 2), order=0))
    >>> u = np.ones((1, 2, 2))
    >>> term.functional(np.array([1.0])).value(u)
    20.0
    >>> term.mixed(np.array([0.0]), u, u).round(4)     # ln 10 ‖u‖²
    array([[9.2103]])
    """

    names = ("log10 weight",)

    def __init__(self, f: Functional) -> None:
        check_type(f, "f", Functional, "a functional such as ip.SmoothedTV(dims, eps=1e-2)")
        for has, what in ((f.has_grad, "gradient"), (f.has_hessian, "Hessian")):
            if not has:
                raise TypeError(f"f is {f.name}, whose {what} is not known; expected a functional such as SmoothedTV")
        self.f = f

    def functional(self, theta: np.ndarray) -> Functional:
        t = float(theta[0])
        if t >= 308:
            raise ValueError(f"theta is {t:g}, log10 of the weight of {self.f.name}; expected less than 308")
        return self.f.scaled(10.0**t)

    def smoothed_norm(self, theta: np.ndarray) -> tuple[SmoothedNorm, np.ndarray] | None:
        f = self.functional(theta)
        if not isinstance(f, SmoothedNorm):
            return None
        return f, np.array([*(1.0 for _ in f.alpha), 1.0, 0.0])[:, None]

    def mixed(self, theta: np.ndarray, u: Array, q: Array) -> np.ndarray:
        g = self.functional(theta).grad(u)
        return LN10 * np.asarray(backend.reduce_sum((g.conj() * q).real, True)).reshape(-1, 1)

    def mixed_apply(self, theta: np.ndarray, u: Array, dtheta: np.ndarray) -> Array:
        return self.functional(theta).grad(u) * (LN10 * float(dtheta[0]))

    def mixed_lipschitz(self, theta: np.ndarray) -> float | None:
        return LN10 * self.functional(theta).L

    def take(self, index: np.ndarray) -> ParametricTerm:
        return Weight(self.f.take(index))
