"""MAID on minibatches: descent on the samples of a step, where it goes, what is kept, resumed runs, bad input."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from ipbox.bilevel import LBFGSB, MAID, BilevelProblem, L1Penalty
from ipbox.bilevel.problem.penalties import Penalty
from ipbox.bilevel.stochastic.batches import samples
from tests.bilevel.stochastic.test_isgd import DATA, START, TRUTHS, N, problem


def part(posed: BilevelProblem, index: np.ndarray) -> BilevelProblem:
    return posed.take(index, posed.lower.take(index))


@pytest.mark.parametrize("penalty", [None, L1Penalty(0.3)])
@pytest.mark.parametrize("batch", [1, 4, 5])
def test_every_step_decreases_the_objective_of_its_samples(batch: int, penalty: Penalty | None) -> None:
    posed = problem(penalty=penalty)
    found = MAID(batch=batch, seed=2).minimise(posed.evaluator(), START, iterations=12)
    rows = [row for row in found.history if row["kind"] != "all samples"]
    assert len(rows) == 13
    for k, (before, after) in enumerate(zip(rows[:-1], rows[1:], strict=True)):
        few = part(posed, samples(k, N, batch, 2)).evaluator()
        assert after["kind"] == "step" and after["f_bound"] == math.inf
        assert few.evaluate(after["theta"], 1e-9).f < few.evaluate(before["theta"], 1e-9).f


def test_it_comes_near_the_minimiser_and_tells_f_of_all_samples() -> None:
    posed = problem()
    best = LBFGSB(tol=1e-8).minimise(posed.evaluator(), START).f
    start = posed.evaluator().evaluate(START, 1e-8).f
    found = MAID(batch=6).minimise(posed.evaluator(), START, iterations=60)
    exact = posed.evaluator().evaluate(found.theta, 1e-8).f
    assert exact - best <= 0.03 * (start - best)
    assert abs(found.f - exact) <= found.bound < math.inf
    last = found.history[-1]
    assert last["kind"] == "all samples" and last["work"] == found.cost.total


def test_all_samples_at_a_time_are_maid_without_predictions() -> None:
    whole = MAID(memory=0, batch=N).minimise(problem().evaluator(), START, iterations=8)
    plain = MAID(memory=0).minimise(problem().evaluator(), START, iterations=8)
    np.testing.assert_allclose(whole.theta, plain.theta, atol=0.05)
    assert whole.f == pytest.approx(plain.f, rel=0.02)


def test_few_warm_starts_change_the_work_alone() -> None:
    found = {k: MAID(batch=3, keep=k).minimise(problem().evaluator(), START, iterations=30) for k in (None, 1)}
    assert found[1].cost.total > found[None].cost.total
    np.testing.assert_allclose(found[1].theta, found[None].theta, atol=0.2)
    cold = MAID(batch=3).minimise(problem().evaluator(warm=False), START, iterations=30)
    assert cold.cost.total > found[None].cost.total


@pytest.mark.parametrize("keep", [None, 4])
def test_a_run_that_was_stopped_goes_on_bit_for_bit(keep: int | None, tmp_path: Path) -> None:
    method, path = MAID(batch=5, keep=keep), tmp_path / "run.npz"
    whole = method.minimise(problem().evaluator(), START, iterations=11)
    method.minimise(problem().evaluator(), START, iterations=4, checkpoint=path)
    found = method.minimise(problem().evaluator(), START, iterations=11, checkpoint=path)
    for key in ("theta", "f", "work", "step", "accuracy"):
        assert np.array_equal(found.column(key), whole.column(key))
    with pytest.raises(ValueError, match="of another run"):
        MAID(batch=5, keep=keep, seed=1).minimise(problem().evaluator(), START, checkpoint=path)
    with pytest.raises(ValueError, match="of another problem"):
        other = BilevelProblem(TRUTHS + 0.1, problem().lower)
        method.minimise(other.evaluator(), START, checkpoint=path)


def test_the_budget_is_kept_but_for_the_last_evaluation() -> None:
    free = MAID(batch=4).minimise(problem().evaluator(), START, iterations=20)
    budget = free.history[9]["work"]
    found = MAID(batch=4).minimise(problem().evaluator(), START, work=budget)
    assert found.stop == "work" and found.history[-2]["work"] <= budget < found.cost.total
    steps = len(found.history) - 1
    assert np.array_equal(found.column("theta")[:-1], free.column("theta")[:steps])


def test_what_minibatches_cannot_do_is_refused() -> None:
    with pytest.raises(ValueError, match="batch is 0"):
        MAID(batch=0)
    with pytest.raises(ValueError, match="keep is 0"):
        MAID(batch=2, keep=0)
    with pytest.raises(ValueError, match="seed is -1"):
        MAID(batch=2, seed=-1)
    with pytest.raises(ValueError, match="tol is 0.001 with batch = 2; expected 0"):
        MAID(batch=2, tol=1e-3)
    with pytest.raises(ValueError, match="convention is 'sum' with batch = 2"):
        MAID(batch=2).minimise(problem("sum").evaluator(), START)
    assert len(DATA) == N
