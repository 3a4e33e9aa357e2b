"""The upper level: how far the reconstructions û_i(θ) are from the true images, evaluated to a chosen accuracy."""

from __future__ import annotations

import copy
import functools
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from ipbox import backend
from ipbox.backend import Array
from ipbox.bilevel.problem.lower import LowerLevel, check_range
from ipbox.bilevel.problem.oracle import MAX_ITERATIONS, LowerSolution, solve_lower
from ipbox.bilevel.problem.penalties import Penalty
from ipbox.bilevel.problem.result import Cost
from ipbox.bilevel.problem.resumable import ProblemEvaluator, check_same_problem
from ipbox.bilevel.problem.samples import by_processes, check_jobs, norms, objective_bound
from ipbox.bilevel.problem.share import Share
from ipbox.checks import check_choice, check_count, check_fields, check_flag, check_type, is_number
from ipbox.distributed.ranks import Ranks
from ipbox.solvers.core.protocol import Solver

FEW = 4096  # entries of û_i - u_i of all samples, up to which `dfo` is told of them


class UpperLevel:
    """Base of the problems with the fit scale Σ_i ‖û_i(θ) - u_i‖²."""

    truths: Any
    lower: Any
    convention: str

    def _check_truths(self, expected: tuple[int, ...]) -> None:
        """Refuse truths of another shape or without numbers, and another convention."""
        if tuple(self.truths.shape) != tuple(expected):
            raise ValueError(f"truths has shape {self.truths.shape}; expected {expected}, one for each of the data")
        if not bool(self.lower.xp.isfinite(self.truths).all()):
            raise ValueError("truths has NaN or infinite entries; expected finite numbers")
        check_choice(self.convention, "convention", ("mean", "sum"))

    @property
    def scale(self) -> float:
        """The factor of Σ‖û_i - u_i‖²: 1/n or 1."""
        return 1.0 / self.count if self.convention == "mean" else 1.0

    @functools.cached_property
    def count(self) -> int:
        """Of the samples that a mean is over."""
        return self.lower.n

    @functools.cached_property
    def unit(self) -> float:
        """The largest |value| of the true images, 1 where all vanish: the methods' accuracies are in this unit."""
        return float(self.lower.xp.abs(self.truths).max()) or 1.0


@dataclass(repr=False, eq=False)
class BilevelProblem(UpperLevel):
    r"""min_θ f(θ), f(θ) = 1/n Σ_i ‖û_i(θ) - u_i‖² + J(θ).

    Parameters
    ----------
    truths : array, shape (n,) + dims
        u_i, the true images; kept.  Where they have another precision than the data, û_i stays in that of the data,
        and û_i - u_i is taken in the finer of both: u_i are not rounded.
    lower : LowerLevel
        û_i(θ), with the data b_i.
    penalty : Penalty, optional
        J(θ) >= 0.
    convention : {"mean", "sum"}
        Whether the fit is divided by n; J is not.

    Raises
    ------
    ValueError, TypeError
        where the truths do not go with the lower level.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.bilevel import BilevelProblem, LowerLevel, Weight
    >>> lower = LowerLevel(None, np.array([[0.1, -0.1, 1.1, 0.9]]), Weight(ip.SmoothedTV((4,), eps=0.1)))
    >>> problem = BilevelProblem(np.array([[0.0, 0.0, 1.0, 1.0]]), lower)
    >>> round(problem.evaluator().evaluate([-1.5], accuracy=1e-6).f, 4)
    0.0154
    """

    truths: Array
    lower: LowerLevel
    penalty: Penalty | None = None
    convention: str = "mean"

    def __post_init__(self) -> None:
        check_type(self.lower, "lower", LowerLevel, "a LowerLevel")
        if not backend.is_array(self.truths) or backend.array_module(self.truths) is not self.lower.xp:
            raise TypeError(
                f"truths is {type(self.truths).__name__}; expected an array of {self.lower.xp.__name__}, as the data"
            )
        kinds = "bif" if self.lower.dtype.kind == "f" else "bifc"
        if self.truths.dtype.kind not in kinds:
            raise TypeError(
                f"truths has dtype {self.truths.dtype}; expected numbers like the unknown's, {self.lower.dtype}"
            )
        P = self.lower.observe
        self._check_truths((self.lower.n, *(self.lower.dims if P is None else P.dimsd)))
        check_range(self.lower.xp, self.truths, self.lower.dtype, "truths")
        check_type(self.penalty, "penalty", Penalty | None, "a Penalty such as L1Penalty(0.1)")

    @property
    def residual_lipschitz(self) -> float:
        """Lipschitz constant of r_i = √scale ‖u - u_i‖; the fit's gradient has the constant 2 residual_lipschitz²."""
        return self.scale**0.5

    def distances(self, u: Array) -> np.ndarray:
        """‖u_i - truth_i‖ of every sample, float64."""
        return norms(self.lower.observed(u) - self.truths)

    def fit_gradient(self, u: Array) -> Array:
        """∇g(u) = 2 scale P*(Pu - truth), g the fit of the upper level; it is 2 scale-Lipschitz."""
        P = self.lower.observe
        g = self.lower.observed(u) - self.truths
        g = (2 * self.scale * g).astype(u.dtype)  # truths may have another precision
        return g if P is None else P.apply_adjoint(g)

    def penalty_value(self, theta: np.ndarray) -> float:
        """J(θ)."""
        if self.penalty is None:
            return 0.0
        value = self.penalty.value(theta, self.lower)
        if not is_number(value):
            raise TypeError(f"penalty gave {value!r} at theta = {theta}; expected a number")
        value = float(value)
        if not 0 <= value < np.inf:
            raise ValueError(f"penalty is {value:g} at theta = {theta}; expected a finite number that is not negative")
        return value

    def penalty_gradient(self, theta: np.ndarray) -> np.ndarray:
        """∇J(θ), shape (p,)."""
        if self.penalty is None:
            return np.zeros(len(theta))
        g = self.penalty.grad(theta, self.lower)
        if np.shape(g) != theta.shape:
            raise ValueError(f"the penalty's gradient is {g!r}; expected an array of shape {theta.shape}")
        return np.asarray(g, dtype=np.float64)

    def fingerprint(self, theta: np.ndarray) -> np.ndarray:
        """What tells this problem from another: ‖∇Φ_i‖ and the distances of random images, and J(θ)."""
        lower = self.lower
        random = backend.generator(0, lower.b).standard_normal(
            (lower.n, *lower.dims), dtype=backend.real_dtype(lower.dtype)
        )
        v = random.astype(lower.dtype)
        slopes = norms(lower.at(theta).grad(v))
        return np.concatenate([slopes, self.scale * self.distances(v), [self.penalty_value(theta)]])

    def take(self, i: np.ndarray, lower: LowerLevel) -> BilevelProblem:
        """This problem with the samples ``i`` alone, ``lower`` theirs."""
        part = copy.copy(self)
        part.truths, part.lower, part.count = self.truths[i], lower, lower.n
        return part

    def part(self, i: np.ndarray) -> BilevelProblem:
        """The samples ``i`` alone, in the scale and the unit of all."""
        part = self.take(i, self.lower.take(i))
        part.count, part.unit = self.count, self.unit
        return part

    def evaluator(self, **settings: Any) -> Evaluator:
        """An `Evaluator` of this problem; ``settings`` as there."""
        return Evaluator(self, **settings)


@dataclass(repr=False, eq=False)
class Evaluation:
    """f̃(θ) and the bound |f̃(θ) - f(θ)| <= ``bound``; ``r`` with f̃ = ‖r‖², |r_j - exact| <= ``delta_j``.

    Where ranks share the samples, all numbers are of all samples, and the images of ``lower`` are a rank's own.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.bilevel import BilevelProblem, LowerLevel, Weight
    >>> lower = LowerLevel(None, np.array([[0.1, -0.1, 1.1, 0.9]]), Weight(ip.SmoothedTV((4,), eps=0.1)))
    >>> problem = BilevelProblem(np.array([[0.0, 0.0, 1.0, 1.0]]), lower)
    >>> found = problem.evaluator().evaluate([-1.5], accuracy=1e-6)
    >>> bool(abs(found.f - np.sum(found.r**2)) < 1e-12), found.bound < 1e-5
    (True, True)
    """

    theta: np.ndarray
    f: float
    bound: float
    r: np.ndarray
    delta: np.ndarray
    lower: LowerSolution


@dataclass(repr=False, eq=False)
class Evaluator(ProblemEvaluator):
    """Evaluates a bilevel problem; holds what may change: warm starts and the work done so far.

    Parameters
    ----------
    problem : BilevelProblem
    method : Solver, optional
        Of the lower level: `ipbox.Nesterov()` by default; see `solve_lower`.
    max_iterations : int
        Ends a lower-level solve that does not reach its accuracy.
    iterations : int, optional
        Solve every lower level by so many iterations, whatever the accuracy: the fixed variants of the literature.
    warm : bool
        Start from reconstructions of the same images; from zero otherwise.
    memory : int
        How many of the last reconstructions are kept for ``residuals(theta, accuracy)``, which starts from that whose
        θ is nearest; with a fixed number of iterations from the last, as in the literature.
    n_jobs : int or Ranks
        Number of processes (joblib) that share the samples, or the ranks of MPI that do: `ipbox.distributed.world`.
        Each rank then has the images of its own samples alone.

    Notes
    -----
    Called as ``residuals(theta, accuracy)`` it is what `dfo` asks for: r = √scale (‖û_i - u_i‖)_i, followed by √J(θ)
    where there is a penalty, the bounds δ of their errors, and the vectors √scale (û_i - u_i), where they are few.

    Examples
    --------
    >>> import numpy as np, ipbox as ip
    >>> from ipbox.bilevel import BilevelProblem, LowerLevel, Weight
    >>> lower = LowerLevel(None, np.array([[0.1, -0.1, 1.1, 0.9]]), Weight(ip.SmoothedTV((4,), eps=0.1)))
    >>> evaluator = BilevelProblem(np.array([[0.0, 0.0, 1.0, 1.0]]), lower).evaluator()
    >>> first = evaluator.evaluate([-1.5], accuracy=1e-6).lower.cost.total
    >>> evaluator.evaluate([-1.5], accuracy=1e-6).lower.cost.total < first      # it starts where it ended
    True
    """

    problem: BilevelProblem
    method: Solver | None = None
    max_iterations: int = MAX_ITERATIONS
    iterations: int | None = None
    warm: bool = True
    memory: int = 4
    n_jobs: int | Ranks = 1
    cost: Cost = field(default_factory=Cost)
    u: Array | None = None
    recent: list[tuple[np.ndarray, Array]] = field(default_factory=list)
    saved: dict[str, Any] | None = None  # tells a checkpoint of what problem it is

    def __post_init__(self) -> None:
        check_type(self.problem, "problem", BilevelProblem, "a BilevelProblem")
        check_type(self.method, "method", Solver | None, "a configured solver, such as ip.Nesterov()")
        check_fields(self, check_count, "max_iterations", "memory", optional=("iterations",))
        check_jobs(self.n_jobs, "n_jobs")
        check_flag(self.warm, "warm")
        check_type(self.cost, "cost", Cost, "a Cost")
        check_type(self.recent, "recent", list, "a list of pairs (theta, u)")
        check_type(self.saved, "saved", dict | None, "a dictionary")
        if self.u is not None:
            backend.check_array(self.u, "u")

    @property
    def ranks(self) -> Ranks | None:  # type: ignore[override]  # read only: the jobs tell
        return self.n_jobs if isinstance(self.n_jobs, Ranks) else None

    @functools.cached_property
    def share(self) -> Share:
        """The samples that are evaluated here."""
        return Share(self.problem, self.ranks)

    @property
    def processes(self) -> int:
        """How many share the samples that are evaluated here."""
        return 1 if isinstance(self.n_jobs, Ranks) else self.n_jobs

    # ------------------------------------------------------------ evaluation

    def evaluate(self, theta: Any, accuracy: float | None = None) -> Evaluation:
        """f̃(θ) with every |r̃_j - r_j| <= accuracy, as far as the lower level can be solved."""
        problem = self.problem
        theta = problem.lower.check(theta)
        found = self.reconstruct(theta, None if accuracy is None else accuracy / problem.residual_lipschitz)
        return self.assess(theta, found)

    def assess(self, theta: np.ndarray, found: LowerSolution) -> Evaluation:
        """f̃(θ) of reconstructions that are there."""
        problem, own = self.problem, self.share.problem
        lipschitz = problem.residual_lipschitz
        (distances,) = self.share.numbers(own.distances(found.u))
        r, delta = problem.scale**0.5 * distances, lipschitz * found.certificate
        if problem.penalty is not None:
            r, delta = np.append(r, problem.penalty_value(theta) ** 0.5), np.append(delta, 0.0)
        return Evaluation(theta, float(r @ r), objective_bound(r, delta), r, delta, found)

    def reconstruct(self, theta: np.ndarray, accuracy: Any = None) -> LowerSolution:
        """û(θ), with ‖u_i - û_i(θ)‖ <= accuracy; the warm start of the next."""
        if self.iterations is not None:
            accuracy = None
        elif accuracy is None:
            raise ValueError("accuracy is None; expected a positive number, or a fixed number of iterations")
        settings: dict[str, Any] = {"method": self.method, "iterations": self.iterations}
        settings["max_iterations"] = self.max_iterations
        solve = functools.partial(solve_lower, theta=theta, **settings)
        start, share = self.u if self.warm else None, self.share
        found = by_processes(solve, share.problem.lower, self.processes, accuracy=share.part(accuracy), start=start)
        (found.certificate, steps), found.cost = share.numbers(found.certificate, found.iterations, cost=found.cost)
        found.iterations = steps.astype(int)
        self.cost += found.cost
        self.u, self.recent = found.u, [(theta, found.u)]
        return found

    def __call__(
        self, theta: np.ndarray, accuracy: float | None = None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
        known = self.recent if self.warm and self.iterations is None else []
        if known:
            self.u = min(known, key=lambda kept: float(np.linalg.norm(kept[0] - theta)))[1]
        found = self.evaluate(theta, accuracy)
        self.recent = [*(k for k in known if not np.array_equal(k[0], theta)), *self.recent][-self.memory :]
        return found.r, found.delta, self._errors(found)

    def _errors(self, found: Evaluation) -> np.ndarray | None:
        """√scale (û_i - u_i) as real vectors (n, q), whose norms are r; None where all have more than FEW entries."""
        problem, own = self.problem, self.share.problem
        if problem.truths.size * (2 if found.lower.u.dtype.kind == "c" else 1) > FEW:
            return None
        errors = backend.to_host(self.share.whole(own.lower.observed(found.lower.u) - own.truths))
        errors = problem.scale**0.5 * np.ascontiguousarray(errors).reshape(len(errors), -1)
        return errors.astype(np.complex128).view(np.float64) if errors.dtype.kind == "c" else errors.astype(np.float64)

    # ------------------------------------------------------------ checkpoints

    def get_state(self) -> dict[str, Any]:
        """Warm starts and cost, to be saved."""
        recent = [{"theta": t, "u": u} for t, u in self.recent]
        last = bool(recent) and self.u is recent[-1]["u"]
        lower = self.problem.lower
        if recent and (self.saved is None or lower.estimates):  # J may depend on what is estimated
            self.saved = self._known(recent[-1]["theta"])
        kept = {"u": None if last else self.u, "recent": recent, "cost": dict(vars(self.cost)), "problem": self.saved}
        return kept | {"terms": [t.get_state() for t in lower.terms]}

    def identify(self, theta: np.ndarray) -> None:
        """Tell checkpoints of what problem they are, before anything is evaluated."""
        self.saved = self._known(theta)

    def _known(self, theta: np.ndarray) -> dict[str, Any]:
        return {"theta": theta, "numbers": np.append(self.share.problem.fingerprint(theta), self.iterations or 0)}

    def set_state(self, state: dict[str, Any]) -> None:
        """Go on from what `get_state` gave.

        Raises
        ------
        ValueError
            where that was of another problem.
        """
        for t, kept in zip(self.problem.lower.terms, state["terms"], strict=False):  # of another problem: told below
            if kept is not None:
                t.set_state(kept)
        self.saved = state["problem"]
        if self.saved is not None:
            theta, lower = self.saved["theta"], self.problem.lower
            now = self._known(theta) if len(theta) == len(lower.names) else None
            check_same_problem(self.saved, now, float(np.finfo(lower.dtype).eps))
        self.recent = [(kept["theta"], kept["u"]) for kept in state["recent"]]
        self.u = self.recent[-1][1] if state["u"] is None and self.recent else state["u"]
        self.cost = Cost(**state["cost"])
