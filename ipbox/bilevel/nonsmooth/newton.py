"""Semismooth Newton for bilevel problems with a non-smooth lower level: the weights of TV and of linear filters."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ipbox.backend import norm
from ipbox.bilevel.dfo.trust_region import trust_region_step
from ipbox.bilevel.methods.bounds import Bounds
from ipbox.bilevel.methods.minimiser import Minimiser
from ipbox.bilevel.methods.session import Session
from ipbox.bilevel.nonsmooth.analysis import AnalysisLower, Denoised
from ipbox.bilevel.problem.result import Cost
from ipbox.bilevel.problem.resumable import ProblemEvaluator, check_same_problem
from ipbox.bilevel.problem.samples import objective_bound
from ipbox.bilevel.problem.upper import UpperLevel
from ipbox.bilevel.terms.base import LN10
from ipbox.checks import check_fields, check_positive, check_type

BOUNDS = (-8.0, 2.0)  # where the user gives none: below, a weight is as good as absent


@dataclass
class AnalysisProblem(UpperLevel):
    r"""min_θ scale Σ_i ‖û_i(θ) - u_i‖², û_i(θ) that of an `AnalysisLower`.

    Parameters
    ----------
    truths : array, shape (n, rows, columns)
        u_i, float64.
    lower : AnalysisLower
    convention : {"mean", "sum"}
        scale = 1/n or 1.

    Raises
    ------
    ValueError, TypeError
        where the truths do not go with the lower level.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.bilevel import AnalysisLower, AnalysisProblem
    >>> lower = AnalysisLower(np.array([[[0.1, -0.1, 1.1, 0.9]]]), [np.array([[-1.0, 1.0]])])
    >>> problem = AnalysisProblem(np.array([[[0.0, 0.0, 1.0, 1.0]]]), lower)
    >>> found = problem.evaluator().derivatives(np.array([-1.0]), 1e-8)     # û = (.05, .05, .95, .95)
    >>> round(found.f, 6), (found.z / np.log(10)).round(6)
    (0.01, array([0.02]))
    """

    truths: np.ndarray
    lower: AnalysisLower
    convention: str = "mean"

    def __post_init__(self) -> None:
        check_type(self.lower, "lower", AnalysisLower, "an AnalysisLower")
        if not isinstance(self.truths, np.ndarray):
            raise ValueError(f"truths is {type(self.truths).__name__}; expected a NumPy array")
        if self.truths.dtype.kind not in "bif":
            raise TypeError(f"truths has dtype {self.truths.dtype}; expected real numbers")
        self._check_truths(self.lower.b.shape)

    def fingerprint(self) -> np.ndarray:
        """What tells this problem from another: norms and distances of a random image."""
        lower, v = self.lower, np.random.default_rng(0).standard_normal(self.lower.dims)
        distances = [np.linalg.norm(a - v) for a in (*lower.b, *self.truths)]
        return np.array([self.scale, lower.gamma, np.linalg.norm(lower.stacked @ v.ravel()), *distances])

    def evaluator(self) -> AnalysisEvaluator:
        """An `AnalysisEvaluator` of this problem."""
        return AnalysisEvaluator(self)


@dataclass
class AnalysisEvaluation:
    """f(θ) and the bound of its error; where asked for, ``z`` = ∇f and ``hessian`` = ∇²f with respect to θ and to α."""

    theta: np.ndarray
    f: float
    bound: float
    found: list[Denoised]
    z: np.ndarray | None = None
    hessian: np.ndarray | None = None


@dataclass
class AnalysisEvaluator(ProblemEvaluator):
    """Evaluates an `AnalysisProblem`; holds warm starts and the work done.

    Its ``cost`` counts Newton steps as gradients and the columns of linear systems with a factored matrix as Hessian
    products: each is a sparse factorisation, or a substitution, and not to be compared with gradients of other methods.
    """

    problem: AnalysisProblem
    cost: Cost = field(default_factory=Cost)
    warm: list[dict[str, Any]] | None = None

    def evaluate(self, theta: Any, accuracy: float) -> AnalysisEvaluation:
        """f(θ) with every √scale ‖u_i - û_i(θ)‖ <= accuracy, as far as rounding allows."""
        problem, lower = self.problem, self.problem.lower
        theta, root = lower.check(theta), self.problem.scale**0.5
        starts = [None] * lower.n if self.warm is None else [Denoised(w["u"], w["lam"], [], 0.0, 0) for w in self.warm]
        found = [lower.solve(theta, i, accuracy / root, start) for i, start in enumerate(starts)]
        self.warm = [{"u": d.u, "lam": list(d.lam)} for d in found]
        self.cost += Cost(gradients=float(sum(d.steps for d in found)))
        r = root * np.array([np.linalg.norm(d.u - t.ravel()) for d, t in zip(found, problem.truths, strict=True)])
        delta = root * np.array([d.certificate for d in found])
        return AnalysisEvaluation(theta, float(r @ r), objective_bound(r, delta), found)

    def derivatives(self, theta: Any, accuracy: float) -> AnalysisEvaluation:
        r"""f(θ), ∇f(θ) with respect to θ, and the Newton derivative of ∇f with respect to α.

        Notes
        -----
        On the sets of û, where λ_k depends on K_k u by W_k: M = I + Σ K_k*W_k K_k, M q = û - u_true,
        M û_k = -K_k*λ_k/α_k for û_k = ∂û/∂α_k, and

        .. math:: ∂_k f = -2\,scale <K_k^*λ_k/α_k, q>, \quad
                  ∂_{kl} f = 2\,scale\,(<û_k, û_l> - <C_k û_l + C_l û_k, q>), \quad C_k = K_k^* (W_k/α_k) K_k.

        With γ = 0 all of this holds among the images with K_k u = 0 on the inactive set.  For single filters both are
        exact wherever the sets do not change with θ; for groups, λ_k is not piecewise affine in K_k u, and the third
        derivative is left out of ∂_{kl} f.
        """
        e = self.evaluate(theta, accuracy)
        problem, lower, alpha = self.problem, self.problem.lower, 10.0**e.theta
        p = len(alpha)
        z, hessian = np.zeros(p), np.zeros((p, p))
        for d, truth in zip(e.found, problem.truths, strict=True):
            solve = lower.linear_solver(alpha, d)
            B = np.stack([sum(K.T @ y for K, y in zip(g, x, strict=True)) for g, x in zip(lower.K, d.lam, strict=True)])
            B = B.T / alpha
            S = solve(np.column_stack([d.u - truth.ravel(), -B]))
            q, U = S[:, 0], S[:, 1:]
            z -= 2 * problem.scale * alpha * LN10 * (B.T @ q)
            CU = np.empty((p, p))  # <C_k u_l, q>
            Kq = lower.apply(q)
            for index in range(p):
                Ku = lower.apply(U[:, index])
                for k, W in enumerate(lower.curvatures(alpha, d)):
                    CU[k, index] = np.einsum("acn,cn,an->", W, Ku[k], Kq[k]) / alpha[k]
            hessian += 2 * problem.scale * (U.T @ U - CU - CU.T)
        self.cost += Cost(hessians=float(lower.n * (p + 1)))
        e.z, e.hessian = z, hessian
        return e

    def get_state(self) -> dict[str, Any]:
        """Warm start and cost, to be saved."""
        return {"warm": self.warm, "cost": dict(vars(self.cost)), "problem": {"numbers": self.problem.fingerprint()}}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what `get_state` gave."""
        check_same_problem(state["problem"], {"numbers": self.problem.fingerprint()}, float(np.finfo(np.float64).eps))
        self.warm, self.cost = state["warm"], Cost(**state["cost"])


@dataclass(frozen=True)
class SemismoothNewton(Minimiser):
    """Newton's method for the weights α = 10^θ on the reduced objective α ↦ f, which is piecewise smooth.

    Every step minimises the quadratic model, made convex by the modulus of its eigenvalues, over the box, and is
    shortened until f decreases by Armijo's rule.

    Parameters
    ----------
    accuracy : float
        Of the reconstructions: √scale ‖u_i - û_i(θ)‖, in units of the largest value of the true images.
    tol : float
        Ends the method where the model promises to improve f by no more, relative to f, or a step has not.

    Notes
    -----
    With γ = 0 and single filters û is piecewise affine in α, and f piecewise quadratic: Newton's method is exact until
    the sets change.  For many filters and small γ they change within each step, and the last digits of f come slowly:
    the larger γ, the fewer evaluations.

    θ is kept within [-8, 2], plus log10 of the root mean square of the data, unless `minimise` is told other bounds: a
    weight at a small lower bound is as good as absent.  The ``iterations`` of `minimise` are evaluations of f and its
    derivatives; the result's ``stop`` is "stationary" where the model promises no more, "decrease" where a step has not
    given more, and "line search" where f does not follow the model.

    Raises
    ------
    ValueError
        where a parameter is out of its range.

    References
    ----------
    Kunisch and Pock, A bilevel optimization approach for parameter learning in variational models, SIAM J. Imaging
    Sci. 6 (2013).

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.bilevel import AnalysisLower, AnalysisProblem, SemismoothNewton
    >>> lower = AnalysisLower(np.array([[[0.3, -0.1, 1.2, 0.9]]]), [np.array([[-1.0, 1.0]])])
    >>> problem = AnalysisProblem(np.array([[[0.0, 0.0, 1.0, 1.0]]]), lower)
    >>> (10 ** SemismoothNewton().minimise(problem.evaluator(), [-2.0], bounds=(-4.0, 0.0)).theta).round(6)
    array([0.1])
    """

    accuracy: float = 1e-6
    tol: float = 1e-6
    _evaluator = AnalysisEvaluator

    def __post_init__(self) -> None:
        check_fields(self, check_positive, "accuracy", "tol")

    def _start(self, lower: AnalysisLower, theta0: Any, bounds: Any) -> tuple[np.ndarray, Bounds]:
        unit = math.log10(lower.unit)  # weights are in the units of the data
        box = tuple(t + unit for t in BOUNDS) if bounds is None else bounds
        return super()._start(lower, theta0, box)

    def _evaluate(self, run: Session, theta: np.ndarray) -> dict[str, Any]:
        accuracy = self.accuracy * run.source.unit
        e = run.source.derivatives(theta, accuracy)
        sizes = {"grad_norm": norm(e.z), "accuracy": accuracy}
        return {"f": e.f, "f_bound": e.bound, "z": e.z, "hessian": e.hessian, **sizes}

    def _loop(self, run: Session) -> str:
        theta, bounds = run.theta, run.bounds
        e = self._at(run, theta, "start")
        while True:
            alpha = 10.0**theta
            g = e["z"] / (LN10 * alpha)
            d, model = model_step(g, e["hessian"], 10.0**bounds.lower - alpha, 10.0**bounds.upper - alpha)
            if model >= -self.tol * e["f"]:
                return "stationary"
            tau = 1.0
            while True:
                trial = bounds.project(np.log10(alpha + tau * d))
                new = self._at(run, trial, "step" if tau == 1.0 else "backtracking")
                if new["f"] <= e["f"] + 1e-4 * tau * float(g @ d):
                    break
                tau /= 2
                if -tau * float(g @ d) <= self.tol * e["f"]:
                    return "line search"
            done = e["f"] - new["f"] <= self.tol * e["f"]
            theta, e = trial, new
            if done:
                return "decrease"


def model_step(g: np.ndarray, G: np.ndarray, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, float]:
    """argmin <g, d> + ½<d, |G|d> over low <= d <= high, where low <= 0 <= high, and the minimum; |G| by eigenvalues.

    Examples
    --------
    >>> d, value = model_step(np.array([-1.0]), np.array([[2.0]]), np.array([-9.0]), np.array([9.0]))
    >>> d, round(value, 6)
    (array([0.5]), -0.25)
    """
    values, V = np.linalg.eigh(G)
    values = np.maximum(np.abs(values), max(1e-10 * float(np.abs(values).max()), 1e-300))
    H = (V * values) @ V.T
    d = trust_region_step(g, H, np.minimum(low, 0.0), np.maximum(high, 0.0), math.inf)
    return d, float(g @ d + 0.5 * (d @ (H @ d)))
