"""What the first-order bilevel methods share: the loop, budgets, bounds on θ, history and checkpoints."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ipbox.backend import Array
from ipbox.bilevel.methods.evaluations import check_callback, check_checkpoint, check_work
from ipbox.bilevel.problem.adjoint import AdjointSolution, solve_adjoint_samples
from ipbox.bilevel.problem.cost import Cost
from ipbox.bilevel.problem.error_constants import ErrorConstants
from ipbox.bilevel.problem.hypergradient import Hypergradient, hypergradient
from ipbox.bilevel.problem.oracle import LowerSolution
from ipbox.bilevel.problem.result import BilevelResult
from ipbox.bilevel.problem.upper import Evaluation, Evaluator
from ipbox.progress import bar
from ipbox.solvers.core.state import State
from ipbox.solvers.gradient.descent import check_count


class OutOfWork(Exception):
    """Raised where a lower-level solve would begin after the budget is spent."""


class FirstOrder:
    """Base of the first-order methods: a subclass is a frozen dataclass with ``_init`` and ``_step``.

    A state holds θ as ``x``, and all else that a resumed run needs.
    """

    def _init(self, run: Run, theta: np.ndarray) -> State:
        raise NotImplementedError("abstract")

    def _step(self, run: Run, s: State) -> str | None:
        """One iteration; the reason where the method is at its end."""
        raise NotImplementedError("abstract")

    def _best(self, s: State) -> tuple[np.ndarray, float, float]:
        """θ, f̃ and its bound, to be returned: here, of the last iterate."""
        return s.x.copy(), s.f, s.bound

    def _loop(self, run: Run, s: State, shown: Any) -> str:
        while s.k < run.iterations:
            stop = self._step(run, s)
            if stop is not None:
                return stop
            s.k += 1
            run.save(s)
            shown.update(1)
        return "iterations"

    def minimise(
        self,
        evaluator: Evaluator,
        theta0: Any,
        bounds: Any = None,
        *,
        iterations: int = 100,
        work: float = math.inf,
        checkpoint: str | Path | None = None,
        callback: Callable[[dict[str, Any]], Any] | None = None,
        progress: bool = False,
    ) -> BilevelResult:
        """Minimise f from θ0.

        Parameters
        ----------
        evaluator : Evaluator
            Of the problem; see `BilevelProblem.evaluator`.
        theta0 : array, shape (p,)
        bounds : pair of arrays or numbers, optional
            Lower and upper bounds of θ, infinite where there is none.
        iterations : int
            Ends the method (for L-BFGS-B: its evaluations).
        work : float
            Budget of gradients and Hessian products of the lower level; no solve begins once it is spent.
        checkpoint : path, optional
            File that is written after every iteration; where it is there already, the run goes on from it, bit for bit.
        callback : function, optional
            Called with every new row of the history.
        progress : bool
            Show a bar.

        Returns
        -------
        BilevelResult

        Raises
        ------
        ValueError, TypeError
            where an argument is of no use, or the checkpoint is of another run.
        FloatingPointError
            where the lower level or its derivatives give NaN.
        """
        if not isinstance(evaluator, Evaluator):
            raise TypeError(f"evaluator is {type(evaluator).__name__}; expected problem.evaluator()")
        if evaluator.iterations is not None:
            raise ValueError(
                f"evaluator has iterations = {evaluator.iterations}; expected None: the method chooses the accuracy"
            )
        check_count(iterations, "iterations", least=0)
        check_callback(callback)
        check_checkpoint(checkpoint)
        theta = evaluator.problem.lower.check(theta0)
        box = Box(bounds, theta)
        run = Run(evaluator, box, check_work(work), int(iterations), checkpoint, callback)
        name = f"{self!r} from {theta.tolist()} {box} for {evaluator.problem.lower.names}"
        if checkpoint is not None and Path(checkpoint).is_file():
            s = State.load(checkpoint, evaluator.problem.lower.xp.__name__)
            if getattr(s, "run", None) != name:
                raise ValueError(f"checkpoint is {checkpoint}, of another run; expected one of {name}")
            run.resume(s)
        else:
            s = None
        shown = bar(type(self).__name__, total=iterations, shown=progress)
        try:
            if s is None:
                s = self._init(run, theta)
                s.run = name
                run.save(s)
            stop = self._loop(run, s, shown)
        except OutOfWork:
            if s is None:
                raise ValueError(f"work is {work:g}, spent before the first hypergradient; expected more") from None
            stop = "work"
        finally:
            shown.close()
        evaluator.u = s.u
        return BilevelResult(*self._best(s), stop, list(s.history), evaluator.cost)


class Run:
    """What one run needs besides its state: the evaluator within its budget, and the box."""

    def __init__(
        self,
        evaluator: Evaluator,
        box: Box,
        work: float,
        iterations: int,
        checkpoint: str | Path | None,
        callback: Callable[..., Any] | None,
    ) -> None:
        self.evaluator, self.box, self.work, self.iterations = evaluator, box, work, iterations
        self.checkpoint, self.callback = checkpoint, callback
        self.problem = evaluator.problem
        self.lipschitz = 2 * self.problem.residual_lipschitz**2  # L_g
        self.constants = ErrorConstants()

    def known(self, s: State) -> Evaluation:
        """The evaluation at θ that the state holds."""
        none = np.zeros(len(s.certificate), dtype=int)
        return self.evaluator.assess(s.x, LowerSolution(s.u, s.certificate, none, Cost()))

    def evaluate(self, theta: np.ndarray, eps: float, start: Array | None = None) -> Evaluation:
        """f̃(θ) from images with ‖u_i - û_i(θ)‖ <= ε."""
        if start is not None:
            self.evaluator.u = start
        with self._budget(eps) as done:
            e = self.evaluator.evaluate(theta, self.problem.residual_lipschitz * eps)
            done.append(e)
        return e

    def gradient(
        self, theta: np.ndarray, eps: float, delta: float, q: Array | None, evaluation: Evaluation | None = None
    ) -> Hypergradient:
        """The hypergradient, by images to ε and residuals to δ."""
        with self._budget(eps) as done:
            h = hypergradient(self.evaluator, theta, eps, delta, q, evaluation, self.constants)
            done.append(h.evaluation)
        return h

    @contextlib.contextmanager
    def _budget(self, eps: float) -> Iterator[list[Evaluation]]:
        """Within it no lower-level solve takes more than what is left of the work."""
        self.check_work()
        evaluator, most = self.evaluator, self.evaluator.max_iterations
        left = most
        if self.work < math.inf:
            left = min(most, math.ceil((self.work - evaluator.work()) / self.problem.lower.n))
        evaluator.max_iterations = left
        done: list[Evaluation] = []
        try:
            yield done
        finally:
            evaluator.max_iterations = most
        found = done[0].lower
        if left < most and ((found.iterations >= left) & ~(found.certificate <= eps)).any():
            raise OutOfWork

    def adjoint(self, e: Evaluation, delta: float, q: Array) -> AdjointSolution:
        """The solution of the adjoint equation at an evaluated point."""
        self.check_work()
        u, n_jobs = e.lower.u, self.evaluator.n_jobs
        found = solve_adjoint_samples(self.problem.lower, e.theta, u, self.problem.fit_gradient(u), delta, q, n_jobs)
        self.evaluator.cost += found.cost
        return found

    def check_work(self) -> None:
        if self.evaluator.work() >= self.work:
            raise OutOfWork

    def accept(self, s: State, e: Evaluation, **row: Any) -> None:
        """Take the point of ``e`` for the iterate, and append a row to the history."""
        s.x, s.f, s.bound, s.u, s.certificate = e.theta, e.f, e.bound, e.lower.u, e.lower.certificate
        self.record(s, theta=e.theta, f=e.f, f_bound=e.bound, **row)

    def record(self, s: State, **row: Any) -> None:
        """Append a row to the history."""
        cost = self.evaluator.cost
        row = {
            "iteration": len(s.history),
            **row,
            "gradients": float(cost.gradients),
            "hessians": float(cost.hessians),
            "work": float(cost.total),
        }
        s.history.append(row)
        if self.callback is not None:
            self.callback(dict(row))

    def save(self, s: State) -> None:
        """Write the checkpoint, where there is one."""
        if self.checkpoint is None:
            return
        s.evaluator, s.constants = self.evaluator.get_state(), self.constants.get_state()
        s.save(self.checkpoint)

    def resume(self, s: State) -> None:
        self.evaluator.set_state(s.evaluator)
        self.constants = ErrorConstants(**s.constants)


class Box:
    """{θ : lower <= θ <= upper}."""

    def __init__(self, bounds: Any, theta: np.ndarray) -> None:
        p = len(theta)
        pair = (-math.inf, math.inf) if bounds is None else bounds
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise TypeError(f"bounds is {bounds!r}; expected a pair (lower, upper)")
        try:
            self.lower, self.upper = (np.broadcast_to(np.asarray(b, dtype=np.float64), (p,)).copy() for b in pair)
        except (ValueError, TypeError) as err:
            raise ValueError(f"bounds is {bounds!r}; expected a pair of numbers, or of arrays of shape ({p},)") from err
        if not (self.lower <= self.upper).all():
            raise ValueError(f"bounds cross: lower is {self.lower} and upper {self.upper}; expected lower <= upper")
        if not ((self.lower <= theta) & (theta <= self.upper)).all():
            raise ValueError(f"theta0 is {theta}, outside its bounds; expected {self.lower} <= theta0 <= {self.upper}")

    def __str__(self) -> str:
        return f"within {self.lower.tolist()}, {self.upper.tolist()}"

    def project(self, theta: np.ndarray) -> np.ndarray:
        return np.clip(theta, self.lower, self.upper)

    def free(self, theta: np.ndarray, z: np.ndarray) -> np.ndarray:
        """z without the entries along which θ - αz leaves the box at once."""
        held = ((theta <= self.lower) & (z > 0)) | ((theta >= self.upper) & (z < 0))
        return np.where(held, 0.0, z)
