"""Gradient descent by piggyback hypergradients, as accurate as their a-posteriori bounds ask for."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ipbox.backend import Array, norm
from ipbox.bilevel.methods.first_order import DescentSession, FirstOrder
from ipbox.bilevel.methods.maid import first_step
from ipbox.bilevel.methods.secants import Secants
from ipbox.bilevel.methods.session import Spent
from ipbox.bilevel.piggyback.saddle import check_resolvent, smoothed_norm
from ipbox.bilevel.piggyback.solve import Found, iterate
from ipbox.bilevel.problem.samples import by_processes
from ipbox.checks import check_between, check_count, check_fields, check_not_negative, check_positive
from ipbox.solvers.core.state import State

ITERATE = ("u", "p", "U", "W")
SHARE = 1 / 8  # of the decrease that a step promises: the first width of the bounds of the objective
FALL = 1e-2  # of the bound of a gradient, from one accuracy to the next
ROUGH = 0.1  # width at the start, relative to the objective of images that vanish
FAR = 1e10  # condition L/μ of the lower level at a trial point: the step is too long
LEAST = 1e-3  # of it: a step whose decrease is in doubt up to this width is too long


@dataclass
class Point:
    """An iterate at θ, and what it tells: ``lower`` <= f(θ) <= ``upper``, ‖z - ∇f(θ)‖ <= ``bound``."""

    theta: np.ndarray
    iterate: dict[str, Array]
    z: np.ndarray
    bound: float
    lower: float
    upper: float
    certificate: float

    @property
    def width(self) -> float:
        return self.upper - self.lower


class PiggybackSession(DescentSession):
    """A run on piggyback iterates."""

    def cold(self) -> dict[str, Array]:
        """u = 0 and U = 0 with their fields."""
        lower = self.source.share.problem.lower
        norm = smoothed_norm(lower, self.theta)[0]
        u = lower.start()
        field = lower.xp.zeros((lower.n, *norm.K.field_dims), dtype=lower.dtype)
        return {"u": u, "p": field, "U": u.copy(), "W": field.copy()}

    def advance(
        self, theta: np.ndarray, start: dict[str, Array], z_bound: float = math.inf, width: float = math.inf
    ) -> Point:
        """Iterate at θ until ‖z - ∇f(θ)‖ and the width of the bounds of f(θ), over all samples, are at most this."""
        source, problem, budget = self.source, self.source.share.problem, self.budget
        n = source.share.n
        budget.check(0, source.work())
        left = most = source.max_iterations
        if budget.work < math.inf:
            left = min(most, math.ceil((budget.work - source.work()) / (2 * n)))
        solve = functools.partial(iterate, theta=theta, scale=problem.scale)
        shares = {"z_bound": z_bound / n, "width": width / n}
        start = start if source.warm else self.cold()
        given = {"truths": problem.truths, "most": left, **start, **shares}
        there, steps = self._point(theta, by_processes(solve, problem.lower, source.processes, **given))
        if left < most and steps >= left and (there.bound > z_bound or there.width > width):
            raise Spent("work")
        return there

    def _point(self, theta: np.ndarray, found: Found) -> tuple[Point, int]:
        """The iterate, what all samples tell by it, and the iterations of the sample that took most."""
        share, p = self.source.share, len(theta)
        sums, cost = share.total(found.z, found.z_bound, found.lower, found.upper, cost=found.cost)
        certificate, steps = share.largest(found.certificate, found.iterations)
        self.source.cost += cost
        z_bound, low, high = sums[p:].tolist()
        z, J = self.problem.penalty_gradient(theta) + sums[:p], self.problem.penalty_value(theta)
        kept = {name: getattr(found, name) for name in ITERATE}
        return Point(theta, kept, z, z_bound, low + J, high + J, float(certificate)), int(steps)


@dataclass(frozen=True)
class Piggyback(FirstOrder):
    r"""Gradient descent whose hypergradients come from primal-dual steps on the lower level and its derivative at once.

    For lower levels min_u max_y f(u) + <Ku, y> - g*(y), f(u) = ½‖Au - b‖² + ½ξ‖u‖² and g a norm smoothed by ν, so that
    f and g* are strongly convex: TV and TGV.  Every iteration makes a primal-dual step (τ, σ) on (u, y), and one on the
    adjoint saddle-point problem in (U, Y), with the resolvents' derivatives at the running iterate:

    .. math:: z = -⟨U, ∂_θ∇f(u)⟩ - ⟨KU, ∂_θ∇g(∇g^*(y))⟩ ≈ ∇f(θ).

    It ends where a bound ω of the error of z, from the residuals of both problems, is at most η‖z‖, so that -z is a
    direction of descent.  A step θ⁺ = θ - αz is taken where bounds of the objective prove that
    f(θ⁺) <= f(θ) - λα‖z‖²; they are narrowed until they prove this or the contrary, and α is reduced then.

    Parameters
    ----------
    eta : float
        0 < η < 1.
    alpha0 : float, optional
        First step, in units of c⁻², c the largest value of the true images; by default ‖αz‖ is 0.1 max(‖θ‖, 1) at θ0.
    rho, rho_bar : float
        0 < ρ < 1 < ρ̄: factor of α in backtracking, and its largest growth: after a step α is <Δθ, Δz>/‖Δz‖² within
        1/ρ̄ to ρ̄ times what it was.
    lam : float
        0 < λ < 1.
    max_backtracks : int
        Trials of a line search.
    tol : float
        Ends it where ‖z‖ + ω <= tol c², which bounds ‖∇f(θ)‖.
    memory : int
        So many last steps, with the changes of all images and fields, predict those of a trial point.

    Notes
    -----
    The bound takes no constant that is estimated.  It asks for second derivatives near the iterate alone, is of first
    order in both residuals, and that of the objective is of second order.  A is None, or one with AA* = I.  A step on
    (u, y) counts as a gradient, one on (U, Y) as a Hessian product: each takes one K and one K*.  A run that ends by
    "accuracy" needs a precision that rounding does not allow.

    Raises
    ------
    ValueError, TypeError
        where a parameter is out of its range, or the lower level is another.

    References
    ----------
    Bogensperger, Ehrhardt, Pock, Salehi and Wong, An adaptively inexact method for bilevel learning using primal-dual
    style differentiation (2024), arXiv 2412.06436; Chambolle and Pock, SIAM J. Imaging Sci. 14 (2021); Barzilai and
    Borwein, IMA J. Numer. Anal. 8 (1988).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.bilevel import BilevelProblem, LowerLevel, Piggyback, Weight
    >>> lower = LowerLevel(None, np.array([[0.1, -0.1, 1.1, 0.9]]), Weight(ip.SmoothedTV((4,), eps=0.1)))
    >>> problem = BilevelProblem(np.array([[0.0, 0.0, 1.0, 1.0]]), lower)
    >>> found = Piggyback(tol=1e-3).minimise(problem.evaluator(), [-2.0])
    >>> found.theta.round(2), found.stop
    (array([-1.17]), 'stationary')
    """

    eta: float = 0.5
    alpha0: float | None = None
    rho: float = 0.25
    rho_bar: float = 4.0
    lam: float = 1e-4
    max_backtracks: int = 20
    tol: float = 0.0
    memory: int = 2

    _session = PiggybackSession

    def __post_init__(self) -> None:
        for name in ("eta", "rho", "lam"):
            check_between(getattr(self, name), name, 0, 1)
        check_between(self.rho_bar, "rho_bar", 1, math.inf)
        check_fields(self, check_positive, optional=("alpha0",))
        check_count(self.max_backtracks, "max_backtracks")
        check_count(self.memory, "memory", least=0)
        check_not_negative(self.tol, "tol")

    def _check(self, evaluator: Any) -> None:
        super()._check(evaluator)
        if evaluator.method is not None:
            raise ValueError(
                f"lower_method is {evaluator.method!r}; expected None: Piggyback solves the lower level itself"
            )
        check_resolvent(evaluator.problem.lower)

    def _start(self, lower: Any, theta0: Any, bounds: Any) -> Any:
        theta, box = super()._start(lower, theta0, bounds)
        smoothed_norm(lower, theta)  # refuses other lower levels, as do the constants
        lower.constants(theta)
        return theta, box

    def _best(self, history: list[dict[str, Any]]) -> dict[str, Any]:
        return history[-1]

    def _init(self, run: PiggybackSession) -> State:
        if run.checkpoint is not None:
            run.source.identify(run.theta)
        s = State(u=None, x=run.theta, alpha=None, secants={})
        fit = run.problem.scale * float((abs(run.problem.truths) ** 2).sum())  # of images that vanish
        self._arrive(run, s, run.advance(run.theta, run.cold(), width=ROUGH * fit or math.inf), 0.0, "start")
        size = norm(run.bounds.free(s.x, s.point["z"]))
        if self.alpha0 is not None:
            s.alpha = self.alpha0 / run.source.unit**2
        elif size > 0:
            s.alpha = first_step(s.x, run.bounds.free(s.x, s.point["z"]))
        return s

    def _step(self, run: PiggybackSession, s: State) -> str | None:
        here = Point(**s.point)
        z = run.bounds.free(here.theta, here.z)
        if norm(z) + here.bound <= self.tol * run.source.unit**2 or norm(z) == 0:
            return "stationary"
        if not here.bound <= self.eta * norm(z):
            return "accuracy"
        alpha, secants, last = s.alpha, Secants(s.secants, self.memory), None
        for _ in range(self.max_backtracks):
            theta = run.bounds.project(here.theta - alpha * z)
            if np.array_equal(theta, here.theta):
                return "accuracy"  # rounding leaves nothing of the step
            if _too_far(run.problem.lower, here.theta, theta):
                alpha *= self.rho
                continue
            start = _start_of_trial(secants, here, theta, last, self.rho)
            verdict, here, there = self._compare(run, here, theta, start, norm(theta - here.theta) ** 2 / alpha)
            if verdict == "falls":
                self._arrive(run, s, there, alpha, "step")
                s.alpha = self._next_step(alpha, theta - here.theta, s.point["z"] - here.z)
                return None
            if verdict == "accuracy":
                return "accuracy"
            alpha, last = self.rho * alpha, there
        return "line search"

    def _compare(
        self, run: PiggybackSession, here: Point, theta: np.ndarray, start: dict[str, Array], gain: float
    ) -> tuple[str, Point, Point]:
        """Whether f(θ⁺) <= f(θ) - λ gain, gain = ‖Δθ‖²/α; and both points, as accurate as it took to know."""
        width = SHARE * gain
        there = run.advance(theta, start, width=width)
        while True:
            if there.upper <= here.lower - self.lam * gain:
                return "falls", here, there
            if there.lower > here.upper - self.lam * gain or there.width + here.width <= LEAST * gain:
                return "rises", here, there
            if here.width > width:
                here = run.advance(here.theta, here.iterate, width=width)
                reached = here.width
            else:
                width /= 4
                there = run.advance(theta, there.iterate, width=width)
                reached = there.width
            if reached > width:
                return "accuracy", here, there

    def _arrive(self, run: PiggybackSession, s: State, there: Point, alpha: float, kind: str) -> None:
        """Take the point for the iterate, with a gradient whose error is at most η‖z‖; a row of the history."""
        least = self.tol * run.source.unit**2
        while True:
            size = norm(run.bounds.free(there.theta, there.z))
            if there.bound <= self.eta * size or size + there.bound <= least:
                break
            target = max(self.eta * size, FALL * there.bound)
            there = run.advance(there.theta, there.iterate, z_bound=target)
            if there.bound > target:
                break
        Secants(s.secants, self.memory).add(there.theta, **there.iterate)
        s.x, s.point = there.theta, dict(vars(there))
        values = {"f": (there.lower + there.upper) / 2, "f_bound": there.width / 2, "grad_norm": size}
        more = {"gradient": there.z, "grad_bound": there.bound, "accuracy": there.certificate}
        row = {"iteration": len(run.history), "theta": there.theta, **values, **more, "step": alpha, "kind": kind}
        run.record(row | run.source.spent())

    def _next_step(self, alpha: float, dtheta: np.ndarray, dz: np.ndarray) -> float:
        """<Δθ, Δz>/‖Δz‖² within 1/ρ̄ to ρ̄ times α; the largest where the curvature is not positive."""
        curvature, longest = float(dtheta @ dz), self.rho_bar * alpha
        if curvature <= 0:
            return longest
        return min(max(curvature / float(dz @ dz), alpha / self.rho_bar), longest)


def _too_far(lower: Any, here: np.ndarray, theta: np.ndarray) -> bool:
    """Whether the lower level at θ⁺ has no digits, or takes some √(L/μ) iterations that θ does not lead to expect."""
    try:
        mu, L = lower.constants(theta)
    except ValueError:  # at θ it has a solution
        return True
    mu_here, L_here = lower.constants(here)
    return L / mu > max(FAR, L_here / mu_here)


def _start_of_trial(
    secants: Secants, here: Point, theta: np.ndarray, last: Point | None, rho: float
) -> dict[str, Array]:
    """Where the iteration at a trial point starts: predicted by the last steps, or from the trial before."""
    if last is None:
        return {name: secants.predict(name, v, theta - here.theta) for name, v in here.iterate.items()}
    return {name: v + rho * (last.iterate[name] - v) for name, v in here.iterate.items()}
