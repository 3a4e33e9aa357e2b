"""The lower-level oracle: (θ, accuracy, start) ↦ û with a proved bound on its error, and what it cost."""

from __future__ import annotations

import contextlib
import copy
from dataclasses import dataclass
from typing import Any

import numpy as np

from ipbox import backend, summary
from ipbox.backend import Array
from ipbox.bilevel.problem.lower import LowerLevel
from ipbox.bilevel.problem.result import Cost
from ipbox.bilevel.problem.samples import check_each, norms
from ipbox.bilevel.terms.base import Fixed
from ipbox.functionals import L2, Functional
from ipbox.functionals.core.base import Work
from ipbox.keywords import answering
from ipbox.operators import counting
from ipbox.solvers import Diverged, GradientDescent, Nesterov, Problem, solve
from ipbox.solvers.core.protocol import Solver
from ipbox.solvers.core.run import Run
from ipbox.solvers.core.stop_rule import StopRule
from ipbox.solvers.core.stopping import niter

MAX_ITERATIONS = 100_000
RAISES = 40  # of an estimated Lipschitz constant, by a factor of 2 at least
FUSED = {Nesterov: "fista", GradientDescent: "gradient"}


@dataclass
class LowerSolution:
    """û of every sample.

    ``certificate`` (n,) bounds ‖u_i - û_i(θ)‖ by ‖∇Φ_i(u_i)‖/μ, as it was computed, not as it was asked for;
    ``iterations`` (n,) were taken.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.bilevel import LowerLevel, Weight, solve_lower
    >>> lower = LowerLevel(None, np.array([[0.0, 0.0, 1.0, 1.0]]), Weight(ip.SmoothedTV((4,), eps=0.1)))
    >>> found = solve_lower(lower, [-1.0], accuracy=1e-6)
    >>> found.u.shape, bool(found.certificate[0] <= 1e-6)
    ((1, 4), True)
    """

    u: Array
    certificate: np.ndarray
    iterations: np.ndarray
    cost: Cost

    __repr__ = summary.of_fields


@answering
def solve_lower(
    lower: LowerLevel,
    theta: Any,
    accuracy: Any = None,
    start: Array | None = None,
    method: Solver | None = None,
    max_iterations: int = MAX_ITERATIONS,
    iterations: int | None = None,
) -> LowerSolution:
    """Solve the lower level until ‖∇Φ_i(u_i)‖/μ <= accuracy_i, which bounds ‖u_i - û_i(θ)‖.

    Parameters
    ----------
    lower : LowerLevel
    theta : array, shape (p,)
    accuracy : float or array of shape (n,)
        ε > 0 for every sample.
    start : array, optional
        Warm start of all samples, kept; zeros by default.
    method : Solver, optional
        `ipbox.Nesterov()` (strongly convex FISTA) by default; or `GradientDescent`, `LBFGS`, any solver of smooth
        problems that has a certificate.
    max_iterations : int
        Ends a solve that does not reach the accuracy.
    iterations : int, optional
        Instead of an accuracy: exactly so many iterations.

    Returns
    -------
    LowerSolution

    Notes
    -----
    Where rounding allows no more, the solve ends too: the certificate is then larger than the accuracy.

    Raises
    ------
    ValueError, TypeError
        where the lower level is not strongly convex, or an argument is of no use.
    FloatingPointError
        where Φ gives NaN.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.bilevel import LowerLevel, Weight, solve_lower
    >>> lower = LowerLevel(None, np.array([[0.0, 0.0, 1.0, 1.0]]), Weight(ip.SmoothedTV((4,), eps=0.1)))
    >>> found = solve_lower(lower, [-1.0], accuracy=1e-6)
    >>> found.u.round(3), bool(found.certificate[0] <= 1e-6)
    (array([[0.032, 0.067, 0.933, 0.968]]), True)
    """
    theta = lower.check(theta)
    method = Nesterov() if method is None else method
    if not isinstance(method, Solver):
        raise TypeError(f"method is {method!r}; expected a configured solver, such as ip.Nesterov()")
    if (accuracy is None) == (iterations is None):
        raise ValueError(f"accuracy is {accuracy} and iterations is {iterations}; expected one of them")
    tolerance = np.zeros(lower.n) if accuracy is None else check_each(accuracy, "accuracy", lower.n)
    u, spent = lower.start(start), lower.products
    lower.constants(theta)  # refuses what is not strongly convex
    fused = _fused(lower, theta, method)
    if fused is not None:
        most = max_iterations if iterations is None else iterations
        with _counting(lower) as count:
            steps, certificate = fused(u, tolerance, most, iterations)
        cost = Cost(gradients=float(steps.sum()), applications=0.0 if count is None else count.total)
        found = LowerSolution(u, certificate, steps, cost)
    else:
        found = _by_solver(lower, theta, u, method, tolerance, max_iterations, iterations)
    found.cost.hessians += lower.products - spent
    if not np.isfinite(found.certificate).all():
        bad = int(np.flatnonzero(~np.isfinite(found.certificate))[0])
        raise FloatingPointError(f"the lower level gave NaN or infinity at theta = {theta}, sample {bad}")
    return found


def _fused(lower: LowerLevel, theta: np.ndarray, method: Solver) -> Any:
    """The loop of a fused kernel, where one serves this lower level: denoising, or signals from Fourier samples."""
    name = FUSED.get(type(method))
    if name is None or method != type(method)():
        return None
    first = lower.terms[0]
    if first.signal_loop is not None:
        return first.signal_loop(lower.at(theta), *lower.constants(theta), name)
    if lower.A is not None or len(lower.terms) != 2 or not isinstance(first, Fixed) or type(first.f) is not L2:
        return None
    make = lower.terms[1].denoising_loop
    return None if make is None else make(theta, lower.b, name)


def _counting(lower: LowerLevel) -> Any:
    return contextlib.nullcontext() if lower.A is None else counting(lower.A)


# ---------------------------------------------------------------- by the solvers


def _by_solver(
    lower: LowerLevel,
    theta: np.ndarray,
    u: Array,
    method: Solver,
    tolerance: np.ndarray,
    most: int,
    iterations: int | None,
) -> LowerSolution:
    """The solve; again with a larger Lipschitz constant where it fails as a term has estimated its own too low."""
    cost, taken = Cost(), np.zeros(lower.n, dtype=int)
    for _ in range(RAISES):
        left = most - int(taken.max())
        stop = niter(iterations) if iterations is not None else Accuracy(tolerance) | niter(left)
        try:
            found = _attempt(lower, theta, u, method, stop, cost)
        except Diverged as err:
            near = u if err.x is None else err.x
            if not lower.estimates or not np.isfinite(backend.to_host(near)).all():
                raise FloatingPointError(f"the lower level gave NaN, or diverged, at theta = {theta}: {err}") from err
            lower.raise_lipschitz(theta, near)
            continue
        taken += found.iterations
        done = iterations is not None or (found.certificate <= tolerance).all() or taken.max() >= most
        if done or not lower.estimates or _is_rounding(lower, theta, found.u):
            return LowerSolution(found.u, found.certificate, taken, cost)
        if not _too_steep(lower, theta, found.u):
            break
        lower.raise_lipschitz(theta, found.u)
        u = found.u
    raise FloatingPointError(
        f"the lower level was not solved at theta = {theta}, whatever its Lipschitz constant; expected convex terms"
    )


def _is_rounding(lower: LowerLevel, theta: np.ndarray, u: Array) -> bool:
    """Whether ∇Φ(u) may be nothing but rounding."""
    f = lower.at(theta)
    size = f.L * norms(u) + norms(f.grad(lower.xp.zeros_like(u)))
    return bool((norms(f.grad(u)) <= float(np.finfo(lower.dtype).eps) ** 0.5 * size).all())


def _too_steep(lower: LowerLevel, theta: np.ndarray, u: Array) -> bool:
    """Whether two steps do not bring the descent that L, a Lipschitz constant of ∇Φ, promises."""
    f = lower.at(theta)
    for step in (1 / f.L, 2 / (f.L + f.mu)):
        v = u
        for _ in range(2):  # iterates may jump to and fro
            value, g = f.value_grad(v, batch=True)
            v = v - step * g
            promised = step * (1 - 0.5 * step * f.L) * np.asarray(backend.sum_squares(g, True))
            rounding = 100 * float(np.finfo(lower.dtype).eps) * abs(np.asarray(value))
            if not (value - f.value(v, batch=True) >= 0.99 * promised - rounding).all():
                return True
    return False


def _attempt(
    lower: LowerLevel, theta: np.ndarray, u: Array, method: Solver, stop: StopRule, cost: Cost
) -> LowerSolution:
    """One solve, whose work is added to ``cost``."""
    f = _Counted(lower.at(theta))
    problem = Problem(f, lower.n, lower.dims, lower.dtype, lower.xp.__name__)
    with _counting(lower) as count:
        try:
            found = solve(problem, method, x0=u, stop=stop)
        finally:
            cost.gradients += float(f.gradients[0])
            cost.applications += 0.0 if count is None else count.total
    if found.certificate.bound is None:
        raise TypeError(f"method is {type(method).__name__}, which has no certificate; expected one such as Nesterov()")
    certificate = np.asarray(found.certificate.bound, dtype=np.float64).reshape(lower.n)
    return LowerSolution(found.x, certificate, np.array(found.extra["niter_per_sample"]), cost)


class _Counted(Functional):
    """f, whose gradients are counted by the samples."""

    has_grad = True

    def __init__(self, f: Functional) -> None:
        self.f, self.gradients = f, [0]  # one list for all parts of a batch
        super().__init__(f.dims)

    @property
    def L(self) -> float:
        return self.f.L

    @property
    def mu(self) -> float:
        return self.f.mu

    def _value(self, x: Array, batch: bool) -> Any:
        return self.f.value(x, batch)

    def _grad(self, x: Array, out: Array, work: Work) -> None:
        self.gradients[0] += x.shape[0]
        self.f.grad(x, out, work)

    def _value_grad(self, x: Array, out: Array, work: Work, batch: bool) -> Any:
        self.gradients[0] += x.shape[0]
        return self.f.value_grad(x, out, work, batch)[0]

    def take(self, index: np.ndarray) -> Functional:
        part = copy.copy(self)
        part.f = self.f.take(index)
        return part


@dataclass(frozen=True)
class Accuracy(StopRule):
    """Stops a sample whose certificate is at most its tolerance, or where rounding allows no more.

    Rounding rules where the best bound has not fallen by a tenth over 10 (L/μ)^½ iterations, and at least 200.
    """

    tolerance: np.ndarray

    @property
    def name(self) -> str:
        return "accuracy"

    def met(self, run: Run) -> Any:
        bound = np.asarray(run.solver.certificate(run.parts, run.state).bound, dtype=np.float64)
        start = {"best": np.full(bound.shape, np.inf), "since": np.full(bound.shape, float(run.k))}
        memory = run.state.loop.setdefault("accuracy", start)
        better = bound < 0.9 * memory["best"]
        memory["best"] = np.where(better, bound, memory["best"])
        memory["since"] = np.where(better, run.k, memory["since"])
        patience = max(200.0, 10 * (run.parts.smooth.L / run.parts.smooth.mu) ** 0.5)
        return ~(bound > self.tolerance) | (run.k - memory["since"] > patience)

    def take(self, index: np.ndarray) -> StopRule:
        return Accuracy(self.tolerance[index])
