"""L-BFGS: a quasi-Newton method with limited memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_count
from ipbox.solvers.core.protocol import Parts, State, Verdict
from ipbox.solvers.gradient.line_search import StrongWolfe
from ipbox.solvers.gradient.searching import Descent
from ipbox.solvers.per_sample import inner, number, ratio, squares


@dataclass(frozen=True)
class LBFGS(Descent):
    """u ← u - αH∇f(u), H an approximation of the inverse Hessian from the last steps s_i and changes y_i of ∇f.

    H is the BFGS matrix of the pairs (s_i, y_i), begun with <s, y>/‖y‖² Id and applied by the two-loop recursion; α
    fulfils the strong Wolfe conditions.  ``state.evaluations`` counts the evaluations of f with its gradient.

    Parameters
    ----------
    memory : int
        Number of pairs, each of two images.
    c1, c2 : float
        0 < c₁ < c₂ < 1: f(u + αd) <= f(u) + c₁α<∇f(u), d> and |<∇f(u + αd), d>| <= c₂|<∇f(u), d>|.

    Notes
    -----
    SciPy's L-BFGS-B runs as a whole in one call, in double precision and on the host: it can be neither stepped nor
    resumed, obeys no stop rule, and takes no device array.  Hence this one, which agrees with it to the same minimum.

    References
    ----------
    Liu and Nocedal, Math. Programming 45 (1989); Nocedal and Wright, Numerical Optimization, 2006, algorithm 7.4.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> b = np.array([[0.0, 1.0], [0.0, 1.0]])
    >>> problem = ip.Problem(ip.L2(b=b) + 0.1 * ip.SmoothedTV((2, 2), eps=1e-3))
    >>> ip.solve(problem, ip.LBFGS(), stop=ip.stop.residual(1e-8, every=1)).x.round(3)
    array([[0.1, 0.9],
           [0.1, 0.9]])
    """

    memory: int = 10
    c1: float = 1e-4
    c2: float = 0.9

    def __post_init__(self) -> None:
        check_count(self.memory, "memory")
        StrongWolfe(self.c1, self.c2)

    def init(self, p: Parts, x0: Array) -> State:
        s = super().init(p, x0)
        s.S, s.Y = ([p.xp.zeros(x0.shape, dtype=x0.dtype) for _ in range(self.memory)] for _ in range(2))
        s.rho = [0.0 * s.gg for _ in range(self.memory)]  # 1/<s_i, y_i>; 0 switches a pair off
        s.gamma = 1.0 + 0.0 * s.gg
        return s

    def step(self, p: Parts, s: State) -> None:
        StrongWolfe(self.c1, self.c2).search(p, s, s.alpha)
        i = s.k % self.memory
        p.xp.subtract(s.x_new, s.x, out=s.S[i])
        p.xp.subtract(s.g_new, s.g, out=s.Y[i])
        sy, yy, ss = inner(s.S[i], s.Y[i], p), squares(s.Y[i], p), squares(s.S[i], p)
        curved = (sy > np.finfo(p.problem.dtype).eps * np.sqrt(ss * yy)) & self.stands_out(p, s, yy, ss)
        s.rho[i] = number(np.where(curved, ratio(1.0, sy), 0.0))
        s.gamma = number(np.where(curved, ratio(sy, yy), s.gamma))
        s.alpha = number(np.where(curved, 1.0, s.alpha))
        self.accept(p, s)
        self._direction(p, s)
        s.slope = inner(s.g, s.d, p)

    def _direction(self, p: Parts, s: State) -> None:
        """d = -H∇f by the two-loop recursion."""
        p.xp.negative(s.g, out=s.d)
        newest_first = [i for i in ((s.k - j) % self.memory for j in range(self.memory)) if np.any(s.rho[i])]
        a = {}
        for i in newest_first:
            a[i] = s.rho[i] * inner(s.S[i], s.d, p)
            backend.axpy(-a[i], s.Y[i], s.d)
        s.d *= backend.per_sample(s.gamma, s.d)
        for i in reversed(newest_first):
            backend.axpy(a[i] - s.rho[i] * inner(s.Y[i], s.d, p), s.S[i], s.d)

    def _convex_theorem(self, p: Parts) -> Verdict:
        if p.smooth.mu <= 0:
            return Verdict(False, "f is convex, but no strong convexity is known (Liu and Nocedal 1989, theorem 7.1)")
        return Verdict(True, "f is strongly convex: linear convergence (Liu and Nocedal 1989, theorem 7.1)")
