"""L-BFGS-B on the hypergradient of high accuracy."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ipbox.backend import norm
from ipbox.bilevel.methods.first_order import DescentSession, FirstOrder
from ipbox.bilevel.methods.session import Session
from ipbox.checks import check_count, check_fields, check_not_negative, check_positive

AGAIN = 1e-2  # of f where SciPy began: what ends below is minimised again


@dataclass(frozen=True)
class LBFGSB(FirstOrder):
    """SciPy's L-BFGS-B on f and its hypergradient, both computed to high accuracy.

    Parameters
    ----------
    accuracy : float
        ‖u_i - û_i(θ)‖ of every evaluation, in units of the largest value c of the true images.
    residual_tol : float, optional
        Of the adjoint equation; L_g times the accuracy by default.
    memory : int
        Pairs of the quasi-Newton matrix.
    tol : float
        Ends the method where the largest entry of the projected gradient is not above, in units of c², or of f where
        that is less.
    ftol : float
        Ends it where an iteration improves f by no more, relative to f at the start, or to the f, 100 times less, from
        which it was started again.

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
        check_fields(self, check_positive, "accuracy", optional=("residual_tol",))
        check_count(self.memory, "memory")
        check_fields(self, check_not_negative, "tol", "ftol")

    def _loop(self, run: DescentSession) -> str:
        s = run.state
        if run.new:
            s.q, s.u = None, run.source.u

        def at(theta: np.ndarray) -> dict[str, Any]:
            return self._at(run, theta, "evaluation" if run.history else "start")

        try:
            return scipy_lbfgsb(at, run, tol=self.tol, maxcor=self.memory, ftol=self.ftol)
        finally:
            run.source.u = s.u

    def _evaluate(self, run: DescentSession, theta: np.ndarray) -> dict[str, Any]:
        s = run.state
        unit = run.source.unit
        eps = self.accuracy * unit
        delta = run.lipschitz * eps if self.residual_tol is None else self.residual_tol * unit
        h = run.gradient(theta, eps, delta, s.q)
        s.q, s.u = h.q, h.u
        sizes = {"grad_norm": norm(run.bounds.free(theta, h.z)), "step": norm(theta - run.theta)}
        return {"f": h.f, "f_bound": h.f_bound, "z": h.z, "accuracy": eps, **sizes}


def scipy_lbfgsb(at: Callable[[np.ndarray], dict[str, Any]], run: Session, tol: float, **options: Any) -> str:
    """Minimise f by SciPy, ``at`` giving ``f`` and ``z`` = ∇f; why that ended.  ``options`` are SciPy's.

    SciPy sees f/f(θ0), since its tolerances are absolute where f < 1.  Where it ends with f so much smaller that they
    were loose, as where noise is weak, it starts anew from there.
    """
    theta, first = run.theta, at(run.theta)
    while True:
        size = first["f"] or 1.0
        gtol = tol * min(run.source.unit**2 / size, 1.0)
        theta, first, stop = _scipy_run(at, run, theta, first, {"gtol": gtol, **options})
        if not 0 < first["f"] < AGAIN * size:  # 0 is the least there is
            return stop


def _scipy_run(
    at: Callable[[np.ndarray], dict[str, Any]],
    run: Session,
    theta: np.ndarray,
    first: dict[str, Any],
    options: dict[str, Any],
) -> tuple[np.ndarray, dict[str, Any], str]:
    """SciPy from ``theta``, where ``first`` was evaluated: where it ends, the evaluation there, and why."""
    from scipy.optimize import minimize

    size, evaluated = first["f"] or 1.0, [(theta, first)]

    def objective(theta: np.ndarray) -> tuple[float, np.ndarray]:
        if not np.array_equal(theta, evaluated[-1][0]):  # SciPy begins at the start
            evaluated.append((theta.copy(), at(theta)))
        found = evaluated[-1][1]
        return found["f"] / size, found["z"] / size

    options = {"maxiter": 10**6, "maxfun": 10**6, **options}
    box = list(zip(run.bounds.lower, run.bounds.upper, strict=True))
    found = minimize(objective, theta, jac=True, method="L-BFGS-B", bounds=box, options=options)
    message = found.message if isinstance(found.message, str) else found.message.decode()
    stop = "stationary" if "PROJECTED GRADIENT" in message else message.split(":")[-1].strip().lower()
    last = next(e for z, e in reversed(evaluated) if np.array_equal(z, found.x))
    return found.x, last, stop
