"""The one loop that runs every solver."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.keywords import answering
from ipbox.solvers.core.fingerprint import Made
from ipbox.solvers.core.problem import Problem
from ipbox.solvers.core.protocol import Solver
from ipbox.solvers.core.run import Run
from ipbox.solvers.core.state import State
from ipbox.solvers.core.stop_rule import StopRule
from ipbox.solvers.core.stopping import niter


@answering
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
    state = check_kinds(problem, solver, state)
    check_one_start(x0, state)
    if problem.ranks is not None and not solver.by_ranks:
        raise ValueError(
            f"solver is {type(solver).__name__}, which is not known to run where ranks share the data; expected "
            "PDHG, AdaptivePDHG, SPDHG, ADMM, FISTA, ForwardBackward, GradientDescent or CGLS"
        )
    parts = solver.prepare(problem)
    rule = niter(1000) if stop is None else stop
    if not isinstance(rule, StopRule):
        raise TypeError(f"stop is {type(stop).__name__}; expected a rule such as ip.stop.niter(100)")
    rule.check_applies(solver, parts)
    if state is None:
        state = solver.init(parts, problem.start(x0))
        state.loop["solver"] = type(solver).__name__
        state.made = Made(problem, solver)
    check_state(problem, solver, state)
    run = Run(problem, solver, parts, state)
    while True:
        run.stop = _verdict(_or_ended(rule.fired(run), solver.ended(state), solver.ends), problem.batch)
        run.state.loop["seconds"] = run.seconds
        yield run
        if run.stop is not None and (problem.batch is None or all(run.stop)):
            return
        run.advance()


def check_kinds(problem: Any, solver: Any, state: Any) -> State | None:
    """Refuse what is no problem, no solver or no state; the state, read where it is a path."""
    if not isinstance(problem, Problem):
        raise TypeError(f"problem is {type(problem).__name__}; expected an ip.Problem")
    if not isinstance(solver, Solver):
        raise TypeError(f"solver is {solver!r}; expected a configured solver, such as ip.PDHG()")
    if isinstance(state, str | Path):
        return State.load(state, problem.xp.__name__)
    if state is not None and not (isinstance(state, State) and state.x is not None):
        raise TypeError(f"state is {type(state).__name__}; expected a State (solution.state) or the path of one")
    return state


def check_one_start(x0: Any, state: Any) -> None:
    """Refuse two starts."""
    if x0 is not None and state is not None:
        raise ValueError("x0 and state are both given; expected one of them")


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
    made = Made(problem, solver)
    if state.made is None or state.made.problem is None:  # from a file, which another version may have written
        _check_fields(problem, solver, state, shapes=state.made is None)
    if state.made is not None:
        other = state.made.difference(made)
        if other is not None:
            raise ValueError(
                f"state is of another solve: its {other} differs; expected the same operator, data, terms and settings "
                f"(for a new run, x0=state.x)"
            )
    state.made = made


def _check_fields(problem: Problem, solver: Solver, state: State, shapes: bool) -> None:
    """Refuse a state, of unknown origin, without the fields that this solver makes for this problem."""
    fresh = solver.init(solver.prepare(problem), problem.start(None))
    for name, v in vars(fresh).items():
        if name in ("k", "loop", "scratch") or v is None:
            continue
        there = vars(state).get(name)
        arrays = shapes and backend.is_array(v) and v.ndim > 0
        if there is None or (arrays and not (backend.is_array(there) and there.shape == v.shape)):
            found = "is not there" if there is None else f"is {_kind(there)}"
            raise ValueError(
                f"state is of no {type(solver).__name__} on this problem: its field {name} {found}; expected {_kind(v)}"
            )


def _kind(v: Any) -> str:
    return f"an array of shape {v.shape}" if backend.is_array(v) else f"{type(v).__name__}"


def _or_ended(fired: np.ndarray, ended: Any, name: str) -> np.ndarray:
    """What the rule says, and where it goes on that a solver has ended by itself."""
    if ended is False:  # the most frequent answer, in every iteration
        return fired
    fired, ended = np.broadcast_arrays(fired, np.atleast_1d(ended))
    return np.where((fired == None) & ended, np.array(name, dtype=object), fired)  # noqa: E711


def _verdict(fired: np.ndarray, batch: int | None) -> Any:
    """None or a rule's name; for a batch a list of them."""
    if batch is None:
        return fired.reshape(-1)[0]
    return list(np.broadcast_to(fired, (batch,)))
