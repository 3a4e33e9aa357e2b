"""One variational problem for all weights λ: min_u D(Au, b) + λ R(u) + constraint."""

from __future__ import annotations

import dataclasses
import math
import os
import sys
import warnings
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypedDict

from ipbox import backend, shares
from ipbox.backend import Array
from ipbox.checks import check_noise_level
from ipbox.choose.dispatch import RULES, RuleOptions, resolve
from ipbox.choose.freedom import exact_tikhonov, plateau_excess
from ipbox.choose.guess import first_weight
from ipbox.functionals import KL, L2, TV, Box, DualTerm, Functional, L1Data
from ipbox.functionals.fidelities.l2 import Fidelity
from ipbox.operators import ConeBeamTransform, ConeVectorTransform, Identity, SliceStack
from ipbox.operators.tomography.geometry import Projector
from ipbox.reconstruct.direct.fbp import fbp
from ipbox.reconstruct.direct.fdk import fdk
from ipbox.reconstruct.iterative.early_stopping import batch_of, compared, warn_of_niter
from ipbox.reconstruct.variational.balanced import as_accurate_as_the_weight_asks
from ipbox.reconstruct.variational.memory import find_room, is_frugal
from ipbox.reconstruct.variational.settled import Settled
from ipbox.solvers import (
    CGLS,
    FISTA,
    LBFGS,
    PDHG,
    AdaptivePDHG,
    NonMonotoneAPG,
    Problem,
    Solution,
    Solver,
    solve,
    stopping,
)
from ipbox.solvers.core.fingerprint import Made
from ipbox.solvers.core.problem import Parts
from ipbox.solvers.core.solve import SolveOptions
from ipbox.solvers.primal_dual import saddle

ACCURACY = 0.3  # of the image, in units of √tol: errors of the objective are quadratic in those of the image
COARSE = 0.1  # where conjugate gradients begin with a weight that is tried; they go on until its residual is known
FAR = 20.0  # how far L may be above the typical curvature for steps 1/L
RELAX = 1.8  # of PDHG; `python -m tests.bench tvct-default` measures what the default path saves
FIDELITIES = {"l2": L2, "l1": L1Data, "kl": KL}


class RunOptions(SolveOptions, RuleOptions, total=False):
    """What variational functions hand on: to `solve`, and to the rule for λ."""


class OwnOptions(TypedDict, total=False):
    """What `variational` takes beside its regulariser."""

    fidelity: str | Fidelity
    nonneg: bool
    box: tuple[float, float] | None
    solver: Solver | None
    tol: float
    niter: int
    x0: Array | None
    memory: float | None
    scratch: str | os.PathLike[str] | None


class VariationalOptions(OwnOptions, RunOptions, total=False):
    """What functions with a regulariser of their own hand on to `variational`."""


@dataclass(frozen=True)
class VariationalFamily:
    """The map λ -> argmin_u D(Au, b) + λ R(u) + constraint, with solver and stop rule."""

    fidelity: Fidelity
    R: Functional
    constraint: Functional | None = None
    solver: Solver | None = None
    tol: float = 1e-4
    niter: int = 1000
    x0: Array | None = None
    options: Any = field(default_factory=dict)
    memory: float | None = None
    scratch: str | os.PathLike[str] | None = None
    frugal: bool = False  # whether the steps shall be those that need least memory, where the solver is not given

    def problem(self, lam: float, b: Array | None = None) -> Problem:
        """The problem for λ, with other data where given."""
        D = self.fidelity if b is None else type(self.fidelity)(self.fidelity.A, b)
        objective = D + lam * self.R
        if self.constraint is not None:
            objective = objective + self.constraint
        return Problem(objective, batch=None if D.A is None else batch_of(D.A, D.b))

    def __call__(
        self,
        lam: float,
        x0: Array | None = None,
        b: Array | None = None,
        start: Solution | None = None,
        tol: float | None = None,
    ) -> tuple[Array, Solution]:
        """Solve for λ; ``start`` is the solution for another weight, from which primal and dual variables are taken."""
        problem = self.problem(lam, b)
        solver = self.solver or default_solver(problem, self.frugal)
        if isinstance(solver, CGLS) and (start is not None or tol is not None):
            stop = as_accurate_as_the_weight_asks(problem, self.tol if tol is None else tol)
        else:
            stop = stop_rule(problem, solver, self.tol if tol is None else tol)
        stop = stop | stopping.niter(self.niter)
        if start is None:
            x0 = self.x0 if x0 is None else x0
            options = self.options
            if x0 is None and self.solver is None and options.get("state") is None:
                x0 = self._first_image(problem, solver)
                if x0 is not None and problem.batch is None:  # which is not kept beside the state
                    options = options | {"state": _state_at(x0, problem, solver)}
                    x0 = None
            info = solve(problem, solver, x0=x0, stop=stop, **options)
        elif isinstance(solver, PDHG):
            info = solve(problem, solver, state=_state_from(start, problem, solver), stop=stop, **self.options)
        else:  # the residual of L-BFGS is relative to the gradient at its start, which must not be a minimiser
            x0 = self.x0 if isinstance(solver, LBFGS) else start.x
            info = solve(problem, solver, x0=x0, stop=stop, **self.options)
        return info.x, info

    def _first_image(self, problem: Problem, solver: Solver) -> Array | None:
        """Where PDHG starts on tomography: at filtered back-projection, where that is nearer to the data than zero."""
        D = problem.fidelity
        if not (isinstance(solver, PDHG) and isinstance(D, L2)):
            return None
        A = D.A.on_circle() if isinstance(D.A, ConeVectorTransform) else D.A
        if isinstance(A, ConeBeamTransform) and A.tilt == 0:
            method = fdk
        elif isinstance(A, Projector | SliceStack):
            method = fbp
        else:
            return None
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of angles that leave gaps: it is a start
            x = method(A, D.b, "hann")[0]
        if self.constraint is not None:
            x = self.constraint.prox(x, 1.0, out=x)
        return x if backend.norm(D.residual(x)) < backend.norm(D.b) else None

    def choose(self, lam: Any, noise_level: float | None) -> tuple[Array, Solution]:
        """Solve for a number λ, or for the λ of the rule of that name, in the memory that there is."""
        if noise_level is not None:
            check_noise_level(noise_level)
        if isinstance(lam, str) and (self.fidelity.ranks or shares.sharing()) is not None:
            raise ValueError(f"lam is {lam!r}, and ranks share the data; expected a number, chosen by one rank")
        problem = self.problem(1.0)
        solver = self.solver or default_solver(problem)
        room = find_room(
            problem, solver, self.solver is None, self.memory, self.scratch, self.options.get("progress", False)
        )
        with room.used():
            return dataclasses.replace(self, frugal=room.frugal)._choose(lam, noise_level)

    def _choose(self, lam: Any, noise_level: float | None) -> tuple[Array, Solution]:
        rule = {k: v for k, v in self.options.items() if k in RuleOptions.__annotations__}
        options = compared({k: v for k, v in self.options.items() if k not in rule}, rule.get("x_true"))
        if isinstance(lam, str) and lam == "discrepancy" and self.linear:
            # far from the target the residual says enough, and steps are dear
            rule = {"inner_tol": COARSE} | rule
        if isinstance(lam, str) and lam in RULES:
            _check_rule_options(options)
            solves = dataclasses.replace(self, options={k: v for k, v in options.items() if k != "progress"})
        else:
            solves = dataclasses.replace(self, options=options)
            rule.pop("x_true", None)
        D, R = self.fidelity, self.R
        x, info = resolve(
            lam,
            solves,
            D.A,
            D.b,
            noise_level,
            R=R.value,
            seminorm=seminorm(R),
            D=None if type(D) is L2 else D,
            guess=lambda: first_weight(D, R, noise_level),
            linear=self.linear,
            trace=self.trace,
            tol=self.tol,
            progress=options.get("progress", False),
            **rule,
        )
        if D.A is not None and D.A.support is not None and _holds_zero(self.constraint):
            x = x * backend.to_device(D.A.support, backend.array_module(x))  # what R filled in beyond
            info.x = x
        warn_of_niter(info, self.niter)
        return x, info

    @property
    def linear(self) -> bool:
        """Whether the image is linear in the data."""
        return isinstance(self.R, L2) and type(self.fidelity) is L2 and self.constraint is None

    def trace(self) -> dict[str, Any]:
        """What is known of the degrees of freedom: all for a small linear map, the plateaus for denoising by TV."""
        A, b = self.fidelity.A, self.fidelity.b
        if self.linear:
            return {"dof": exact_tikhonov(A, self.R, b.shape if A is None else tuple(A.dims), b)}
        if isinstance(self.R, TV) and (A is None or isinstance(A, Identity)):
            return {"excess": partial(plateau_excess, axes=self.R.gradient.coupled)}
        return {}


Variational = VariationalFamily  # its old name


def _holds_zero(constraint: Functional | None) -> bool:
    """Whether pixels may be zero."""
    return not isinstance(constraint, Box) or constraint.lo <= 0 <= constraint.hi


def seminorm(R: Functional) -> Any:
    """R, and for a quadratic R = ½‖Lu‖² the seminorm ‖Lu‖, as the L-curve has it."""
    return (lambda x: math.sqrt(2 * R.value(x))) if isinstance(R, L2) else R.value


def default_solver(problem: Problem, frugal: bool = False) -> Solver:
    """Conjugate gradients for a quadratic, FISTA where every term has a gradient or a cheap prox, else PDHG.

    FISTA's steps are 1/L: not where L, the worst case, is far above the curvature at the data; they are searched for
    where L is not known and PDHG has no prox.  PDHG adapts its steps, but for batches, which share them, and where it
    is accelerated, or shall be frugal with memory.
    """
    if all(isinstance(f, L2) and f.weight > 0 for f in problem.terms):
        return CGLS()
    if any(f.has_grad and (f.inexact_prox or not f.is_convex) for f in problem.terms):
        return smooth_solver(problem)
    cheap = not any(isinstance(f, DualTerm) for f in problem.terms)
    if cheap and (p := _parts(FISTA(), problem)) is not None and p.prox.explicit and p.smooth.is_convex:
        if p.smooth.L <= FAR * p.smooth.curvature:
            return FISTA()
    p = _parts(PDHG(), problem)
    if p is None and cheap and (p := _parts(searching := FISTA(backtracking=True), problem, math.inf)) is not None:
        return searching
    if p is None or PDHG().accelerates(p):
        return PDHG()
    if frugal or is_frugal(p):
        return PDHG(relax=RELAX)
    return PDHG(relax=RELAX) if p.batch is not None else AdaptivePDHG(relax=RELAX, every=10)


def smooth_solver(problem: Problem) -> Solver:
    """Methods by gradients, for a regulariser whose prox is dear or not defined.

    Steps of 1/L where they are of use; else ones that are searched, by L-BFGS unless there is a constraint.
    """
    p = _parts(FISTA(), problem)
    known = p is not None and p.prox.explicit and p.smooth.L <= FAR * p.smooth.curvature
    convex = all(f.is_convex for f in problem.terms) or (p is not None and p.smooth.is_convex)
    if known and convex:
        return FISTA()
    if all(f.has_grad and f.explicit for f in problem.terms):
        return LBFGS()
    if known and all(f.explicit for f in problem.terms):  # proved to come to critical points
        return NonMonotoneAPG()
    return FISTA(backtracking=not known, restart="gradient" if convex else "function")


def _parts(solver: Solver, problem: Problem, most: float = sys.float_info.max) -> Parts | None:
    """The problem in the solver's roles; None where it does not take it, or has an L above ``most``."""
    try:
        p = solver.prepare(problem)
    except ValueError:  # which says why; solve says it again where there is no other solver
        return None
    return p if p.smooth.L <= most else None


def stop_rule(problem: Problem, solver: Solver, tol: float) -> stopping.StopRule:
    """Duality gap where it is finite, else fixed-point residual, else relative change, once the image has settled."""
    return Settled(_tolerance(problem, solver, tol), ACCURACY * math.sqrt(tol))


def _tolerance(problem: Problem, solver: Solver, tol: float) -> stopping.StopRule:
    if isinstance(solver, CGLS):
        return stopping.residual(tol, every=1)
    if type(solver).gap is not Solver.gap:
        try:
            solver.check_gap(solver.prepare(problem))
            return stopping.gap(tol)
        except ValueError:  # it is infinite: says check_gap
            pass
    if type(solver).residual is not Solver.residual:
        return stopping.residual(tol)
    return stopping.relative_change(tol)


def make_fidelity(fidelity: str | Fidelity, A: Any, b: Array) -> Fidelity:
    """D from its name, ``"l2"``, ``"l1"`` or ``"kl"``, or D itself, which must be one of A and b."""
    if isinstance(fidelity, Fidelity):
        if fidelity.A is not A or fidelity.b is not b:
            raise ValueError(f"fidelity is {fidelity.name} of another A or b; expected D(A, b) for the given ones")
        return fidelity
    if not isinstance(fidelity, str) or fidelity not in FIDELITIES:
        names = ", ".join(map(repr, FIDELITIES))
        raise ValueError(f"fidelity is {fidelity!r}; expected {names}, or a Fidelity of A and b such as ip.KL(A, b)")
    return FIDELITIES[fidelity](A, b)


def _state_at(x: Array, problem: Problem, solver: Solver) -> Any:
    """A state for this problem at the image ``x``, which it takes over."""
    s = solver.init(solver.prepare(problem), x)
    s.loop["solver"], s.made = type(solver).__name__, Made(problem, solver)
    return s


def _state_from(start: Solution, problem: Problem, solver: PDHG) -> Any:
    """A state of PDHG for this problem with x and the dual variables of ``start``."""
    s = _state_at(problem.start(start.x), problem, solver)
    old = start.state
    if isinstance(solver, AdaptivePDHG) and isinstance(start.solver, AdaptivePDHG):
        s.tau, s.sigma = old.tau, list(old.sigma)
    for new, y in zip([*s.y, *sum(s.aux, [])], [*old.y, *sum(old.aux, [])], strict=True):
        new[...] = y
    for aux, aux_bar in zip(s.aux, s.aux_bar, strict=True):
        for v, v_bar in zip(aux, aux_bar, strict=True):
            v_bar[...] = v
    for u, v in zip(s.relaxed, saddle.blocks_of(s.x, s.aux), strict=bool(s.relaxed)):
        u[...] = v
    return s


def _check_rule_options(options: dict[str, Any]) -> None:
    if options.get("state") is not None:
        raise ValueError("state is given and lam is a rule, which makes several solves; expected a number for lam")
