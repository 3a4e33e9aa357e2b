"""What a solver is: a frozen configuration that makes a state and steps it, and what it says of the result."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

from ipbox import summary
from ipbox.backend import Array
from ipbox.checks import is_number, shown
from ipbox.solvers.core.problem import Parts, Problem
from ipbox.solvers.core.state import State

Prepared: TypeAlias = Any  # what `Solver.prepare` gives: `Parts`, or what a solver has made of them


@dataclass(frozen=True)
class Certificate:
    """A bound that is proved, or the reason why there is none (then ``bound`` is None).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> run = ip.solve(ip.Problem(ip.L2(b=np.ones(4)) + ip.L1()), ip.FISTA(), stop=ip.stop.niter(20))
    >>> bool(run.certificate.bound < 1e-6), ip.solvers.Certificate("none: no strong convexity known").bound
    (True, None)
    """

    kind: str
    bound: Any = None


@dataclass(frozen=True)
class Verdict:
    """Whether a theorem says that the solver converges on the problem; ``reason`` names it, or what is missing.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> verdict = ip.GradientDescent(tau=3.0).is_provably_convergent(ip.Problem(ip.L2(b=np.ones(4))))
    >>> bool(verdict), verdict.reason
    (False, 'tau is 3; expected a step size in (0, 2/L) with 2/L = 2')
    """

    holds: bool
    reason: str

    def __bool__(self) -> bool:
        return self.holds


@dataclass(frozen=True)
class NextStep:
    """A step u⁺ = u + αA*w of a least-squares method, r = b - Au; ``move`` is α‖A*w‖², one per sample of a batch."""

    r: Array
    w: Array
    move: Any


@dataclass(frozen=True)
class Solver:
    """Base of the solvers: a frozen configuration.

    A subclass declares ``takes``, the roles it has for the terms of a problem, and gives ``init`` (the state, with
    every buffer) and ``step``.  Loop, stop rules, callbacks, timing and checkpoints are `iterate`'s.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> solver = ip.GradientDescent(tau=0.5)
    >>> isinstance(solver, ip.solvers.Solver), solver
    (True, GradientDescent(tau=0.5))
    """

    takes: ClassVar[tuple[str, ...]] = ()
    # What a class declares is what the contracts test and what the table of docs/what-runs-where.md says.
    backends: ClassVar[tuple[str, ...]] = ("numpy", "cupy")
    dtypes: ClassVar[tuple[str, ...]] = ("float32", "float64", "complex64", "complex128")
    shared: ClassVar[frozenset[str]] = frozenset()  # fields of the state that belong to no sample of a batch
    if TYPE_CHECKING:

        @property
        def tau(self) -> float | None: ...

    else:
        tau = None  # a field of solvers with a step size (annotated here it would come first there)
    knows_next_step: ClassVar[bool] = False  # whether there is a `next_step`
    by_ranks: ClassVar[bool] = False  # whether it is known to run where ranks share the data, or slices

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "__repr__" not in vars(cls):
            cls.__repr__ = summary.of_settings  # type: ignore[method-assign]  # that of a dataclass prints arrays whole

    def __post_init__(self) -> None:
        if self.tau is not None and not is_number(self.tau):
            raise TypeError(f"tau is {shown(self.tau)}; expected a positive number")

    def prepare(self, problem: Problem) -> Parts:
        """The problem in this solver's roles, step sizes checked."""
        return problem.assign(self.takes, type(self).__name__)

    def init(self, p: Prepared, x0: Array) -> State:
        raise NotImplementedError("abstract")

    def step(self, p: Prepared, s: State) -> None:
        raise NotImplementedError("abstract")

    ends: ClassVar[str] = "attainable_accuracy"  # what ``stop`` is where a run has `ended`

    def ended(self, s: State) -> Any:
        """Whether no further step can be of use, of solvers that know it; a bool or one per sample."""
        return False

    def told(self, problem: Problem) -> dict[str, Any]:
        """Numbers, under names, of settings that are functions: what tells them apart in a state that goes on."""
        return {}

    def objective(self, p: Prepared, s: State) -> Any:
        """The objective at the state; None where a term is implicit and so has no value."""
        return p.problem.objective(s.x)

    def residual(self, p: Prepared, s: State) -> Any:
        """How far the state is from a fixed point, relative; a float or one per sample."""
        raise ValueError(f"{type(self).__name__} has no residual; use another stop rule")

    def primal_dual_residual(self, p: Prepared, s: State) -> Any:
        """Residuals of the two optimality conditions, relative; a float or one per sample."""
        raise ValueError(f"{type(self).__name__} has no primal-dual residual; use stop.residual")

    def data_residual(self, p: Prepared, s: State) -> Any:
        """‖Au - b‖ at ``s.x``; solvers that hold the residual anyway return it without applying A."""
        return p.problem.residual_norm(s.x)

    def gap(self, p: Prepared, s: State) -> Any:
        """Duality gap relative to |primal objective|."""
        raise ValueError(f"{type(self).__name__} has no duality gap; use stop.residual or PDHG")

    def check_gap(self, p: Prepared) -> None:
        """Refuse `stop.gap` before the first step where the gap would be infinite."""
        self.gap(p, State())

    def error_bound(self, p: Prepared, s: State) -> Any:
        """A bound on ‖x - x*‖ that costs nothing at the state, to stop by; None where there is none."""
        return None

    def next_step(self, p: Prepared, s: State, memory: dict[str, Any]) -> NextStep:
        """The step to come, before it is taken; ``memory`` keeps from step to step what the solver has no need of."""
        raise ValueError(f"{type(self).__name__} does not know its next step beforehand")

    def certificate(self, p: Prepared, s: State) -> Certificate:
        """A proved bound on ‖x - x*‖ where there is one."""
        return Certificate("none: no strong convexity known")

    def is_provably_convergent(self, problem: Problem) -> Verdict:
        """The theorem that applies to this solver on ``problem``, or the condition that is missing."""
        try:
            p = self.prepare(problem)
            reason = unproved(p)
            return self._theorem(p) if reason is None else Verdict(False, reason)
        except ValueError as err:  # no role for a term, or a step size beyond its bound
            return Verdict(False, str(err))

    def _theorem(self, p: Prepared) -> Verdict:
        return Verdict(False, "no theorem is recorded for this solver")


def unproved(p: Parts) -> str | None:
    """Why nothing is proved of a solver on these terms, whatever it is, or None."""
    foreign = next((f.name for f in p.problem.terms if f.foreign), None)
    if foreign is not None:
        return f"{foreign} is foreign: that its prox or gradient is exact, and it convex, is not proved"
    if p.prox.inexact_prox:
        return f"the prox of {p.prox.name} is found by iteration, to its accuracy; theorems ask for the prox itself"
    return None
