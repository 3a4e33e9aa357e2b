"""Stochastic hypergradients: their mean, convergence, what is kept, the budget, resumed runs, bad input."""

import math

import numpy as np
import pytest

import ipbox as ip
from ipbox.bilevel import (
    ISGD,
    LBFGSB,
    BilevelProblem,
    L1Penalty,
    LowerLevel,
    SmoothedTVRegulariser,
    Weight,
    hypergradient,
)
from ipbox.bilevel.methods.bounds import Bounds
from ipbox.bilevel.methods.session import Budget
from ipbox.bilevel.stochastic.batches import SampleSession
from ipbox.bilevel.stochastic.warm_starts import WarmStarts
from tests.bilevel.problem.test_hypergradient import Broken

N, DIMS = 12, (20,)
RNG = np.random.default_rng(0)
TRUTHS = np.repeat(RNG.random((N, 4)), 5, axis=1)
DATA = TRUTHS + 0.1 * RNG.standard_normal(TRUTHS.shape)


def problem(convention="mean", penalty=None):
    lower = LowerLevel(None, DATA, SmoothedTVRegulariser(DIMS, ("alpha", "nu"), xi=1e-2))
    return BilevelProblem(TRUTHS, lower, penalty, convention)


START = np.array([-1.5, -1.0])


def session(posed, theta=START):
    run = SampleSession(posed.evaluator(), "a run", theta, Bounds(None, 2), Budget(10))
    run.starts = WarmStarts(N)
    return run


@pytest.mark.parametrize("convention", ["mean", "sum"])
@pytest.mark.parametrize("penalty", [None, L1Penalty(0.3)])
def test_minibatches_that_cover_all_samples_have_the_gradient_of_f_for_their_mean(convention, penalty):
    posed, run = problem(convention, penalty), session(problem(convention, penalty))
    parts = np.arange(N).reshape(4, 3)
    found = [run.sample_gradient(START, part, 1e-9) for part in parts]
    exact = hypergradient(posed.evaluator(), START, 1e-9)
    np.testing.assert_allclose(np.mean([z for z, _ in found], axis=0), exact.z, rtol=1e-6)
    distances = posed.distances(exact.u)
    np.testing.assert_allclose(np.concatenate([squares for _, squares in found]), distances**2, rtol=1e-6)
    assert run.source.cost.total > 0


def test_one_minibatch_of_all_samples_is_gradient_descent():
    posed, alpha, theta = problem(), 0.05, START.copy()
    method = ISGD(N, eps0=1e-9, eps_power=0.0, alpha0=alpha, alpha_power=1.0, rule="sgd")
    found = method.minimise(posed.evaluator(), START, iterations=3)
    for k in range(3):
        theta = theta - alpha / posed.unit**2 / (k + 1) * hypergradient(posed.evaluator(), theta, 1e-9).z
        np.testing.assert_allclose(found.history[k + 1]["theta"], theta, rtol=1e-6)


@pytest.mark.parametrize("rule", ["adam", "sgd"])
def test_both_rules_come_near_the_minimiser(rule):
    posed = problem()
    best = LBFGSB(tol=1e-8).minimise(posed.evaluator(), START).f
    start = posed.evaluator().evaluate(START, 1e-8).f
    found = ISGD(rule=rule).minimise(posed.evaluator(), START, iterations=400)
    exact = posed.evaluator().evaluate(found.theta, 1e-8).f
    assert exact - best <= 0.02 * (start - best)
    assert abs(found.f - exact) <= found.bound < math.inf
    last = found.history[-1]
    assert last["kind"] == "all samples" and last["work"] == found.cost.total
    assert all(row["f_bound"] == math.inf for row in found.history[:-1])


def test_every_sample_is_visited_once_before_any_is_again():
    method = ISGD(5, seed=3)
    for epoch in range(3):
        parts = [method.samples(3 * epoch + k, N) for k in range(3)]
        assert sorted(np.concatenate(parts)) == list(range(N)) and max(map(len, parts)) <= 5
    assert not np.array_equal(method.samples(0, N), method.samples(3, N))
    assert not np.array_equal(method.samples(0, N), ISGD(5, seed=4).samples(0, N))


def test_few_warm_starts_change_the_work_but_not_where_it_goes():
    method = {keep: ISGD(3, 1e-6, 0.0, keep=keep) for keep in (None, 5, 1)}
    found = {k: m.minimise(problem().evaluator(), START, iterations=30) for k, m in method.items()}
    for keep in (5, 1):
        np.testing.assert_allclose(found[keep].theta, found[None].theta, atol=1e-4)
        assert found[keep].cost.total > found[None].cost.total


def test_without_warm_starts_every_image_starts_from_zero():
    method = ISGD(3, 1e-6, 0.0)
    cold, warm = (method.minimise(problem().evaluator(warm=w), START, iterations=30) for w in (False, True))
    few = ISGD(3, 1e-6, 0.0, keep=1).minimise(problem().evaluator(), START, iterations=30)
    np.testing.assert_allclose(cold.theta, warm.theta, atol=1e-4)
    assert cold.cost.total > few.cost.total > warm.cost.total


def test_what_was_not_visited_for_the_longest_time_is_forgotten():
    starts, zeros = WarmStarts(3), np.zeros((6, 1))
    starts.put(np.array([0, 1]), u=np.array([[1.0], [2.0]]))
    starts.put(np.array([2]), u=np.array([[3.0]]))
    starts.put(np.array([0]), u=np.array([[4.0]]))
    starts.put(np.array([5]), u=np.array([[6.0]]))  # in the place of 1
    assert starts.get("u", np.arange(6), zeros.copy()).ravel().tolist() == [4, 0, 3, 0, 0, 6]
    starts.put(np.arange(6), u=np.arange(6.0)[:, None])  # more than there is room for
    assert starts.get("u", np.arange(6), zeros.copy()).ravel().tolist() == [0, 0, 0, 3, 4, 5]


@pytest.mark.parametrize("rule", ["adam", "sgd"])
@pytest.mark.parametrize("keep", [None, 4])
def test_a_run_that_was_stopped_goes_on_bit_for_bit(rule, keep, tmp_path):
    method, path = ISGD(5, rule=rule, keep=keep), tmp_path / "run.npz"
    whole = method.minimise(problem().evaluator(), START, iterations=11)
    method.minimise(problem().evaluator(), START, iterations=4, checkpoint=path)
    found = method.minimise(problem().evaluator(), START, iterations=11, checkpoint=path)
    for key in ("theta", "f", "work", "grad_norm"):
        assert np.array_equal(found.column(key), whole.column(key))
    with pytest.raises(ValueError, match="of another run"):
        ISGD(5, rule=rule, keep=keep, seed=1).minimise(problem().evaluator(), START, checkpoint=path)
    other = BilevelProblem(TRUTHS + 0.1, problem().lower)
    with pytest.raises(ValueError, match="of another problem"):
        method.minimise(other.evaluator(), START, checkpoint=path)


def test_the_budget_is_kept_but_for_the_last_evaluation():
    free = ISGD().minimise(problem().evaluator(), START, iterations=20)
    budget = free.history[9]["work"]
    found = ISGD().minimise(problem().evaluator(), START, work=budget)
    assert found.stop == "work" and found.history[-2]["work"] <= budget < found.cost.total
    steps = len(found.history) - 1  # and all samples
    assert steps in (9, 10)
    assert np.array_equal(found.column("theta")[:-1], free.column("theta")[:steps])


def test_bounds_hold_and_a_callback_ends_the_run():
    bounds = ([-1.6, -1.05], [-1.4, -0.9])
    found = ISGD().minimise(problem().evaluator(), START, bounds, iterations=20)
    assert all((row["theta"] >= bounds[0]).all() and (row["theta"] <= bounds[1]).all() for row in found.history)
    found = ISGD().minimise(problem().evaluator(), START, callback=lambda row: row["iteration"] == 2)
    assert found.stop == "callback" and len(found.history) == 4


def test_a_lower_level_that_gives_nan_is_told():
    for where in ("gradient", "Hessian", "mixed"):
        u, b = np.ones((1, 9, 11)), np.ones((1, 9, 11))
        with pytest.raises(FloatingPointError, match="at theta = "):
            ISGD().minimise(BilevelProblem(u, LowerLevel(None, b, Broken(where))).evaluator(), [-1.0])


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: ISGD(0), "batch_size is 0"),
        (lambda: ISGD(eps0=0.0), "eps0 is 0.0"),
        (lambda: ISGD(alpha0=-1.0), "alpha0 is -1.0"),
        (lambda: ISGD(eps_power=-0.5), "eps_power is -0.5"),
        (lambda: ISGD(alpha_power=math.nan), "alpha_power is nan"),
        (lambda: ISGD(rule="momentum"), "rule is 'momentum'"),
        (lambda: ISGD(keep=0), "keep is 0"),
        (lambda: ISGD(seed=-1), "seed is -1"),
    ],
)
def test_parameters_out_of_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_more_samples_a_step_than_there_are_is_all_of_them():
    lower = LowerLevel(None, DATA, Weight(ip.SmoothedTV(DIMS, eps=0.05)))
    posed = BilevelProblem(TRUTHS, lower)
    a, b = (ISGD(size).minimise(posed.evaluator(), [-1.0], iterations=3) for size in (N, 100))
    assert np.array_equal(a.column("theta"), b.column("theta"))
