"""The inverse scale space flow of the L1 norm, followed exactly from event to event."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_between
from ipbox.functionals import L1, L2
from ipbox.solvers.core.protocol import Parts, Problem, Solver, State, Verdict
from ipbox.solvers.krylov.conjugate_directions import descend, turn


@dataclass(frozen=True)
class InverseScaleSpace(Solver):
    r"""∂_t q = A*(b - Au), q ∈ ∂(λ‖u‖₁), from q = 0: the limit of Bregman iterations whose steps become small.

    u is constant between times at which an entry of q reaches ±λ; a step goes to the next of them.  There u becomes
    argmin ‖Au - b‖² over the u whose entries are 0 or have the sign of q where |q_i| = λ.  Entries enter one by one, so
    the residual falls from step to step and the last u minimises ‖u‖₁ among the minimisers of ‖Au - b‖, after finitely
    many steps.  For TV use `Bregman` with a large weight: there u is not piecewise constant in time.

    Parameters
    ----------
    tol : float, optional
        Accuracy of the least-squares problems, relative to ‖A*b‖: conjugate gradients on the support, so small supports
        suit it.  Ten times the rounding unit by default.
    niter : int
        Bound on the iterations of one of them.

    Raises
    ------
    ValueError
        for other terms than one L2(A, b) and one L1, complex images, and batches (every sample has its own events).

    References
    ----------
    Burger, Möller, Benning and Osher, Math. Comp. 82 (2013); Lawson and Hanson, Solving Least Squares Problems, 1974,
    chapter 23 for the signs.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> problem = ip.Problem(ip.L2(b=np.array([4.0, -1.0, 0.0])) + ip.L1())
    >>> [ip.solve(problem, ip.InverseScaleSpace(), stop=ip.stop.niter(n)).x for n in (1, 2)]
    [array([4., 0., 0.]), array([ 4., -1.,  0.])]
    """

    tol: float | None = None
    niter: int = 500
    takes: ClassVar[tuple[str, ...]] = ("smooth", "prox")
    dtypes: ClassVar[tuple[str, ...]] = ("float32", "float64")

    def prepare(self, problem: Problem) -> Parts:
        p = super().prepare(problem)
        if not (isinstance(p.smooth, L2) and p.smooth.b is not None and type(p.prox) is L1):
            names = " + ".join(f.name for f in problem.terms)
            raise ValueError(f"{names} is no sum of a convex L2(A, b) and λ L1(), which InverseScaleSpace expects")
        if problem.batch is not None:
            raise ValueError(
                f"batch is {problem.batch}: every sample has its own events; InverseScaleSpace expects one problem"
            )
        if problem.dtype.kind == "c":
            raise ValueError(f"the image has dtype {problem.dtype}; InverseScaleSpace expects a real one")
        if self.tol is not None:
            check_between(self.tol, "tol", 0, 1)
        return p

    def init(self, p: Parts, x0: Array) -> State:
        sign = p.xp.sign(x0)
        s = State(x=x0, q=p.prox.weight * sign, active=abs(sign), t=0.0)
        s.r, s.g = p.smooth.residual(x0), p.xp.empty_like(x0)
        s.g0 = _descent(p, s)
        return s

    def step(self, p: Parts, s: State) -> None:
        rate = s.g * (1 - s.active)
        rate[abs(rate) <= self._rounding(p) * s.g0] = 0  # at rest up to rounding
        wait = (p.prox.weight * p.xp.sign(rate) - s.q) / p.xp.where(rate == 0, 1, rate)
        wait[rate == 0] = math.inf
        j = int(p.xp.argmin(wait))
        dt = float(wait.reshape(-1)[j])
        if dt < math.inf:
            s.q += dt * rate
            s.t += dt
            s.active.reshape(-1)[j] = 1
            s.q.reshape(-1)[j] = p.prox.weight * float(p.xp.sign(rate.reshape(-1)[j]))
            self._least_squares(p, s)

    def _rounding(self, p: Parts) -> float:
        return 10 * float(np.finfo(p.problem.dtype).eps) if self.tol is None else self.tol

    def _least_squares(self, p: Parts, s: State) -> None:
        """argmin ‖Au - b‖ on the active entries; those that would change their sign leave, one boundary at a time."""
        for _ in range(s.x.size):
            u = self._conjugate_gradients(p, s)
            wrong = (p.xp.sign(u) * s.q <= 0) & (s.active > 0)
            if not bool(wrong.any()):
                s.x[...] = u
                break
            share = p.xp.where(wrong, s.x / p.xp.where(wrong & (s.x != u), s.x - u, 1), math.inf)
            s.x += float(share.min()) * (u - s.x)
            s.active[share <= share.min()] = 0
            s.x *= s.active
        p.smooth.residual(s.x, out=s.r)
        _descent(p, s)

    def _conjugate_gradients(self, p: Parts, s: State) -> Array:
        """CGLS for min ‖Au - b‖ over u that vanish outside of the active entries, from s.x."""
        A, u = p.smooth.A, s.x.copy()
        r = -p.smooth.residual(u)
        z = s.active * (r if A is None else A.apply_adjoint(r))
        d, size = z.copy(), backend.sum_squares(z)
        for _ in range(self.niter):
            if math.sqrt(size) * p.smooth.weight <= 0.1 * self._rounding(p) * s.g0:
                break
            q = d if A is None else A.apply(d)
            descend(size / backend.sum_squares(q), [u], [d], [r], [q])
            z = s.active * (r if A is None else A.apply_adjoint(r))
            size, old = backend.sum_squares(z), size
            turn(size / old, [d], [z])
        return u

    def residual(self, p: Parts, s: State) -> Any:
        """‖A*(Au - b)‖ relative to its value at the start."""
        return backend.norm(s.g) / s.g0 if s.g0 > 0 else 0.0

    def data_residual(self, p: Parts, s: State) -> Any:
        return backend.norm(s.r)

    def _theorem(self, p: Parts) -> Verdict:
        return Verdict(True, "finitely many events, at last a minimiser of ‖Au - b‖ (Burger et al. 2013, section 3)")


def _descent(p: Parts, s: State) -> float:
    """s.g <- A*(b - Au) from the residual, times the weight; its norm."""
    f = p.smooth
    if f.A is None:
        s.g[...] = s.r
    else:
        f.A.apply_adjoint(s.r, out=s.g)
    s.g *= -f.weight
    return backend.norm(s.g)
