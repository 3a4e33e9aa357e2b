"""Descent by piggyback hypergradients: bounds in every row, descent, stationarity, resumed runs, what is refused."""

from __future__ import annotations

import itertools
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from ipbox.bilevel import (
    LBFGSB,
    AnalysisLower,
    BilevelProblem,
    LowerLevel,
    Piggyback,
    SamplingWeights,
    SmoothedTVRegulariser,
    Weight,
    gradient_filters,
    hypergradient,
    learn,
)
from ipbox.bilevel.methods.bounds import Bounds
from ipbox.bilevel.methods.session import Budget
from ipbox.bilevel.piggyback.method import PiggybackSession
from tests.bilevel.piggyback.test_iteration import tgv, tv, weight_1d, weight_2d
from tests.bilevel.problem.test_hypergradient import pairs

DIMS = (9, 11)


# ---------------------------------------------------------------- what is found


@pytest.mark.parametrize("make, seed", [(make, seed) for make in (weight_1d, tv) for seed in range(3)] + [(tgv, 0)])
def test_every_row_is_within_its_bounds_and_every_step_descends(make: Any, seed: int) -> None:
    problem, theta = make(seed)
    found = Piggyback().minimise(problem.evaluator(), theta - 0.5, iterations=8)
    assert len(found.history) == 9 or found.stop != "iterations"
    exact = [hypergradient(problem.evaluator(), row["theta"], 1e-10) for row in found.history]
    for row, h in zip(found.history, exact, strict=True):
        assert np.linalg.norm(row["gradient"] - h.z) <= row["grad_bound"] + h.bound
        assert row["grad_bound"] <= 0.5 * row["grad_norm"]
        assert abs(row["f"] - h.f) <= row["f_bound"] + h.f_bound
    for before, after, row in zip(exact[:-1], exact[1:], found.history[1:], strict=True):
        assert after.f <= before.f * (1 + 1e-15) and row["step"] > 0  # they converge to rounding
    assert found.cost.gradients > 0 and found.cost.hessians > 0
    assert found.history[-1]["work"] == found.cost.total and not found.cost.applications == math.inf


@pytest.mark.parametrize("make", [weight_1d, weight_2d, tv])
def test_it_ends_where_the_gradient_is_proved_to_be_small(make: Any) -> None:
    problem, theta = make()
    tol = 1e-3 if make is not tv else 1e-2
    found = Piggyback(tol=tol).minimise(problem.evaluator(), theta - 0.5, (-4.0, 1.0), iterations=200)
    optimum = LBFGSB(tol=1e-9).minimise(problem.evaluator(), found.theta, (-4.0, 1.0))
    assert found.stop == "stationary"
    box = Bounds((-4.0, 1.0), len(theta))
    assert np.linalg.norm(box.free(found.theta, hypergradient(problem.evaluator(), found.theta, 1e-9).z)) <= tol
    assert optimum.f - optimum.bound <= found.f + found.bound <= optimum.f + 0.1 * tol


def test_it_needs_no_more_accuracy_than_its_gradient() -> None:
    """Certificates fall with the gradient, and not below what it asks for."""
    problem, theta = tv()
    found = Piggyback().minimise(problem.evaluator(), theta - 0.5, iterations=15)
    share = found.column("grad_bound") / found.column("grad_norm")
    assert (share <= 0.5).all() and np.median(share) >= 0.02


def test_predictions_save_work() -> None:
    problem, theta = tv()
    few, none = (Piggyback(memory=m).minimise(problem.evaluator(), theta - 0.5, iterations=12) for m in (2, 0))
    target = max(few.f, none.f)
    assert ip.bilevel.work_to(few.history, target) < ip.bilevel.work_to(none.history, target)


def test_bounds_on_theta_hold() -> None:
    problem, theta = tv()
    bounds = (theta - 0.55, theta - 0.45)
    found = Piggyback().minimise(problem.evaluator(), theta - 0.5, bounds, iterations=20)
    assert all((row["theta"] >= bounds[0]).all() and (row["theta"] <= bounds[1]).all() for row in found.history)
    assert ((found.theta == bounds[0]) | (found.theta == bounds[1])).any()


def test_learn_takes_it() -> None:
    u, b = pairs(DIMS)
    found = learn((u, b), SmoothedTVRegulariser(DIMS, ("alpha", "nu")), Piggyback(), theta0=[-1.0, -1.0], iterations=4)
    assert found.f < found.history[0]["f"] and found.reconstruct(b[0]).shape == DIMS


def test_processes_share_the_samples() -> None:
    problem, theta = weight_2d()
    one, two = (Piggyback().minimise(problem.evaluator(n_jobs=n), theta - 0.5, iterations=2) for n in (1, 2))
    np.testing.assert_allclose(two.column("theta"), one.column("theta"), rtol=1e-10)
    assert two.history[-1]["work"] == one.history[-1]["work"]


def test_without_warm_starts_it_takes_more_work_to_the_same_points() -> None:
    problem, theta = weight_2d()
    warm, cold = (Piggyback().minimise(problem.evaluator(warm=w), theta - 0.5, iterations=4) for w in (True, False))
    assert cold.cost.total > 1.5 * warm.cost.total
    np.testing.assert_allclose(cold.theta, warm.theta, atol=0.1)


# ---------------------------------------------------------------- runs that end and go on


@pytest.mark.parametrize("memory", [0, 2])
def test_a_run_that_was_stopped_goes_on_bit_for_bit(memory: int, tmp_path: Path) -> None:
    problem, theta = tv()
    method, path = Piggyback(memory=memory), tmp_path / "run.npz"
    whole = method.minimise(problem.evaluator(), theta - 0.5, iterations=7)
    method.minimise(tv()[0].evaluator(), theta - 0.5, iterations=3, checkpoint=path)
    found = method.minimise(tv()[0].evaluator(), theta - 0.5, iterations=7, checkpoint=path)
    for key in ("theta", "f", "f_bound", "work", "gradient", "grad_bound", "step"):
        assert np.array_equal(found.column(key), whole.column(key))
    with pytest.raises(ValueError, match="of another run"):
        Piggyback(eta=0.3).minimise(problem.evaluator(), theta - 0.5, checkpoint=path)
    with pytest.raises(ValueError, match="of another problem"):
        method.minimise(tv(1)[0].evaluator(), theta - 0.5, checkpoint=path)


def test_the_budget_is_kept_and_a_callback_ends_the_run() -> None:
    problem, theta = tv()
    free = Piggyback().minimise(problem.evaluator(), theta - 0.5, iterations=8)
    budget = free.history[5]["work"]
    found = Piggyback().minimise(problem.evaluator(), theta - 0.5, work=budget)
    assert found.stop == "work" and found.history[-1]["work"] <= budget
    assert found.cost.total <= budget + 4 * problem.lower.n
    assert np.array_equal(found.column("theta"), free.column("theta")[: len(found.history)])
    told = Piggyback().minimise(problem.evaluator(), theta - 0.5, callback=lambda row: row["iteration"] == 2)
    assert told.stop == "callback" and len(told.history) == 3


def test_a_precision_beyond_rounding_ends_it() -> None:
    problem, theta = weight_1d()
    found = Piggyback(tol=1e-300).minimise(problem.evaluator(), theta, iterations=1000)
    assert found.stop in ("accuracy", "line search", "stationary")
    exact = hypergradient(problem.evaluator(), found.theta, 1e-10)
    assert np.linalg.norm(exact.z) <= 1e-6


# ---------------------------------------------------------------- what is refused


def refused(lower: Any, match: str, kind: type = TypeError, **evaluator: Any) -> None:
    u = np.zeros((1, *DIMS))
    posed = BilevelProblem(u, lower).evaluator(**evaluator)
    with pytest.raises(kind, match=match):
        Piggyback().minimise(posed, [-1.0] * len(lower.names))


def test_other_lower_levels_are_refused_and_what_to_smooth_is_named() -> None:
    b, tikhonov = np.ones((1, *DIMS)), 0.1 * ip.Tikhonov(DIMS, order=0)
    term = SmoothedTVRegulariser(DIMS, ("alpha",))
    refused(LowerLevel(None, b, Weight(ip.Tikhonov(DIMS))), "terms has Weight, not a norm of Ku smoothed by")
    refused(LowerLevel(None, b, term, term), "a second smoothed norm")
    refused(LowerLevel(None, b, Weight(ip.SmoothedTV(DIMS, 0.1)), ip.Tikhonov(DIMS)), "terms has Tikhonov")
    blur = ip.Blur(DIMS, np.ones((3, 3)) / 9, dtype="float64")
    refused(LowerLevel(blur, b, term), "AA\\* is not the identity")
    F = ip.FourierTransform(DIMS, dtype="complex128")
    weights = SamplingWeights(F, "linear")
    c = b.astype(complex)
    refused(LowerLevel(F, c, term, tikhonov, fidelity=weights), "fidelity is SamplingWeights")
    masked = ip.CartesianMRI(np.eye(*DIMS), dtype="complex128")
    plain = Weight(ip.SmoothedTV(DIMS, 0.1))
    refused(LowerLevel(masked, masked.apply(c), plain), "add a strongly convex term", ValueError)
    with pytest.raises(TypeError, match="f is TV, whose gradient is not known; .* such as SmoothedTV"):
        LowerLevel(None, b, Weight(ip.TV(DIMS)))
    exact = AnalysisLower(b, gradient_filters())
    with pytest.raises(TypeError, match="expected Evaluator"):
        learn((b, b), exact, Piggyback(), theta0=[-1.0, -1.0])


def test_evaluators_that_choose_the_solver_are_refused() -> None:
    lower = LowerLevel(None, np.ones((1, *DIMS)), SmoothedTVRegulariser(DIMS, ("alpha",)))
    refused(lower, "evaluator has iterations = 5", ValueError, iterations=5)
    refused(lower, "lower_method is .*; expected None", ValueError, method=ip.GradientDescent())


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"eta": 1.0}, "eta is 1"),
        ({"rho": 0.0}, "rho is 0"),
        ({"rho_bar": 1.0}, "rho_bar is 1"),
        ({"lam": -1.0}, "lam is -1"),
        ({"alpha0": 0.0}, "alpha0 is 0"),
        ({"max_backtracks": 0}, "max_backtracks is 0"),
        ({"memory": -1}, "memory is -1"),
        ({"tol": math.nan}, "tol is nan"),
    ],
)
def test_parameters_out_of_range(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Piggyback(**settings)


def test_a_run_starts_cold() -> None:
    problem, theta = tv()
    run = PiggybackSession(problem.evaluator(), "a run", theta, Bounds(None, 3), Budget(10))
    start = run.cold()
    assert not any(v.any() for v in start.values()) and start["p"].shape == (3, 2, *DIMS)


@pytest.mark.parametrize("share", [0.0, 0.01])
def test_a_step_so_long_that_the_lower_level_has_no_digits_is_shortened(share):
    """Truths that only a weight of any size gives: f falls ever further, and steps grow."""
    data = 0.1 * np.random.default_rng(0).standard_normal((1, 12, 12))
    data[:, 3:9, 3:9] += 1
    lower = LowerLevel(None, data, Weight(ip.SmoothedTV((12, 12), eps=0.1)))
    problem = BilevelProblem(share * data, lower)
    found = Piggyback().minimise(problem.evaluator(), [-2.0], iterations=3)
    flat = share * data - data.mean()  # u of an infinite weight
    assert found.history[-1]["f"] <= 1.02 * float((flat**2).sum())
    assert all(later["f"] < earlier["f"] for earlier, later in itertools.pairwise(found.history))
