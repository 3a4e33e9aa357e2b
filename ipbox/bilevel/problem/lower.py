"""The lower level of a bilevel problem: û_i(θ) = argmin_u D(Au, b_i) + R_θ(u) for many samples at once."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.bilevel.terms.base import Fixed, ParametricTerm
from ipbox.checks import check_numbers, check_type, counted
from ipbox.functionals import L2, Functional, Sum
from ipbox.operators.core.adapters import check_operator

SHORT = 8  # entries of θ that an error lists
MARGIN = 16.0  # of values whose cubes are computed


class LowerProblem:
    """Base of the lower levels: ``n`` images of shape ``dims``, arrays of ``xp``, and a name for each entry of θ."""

    n: int
    dims: tuple[int, ...]
    names: tuple[str, ...]
    xp: ModuleType = np

    def check(self, theta: Any, name: str = "theta") -> np.ndarray:
        """θ as a float64 vector of the right length.

        Raises
        ------
        ValueError, TypeError
            for another length, or entries that are no finite numbers.
        """
        theta = check_numbers(theta, name, counted(len(self.names), "real number"))
        if theta.shape != (len(self.names),):
            names = ", ".join(self.names if len(self.names) <= SHORT else (*self.names[:SHORT], "..."))
            raise ValueError(f"{name} has shape {theta.shape}; expected ({len(self.names)},): {names}")
        if not np.isfinite(theta).all():
            k = int(np.argmin(np.isfinite(theta)))
            raise ValueError(f"{name} is {theta[k]:g} for {self.names[k]}; expected finite numbers")
        return theta

    def initial(self) -> np.ndarray:
        """Where learning starts if the user does not say.

        Raises
        ------
        ValueError
            where it cannot.
        """
        expected = f"{counted(len(self.names), 'number')}: {', '.join(self.names)}"
        raise ValueError(f"theta0 is None; expected {expected}")


class LowerLevel(LowerProblem):
    """û_i(θ) = argmin_u Φ_i(u; θ), Φ_i(u; θ) = D(Au, b_i) + R_θ(u), i = 1, ..., n.

    Parameters
    ----------
    A : Operator or None
        Anything `as_operator` takes; None for denoising.
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.
    b : array, shape (n,) + data dims
        Data of all samples; kept, not copied.
    *terms : ParametricTerm or Functional
        R_θ is their sum; functionals have no parameters.  θ is put together in the order of the terms.
    fidelity : ParametricTerm, optional
        D with parameters of its own, which come first in θ; ½‖Au - b_i‖² otherwise.
    observe : Operator, optional
        P with ‖P‖ <= 1: the part Pu of the unknown that is compared with the true images, all of it by default.

    Attributes
    ----------
    n : int
        Number of samples.
    dims, dtype, xp
        Shape, dtype and library of one image.
    names : tuple of str
        One for each entry of θ.

    Raises
    ------
    ValueError, TypeError
        where the data do not go with A, a term is no functional of the image, or nothing is to be learned.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.bilevel import LowerLevel, Weight
    >>> b = np.array([[0.0, 0.0, 1.0, 1.0]])
    >>> lower = LowerLevel(None, b, Weight(ip.SmoothedTV((4,), eps=0.1)))
    >>> lower.constants(np.array([-1.0]))     # μ and L of Φ at α = 0.1
    (1.0, 4.41...)
    """

    def __init__(
        self,
        A: Any,
        b: Array,
        *terms: ParametricTerm | Functional,
        fidelity: ParametricTerm | None = None,
        observe: Any = None,
        shape: tuple[int, ...] | None = None,
    ) -> None:
        backend.check_array(b, "b", "an array of shape (n,) + data dims")
        if b.ndim < 2 or b.shape[0] == 0:
            raise ValueError(f"b has shape {b.shape}; expected (n,) + data dims with at least one sample")
        check_type(fidelity, "fidelity", ParametricTerm | None, "a ParametricTerm, or None for L2")
        data: Any = L2(A, b, shape=shape)
        if A is not None and b.ndim != len(data.A.dimsd) + 1:
            raise ValueError(f"b has shape {b.shape}; expected (n,) + {tuple(data.A.dimsd)}")
        self.A, self.b = data.A, b
        self.n = b.shape[0]
        self.dims = tuple(b.shape[1:]) if A is None else tuple(data.A.dims)
        self.dtype = np.dtype(b.dtype if A is None else data.A.dtype_in)
        self.xp = backend.array_module(b)
        check_range(self.xp, b, self.dtype, "b")
        self.observe = None if observe is None else _check_observe(observe, self.dims)
        if fidelity is not None and fidelity.A is not None and fidelity.A is not data.A:
            raise ValueError(f"fidelity has another operator than A, {data.A}; expected the same")
        self.terms = [Fixed(data) if fidelity is None else fidelity.with_data(b)]
        self.terms += [_as_term(t).near(functools.partial(_first_images, self.A, b)) for t in terms]
        self.names = tuple(name for t in self.terms for name in t.names)
        if not self.names:
            raise ValueError("terms have no parameters; expected one to learn, such as Weight(SmoothedTV(dims, eps))")

    # ------------------------------------------------------------ Φ and its derivatives

    def parts(self, theta: np.ndarray) -> list[tuple[ParametricTerm, np.ndarray]]:
        """The terms, each with its part of θ."""
        ends = np.cumsum([len(t.names) for t in self.terms])
        return list(zip(self.terms, np.split(theta, ends[:-1]), strict=True))

    def at(self, theta: np.ndarray) -> Functional:
        """Φ(·; θ) of all samples."""
        return Sum([_functional(t, part) for t, part in self.parts(self.check(theta))])

    def constants(self, theta: np.ndarray) -> tuple[float, float]:
        """μ and L: strong convexity of Φ(·; θ), and the Lipschitz constant of its gradient.

        Raises
        ------
        ValueError
            where μ = 0 or L is not finite: then û(θ) may not be unique, and its error has no bound; where L is so much
            larger than μ, θ being so large, that rounding leaves no digit of û(θ).
        """
        f = self.at(theta)
        mu, L = f.mu, f.L
        if 0 < mu <= np.finfo(np.float64).eps * L < math.inf:
            raise ValueError(
                f"theta is {_told(theta)}, far too large: the lower level has μ = {mu:g} and L = {L:g}, so that "
                "no digit of its solution can be computed; expected smaller entries (of weights, their log10)"
            )
        if not 0 < mu <= L * (1 + 1e-12) or not L < math.inf:
            raise ValueError(
                f"the lower level has μ = {mu:g} and L = {L:g} at theta = {_told(theta)}; expected 0 < μ <= L "
                "and L finite (add a strongly convex term, such as 1e-3*ip.Tikhonov(dims, order=0))"
            )
        return mu, L

    def constants_gradient(self, theta: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """∂_θ of μ and of L."""
        mu, L = zip(*(t.constants_gradient(part) for t, part in self.parts(theta)), strict=True)
        return np.concatenate(mu), np.concatenate(L)

    @property
    def products(self) -> float:
        """Hessian products that the terms have spent on estimates of their constants."""
        return sum(t.products for t in self.terms)

    @property
    def estimates(self) -> bool:
        """Whether L is an estimate."""
        return any(t.estimates for t in self.terms)

    def raise_lipschitz(self, theta: np.ndarray, u: Array) -> None:
        """Have the terms that estimate it take a larger constant, a solve having failed near u."""
        L = self.constants(theta)[1]
        for t, part in self.parts(theta):
            t.raise_lipschitz(part, u, L)

    def hessian_lipschitz(self, theta: np.ndarray) -> float | None:
        """Lipschitz constant of u ↦ ∇²Φ(u; θ), None where one of a term is not known."""
        return _unless_unknown(sum, [t.hessian_lipschitz(part) for t, part in self.parts(theta)])

    def hessian_variation(self, theta: np.ndarray, q: Array) -> np.ndarray | None:
        """T_i with ‖(∇²Φ(u + w; θ) - ∇²Φ(u; θ)) q_i‖ <= T_i ‖w‖, None where that of a term is not known."""
        return _unless_unknown(sum, [t.hessian_variation(part, q) for t, part in self.parts(theta)])

    def mixed_lipschitz(self, theta: np.ndarray) -> float | None:
        """Lipschitz constant of u ↦ B, None where one of a term is not known."""
        return _unless_unknown(lambda parts: math.hypot(*parts), [t.mixed_lipschitz(p) for t, p in self.parts(theta)])

    def mixed(self, theta: np.ndarray, u: Array, q: Array) -> np.ndarray:
        """B_i*q_i = ∂_θ <∇Φ_i(u_i; θ), q_i>: float64, shape (n, p)."""
        parts = [(t, t.mixed(part, u, q)) for t, part in self.parts(theta)]
        for t, B in parts:
            _check_shape(f"{type(t).__name__}.mixed", B, (len(u), len(t.names)))
        return np.concatenate([B for _, B in parts], axis=1)

    def mixed_apply(self, theta: np.ndarray, u: Array, dtheta: np.ndarray) -> Array:
        """B_i dθ, as ``u``."""
        steps = self.parts(dtheta)
        total = self.xp.zeros_like(u)
        for (t, part), (_, step) in zip(self.parts(theta), steps, strict=True):
            if t.names:
                change = t.mixed_apply(part, u, step)
                _check_shape(f"{type(t).__name__}.mixed_apply", change, u.shape)
                total += change
        return total

    def start(self, given: Array | None = None) -> Array:
        """u = 0 for every sample, or a copy of the images ``given``.

        Raises
        ------
        ValueError
            where those are of another shape or dtype.
        """
        shape = (self.n, *self.dims)
        if given is None:
            return self.xp.zeros(shape, dtype=self.dtype)
        if given.shape != shape or given.dtype != self.dtype:
            raise ValueError(f"start has shape {given.shape} and dtype {given.dtype}; expected {shape} of {self.dtype}")
        return self.xp.ascontiguousarray(given).copy()

    def initial(self) -> np.ndarray:
        starts = [t.initial() for t in self.terms]
        return super().initial() if any(s is None for s in starts) else np.concatenate(starts)

    def with_data(self, b: Array) -> LowerLevel:
        """The same lower level for other data ``b``, shape (n,) + data dims."""
        first = self.terms[0]
        fidelity = None if isinstance(first, Fixed) else first.with_data(b)
        terms = (t.with_data(b) for t in self.terms[1:])
        return LowerLevel(self.A, b, *terms, fidelity=fidelity, observe=self.observe)

    def observed(self, u: Array) -> Array:
        """Pu, what is compared with the true images."""
        return u if self.observe is None else self.observe.apply(u)

    def take(self, index: np.ndarray) -> LowerLevel:
        """The lower level of a part of the samples."""
        part = copy.copy(self)
        part.b, part.n = self.b[index], len(index)
        part.terms = [t.take(index) for t in self.terms]
        return part


def _first_images(A: Any, b: Array) -> Array:
    """The data where they are images, else their first steepest-descent iterates from 0: of three samples at most."""
    b = b[np.linspace(0, len(b) - 1, min(3, len(b))).astype(int)]
    if A is None:
        return b
    back = A.apply_adjoint(b)
    steps = backend.sum_squares(back, True) / np.maximum(backend.sum_squares(A.apply(back), True), np.finfo("f4").tiny)
    return back * backend.per_sample(steps, back)


def _unless_unknown(f: Callable[[list[Any]], Any], parts: Sequence[Any]) -> Any:
    """f(parts); None where one of them is."""
    known = [p for p in parts if p is not None]
    return f(known) if len(known) == len(parts) else None


def check_range(xp: ModuleType, values: Array, dtype: np.dtype, name: str) -> None:
    """Refuse values so large or small that their cubes, which Hessians have, leave the range of ``dtype``."""
    size, limits = float(xp.abs(values).max()), np.finfo(dtype)
    low, high = MARGIN * float(limits.tiny) ** (1 / 3), float(limits.max) ** (1 / 3) / MARGIN
    if 0 < size < low or high < size < math.inf:
        given = f"values up to {size:.1e} in {dtype}"
        raise ValueError(f"{name} has {given}; expected {low:.0e} to {high:.0e}, in another unit, or float64")


def _check_observe(observe: Any, dims: tuple[int, ...]) -> Any:
    P = check_operator(observe, "observe")
    if tuple(P.dims) != dims:
        raise ValueError(f"observe takes arrays of shape {tuple(P.dims)}; expected {dims}, that of the unknown")
    if P.norm() > 1 + 1e-12:
        raise ValueError(f"observe has norm {P.norm():g}; expected at most 1, so that bounds of errors hold for Pu")
    return P


def _functional(t: ParametricTerm, theta: np.ndarray) -> Functional:
    f = t.functional(theta)
    if not isinstance(f, Functional):
        raise TypeError(f"{type(t).__name__}.functional gave {type(f).__name__} at {theta}; expected a Functional")
    return f


def _check_shape(what: str, found: Any, shape: tuple[int, ...]) -> None:
    """Refuse what a user's term should not give."""
    is_array = backend.is_array(found)
    if not is_array or found.shape != tuple(shape):
        given = f"shape {found.shape}" if is_array else type(found).__name__
        raise ValueError(f"{what} gave {given}; expected an array of shape {tuple(shape)}")


def _as_term(t: Any) -> ParametricTerm:
    if isinstance(t, ParametricTerm):
        if not isinstance(t.names, tuple | list) or not all(isinstance(name, str) for name in t.names):
            raise TypeError(f"names of {type(t).__name__} is {t.names!r}; expected a tuple of strings")
        return t
    if isinstance(t, Functional):
        if not t.has_grad:
            raise TypeError(f"terms has {t.name}, which has no gradient; expected smooth ones, SmoothedTV for TV")
        return Fixed(t)
    raise TypeError(f"terms has {type(t).__name__}; expected parametric terms or functionals")


def _told(theta: Any) -> str:
    """θ in an error: its entries, or where they are many the range of them."""
    theta = np.asarray(theta)
    return str(theta) if theta.size <= SHORT else f"{theta.size} numbers from {theta.min():.3g} to {theta.max():.3g}"
