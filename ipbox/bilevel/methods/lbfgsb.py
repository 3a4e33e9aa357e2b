"""L-BFGS-B on the hypergradient of high accuracy."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ipbox.bilevel.methods.first_order import Box, FirstOrder, Run
from ipbox.bilevel.methods.maid import norm
from ipbox.solvers.core.state import State
from ipbox.solvers.core.stop_rule import not_negative, positive
from ipbox.solvers.gradient.descent import check_count


class _Enough(Exception):
    """Raised where SciPy asks for one evaluation more than are allowed."""


@dataclass(frozen=True)
class LBFGSB(FirstOrder):
    """SciPy's L-BFGS-B on f and its hypergradient, both computed to high accuracy.

    Parameters
    ----------
    accuracy : float
        ‖u_i - û_i(θ)‖ of every evaluation.
    residual_tol : float, optional
        Of the adjoint equation; L_g times the accuracy by default.
    memory : int
        Pairs of the quasi-Newton matrix.
    tol : float
        Ends the method where the largest entry of the projected gradient is not above.
    ftol : float
        Ends it where an iteration improves f by no more, relative to f.

    Notes
    -----
    Every evaluation is kept in the checkpoint; a resumed run goes through them again without computing them.

    Raises
    ------
    ValueError
        where a parameter is out of its range.

    References
    ----------
    Byrd, Lu, Nocedal and Zhu, SIAM J. Sci. Comput. 16 (1995).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.bilevel import LBFGSB, BilevelProblem, LowerLevel, Weight
    >>> lower = LowerLevel(None, np.array([[0.1, -0.1, 1.1, 0.9]]), Weight(ip.SmoothedTV((4,), eps=0.1)))
    >>> problem = BilevelProblem(np.array([[0.0, 0.0, 1.0, 1.0]]), lower)
    >>> LBFGSB().minimise(problem.evaluator(), [-2.0], bounds=(-3, 0)).theta.round(4)
    array([-1.1665])
    """

    accuracy: float = 1e-8
    residual_tol: float | None = None
    memory: int = 10
    tol: float = 1e-6
    ftol: float = 1e-12

    def __post_init__(self) -> None:
        positive(self.accuracy, "accuracy")
        if self.residual_tol is not None:
            positive(self.residual_tol, "residual_tol")
        check_count(self.memory, "memory")
        not_negative(self.tol, "tol")
        not_negative(self.ftol, "ftol")

    def _init(self, run: Run, theta: np.ndarray) -> State:
        s = State(theta0=theta, q=None, f=math.inf, log=[], history=[])
        self._evaluate(run, s, theta, "start")
        return s

    def _evaluate(self, run: Run, s: State, theta: np.ndarray, kind: str) -> None:
        delta = run.lipschitz * self.accuracy if self.residual_tol is None else self.residual_tol
        h = run.gradient(theta, self.accuracy, delta, s.q)
        s.q = h.q
        s.log.append({"theta": theta.copy(), "f": h.f, "z": h.z})
        row = {"theta": theta.copy(), "f": h.f, "f_bound": h.f_bound, "grad_norm": norm(run.box.free(theta, h.z))}
        run.record(s, **row, accuracy=self.accuracy, step=norm(theta - s.theta0), kind=kind)
        s.u = h.u
        if h.f < s.f:
            s.x, s.f, s.bound = theta.copy(), h.f, h.f_bound

    def _loop(self, run: Run, s: State, shown: Any) -> str:
        replayed = 0

        def objective(theta: np.ndarray) -> tuple[float, np.ndarray]:
            nonlocal replayed
            if replayed == len(s.log):
                if s.k >= run.iterations:
                    raise _Enough
                self._evaluate(run, s, theta, "evaluation")
                s.k += 1
                run.save(s)
                shown.update(1)
            known = s.log[replayed]
            if not np.array_equal(known["theta"], theta):
                raise ValueError("checkpoint has other evaluations than SciPy asks for; expected one of this version")
            replayed += 1
            return known["f"], known["z"].copy()

        try:
            return scipy_lbfgsb(objective, s.theta0, run.box, maxcor=self.memory, gtol=self.tol, ftol=self.ftol)
        except _Enough:
            return "iterations"


def scipy_lbfgsb(
    objective: Callable[[np.ndarray], tuple[float, np.ndarray]], theta0: np.ndarray, box: Box, **options: Any
) -> str:
    """Minimise ``objective``, which gives f and ∇f, by SciPy; why that ended.  ``options`` are SciPy's."""
    from scipy.optimize import minimize

    options = {"maxiter": 10**6, "maxfun": 10**6, **options}
    bounds = list(zip(box.lower, box.upper, strict=True))
    found = minimize(objective, theta0, jac=True, method="L-BFGS-B", bounds=bounds, options=options)
    message = found.message if isinstance(found.message, str) else found.message.decode()
    return "stationary" if "PROJECTED GRADIENT" in message else message.split(":")[-1].strip().lower()
