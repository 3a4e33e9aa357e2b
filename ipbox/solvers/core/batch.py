"""Batches: many samples of one problem at once; samples that are done freeze and cost nothing more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from ipbox.backend import Array
from ipbox.solvers.core.problem import Problem
from ipbox.solvers.core.state import State
from ipbox.solvers.core.stopping import StopRule

if TYPE_CHECKING:
    from ipbox.solvers.core.loop import Run, Solution, Solver


def solve_batch(
    problem: Problem,
    solver: Solver,
    x0: Array | None,
    state: State | None,
    stop: StopRule | None,
    callbacks: Sequence[Callable[[Run], Any]],
) -> Solution:
    """The loop over a batch.

    Whenever samples are done, their part of the state is kept and the others go on alone as a smaller batch.
    """
    from ipbox.solvers.core import loop as core

    batch, whole, k0 = problem.batch, state, 0
    if isinstance(stop, StopRule):
        stop.check_applies(solver, solver.prepare(problem))
    stops: list[str | None] = [None] * batch
    steps: list[int] = [0] * batch
    if state is not None:
        core.check_state(problem, solver, state)
        k0 = state.k
        if None in state.loop.get("stops", []):  # a checkpoint of an interrupted run
            stops, steps, k0 = list(state.loop["stops"]), list(state.loop["steps"]), state.loop["k0"]
    active = np.array([i for i in range(batch) if stops[i] is None])
    part_state = None if whole is None else whole.take(active, batch)
    run, seen, history = None, -1, []

    def collect() -> State:
        """The state of the whole batch: what is frozen, and what is still running."""
        if run.state is not whole:
            whole.put(run.samples, run.state, batch)
        whole.loop.update(stops=list(stops), steps=list(steps), k0=k0)
        return whole

    try:
        while len(active):
            part, rule = (problem, stop) if len(active) == batch else (problem.take(active), stop and stop.take(active))
            if part_state is not None:
                part_state.loop["k0"] = k0
            for run in core.iterate(part, solver, x0=x0 if whole is None else None, state=part_state, stop=rule):
                whole = run.state if whole is None else whole
                run.whole_state, run.samples, run.history = collect, active, history
                for call in callbacks if run.k != seen else ():  # a part begins where the one before it ended
                    call(run)
                seen = run.k
                done = np.array([name is not None for name in run.stop])
                if done.any():
                    break
            for i in np.flatnonzero(done):
                stops[active[i]], steps[active[i]] = run.stop[i], run.k
            collect()
            part_state = run.state.take(np.flatnonzero(~done), len(active))
            active = active[~done]
    finally:
        core.finish(callbacks, run)
    run.problem, run.state, run.stop, run.parts = problem, whole, stops, solver.prepare(problem)
    core.check_finite(run)
    result = core.solution(run)
    result.extra["niter_per_sample"] = steps
    return result
