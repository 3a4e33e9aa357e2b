"""nmAPG: accelerated proximal gradient steps for functions that are not convex, with a proved way back."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_between, check_positive
from ipbox.solvers.core.protocol import Parts, Problem, Solver, State, Verdict
from ipbox.solvers.gradient.descent import step_size
from ipbox.solvers.per_sample import number, relative_change, squares, unit_of_step

SHARE = 0.95  # of 1/L, by default: steps 1/L themselves may leave F where it is


@dataclass(frozen=True)
class NonMonotoneAPG(Solver):
    """Non-monotone accelerated proximal gradient for F = f + g, f smooth, neither of which need be convex.

    z⁺ = prox_{τg}(y - τ∇f(y)), y = u + t_old/t (z - u) + (t_old - 1)/t (u - u_old); u⁺ = z⁺ where
    F(z⁺) <= c - δ‖z⁺ - y‖², else that of z⁺ and v = prox_{τg}(u - τ∇f(u)) with the lower F;
    t⁺ = (1 + √(4t² + 1))/2, q⁺ = ηq + 1, c⁺ = (ηqc + F(u⁺))/q⁺.

    Parameters
    ----------
    tau : float, optional
        0 < τ < 1/L, by default 0.95/L.
    eta : float
        0 <= η < 1: c is the mean of F at the last iterates, weighted by powers of η; with 0 F never rises.
    delta : float
        δ in units of 1/τ, positive.

    Notes
    -----
    c_k >= F(u_k) falls, so F stays below F(u_0); where that is infinite, c begins at the first F that is not.  A step
    costs a gradient and a value of f, and where z⁺ is refused another of both.

    References
    ----------
    Li and Lin, Accelerated proximal gradient methods for nonconvex programming, NeurIPS (2015), algorithm 2.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> problem = ip.Problem(ip.L2(b=np.array([-1.0, 2.0])) - 0.5 * ip.L2() + ip.NonNegative())
    >>> ip.solve(problem, ip.NonMonotoneAPG(), stop=ip.stop.residual(1e-8, every=1)).x.round(6)
    array([0., 4.])
    """

    takes: ClassVar[tuple[str, ...]] = ("smooth", "prox")

    tau: float | None = None
    eta: float = 0.8
    delta: float = 1e-3

    def __post_init__(self) -> None:
        super().__post_init__()
        check_between(self.eta, "eta", 0, 1, "[)")
        check_positive(self.delta, "delta")

    def prepare(self, problem: Problem) -> Parts:
        p = super().prepare(problem)
        if not (p.prox.explicit and p.smooth.explicit):
            raise ValueError(
                "an implicit term has no objective, which NonMonotoneAPG compares; expected explicit terms"
            )
        return p

    def _step_size(self, p: Parts) -> float:
        step_size(None, p)  # refuses a smooth part with no Lipschitz gradient
        L = p.smooth.L
        if self.tau is None:
            return SHARE / L if L > 0 else 1.0
        if not (self.tau > 0 and self.tau * L < 1):
            largest = 1 / L if L > 0 else math.inf
            raise ValueError(
                f"tau is {self.tau:g}; NonMonotoneAPG expects a step size in (0, 1/L) with 1/L = {largest:g}"
            )
        return float(self.tau)

    def init(self, p: Parts, x0: Array) -> State:
        s = State(x=x0, tau=self._step_size(p), t=1.0, t_old=0.0, q=1.0)
        s.z, s.x_old = x0.copy(), x0.copy()
        s.y, s.v, s.grad = (p.xp.zeros_like(x0) for _ in range(3))
        s.f = s.c = self._F(p, s.x)
        return s

    @staticmethod
    def _F(p: Parts, x: Array) -> Any:
        return p.problem.objective(x)

    def _from(self, p: Parts, s: State, y: Array, out: Array) -> None:
        """out <- prox_{τg}(y - τ∇f(y))."""
        p.smooth.grad(y, out=s.grad, work=s.scratch["smooth"])
        out[...] = y
        backend.axpy(-s.tau, s.grad, out)
        p.prox.prox(out, s.tau, out=out, work=s.scratch["prox"])

    def step(self, p: Parts, s: State) -> None:
        s.y[...] = s.x + (s.t_old / s.t) * (s.z - s.x) + ((s.t_old - 1) / s.t) * (s.x - s.x_old)
        self._from(p, s, s.y, s.z)
        value = self._F(p, s.z)
        s.y -= s.z
        good = value <= s.c - self.delta / s.tau * squares(s.y, p)
        s.x_old[...] = s.x
        if not np.all(good):
            self._from(p, s, s.x_old, s.v)
            other = self._F(p, s.v)
            good = good | (value <= other)
            value = number(np.where(good, value, other))
            s.x[...] = s.v
        s.x[...] = p.xp.where(_mask(good, s.x), s.z, s.x)
        s.f, s.t_old, s.t = value, s.t, (1 + (4 * s.t**2 + 1) ** 0.5) / 2
        q, s.q = s.q, self.eta * s.q + 1
        c = number(np.where(np.isfinite(s.c), s.c, s.f))  # infinite at a start outside of a constraint
        s.c = (self.eta * q * c + s.f) / s.q

    def objective(self, p: Parts, s: State) -> Any:
        return s.f

    def residual(self, p: Parts, s: State) -> Any:
        """As of `ForwardBackward`: ‖u⁺ - u‖ of a step prox_{τg}(u - τ∇f(u)), relative."""
        new = p.prox.prox(s.x - s.tau * p.smooth.grad(s.x), s.tau)
        return unit_of_step(s.tau, p) * relative_change(s.x, new, p)

    def _theorem(self, p: Parts) -> Verdict:
        self._step_size(p)
        if p.smooth.is_convex and p.prox.is_convex:
            return Verdict(True, "f, g convex, ∇f Lipschitz, τ < 1/L: limit points are minimisers (Li and Lin 2015)")
        return Verdict(
            True,
            "limit points are critical points where level sets are bounded, as ∇f is Lipschitz and τ < 1/L (Li and Lin "
            "2015, algorithm 2); not minimisers, as F is not convex",
        )


def _mask(good: Any, x: Array) -> Any:
    """Of which samples to take the first; ready for `where`."""
    return backend.per_sample(np.asarray(good, dtype=float), x) > 0 if np.ndim(good) else bool(good)
