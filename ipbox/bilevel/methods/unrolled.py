"""Unrolled differentiation: the gradient of the objective at the N-th iterate, by reverse mode."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from ipbox.backend import Array, norm
from ipbox.bilevel.methods.lbfgsb import scipy_lbfgsb
from ipbox.bilevel.methods.minimiser import Minimiser, also_called
from ipbox.bilevel.methods.session import Session
from ipbox.bilevel.problem.lower import LowerLevel
from ipbox.bilevel.problem.result import Cost
from ipbox.bilevel.problem.samples import by_processes, check_jobs, inner, norms, objective_bound
from ipbox.bilevel.problem.share import Share
from ipbox.bilevel.problem.upper import BilevelProblem
from ipbox.checks import check_choice, check_count, check_fields, check_not_negative, is_number, shown
from ipbox.distributed.ranks import Ranks
from ipbox.keywords import answering

ALGORITHMS = ("fista", "gradient")


@dataclass
class UnrolledGradient:
    """f_N(θ), its gradient ``z``, the iterates u_N, ``cost``, and ``certificate`` (n,) >= ‖u_N - û_i(θ)‖.

    ``distances`` (n,) are those of u_N from the true images.
    """

    f: float
    z: np.ndarray
    u: Array
    distances: np.ndarray
    certificate: np.ndarray
    cost: Cost


@answering
def unrolled_gradient(
    problem: BilevelProblem,
    theta: Any,
    iterations: int,
    algorithm: str = "fista",
    segments: int = 1,
    start: Array | None = None,
    constants: tuple[float, float] | None = None,
    n_jobs: int | Ranks = 1,
) -> UnrolledGradient:
    r"""f_N(θ) = scale Σ_i ‖u_{N,i}(θ) - u_i‖² + J(θ), u_N the N-th iterate of an algorithm, and ∇f_N(θ).

    Parameters
    ----------
    problem : BilevelProblem
    theta : array, shape (p,)
    iterations : int
        N.
    algorithm : {"fista", "gradient"}
        y_k = u_k + β_k (u_k - u_{k-1}), u_{k+1} = y_k - τ∇Φ(y_k; θ): strongly convex FISTA, with τ = 1/L; or gradient
        descent, β_k = 0 and τ = 2/(L + μ).
    segments : int
        1 keeps all iterates, N + 1 images; S segments keep about S + N/S, and compute the iterates twice.
    start : array, optional
        u_0 of all samples, which does not depend on θ; zeros by default.
    constants : (mu, L), optional
        Constants for the step sizes that do not depend on θ, and bound those of Φ(·; θ); by default they are those at
        θ, whose derivatives are part of ∇f_N.
    n_jobs : int or Ranks
        Processes that share the samples; step sizes are those of all samples together.  Of ranks, each has its own u_N.

    Returns
    -------
    UnrolledGradient

    Notes
    -----
    Reverse mode: from ū_N = ∇g(u_N) down, with w = ū_{k+1},

    .. math:: \bar y = w - τ∇^2Φ(y_k) w, \quad \bar θ \mathrel{-}= τ B(y_k)^* w, \quad
              \barτ \mathrel{-}= <∇Φ(y_k), w>, \quad \barβ_k = <\bar y, u_k - u_{k-1}>,

    ū_k += (1 + β_k) ȳ and ū_{k-1} -= β_k ȳ.  Each iteration back costs a Hessian product and a mixed derivative, which
    is counted as a gradient.  For N → ∞ the gradient is that of the implicit function theorem.  As f_N is not f, its
    minimiser can make up for u_N ≠ û.

    Raises
    ------
    ValueError, TypeError
        where an argument is of no use.
    FloatingPointError
        where f_N or its gradient is not finite.

    References
    ----------
    Ochs, Ranftl, Brox and Pock, Bilevel optimization with nonsmooth lower level problems, SSVM 2015.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.bilevel import BilevelProblem, LowerLevel, Weight
    >>> lower = LowerLevel(None, np.array([[0.1, -0.1, 1.1, 0.9]]), Weight(ip.SmoothedTV((4,), eps=0.1)))
    >>> problem = BilevelProblem(np.array([[0.0, 0.0, 1.0, 1.0]]), lower)
    >>> unrolled_gradient(problem, [-1.5], 50).z.round(5)
    array([-0.03335])
    """
    check_jobs(n_jobs, "n_jobs")
    share = Share(problem, n_jobs if isinstance(n_jobs, Ranks) else None)
    return _unrolled_gradient(share, theta, iterations, algorithm, segments, share.part(start), constants, n_jobs)


def _unrolled_gradient(
    share: Share,
    theta: Any,
    iterations: int,
    algorithm: str,
    segments: int,
    start: Array | None,
    constants: tuple[float, float] | None,
    n_jobs: int | Ranks,
) -> UnrolledGradient:
    """`unrolled_gradient` of samples of which these are here."""
    problem, lower = share.problem, share.problem.lower
    theta, processes = lower.check(theta), 1 if isinstance(n_jobs, Ranks) else n_jobs
    _check_unrolling(iterations, "iterations", algorithm, segments)
    spent = lower.products
    steps = _Steps(lower, theta, int(iterations), algorithm, constants)  # of all samples, also where these are shared
    solve = functools.partial(_reverse, problem=problem, theta=theta, steps=steps, segments=int(segments))
    found = by_processes(solve, lower, processes, samples=np.arange(lower.n), start=lower.start(start))
    found.cost += Cost(hessians=lower.products - spent)
    sums, found.cost = share.total(found.z, found.tau_bar, found.beta_bar, cost=found.cost)
    z, tau_bar, beta_bar = np.split(sums, [len(theta), len(theta) + 1])
    z = z + tau_bar[0] * steps.tau_gradient + (beta_bar @ steps.beta_slope) * steps.q_gradient
    distances, slopes = share.numbers(problem.distances(found.u), found.slopes)

    f = problem.scale * float((distances**2).sum()) + problem.penalty_value(theta)
    z += problem.penalty_gradient(theta)
    if not math.isfinite(f) or not np.isfinite(z).all():
        raise FloatingPointError(f"f_N is {f} with gradient {z} at theta = {theta}; expected finite numbers")
    mu, _ = lower.constants(theta)
    return UnrolledGradient(f, z, found.u, distances, slopes / mu, found.cost)


@dataclass
class _Reversed:
    """Of each sample: u_N, ‖∇Φ(u_N)‖, ∂_θ with τ and β_k fixed, and the derivatives by those."""

    u: Array
    slopes: np.ndarray
    z: np.ndarray
    tau_bar: np.ndarray
    beta_bar: np.ndarray
    cost: Cost


def _reverse(
    lower: LowerLevel,
    samples: np.ndarray,
    start: Array,
    *,
    problem: BilevelProblem,
    theta: np.ndarray,
    steps: _Steps,
    segments: int,
) -> _Reversed:
    """The iterations forth and back, of some of the samples; step sizes are those of all."""
    part = problem.take(samples, lower)
    phi, u, N = lower.at(theta), start, len(steps.beta)
    work: dict[str, Any] = {}

    def run(k: int, end: int, u: Array, before: Array, kept: list[Array] | None) -> tuple[Array, Array]:
        """u_end, u_{end - 1}, from u_k, u_{k - 1}; ``kept`` gets u_{k - 1}, ..., u_end."""
        if kept is not None:
            kept += [before, u]
        for j in range(k, end):
            y = u + float(steps.beta[j]) * (u - before)
            u, before = y - steps.tau * phi.grad(y, work=work), u
            if kept is not None:
                kept.append(u)
        return u, before

    begins = [N * s // segments for s in range(segments)]
    heads, pair = [], (u, u)
    kept: list[Array] | None = None
    for s, k in enumerate(begins):
        last = s == segments - 1
        heads.append((k, *pair))
        kept = [] if last else None
        pair = run(k, N if last else begins[s + 1], *pair, kept)
    u = pair[0]
    cost = Cost(gradients=float(lower.n * (2 * N + begins[-1])), hessians=float(lower.n * N))

    fit = (problem.scale / part.scale) * part.fit_gradient(u)  # a mean is one over all samples
    w, carry = fit, lower.xp.zeros_like(u)  # ū_{k+1}, and what ū_k has from y_{k+1}
    z, tau_bar, beta_bar = np.zeros((lower.n, len(theta))), np.zeros(lower.n), np.zeros((lower.n, N))
    for s in range(segments - 1, -1, -1):
        k0, u_head, before = heads[s]
        if kept is None:
            kept = []
            run(k0, begins[s + 1], u_head, before, kept)
        for k in range(begins[s + 1] - 1 if s + 1 < segments else N - 1, k0 - 1, -1):
            u_k, u_before, u_next = (kept[k - k0 + j] for j in (1, 0, 2))
            step = u_k - u_before
            beta = float(steps.beta[k])  # a NumPy scalar would turn float32 into float64
            y = u_k + beta * step
            z -= steps.tau * lower.mixed(theta, y, w)
            tau_bar -= inner(y - u_next, w) / steps.tau
            y_bar = w - steps.tau * phi.hessian_apply(y, w, work=work)
            beta_bar[:, k] = inner(y_bar, step)
            w, carry = carry + (1 + beta) * y_bar, -beta * y_bar
        kept = None
    return _Reversed(u, norms(phi.grad(u, work=work)), z, tau_bar, beta_bar, cost)


@also_called("iterations", "lower_iterations", leaves="0.3")
@dataclass(frozen=True)
class Unrolled(Minimiser):
    """L-BFGS-B on f_N, whose gradient is exact: see `unrolled_gradient`.

    Parameters
    ----------
    lower_iterations : int
        N, for every θ; ``iterations`` is its old name.
    algorithm : {"fista", "gradient"}
    segments : int, optional
        Of the iterates, for memory; 1 keeps all.
    constants : (mu, L), optional
        Of the step sizes, the same for every θ; those at θ by default, and differentiated.
    tol : float
        Ends the method where the largest entry of the projected gradient is not above, in units of the square of the
        largest value of the true images, or of f_N where that is less.
    ftol : float
        Ends it where an iteration improves f_N by no more, relative to f_N at the start, or to the f_N, 100 times less,
        from which it was started again.

    Notes
    -----
    The lower level starts from zero for every θ, so that f_N is a function; the evaluator's solver is not used, its
    ``n_jobs`` processes share the samples.  The result's ``f`` and the history's are f_N at θ, and their bounds those
    of |f_N(θ) - f(θ)|: it does not vanish, as N is fixed.

    Raises
    ------
    ValueError
        where a parameter is out of its range.

    References
    ----------
    Ochs, Ranftl, Brox and Pock, Bilevel optimization with nonsmooth lower level problems, SSVM 2015.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.bilevel import BilevelProblem, LowerLevel, Unrolled, Weight
    >>> lower = LowerLevel(None, np.array([[0.1, -0.1, 1.1, 0.9]]), Weight(ip.SmoothedTV((4,), eps=0.1)))
    >>> problem = BilevelProblem(np.array([[0.0, 0.0, 1.0, 1.0]]), lower)
    >>> Unrolled(100).minimise(problem.evaluator(), [-2.0], bounds=(-3, 0)).theta.round(4)
    array([-1.1665])
    """

    lower_iterations: int = 100
    algorithm: str = "fista"
    segments: int = 1
    constants: tuple[float, float] | None = None
    tol: float = 1e-6
    ftol: float = 1e-10

    def __post_init__(self) -> None:
        _check_unrolling(self.lower_iterations, "lower_iterations", self.algorithm, self.segments)
        check_fields(self, check_not_negative, "tol", "ftol")
        pair = self.constants is None or isinstance(self.constants, tuple | list) and len(self.constants) == 2
        if not pair or not all(map(is_number, self.constants or ())):
            raise ValueError(f"constants is {shown(self.constants)}; expected (mu, L)")

    def _loop(self, run: Session) -> str:
        return scipy_lbfgsb(functools.partial(self._at, run), run, tol=self.tol, ftol=self.ftol)

    def _evaluate(self, run: Session, theta: np.ndarray) -> dict[str, Any]:
        evaluator, problem = run.source, run.source.problem
        settings = self.lower_iterations, self.algorithm, self.segments, None, self.constants
        found = _unrolled_gradient(evaluator.share, theta, *settings, evaluator.n_jobs)
        evaluator.cost += found.cost
        evaluator.u, evaluator.recent = found.u, [(theta, found.u)]
        delta, r = problem.scale**0.5 * found.certificate, problem.scale**0.5 * found.distances
        sizes = {"grad_norm": norm(found.z), "accuracy": float(found.certificate.max())}
        return {"f": found.f, "f_bound": objective_bound(r, delta), "z": found.z, **sizes}


# ---------------------------------------------------------------- parts


class _Steps:
    """τ and β_k with their derivatives, by τ = τ(μ, L) and β_k = β_k(q), q = μ/L."""

    def __init__(self, lower: Any, theta: np.ndarray, N: int, algorithm: str, constants: Any) -> None:
        mu, L = lower.constants(theta)
        dmu, dL = np.zeros(len(theta)), np.zeros(len(theta))
        if constants is not None:
            low, high = (float(c) for c in constants)
            if not (0 < low <= mu * (1 + 1e-12) and high >= L * (1 - 1e-12)):
                raise ValueError(f"constants is {constants}; expected 0 < mu <= {mu:g} and L >= {L:g} at {theta}")
            mu, L = low, high
        else:
            dmu, dL = lower.constants_gradient(theta)
        if algorithm == "gradient":
            self.tau = 2 / (L + mu)
            self.tau_gradient = -self.tau / (L + mu) * (dL + dmu)
            self.beta, self.beta_slope = np.zeros(N), np.zeros(N)
        else:
            self.tau, self.tau_gradient = 1 / L, -dL / L**2
            self.beta, self.beta_slope = momentum(mu / L, N)
        self.tau = float(self.tau)
        self.q_gradient = (dmu - (mu / L) * dL) / L


def momentum(q: float, N: int) -> tuple[np.ndarray, np.ndarray]:
    """β_k of strongly convex FISTA, k = 0, ..., N - 1, and dβ_k/dq.

    t_0 = 0, t_{k+1} = ½(1 - q t_k² + ((1 - q t_k²)² + 4 t_k²)^½), β_k = (t_k - 1)(1 - q t_{k+1})/(t_{k+1}(1 - q)).

    Examples
    --------
    >>> momentum(0.25, 3)[0].round(4)
    array([-1.    ,  0.    ,  0.1993])
    """
    beta, slope = np.zeros(N), np.zeros(N)
    if q >= 1:
        return beta, slope
    t = dt = 0.0
    for k in range(N):
        a, da = 1 - q * t * t, -t * t - 2 * q * t * dt
        root = math.sqrt(a * a + 4 * t * t)
        t_new, dt_new = 0.5 * (a + root), 0.5 * (da + (a * da + 4 * t * dt) / root)
        top, bottom = (t - 1) * (1 - q * t_new), t_new * (1 - q)
        dtop = dt * (1 - q * t_new) - (t - 1) * (t_new + q * dt_new)
        dbottom = dt_new * (1 - q) - t_new
        beta[k], slope[k] = top / bottom, (dtop - top / bottom * dbottom) / bottom
        t, dt = t_new, dt_new
    return beta, slope


def _check_unrolling(iterations: int, name: str, algorithm: str, segments: int) -> None:
    check_count(iterations, name)
    check_count(segments, "segments")
    if segments > iterations:
        raise ValueError(f"segments is {segments}; expected at most the {iterations} iterations")
    check_choice(algorithm, "algorithm", ALGORITHMS)
