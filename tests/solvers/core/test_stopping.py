"""Stop rules: each alone, combined, per sample, and across a resumed run."""

from __future__ import annotations

import time
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import ipbox as ip
from ipbox.solvers.core.stopping import StopRule
from tests.contracts.solvers.registry import RIDGE, STEP, operator

stop = ip.stop


def ridge(xp: ModuleType = np, dtype: str = "float64") -> ip.Problem:
    return RIDGE.problem(RIDGE.draw(xp, dtype), xp, dtype)


def denoising() -> ip.Problem:
    return STEP.problem(STEP.draw(np, "float64"), np, "float64")


class Table(StopRule):
    """Fires at the iterations it is given, each under its own name."""

    def __init__(self, label: str, at: set[int]) -> None:
        object.__setattr__(self, "label", label)
        object.__setattr__(self, "at", at)

    @property
    def name(self) -> str:
        return self.label

    def met(self, run: Any) -> bool:
        return run.k in self.at


# ---------------------------------------------------------------- each rule alone


@pytest.mark.parametrize("n", [0, 1, 7])
def test_niter(n: int, xp: ModuleType) -> None:
    sol = ip.solve(ridge(xp), ip.CGLS(), stop=stop.niter(n))
    assert (sol.stop, sol.niter, sol.state.k) == ("niter", n, n)


def test_niter_of_a_resumed_run_counts_from_there_or_from_the_start() -> None:
    sol = ip.solve(ridge(), ip.GradientDescent(), stop=stop.niter(4))
    sol = ip.solve(ridge(), ip.GradientDescent(), state=sol.state, stop=stop.niter(3))
    assert sol.niter == 7
    sol = ip.solve(ridge(), ip.GradientDescent(), state=sol.state, stop=stop.niter(9, total=True))
    assert sol.niter == 9
    sol = ip.solve(ridge(), ip.GradientDescent(), state=sol.state, stop=stop.niter(5, total=True))
    assert sol.niter == 9  # already there


def test_a_thousand_iterations_where_nothing_is_said() -> None:
    sol = ip.solve(ridge(), ip.GradientDescent())
    assert (sol.stop, sol.niter) == ("niter", 1000)


@pytest.mark.parametrize(
    "solver", [ip.GradientDescent(), ip.CGLS(), ip.FISTA(), ip.PDHG()], ids=lambda s: type(s).__name__
)
@pytest.mark.parametrize("safety", [1.0, 1.2])
def test_discrepancy_stops_at_the_first_iterate_below(solver: ip.solvers.Solver, safety: float) -> None:
    b = RIDGE.draw(np, "float64")
    A = operator(np.random.default_rng(3).standard_normal((17, 12)), np, np.float64, (3, 4))
    problem = ip.Problem(ip.L2(A, b))
    level = 0.75 * np.linalg.norm(b)
    sol = ip.solve(problem, solver, stop=stop.discrepancy(level, safety) | stop.niter(500))
    assert sol.stop == "discrepancy" and sol.niter > 0
    before = ip.solve(problem, solver, stop=stop.niter(sol.niter - 1)).x
    assert problem.residual_norm(sol.x) <= safety * level < problem.residual_norm(before)


def test_discrepancy_is_met_at_the_start() -> None:
    b = RIDGE.draw(np, "float64")
    sol = ip.solve(ridge(), ip.CGLS(), stop=stop.discrepancy(np.linalg.norm(b)))
    assert (sol.stop, sol.niter) == ("discrepancy", 0)


def test_gap_bounds_the_objective() -> None:
    problem = denoising()
    best = problem.objective(STEP.solution(problem.terms[0].b, "float64"))
    for tol in (1e-2, 1e-5):
        sol = ip.solve(problem, ip.PDHG(), stop=stop.gap(tol) | stop.niter(4000))
        assert sol.stop == "gap"
        assert 0 <= problem.objective(sol.x) - best <= tol * problem.objective(sol.x)


def test_gap_with_a_bounded_box() -> None:
    A = operator(np.random.default_rng(3).standard_normal((17, 24)), np, np.float64, (6, 4))
    problem = ip.Problem(ip.L2(A, RIDGE.draw(np, "float64")) + 0.1 * ip.TV((6, 4)) + ip.Box(0, 1))
    sol = ip.solve(problem, ip.PDHG(), stop=stop.gap(1e-6) | stop.niter(20000))
    assert sol.stop == "gap"
    long = ip.solve(problem, ip.PDHG(), stop=stop.niter(3 * sol.niter))
    assert problem.objective(sol.x) <= (1 + 2e-6) * problem.objective(long.x)


@pytest.mark.parametrize("nonneg", [ip.NonNegative(), ip.Box(0, np.inf), None])
def test_gap_is_refused_where_the_dual_value_is_infinite(nonneg: Any) -> None:
    A = operator(np.ones((5, 24)), np, np.float64, (6, 4))
    objective = ip.L2(A, np.ones(5)) + 0.1 * ip.TV((6, 4))
    problem = ip.Problem(objective if nonneg is None else objective + nonneg)
    with pytest.raises(ValueError, match=r"stop\.gap.*infinite.*Box\(lo, hi\).*stop\.residual") as refusal:
        ip.solve(problem, ip.PDHG(), stop=stop.niter(5) | stop.gap(1e-3))
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    "solver", [ip.GradientDescent(), ip.CGLS(), ip.FISTA(), ip.ForwardBackward()], ids=lambda s: type(s).__name__
)
def test_gap_is_refused_by_solvers_without_a_dual(solver: ip.solvers.Solver) -> None:
    with pytest.raises(ValueError, match=f"{type(solver).__name__} has no duality gap; use stop.residual or PDHG"):
        ip.solve(ridge(), solver, stop=stop.gap(1e-3))


@pytest.mark.parametrize(
    "solver",
    [ip.GradientDescent(), ip.CGLS(), ip.FISTA(), ip.ForwardBackward(), ip.PDHG()],
    ids=lambda s: type(s).__name__,
)
def test_residual(solver: ip.solvers.Solver, xp: ModuleType) -> None:
    sol = ip.solve(ridge(xp), solver, stop=stop.residual(1e-5, every=5) | stop.niter(500))
    assert sol.stop == "residual" and sol.niter % 5 == 0
    assert solver.residual(solver.prepare(ridge(xp)), sol.state) <= 1e-5


def test_relative_change_stops_at_the_first_small_step() -> None:
    xs = [run.x.copy() for run in ip.iterate(ridge(), ip.GradientDescent(), stop=stop.niter(100))]
    changes = [np.linalg.norm(b - a) / np.linalg.norm(b) for a, b in zip(xs[:-1], xs[1:], strict=True)]
    first = 1 + next(i for i, change in enumerate(changes) if change <= 1e-4)
    sol = ip.solve(ridge(), ip.GradientDescent(), stop=stop.relative_change(1e-4) | stop.niter(100))
    assert (sol.stop, sol.niter) == ("relative_change", first)


def test_relative_change_every_few_iterations_and_across_a_resumed_run(tmp_path: Any) -> None:
    rule = stop.relative_change(1e-4, every=3)
    whole = ip.solve(ridge(), ip.GradientDescent(), stop=rule)
    for cut in (1, 3, whole.niter - 1):
        part = ip.solve(ridge(), ip.GradientDescent(), stop=rule | stop.niter(cut))
        assert part.stop == "niter"
        part.state.save(tmp_path / "s.npz")
        resumed = ip.solve(ridge(), ip.GradientDescent(), state=tmp_path / "s.npz", stop=rule)
        assert (resumed.stop, resumed.niter) == ("relative_change", whole.niter)


def test_relative_change_of_nothing() -> None:
    problem = ip.Problem(ip.L2(b=np.zeros(3)))
    sol = ip.solve(problem, ip.GradientDescent(), stop=stop.relative_change(1e-6))
    assert (sol.stop, sol.niter) == ("relative_change", 1)


def test_wall_time_counts_resumed_parts() -> None:
    def wait(run: Any) -> None:
        time.sleep(0.01)

    sol = ip.solve(ridge(), ip.GradientDescent(), stop=stop.wall_time(0.1) | stop.niter(4), callbacks=[wait])
    assert sol.stop == "niter" and 0.03 <= sol.seconds
    spent = sol.seconds
    sol = ip.solve(ridge(), ip.GradientDescent(), state=sol.state, stop=stop.wall_time(spent + 0.05), callbacks=[wait])
    assert sol.stop == "wall_time"
    assert spent + 0.05 <= sol.seconds and sol.niter <= 4 + 8


# ---------------------------------------------------------------- combined

tables = st.sets(st.integers(0, 12), max_size=6)


@given(a=tables, b=tables, c=tables)
def test_either_and_both(a: set[int], b: set[int], c: set[int]) -> None:
    """(a | b) & c | niter stops where the sets say, and names the rules that fired."""
    rule = (Table("a", a) | Table("b", b)) & Table("c", c) | stop.niter(12)
    sol = ip.solve(ip.Problem(ip.L2(b=np.ones(2))), ip.GradientDescent(tau=0.5), stop=rule)
    k = min(((a | b) & c) | {12})
    assert sol.niter == k
    expected = ("a & c" if k in a else "b & c") if k in (a | b) & c else "niter"
    assert sol.stop == expected


def test_rules_are_checked_wherever_they_stand() -> None:
    for rule in (stop.gap(1e-3) & stop.niter(3), stop.niter(3) | (stop.niter(2) & stop.gap(1e-3))):
        with pytest.raises(ValueError, match="no duality gap"):
            ip.solve(ridge(), ip.CGLS(), stop=rule)
    with pytest.raises(ValueError, match="data fidelity"):
        ip.solve(ip.Problem(ip.L1(), dims=(2,), dtype="float64"), ip.PDHG(), stop=stop.discrepancy(1.0))


@pytest.mark.parametrize("other", [3, None, "niter"])
def test_combined_with_something_else(other: Any) -> None:
    for combine in (lambda a, b: a | b, lambda a, b: a & b):
        for pair in ((stop.niter(3), other), (other, stop.niter(3))):
            with pytest.raises(TypeError, match=r"^a stop rule was combined with .*; expected another, as ip.stop"):
                combine(*pair)
    if other is not None:
        with pytest.raises(TypeError, match=r"^stop is (int|str); expected a rule"):
            ip.solve(ridge(), ip.CGLS(), stop=other)


# ---------------------------------------------------------------- per sample


def test_which_rule_fired_for_each_sample(xp: ModuleType) -> None:
    b = RIDGE.draw(xp, "float32", batch=3)
    problem = RIDGE.problem(b, xp, "float32")
    start = problem.residual_norm(problem.start(None))
    levels = np.array([1.1, 0.0, 0.9]) * start
    sol = ip.solve(problem, ip.CGLS(), stop=stop.discrepancy(levels, 1.0) | stop.niter(6))
    assert sol.stop == ["discrepancy", "niter", "discrepancy"]
    assert sol.extra["niter_per_sample"][:2] == [0, 6]
    assert 0 < sol.extra["niter_per_sample"][2] < 6


@pytest.mark.parametrize("level", [np.ones(2), np.ones((3, 1))])
def test_noise_levels_of_the_wrong_shape(level: np.ndarray) -> None:
    b = RIDGE.draw(np, "float64", batch=3)
    with pytest.raises(ValueError, match=r"^noise_level has shape .*\(3,\)"):
        ip.solve(RIDGE.problem(b, np, "float64"), ip.CGLS(), stop=stop.discrepancy(level))
    with pytest.raises(ValueError, match="^noise_level has shape"):
        ip.solve(ridge(), ip.CGLS(), stop=stop.discrepancy(level))


# ---------------------------------------------------------------- bad arguments


@pytest.mark.parametrize(
    ("make", "name"),
    [
        *[(lambda n=n: stop.niter(n), "niter") for n in (-1, 2.5, "3", None)],
        *[(lambda v=v: stop.gap(v), "tol") for v in (0, -1e-3, np.nan, np.inf, "1")],
        *[(lambda v=v: stop.residual(v), "tol") for v in (0, -1e-3)],
        *[(lambda v=v: stop.relative_change(v), "tol") for v in (0, None)],
        *[(lambda v=v: stop.wall_time(v), "seconds") for v in (0, -1, np.nan)],
        *[(lambda v=v: stop.discrepancy(v), "noise_level") for v in (-1.0, np.nan, np.inf, [1.0, -1.0])],
        *[(lambda v=v: stop.discrepancy(1.0, v), "safety") for v in (0, -1)],
        *[(lambda v=v: stop.gap(1e-3, every=v), "every") for v in (0, -2, 1.5)],
    ],
)  # fmt: skip
def test_bad_arguments(make: Any, name: str) -> None:
    with pytest.raises(ValueError, match=f"^{name} is .*; expected"):
        make()


@pytest.mark.parametrize("value", ["low", None])
def test_a_noise_level_that_is_no_number(value: Any) -> None:
    with pytest.raises(TypeError, match="^noise_level is .*; expected"):
        stop.discrepancy(value)


def test_gap_is_refused_where_a_conjugate_is_not_known() -> None:
    import pyproximal

    b = np.linspace(-1, 2, 12).reshape(3, 4)
    problem = ip.Problem(ip.L2(b=b) + 0.1 * ip.TV(b.shape) + ip.as_functional(pyproximal.Box(0, 1)))
    with pytest.raises(ValueError, match=r"conjugate of pyproximal\.Box.* is not known"):
        ip.solve(problem, ip.PDHG(), stop=ip.stop.gap(1e-4))
    solution = ip.solve(problem, ip.PDHG(), stop=ip.stop.niter(5))
    assert solution.certificate.bound is None and "pyproximal.Box" in solution.certificate.kind
