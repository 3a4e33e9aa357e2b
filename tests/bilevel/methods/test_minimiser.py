"""What all methods have from their base: budgets, starts, old names of arguments, and resumed runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import ipbox as ip
from ipbox.bilevel import (
    DFO,
    LBFGSB,
    MAID,
    BilevelProblem,
    GridSearch,
    LowerLevel,
    SamplingWeights,
    ScalarSearch,
    Unrolled,
    Weight,
)
from ipbox.bilevel.methods.bounds import Bounds
from ipbox.bilevel.methods.minimiser import Minimiser
from ipbox.bilevel.methods.session import Budget, Spent

BOX = (-3.0, 0.0)


def problem() -> BilevelProblem:
    x = np.repeat(np.array([0.0, 1.0, 0.4, 0.8]), 4)[None] * np.array([[1.0], [0.5]])
    b = x + 0.1 * np.random.default_rng(0).standard_normal(x.shape)
    return BilevelProblem(x, LowerLevel(None, b, Weight(ip.SmoothedTV((16,), eps=0.05))))


def test_a_budget_is_spent_by_steps_first() -> None:
    budget = Budget(3, 10.0, "rounds")
    budget.check(2, 9.9)
    with pytest.raises(Spent, match="rounds"):
        budget.check(3, 10.0)
    with pytest.raises(Spent, match="work"):
        budget.check(2, 10.0)
    for work in (0, -1.0, np.nan, True, "10"):
        with pytest.raises(ValueError, match="work is"):
            Budget(3, work)


@pytest.mark.parametrize(
    "method", [MAID(), DFO(evaluations=9), LBFGSB(1e-5), Unrolled(9), ScalarSearch(), GridSearch(9)]
)
def test_every_method_ends_with_its_work(method: Minimiser) -> None:
    assert isinstance(method, Minimiser)
    free = method.minimise(problem().evaluator(), [-2.0], BOX)
    found = method.minimise(problem().evaluator(), [-2.0], BOX, work=free.history[2]["work"])
    assert found.stop == "work"
    assert [row["f"] for row in found.history] == [row["f"] for row in free.history[:3]]


def test_the_work_of_dfo_by_its_old_name() -> None:
    with pytest.warns(
        DeprecationWarning, match=r"^DFO\(work_budget=...\) is now DFO\(work=...\); it leaves with"
    ) as seen:
        method = DFO(work_budget=90.0)
    assert seen[0].filename == __file__
    old = method.minimise(problem().evaluator(), [-2.0], BOX)
    new = DFO().minimise(problem().evaluator(), [-2.0], BOX, work=90.0)
    assert method == DFO(work=90.0) and DFO(work=90.0).work_budget == 90.0
    assert old.stop == new.stop == "work"
    assert [row["work"] for row in old.history] == [row["work"] for row in new.history]


def test_the_iterations_of_the_lower_level_by_their_old_name() -> None:
    with pytest.warns(DeprecationWarning, match="it leaves with version 0.3$"):
        assert Unrolled(iterations=7) == Unrolled(lower_iterations=7) == Unrolled(7)
    assert Unrolled(7).iterations == Unrolled(7).lower_iterations == 7
    with pytest.raises(ValueError, match="lower_iterations is 2.5"), pytest.warns(DeprecationWarning):
        Unrolled(iterations=2.5)


def test_a_grid_may_end_early() -> None:
    whole = GridSearch(9).minimise(problem().evaluator(), bounds=BOX)
    part = GridSearch(9).minimise(problem().evaluator(), bounds=BOX, iterations=4)
    assert (whole.stop, part.stop, len(part.history)) == ("grid", "iterations", 4)
    assert [row["f"] for row in part.history] == [row["f"] for row in whole.history[:4]]


@pytest.mark.parametrize("method", [ScalarSearch(), Unrolled(9), LBFGSB(1e-5)])
def test_a_run_resumed_with_fewer_iterations_is_the_shorter_run(method: Minimiser, tmp_path: Path) -> None:
    path = tmp_path / "run.npz"
    method.minimise(problem().evaluator(), [-2.0], BOX, iterations=6, checkpoint=path)
    short = method.minimise(problem().evaluator(), [-2.0], BOX, iterations=3)
    again = method.minimise(problem().evaluator(), [-2.0], BOX, iterations=3, checkpoint=path)
    assert np.array_equal(short.theta, again.theta) and short.f == again.f
    assert [row["work"] for row in short.history] == [row["work"] for row in again.history]


def test_the_start_is_that_of_the_terms_where_they_have_one() -> None:
    F, u = ip.FourierTransform((8,), dtype="complex128"), np.ones((1, 8))
    lower = LowerLevel(
        F, F.apply(u.astype(complex)), 0.1 * ip.Tikhonov((8,), order=0), fidelity=SamplingWeights(F, "linear")
    )
    found = MAID().minimise(BilevelProblem(u, lower).evaluator(), bounds=(0.0, 2.0), iterations=0)
    assert np.array_equal(found.theta, np.ones(8))
    with pytest.raises(ValueError, match="theta0 is None; expected 1 number: log10 weight"):
        MAID().minimise(problem().evaluator())


def test_bounds() -> None:
    bounds = Bounds((-1.0, [2.0, 3.0]), 2)
    inside, outside = np.array([0.0, 3.0]), np.array([-4.0, 5.0])
    assert bounds.check(inside) is inside
    assert bounds.project(outside).tolist() == [-1.0, 3.0]
    assert bounds.free(np.array([-1.0, 3.0]), np.array([1.0, 2.0])).tolist() == [0.0, 2.0]
    with pytest.raises(ValueError, match="outside its bounds"):
        bounds.check(outside)
    with pytest.raises(TypeError, match="bounds is 3"):
        Bounds(3, 2)
