"""Primal-dual steps on a lower level and on its derivative: resolvents, limits, and bounds in every iteration."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest

import ipbox as ip
from ipbox import backend
from ipbox.bilevel import (
    BilevelProblem,
    L1Penalty,
    LowerLevel,
    SmoothedTVRegulariser,
    Weight,
    hypergradient,
    tgv_denoising,
)
from ipbox.bilevel.piggyback.errors import Estimates, estimates
from ipbox.bilevel.piggyback.iteration import Iteration
from ipbox.bilevel.piggyback.saddle import Saddle
from ipbox.bilevel.piggyback.solve import iterate
from tests.bilevel.problem.test_hypergradient import central_differences, pairs


def weight_1d(seed: int = 0) -> tuple[BilevelProblem, np.ndarray]:
    u, b = pairs((24,), seed=seed)
    return BilevelProblem(u, LowerLevel(None, b, Weight(ip.SmoothedTV((24,), eps=0.1)))), np.array([-1.2])


def weight_2d(seed: int = 0) -> tuple[BilevelProblem, np.ndarray]:
    u, b = pairs((9, 11), seed=seed)
    term = Weight(ip.SmoothedTV((9, 11), eps=0.2, spacing=(1.0, 0.5)))
    tikhonov = 0.05 * ip.Tikhonov((9, 11), order=0)
    return BilevelProblem(u, LowerLevel(None, b, term, tikhonov), convention="sum"), np.array([-1.0])


def tv(seed: int = 0) -> tuple[BilevelProblem, np.ndarray]:
    u, b = pairs((9, 11), seed=seed)
    lower = LowerLevel(None, b, SmoothedTVRegulariser((9, 11)))
    return BilevelProblem(u, lower, L1Penalty(1e-2)), np.array([-1.0, -1.5, -1.4])


def tgv(seed: int = 0) -> tuple[BilevelProblem, np.ndarray]:
    u, b = pairs((9, 11), n=2, seed=seed)
    return BilevelProblem(u, tgv_denoising(b, nu=0.1, xi=5e-2)), np.array([-1.0, -0.8])


def fourier(seed: int = 0) -> tuple[BilevelProblem, np.ndarray]:
    """Complex images, and a part of their Fourier coefficients."""
    rng = np.random.default_rng(seed)
    u = pairs((8, 10))[0] * np.exp(0.5j)
    A = ip.CartesianMRI((rng.random((8, 10)) < 0.6).astype(float), dtype="complex128")
    b = A.apply(u)
    b += 0.05 * (b != 0) * (rng.standard_normal(b.shape) + 1j * rng.standard_normal(b.shape))
    term = SmoothedTVRegulariser((8, 10), learn=("alpha", "xi"), nu=0.1)
    return BilevelProblem(u, LowerLevel(A, b, term)), np.array([-1.5, -0.7])


PROBLEMS = [weight_1d, weight_2d, tv, tgv, fourier]
SEEDS = range(3)
MEDIAN = {tgv: 2000}  # of bound over error, at most; ‖u - û‖ enters by √(1/ξ) where only ξ is strongly convex


def saddle(problem: BilevelProblem, theta: np.ndarray) -> Saddle:
    return Saddle(problem.lower, theta, problem.truths, problem.scale)


def cold(problem: BilevelProblem, theta: np.ndarray) -> Iteration:
    s = saddle(problem, theta)
    u = problem.lower.start()
    return Iteration(s, u, s.forward(u), u.copy(), s.forward(u))


def random_field(s: Saddle, seed: int) -> np.ndarray:
    """K of random images: what vanishes where Ku does."""
    rng = np.random.default_rng(seed)
    u = rng.standard_normal((s.lower.n, *s.lower.dims)).astype(s.lower.dtype)
    return s.forward(u)


# ---------------------------------------------------------------- the saddle-point problem


@pytest.mark.parametrize("make", PROBLEMS)
def test_resolvents_solve_their_equations(make: Any) -> None:
    s = saddle(*make())
    rng = np.random.default_rng(0)
    v = rng.standard_normal((s.lower.n, *s.lower.dims)).astype(s.lower.dtype)
    u = s.resolvent(v)
    np.testing.assert_allclose(u + s.tau * s.hessian(u), v, atol=1e-12)
    y, p = random_field(s, 1), random_field(s, 2)
    for _ in range(8):  # Newton's method goes on from call to call
        p, sizes = s.dual_resolvent(y, p)
    np.testing.assert_allclose(s.scaled(p) + s.dual(p, sizes), y, atol=1e-12)
    r = random_field(s, 3)
    w = s.curve_resolvent(p, sizes, r)
    np.testing.assert_allclose(s.scaled(w) + s.curve(p, sizes, w), r, atol=1e-12)


@pytest.mark.parametrize("scale", [1e-9, 1e-3, 1.0, 1e3, 1e9])
def test_the_dual_resolvent_converges_from_anywhere(scale: float) -> None:
    s = saddle(*tv())
    y = random_field(s, 0) * scale
    for start in (0.0, 1e-6, 1.0, 1e6):
        p = start * random_field(s, 1)
        for _ in range(12):
            p, sizes = s.dual_resolvent(y, p)
        np.testing.assert_allclose(s.scaled(p) + s.dual(p, sizes), y, rtol=1e-11, atol=1e-14 * scale)


@pytest.mark.parametrize("make", PROBLEMS)
def test_the_adjoint_step_is_the_derivative_of_the_primal_one(make: Any) -> None:
    """∇²g(p) (∇²g(p) + σ)^-1 is the derivative of y ↦ ∇g(p(y)), p(y) from the resolvent."""
    s = saddle(*make())
    y, d, h = random_field(s, 1), random_field(s, 2), 1e-5

    def resolvent(field: np.ndarray) -> np.ndarray:
        p = field
        for _ in range(12):
            p, sizes = s.dual_resolvent(field, p)
        return s.dual(p, sizes)

    p = y
    for _ in range(12):
        p, sizes = s.dual_resolvent(y, p)
    change = (resolvent(y + h * d) - resolvent(y - h * d)) / (2 * h)
    found = s.curve(p, sizes, s.curve_resolvent(p, sizes, d))
    np.testing.assert_allclose(found, change, atol=2e-7 * abs(change).max())


@pytest.mark.parametrize("make", PROBLEMS)
def test_residuals_are_those_of_the_equations(make: Any) -> None:
    it = cold(*make())
    for _ in range(7):
        it.step()
    again = Iteration(it.saddle, it.u, it.p, it.U, it.W)
    for name in ("r_u", "r_p", "s_u", "s_w", "y", "Y"):
        np.testing.assert_allclose(getattr(it, name), getattr(again, name), atol=1e-12)


@pytest.mark.parametrize("make", PROBLEMS)
def test_it_contracts_at_the_rate_of_strong_convexity(make: Any) -> None:
    it = cold(*make())
    size = []
    for _ in range(300):
        size.append(np.linalg.norm(it.r_u) + np.linalg.norm(it.s_u))
        it.step()
    k = int(np.argmax(np.array(size) < 1e-9 * size[0]))
    assert 0 < k <= 30 + 2 * np.log(1e9) / np.log1p(2 * it.saddle.c)


# ---------------------------------------------------------------- the gradient


@pytest.mark.parametrize("make", PROBLEMS)
def test_the_hypergradient_is_that_of_the_implicit_function_theorem_and_of_differences(make: Any) -> None:
    problem, theta = make()
    it = cold(problem, theta)
    for _ in range(700):
        it.step()
    z = problem.penalty_gradient(theta) + estimates(it).z.sum(axis=0)
    exact = hypergradient(problem.evaluator(), theta, 1e-11)
    assert np.linalg.norm(z - exact.z) <= 1e-10 * max(1.0, np.linalg.norm(exact.z))
    expected, noise = central_differences(problem, theta, 1e-3)
    assert np.linalg.norm(z - expected) <= noise + 2e-7 * np.linalg.norm(expected)


@pytest.mark.parametrize("make", PROBLEMS)
def test_the_bounds_hold_in_every_iteration_and_are_no_fancy(make: Any) -> None:
    ratios = []
    for seed in SEEDS:
        problem, theta = make(seed)
        exact = hypergradient(problem.evaluator(), theta, 1e-11)
        plain = exact.z - problem.penalty_gradient(theta)
        J = problem.penalty_value(theta)
        it = cold(problem, theta)
        for k in range(150):
            e = estimates(it)
            error, bound = np.linalg.norm(e.z.sum(axis=0) - plain), e.z_bound.sum()
            assert error <= bound + exact.bound, (seed, k)
            distance = np.linalg.norm((it.u - exact.u).reshape(problem.lower.n, -1), axis=1)
            assert (distance <= e.certificate + exact.lower.certificate).all(), (seed, k)
            assert e.lower.sum() + J <= exact.f + exact.f_bound and exact.f - exact.f_bound <= e.upper.sum() + J
            if error > 1e-9 * np.linalg.norm(plain) and bound < 0.5 * np.linalg.norm(plain):
                ratios.append(bound / error)
            it.step()
    print(f"{make.__name__}: bound/error from {min(ratios):.1f} to {max(ratios):.1f}, median {np.median(ratios):.1f}")
    assert len(ratios) > 50 and np.median(ratios) <= MEDIAN.get(make, 50)


def test_the_width_of_the_objectives_bounds_is_of_second_order() -> None:
    it, found = cold(*tv()), []
    for _ in range(150):
        e = estimates(it)
        found.append([e.certificate.max(), (e.upper - e.lower).max()])
        it.step()
    eps, width = np.array([row for row in found if 1e-6 < row[0] < 1e-2]).T
    order = np.polyfit(np.log(eps), np.log(width), 1)[0]
    assert order == pytest.approx(2, abs=0.2)


@pytest.mark.parametrize("make", [weight_1d, tgv])
def test_samples_are_iterated_until_their_tolerances(make: Any) -> None:
    problem, theta = make()
    it, n = cold(problem, theta), problem.lower.n
    start = {name: getattr(it, name) for name in ("u", "p", "U", "W")}
    kept = {name: v.copy() for name, v in start.items()}
    options = {"theta": theta, "scale": problem.scale, "truths": problem.truths}
    found = iterate(problem.lower, **options, **start, z_bound=1e-4, width=np.full(n, 1e-5), most=10**5)
    assert (found.z_bound <= 1e-4).all() and (found.upper - found.lower <= 1e-5).all()
    assert all(np.array_equal(start[name], kept[name]) for name in start)
    assert found.cost.gradients == found.cost.hessians == (found.iterations + 1).sum()
    few = iterate(problem.lower, **options, **start, z_bound=1e-4, width=np.inf, most=4)
    assert (few.iterations == 4).all()
    rounded = iterate(problem.lower, **options, **start, z_bound=1e-30, width=np.inf, most=10**5)
    assert rounded.iterations.max() < 10**5 and isinstance(rounded, Estimates)


@pytest.mark.parametrize("make", [weight_1d, tv, fourier])
def test_it_does_not_matter_which_samples_are_iterated_together(make: Any) -> None:
    problem, theta = make()
    lower, it = problem.lower, cold(problem, theta)
    start = {"truths": problem.truths} | {name: getattr(it, name) for name in ("u", "p", "U", "W")}
    options = {"theta": theta, "scale": problem.scale, "width": 1e-6, "most": 10**5}
    tolerances = 10.0 ** -np.arange(1, 1 + 3 * lower.n, 3)
    whole = iterate(lower, **options, **start, z_bound=tolerances)
    assert len(set(whole.iterations)) == lower.n
    for k in range(lower.n):
        i = np.array([k])
        part = {name: v[i] for name, v in start.items()}
        alone = iterate(lower.take(i), **options, **part, z_bound=tolerances[i])
        assert alone.iterations[0] == whole.iterations[k]
        for name in ("u", "p", "U", "W", "z", "z_bound", "lower", "upper"):
            np.testing.assert_allclose(getattr(alone, name)[0], getattr(whole, name)[k], rtol=1e-10, atol=1e-14)


def test_single_precision_stays_and_its_bounds_hold_down_to_rounding() -> None:
    problem, theta = tv()
    exact = hypergradient(problem.evaluator(), theta, 1e-11)
    lower = LowerLevel(None, problem.lower.b.astype("float32"), SmoothedTVRegulariser((9, 11)))
    it = cold(BilevelProblem(problem.truths.astype("float32"), lower), theta)
    for _ in range(40):
        it.step()
    e = estimates(it)
    assert {a.dtype for a in (it.u, it.p, it.U, it.W)} == {np.dtype("float32")}
    error = np.linalg.norm(e.z.sum(axis=0) - exact.z + problem.penalty_gradient(theta))
    assert error <= e.z_bound.sum() + 1e-5 * np.linalg.norm(exact.z)


@pytest.mark.parametrize("make", [weight_1d, tv, tgv])
def test_device_arrays_give_the_same(make: Any, xp: ModuleType) -> None:
    problem, theta = make()
    expected = estimates(_after(problem, theta, 20))
    lower = problem.lower.with_data(backend.to_device(problem.lower.b, xp))
    found = estimates(_after(BilevelProblem(backend.to_device(problem.truths, xp), lower), theta, 20))
    for name in ("z", "z_bound", "lower", "upper", "certificate"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-8)


def _after(problem: BilevelProblem, theta: np.ndarray, steps: int) -> Iteration:
    it = cold(problem, theta)
    for _ in range(steps):
        it.step()
    return it
