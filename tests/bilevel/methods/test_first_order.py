"""MAID, HOAG and L-BFGS-B: descent, stationarity, bounds, budgets, resumed runs, bad input."""

import math

import numpy as np
import pytest

import ipbox as ip
from ipbox.bilevel import (
    HOAG,
    LBFGSB,
    MAID,
    BilevelProblem,
    Evaluator,
    L1Penalty,
    LowerLevel,
    SmoothedTVRegulariser,
    Unrolled,
    Weight,
)
from ipbox.bilevel.methods.secants import Secants
from ipbox.bilevel.problem.value_bounds import corrected_bounds, plain_bounds
from ipbox.problems.simulated.pairs import photograph_pairs
from tests.bench.bilevel.maid_quadratic import work_to
from tests.bench.bilevel.quadratic import QuadraticProblem
from tests.bilevel.problem.test_hypergradient import Broken, pairs, three_parameters_2d, weight_1d, weight_2d

METHODS = [MAID(), MAID(sharp=False), MAID(certified=True), MAID(1e-5, adaptive=False), HOAG(), HOAG("quadratic", 0.1)]


def exact(problem, theta):
    e = problem.evaluator().evaluate(theta, 1e-10)
    return e.f, e.bound


# ---------------------------------------------------------------- MAID


@pytest.mark.parametrize("make", [weight_2d, three_parameters_2d])
@pytest.mark.parametrize("eps0", [1e-1, 1e-3, 1e-5])
@pytest.mark.parametrize("sharp", [True, False])
def test_every_step_of_maid_decreases_f(make, eps0, sharp):
    problem, theta = make()
    found = MAID(eps0, sharp=sharp).minimise(problem.evaluator(), theta - 1, iterations=8)
    values = [exact(problem, row["theta"]) for row in found.history]
    steps = [row for row in found.history if row["kind"] == "step"]
    assert len(steps) == 8
    for (f, _), (f_new, _) in zip(values, values[1:], strict=False):
        assert f_new < f
    for row, (f, bound) in zip(found.history, values, strict=True):
        assert abs(row["f"] - f) <= row["f_bound"] + bound


@pytest.mark.parametrize("eps0", [1e-1, 1e-3, 1e-5])
def test_maid_reaches_a_stationary_point_whatever_its_first_accuracy(eps0):
    problem, theta = weight_1d()
    found = MAID(eps0, tol=1e-5, certified=True).minimise(problem.evaluator(), theta - 1, iterations=500)
    optimum = LBFGSB(tol=1e-9).minimise(problem.evaluator(), theta)
    assert found.stop == "stationary"
    assert found.theta == pytest.approx(optimum.theta, abs=1e-4)
    assert exact(problem, found.theta)[0] == pytest.approx(optimum.f, rel=1e-7)


@pytest.mark.parametrize("eps0", [1e-1, 1e-5])
def test_maid_on_the_quadratic_problem_reaches_the_closed_form(eps0):
    problem = QuadraticProblem(10.0, m=100)
    _, rest = work_to(problem, MAID(eps0), 20_000, 1e-4)
    assert rest <= 1e-4


def test_a_step_of_maid_shrinks_the_errors_no_more_than_needed():
    problem, theta = weight_2d()
    found = MAID(1e-1, nu=0.5, nu_bar=1.05).minimise(problem.evaluator(), theta - 1, iterations=30)
    eps = found.column("accuracy")[1:]
    ratios = eps[1:] / eps[:-1]
    factors = np.log(ratios / 1.05) / np.log(0.5)  # a number of halvings after each growth
    assert np.allclose(factors, factors.round(), atol=1e-9) and (factors.round() >= 0).all()
    assert (factors.round() > 0).any() and (factors.round() == 0).any()


def test_the_value_bounds_hold_and_the_corrected_ones_are_sharper():
    problem, theta = weight_2d()
    f, bound = exact(problem, theta)
    widths = []
    for accuracy in (1e-1, 1e-2, 1e-3, 1e-4, 1e-5):
        evaluator = problem.evaluator()
        h = ip.bilevel.hypergradient(evaluator, theta, accuracy)
        before = evaluator.cost.gradients
        plain, sharp = plain_bounds(h.evaluation), corrected_bounds(evaluator, h.evaluation, h.q, h.residual)
        assert evaluator.cost.gradients == before + problem.lower.n
        for bounds in (plain, sharp):
            assert bounds.lower - bound <= f <= bounds.upper + bound
        assert plain.lower <= sharp.lower and sharp.upper <= plain.upper
        widths.append([plain.upper - plain.lower, sharp.upper - sharp.lower])
    orders = np.log10(np.array(widths[-2]) / widths[-1])
    assert orders == pytest.approx([1, 2], abs=0.35)


def test_secants_predict_what_is_linear_exactly():
    rng = np.random.default_rng(0)
    G, state = rng.standard_normal((2, 12, 3)), {}
    theta = rng.standard_normal((5, 3))
    secants = Secants(state, memory=3)
    image = lambda t: (G @ t).reshape(2, 3, 4)  # noqa: E731
    assert np.array_equal(secants.predict("u", image(theta[0]), theta[1]), image(theta[0]))  # nothing is known yet
    for t in theta[:4]:
        secants.add(t, u=image(t), q=2 * image(t))
    assert len(state["steps"]) == 3
    start = image(theta[3])
    kept = start.copy()
    assert np.allclose(secants.predict("u", start, theta[4] - theta[3]), image(theta[4]))
    assert np.allclose(secants.predict("q", 2 * start, theta[4] - theta[3]), 2 * image(theta[4]))
    assert np.array_equal(start, kept)
    none = Secants({}, memory=0)
    for t in theta[:2]:
        none.add(t, u=image(t), q=image(t))
    assert np.array_equal(none.predict("u", start, theta[4]), start)


def test_prediction_saves_work():
    problem = QuadraticProblem(20.0, m=100)
    with_secants, without = (work_to(problem, MAID(memory=m), 20_000, 1e-4)[0] for m in (5, 0))
    assert with_secants < 0.8 * without


def test_the_fixed_accuracy_stays():
    problem, theta = weight_2d()
    found = MAID(1e-2, adaptive=False).minimise(problem.evaluator(), theta - 1, iterations=10)
    assert set(found.column("accuracy")) == {1e-2}
    assert (np.diff(found.column("f")) <= 0).all()


# ---------------------------------------------------------------- HOAG, L-BFGS-B


@pytest.mark.parametrize("schedule", ["exponential", "quadratic", "cubic", "exact"])
def test_hoag_converges_and_follows_its_schedule(schedule):
    problem, theta = weight_1d()
    optimum = LBFGSB(tol=1e-9).minimise(problem.evaluator(), theta)
    found = HOAG(schedule, 1e-2).minimise(problem.evaluator(), theta - 0.5, iterations=40)
    assert exact(problem, found.theta)[0] <= 1.02 * optimum.f < 0.98 * found.history[0]["f"]
    eps, k = found.column("accuracy"), np.arange(len(found.history))
    expected = {
        "exponential": 0.9**k,
        "quadratic": (k + 1.0) ** -2,
        "cubic": (k + 1.0) ** -3,
        "exact": 1e-8 + 0 * k,
    }  # of 1e-2
    assert (eps <= 1e-2 * expected[schedule] * (1 + 1e-12)).all() and eps[0] == 1e-2 * expected[schedule][0]


def test_hoag_with_a_known_lipschitz_constant_is_gradient_descent():
    problem = QuadraticProblem(5.0, m=100)
    L = np.linalg.norm(problem.A1 @ problem.G, 2) ** 2
    found = HOAG("exact", L=L).minimise(problem.evaluator(), np.ones(10), iterations=5)
    theta = np.ones(10)
    for row in found.history:
        assert np.allclose(row["theta"], theta, atol=1e-7)
        theta = theta - problem.gradient(theta) / L


def test_hoag_ends_where_no_step_is_left():
    class Rising(Evaluator):
        """f as if it were twice as large each time."""

        def assess(self, theta, found):
            e = super().assess(theta, found)
            self.times = 2 * getattr(self, "times", 1)
            e.f *= self.times
            return e

    problem, theta = weight_1d()
    found = HOAG().minimise(Rising(problem), theta, iterations=5)
    assert found.stop == "accuracy" and np.array_equal(found.theta, theta)


@pytest.mark.parametrize("method", [LBFGSB(), Unrolled(20)])
def test_an_objective_of_zero_is_the_end(method):
    """Truths that every θ gives: there is no f to be relative to."""
    zero = np.zeros((2, 8))
    posed = BilevelProblem(zero, LowerLevel(None, zero, Weight(ip.SmoothedTV((8,), eps=0.1))))
    found = method.minimise(posed.evaluator(), [-1.0])
    assert found.f == 0 and found.theta == [-1.0] and len(found.history) == 1


@pytest.mark.parametrize("sigma", [1e-3, 1e-6])
def test_lbfgsb_does_not_end_for_weak_noise(sigma):
    """f falls by decades and its gradient with it: what is stationary is so beside f, not beside the images."""
    u, data = photograph_pairs(2, 16, sigma, seed=0)
    term = SmoothedTVRegulariser((16, 16), learn=("alpha",), xi=1e-12, nu=1e-3)
    posed = BilevelProblem(u, LowerLevel(None, data, term), convention="sum")
    found = LBFGSB().minimise(posed.evaluator(), [0.0], ([-12.0], [7.0]))
    assert exact(posed, found.theta)[0] < ((u - data) ** 2).sum()  # what α = 0 gives
    assert found.history[-1]["grad_norm"] < 1e-3 * found.f


def test_lbfgsb_finds_what_a_grid_finds():
    u, b = pairs((16, 16), n=2)
    problem = BilevelProblem(u, LowerLevel(None, b, Weight(ip.SmoothedTV((16, 16), eps=0.1))))
    grid = np.linspace(-2, 0, 41)
    values = [problem.evaluator().evaluate([t], 1e-4).f for t in grid]
    found = LBFGSB().minimise(problem.evaluator(), [-2.0], bounds=(-3, 1))
    best = int(np.argmin(values))
    assert abs(found.theta[0] - grid[best]) <= 0.05
    assert values[best] * (1 - 3e-3) <= found.f <= values[best]
    assert len(found.history) < len(grid) and found.f == min(found.column("f"))


# ---------------------------------------------------------------- all of them


@pytest.mark.parametrize("method", [*METHODS, LBFGSB()], ids=repr)
def test_bounds_are_kept_and_may_be_active(method):
    problem, theta = three_parameters_2d()
    lower, upper = np.array([-1.6, -2.0, -1.2]), np.array([-1.2, np.inf, -0.9])  # the optimum has α above 10^-1.2
    found = method.minimise(problem.evaluator(), [-1.5, -1.5, -1.0], (lower, upper), iterations=25)
    thetas = found.column("theta")
    assert (lower <= thetas).all() and (thetas <= upper).all()
    assert found.theta[0] == upper[0]
    f0, _ = exact(problem, thetas[0])
    assert exact(problem, found.theta)[0] < f0


@pytest.mark.parametrize("method", [*METHODS, LBFGSB()], ids=repr)
def test_a_result_says_what_was_done(method):
    problem, theta = weight_2d()
    seen = []
    evaluator = problem.evaluator()
    found = method.minimise(evaluator, theta, iterations=4, callback=seen.append)
    assert found.stop == "iterations" and found.cost is evaluator.cost
    assert [row["work"] for row in seen] == [row["work"] for row in found.history] and len(seen) == 5
    assert seen[-1]["work"] == found.cost.total == found.cost.gradients + found.cost.hessians
    assert (np.diff(found.column("work")) > 0).all()
    assert [row["iteration"] for row in seen] == list(range(5))
    keys = {"iteration", "theta", "f", "f_bound", "grad_norm", "accuracy", "gradients", "hessians", "work", "step"}
    assert keys | {"kind"} == set(seen[0])
    assert any(np.array_equal(found.theta, row["theta"]) and found.f == row["f"] for row in seen)
    stopped = method.minimise(problem.evaluator(), theta, iterations=4, callback=lambda row: row["iteration"] == 2)
    assert stopped.stop == "callback"
    assert [row["f"] for row in stopped.history] == [row["f"] for row in seen[:3]]


@pytest.mark.parametrize("method", [*METHODS, LBFGSB()], ids=repr)
def test_a_resumed_run_is_the_same_bit_for_bit(method, tmp_path):
    problem, theta = three_parameters_2d()
    whole = method.minimise(problem.evaluator(), theta, iterations=7)
    path = tmp_path / "run.npz"

    class Killed(Exception):
        pass

    def kill(row):
        if row["iteration"] == 4:
            raise Killed

    with pytest.raises(Killed):
        method.minimise(problem.evaluator(), theta, iterations=7, checkpoint=path, callback=kill)
    again = []
    evaluator = problem.evaluator()
    resumed = method.minimise(evaluator, theta, iterations=7, checkpoint=path, callback=again.append)
    assert [row["iteration"] for row in again] == [4, 5, 6, 7]  # only what had not been written
    assert len(whole.history) == len(resumed.history)
    for a, b in zip(whole.history, resumed.history, strict=True):
        assert np.array_equal(a.pop("theta"), b.pop("theta"))
        assert np.array_equal([*map(str, a.values())], [*map(str, b.values())])
    assert np.array_equal(whole.theta, resumed.theta) and whole.f == resumed.f
    assert vars(whole.cost) == vars(resumed.cost)
    with pytest.raises(ValueError, match="checkpoint is .* of another run"):
        method.minimise(problem.evaluator(), theta + 0.5, iterations=7, checkpoint=path)
    with pytest.raises(ValueError, match="checkpoint is .* of another run"):
        method.minimise(problem.evaluator(), theta, (theta - 1, theta + 1), iterations=7, checkpoint=path)


@pytest.mark.parametrize("method", [*METHODS, LBFGSB()], ids=repr)
def test_the_work_is_within_its_budget(method):
    problem, theta = weight_2d()
    free = method.minimise(problem.evaluator(), theta, iterations=6)
    budget = free.history[3]["work"]
    found = method.minimise(problem.evaluator(), theta, work=budget)
    assert found.stop == "work"
    assert len(found.history) == 4
    assert np.array_equal(found.column("theta"), free.column("theta")[:4])


@pytest.mark.parametrize("method", [MAID(), HOAG(), LBFGSB()], ids=repr)
def test_nothing_is_done_where_nothing_is_allowed(method):
    problem, theta = weight_2d()
    found = method.minimise(problem.evaluator(), theta, iterations=0)
    assert np.array_equal(found.theta, theta) and len(found.history) == 1


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_single_precision_ends_where_it_has_no_more_to_give(dtype):
    u, b = pairs((9, 11), dtype=dtype)
    problem = BilevelProblem(u, LowerLevel(None, b, Weight(ip.SmoothedTV((9, 11), eps=0.2))))
    found = MAID().minimise(problem.evaluator(), [-2.0], iterations=60)
    assert found.theta.dtype == np.float64
    assert found.theta == pytest.approx(LBFGSB().minimise(weight_problem(u, b).evaluator(), [-1.0]).theta, abs=1e-2)
    assert found.stop in (("accuracy", "line search") if dtype == np.float32 else ("iterations", "accuracy"))


def weight_problem(u, b):
    u, b = u.astype(np.float64), b.astype(np.float64)
    return BilevelProblem(u, LowerLevel(None, b, Weight(ip.SmoothedTV((9, 11), eps=0.2))))


def test_a_penalty_is_part_of_the_objective():
    u, b = pairs((9, 11))
    lower = LowerLevel(None, b, SmoothedTVRegulariser((9, 11), ("alpha",), nu=0.2))
    theta, beta = np.array([-1.5]), 0.5
    free = LBFGSB().minimise(BilevelProblem(u, lower).evaluator(), theta)
    held = LBFGSB().minimise(BilevelProblem(u, lower, L1Penalty(beta)).evaluator(), theta, (-3, -0.01))
    maid = MAID().minimise(BilevelProblem(u, lower, L1Penalty(beta)).evaluator(), theta, (-3, -0.01), iterations=60)
    assert held.theta[0] > free.theta[0] + 0.05  # towards 0
    assert maid.theta == pytest.approx(held.theta, abs=1e-3)


# ---------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    "make, message",
    [
        (lambda: MAID(eps0=0), "eps0 is 0"),
        (lambda: MAID(eps0=-1e-3), "eps0 is -0.001"),
        (lambda: MAID(eps0=math.nan), "eps0 is nan"),
        (lambda: MAID(delta0=0.0), "delta0 is 0.0"),
        (lambda: MAID(alpha0=-1), "alpha0 is -1"),
        (lambda: MAID(rho=1.0), "rho is 1.0"),
        (lambda: MAID(rho_bar=1.0), "rho_bar is 1.0"),
        (lambda: MAID(nu=0), "nu is 0"),
        (lambda: MAID(nu_bar=0.9), "nu_bar is 0.9"),
        (lambda: MAID(eta=1.0), "eta is 1.0"),
        (lambda: MAID(lam=1e-3), "lam is 0.001"),
        (lambda: MAID(max_backtracks=0), "max_backtracks is 0"),
        (lambda: MAID(memory=-1), "memory is -1"),
        (lambda: MAID(min_eps=-1.0), "min_eps is -1.0"),
        (lambda: MAID(tol=math.nan), "tol is nan"),
        (lambda: HOAG("linear"), "schedule is 'linear'"),
        (lambda: HOAG(eps0=0.0), "eps0 is 0.0"),
        (lambda: HOAG(decay=1.0), "decay is 1.0"),
        (lambda: HOAG(L=0.0), "L is 0.0"),
        (lambda: HOAG(floor=0.0), "floor is 0.0"),
        (lambda: HOAG(tol=-1.0), "tol is -1.0"),
        (lambda: LBFGSB(accuracy=0.0), "accuracy is 0.0"),
        (lambda: LBFGSB(residual_tol=0.0), "residual_tol is 0.0"),
        (lambda: LBFGSB(memory=0), "memory is 0"),
        (lambda: LBFGSB(tol=-1.0), "tol is -1.0"),
        (lambda: LBFGSB(ftol=math.nan), "ftol is nan"),
    ],
)
def test_parameters_out_of_range(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_switches_are_true_or_false():
    for name in ("certified", "sharp", "adaptive"):
        with pytest.raises(TypeError, match=f"{name} is 1"):
            MAID(**{name: 1})


@pytest.mark.parametrize("method", [MAID(), HOAG(), LBFGSB()], ids=repr)
def test_bad_input(method, tmp_path):
    problem, theta = weight_2d()
    evaluator = problem.evaluator()
    for bounds, kind, message in (
        ((0.0, -2.0), ValueError, "bounds cross"),
        ((0.0, 1.0), ValueError, "theta0 is .*, outside its bounds"),
        ((math.nan, 1.0), ValueError, "bounds cross"),
        ((np.zeros(2), np.ones(2)), ValueError, "bounds is"),
        (3.0, TypeError, "bounds is 3.0"),
        ((1, 2, 3), TypeError, "bounds is"),
    ):
        with pytest.raises(kind, match=message):
            method.minimise(evaluator, theta, bounds)
    with pytest.raises(ValueError, match="theta has shape"):
        method.minimise(evaluator, [1.0, 2.0])
    with pytest.raises(ValueError, match="expected finite"):
        method.minimise(evaluator, [np.nan])
    with pytest.raises(ValueError, match="iterations is -1"):
        method.minimise(evaluator, theta, iterations=-1)
    with pytest.raises(ValueError, match="work is 0"):
        method.minimise(evaluator, theta, work=0)
    with pytest.raises(TypeError, match="evaluator is BilevelProblem"):
        method.minimise(problem, theta)
    with pytest.raises(ValueError, match="evaluator has iterations = 5"):
        method.minimise(problem.evaluator(iterations=5), theta)
    with pytest.raises(TypeError, match="callback is int"):
        method.minimise(evaluator, theta, callback=3)
    with pytest.raises(ValueError, match="in a folder that is there"):
        method.minimise(evaluator, theta, checkpoint=tmp_path / "missing" / "run.npz")
    assert evaluator.cost.total == 0
    path = tmp_path / "none.npz"
    path.write_text("nothing")
    with pytest.raises(ValueError, match="no complete checkpoint"):
        method.minimise(evaluator, theta, checkpoint=path)


@pytest.mark.parametrize("method", [MAID(), HOAG(), LBFGSB()], ids=repr)
def test_a_lower_level_that_is_not_strongly_convex_or_gives_nan(method):
    u, b = pairs((9, 11))
    A = ip.Blur((9, 11), np.ones((3, 3)) / 9, dtype="float64")
    flat = BilevelProblem(u, LowerLevel(A, b, Weight(ip.SmoothedTV((9, 11), eps=0.2))))
    with pytest.raises(ValueError, match="μ = 0"):
        method.minimise(flat.evaluator(), [-1.0])
    for where in ("gradient", "Hessian", "mixed"):
        broken = BilevelProblem(u, LowerLevel(None, b, Broken(where)))
        with pytest.raises(FloatingPointError, match="at theta = "):
            method.minimise(broken.evaluator(), [-1.0])


def test_no_solve_goes_far_beyond_the_budget():
    problem, theta = weight_2d()
    evaluator = problem.evaluator()
    found = MAID(1e-9).minimise(evaluator, theta, work=200 * problem.lower.n)
    assert found.stop == "work" and found.cost.total <= 2 * 200 * problem.lower.n
    with pytest.raises(ValueError, match="work is 6, spent before the first evaluation"):
        MAID(1e-9).minimise(problem.evaluator(), theta, work=6)
