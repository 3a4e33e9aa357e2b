"""The lower level, its oracle with certificates, and the upper level of bilevel problems."""

from __future__ import annotations

from types import ModuleType

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ipbox as ip
from ipbox.bilevel import (
    BilevelProblem,
    ConditionPenalty,
    L1Penalty,
    LowerLevel,
    ParametricTerm,
    Weight,
    solve_lower,
    work_to,
)
from tests.contracts.support import host

METHODS = {"nesterov": ip.Nesterov(), "gradient": ip.GradientDescent(), "lbfgs": ip.LBFGS()}


def lower_level(n: int = 3, dims: tuple[int, ...] = (5, 4), eps: float = 0.1, xp: ModuleType = np) -> LowerLevel:
    b = xp.asarray(np.random.default_rng(3).standard_normal((n, *dims)))
    return LowerLevel(None, b, Weight(ip.SmoothedTV(dims, eps=eps)))


def blurred(n: int = 2) -> LowerLevel:
    """With an operator, and a fixed strongly convex term."""
    A = ip.as_operator(np.random.default_rng(1).standard_normal((7, 6)))
    b = np.random.default_rng(2).standard_normal((n, 7))
    return LowerLevel(A, b, Weight(ip.SmoothedTV((6,), eps=0.1)), 0.01 * ip.Tikhonov((6,), order=0))


def minimiser(lower: LowerLevel, theta: np.ndarray) -> np.ndarray:
    """û by damped Newton with dense Hessians, to rounding."""
    out = []
    for i in range(lower.n):
        f, shape = lower.take(np.array([i])).at(theta), (1, *lower.dims)
        u, identity = np.zeros(shape), np.eye(int(np.prod(lower.dims))).reshape(-1, *shape)
        for _ in range(100):
            g = f.grad(u)
            H = np.stack([f.hessian_apply(u, e).ravel() for e in identity])
            d = -np.linalg.solve(H, g.ravel()).reshape(shape)
            t = 1.0
            while f.value(u + t * d) > f.value(u) + 1e-4 * t * float((g * d).sum()) and t > 1e-10:
                t /= 2
            u = u + t * d
            if np.linalg.norm(g) < 1e-13:
                break
        out.append(u[0])
    return np.stack(out)


# ---------------------------------------------------------------- the oracle


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
@pytest.mark.parametrize("make", [lower_level, blurred], ids=["denoising", "operator"])
def test_the_certificate_bounds_the_error_of_every_sample(make, method: ip.solvers.core.loop.Solver) -> None:
    lower, theta = make(), np.array([-1.0])
    exact = minimiser(lower, theta)
    for accuracy in (1.0, 1e-2, 1e-5, 1e-9):
        found = solve_lower(lower, theta, accuracy, method=method)
        error = np.sqrt(((found.u - exact) ** 2).reshape(lower.n, -1).sum(axis=1))
        assert (error <= found.certificate * (1 + 1e-9) + 1e-13).all()
        assert (found.certificate <= accuracy).all()
        assert found.cost.gradients >= found.iterations.sum()


@settings(max_examples=25, deadline=None, derandomize=True)
@given(theta=st.floats(-3, 1), eps=st.floats(-8, 1), seed=st.integers(0, 100))
def test_the_certificate_holds_whatever_is_asked(theta: float, eps: float, seed: int) -> None:
    b = np.random.default_rng(seed).standard_normal((2, 6))
    lower = LowerLevel(None, b, Weight(ip.SmoothedTV((6,), eps=0.05)))
    found, exact = solve_lower(lower, [theta], 10.0**eps), minimiser(lower, np.array([theta]))
    assert (np.linalg.norm(found.u - exact, axis=1) <= found.certificate * (1 + 1e-9) + 1e-13).all()


def test_an_accuracy_for_each_sample_and_samples_that_are_done_cost_nothing_more() -> None:
    lower = lower_level()
    found = solve_lower(lower, [-1.0], np.array([1.0, 1e-4, 1e-9]))
    assert (np.diff(found.iterations) > 0).all() and (found.certificate <= [1.0, 1e-4, 1e-9]).all()
    alone = solve_lower(lower.take(np.array([1])), [-1.0], 1e-4)
    np.testing.assert_allclose(alone.u[0], found.u[1], atol=1e-14)
    assert alone.iterations[0] == found.iterations[1]


def test_a_warm_start_at_the_solution_costs_no_iteration_and_is_not_modified() -> None:
    lower = lower_level()
    first = solve_lower(lower, [-1.0], 1e-6)
    start = first.u.copy()
    start.flags.writeable = False
    again = solve_lower(lower, [-1.0], 1e-6, start)
    assert (again.iterations == 0).all() and again.cost.gradients == lower.n


def test_a_fixed_number_of_iterations_still_tells_its_error() -> None:
    lower = lower_level()
    found, exact = solve_lower(lower, [-1.0], iterations=7), minimiser(lower, np.array([-1.0]))
    assert (found.iterations == 7).all()
    error = np.linalg.norm((found.u - exact).reshape(lower.n, -1), axis=1)
    assert (error <= found.certificate).all() and (found.certificate > 1e-6).all()


def test_an_accuracy_beyond_rounding_ends_with_what_was_reached() -> None:
    b = np.random.default_rng(0).standard_normal((2, 8)).astype("float32")
    lower = LowerLevel(None, b, Weight(ip.SmoothedTV((8,), eps=0.1)))
    found = solve_lower(lower, [0.0], 1e-14)
    assert (found.certificate > 1e-14).all() and (found.certificate < 1e-4).all()
    assert found.u.dtype == np.float32


def test_applications_of_the_operator_are_counted() -> None:
    found = solve_lower(blurred(), [-1.0], 1e-4)
    assert found.cost.applications == pytest.approx(2 * found.cost.gradients, rel=0.1)


def test_on_a_device(xp: ModuleType) -> None:
    theta, there, here = np.array([-1.0]), lower_level(xp=xp), lower_level()
    found = solve_lower(there, theta, 1e-6)
    assert isinstance(found.u, xp.ndarray) and isinstance(found.certificate, np.ndarray)
    np.testing.assert_allclose(host(found.u), solve_lower(here, theta, 1e-6).u, atol=1e-6)
    u, q = there.b, found.u
    np.testing.assert_allclose(there.mixed(theta, u, q), here.mixed(theta, host(u), host(q)), rtol=1e-10)


# ---------------------------------------------------------------- mixed derivatives


@pytest.mark.parametrize("make", [lower_level, blurred], ids=["denoising", "operator"])
def test_mixed_derivatives_against_differences(make, rng: np.random.Generator) -> None:
    lower, theta, h = make(), np.array([-0.7]), 1e-6
    u, q = rng.standard_normal((2, lower.n, *lower.dims))
    slope = (lower.at(theta + h).grad(u) - lower.at(theta - h).grad(u)) / (2 * h)
    np.testing.assert_allclose(lower.mixed_apply(theta, u, np.array([1.0])), slope, rtol=1e-6, atol=1e-8)
    inner = (lower.mixed_apply(theta, u, np.array([1.0])) * q).reshape(lower.n, -1).sum(axis=1)
    np.testing.assert_allclose(lower.mixed(theta, u, q)[:, 0], inner, rtol=1e-12)


# ---------------------------------------------------------------- the upper level


@pytest.mark.parametrize("convention", ["mean", "sum"])
def test_the_bound_of_the_objective_holds(convention: str) -> None:
    lower, theta = lower_level(), np.array([-1.0])
    truths = np.random.default_rng(5).standard_normal((3, 5, 4))
    problem = BilevelProblem(truths, lower, ConditionPenalty(1e-3), convention)
    fit = ((minimiser(lower, theta) - truths) ** 2).sum() * (1 / 3 if convention == "mean" else 1)
    exact = fit + problem.penalty_value(theta)
    for accuracy in (1.0, 0.1, 1e-3, 1e-7):
        found = problem.evaluator().evaluate(theta, accuracy)
        assert abs(found.f - exact) <= found.bound + 1e-12
        assert found.f == pytest.approx(found.r @ found.r) and (found.delta <= accuracy).all()
        assert found.delta[-1] == 0 and found.r[-1] == pytest.approx(problem.penalty_value(theta) ** 0.5)


def test_evaluations_start_from_the_last_reconstruction_and_can_go_on_elsewhere() -> None:
    problem = BilevelProblem(np.zeros((3, 5, 4)), lower_level())
    first = problem.evaluator()
    first.evaluate([-1.0], 1e-6)
    other = problem.evaluator()
    other.set_state(first.get_state())
    assert first.work() == other.work() > 0
    a, b = first.evaluate([-1.1], 1e-6), other.evaluate([-1.1], 1e-6)
    assert a.f == b.f and first.work() == other.work()
    cold = problem.evaluator(warm=False)
    cold.evaluate([-1.0], 1e-6)
    assert cold.evaluate([-1.1], 1e-6).lower.cost.gradients > a.lower.cost.gradients


def test_many_reconstructions_are_kept_for_residuals_alone() -> None:
    problem = BilevelProblem(np.zeros((3, 5, 4)), lower_level())
    thetas = np.linspace(-1.0, -0.5, 6)[:, None]
    for options, kept in (({}, 4), ({"memory": 2}, 2), ({"warm": False}, 1), ({"iterations": 9}, 1)):
        evaluator = problem.evaluator(**options)
        for theta in [*thetas, thetas[-2]]:
            evaluator.evaluate(theta, 1e-3)
            assert len(evaluator.recent) == len(evaluator.get_state()["recent"]) == 1
        for theta in [*thetas, thetas[-2]]:
            evaluator(theta, 1e-3)
        assert [t[0] for t, _ in evaluator.recent] == [*thetas[:-2, 0], thetas[-1, 0], thetas[-2, 0]][-kept:]
        assert evaluator.recent[-1][1] is evaluator.u


@pytest.mark.parametrize("f_bound", [0.3, np.inf, np.nan])
def test_work_to_a_target_asks_for_f_where_its_bound_leaves_it_open(f_bound: float) -> None:
    exact = {(0.0,): 3.0, (1.0,): 1.1, (2.0,): 0.9}
    asked: list[tuple[float, ...]] = []

    def objective(theta: np.ndarray) -> float:
        asked.append(tuple(theta))
        return exact[tuple(theta)]

    rows = [{"work": 10 * k, "theta": [t], "f": 0.95, "f_bound": f_bound} for k, t in enumerate((1.0, 1.0, 2.0, 2.0))]
    first = {"work": 0, "theta": np.array([0.0]), "f": 2.9, "f_bound": 0.2}
    assert work_to([first, *rows], 1.0, objective) == 20
    assert asked == [(1.0,), (2.0,)]
    assert work_to(rows, 1.0) == 0 and work_to(rows, 0.5) == np.inf
    assert work_to([rows[0] | {"f_bound": 0.01}], 1.0, objective) == 0


def test_processes_give_the_same() -> None:
    truths = np.random.default_rng(5).standard_normal((3, 5, 4))
    problem = BilevelProblem(truths, lower_level())
    one, two = (problem.evaluator(n_jobs=n).evaluate([-1.0], 1e-5) for n in (1, 2))
    # BLAS, which adds to the iterates, rounds the last entries of an array otherwise than those before them
    np.testing.assert_allclose(one.lower.u, two.lower.u, rtol=0, atol=4 * np.finfo(float).eps * abs(one.lower.u).max())
    assert one.f == pytest.approx(two.f, rel=1e-14) and one.lower.cost == two.lower.cost


@pytest.mark.parametrize("penalty", [ConditionPenalty(1e-2), L1Penalty(0.3)], ids=["condition", "l1"])
def test_the_gradient_of_penalties(penalty) -> None:
    lower, theta, h = lower_level(), np.array([-0.6]), 1e-5
    slope = (penalty.value(theta + h, lower) - penalty.value(theta - h, lower)) / (2 * h)
    assert penalty.grad(theta, lower)[0] == pytest.approx(slope, rel=1e-5)


# ---------------------------------------------------------------- bad input


class Broken(ParametricTerm):
    """A user's regulariser that gives NaN."""

    names = ("theta",)

    def functional(self, theta: np.ndarray) -> ip.functionals.Functional:
        f = ip.Tikhonov((4,), order=0)
        f._grad = lambda x, out, work: out.fill(np.nan)
        return f


def test_bad_input() -> None:
    b, term = np.ones((2, 4)), Weight(ip.SmoothedTV((4,), eps=0.1))
    lower = LowerLevel(None, b, term)
    with pytest.raises(TypeError, match="b is list"):
        LowerLevel(None, [[1.0]], term)
    with pytest.raises(ValueError, match=r"b has shape \(0, 4\)"):
        LowerLevel(None, np.ones((0, 4)), term)
    with pytest.raises(ValueError, match="no parameters"):
        LowerLevel(None, b, ip.Tikhonov((4,)))
    with pytest.raises(TypeError, match="no gradient"):
        LowerLevel(None, b, term, ip.TV((4,)))
    with pytest.raises(TypeError, match="Hessian is not known"):
        Weight(ip.Huber(b=np.ones(4), delta=1.0))
    with pytest.raises(ValueError, match=r"theta has shape \(2,\)"):
        solve_lower(lower, [1.0, 2.0], 1e-3)
    with pytest.raises(ValueError, match="theta is .*nan"):
        solve_lower(lower, [np.nan], 1e-3)
    with pytest.raises(ValueError, match="accuracy is -1"):
        solve_lower(lower, [0.0], -1.0)
    with pytest.raises(ValueError, match="accuracy is None and iterations is None"):
        solve_lower(lower, [0.0])
    with pytest.raises(TypeError, match="method is <class"):
        solve_lower(lower, [0.0], 1e-3, method=ip.Nesterov)
    with pytest.raises(ValueError, match="start has shape"):
        solve_lower(lower, [0.0], 1e-3, np.zeros((2, 3)))
    flat = LowerLevel(ip.as_operator(np.ones((3, 4))), np.ones((2, 3)), term)
    with pytest.raises(ValueError, match="μ = 0"):
        solve_lower(flat, [0.0], 1e-3)
    with pytest.raises(FloatingPointError, match="NaN"):
        solve_lower(LowerLevel(None, b, Broken()), [0.0], 1e-3)
    with pytest.raises(ValueError, match=r"truths has shape \(3, 4\)"):
        BilevelProblem(np.ones((3, 4)), lower)
    with pytest.raises(ValueError, match="truths has NaN"):
        BilevelProblem(np.full((2, 4), np.nan), lower)
    with pytest.raises(ValueError, match="convention is 'median'"):
        BilevelProblem(b, lower, convention="median")
    with pytest.raises(ValueError, match="beta is -1"):
        L1Penalty(-1.0)
    with pytest.raises(ValueError, match="n_jobs is 0"):
        BilevelProblem(b, lower).evaluator(n_jobs=0)
