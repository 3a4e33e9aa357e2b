"""Stop rules, combined with ``|`` and ``&``; the solution says which one fired.

Every rule is a frozen description.  What it must remember between steps it keeps in the state, so that a resumed run
stops where an unbroken one does.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ipbox import backend, shares
from ipbox.checks import check_count, check_flag, check_noise_level, check_positive
from ipbox.keywords import answering
from ipbox.solvers.core.noise_rules import monotone_error, ncp, poisson_discrepancy
from ipbox.solvers.core.problem import Parts
from ipbox.solvers.core.protocol import Solver
from ipbox.solvers.core.run import Run
from ipbox.solvers.core.state import State
from ipbox.solvers.core.stop_rule import NoiseLevelRule, StopRule, fidelity_of

__all__ = [
    "StopRule",
    "discrepancy",
    "gap",
    "monotone_error",
    "ncp",
    "niter",
    "poisson_discrepancy",
    "primal_dual_residual",
    "relative_change",
    "residual",
    "wall_time",
]


@dataclass(frozen=True)
class Niter(StopRule):
    n: int
    total: bool = False
    name: ClassVar[str] = "niter"

    def met(self, run: Run) -> bool:
        start = 0 if self.total else run.state.loop.get("k0", run.k0)
        return run.k - start >= self.n


@dataclass(frozen=True)
class WallTime(StopRule):
    seconds: float
    name: ClassVar[str] = "wall_time"

    def met(self, run: Run) -> bool:
        return shares.agreed(run.seconds >= self.seconds, run.problem.ranks)


@dataclass(frozen=True)
class Discrepancy(NoiseLevelRule):
    safety: float
    every: int
    name: ClassVar[str] = "discrepancy"

    def check_applies(self, solver: Solver, parts: Parts) -> None:
        fidelity_of(parts, "stop.discrepancy")
        super().check_applies(solver, parts)

    def met(self, run: Run) -> Any:
        return run.data_residual() <= self.safety * np.asarray(self.noise_level)


@dataclass(frozen=True)
class Tolerance(StopRule):
    """Base of the rules that a quantity of the run is at most ``tol``."""

    tol: float
    every: int

    def quantity(self, run: Run) -> Any:
        raise NotImplementedError("abstract")

    def met(self, run: Run) -> Any:
        return self.quantity(run) <= self.tol


@dataclass(frozen=True)
class Gap(Tolerance):
    name: ClassVar[str] = "gap"

    def check_applies(self, solver: Solver, parts: Parts) -> None:
        solver.check_gap(parts)

    def quantity(self, run: Run) -> Any:
        return run.gap()


@dataclass(frozen=True)
class Residual(Tolerance):
    name: ClassVar[str] = "residual"

    def quantity(self, run: Run) -> Any:
        return run.residual()


@dataclass(frozen=True)
class PrimalDualResidual(Tolerance):
    name: ClassVar[str] = "primal_dual_residual"

    def check_applies(self, solver: Solver, parts: Parts) -> None:
        if type(solver).primal_dual_residual is Solver.primal_dual_residual:
            solver.primal_dual_residual(parts, State())  # says that it has none

    def quantity(self, run: Run) -> Any:
        return run.primal_dual_residual()


@dataclass(frozen=True)
class RelativeChange(Tolerance):
    name: ClassVar[str] = "relative_change"

    def quantity(self, run: Run) -> Any:
        batched, memory = run.batch is not None, run.state.loop
        old = memory.get("x_old")
        if old is None:
            memory.update(x_old=run.x.copy(), x_old_k=run.k, change=np.full(run.batch or 1, np.inf))
        elif memory["x_old_k"] != run.k:  # a resumed run is asked again where the last one ended
            size = np.sqrt(backend.sum_squares(run.x, batched))
            change = np.sqrt(backend.sum_squares(run.x - old, batched))
            memory["change"] = np.atleast_1d(np.where(change > 0, change / np.where(size > 0, size, 1), 0))
            memory["x_old_k"] = run.k
            old[...] = run.x
        return memory["change"]


# ---------------------------------------------------------------- what users write


@answering
def niter(n: int, total: bool = False) -> StopRule:
    """After ``n`` iterations of this call (of the whole run, resumed parts included, with ``total``).

    Examples
    --------
    >>> import ipbox as ip
    >>> rule = ip.stop.gap(1e-4) | ip.stop.niter(2000)
    """
    return Niter(check_count(n, "niter", least=0), check_flag(total, "total"))


@answering
def discrepancy(noise_level: Any, safety: float = 1.01, every: int = 1) -> StopRule:
    """Morozov's discrepancy principle: ‖Au - b‖ <= safety · noise_level, the expected norm of the noise.

    ``noise_level`` is a number, or one per sample of a batch.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> A, b, _, info = ip.problem("ct", size=32, views=20, noise=0.05, seed=0)
    >>> rule = ip.stop.discrepancy(info.noise_level) | ip.stop.niter(50)
    >>> run = ip.solve(ip.Problem(ip.L2(A, b)), ip.CGLS(), stop=rule)
    >>> run.stop, bool(np.linalg.norm(A.apply(run.x) - b) <= 1.01 * info.noise_level)
    ('discrepancy', True)
    """
    return Discrepancy(check_noise_level(noise_level), check_positive(safety, "safety"), check_count(every, "every"))


@answering
def gap(tol: float, every: int = 10) -> StopRule:
    """Duality gap <= tol · |primal objective|; refused, with the reason, where the dual value is infinite.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> problem = ip.Problem(ip.L2(b=np.eye(8)) + 0.1 * ip.TV((8, 8)))
    >>> ip.solve(problem, ip.PDHG(), stop=ip.stop.gap(1e-4) | ip.stop.niter(1000)).stop
    'gap'
    """
    return Gap(check_positive(tol, "tol"), check_count(every, "every"))


@answering
def residual(tol: float, every: int = 10) -> StopRule:
    """The solver's fixed-point residual, relative, <= tol (gradient norm for smooth problems).

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> problem = ip.Problem(ip.L2(b=np.ones(4)) + ip.L1())
    >>> ip.solve(problem, ip.FISTA(), stop=ip.stop.residual(1e-6, every=1) | ip.stop.niter(100)).stop
    'residual'
    """
    return Residual(check_positive(tol, "tol"), check_count(every, "every"))


@answering
def primal_dual_residual(tol: float, every: int = 10) -> StopRule:
    """Both optimality conditions of a saddle point fulfilled to ``tol``, relative; of primal-dual solvers.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> problem = ip.Problem(ip.L2(b=np.eye(4)) + 0.1 * ip.TV((4, 4)))
    >>> ip.solve(problem, ip.PDHG(), stop=ip.stop.primal_dual_residual(1e-4)).stop
    'primal_dual_residual'
    """
    return PrimalDualResidual(check_positive(tol, "tol"), check_count(every, "every"))


@answering
def relative_change(tol: float, every: int = 1) -> StopRule:
    """‖u - u_old‖ <= tol ‖u‖ between checks: it says that steps are small, not that the solution is near.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> problem = ip.Problem(ip.L2(b=np.ones(4)) + ip.L1())
    >>> ip.solve(problem, ip.FISTA(), stop=ip.stop.relative_change(1e-6) | ip.stop.niter(100)).stop
    'relative_change'
    """
    return RelativeChange(check_positive(tol, "tol"), check_count(every, "every"))


@answering
def wall_time(seconds: float) -> StopRule:
    """After so many seconds, resumed parts included.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> problem = ip.Problem(ip.L2(b=np.ones(4)) + ip.L1())
    >>> ip.solve(problem, ip.FISTA(), stop=ip.stop.wall_time(60) | ip.stop.niter(3)).stop
    'niter'
    """
    return WallTime(check_positive(seconds, "seconds"))
