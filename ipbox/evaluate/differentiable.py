"""Reconstruction maps Φ whose derivative is known: learned maps, operators, smooth variational methods."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_count, check_flag, check_positive
from ipbox.functionals import L2, Functional, NonNegative, Quadratic
from ipbox.keywords import answering
from ipbox.operators import Operator, as_operator, operator
from ipbox.operators.core.adapters import is_foreign
from ipbox.solvers import CG, FISTA, LBFGS, Problem, solve, stopping

Pullback = Callable[[Array], Array]


@runtime_checkable
class Differentiable(Protocol):
    """Φ with its derivative.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> phi = ip.evaluate.as_differentiable(3 * ip.Identity((2,), "float64"))
    >>> x, pull_back = phi.pull_back(np.ones(2))
    >>> x, pull_back(np.ones(2))
    (array([3., 3.]), array([3., 3.]))
    """

    def __call__(self, b: Array) -> Array:
        """Φ(b)."""

    def pull_back(self, b: Array) -> tuple[Array, Pullback]:
        """Φ(b), and w ↦ J* w for the Jacobian J of Φ at b."""


@runtime_checkable
class TorchModule(Protocol):
    """What of a torch module is used here, which is not imported to find out."""

    def __call__(self, b: Any) -> Any: ...

    def modules(self) -> Any: ...

    def named_parameters(self) -> Any: ...


@dataclass(frozen=True)
class Linear:
    """Φ(b) = Bb.

    Parameters
    ----------
    B : Operator
        From data to images, such as A† = A*F.
    """

    B: Operator

    def __call__(self, b: Array) -> Array:
        return self.B.apply(b)

    def pull_back(self, b: Array) -> tuple[Array, Pullback]:
        return self.B.apply(b), self.B.apply_adjoint


@dataclass(frozen=True)
class Module:
    """A torch module that maps (N,) + data to (N,) + image, such as a `LearnedMap`, in evaluation mode."""

    net: Any

    def __call__(self, b: Array) -> Array:
        import torch

        with torch.no_grad():
            return self._run(b)[1]

    def pull_back(self, b: Array) -> tuple[Array, Pullback]:
        import torch

        from ipbox.learned.bridge.arrays import from_torch, to_torch

        xp = backend.array_module(b)
        with torch.inference_mode(False), torch.enable_grad():
            t = to_torch(b[None], copy=True).requires_grad_()
            u, x = self._run(t.clone(), xp)  # which a module may change
        if not u.requires_grad:
            raise self._no_derivative()

        def pullback(w: Array) -> Array:
            (g,) = torch.autograd.grad(u, t, to_torch(w[None], copy=True), retain_graph=True, allow_unused=True)
            if g is None:
                raise self._no_derivative()
            return from_torch(g.contiguous(), xp=xp)[0]

        return x, pullback

    @property
    def _name(self) -> str:
        return type(self.net).__name__

    def _no_derivative(self) -> TypeError:
        name = type(self.net).__name__
        return TypeError(
            f"phi is {name}, whose image has no derivative by the data; expected torch's operations all the way"
        )

    def _run(self, b: Any, xp: Any = None) -> tuple[Any, Array]:
        import torch

        from ipbox.learned.bridge.arrays import from_torch, to_torch

        xp = xp or backend.array_module(b)
        t = to_torch(b[None], copy=True) if backend.is_array(b) else b
        training = [m for m in self.net.modules() if m.training]
        self.net.eval()
        try:
            u = self.net(t)
        finally:
            for m in training:
                m.training = True
        if not isinstance(u, torch.Tensor):
            raise TypeError(
                f"phi is {type(self.net).__name__}, which gives {type(u).__name__}; expected a torch tensor"
            )
        return u, from_torch(u, copy=True, xp=xp)[0]


@dataclass(frozen=True)
class Variational:
    r"""Φ(b) = argmin_u ½‖Au - b‖² + R(u) for a convex R with a Hessian, such as λ `SmoothedTV`, optionally over u >= 0.

    The derivative is implicit: J* w = A(A*A + ∇²R(u))⁻¹ w, by conjugate gradients; with the constraint on the pixels
    where u > 0 alone.

    Parameters
    ----------
    A : Operator
    R : Functional
    tol : float
        Relative norm of the gradient at which the minimisation stops, and relative residual of the linear equation.
    niter : int
        Most iterations of either.
    nonneg : bool
        Constrain u >= 0.
    shape : tuple of int, optional
        Of the image, where A does not tell it (a matrix, a flat operator, two functions): see `as_operator`.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.evaluate import Variational
    >>> phi = Variational(ip.Identity((2,), "float64"), ip.L2())
    >>> x, pullback = phi.pull_back(np.array([2.0, 4.0]))
    >>> x.round(6), pullback(np.ones(2)).round(6)
    (array([1., 2.]), array([0.5, 0.5]))
    """

    A: Operator
    R: Functional
    tol: float = 1e-5
    niter: int = 2000
    nonneg: bool = False
    shape: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "A", as_operator(self.A, self.shape))
        if not self.R.has_grad or not self.R.has_hessian or not self.R.is_convex:
            raise ValueError(f"R is {self.R.name}; expected a convex functional with a Hessian, such as SmoothedTV")
        check_count(self.niter, "niter"), check_positive(self.tol, "tol"), check_flag(self.nonneg, "nonneg")

    def __call__(self, b: Array) -> Array:
        objective = L2(self.A, b) + self.R
        problem = Problem(objective + NonNegative() if self.nonneg else objective)
        solver = FISTA(restart="gradient") if self.nonneg else LBFGS()
        return solve(problem, solver, stop=stopping.residual(self.tol, every=10) | stopping.niter(self.niter)).x

    def pull_back(self, b: Array) -> tuple[Array, Pullback]:
        u, D = self(b), L2(self.A, b)
        free = (u > 0).astype(u.dtype) if self.nonneg else 1.0

        def hessian(v: Array) -> Array:
            v = free * v
            return free * (D.hessian_apply(u, v) + self.R.hessian_apply(u, v))

        H = operator(hessian, hessian, u.shape, u.shape, u.dtype, check=False, norm=1.0)

        def pullback(w: Array) -> Array:
            stop = stopping.residual(self.tol, every=1) | stopping.niter(self.niter)
            return self.A.apply(solve(Problem(Quadratic(H, free * w)), CG(), stop=stop).x)

        return u, pullback


def as_function(phi: Any, name: str) -> Callable[[Array], Array]:
    """b ↦ x on arrays: what `as_differentiable` takes, or a function, whose derivative is not asked for."""
    if isinstance(phi, Differentiable | TorchModule) or is_foreign(phi) or backend.is_array(phi):
        return as_differentiable(phi)
    if not callable(phi):
        raise TypeError(
            f"{name} is {type(phi).__name__}; expected a function of the data, a torch module or an operator"
        )

    def image(b: Array) -> Array:
        return backend.check_array(phi(b), f"the image of {name}", "an array, as of lambda b: ip.fbp(A, b)[0]")

    return image


@answering
def as_differentiable(phi: Any) -> Differentiable:
    """Φ with its derivative: an operator from data to images, a torch module, or what has ``pull_back`` already.

    Raises
    ------
    TypeError
        for anything else: of a plain function no derivative is known.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.evaluate import as_differentiable
    >>> as_differentiable(2 * ip.Identity((2,), "float64")).pull_back(np.ones(2))[1](np.ones(2))
    array([2., 2.])
    """
    if isinstance(phi, Differentiable):
        return phi
    if backend.is_array(phi) and (phi.ndim != 2 or phi.dtype.kind not in "fc"):
        raise TypeError(f"phi has shape {phi.shape} and dtype {phi.dtype}; expected a matrix of real or complex floats")
    if is_foreign(phi) or backend.is_array(phi):
        return Linear(as_operator(phi))
    if isinstance(phi, TorchModule):
        return Module(phi)
    raise TypeError(
        f"phi is {type(phi).__name__}; expected an operator from data to images, a torch module, or an object with "
        "pull_back, such as ip.evaluate.Variational"
    )


def check_takes(phi: Differentiable, b: Array, name: str) -> None:
    """Refuse data that a linear map does not take; of others nothing is known."""
    if isinstance(phi, Linear) and (b.shape, b.dtype) != (tuple(phi.B.dims), phi.B.dtype_in):
        expected = f"{tuple(phi.B.dims)} and {phi.B.dtype_in}"
        raise ValueError(f"{name} has shape {b.shape} and dtype {b.dtype}; expected {expected}, which phi takes")


def check_image(A: Operator, x: Array, name: str) -> None:
    backend.check_array(x, name)
    if (x.shape, x.dtype) != (tuple(A.dims), A.dtype_in):
        expected = f"{tuple(A.dims)} and {A.dtype_in}"
        raise ValueError(f"{name} has shape {x.shape} and dtype {x.dtype}; expected {expected}, which A takes")
