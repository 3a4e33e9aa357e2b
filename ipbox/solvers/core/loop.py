"""The solver protocol (configuration, state, one step) and the one loop that runs every solver."""

from __future__ import annotations

import contextlib
import numbers
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, NoReturn

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.solvers.core.divergence import Diverged, located
from ipbox.solvers.core.problem import Parts, Problem
from ipbox.solvers.core.state import State
from ipbox.solvers.core.stopping import StopRule, niter


@dataclass(frozen=True)
class Certificate:
    """A bound that is proved, or the reason why there is none (then ``bound`` is None)."""

    kind: str
    bound: Any = None


@dataclass(frozen=True)
class Verdict:
    """Whether a theorem says that the solver converges on the problem; ``reason`` names it, or what is missing."""

    holds: bool
    reason: str

    def __bool__(self) -> bool:
        return self.holds


@dataclass(frozen=True)
class Solver:
    """Base of the solvers: a frozen configuration.

    A subclass declares ``takes``, the roles it has for the terms of a problem, and gives ``init`` (the state, with
    every buffer) and ``step``.  Loop, stop rules, callbacks, timing and checkpoints are `iterate`'s.
    """

    takes: ClassVar[tuple[str, ...]] = ()
    # What a class declares is what the contracts test and what the README's table says.
    backends: ClassVar[tuple[str, ...]] = ("numpy", "cupy")
    dtypes: ClassVar[tuple[str, ...]] = ("float32", "float64", "complex64", "complex128")

    def __post_init__(self) -> None:
        tau = getattr(self, "tau", None)
        if tau is not None and not isinstance(tau, numbers.Real):
            raise TypeError(f"tau is {tau!r}; expected a positive number")

    def prepare(self, problem: Problem) -> Parts:
        """The problem in this solver's roles, step sizes checked."""
        return problem.assign(self.takes, type(self).__name__)

    def init(self, p: Parts, x0: Array) -> State:
        raise NotImplementedError("abstract")

    def step(self, p: Parts, s: State) -> None:
        raise NotImplementedError("abstract")

    def objective(self, p: Parts, s: State) -> Any:
        """The objective at the state; None where a term is implicit and so has no value."""
        return p.problem.objective(s.x)

    def residual(self, p: Parts, s: State) -> Any:
        """How far the state is from a fixed point, relative; a float or one per sample."""
        raise ValueError(f"{type(self).__name__} has no residual; use another stop rule")

    def primal_dual_residual(self, p: Parts, s: State) -> Any:
        """Residuals of the two optimality conditions, relative; a float or one per sample."""
        raise ValueError(f"{type(self).__name__} has no primal-dual residual; use stop.residual")

    def data_residual(self, p: Parts, s: State) -> Any:
        """‖Au - b‖ at ``s.x``; solvers that hold the residual anyway return it without applying A."""
        return p.problem.residual_norm(s.x)

    def gap(self, p: Parts, s: State) -> Any:
        """Duality gap relative to |primal objective|."""
        raise ValueError(f"{type(self).__name__} has no duality gap; use stop.residual or PDHG")

    def check_gap(self, p: Parts) -> None:
        """Refuse `stop.gap` before the first step where the gap would be infinite."""
        self.gap(p, State())

    def certificate(self, p: Parts, s: State) -> Certificate:
        """A proved bound on ‖x - x*‖ where there is one."""
        return Certificate("none: no strong convexity known")

    def is_provably_convergent(self, problem: Problem) -> Verdict:
        """The theorem that applies to this solver on ``problem``, or the condition that is missing."""
        try:
            return self._theorem(self.prepare(problem))
        except ValueError as err:  # no role for a term, or a step size beyond its bound
            return Verdict(False, str(err))

    def _theorem(self, p: Parts) -> Verdict:
        return Verdict(False, "no theorem is recorded for this solver")


@dataclass
class Solution:
    """What a solve returns.

    ``stop`` names the rule that fired (a list for a batch), ``history`` holds what callbacks recorded, ``splitting``
    the role of each term, ``certificate`` a proved bound or the reason for none; ``state`` resumes the solve.
    """

    x: Array
    state: State
    stop: Any
    niter: int
    seconds: float
    splitting: str
    certificate: Certificate
    solver: Solver
    history: list[dict[str, Any]] = field(default_factory=list)
    extra: dict[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return (
            f"Solution({type(self.solver).__name__}, stop={self.stop!r}, niter={self.niter}, "
            f"seconds={self.seconds:.3g}, splitting={self.splitting!r}, certificate={self.certificate})"
        )


class Run:
    """What stop rules and callbacks see after each step; quantities are computed when asked for, once per step."""

    def __init__(self, problem: Problem, solver: Solver, parts: Parts, state: State) -> None:
        self.problem, self.solver, self.parts, self.state = problem, solver, parts, state
        self.k0 = state.k
        self.history: list[dict[str, Any]] = []
        self.stop: Any = None
        self.samples: np.ndarray | None = None  # of a batch: those that are still running
        self.in_step = False  # then the state is neither the last nor the next one
        self._clock = time.perf_counter() - state.loop.get("seconds", 0.0)
        self._cache: dict[str, Any] = {}
        self._good = (state.k, state.x.copy())  # what a run that diverges is left with
        self._sizes = (0.0, float(backend.norm(state.x)))  # at half of the last power of two of steps, and at that

    @property
    def k(self) -> int:
        return self.state.k

    @property
    def x(self) -> Array:
        return self.state.x

    @property
    def batch(self) -> int | None:
        return self.problem.batch

    def whole_state(self) -> State:
        """The state to save: of a batch, all samples, also those that are done."""
        return self.state

    @property
    def seconds(self) -> float:
        """Time spent, over all resumed runs."""
        return time.perf_counter() - self._clock

    def objective(self) -> Any:
        return self._once("objective", lambda: self.solver.objective(self.parts, self.state))

    def data_residual(self) -> Any:
        return self._once("data residual", lambda: self.solver.data_residual(self.parts, self.state))

    def residual(self) -> Any:
        return self._once("residual", lambda: self.solver.residual(self.parts, self.state))

    def primal_dual_residual(self) -> Any:
        return self._once("primal-dual", lambda: self.solver.primal_dual_residual(self.parts, self.state))

    def gap(self) -> Any:
        return self._once("gap", lambda: self.solver.gap(self.parts, self.state))

    def _once(self, key: str, compute: Callable[[], Any]) -> Any:
        if key not in self._cache:
            with located(self.k, self._good):
                self._cache[key] = compute()
        return self._cache[key]

    def advance(self) -> None:
        """One step; what was computed for the last one is forgotten."""
        self.in_step = True
        with located(self.k, self._good):
            self.solver.step(self.parts, self.state)
        self.state.k += 1
        self.in_step = False
        self._cache.clear()
        steps = self.k - self.k0
        if steps & (steps - 1) == 0 or steps % 100 == 0:
            self._check_growth(steps)

    def _check_growth(self, steps: int) -> None:
        """Keep the image while its norm at most doubles as the steps do; stop where it grows beyond all bounds.

        What diverges grows by a factor r² after it has grown by r; a start that is far too small grows only once.

        Raises
        ------
        Diverged
        """
        size, (before, last) = float(backend.norm(self.state.x)), self._sizes
        if not size < np.inf or (0 < 1e3 * before < last and 1e12 * last < size):
            self.diverged()
        if steps & (steps - 1) == 0:
            self._sizes = (last, size)
            if size <= 2 * last or last == 0:
                self._good[1][...] = self.state.x
                self._good = (self.k, self._good[1])

    def diverged(self) -> NoReturn:
        """Raise `Diverged` with the last good iterate."""
        k, x = self._good
        raise Diverged(
            f"{type(self.solver).__name__} diverged: the image is not finite, or grows without end, after {self.k} "
            f"iterations ({self.parts.describe()}); check the step sizes and the operator's norm; the error's x is the "
            f"iterate after {k}",
            x,
            k,
        )


def iterate(
    problem: Problem,
    solver: Solver,
    *,
    x0: Array | None = None,
    state: State | None = None,
    stop: StopRule | None = None,
) -> Iterator[Run]:
    """The loop as a generator: yields the `Run` before the first step and after every one, until ``stop`` fires.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> problem = ip.Problem(ip.L2(ip.Identity((2,), "float64"), np.ones(2)))
    >>> [round(run.objective(), 3) for run in ip.iterate(problem, ip.GradientDescent(tau=0.5), stop=ip.stop.niter(2))]
    [1.0, 0.25, 0.062]
    """
    check_kinds(problem, solver, state)
    if x0 is not None and state is not None:
        raise ValueError("x0 and state are both given; expected one of them")
    parts = solver.prepare(problem)
    rule = niter(1000) if stop is None else stop
    if not isinstance(rule, StopRule):
        raise TypeError(f"stop is {type(stop).__name__}; expected a rule such as ip.stop.niter(100)")
    rule.check_applies(solver, parts)
    if state is None:
        state = solver.init(parts, problem.start(x0))
        state.loop["solver"] = type(solver).__name__
    check_state(problem, solver, state)
    run = Run(problem, solver, parts, state)
    while True:
        run.stop = _verdict(rule.fired(run), problem.batch)
        run.state.loop["seconds"] = run.seconds
        yield run
        if run.stop is not None and (problem.batch is None or all(run.stop)):
            return
        run.advance()


def solve(
    problem: Problem,
    solver: Solver,
    *,
    x0: Array | None = None,
    state: State | str | Path | None = None,
    stop: StopRule | None = None,
    callbacks: Sequence[Callable[[Run], Any]] = (),
    progress: bool = False,
) -> Solution:
    """Run ``solver`` on ``problem`` until ``stop`` fires.

    Parameters
    ----------
    problem : Problem
    solver : Solver
        Configuration, e.g. ``ip.PDHG()``.
    x0 : array, optional
        Start (zeros by default); never modified.
    state : State or path, optional
        Goes on from a state (which it then owns and changes) or from a checkpoint, bit for bit.
    stop : StopRule, optional
        E.g. ``ip.stop.gap(1e-4) | ip.stop.niter(2000)``; 1000 iterations by default.
    callbacks : sequence
        Called with the `Run` before the first step and after every one; see `ipbox.solvers.core.callbacks`.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Solution

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> b = np.array([[0.0, 1.0], [0.0, 1.0]])
    >>> sol = ip.solve(ip.Problem(ip.L2(b=b) + 0.1 * ip.TV((2, 2))), ip.PDHG(), stop=ip.stop.gap(1e-6))
    >>> sol.x.round(3)
    array([[0.1, 0.9],
           [0.1, 0.9]])
    """
    from ipbox.solvers.core.batch import solve_batch
    from ipbox.solvers.core.callbacks import Progress

    check_kinds(problem, solver, state if not isinstance(state, str | Path) else None)
    for call in callbacks:
        if isinstance(call, type) or not callable(call):
            raise TypeError(f"callbacks has {call!r}; expected functions of the run, such as ip.callbacks.History()")
    if isinstance(state, str | Path):
        state = State.load(state, problem.xp.__name__)
    callbacks = [*callbacks, *([Progress()] if progress else [])]
    if problem.batch is not None:
        return solve_batch(problem, solver, x0, state, stop, callbacks)
    run = None
    try:
        for run in iterate(problem, solver, x0=x0, state=state, stop=stop):
            for call in callbacks:
                call(run)
    finally:
        finish(callbacks, run)
    check_finite(run)
    return solution(run)


def check_kinds(problem: Any, solver: Any, state: Any) -> None:
    """Refuse what is no problem, no solver or no state."""
    if not isinstance(problem, Problem):
        raise TypeError(f"problem is {type(problem).__name__}; expected an ip.Problem")
    if not isinstance(solver, Solver):
        raise TypeError(f"solver is {solver!r}; expected a configured solver, such as ip.PDHG()")
    if state is not None and not (isinstance(state, State) and hasattr(state, "x")):
        raise TypeError(f"state is {type(state).__name__}; expected a State (solution.state) or the path of one")


def check_state(problem: Problem, solver: Solver, state: State) -> None:
    """Refuse to go on from the state of another solver or another problem."""
    made_by, name = state.loop.get("solver"), type(solver).__name__
    if made_by not in (None, name):
        raise ValueError(f"state was made by {made_by}; expected one of {name}")
    if backend.array_module(state.x) is not problem.xp or state.x.dtype != problem.dtype:
        raise TypeError(
            f"state holds an image of {backend.array_module(state.x).__name__} and {state.x.dtype}; "
            f"the problem's is of {problem.xp.__name__} and {problem.dtype}"
        )
    if state.x.shape != problem.shape:
        raise ValueError(f"state holds an image of shape {state.x.shape}; the problem's is {problem.shape}")


def finish(callbacks: Sequence[Any], run: Run | None) -> None:
    """Let callbacks that hold something (a bar, a file) end, also after an error."""
    with contextlib.ExitStack() as ends:  # each of them, also where another fails
        for call in reversed(callbacks):
            if run is not None and hasattr(call, "finish"):
                ends.callback(call.finish, run)


def solution(run: Run) -> Solution:
    """The `Solution` of a run that has ended."""
    s = run.state
    return Solution(
        s.x,
        s,
        run.stop,
        s.k,
        run.seconds,
        run.parts.describe(),
        run.solver.certificate(run.parts, s),
        run.solver,
        run.history,
    )


def check_finite(run: Run) -> None:
    """Refuse to return an image that is not finite."""
    if not np.isfinite(backend.norm(run.x)):
        run.diverged()


def _verdict(fired: np.ndarray, batch: int | None) -> Any:
    """None or a rule's name; for a batch a list of them."""
    if batch is None:
        return fired.reshape(-1)[0]
    return list(np.broadcast_to(fired, (batch,)))
