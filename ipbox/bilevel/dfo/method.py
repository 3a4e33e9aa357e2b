r"""Derivative-free minimisation of a sum of squares that is evaluated inexactly, with accuracies chosen as it goes."""

from __future__ import annotations

import contextlib
import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypedDict, Unpack

import numpy as np

from ipbox import reports
from ipbox.bilevel.dfo.algorithm import Algorithm
from ipbox.bilevel.dfo.model import Point
from ipbox.bilevel.dfo.residuals import Residuals
from ipbox.bilevel.dfo.settings import Settings
from ipbox.bilevel.methods.bounds import Bounds
from ipbox.bilevel.methods.minimiser import Minimiser, also_called
from ipbox.bilevel.methods.session import Budget, Session, check_work
from ipbox.checks import check_numbers
from ipbox.keywords import answering


@dataclass
class DFOResult:
    """What `dfo` returns.

    Attributes
    ----------
    theta : array, shape (p,)
        The last iterate.
    f, bound : float
        f̃(θ) = ‖r̃(θ)‖², and |f̃(θ) - f(θ)| <= bound, from the accuracies that were delivered.
    residuals, delta : arrays, shape (m,)
        r̃(θ), and |r̃_j - r_j| <= delta_j.
    evaluations : int
        All of them, repeated ones at a better accuracy too.
    stop : str
        Why it ended: "evaluations" or "work" (spent), "radius" (the trust region is smaller than radius_final), "zero"
        (f = 0), "accuracy" (the residuals come no more accurate, and no further decrease could be told from errors),
        "callback" (which returned True).
    history : list of dict
        A row for each evaluation, with ``evaluation`` (from 1 on), ``kind`` ("start", "step", "geometry", or "accuracy"
        where a point is evaluated again), ``point``, ``point_f``, ``point_bound``, ``requested`` and ``delivered``
        accuracy, ``work`` so far, ``radius``; and of the iterate after it ``theta``, ``f`` and ``f_bound``.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.bilevel import dfo
    >>> found = dfo(lambda theta, accuracy: theta - 0.25, [0.9], ([0.0], [1.0]))
    >>> found.theta.round(4), found.stop
    (array([0.25]), 'radius')
    """

    theta: np.ndarray
    f: float
    bound: float
    residuals: np.ndarray
    delta: np.ndarray
    evaluations: int
    stop: str
    history: list[dict[str, Any]] = field(default_factory=list)

    report = reports.of_fields

    def __repr__(self) -> str:
        theta = np.array2string(self.theta, precision=5, threshold=8)
        return (
            f"DFOResult(theta={theta}, f={self.f:.7g} ± {self.bound:.1e}, evaluations={self.evaluations}, "
            f"stop={self.stop!r})"
        )


@also_called("work_budget", "work", leaves="0.3")
@dataclass(frozen=True)
class DFO(Settings, Minimiser):
    r"""Dynamic-accuracy derivative-free optimisation: Algorithm 1 of Ehrhardt and Roberts.

    Minimises f(θ) = ‖r(θ)‖² within bounds, r evaluated with |r̃_j - r_j| <= δ.  Variables are scaled to [0, 1] by their
    bounds; those that lack one, by max(1, ‖θ_0‖_∞): give bounds to variables in small units.  Residuals may have any
    unit.

    Parameters
    ----------
    accuracy : "dynamic", float or None
        Chosen by the algorithm; or the same for all evaluations; or left to the residuals (exact functions, and lower
        levels solved by a fixed number of iterations): then None is passed on, and (32) is not tested.
    evaluations : int, optional
        At most so many; 100 (p + 1) by default.
    work : float
        At most so much, as that of `minimise`: the smaller one counts; ``work_budget`` is its old name.
    radius, radius_final, radius_max : float
        Δ of the start, below which it ends, and at most; in scaled variables.
    eta1, eta2, eta1_prime : float
        A step is good from η_1, very good from η_2; errors of f̃ are kept below η_1' times the predicted decrease,
        η_1' < min(η_1, 1 - η_2)/2.
    gamma_inc, gamma_dec : float
        Factors of Δ; by gamma_dec at most where it is reduced.
    c : float
        Interpolation points are evaluated with δ <= c Δ² ρ, ρ the root mean square of the inexact entries of r̃(θ_0).
    epsilon : float
        ε of the criticality phase: the model is flat where ‖g‖ <= ε f.
    curvature : bool
        Let points that have left the interpolation set add the second-order terms of r to the model, where they are
        enough to tell of a third of them, as for up to 15 parameters; without it the model is (26), that of the paper.
    reach, poisedness : float
        The model counts as fully linear in B(θ, Δ) where the points are within reach·Δ and Λ <= poisedness.
    accuracy_floor : float
        No better accuracy is ever asked for than this times ρ.

    Notes
    -----
    The model is Gauss and Newton's with J from linear interpolation of r in p + 1 points.  Large residuals, as those of
    bilevel learning, r_i = ‖û_i - u_i‖, have second-order terms Σ r_i ∇²r_i that matter more than JᵀJ.  Two remedies
    change the model by O(Δ²), so that it stays fully linear, and cost no evaluation:

    - Where the residuals tell the vectors û_i - u_i too, those are interpolated: of r_i ∇²r_i this has all but
      <û_i - u_i, ∇²û_i>.  An `Evaluator` tells them where they have at most 4096 entries, all images together.
    - With ``curvature`` r is interpolated by the quadratics of least curvature through the p + 1 points and past ones
      near by.

    After a step that failed Δ is reduced by gamma_dec; where p > 4 to where the parabola through what is known along
    the step has its minimum, if that is less, down to 2/p or a tenth of Δ.

    A point becomes the iterate where f̃(θ') < f̃(θ) - bound - bound', which implies f(θ') < f(θ); (33) with (32) implies
    that.

    Raises
    ------
    ValueError, TypeError
        for settings out of their ranges.

    References
    ----------
    Ehrhardt and Roberts, Inexact derivative-free optimization for bilevel learning, J. Math. Imaging Vis. 63 (2021)
    580-600; Conn, Scheinberg and Vicente, Introduction to Derivative-Free Optimization, SIAM 2009.

    Examples
    --------
    >>> import numpy as np
    >>> from ipbox.bilevel import DFO
    >>> def rosenbrock(x, accuracy):
    ...     return np.array([10 * (x[1] - x[0] ** 2), 1 - x[0]])
    >>> found = DFO(accuracy=None).minimise(rosenbrock, [-1.2, 1.0])
    >>> found.theta.round(5), found.f < 1e-10
    (array([1., 1.]), True)
    """

    def minimise(  # type: ignore[override]  # of residuals, not of an evaluator
        self,
        residuals: Callable[..., Any],
        theta0: Any,
        bounds: Any = None,
        *,
        work_done: Callable[[], float] | None = None,
        work: float = math.inf,
        checkpoint: str | Path | None = None,
        callback: Callable[[dict[str, Any]], Any] | None = None,
        progress: bool = False,
    ) -> DFOResult:
        """Minimise ‖residuals‖²; the arguments are those of `dfo`."""
        source = Residuals(residuals, work_done)
        theta0 = check_numbers(theta0, "theta0", "a vector of finite numbers")
        if theta0.ndim != 1 or theta0.size == 0 or not np.isfinite(theta0).all():
            raise ValueError(f"theta0 is {theta0}; expected a vector of finite numbers")
        box = Bounds(bounds, len(theta0))
        box.check(theta0)
        lo, hi = box.lower, box.upper
        if not (lo < hi).all():
            raise ValueError(f"bounds are {lo} and {hi}; expected lower < upper: what is fixed is not to be learned")
        scaled = np.isfinite(lo) & np.isfinite(hi)
        scale = np.full(len(theta0), max(1.0, float(np.abs(theta0).max())))
        scale[scaled] = (hi - lo)[scaled]
        shift = np.where(scaled, lo, 0.0)

        def unscaled(z: np.ndarray) -> np.ndarray:
            return box.project(shift + scale * z)

        algorithm = Algorithm(self, (theta0 - shift) / scale, (lo - shift) / scale, (hi - shift) / scale, source.unit)
        most = 100 * (len(theta0) + 1) if self.evaluations is None else self.evaluations
        budget = Budget(most, min(check_work(work), self.work), "evaluations")
        settings = replace(self, evaluations=None, work=math.inf)  # budgets may be other ones
        name = f"{settings!r} of {source.name} from {theta0.tolist()} {box}"
        run = Session(source, name, theta0, box, budget, checkpoint, callback)
        stop = run.complete(functools.partial(_evaluations, algorithm, unscaled), progress)
        best = algorithm.best()
        return DFOResult(unscaled(best.z), best.f, best.bound, best.r, best.delta, len(run.history), stop, run.history)


def _evaluations(algorithm: Algorithm, unscaled: Callable[[np.ndarray], np.ndarray], run: Session) -> str:
    """Evaluate what the algorithm asks for, until it says why it ends."""
    steps = algorithm.run()
    request = next(steps)
    while not algorithm.stop:
        theta, asked = unscaled(request.z), request.accuracy
        found, new = run.due(theta, functools.partial(run.source, theta, asked), requested=asked)
        if new:
            run.save()
        asked_for = math.inf if asked is None else asked
        point = Point(request.z, found["r"], found["delta"], asked_for, found.get("vectors"))
        row = {
            "evaluation": run.done, "kind": request.kind, "point": theta, "point_f": point.f,
            "point_bound": point.bound, "requested": asked, "delivered": point.error, "work": found["work"],
            "radius": algorithm.radius,
        }  # fmt: skip
        with contextlib.suppress(StopIteration):
            request = steps.send(point)
        best = algorithm.best()
        run.record(row | {"theta": unscaled(best.z), "f": best.f, "f_bound": best.bound}, new)
    return algorithm.stop


class Given(TypedDict, total=False):
    """The parameters of `DFO`, as `dfo` takes them."""

    accuracy: str | float | None
    evaluations: int | None
    work: float
    radius: float
    radius_final: float
    radius_max: float
    eta1: float
    eta2: float
    eta1_prime: float
    gamma_inc: float
    gamma_dec: float
    c: float
    epsilon: float
    curvature: bool
    reach: float
    poisedness: float
    accuracy_floor: float


@answering
def dfo(
    residuals: Callable[..., Any],
    theta0: Any,
    bounds: Any = None,
    *,
    work_done: Callable[[], float] | None = None,
    checkpoint: str | Path | None = None,
    callback: Callable[[dict[str, Any]], Any] | None = None,
    progress: bool = False,
    **settings: Unpack[Given],
) -> DFOResult:
    r"""Minimise f(θ) = ‖r(θ)‖² within bounds without derivatives, r evaluated inexactly.

    Parameters
    ----------
    residuals : function
        ``residuals(theta, accuracy)`` gives r̃, shape (m,), or (r̃, δ) with δ, a number or (m,), that bounds
        |r̃_j - r_j|: at most ``accuracy`` where that can be had, and 0 for entries that are exact.  Without δ r̃ is taken
        for exact.  Or (r̃, δ, ṽ), where the first k of r are norms, of the rows of an array v (k, q): δ_j then bounds
        ‖ṽ_j - v_j‖.  It may hold ``work()``, and ``get_state()``/``set_state(dict)`` for checkpoints.
    theta0 : array, shape (p,)
        Start, within the bounds.
    bounds : pair of arrays, optional
        Lower and upper bounds, numbers or shape (p,), infinite where there is none.
    work_done : function, optional
        Gives the work done so far, for the history; ``residuals.work`` by default, or else evaluations are counted.
    checkpoint : path, optional
        File (.npz) to which the evaluations are saved, atomically, so often that it takes at most 2 % of the time, and
        at the end; where it is there already, the run goes on from it, bit for bit, and what it holds is not evaluated
        again.  Start, bounds, settings and the function's name must be the same; of a function a file knows no more, of
        an `Evaluator` the problem.  The budgets may be other ones.
    callback : function, optional
        Called with the row of the history after each new evaluation; the run ends where it returns True.
    progress : bool
        Show a progress bar.
    **settings
        Those of `DFO`: ``accuracy``, ``evaluations``, ``work``, ``radius`` ...

    Returns
    -------
    DFOResult

    Raises
    ------
    ValueError, TypeError
        for arguments or residuals of no use.
    FloatingPointError
        for residuals that are not finite.

    References
    ----------
    Ehrhardt and Roberts, J. Math. Imaging Vis. 63 (2021) 580-600.

    Examples
    --------
    The series of r = 2 - exp(θ) is summed to the accuracy that is asked for:

    >>> import math
    >>> import numpy as np
    >>> from ipbox.bilevel import dfo
    >>> def residuals(theta, accuracy):
    ...     k, term, total = 0, 1.0, 1.0
    ...     while 2 * abs(term) > accuracy:
    ...         k += 1
    ...         term *= theta[0] / k
    ...         total += term
    ...     return np.array([2.0 - total]), 2 * abs(term)
    >>> found = dfo(residuals, [0.2], ([0.0], [1.0]))
    >>> bool(abs(found.theta[0] - math.log(2)) < 1e-4), found.bound < 1e-6
    (True, True)
    """
    options: dict[str, Any] = {"work_done": work_done, "callback": callback, "progress": progress}
    return DFO(**settings).minimise(residuals, theta0, bounds, checkpoint=checkpoint, **options)
