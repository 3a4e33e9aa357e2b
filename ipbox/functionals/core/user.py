"""A functional from functions of the user's: value, proximal operator, gradient."""

from __future__ import annotations

import inspect
import math
import numbers
from collections.abc import Callable
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_dims, check_not_negative, check_positive, check_type
from ipbox.functionals.core.base import Functional, Work
from ipbox.keywords import answering

SIZES = (1e-3, 1e-2, 0.1, 1.0)  # of the steps at which a minimiser is probed, relative to the image
DIRECTIONS = 8


@answering
def functional(
    value: Callable[[Array], Any] | None = None,
    *,
    prox: Callable[[Array, float], Array] | None = None,
    grad: Callable[[Array], Array] | None = None,
    L: float | None = None,
    dims: tuple[int, ...] | None = None,
    name: str = "f",
) -> FunctionFunctional:
    r"""A functional f from functions of your own, for every solver that can use what they give.

    .. math:: \mathrm{prox}_{τf}(x) = \arg\min_u f(u) + \frac{1}{2τ}\|u - x\|^2

    With ``grad`` it is a smooth term, with ``prox`` a proximal or dual one; with both, what the solver prefers.  Sums,
    weights and compositions are those of every functional: ``ip.L2(A, b) + 0.1 * f``, ``f @ K``.

    Parameters
    ----------
    value : callable, optional
        x -> f(x), a real number, inf where x breaks a constraint.  Without it the functional is implicit: there is no
        objective, and no backtracking.
    prox : callable, optional
        (x, τ) -> prox_{τf}(x), an array like x.
    grad : callable, optional
        x -> ∇f(x), an array like x.
    L : float, optional
        Lipschitz constant of ∇f, from which solvers take their step sizes; without it they need a line search or
        backtracking, as `ArmijoGradientDescent`, `LBFGS` and ``FISTA(backtracking=True)`` have it.
    dims : tuple of int, optional
        Shape of one image: needed in a batch, whose samples are handed over one by one.
    name : str
        Shown in ``info.splitting`` and in messages.

    Returns
    -------
    FunctionFunctional
        Its ``check(x)`` tests on random directions that prox and gradient belong to the value.  Nothing is proved of
        it: solvers claim no theorem and no certificate.

    Raises
    ------
    TypeError
        for what is no function; later, where one gives something else than it should.
    ValueError
        without prox and grad, or for a negative L or one without ``grad``.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> f = ip.functional(lambda x: abs(x).sum(), prox=lambda x, tau: np.sign(x) * np.maximum(abs(x) - tau, 0))
    >>> f.check(np.array([2.0, -0.3, 0.7]))
    >>> problem = ip.Problem(ip.L2(b=np.array([2.0, -0.3, 0.7])) + 0.5 * f)
    >>> ip.solve(problem, ip.FISTA(), stop=ip.stop.niter(50)).x.round(6) + 0
    array([1.5, 0. , 0.2])
    """
    return FunctionFunctional(value, prox, grad, L, dims, name)


ARGUMENTS = {
    "value": "value(x)",
    "grad": "grad(x)",
    "prox": "prox(x, tau), the v that minimises f(v) + ‖v - x‖²/(2 tau)",
}


def _check_arguments(function: Callable[..., Any] | None, what: str) -> None:
    """That it takes as many arguments as it will be given, where it tells."""
    try:
        takes = None if function is None else inspect.signature(function)
    except (ValueError, TypeError):  # of some built-in functions nothing is known
        return
    if takes is None:
        return
    try:
        takes.bind(*(None,) * (2 if what == "prox" else 1))
    except TypeError as err:
        raise TypeError(f"{what} is a function of {takes}; expected {ARGUMENTS[what]}") from err


class FunctionFunctional(Functional):
    """What `functional` gives; the arguments are described there.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> R = ip.functional(lambda x: np.sum(np.abs(x)), prox=lambda x, t: np.sign(x) * np.maximum(np.abs(x) - t, 0))
    >>> type(R).__name__, R.prox(np.array([3.0, -0.5]), 1.0)
    ('FunctionFunctional', array([ 2., -0.]))
    """

    _L: float
    foreign = True

    def __init__(
        self,
        value: Callable[[Array], Any] | None,
        prox: Callable[[Array, float], Array] | None,
        grad: Callable[[Array], Array] | None,
        L: float | None = None,
        dims: tuple[int, ...] | None = None,
        name: str = "f",
    ) -> None:
        self._functions = {"value": value, "prox": prox, "grad": grad}
        for what, given in self._functions.items():
            check_type(given, what, Callable | None, "a function")
            _check_arguments(given, what)
        if prox is None and grad is None:
            raise ValueError("prox and grad are None; expected one of them: no solver can use a value alone")
        if L is not None and grad is None:
            raise ValueError(f"L is {L} and grad is None; expected it with grad, whose Lipschitz constant it is")
        self.explicit, self.has_prox, self.has_grad = value is not None, prox is not None, grad is not None
        self.why_no_grad = "no grad was given to ip.functional"
        self._L = math.inf if L is None else check_not_negative(L, "L")
        self._name = check_type(name, "name", str, "text")
        super().__init__(None if dims is None else check_dims(dims, "dims"))

    @property
    def name(self) -> str:
        return self._name if self.weight == 1.0 else f"{self.weight:g}·{self._name}"

    def _formula(self, u: str) -> str:
        return f"{self._name}({u})"

    def _value(self, x: Array, batch: bool) -> Any:
        function = self._given("value")
        if batch or self._is_batch(x):
            values = np.array([self._value(s, False) for s in x], np.float64)
            return values if batch else float(values.sum())
        value = function(x.copy())
        if backend.is_array(value) and value.ndim == 0:
            value = value.item()
        if not isinstance(value, numbers.Real):
            told = value if isinstance(value, numbers.Number) else f"{type(value).__name__}"
            raise TypeError(f"value of {self._name} gave {told}; expected a real number, or inf")
        return float(value)

    def _grad(self, x: Array, out: Array, work: Work) -> None:
        function = self._given("grad")
        for xi, oi in zip(x, out, strict=True) if self._is_batch(x) else [(x, out)]:
            oi[...] = self._checked("grad", function(xi.copy()), xi)

    def _prox(self, x: Array, t: Any, out: Array, work: Work) -> None:
        function, several = self._given("prox"), bool(np.ndim(t)) or self._is_batch(x)
        samples, results = (x, out) if several else (x[None], out[None])
        for xi, ti, oi in zip(samples, np.broadcast_to(t, len(samples)), results, strict=True):
            oi[...] = self._checked("prox", function(xi.copy(), float(ti)), xi)

    def _is_batch(self, x: Array) -> bool:
        return self.dims is not None and x.ndim > len(self.dims)

    def _given(self, what: str) -> Callable[..., Any]:
        function = self._functions[what]
        if function is None:
            raise TypeError(f"{self._name} has no {what}; expected {what}=... in ip.functional")
        return function

    def _checked(self, what: str, value: Any, x: Array) -> Array:
        if not backend.is_array(value) or backend.is_device(value) != backend.is_device(x):
            raise TypeError(f"{what} of {self._name} gave {type(value).__name__}; expected an array like x")
        if value.shape != x.shape:
            raise ValueError(f"{what} of {self._name} gave shape {value.shape} for {x.shape}; expected the same")
        if value.dtype != x.dtype:
            raise TypeError(f"{what} of {self._name} gave {value.dtype} for {x.dtype}; expected the same")
        return value

    def check(self, x: Array, tau: float = 1.0, seed: int = 0) -> None:
        """Test at x that the functions belong together, on random directions.

        The prox is compared with points around it, which must not have a lower f(u) + ‖u - x‖²/(2τ), and the gradient
        with differences of f; without a value the prox has to be firmly non-expansive.

        Parameters
        ----------
        x : array
            An image, in double precision, where f is differentiable if a gradient was given.
        tau : float
        seed : int

        Raises
        ------
        ValueError
            where they do not, with the numbers.

        Examples
        --------
        >>> import numpy as np, ipbox as ip
        >>> ip.functional(lambda x: (x**2).sum(), grad=lambda x: x).check(np.ones(3))
        Traceback (most recent call last):
            ...
        ValueError: grad of f is not that of value: <∇f(x), d> = ..., and differences of f give ...; expected the same
        """
        rng, tau = np.random.default_rng(seed), check_positive(tau, "tau")
        size = backend.norm(x) / math.sqrt(x.size) or 1.0
        directions = [size * _draw(rng, x) for _ in range(DIRECTIONS)]
        if self.has_grad and self.explicit:
            self._check_gradient(x, directions)
        if self.has_prox and self.explicit:
            self._check_minimiser(x, directions, tau)
        elif self.has_prox:
            self._check_firm(x, directions, tau)

    def _check_gradient(self, x: Array, directions: list[Array]) -> None:
        h = float(np.finfo(x.dtype).eps) ** (1 / 3)
        g = self.grad(x)
        for d in directions:
            expected = (self.value(x + h * d) - self.value(x - h * d)) / (2 * h)
            scale = backend.norm(g) * backend.norm(d) + abs(expected)
            found = backend.dot(g, d)
            if not abs(found - expected) <= 1e-4 * scale:
                raise ValueError(
                    f"grad of {self.name} is not that of value: <∇f(x), d> = {found:.6g}, and differences of f give "
                    f"{expected:.6g}; expected the same"
                )

    def _check_minimiser(self, x: Array, directions: list[Array], tau: float) -> None:
        p = self.prox(x, tau)

        def objective(u: Array) -> float:
            return self.value(u) + backend.sum_squares(u - x) / (2 * tau)

        least = objective(p)
        if not math.isfinite(least):
            raise ValueError(
                f"prox of {self.name} is not that of value, which is {self.value(p)} at it; expected a number"
            )
        slack = 1e3 * float(np.finfo(x.dtype).eps) * (abs(least) + backend.sum_squares(x) / tau)
        steps = [s * t * d for t in SIZES for d in directions for s in (1, -1)] + [t * (x - p) for t in SIZES]
        best = min(objective(p + step) for step in steps)
        if not least <= best + slack:
            raise ValueError(
                f"prox of {self.name} is not that of value: f(p) + ‖p - x‖²/(2τ) = {least:.6g} at p = prox(x, {tau:g}),"
                f" and {best:.6g} near by; expected the least"
            )

    def _check_firm(self, x: Array, directions: list[Array], tau: float) -> None:
        p = self.prox(x, tau)
        for d in directions:
            move = self.prox(x + d, tau) - p
            moved, along = backend.sum_squares(move), backend.dot(move, d)
            if not moved <= along + 1e-8 * backend.sum_squares(d):
                raise ValueError(
                    f"prox of {self.name} is of no convex functional: ‖p - q‖² = {moved:.6g} and <p - q, x - y> = "
                    f"{along:.6g} at the prox of two points; expected at most that"
                )


def _draw(rng: np.random.Generator, x: Array) -> Array:
    d = rng.standard_normal(x.shape)
    d = d + 1j * rng.standard_normal(x.shape) if x.dtype.kind == "c" else d
    return backend.to_device(d.astype(x.dtype), backend.array_module(x))
