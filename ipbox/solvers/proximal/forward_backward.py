"""Forward-backward splitting and the proximal point method."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_flag, check_positive
from ipbox.solvers.core.protocol import Certificate, Parts, Prepared, Problem, Solver, State, Verdict
from ipbox.solvers.gradient.descent import step_size
from ipbox.solvers.gradient.line_search import shorten
from ipbox.solvers.per_sample import TINY, norms, relative_change, unit_of_step


@dataclass(frozen=True)
class ForwardBackward(Solver):
    """u ← prox_{τg}(u - τ∇f(u)) for min f(u) + g(u), f smooth.

    Parameters
    ----------
    tau : float, optional
        0 < τ < 2/L, by default 1/L.  With backtracking the first trial, any τ > 0.
    backtracking : bool
        Halve τ until f(u⁺) <= f(u) + <∇f(u), u⁺ - u> + ‖u⁺ - u‖²/(2τ), so that L need not be known (nor finite); costs
        values of f.  Refused for implicit terms, which have no objective, and for batches, whose samples share τ.

    Notes
    -----
    With τ = 1/L: F(u_k) - F* <= L‖u_0 - u*‖²/(2k).

    References
    ----------
    Combettes and Wajs, Multiscale Model. Simul. 4 (2005); Beck and Teboulle, SIAM J. Imaging Sci. 2 (2009).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> problem = ip.Problem(ip.L2(ip.Identity((2,), "float64"), np.array([-1.0, 2.0])) + ip.NonNegative())
    >>> ip.solve(problem, ip.ForwardBackward(), stop=ip.stop.niter(5)).x
    array([0., 2.])
    """

    tau: float | None = None
    backtracking: bool = False
    takes: ClassVar[tuple[str, ...]] = ("smooth", "prox")
    by_ranks: ClassVar[bool] = True

    def prepare(self, problem: Problem) -> Parts:
        p = super().prepare(problem)
        if check_flag(self.backtracking, "backtracking") and not (p.prox.explicit and p.smooth.explicit):
            raise ValueError("backtracking is True; a problem with an implicit term has no objective to decrease")
        if self.backtracking and p.batch is not None:
            raise ValueError(f"backtracking is True and batch is {p.batch}; expected a fixed step size for a batch")
        return p

    def init(self, p: Prepared, x0: Array) -> State:
        s = State(x=x0, grad=p.xp.empty_like(x0))
        if self.backtracking:
            s.z = p.xp.empty_like(x0)
        s.tau = self._first_step_size(p, x0)
        return s

    def _first_step_size(self, p: Prepared, x0: Array) -> float:
        if not self.backtracking:
            return self._step_size(p)
        if self.tau is not None:
            return check_positive(self.tau, "tau", "a positive step size")
        if 0 < p.smooth.L < math.inf:
            return 16 / p.smooth.L  # L holds for the worst direction, which may never occur
        return max(backend.norm(x0), 1.0) / max(backend.norm(p.smooth.grad(x0)), 1e-30)

    def _step_size(self, p: Prepared) -> float:
        return step_size(self.tau, p)

    def step(self, p: Prepared, s: State) -> None:
        p.smooth.grad(s.x, out=s.grad, work=s.scratch["smooth"])
        if self.backtracking:
            backtrack(p, s, s.x, s.z)
            s.x[...] = s.z
        else:
            backend.axpy(-s.tau, s.grad, s.x)
            p.prox.prox(s.x, s.tau, out=s.x, work=s.scratch["prox"])

    def residual(self, p: Prepared, s: State) -> Any:
        """‖u⁺ - u‖/(τc) relative to the larger of ‖u‖ and ‖u⁺‖, u⁺ = prox_{τg}(u - τ∇f(u)); c: `unit_of_step`."""
        return unit_of_step(s.tau, p) * relative_change(s.x, self._forward_backward(p, s), p)

    @staticmethod
    def _forward_backward(p: Prepared, s: State) -> Array:
        """u⁺ from a cold start: nothing in the state changes."""
        return p.prox.prox(s.x - s.tau * p.smooth.grad(s.x), s.tau)

    def certificate(self, p: Prepared, s: State) -> Certificate:
        mu = p.smooth.mu + p.prox.mu
        if mu <= 0 or not p.smooth.L < math.inf:
            return super().certificate(p, s)
        # (u - u⁺)/τ + ∇f(u⁺) - ∇f(u) is a subgradient at u⁺, so ‖u⁺ - u*‖ <= (1/τ + L)/μ ‖u - u⁺‖
        r = norms(s.x - self._forward_backward(p, s), p)
        return Certificate("(1 + (1/τ + L)/μ) ‖u - u⁺‖", (1 + (1 / s.tau + p.smooth.L) / mu) * r)

    def _theorem(self, p: Prepared) -> Verdict:
        if not p.smooth.is_convex:
            return Verdict(False, "the smooth part is not convex")
        if not p.prox.explicit:
            return Verdict(False, f"{p.prox.name} is implicit: it may be no proximal operator of a convex functional")
        if self.backtracking:
            if not p.smooth.L < math.inf:
                return Verdict(False, f"the gradient of {p.smooth.name} is not Lipschitz on the whole space")
            return Verdict(True, "f, g convex, ∇f Lipschitz, backtracking (Beck and Teboulle 2009, theorem 3.1)")
        self._step_size(p)
        return Verdict(True, "f, g convex, ∇f L-Lipschitz, τ < 2/L (Combettes and Wajs 2005, theorem 3.4)")


def backtrack(p: Prepared, s: State, z: Array, out: Array) -> Array:
    """out <- prox_{τg}(z - τ∇f(z)) with the largest of τ, τ/2, τ/4, ... at which f lies below its quadratic model.

    ``s.grad`` holds ∇f(z); the difference of both sides is known up to the rounding of f's values only.

    Raises
    ------
    FloatingPointError
        where no step size is small enough, as with a gradient that does not belong to the values.
    """
    f = p.smooth.value(z)
    if not math.isfinite(f):
        raise FloatingPointError(f"the objective is {f} at the iterate; expected a start where it is finite")

    def trial(tau: float) -> tuple[bool, float]:
        out[...] = z
        backend.axpy(-tau, s.grad, out)
        p.prox.prox(out, tau, out=out, work=s.scratch["prox"])
        move = out - z
        model = f + backend.dot(s.grad, move) + backend.sum_squares(move) / (2 * tau)
        return p.smooth.value(out) <= model + 10 * float(np.finfo(z.dtype).eps) * abs(f), tau / 2

    s.tau, done = shorten(s.tau, trial, most=200)
    if not done:
        raise FloatingPointError(
            f"backtracking found no step size above {s.tau:g}; check the gradient of {p.smooth.name}"
        )
    return out


@dataclass(frozen=True)
class ProximalPoint(Solver):
    """u ← prox_{γf}(u) for min f(u).

    Parameters
    ----------
    gamma : float
        Any γ > 0; larger ones converge in fewer steps, each of which may be harder.

    Notes
    -----
    f(u_k) - f* <= ‖u_0 - u*‖²/(2γk); with μ-strong convexity ‖u_k - u*‖ <= ‖u_0 - u*‖/(1 + γμ)^k.

    References
    ----------
    Rockafellar, SIAM J. Control Optim. 14 (1976).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> ip.solve(ip.Problem(ip.L2(b=np.array([1.0, 2.0]))), ip.ProximalPoint(3.0), stop=ip.stop.niter(30)).x
    array([1., 2.])
    """

    gamma: float = 1.0
    takes: ClassVar[tuple[str, ...]] = ("prox",)

    def init(self, p: Prepared, x0: Array) -> State:
        check_positive(self.gamma, "gamma")
        return State(x=x0, z=p.xp.empty_like(x0), first=0.0 * norms(x0, p))

    def step(self, p: Prepared, s: State) -> None:
        new = p.prox.prox(s.x, self.gamma, out=s.z, work=s.scratch["prox"])
        if s.k == 0:
            s.first = norms(new - s.x, p)
        s.x[...] = new

    def residual(self, p: Prepared, s: State) -> Any:
        """‖u - u⁺‖, u⁺ = prox_{γf}(u), relative to their norms and to the first step or, for a smooth f, γc‖u‖.

        ‖u - u⁺‖/γ is a subgradient of f at u⁺; c is the typical curvature of f.
        """
        new = p.prox.prox(s.x, self.gamma)
        size, c = np.maximum(norms(s.x, p), norms(new, p)), p.prox.curvature
        force = np.maximum(s.first, self.gamma * c * size if c < math.inf else 0.0)
        return norms(new - s.x, p) / np.maximum(np.minimum(size, force), TINY)

    def certificate(self, p: Prepared, s: State) -> Certificate:
        if p.prox.mu <= 0:
            return super().certificate(p, s)
        # (u - u⁺)/γ is a subgradient at u⁺
        r = norms(s.x - p.prox.prox(s.x, self.gamma), p)
        return Certificate("(1 + 1/(γμ)) ‖u - prox_{γf}(u)‖", (1 + 1 / (self.gamma * p.prox.mu)) * r)

    def _theorem(self, p: Prepared) -> Verdict:
        check_positive(self.gamma, "gamma")
        if not p.prox.explicit:
            return Verdict(False, f"{p.prox.name} is implicit: it may be no proximal operator of a convex functional")
        return Verdict(True, "f convex, γ > 0 (Rockafellar 1976, theorem 1)")
