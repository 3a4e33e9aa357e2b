"""`solve`: a problem, a solver and a stop rule give a solution; batches are solved as long as samples are left."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypedDict

import numpy as np

from ipbox import backend, scratch, shares
from ipbox.backend import Array
from ipbox.checks import check_flag
from ipbox.functionals.sets.boxes import Box
from ipbox.keywords import answering
from ipbox.solvers.core.callbacks import Finishing, Progress, says_stop
from ipbox.solvers.core.fingerprint import Made
from ipbox.solvers.core.loop import check_kinds, check_one_start, check_state, iterate
from ipbox.solvers.core.problem import Problem
from ipbox.solvers.core.protocol import Certificate, Solver, unproved
from ipbox.solvers.core.run import Records, Run, Solution
from ipbox.solvers.core.state import State
from ipbox.solvers.core.stop_rule import StopRule


class SolveOptions(TypedDict, total=False):
    """What the reconstruction functions hand on to `solve`."""

    callbacks: Sequence[Callable[[Run], Any]]
    progress: bool
    state: State | str | Path | None


@answering
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
        Goes on from a state (which it then owns and changes; the image that was returned with it stays) or from a
        checkpoint, bit for bit.  One of other data, another operator, other terms or settings is refused.
    stop : StopRule, optional
        E.g. ``ip.stop.gap(1e-4) | ip.stop.niter(2000)``; 1000 iterations by default.
    callbacks : sequence
        Called with the `Run` before the first step and after every one; see `ipbox.solvers.core.callbacks`.  Where one
        returns True the run ends, and ``stop`` is ``"callback"``.
    progress : bool
        Show a progress bar.

    Returns
    -------
    Solution
        Its ``x`` is inside of every `Box` and `NonNegative` of the problem.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> b = np.array([[0.0, 1.0], [0.0, 1.0]])
    >>> sol = ip.solve(ip.Problem(ip.L2(b=b) + 0.1 * ip.TV((2, 2))), ip.PDHG(), stop=ip.stop.gap(1e-6))
    >>> sol.x.round(3)
    array([[0.1, 0.9],
           [0.1, 0.9]])
    """
    state = check_kinds(problem, solver, state)
    check_one_start(x0, state)
    if callable(callbacks):
        raise TypeError("callbacks is a function; expected a list of them: callbacks=[function]")
    for call in callbacks:
        if isinstance(call, type) or not callable(call):
            raise TypeError(f"callbacks has {call!r}; expected functions of the run, such as ip.callbacks.History()")
    callbacks = [*callbacks, *([Progress()] if check_flag(progress, "progress") else [])]
    if problem.batch is not None:
        return _solve_batch(problem, problem.batch, solver, x0, state, stop, callbacks)
    run: Any = None  # there is one after the first step
    try:
        for run in iterate(problem, solver, x0=x0, state=state, stop=stop):
            if shares.agreed(_called(callbacks, run), problem.ranks):
                run.stop = run.stop or "callback"
                break
    finally:
        _finish(callbacks, run)
    return _solution(run)


def _solve_batch(
    problem: Problem,
    batch: int,
    solver: Solver,
    x0: Array | None,
    state: State | None,
    stop: StopRule | None,
    callbacks: Sequence[Callable[[Run], Any]],
) -> Solution:
    """The loop over a batch.

    Whenever samples are done, their part of the state is kept and the others go on alone as a smaller batch.
    """
    whole: Any = state
    k0 = 0
    if isinstance(stop, StopRule):
        stop.check_applies(solver, solver.prepare(problem))
    stops: list[str | None] = [None] * batch
    steps: list[int] = [0] * batch
    if state is not None:
        check_state(problem, solver, state)
        k0 = state.k
        known = {"stops", "steps", "k0"} <= state.loop.keys()
        if known and None in state.loop["stops"]:  # a checkpoint of an interrupted run
            stops, steps, k0 = list(state.loop["stops"]), list(state.loop["steps"]), state.loop["k0"]
    active = np.array([i for i in range(batch) if stops[i] is None])
    part_state = None if whole is None else whole.take(active, batch, solver.shared)
    run: Any = None
    seen, history = -1, Records()

    def collect() -> State:
        """The state of the whole batch: what is frozen, and what is still running."""
        if run.state is not whole:
            whole.put(run.samples, run.state, batch, solver.shared)
        whole.loop.update(stops=list(stops), steps=list(steps), k0=k0)
        return whole

    try:
        while len(active):
            part, rule = (problem, stop) if len(active) == batch else (problem.take(active), stop and stop.take(active))
            if part_state is not None:
                part_state.loop["k0"], part_state.made = k0, Made(part, solver)
            for run in iterate(part, solver, x0=x0 if whole is None else None, state=part_state, stop=rule):
                whole = run.state if whole is None else whole
                run.whole_state, run.samples, run.history = collect, active, history
                # a part begins where the one before it ended
                if run.k != seen and shares.agreed(_called(callbacks, run), problem.ranks):
                    run.stop = [name or "callback" for name in run.stop]
                seen = run.k
                done = np.array([name is not None for name in run.stop])
                if done.any():
                    break
            for i in np.flatnonzero(done):
                stops[active[i]], steps[active[i]] = run.stop[i], run.k
            collect()
            part_state = run.state.take(np.flatnonzero(~done), len(active), solver.shared)
            active = active[~done]
    finally:
        _finish(callbacks, run)
    run.problem, run.state, run.stop, run.parts = problem, whole, stops, solver.prepare(problem)
    result = _solution(run)
    result.extra["niter_per_sample"] = steps
    return result


def _called(callbacks: Sequence[Callable[[Run], Any]], run: Run) -> bool:
    """Call every one of them; whether one of them says stop."""
    return any([says_stop(call(run)) for call in callbacks])


def _finish(callbacks: Sequence[Any], run: Run | None) -> None:
    """Let callbacks that hold something (a bar, a file) end, also after an error."""
    with contextlib.ExitStack() as ends:  # each of them, also where another fails
        for call in reversed(callbacks):
            if run is not None and isinstance(call, Finishing):
                ends.callback(call.finish, run)


def _solution(run: Run) -> Solution:
    """The `Solution` of a run that has ended; an image that is not finite is refused.

    Iterates of many solvers fulfil a constraint only in the limit; projected to it they are nowhere farther from the
    minimiser, so that a certified bound stays one.
    """
    if not np.isfinite(backend.norm(run.x)):
        run.diverged()
    s, reason = run.state, unproved(run.parts)
    x = scratch.copied(s.x)  # the state may go on
    for box in (f for f in run.problem.terms if isinstance(f, Box)):
        x = box.prox(x, 1.0, out=x)
    return Solution(
        x,
        s,
        run.stop,
        s.k,
        run.seconds,
        run.parts.describe(),
        run.solver.certificate(run.parts, s) if reason is None else Certificate(f"none: {reason}"),
        run.solver,
        run.history,
    )
