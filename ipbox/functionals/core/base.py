"""The base class of every functional: value, gradient, prox, conjugate, and an algebra that means what it says."""

from __future__ import annotations

import copy
import math
import numbers
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
import pyproximal

from ipbox import backend, kernels, shares, summary
from ipbox.backend import Array
from ipbox.checks import check_dims, check_float, counted, is_number, shown

ALL_DTYPES = ("float32", "float64", "complex64", "complex128")
REAL_DTYPES = ("float32", "float64")
Work = dict[str, Any] | None  # scratch and warm starts, owned by a solver's state


class Functional(pyproximal.ProxOperator):
    """A functional f = weight·g on N-D arrays; a `pyproximal.ProxOperator`.

    Immutable: warm starts and scratch live in the ``work`` dictionary of whoever calls; without it a call starts cold.
    A subclass gives what it has of ``_value``, ``_grad``, ``_prox`` and ``_conj`` for g, and says so in ``has_grad``
    and ``has_prox``.

    Attributes
    ----------
    weight : float
        Factor λ > 0 (negative only where f is smooth).
    dims : tuple of int or None
        Image shape where the functional is tied to one.
    L, mu : float
        Lipschitz constant of the gradient (inf where non-smooth), modulus of strong convexity.
    has_grad, has_prox : bool
    explicit : bool
        Whether `value` exists (False for implicit priors such as denoisers).
    finite_conj : bool
        Whether f* is finite everywhere, as a duality gap of the primal functional needs.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> f = 2 * ip.L1() + ip.Box(0, 1)
    >>> f.value(np.array([0.5, 0.25]))
    1.5
    """

    __array_ufunc__ = None  # np.float64(2) * f must come to us
    # What a class declares is what the contracts test and what the table of docs/what-runs-where.md says.
    backends: ClassVar[tuple[str, ...]] = ("numpy", "cupy")
    dtypes: ClassVar[tuple[str, ...]] = ALL_DTYPES
    has_grad = False
    has_prox = False
    explicit = True
    finite_conj = False
    # What solvers say, or ask, where a functional knows more.
    why_no_grad = "it has no gradient"
    foreign = False  # of another package: what it computes is not known, so nothing is proved with it
    inexact_prox = False  # by iteration, where theorems ask for the prox itself
    shared_work: ClassVar[frozenset[str]] = frozenset({"shared"})  # entries of ``work``, nested or not: see `shared`
    L_holds_on: str | None = None  # where the Lipschitz constant holds, if not everywhere
    b: Array | None = None  # data
    ranks: shares.Sharing | None = None  # who share the data, each with a part; the image is whole
    by_slabs: bool = False  # whether it is known for images of which each of several ranks has some slices

    def __init__(self, dims: tuple[int, ...] | None = None) -> None:
        super().__init__(None, self.has_grad)
        self.dims = None if dims is None else check_dims(dims, "dims")
        self.weight = 1.0

    # ------------------------------------------------------------ to be given by a subclass, for g

    def _value(self, x: Array, batch: bool) -> Any:
        """g(x): a number, or one for each sample, which it may give without ``batch`` too."""
        raise TypeError(f"{self.name} has no value")

    def _grad(self, x: Array, out: Array, work: Work) -> None:
        raise TypeError(f"{self.name} has no gradient")

    def _value_grad(self, x: Array, out: Array, work: Work, batch: bool) -> Any:
        """g(x), and out <- ∇g(x); ``out`` may be ``x`` where it may be for `_grad`."""
        value = self._value(x, batch)
        self._grad(x, out, work)
        return value

    def _hessian(self, x: Array, v: Array, out: Array, work: Work) -> None:
        """out <- ∇²g(x) v; ``out`` may be ``v``."""
        raise TypeError(f"{self.name} has no Hessian")

    def _prox(self, x: Array, t: Any, out: Array, work: Work) -> None:
        """out <- prox_{t g}(x); ``out`` may be ``x``; t is a float or has one entry per sample."""
        raise TypeError(f"{self.name} has no prox")

    def _prox_conj(self, y: Array, sigma: Any, out: Array, work: Work) -> None:
        """out <- prox_{σf*}(y) = y - σ prox_{f/σ}(y/σ) (Moreau), with the weight; ``out`` may be ``y``."""
        scale = backend.per_sample(sigma, y)
        p = self.prox(y / scale, 1.0 / sigma, work=work)
        p *= scale
        backend.array_module(y).subtract(y, p, out=out)

    def _conj(self, y: Array, weight: float, batch: bool) -> Any:
        """(weight·g)*(y)."""
        raise TypeError(f"{self.name} has no conjugate")

    if TYPE_CHECKING:  # attributes, or properties that compute them

        @property
        def _L(self) -> float: ...
        @property
        def _mu(self) -> float: ...
        @property
        def _hessian_lipschitz(self) -> float | None: ...

    else:
        _L = math.inf
        _mu = 0.0
        _hessian_lipschitz = None

    # ------------------------------------------------------------ public

    @property
    def name(self) -> str:
        """The class's name, with its weight."""
        return type(self).__name__ if self.weight == 1.0 else f"{self.weight:g}·{type(self).__name__}"

    @property
    def L(self) -> float:
        return abs(self.weight) * self._L

    @property
    def curvature(self) -> float:
        """Typical curvature, the unit of step sizes and residuals: at the data, where L is the worst case."""
        return self.L

    @property
    def mu(self) -> float:
        return self.weight * self._mu if self.weight > 0 else 0.0

    @property
    def hessian_lipschitz(self) -> float | None:
        """Lipschitz constant of ∇²f in the operator norm; None where it is not known."""
        return None if self._hessian_lipschitz is None else abs(self.weight) * self._hessian_lipschitz

    def hessian_variation(self, q: Array) -> np.ndarray | None:
        """T_i with ‖(∇²f(x + w) - ∇²f(x)) q_i‖ <= T_i ‖w‖ for all x and w, float64, for a batch of q.

        At most `hessian_lipschitz` times ‖q_i‖, and None where that is not known.
        """
        constant = self.hessian_lipschitz
        return None if constant is None else constant * np.sqrt(backend.sum_squares(q, True))

    def diagonal_bound(self, x: Array, times: Any = 1.0) -> Any:
        """``times`` · d with ∇²f(x) <= diag(d), of smooth f: d is a number, or an array like ``x``."""
        return self.L * times

    @property
    def has_conj(self) -> bool:
        """Whether `conj` is known."""
        return type(self)._conj is not Functional._conj

    @property
    def has_hessian(self) -> bool:
        """Whether `hessian_apply` is known."""
        return type(self)._hessian is not Functional._hessian

    @property
    def is_convex(self) -> bool:
        return self.weight >= 0

    _form: ClassVar[str] = ""  # g as text, for an image named {u} and attributes {f.…} of this functional

    def _formula(self, u: str) -> str:
        """g of an image named ``u``."""
        return self._form.format(u=u, f=self) if self._form else f"{type(self).__name__}({u})"

    def formula(self, u: str = "u") -> str:
        """f of an image named ``u``, as text.

        Examples
        --------
        >>> import ipbox as ip
        >>> f = 0.1 * ip.L1() @ ip.Gradient((3, 4)) + ip.Box(0, 1)
        >>> f.formula()
        '0.1·‖∇u‖₁ + ι(0 ≤ u ≤ 1)'
        """
        text = self._formula(u)
        return text if self.weight == 1.0 else f"{self.weight:g}·{text}"

    def __repr__(self) -> str:
        image = "" if self.dims is None else f", u: {self.dims}"
        return summary.shortened(f"{type(self).__name__}: {self.formula()}{image}")

    _repr_html_ = summary.as_html

    def __call__(self, x: Array) -> float:
        return self.value(x)

    def value(self, x: Array, batch: bool = False) -> Any:
        """f(x): a float, or with ``batch`` one float64 per sample of the first axis."""
        with shares.shared_by(self.ranks):
            return self.weight * _total(self._value(self._enter(x, batch), batch), batch)

    def grad(self, x: Array, out: Array | None = None, work: Work = None) -> Array:
        """∇f(x), written to ``out`` where given.

        Raises
        ------
        TypeError
            where f is not differentiable (never a Moreau envelope instead).
        """
        z = self._enter(x)
        g = _target(x, z, out)
        self._grad(z, g, work)
        if self.weight != 1.0:
            g *= self.weight
        return _leave(g, x, out)

    def value_grad(
        self, x: Array, out: Array | None = None, work: Work = None, batch: bool = False
    ) -> tuple[Any, Array]:
        """f(x) and ∇f(x), with one application of an operator and one of its adjoint."""
        z = self._enter(x, batch)
        g = _target(x, z, out)
        with shares.shared_by(self.ranks):
            value = _total(self._value_grad(z, g, work, batch), batch)
        if self.weight != 1.0:
            g *= self.weight
        return self.weight * value, _leave(g, x, out)

    def hessian_apply(self, x: Array, v: Array, out: Array | None = None, work: Work = None) -> Array:
        """∇²f(x) v, written to ``out`` where given.

        Parameters
        ----------
        x, v : array, shape dims
            Of one dtype, with the same leading batch axes.
        out : array, optional
        work : dict, optional

        Raises
        ------
        TypeError
            where f is not twice differentiable, or its Hessian is not known.

        Examples
        --------
        >>> import numpy as np, ipbox as ip
        >>> f, u = ip.SmoothedTV((2, 2), eps=0.5), np.zeros((2, 2))
        >>> f.hessian_apply(u, np.array([[0.0, 1.0], [0.0, 1.0]])).tolist()     # ∇*∇v/ν
        [[-2.0, 2.0], [-2.0, 2.0]]
        """
        z, d = self._enter(x), self._enter(v)
        backend.array_module(z, d)
        h = _target(v, d, out)
        self._hessian(z, d, h, work)
        if self.weight != 1.0:
            h *= self.weight
        return _leave(h, v, out)

    def prox(self, x: Array, tau: Any, out: Array | None = None, work: Work = None) -> Array:
        """prox_{τf}(x) = argmin_u f(u) + ‖u - x‖²/(2τ), in the shape of ``x`` (the image's, or flat)."""
        self._check_convex("prox")
        z, tau = self._enter(x), _lone(check_step(tau, "tau"), x)
        if np.ndim(tau) and (len(tau) != len(x) or self.dims is not None and z.ndim != 1 + len(self.dims)):
            raise ValueError(
                f"tau has {counted(len(tau), 'entry')}; expected a number, or one for each sample of x {x.shape}"
            )
        p = _target(x, z, out)
        self._prox(z, tau * self.weight, p, work)
        return _leave(p, x, out)

    def prox_conj(self, y: Array, sigma: Any, out: Array | None = None, work: Work = None) -> Array:
        """prox_{σf*}(y), for a convex f."""
        self._check_convex("prox of the conjugate")
        z, sigma = self._enter(y), _lone(check_step(sigma, "sigma"), y)
        p = _target(y, z, out)
        self._prox_conj(z, sigma, p, work)
        return _leave(p, y, out)

    def proxdual(self, x: Array, tau: Any, **kwargs: Any) -> Array:
        """PyProximal's name of `prox_conj`."""
        return self.prox_conj(x, tau, **kwargs)

    def conj(self, y: Array, batch: bool = False) -> Any:
        """f*(y) = sup_u <u, y> - f(u)."""
        self._check_convex("conjugate")
        with shares.shared_by(self.ranks):
            return _total(self._conj(self._enter(y, batch), self.weight, batch), batch)

    def take(self, index: np.ndarray) -> Functional:
        """The functional of a part of the samples of a batch (itself, unless it holds data of each sample)."""
        return self

    # ------------------------------------------------------------ roles (see solvers.core.Problem)

    def as_dual(self, like: Any) -> Any:
        """This functional as g∘K for a primal-dual method, or None where it has no prox."""
        from ipbox.functionals.core.composition import Composition
        from ipbox.operators import Identity

        return Composition(self, Identity(like.dims, like.dtype)) if self.has_prox else None

    def merge(self, other: Functional) -> Functional | None:
        """One functional with a prox that is worth self + other, or None."""
        return None

    def pixelwise(self, x: Array) -> dict[str, Any] | None:
        """``lo``, ``hi``, ``b`` and ``w`` of `kernels.primal_step`, where `descend` on ``x`` is that."""
        return None

    def descend(self, x: Array, d: Array, tau: float, theta: float, x_bar: Array, work: Work = None) -> None:
        """x⁺ = prox_{τf}(x - τd), x̄ = x⁺ + θ(x⁺ - x), in place on ``x`` and ``x_bar``."""
        step = self.pixelwise(x)
        if step is not None:
            kernels.primal_step(x, d, tau, theta, x_bar, **step)
            return
        z = buffer(work, "z", x)
        z[...] = d
        z *= -tau
        z += x
        self.prox(z, tau, out=z, work=work)
        x_bar[...] = z
        x_bar -= x
        x_bar *= theta
        x_bar += z
        x[...] = z

    # ------------------------------------------------------------ algebra

    def scaled(self, c: float) -> Functional:
        """c·f."""
        weight = self.weight * c
        if not math.isfinite(weight):
            raise ValueError(f"weight is {weight}; expected a finite number")
        if c < 0 and not self.has_grad:
            raise ValueError(f"weight {c:g} of {self.name} is negative; expected a non-negative one (f is not smooth)")
        if weight == 0:
            from ipbox.functionals.core.sum import Zero

            return Zero(self.dims)
        f = copy.copy(self)
        f.weight = weight
        return f

    def __mul__(self, c: Any) -> Functional:
        if not isinstance(c, numbers.Real):
            return NotImplemented
        return self.scaled(check_float(c, "factor"))

    __rmul__ = __mul__

    def __neg__(self) -> Functional:
        return self.scaled(-1.0)

    def __add__(self, other: Any) -> Functional:
        if backend.is_array(other) or isinstance(other, numbers.Number):
            raise TypeError(f"f + {type(other).__name__} is not defined; expected a functional")
        from ipbox.functionals.core.adapters import as_functional
        from ipbox.functionals.core.sum import Sum, terms_of

        return Sum([*terms_of(self), *terms_of(as_functional(other))])

    def __radd__(self, other: Any) -> Functional:
        from ipbox.functionals.core.adapters import as_functional

        if isinstance(other, int) and other == 0:  # where sum([f, g]) starts
            return self
        return as_functional(other) + self

    def __sub__(self, other: Any) -> Functional:
        from ipbox.functionals.core.adapters import as_functional

        return self + as_functional(other).scaled(-1.0)

    def __matmul__(self, K: Any) -> Functional:
        """g @ K is g∘K."""
        from ipbox.functionals.core.composition import Composition
        from ipbox.operators import as_operator

        return Composition(self, as_operator(K))

    # ------------------------------------------------------------ helpers

    def _check_convex(self, what: str) -> None:
        if self.weight < 0:
            raise ValueError(f"{self.name} has a negative weight, so no {what}; expected a convex functional")

    def _own_dtype(self) -> np.dtype | None:
        """The dtype of the images of a functional that has one, with its operator or data."""
        return None

    def _enter(self, x: Array, batch: bool = False) -> Array:
        """``x`` in the image's shape: PyProximal's solvers hand over flat vectors, in any precision."""
        backend.array_module(x)
        own = self._own_dtype()
        if x.ndim == 1 and own is not None and x.dtype != own and x.dtype.kind == own.kind:
            x = x.astype(own)
        if x.dtype.char not in "fdFD" or not x.dtype.isnative:
            raise TypeError(f"x has dtype {x.dtype}; expected float32, float64, complex64 or complex128")
        if x.dtype.kind == "c" and self.dtypes == REAL_DTYPES:
            raise TypeError(f"x has dtype {x.dtype}; {type(self).__name__} expects a real image")
        if x.ndim == 0:
            raise ValueError("x has shape (); expected at least one axis")
        nd = 0 if self.dims is None else len(self.dims)
        if batch and nd and x.ndim != nd + 1:
            who = type(self).__name__
            raise ValueError(f"x has shape {x.shape}; {who} with batch expects (samples,) + {self.dims}")
        if self.dims is None:
            return x
        if x.shape[max(x.ndim - nd, 0) :] == self.dims:
            return x
        if x.ndim == 1 and x.size == math.prod(self.dims):
            return x.reshape(self.dims)
        raise ValueError(f"x has shape {x.shape}; {type(self).__name__} expects {self.dims}, or the same flattened")


def _lone(tau: Any, x: Array) -> Any:
    """An array of one step size as a number, which PyProximal's Anderson hands over, but for a batch of one sample."""
    return float(tau[0]) if np.ndim(tau) and len(tau) == 1 and (x.ndim == 1 or len(x) != 1) else tau


def indicator(inside: Array, batch: bool) -> Any:
    """0 where all entries are ``inside``, inf elsewhere; with ``batch`` of each sample."""
    values = np.where(backend.every(inside, batch), 0.0, math.inf)
    return values if batch else float(values)


def _total(values: Any, batch: bool) -> Any:
    return values if batch or np.ndim(values) == 0 else float(values.sum())


def _target(x: Array, z: Array, out: Array | None) -> Array:
    """Where a result for ``z``, which is ``x`` in another shape, is computed: ``out``, or a new array in C order."""
    if out is not None:
        backend.array_module(x, out)
    if out is not None and (out.shape != x.shape or out.dtype != z.dtype):
        raise ValueError(f"out has shape {out.shape} and dtype {out.dtype}; expected {x.shape} and {z.dtype}, as x")
    if out is not None and out.flags.c_contiguous:
        return out.reshape(z.shape)
    return backend.array_module(z).empty(z.shape, dtype=z.dtype)


def _leave(result: Array, x: Array, out: Array | None) -> Array:
    """The result in the shape of ``x``, in ``out`` where given."""
    result = result.reshape(x.shape)
    if out is None or out.flags.c_contiguous:
        return result
    out[...] = result
    return out


def buffer(work: Work, key: str, like: Array, shape: tuple[int, ...] | None = None, dtype: Any = None) -> Array:
    """The array ``work[key]``, allocated at the first call (a fresh one where there is no ``work``)."""
    shape = like.shape if shape is None else shape
    if work is not None and key in work and work[key].shape == shape:
        return work[key]
    a = backend.array_module(like).empty(shape, dtype=like.dtype if dtype is None else dtype)
    if work is not None:
        work[key] = a
    return a


def child(work: Work, key: str) -> Work:
    """The dictionary ``work[key]`` of a part of the functional."""
    return None if work is None else work.setdefault(key, {})


def shared(work: Work) -> dict[str, Any]:
    """The part of ``work`` that belongs to no sample; all its other arrays have the batch as their first axis."""
    return {} if work is None else work.setdefault("shared", {})


def check_step(tau: Any, name: str) -> Any:
    """A positive step size: a float, or a float64 vector with one entry per sample."""
    if np.ndim(tau) == 0:
        if not is_number(tau):
            raise TypeError(f"{name} is {shown(tau)}; expected a positive number")
        tau = float(tau)
        if not (tau > 0 and math.isfinite(tau)):
            raise ValueError(f"{name} is {tau:g}; expected a positive number")
        return tau
    tau = np.asarray(tau)
    if tau.dtype.kind not in "iuf":
        raise TypeError(f"{name} has dtype {tau.dtype}; expected positive numbers")
    tau = tau.astype(np.float64)
    if tau.ndim != 1 or not (tau > 0).all() or not np.isfinite(tau).all():
        raise ValueError(f"{name} has shape {tau.shape}; expected positive numbers, one per sample")
    return tau
