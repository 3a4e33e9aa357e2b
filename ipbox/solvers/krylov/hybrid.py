"""Hybrid LSQR: Tikhonov regularisation of the small problem that each LSQR step projects to."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_count, check_flag, check_noise_known, check_not_negative, check_positive
from ipbox.solvers.core.protocol import Certificate, Parts, Problem, Solver, State, Verdict
from ipbox.solvers.core.run import Run
from ipbox.solvers.core.stop_rule import StopRule
from ipbox.solvers.krylov import attainable
from ipbox.solvers.krylov.least_squares import LeastSquares
from ipbox.solvers.krylov.lsqr import bidiagonalise, rows, start_bidiagonalisation
from ipbox.solvers.per_sample import norms, number, ratio

RULES = ("gcv", "wgcv", "discrepancy")


@dataclass(frozen=True)
class HybridLSQR(LeastSquares):
    """min_u ½‖Au - b‖² + λ/2 ‖u - u_0‖² over the k-th Krylov space, λ chosen anew in every step.

    Golub and Kahan's bidiagonalisation gives AV = UB with orthonormal columns, so u = u_0 + Vy where y minimises
    ½‖By - βe_1‖² + λ/2 ‖y‖², which is solved by the SVD of the small B.  Unlike LSQR's, its error does not grow again
    once noise is fitted.

    Parameters
    ----------
    lam : str or float
        ``"gcv"`` (generalised cross-validation of the projected problem), ``"wgcv"`` (with the weight ω <= 1 of Chung,
        Nagy and O'Leary), ``"discrepancy"`` (‖Au - b‖ = safety · noise_level; λ = 0 until that can be reached), or
        λ >= 0.
    noise_level : float, optional
        Expected norm of the noise, for the discrepancy principle.
    safety : float
        Factor on it.
    basis : int
        Largest k: so many images are held.
    readings : int, optional
        m, of the GCV: the number of data that count, all by default.
    reorthogonalise : bool
        Keep V orthonormal in spite of rounding, with k inner products in step k.

    Notes
    -----
    GCV minimises ‖By - βe_1‖²/(k + 1 - ω Σ φ_i)² over λ.  Its weight ω, a mean over the steps, is meant for the early
    ones and falls later, and λ with it: with ``"wgcv"`` stop by `FlatGCV`.

    ``state.lams[:k]`` holds λ, ``state.gcv[:k]`` the GCV function ‖Au - b‖²/(m - Σ φ_i)² of every step, φ_i the filter
    factors, m the number of data.  The `residual` is that of Tikhonov's normal equations for the present λ.  u_0 is the
    start ``x0``, zero by default.

    References
    ----------
    Chung, Nagy and O'Leary, Electron. Trans. Numer. Anal. 28 (2008); Chung and Gazzola, SIAM Review 66 (2024).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A = ip.as_operator(np.diag([1.0, 2.0]))
    >>> problem = ip.Problem(ip.L2(A, np.array([1.0, 4.0])))
    >>> ip.solve(problem, ip.HybridLSQR(lam=1.0), stop=ip.stop.niter(2)).x.round(6)
    array([0.5, 1.6])
    """

    lam: str | float = "gcv"
    noise_level: float | None = None
    safety: float = 1.01
    basis: int = 100
    reorthogonalise: bool = True
    readings: int | None = None

    def __post_init__(self) -> None:
        if not (isinstance(self.lam, str) and self.lam in RULES):
            check_not_negative(self.lam, "lam", f"{', '.join(map(repr, RULES))} or a number >= 0")
        if self.lam == "discrepancy":
            check_noise_known(self.noise_level)
        if self.noise_level is not None:
            check_not_negative(self.noise_level, "noise_level", f"a number >= 0 for lam={self.lam!r}")
        check_positive(self.safety, "safety")
        check_count(self.basis, "basis")
        check_flag(self.reorthogonalise, "reorthogonalise")
        if self.readings is not None:
            check_count(self.readings, "readings")

    def prepare(self, problem: Problem) -> Parts:
        p = super().prepare(problem)
        if len(problem.terms) > 1:
            raise ValueError(f"the objective has {len(problem.terms)} terms; HybridLSQR expects one, and damps itself")
        return p

    def init(self, p: Parts, x0: Array) -> State:
        s = State(x=x0, x0=x0.copy(), V=p.xp.zeros(p.lead + (self.basis, *p.problem.dims), dtype=x0.dtype))
        start_bidiagonalisation(p, s)
        attainable.start(p, s, 1.0)
        for name in ("alphas", "betas", "lams", "weights", "gcv"):  # of every step to come
            setattr(s, name, [0.0 * s.alpha for _ in range(self.basis + 1)])
        s.alphas[0], s.betas[0] = s.alpha, s.beta
        s.gradient, s.gradient0 = s.alpha * s.beta, s.alpha * s.beta
        return s

    def step(self, p: Parts, s: State) -> None:
        if s.k >= self.basis:
            raise ValueError(f"basis is {self.basis}; step {s.k + 1} expects a larger one, or an earlier stop")
        s.V.swapaxes(0, len(p.lead))[s.k] = s.v
        V = rows(p, s.V, self.basis)[:, : s.k + 1]
        bidiagonalise(p, s, V if self.reorthogonalise else None)
        s.alphas[s.k + 1], s.betas[s.k + 1] = s.alpha, s.beta
        y, t = self._project(p, s)
        s.x[...] = s.x0
        for Vi, yi, xi in zip(V, y.reshape(-1, s.k + 1), rows(p, s.x)[:, 0], strict=True):
            xi += p.xp.asarray(yi, dtype=xi.dtype) @ Vi
        whole = (np.asarray(s.alpha) == 0) & (np.asarray(s.gradient0) > 0)  # the space: there is no new direction
        s.ended = bool(whole) if p.batch is None else whole
        left = norms(self._gradient(p, s, s.lams[s.k]), p) if np.any(s.ended) else 0.0  # but for rounding
        # of the Tikhonov functional: α_{k+1} t_{k+1} v_{k+1}
        s.gradient = number(np.where(s.ended, left, s.alpha * np.abs(t[..., -1])))

    def _project(self, p: Parts, s: State) -> tuple[np.ndarray, np.ndarray]:
        """y and t = βe_1 - By of the projected problem, for each sample; λ and the GCV value are noted."""
        alphas, betas = np.array(s.alphas[: s.k + 1]), np.array(s.betas[: s.k + 2])
        data = p.problem.D
        m = self.readings or math.prod(data.A.dimsd if data.A is not None else p.problem.dims)
        target = math.sqrt(data.weight) * self.safety * (self.noise_level or 0.0)
        found = []
        for i in range(p.batch or 1):
            a, b = (alphas, betas) if p.batch is None else (alphas[:, i], betas[:, i])
            before = [w if p.batch is None else w[i] for w in s.weights[: s.k]]
            found.append(
                Projected(a, b, 30 * np.finfo(backend.real_dtype(s.x.dtype)).eps).solve(self.lam, target, before, m)
            )
        y, t, *notes = (np.array(v) if p.batch else v[0] for v in zip(*found, strict=True))
        s.lams[s.k], s.weights[s.k], s.gcv[s.k] = notes
        return y, t

    def residual(self, p: Parts, s: State) -> Any:
        """‖A*(Au - b) + λ(u - u_0)‖ relative to its value at the start."""
        return ratio(s.gradient, s.gradient0)

    def certificate(self, p: Parts, s: State) -> Certificate:
        lam = s.lams[s.k - 1] if s.k else self.lam
        if isinstance(lam, str) or not np.all(np.asarray(lam) > 0):
            return Solver.certificate(self, p, s)
        return Certificate("‖A*(Au - b) + λ(u - u_0)‖/λ, for the last λ", norms(self._gradient(p, s, lam), p) / lam)

    @staticmethod
    def _gradient(p: Parts, s: State, lam: Any) -> Array:
        """A*(Au - b) + λ(u - u_0)."""
        return p.smooth.grad(s.x) + backend.per_sample(lam, s.x) * (s.x - s.x0)

    def _theorem(self, p: Parts) -> Verdict:
        if isinstance(self.lam, str):
            return Verdict(False, "λ is chosen anew in every step: no theorem on the limit is known")
        return Verdict(
            True, "Tikhonov's functional: exact in at most rank(A) steps without rounding (Chung et al. 2008)"
        )


class Projected:
    """min_y ½‖By - βe_1‖² + λ/2 ‖y‖² for B of shape (k + 1, k), α_i on its diagonal and β_{i+1} below it."""

    def __init__(self, alphas: np.ndarray, betas: np.ndarray, rounding: float = 0.0) -> None:
        k = len(alphas)
        self.B, self.beta = np.zeros((k + 1, k)), betas[0]
        self.B[np.arange(k), np.arange(k)] = alphas
        self.B[np.arange(1, k + 1), np.arange(k)] = betas[1:]
        U, self.sigma, self.Wt = np.linalg.svd(self.B)
        self.sigma[self.sigma <= rounding * self.sigma[0]] = 0.0  # nothing is known of these directions
        self.c = self.beta * U[0]  # U*βe_1
        self.s2 = self.sigma**2

    def solve(self, rule: str | float, target: float, before: list[float], m: int) -> tuple[Any, ...]:
        """y, t, λ, the weight of the GCV and the GCV value of the whole problem."""
        weight = 1.0
        if self.beta == 0 or self.sigma[0] == 0:
            lam = 0.0 if isinstance(rule, str) else float(rule)
        elif rule in ("gcv", "wgcv"):
            weight = 1.0 if rule == "gcv" else self.weight()
            lam = self._minimise(float(np.mean([*before, weight])))
        else:
            lam = self._reach(target) if rule == "discrepancy" else float(rule)
        filtered = ratio(self.sigma, self.s2 + lam)
        y = self.Wt.T @ (filtered * self.c[:-1])
        t = -self.B @ y
        t[0] += self.beta
        return y, t, lam, weight, float(t @ t) / max(m - float(filtered @ self.sigma), 1.0) ** 2

    def misfit(self, lam: float) -> float:
        """‖By - βe_1‖²."""
        left = 1 - ratio(self.s2, self.s2 + lam)  # 1 - φ_i
        return float(np.sum((left * self.c[:-1]) ** 2) + self.c[-1] ** 2)

    def weight(self) -> float:
        """The ω for which the weighted GCV function is stationary at λ = σ_k² (Chung, Nagy and O'Leary, section 4)."""
        lam, s2 = max(self.s2[-1], 1e-30 * self.s2[0]), self.s2
        phi, dphi = s2 / (s2 + lam), -s2 / (s2 + lam) ** 2
        N = self.misfit(lam)
        dN = float(np.sum(-2 * (1 - phi) * dphi * self.c[:-1] ** 2))
        bottom = dN * phi.sum() - 2 * N * dphi.sum()
        return float(np.clip(dN * (len(s2) + 1) / bottom, 0, 1)) if bottom > 0 else 1.0

    def _minimise(self, omega: float) -> float:
        """λ with the least ‖By - βe_1‖²/(k + 1 - ω Σ φ_i)²: the best of a grid, refined."""
        from scipy.optimize import minimize_scalar

        def wgcv(log_lam: float) -> float:
            lam = math.exp(log_lam)
            trace = len(self.s2) + 1 - omega * float(np.sum(self.s2 / (self.s2 + lam)))
            return math.log(max(self.misfit(lam), 1e-300)) - 2 * math.log(trace)

        grid = math.log(self.s2[0]) + np.linspace(-30, 5, 71)
        best = int(np.argmin([wgcv(v) for v in grid]))
        ends = grid[max(best - 1, 0)], grid[min(best + 1, len(grid) - 1)]
        return math.exp(minimize_scalar(wgcv, bounds=ends, method="bounded", options={"xatol": 1e-8}).x)

    def _reach(self, target: float) -> float:
        """λ with ‖By - βe_1‖ = target; 0 where the space is too small for that; λ ends at 1e8 σ_1²."""
        from scipy.optimize import brentq

        low, high = (math.log(self.s2[0]) + v for v in (-60.0, 18.0))
        if self.misfit(math.exp(low)) >= target**2:
            return 0.0
        if self.misfit(math.exp(high)) <= target**2:
            return math.exp(high)
        return math.exp(brentq(lambda v: self.misfit(math.exp(v)) - target**2, low, high, xtol=1e-10))


@dataclass(frozen=True)
class FlatGCV(StopRule):
    """Stops `HybridLSQR` where the GCV function of the steps changes by at most ``tol`` of its first value, or rises.

    Rising: it has not fallen below its least value in the last ``window`` steps.
    """

    tol: float = 1e-6
    window: int = 4
    name: ClassVar[str] = "flat_gcv"

    def __post_init__(self) -> None:
        check_not_negative(self.tol, "tol")
        check_count(self.window, "window")

    def check_applies(self, solver: Solver, parts: Parts) -> None:
        if not isinstance(solver, HybridLSQR):
            raise ValueError(f"FlatGCV stops HybridLSQR only; the solver is {type(solver).__name__}")

    def met(self, run: Run) -> Any:
        g = np.array(run.state.gcv[: run.k])
        if len(g) < 2:
            return False if run.batch is None else np.zeros(run.batch, dtype=bool)
        flat = np.abs(g[-1] - g[-2]) <= self.tol * g[0]
        return flat | (len(g) - 1 - np.argmin(g, axis=0) >= self.window)
