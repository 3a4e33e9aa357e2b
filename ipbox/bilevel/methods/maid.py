"""MAID: the method of adaptive inexact descent."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ipbox.backend import Array, norm
from ipbox.bilevel.methods.first_order import DescentSession, FirstOrder
from ipbox.bilevel.methods.secants import Secants
from ipbox.bilevel.problem.hypergradient import Hypergradient
from ipbox.bilevel.problem.upper import Evaluation
from ipbox.bilevel.problem.value_bounds import ValueBounds, corrected_bounds, correction_helps, plain_bounds
from ipbox.bilevel.stochastic.batches import SampleSession, samples
from ipbox.bilevel.stochastic.warm_starts import WarmStarts
from ipbox.checks import check_between, check_count, check_fields, check_flag, check_not_negative, check_positive
from ipbox.solvers.core.state import State


@dataclass(frozen=True)
class MAID(FirstOrder):
    r"""Gradient descent on an inexact hypergradient z, whose accuracy ε, δ and step α adapt to what is needed.

    θ⁺ = θ - αz, where the error bound ω of z is at most (1 - η)‖z‖, so that -z is a direction of descent, and α passes

    .. math:: ψ(α) = U^+(θ - αz) - U^-(θ) + λα‖z‖^2 \le 0, \quad
              U^\pm = g ± (‖∇g‖ε + [L_g ε^2/2]),

    U⁺ and U⁻ being proved bounds of the objective: f(θ - αz) <= f(θ) - λα‖z‖².  Where either fails, ε and δ are
    reduced; after a step they grow again, as α does.  All accuracies are in units of the largest value c of the true
    images, and gradients in units of c².

    Parameters
    ----------
    eps0 : float
        First ε: accuracy of the images, ‖u_i - û_i(θ)‖.
    delta0 : float, optional
        First δ: residual of the adjoint equation; L_g ε0 by default, L_g the Lipschitz constant of ∇g.
    alpha0 : float, optional
        First step, in units of c⁻²; by default ‖αz‖ is 0.1 max(‖θ‖, 1) at θ0.
    rho, rho_bar : float
        0 < ρ < 1 < ρ̄: factor of α in backtracking, and after a success.
    nu, nu_bar : float
        0 < ν < 1 < ν̄: factor of ε and δ after a failure, and after a success.
    eta, lam : float
        0 < λ < η < 1.
    max_backtracks : int
        Trials of the first line search; each one that fails allows one more to the next.
    min_eps : float
        Ends the method where ε would fall below; so does an accuracy that the lower level does not reach, and a step
        that rounding makes 0.
    tol : float
        Ends it where ‖z‖ + ω <= tol, which bounds ‖∇f(θ)‖.
    memory : int
        So many last steps, with the changes of images and adjoints, predict those of a trial point.
    certified : bool
        Whether ω takes the proved Lipschitz constants of the lower level where they are known.  They hold for all
        images, and cost much where the regulariser is little smoothed; as published, and by default, they are estimated
        near û.  U^±, and so the decrease of f, are proved in any case.
    sharp : bool
        Whether U^± may be sharpened by the adjoint where the Lipschitz constant of the Hessian of the lower level is
        known: then their errors are of second order in ε and δ.  Moreover ε is reduced at once where no smaller step
        could pass for the width of the bounds, steps that failed are not tried again in the same iteration, and ε grows
        by 1/ν where a quarter of the accuracy would have done.  With False, and memory 0, the method is as published.
    batch : int, optional
        Samples of a minibatch, with another one for every step; all samples are visited once, in random order, before
        any is again.  By default every step takes all.  The trial points of a step and its test of descent are of the
        same samples, so that U⁺ and U⁻ are proved bounds of their part of the objective, and every step decreases it;
        of the whole objective they are not, so that the method comes near a minimiser, as near as the minibatches
        agree.  Nothing is predicted; the images and adjoints of all samples are kept, of the last ``keep`` with that.
        The last row of the history, of the kind "all samples", has f; in the others it is an estimate, as for `ISGD`.
    keep : int, optional
        Images whose warm starts are kept in memory, with ``batch``; those of all by default.
    seed : int
        Of the order of the samples.
    adaptive : bool
        With False ε and δ stay as they are, and the line search believes g alone: gradient descent with a fixed
        accuracy, for comparison.

    Notes
    -----
    g is convex, so U⁻ needs no quadratic term.  The bounds are those that were reached, per image.  The
    first trial point starts from images predicted by the last steps, another from those of the trial before, drawn
    towards those of θ in proportion.  Bounds on θ are kept by projection, with
    λ‖θ⁺ - θ‖²/α in place of λα‖z‖².

    Raises
    ------
    ValueError, TypeError
        where a parameter is out of its range.

    References
    ----------
    Salehi, Mukherjee, Roberts and Ehrhardt, An adaptively inexact first-order method for bilevel optimization with
    application to hyperparameter learning, SIAM J. Math. Data Sci. (2025), arXiv 2308.10098.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.bilevel import MAID, BilevelProblem, LowerLevel, Weight
    >>> lower = LowerLevel(None, np.array([[0.1, -0.1, 1.1, 0.9]]), Weight(ip.SmoothedTV((4,), eps=0.1)))
    >>> problem = BilevelProblem(np.array([[0.0, 0.0, 1.0, 1.0]]), lower)
    >>> found = MAID(tol=1e-3).minimise(problem.evaluator(), [-2.0])
    >>> found.theta.round(2), found.stop
    (array([-1.16]), 'stationary')
    """

    eps0: float = 1e-1
    delta0: float | None = None
    alpha0: float | None = None
    rho: float = 0.5
    rho_bar: float = 10 / 9
    nu: float = 0.5
    nu_bar: float = 1.05
    eta: float = 1e-4
    lam: float = 1e-8
    max_backtracks: int = 10
    min_eps: float = 1e-11
    tol: float = 0.0
    memory: int = 5
    certified: bool = False
    sharp: bool = True
    adaptive: bool = True
    batch: int | None = None
    keep: int | None = None
    seed: int = 0

    @property
    def _session(self) -> type[DescentSession]:  # type: ignore[override]  # read only: the batch tells
        return DescentSession if self.batch is None else SampleSession

    def __post_init__(self) -> None:
        check_fields(self, check_positive, "eps0", optional=("delta0", "alpha0"))
        for name in ("rho", "nu", "eta"):
            check_between(getattr(self, name), name, 0, 1)
        for name in ("rho_bar", "nu_bar"):
            check_between(getattr(self, name), name, 1, math.inf)
        check_between(self.lam, "lam", 0, self.eta)
        check_count(self.max_backtracks, "max_backtracks")
        check_count(self.memory, "memory", least=0)
        check_fields(self, check_not_negative, "min_eps", "tol")
        check_fields(self, check_flag, "certified", "sharp", "adaptive")
        check_fields(self, check_count, optional=("batch", "keep"))
        check_count(self.seed, "seed", least=0)
        if self.batch is not None and self.tol > 0:
            raise ValueError(
                f"tol is {self.tol:g} with batch = {self.batch}; expected 0: a few samples do not tell ‖∇f‖"
            )

    def _check(self, evaluator: Any) -> None:
        super()._check(evaluator)
        if self.batch is not None and evaluator.problem.convention != "mean":
            raise ValueError(
                f"convention is 'sum' with batch = {self.batch}; expected 'mean', which any samples estimate"
            )

    def _best(self, history: list[dict[str, Any]]) -> dict[str, Any]:
        return history[-1]

    def _close(self, run: DescentSession) -> None:
        if isinstance(run, SampleSession) and self.batch is not None:
            run.evaluate_all(self.batch, self.seed)

    def _init(self, run: DescentSession) -> State:
        run.constants.proved = self.certified
        unit, eps = run.source.unit, float(self.eps0 * run.source.unit)
        delta = run.lipschitz * eps if self.delta0 is None else self.delta0 * unit
        alpha = None if self.alpha0 is None else self.alpha0 / unit**2
        s = State(q=None, eps=eps, delta=float(delta), alpha=alpha, secants={})
        if isinstance(run, SampleSession):
            return self._init_batches(run, s)
        run.accept(s, run.evaluate(run.theta, eps), grad_norm=math.nan, accuracy=s.eps, step=0.0, kind="start")
        return s

    def _step(self, run: DescentSession, s: State) -> str | None:
        return self._step_of_batch(run, s) if isinstance(run, SampleSession) else self._descend(run, s)

    def _init_batches(self, run: SampleSession, s: State) -> State:
        n = run.problem.lower.n
        run.starts = WarmStarts(n if self.keep is None else min(self.keep, n))
        if run.checkpoint is not None:
            run.source.identify(run.theta)
        s.u, s.x, s.squares = None, run.theta, np.full(n, math.nan)
        self._on_batch(run, s, lambda part, t: None)
        return s

    def _step_of_batch(self, run: SampleSession, s: State) -> str | None:
        stop = self._on_batch(run, s, self._descend)
        return None if stop == "stationary" else stop  # of these samples alone

    def _on_batch(
        self, run: SampleSession, s: State, step: Callable[[DescentSession, State], str | None]
    ) -> str | None:
        """A step on the samples that are due, from θ as they have it evaluated; and what it told of f."""
        batch: Any = self.batch
        index = samples(s.k, len(s.squares), batch, self.seed)
        part = run.on(index)
        q = run.start("q", index, part.source) if part.source.warm else None
        t = State(q=q, eps=s.eps, delta=s.delta, alpha=s.alpha, secants={})
        try:
            e = part.evaluate(s.x, s.eps)
            part.accept(t, e, grad_norm=math.nan, accuracy=s.eps, step=0.0, kind="start")
            stop = step(part, t)
        finally:
            run.source.cost, run.constants.count = part.source.cost, part.constants.count
        run.keep(index, part.source, u=t.u, **({} if t.q is None else {"q": t.q}))
        s.x, s.eps, s.delta, s.alpha = t.x, t.eps, t.delta, t.alpha
        s.squares[index] = part.known(t).r[: len(index)] ** 2 / part.problem.scale
        row = part.history[-1] | {"iteration": len(run.history), "f": run.estimate(s.x, s.squares), "f_bound": math.inf}
        run.record(row | run.source.spent())
        return stop

    def _descend(self, run: DescentSession, s: State) -> str | None:
        e, q, eps, delta, trials = run.known(s), s.q, s.eps, s.delta, self.max_backtracks
        secants, alpha, first = Secants(s.secants, self.memory), s.alpha, None
        while True:
            z, h, eps, delta, stop = self._inexact_gradient(run, e, q, eps, delta)
            e, q = h.evaluation, h.q
            if stop is not None:
                run.accept(s, e, grad_norm=norm(z), accuracy=eps, step=0.0, kind=stop)
                return stop
            if first is None:
                secants.add(e.theta, u=h.u, q=q)
            here = self._bounds(run, e, q, h.residual)
            alpha = first_step(e.theta, z) if alpha is None else alpha
            last = None
            for _ in range(trials):
                theta = run.bounds.project(e.theta - alpha * z)
                if np.array_equal(theta, e.theta):
                    return "accuracy"  # rounding leaves nothing of the step
                if last is not None:
                    start = h.u + self.rho * (last - h.u)  # images change almost in proportion to the step
                else:
                    start = secants.predict("u", h.u, theta - e.theta) if first is None else first
                new = run.evaluate(theta, eps, start)
                first = last = new.lower.u
                allowed = here.lower - self.lam * norm(theta - e.theta) ** 2 / alpha
                there, q_new = self._bounds(run, new), secants.predict("q", q, theta - e.theta)
                if there.lower <= allowed < there.upper and self._sharpens(run, new, q):
                    found = run.adjoint(new, delta, q_new)
                    there, q_new = corrected_bounds(run.source, new, found.q, found.residual), found.q
                width = there.upper - there.lower + here.upper - here.lower
                if there.upper <= allowed:
                    run.accept(s, new, grad_norm=norm(z), accuracy=eps, step=alpha, kind="step")
                    growth = self._growth(width, here.lower - there.upper, h.bound / norm(z))
                    s.q, s.alpha, s.eps, s.delta = q_new, self.rho_bar * alpha, growth * eps, growth * delta
                    return None
                if self.sharp and width > 2 * self.rho * alpha * float(z @ z):
                    break  # a smaller step decreases f by less than is known of it
                alpha *= self.rho
            run.source.u = h.u
            spent = self.nu * eps < self.min_eps * run.source.unit
            if not self.adaptive or spent or not (new.lower.certificate <= eps).all():
                return "line search"
            eps, delta, trials = self.nu * eps, self.nu * delta, trials + 1
            alpha = alpha if self.sharp else s.alpha

    def _growth(self, width: float, decrease: float, share: float) -> float:
        """Factor of ε after a success: ν̄, or 1/ν where the errors were small enough for that."""
        if not self.adaptive:
            return 1.0
        spare = self.sharp and width <= 0.25 * decrease and share <= 0.25
        return max(self.nu_bar, 1 / self.nu) if spare else self.nu_bar

    def _bounds(
        self, run: DescentSession, e: Evaluation, q: Array | None = None, residual: np.ndarray | None = None
    ) -> ValueBounds:
        """U⁻ and U⁺; both g itself where it is believed."""
        if not self.adaptive:
            return ValueBounds(e.f, e.f)
        return corrected_bounds(run.source, e, q, residual) if self.sharp and q is not None else plain_bounds(e)

    def _sharpens(self, run: DescentSession, e: Evaluation, q: Array) -> bool:
        return self.adaptive and self.sharp and correction_helps(run.source, e, q)

    def _inexact_gradient(
        self, run: DescentSession, e: Evaluation, q: Array | None, eps: float, delta: float
    ) -> tuple[np.ndarray, Hypergradient, float, float, str | None]:
        """Reduce ε and δ until ω <= (1 - η)‖z‖ (Algorithm 3.2)."""
        while True:
            h = run.gradient(e.theta, eps, delta, q, e)
            z = run.bounds.free(e.theta, h.z)
            if norm(z) + h.bound <= self.tol * run.source.unit**2:
                return z, h, eps, delta, "stationary"
            if not self.adaptive or h.bound <= (1 - self.eta) * norm(z):
                return z, h, eps, delta, None if norm(z) > 0 else "stationary"
            if self.nu * eps < self.min_eps * run.source.unit or not (h.evaluation.lower.certificate <= eps).all():
                return z, h, eps, delta, "accuracy"
            eps, delta, e, q = self.nu * eps, self.nu * delta, h.evaluation, h.q


def first_step(theta: np.ndarray, z: np.ndarray) -> float:
    """α with ‖αz‖ = 0.1 max(‖θ‖, 1)."""
    return 0.1 * max(norm(theta), 1.0) / norm(z)
