"""Nonlinear conjugate gradients."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.checks import check_choice
from ipbox.solvers.core.protocol import Parts, State, Verdict
from ipbox.solvers.gradient.line_search import StrongWolfe
from ipbox.solvers.gradient.searching import Descent
from ipbox.solvers.per_sample import inner, number, ratio, squares


@dataclass(frozen=True)
class NonlinearCG(Descent):
    """u ← u + αd, d ← -∇f(u) + βd, with α from a strong Wolfe line search.

    y = ∇f(u_new) - ∇f(u); β by Hager and Zhang, <y - 2d‖y‖²/<d, y>, ∇f(u_new)>/<d, y> (bounded from below), or by
    Polak, Ribière and Polyak, max(<y, ∇f(u_new)>/‖∇f(u)‖², 0).  Where d is no direction of sufficient descent it is
    begun anew with -∇f.

    Parameters
    ----------
    beta : str
        ``"hager-zhang"`` or ``"polak-ribiere"``.
    c1, c2 : float
        0 < c₁ < c₂ < 1, of the Wolfe conditions; a tiny c₂ makes the search exact.

    References
    ----------
    Hager and Zhang, SIAM J. Optim. 16 (2005); Gilbert and Nocedal, SIAM J. Optim. 2 (1992).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> b = np.array([[0.0, 1.0], [0.0, 1.0]])
    >>> problem = ip.Problem(ip.L2(b=b) + 0.1 * ip.SmoothedTV((2, 2), eps=1e-2))
    >>> ip.solve(problem, ip.NonlinearCG(), stop=ip.stop.residual(1e-8, every=1)).x.round(3)
    array([[0.1, 0.9],
           [0.1, 0.9]])
    """

    beta: str = "hager-zhang"
    c1: float = 1e-4
    c2: float = 0.1

    def __post_init__(self) -> None:
        check_choice(self.beta, "beta", ("hager-zhang", "polak-ribiere"))
        StrongWolfe(self.c1, self.c2)

    def init(self, p: Parts, x0: Array) -> State:
        s = super().init(p, x0)
        s.longest = 0.0 * s.alpha  # of the first step, and of those that f has told to be good
        return s

    def step(self, p: Parts, s: State) -> None:
        alpha, slope = StrongWolfe(self.c1, self.c2).search(p, s, s.alpha), s.slope
        told = ~np.asarray(StrongWolfe.silent(p, s.f_new, s.f)) | (s.longest == 0)
        s.longest = number(np.where(told, np.maximum(s.longest, alpha), s.longest))
        beta = self._beta(p, s)
        self.accept(p, s)
        s.d *= backend.per_sample(beta, s.d)
        s.d -= s.g
        self._restart(p, s)
        guess = alpha * ratio(slope, s.slope)  # α<∇f, d> changes little from step to step
        s.alpha = number(np.minimum(guess, 10 * s.longest))  # a slope of rounding asks for steps without end

    @staticmethod
    def _restart(p: Parts, s: State) -> None:
        """Turn to -∇f where d does not descend enough."""
        s.slope = inner(s.g, s.d, p)
        weak = s.slope > -1e-3 * s.gg
        if np.any(weak):
            s.d *= backend.per_sample(number(np.where(weak, 0.0, 1.0)), s.d)
            backend.axpy(number(np.where(weak, -1.0, 0.0)), s.g, s.d)
            s.slope = number(np.where(weak, -s.gg, s.slope))

    def _beta(self, p: Parts, s: State) -> Any:
        """β; ∇f(u) is overwritten by -y."""
        s.g -= s.g_new
        dy, yg, yy = -inner(s.d, s.g, p), -inner(s.g, s.g_new, p), squares(s.g, p)
        if self.beta == "polak-ribiere":
            return number(np.maximum(ratio(yg, s.gg), 0.0))
        dg = dy + s.slope  # <d, ∇f(u_new)>
        lowest = -ratio(1.0, np.sqrt(squares(s.d, p)) * np.minimum(0.01, np.sqrt(s.gg)))
        return number(np.maximum(ratio(yg, dy) - 2 * ratio(yy, dy) * ratio(dg, dy), lowest))

    def _convex_theorem(self, p: Parts) -> Verdict:
        return Verdict(
            True,
            "f is convex with a Lipschitz gradient: lim inf ‖∇f(u_k)‖ = 0 on bounded level sets (Hager and Zhang 2005, "
            "theorem 3; Gilbert and Nocedal 1992, theorem 4.2)",
        )
