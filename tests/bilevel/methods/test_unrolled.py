"""Unrolled differentiation: exact gradients of f_N, their limit, memory, learning, restarts."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import ipbox as ip
from ipbox import backend
from ipbox.bilevel import (
    LBFGSB,
    BilevelProblem,
    ConditionPenalty,
    LowerLevel,
    SmoothedTVRegulariser,
    Unrolled,
    Weight,
    hypergradient,
    unrolled_gradient,
)
from ipbox.bilevel.methods.unrolled import momentum
from ipbox.operators import MatrixOperator

THETA = np.array([-0.5, -1.0, -0.7])


def problem(penalty: float | None = 1e-6, dtype: str = "float64") -> BilevelProblem:
    rng = np.random.default_rng(0)
    x = rng.standard_normal((3, 8, 7)).astype(dtype)
    b = (x + 0.1 * rng.standard_normal(x.shape)).astype(dtype)
    lower = LowerLevel(None, b, SmoothedTVRegulariser((8, 7)))
    return BilevelProblem(x, lower, None if penalty is None else ConditionPenalty(penalty))


def edges() -> BilevelProblem:
    """Signals with jumps, whose best weight is within the box."""
    x = np.repeat(np.array([0.0, 1.0, 0.4, 0.8]), 8)[None] * np.array([[1.0], [0.5], [-0.7]])
    b = x + 0.1 * np.random.default_rng(3).standard_normal(x.shape)
    return BilevelProblem(x, LowerLevel(None, b, SmoothedTVRegulariser((32,), learn=("alpha", "nu"))))


def blur_problem() -> BilevelProblem:
    """An operator, and two terms."""
    rng = np.random.default_rng(1)
    A = MatrixOperator(rng.standard_normal((9, 6)) / 3)
    x = rng.standard_normal((2, 6))
    b = A.apply(x) + 0.1 * rng.standard_normal((2, 9))
    lower = LowerLevel(A, b, Weight(ip.SmoothedTV((6,), eps=0.3)), Weight(ip.Tikhonov((6,), order=0)))
    return BilevelProblem(x, lower, convention="sum")


def differences(f, theta: np.ndarray, h: float = 1e-3) -> np.ndarray:
    """Central differences of sixth order: their error is below 1e-10 of the gradient here."""
    weights = ((1, 3 / 4), (2, -3 / 20), (3, 1 / 60))
    return np.array(
        [sum(c * (f(theta + k * h * e) - f(theta - k * h * e)) for k, c in weights) / h for e in np.eye(len(theta))]
    )


@pytest.mark.parametrize("algorithm", ["fista", "gradient"])
@pytest.mark.parametrize("N", [1, 2, 17])
def test_gradient_is_that_of_f_N(algorithm: str, N: int) -> None:
    p = problem(penalty=None)
    z = unrolled_gradient(p, THETA, N, algorithm).z
    expected = differences(lambda t: unrolled_gradient(p, t, N, algorithm).f, THETA)
    assert np.abs(z - expected).max() < 1e-9 * np.abs(expected).max()


@pytest.mark.parametrize("algorithm", ["fista", "gradient"])
def test_gradient_with_an_operator_and_a_start(algorithm: str) -> None:
    p, theta = blur_problem(), np.array([-0.8, -0.6])
    start = np.random.default_rng(2).standard_normal(p.truths.shape)
    z = unrolled_gradient(p, theta, 12, algorithm, start=start).z
    expected = differences(lambda t: unrolled_gradient(p, t, 12, algorithm, start=start).f, theta)
    assert np.abs(z - expected).max() < 1e-9 * np.abs(expected).max()


def test_gradient_with_constants_that_do_not_depend_on_theta() -> None:
    p = problem()
    settings = {"algorithm": "fista", "constants": (1.0, 30.0)}
    z = unrolled_gradient(p, THETA, 15, **settings).z
    expected = differences(lambda t: unrolled_gradient(p, t, 15, **settings).f, THETA)
    assert np.abs(z - expected).max() < 1e-8 * np.abs(expected).max()  # ∇J has an error of its own


def test_momentum_is_that_of_fista_and_its_derivative() -> None:
    q, h = 0.03, 1e-6
    beta, slope = momentum(q, 40)
    numeric = (momentum(q + h, 40)[0] - momentum(q - h, 40)[0]) / (2 * h)
    assert np.abs(slope - numeric).max() < 1e-8 * np.abs(slope).max()
    limit = (1 - np.sqrt(q)) / (1 + np.sqrt(q))
    assert abs(beta[-1] - limit) < 1e-3


def test_segments_change_memory_and_work_alone() -> None:
    p = problem()
    whole = unrolled_gradient(p, THETA, 23)
    for segments in (2, 5, 23):
        found = unrolled_gradient(p, THETA, 23, segments=segments)
        assert found.f == whole.f
        assert np.array_equal(found.z, whole.z)
        assert whole.cost.gradients < found.cost.gradients <= 1.5 * whole.cost.gradients
        assert found.cost.hessians == whole.cost.hessians == 3 * 23


@pytest.mark.parametrize("algorithm", ["fista", "gradient"])
def test_iterates_are_those_of_the_lower_level_solvers(algorithm: str) -> None:
    p = problem(penalty=None)
    method = ip.Nesterov() if algorithm == "fista" else ip.GradientDescent()
    expected = p.evaluator(method=method, iterations=20).evaluate(THETA)
    found = unrolled_gradient(p, THETA, 20, algorithm)
    assert abs(found.f - expected.f) < 1e-10 * expected.f
    assert np.abs(found.u - expected.lower.u).max() < 1e-13
    ratio = expected.lower.certificate / found.certificate  # the kernel's bound allows for rounding, and more
    assert (ratio >= 1).all()
    assert (ratio < 1.01).all()


def test_tends_to_the_implicit_hypergradient() -> None:
    p = problem()
    implicit = hypergradient(p.evaluator(), THETA, 1e-12).z
    errors = [np.abs(unrolled_gradient(p, THETA, N).z - implicit).max() for N in (10, 30, 90, 270)]
    assert errors[0] > 10 * errors[1] > 100 * errors[2]
    assert errors[3] < 1e-10 * np.abs(implicit).max()


def test_the_certificate_bounds_the_distance_to_the_solution() -> None:
    p = problem()
    exact = p.evaluator().evaluate(THETA, 1e-12).lower.u
    for N in (5, 20, 60):
        found = unrolled_gradient(p, THETA, N)
        assert (np.sqrt(((found.u - exact) ** 2).sum(axis=(1, 2))) <= found.certificate + 1e-11).all()


def test_samples_shared_by_processes() -> None:
    """Constants and penalty are those of the whole problem, once."""
    settings = {"iterations": 9, "segments": 3}
    for p, theta in ((problem(), THETA), (blur_problem(), np.array([-0.8, -0.6]))):
        start = np.random.default_rng(2).standard_normal(p.truths.shape)
        one, two = (unrolled_gradient(p, theta, start=start, n_jobs=n, **settings) for n in (1, 2))
        assert abs(two.f - one.f) < 1e-14 * one.f
        assert np.abs(two.z - one.z).max() < 1e-13 * np.abs(one.z).max()
        assert np.abs(two.u - one.u).max() < 1e-13 * np.abs(one.u).max()
        assert np.abs(two.certificate / one.certificate - 1).max() < 1e-12
        assert vars(two.cost) == vars(one.cost)
    e = edges()
    one, two = (Unrolled(20).minimise(e.evaluator(n_jobs=n), [-2.0, -1.0], (-4.0, 1.0), iterations=2) for n in (1, 2))
    assert np.abs(two.theta - one.theta).max() < 1e-9
    assert [row["work"] for row in two.history] == [row["work"] for row in one.history]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_upper_level_of_ones_own(n_jobs: int) -> None:
    class Twice(BilevelProblem):
        def distances(self, u: np.ndarray) -> np.ndarray:
            return 2 * super().distances(u)

        def fit_gradient(self, u: np.ndarray) -> np.ndarray:
            return 4 * super().fit_gradient(u)

    p = problem()
    twice = Twice(p.truths, p.lower)
    plain = BilevelProblem(p.truths, p.lower)
    four, one = unrolled_gradient(twice, THETA, 9, n_jobs=n_jobs), unrolled_gradient(plain, THETA, 9)
    assert np.isclose(four.f, 4 * one.f, rtol=1e-13)
    assert np.abs(four.z - 4 * one.z).max() < 1e-13 * np.abs(one.z).max()


def test_float32_stays_float32() -> None:
    single, double = (unrolled_gradient(problem(dtype=d), THETA, 30) for d in ("float32", "float64"))
    assert single.u.dtype == np.float32
    assert single.z.dtype == np.float64
    assert np.abs(single.z - double.z).max() < 1e-4 * np.abs(double.z).max()


def test_on_devices(xp: ModuleType) -> None:
    b = np.random.default_rng(5).standard_normal((2, 6, 7))
    here, there = (
        BilevelProblem(a, LowerLevel(None, a + 0.1, Weight(ip.SmoothedTV((6, 7), eps=0.3)))) for a in (b, xp.asarray(b))
    )
    for segments in (1, 3):
        host, device = (unrolled_gradient(p, [-0.5], 8, segments=segments) for p in (here, there))
        assert backend.array_module(device.u) is xp
        assert abs(device.f - host.f) < 1e-12 * host.f
        assert np.abs(device.z - host.z).max() < 1e-12 * np.abs(host.z).max()


# ---------------------------------------------------------------- learning


def test_learns_what_lbfgsb_learns_where_N_is_large() -> None:
    e = edges()
    p = BilevelProblem(e.truths, LowerLevel(None, e.lower.b, Weight(ip.SmoothedTV((32,), eps=0.05))))
    exact = LBFGSB().minimise(p.evaluator(), [-2.0], (-4.0, 1.0))
    long = Unrolled(400).minimise(p.evaluator(), [-2.0], (-4.0, 1.0))
    short = Unrolled(5).minimise(p.evaluator(), [-2.0], (-4.0, 1.0))
    assert abs(long.theta[0] - exact.theta[0]) < 1e-4
    assert long.bound < 1e-4
    # f_5 is another function, whose bound says so
    assert short.bound > 0.1 * short.f
    assert abs(short.f - p.evaluator().evaluate(short.theta, 1e-9).f) <= short.bound


def test_gradient_descent_and_fixed_constants_in_the_method() -> None:
    p = problem()
    results = [
        Unrolled(N, algorithm, constants=constants).minimise(p.evaluator(), THETA, (-1.5, 0.0), iterations=40)
        for N, algorithm, constants in ((300, "fista", None), (600, "gradient", None), (600, "fista", (1.0, 300.0)))
    ]
    assert max(r.f for r in results) - min(r.f for r in results) < 1e-6


class Killed(Exception):
    pass


def test_a_killed_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    p, path, method = edges(), tmp_path / "run.npz", Unrolled(30)

    def kill(row: dict) -> None:
        if row["iteration"] == 3:
            raise Killed

    whole = method.minimise(p.evaluator(), [-2.0, -1.0], (-4.0, 1.0))
    with pytest.raises(Killed):
        method.minimise(p.evaluator(), [-2.0, -1.0], (-4.0, 1.0), checkpoint=path, callback=kill)
    rows: list[dict] = []
    resumed = method.minimise(p.evaluator(), [-2.0, -1.0], (-4.0, 1.0), checkpoint=path, callback=rows.append)
    assert np.array_equal(resumed.theta, whole.theta)
    assert resumed.f == whole.f
    assert len(rows) == len(whole.history) - 4
    assert vars(resumed.cost) == vars(whole.cost)
    assert [r["f"] for r in resumed.history] == [r["f"] for r in whole.history]


def test_budgets() -> None:
    p = edges()
    found = Unrolled(30).minimise(p.evaluator(), [-2.0, -1.0], (-4.0, 1.0), iterations=3)
    assert found.stop == "iterations"
    assert len(found.history) == 3
    found = Unrolled(30).minimise(p.evaluator(), [-2.0, -1.0], (-4.0, 1.0), work=300.0)
    assert found.stop == "work"
    assert found.history[-2]["work"] < 300 <= found.history[-1]["work"]


# ---------------------------------------------------------------- bad input


def test_bad_input() -> None:
    p = problem()
    with pytest.raises(ValueError, match="iterations is 0"):
        Unrolled(0)
    with pytest.raises(ValueError, match="segments is 12; expected at most"):
        Unrolled(10, segments=12)
    with pytest.raises(ValueError, match="algorithm is 'newton'"):
        Unrolled(10, "newton")
    with pytest.raises(ValueError, match="tol is -1"):
        Unrolled(10, tol=-1)
    with pytest.raises(ValueError, match="start has shape"):
        unrolled_gradient(p, THETA, 5, start=np.zeros((3, 8, 8)))
    with pytest.raises(ValueError, match="constants is"):
        unrolled_gradient(p, THETA, 5, constants=(1.0, 2.0))
    with pytest.raises(ValueError, match="theta has shape"):
        unrolled_gradient(p, [0.0], 5)
    with pytest.raises(ValueError, match="n_jobs is 0"):
        unrolled_gradient(p, THETA, 5, n_jobs=0)
    with pytest.raises(TypeError, match="evaluator is BilevelProblem"):
        Unrolled(5).minimise(p, THETA)
    with pytest.raises(ValueError, match="bounds cross"):
        Unrolled(5).minimise(p.evaluator(), THETA, (0.0, -3.0))
    with pytest.raises(ValueError, match="outside its bounds"):
        Unrolled(5).minimise(p.evaluator(), THETA, (-0.6, 0.0))
    with pytest.raises(ValueError, match="work is 0"):
        Unrolled(5).minimise(p.evaluator(), THETA, work=0)


def test_nan_is_refused() -> None:
    p = problem(penalty=None)
    p.lower.b[1, 2, 3] = np.nan
    with pytest.raises(FloatingPointError, match="f_N is nan"):
        unrolled_gradient(p, THETA, 5)
