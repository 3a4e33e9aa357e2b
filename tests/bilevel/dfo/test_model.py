"""Models of inexact least squares: trust-region steps, interpolation, poisedness, full linearity."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ipbox.bilevel.dfo.model import InterpolationSet, Point, least_curvature, objective_bound, residual_accuracy
from ipbox.bilevel.dfo.trust_region import linear_step, trust_region_step

SEEDS = st.integers(0, 2**32 - 1)


def curved(theta):
    """Residuals that are large at the minimum, as distances between images are."""
    x, y = theta
    return np.array([2.0 + (x - 0.5) ** 2 + 0.3 * y, 1.0 + np.exp(y - 0.2) - 0.3 * x, 0.5 + (x - y) ** 2])


# ---------------------------------------------------------------- accuracy


@given(SEEDS)
def test_bound_of_the_objective_and_its_inverse(seed):
    random = np.random.default_rng(seed)
    m = int(random.integers(1, 9))
    r = random.standard_normal(m) * 10.0 ** random.uniform(-3, 3)
    delta = np.abs(random.standard_normal(m)) * 10.0 ** random.uniform(-9, 1) * random.integers(0, 2, m)
    noisy = r + delta * random.uniform(-1, 1, m)
    bound = objective_bound(noisy, delta)
    assert abs(noisy @ noisy - r @ r) <= bound * (1 + 1e-12) + 1e-13 * (r @ r)
    inexact, tolerance = delta > 0, 10.0 ** random.uniform(-12, 3)
    found = residual_accuracy(noisy, inexact, tolerance)
    if inexact.any():
        assert objective_bound(noisy, np.where(inexact, found, 0.0)) == pytest.approx(tolerance, rel=1e-12)
    else:
        assert found == math.inf


# ---------------------------------------------------------------- trust region


@given(SEEDS)
def test_trust_region_step_is_optimal(seed):
    """KKT conditions, with the multiplier of the ball from the free entries."""
    random = np.random.default_rng(seed)
    n, m = int(random.integers(1, 9)), int(random.integers(1, 12))
    J, r = random.standard_normal((m, n)), random.standard_normal(m)
    g, H, radius = J.T @ r, J.T @ J, 10.0 ** random.uniform(-2, 1)
    lo, hi = -np.abs(random.standard_normal(n)), np.abs(random.standard_normal(n))
    lo[random.random(n) < 0.3], hi[random.random(n) < 0.3] = 0.0, np.inf
    s = trust_region_step(g, H, lo, hi, radius)
    assert (s >= lo).all() and (s <= hi).all() and np.linalg.norm(s) <= radius * (1 + 2e-10)
    d = g + H @ s
    free = (s > lo) & (s < hi)
    outside = np.linalg.norm(s) < radius * (1 - 1e-6)
    lam = 0.0 if outside or not free.any() else max(0.0, -float(d[free] @ s[free]) / float(s[free] @ s[free]))
    scale = np.linalg.norm(g) + np.linalg.norm(H) * np.linalg.norm(s)
    e = d + lam * s
    assert np.abs(e[free]).max(initial=0.0) <= 1e-6 * scale
    if free.any():  # otherwise lam is not known, and the values below tell
        assert (e[s <= lo] >= -1e-6 * scale).all() and (e[(s >= hi) & (lo < hi)] <= 1e-6 * scale).all()
    value = g @ s + 0.5 * s @ H @ s
    for _ in range(50):
        t = np.clip(random.standard_normal(n) * radius, lo, hi)
        t *= min(1.0, radius / max(np.linalg.norm(t), 1e-300))
        assert value <= g @ t + 0.5 * t @ H @ t + 1e-9 * scale


def test_trust_region_step_agrees_with_cvxpy():
    cp = pytest.importorskip("cvxpy")
    random = np.random.default_rng(1)
    for n, m in [(1, 3), (3, 2), (4, 6), (8, 12)]:
        J, r = random.standard_normal((m, n)), random.standard_normal(m)
        lo, hi, radius = -0.3 * random.random(n), 0.3 * random.random(n), 0.4
        x = cp.Variable(n)
        objective = cp.Minimize(0.5 * cp.sum_squares(J @ x + r))
        problem = cp.Problem(objective, [cp.norm(x) <= radius, x >= lo, x <= hi])
        problem.solve(solver="CLARABEL")
        s = trust_region_step(J.T @ r, J.T @ J, lo, hi, radius)
        assert 0.5 * np.sum((J @ s + r) ** 2) == pytest.approx(problem.value, rel=1e-7)


@given(SEEDS)
def test_without_a_ball_the_step_is_that_of_a_large_one(seed):
    random = np.random.default_rng(seed)
    n = int(random.integers(1, 9))
    J, g = random.standard_normal((n + 1, n)), random.standard_normal(n)
    H, hi = J.T @ J + 0.1 * np.eye(n), np.where(random.random(n) < 0.3, np.inf, random.random(n))
    lo = -random.random(n)
    free, large = (trust_region_step(g, H, lo, hi, radius) for radius in (np.inf, 1e6))
    np.testing.assert_allclose(free, large, rtol=1e-9, atol=1e-12)
    assert (free >= lo).all() and (free <= hi).all()


@given(SEEDS)
def test_linear_step_against_many_points(seed):
    random = np.random.default_rng(seed)
    n = int(random.integers(1, 6))
    g, radius = random.standard_normal(n), 10.0 ** random.uniform(-1, 1)
    lo, hi = -random.random(n), random.random(n) * random.choice([0.0, 1.0, np.inf], n).clip(0)
    hi = np.where(np.isnan(hi), np.inf, hi)
    s = linear_step(g, lo, hi, radius)
    assert (s >= lo).all() and (s <= hi).all() and np.linalg.norm(s) <= radius * (1 + 1e-12)
    # optimal: s = P(-t g) for some t > 0, with the ball active or every entry at its bound
    active = np.linalg.norm(s) >= radius * (1 - 1e-9)
    assert active or ((s == np.where(g > 0, lo, hi)) | (g == 0)).all()
    free = (s > lo) & (s < hi) & (g != 0)
    if free.any():
        t = -s[free] / g[free]
        np.testing.assert_allclose(t, t[0], rtol=1e-9)
        np.testing.assert_allclose(s, np.clip(-t[0] * g, lo, hi), rtol=1e-9, atol=1e-12 * radius)


# ---------------------------------------------------------------- interpolation


def interpolation(random, n, m, f, radius=1.0):
    Z = np.vstack([np.zeros(n), radius * random.uniform(-1, 1, (n, n)) + radius * np.eye(n)])
    return InterpolationSet([Point(z, f(z), np.zeros(m), math.inf) for z in Z], 0)


@given(SEEDS)
def test_model_interpolates(seed):
    random = np.random.default_rng(seed)
    n, m = int(random.integers(1, 6)), int(random.integers(1, 8))
    X = interpolation(random, n, m, lambda z: np.sin(np.arange(1, m + 1) + z.sum()))
    J = X.jacobian()
    for p in X.points:
        np.testing.assert_allclose(X.iterate.r + J @ (p.z - X.iterate.z), p.r, atol=1e-7)
    for t, p in enumerate(X.points):
        np.testing.assert_allclose(X.lagrange_at(p.z), np.arange(n + 1) == t, atol=1e-7)
    model = X.model(1.0, 0.0)
    s = random.standard_normal(n)
    assert -model.decrease(s) + X.iterate.f == pytest.approx(float(np.sum((X.iterate.r + J @ s) ** 2)), rel=1e-9)


@given(SEEDS)
def test_poisedness_against_brute_force(seed):
    random = np.random.default_rng(seed)
    n, radius = 2, 0.7
    X = interpolation(random, n, 1, lambda z: np.zeros(1))
    lo, hi = np.array([-0.2, -9.0]), np.array([9.0, 0.3])
    angles, sizes = np.meshgrid(np.linspace(0, 2 * np.pi, 721), np.linspace(0, radius, 61))
    S = np.stack([sizes * np.cos(angles), sizes * np.sin(angles)], axis=-1).reshape(-1, n)
    S = S[((S >= lo) & (S <= hi)).all(axis=1)]
    brute = np.abs(S @ X.lagrange.T + (np.arange(n + 1) == X.k)).max(axis=0)
    exact = X.poisedness(lo, hi, radius)
    assert (brute <= exact * (1 + 1e-12)).all() and (exact <= 1.03 * brute + 1e-9).all()
    assert (X.poisedness(lo, hi, radius, enough=1e9) >= exact * (1 - 1e-12)).all()


@given(SEEDS)
def test_least_curvature_reproduces_quadratics(seed):
    random = np.random.default_rng(seed)
    n, m = int(random.integers(1, 4)), 3
    p = n + n * (n + 1) // 2
    J = random.standard_normal((m, n))
    C = random.standard_normal((m, n, n))
    C += C.transpose(0, 2, 1)
    S = random.standard_normal((p, n))
    S /= np.linalg.norm(S, axis=1)[:, None] * random.uniform(1, 2, p)[:, None]
    basis = np.array([np.concatenate([s, np.outer(s, s)[np.triu_indices(n)]]) for s in S])
    if np.linalg.cond(basis) > 1e3:
        return
    R = S @ J.T + 0.5 * np.einsum("ta,mab,tb->tm", S, C, S)
    found, W = least_curvature(S, R)
    np.testing.assert_allclose(found, J, atol=1e-4)
    np.testing.assert_allclose(np.einsum("tm,ta,tb->mab", W, S, S), C, atol=1e-3)


def inexact(r, z, radius, vectors):
    """A point with errors of the size Δ²; its first two residuals as a vector, and its norm, or all as they are."""
    if not vectors:
        return Point(z, r, np.full(3, radius**2), 1.0)
    return Point(z, np.array([np.hypot(*r[:2]), r[2]]), np.full(2, 2 * radius**2), 1.0, r[None, :2])


def test_vectors_that_are_linear_have_an_exact_model():
    """f is a quadratic then, though the norms are none."""
    random = np.random.default_rng(0)
    A, b = random.standard_normal((3, 5, 2)), random.standard_normal((3, 5))

    def point(z):
        v, last = A @ z + b, np.array([z.sum()])
        return Point(z, np.append(np.linalg.norm(v, axis=1), last), np.zeros(4), math.inf, v)

    X = InterpolationSet([point(z) for z in [np.zeros(2), np.array([0.5, 0.1]), np.array([-0.1, 0.7])]], 0)
    model = X.model(1.0, 0.0)
    for s in random.standard_normal((5, 2)):
        new = point(s)
        assert X.iterate.f - model.decrease(s) == pytest.approx(new.f, rel=1e-12)
        np.testing.assert_allclose(model.residuals(s), new.r, rtol=1e-12)


@pytest.mark.parametrize("vectors", [False, True])
@pytest.mark.parametrize("curvature", [False, True])
def test_model_is_fully_linear(curvature, vectors):
    """|f(θ + s) - m(s)| <= κ_ef Δ² and ‖∇f - ∇m‖ <= κ_eg Δ as Δ falls, with errors c Δ² of the residuals."""
    centre, random, errors, slopes = np.array([0.3, -0.2]), np.random.default_rng(3), [], []
    radii = [0.1, 0.05, 0.025, 0.0125, 0.00625]
    for radius in radii:
        worst = worst_slope = 0.0
        for _ in range(20):
            Z = centre + radius * np.array([[0, 0], [1, 0], [0, 1], [-0.7, 0.6], [0.5, -0.8]])
            noise = radius**2 * random.uniform(-1, 1, (5, 3))
            points = [inexact(curved(z) + e, z, radius, vectors) for z, e in zip(Z, noise, strict=True)]
            X = InterpolationSet(points[:3], 0)
            X.past = points[3:] if curvature else []
            model = X.model(radius, 10 * radius)
            assert np.linalg.eigvalsh(model.H).min() >= -1e-12
            s = random.standard_normal(2)
            s *= radius * random.random() / np.linalg.norm(s)
            r = curved(centre + s)
            worst = max(worst, abs(r @ r - (X.iterate.f - model.decrease(s))))
            h = 1e-6
            gradient = [
                (np.sum(curved(centre + h * e) ** 2) - np.sum(curved(centre - h * e) ** 2)) / (2 * h) for e in np.eye(2)
            ]
            worst_slope = max(worst_slope, float(np.linalg.norm(gradient - model.g)))
        errors.append(worst)
        slopes.append(worst_slope)
    assert np.polyfit(np.log(radii), np.log(errors), 1)[0] > 1.7
    assert np.polyfit(np.log(radii), np.log(slopes), 1)[0] > 0.7


def test_a_new_point_keeps_the_set_poised():
    random = np.random.default_rng(0)
    X = interpolation(random, 3, 1, lambda z: np.zeros(1))
    for k in range(200):
        z = X.iterate.z + 0.5 * random.standard_normal(3)
        t = X.leaving(Point(z, np.zeros(1), np.zeros(1), 1.0), 0.5, iterate=bool(k % 2))
        if t is not None:
            assert k % 2 or t != X.k
            X.replace(t, Point(z, np.zeros(1), np.zeros(1), 1.0), iterate=bool(k % 2))
        assert np.linalg.matrix_rank(np.delete(X.displacements, X.k, axis=0)) == 3
