"""Semismooth Newton for TV and linear filters: exactness, hypergradients, learning, restarts."""

from __future__ import annotations

import math
from pathlib import Path

import cvxpy as cp
import numpy as np
import pytest
from scipy import ndimage

from ipbox.bilevel import AnalysisLower, AnalysisProblem, ScalarSearch, SemismoothNewton, dct_filters, gradient_filters
from ipbox.bilevel.nonsmooth.newton import model_step
from ipbox.bilevel.terms.filters import filter_matrix
from ipbox.problems.truths.photographs import photograph

LN10 = math.log(10.0)
CASES = {
    "anisotropic": gradient_filters(),
    "isotropic": gradient_filters(isotropic=True),
    "dct": list(dct_filters(3)[:4]),
}


def scene(n: int = 2) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    x = np.zeros((n, 9, 8))
    x[0, 2:6, 3:7] = 1.0
    x[-1, :, 4:] += 0.5
    x[-1, 5:] += 0.3
    return x, x + 0.1 * rng.standard_normal(x.shape)


def problem(filters: list, gamma: float, convention: str = "mean") -> AnalysisProblem:
    x, b = scene()
    return AnalysisProblem(x, AnalysisLower(b, filters, gamma), convention)


# ---------------------------------------------------------------- filters


@pytest.mark.parametrize("size", [2, 3, 5])
def test_dct_filters_are_orthonormal_without_mean(size: int) -> None:
    h = dct_filters(size).reshape(-1, size * size)
    assert np.abs(h @ h.T - np.eye(size * size - 1)).max() < 1e-14
    assert np.abs(h.sum(axis=1)).max() < 1e-14


@pytest.mark.parametrize("shape", [(3, 3), (2, 2), (1, 2), (4, 3)])
def test_filter_matrix_is_correlation_with_reflection(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(1)
    h, u = rng.standard_normal(shape), rng.standard_normal((6, 7))
    origin = [-1 if s % 2 == 0 else 0 for s in shape]  # ndimage centres at size // 2
    expected = ndimage.correlate(u, h, mode="reflect", origin=origin)
    assert np.abs((filter_matrix(h, u.shape) @ u.ravel()).reshape(u.shape) - expected).max() < 1e-13


def test_gradient_filters_are_forward_differences_with_neumann_boundary() -> None:
    u = np.random.default_rng(2).standard_normal((4, 5))
    dy, dx = ((filter_matrix(h, u.shape) @ u.ravel()).reshape(u.shape) for h in gradient_filters())
    assert np.array_equal(dy, np.diff(u, axis=0, append=u[-1:]))
    assert np.array_equal(dx, np.diff(u, axis=1, append=u[:, -1:]))


# ---------------------------------------------------------------- the lower level


@pytest.mark.parametrize("gamma", [0.0, 0.05])
@pytest.mark.parametrize("name", CASES)
def test_agrees_with_cvxpy(name: str, gamma: float) -> None:
    lower = problem(CASES[name], gamma).lower
    theta = np.linspace(-1.2, -1.0, len(lower.K))
    u, b = cp.Variable(lower.b[0].size), lower.b[1].ravel()
    objective = 0.5 * cp.sum_squares(u - b)
    for alpha, group in zip(10.0**theta, lower.K, strict=True):
        size = cp.norm(cp.vstack([K @ u for K in group]), axis=0)
        # h_γ(t) = γ/2 huber(t/γ) in CVXPY's normalisation
        objective += alpha * (cp.sum(size) if gamma == 0 else gamma / 2 * cp.sum(cp.huber(size / gamma)))
    cp.Problem(cp.Minimize(objective)).solve(solver=cp.CLARABEL, tol_gap_abs=1e-11, tol_gap_rel=1e-11, tol_feas=1e-11)
    found = lower.solve(theta, 1, 1e-7)
    assert found.certificate <= 1e-7
    assert np.linalg.norm(found.u - u.value) < 2e-5  # of the interior-point method
    value = 0.5 * np.sum((found.u - b) ** 2) + sum(
        a
        * (lambda t: np.where(t <= gamma, t * t / (2 * gamma) if gamma else 0 * t, t - gamma / 2).sum())(
            np.linalg.norm(np.stack([K @ found.u for K in g]), axis=0)
        )
        for a, g in zip(10.0**theta, lower.K, strict=True)
    )
    assert value <= objective.value + 1e-9


@pytest.mark.parametrize("name", CASES)
def test_the_certificate_bounds_the_error(name: str) -> None:
    lower = problem(CASES[name], 0.0).lower
    theta = np.full(len(lower.K), -1.1)
    exact = lower.solve(theta, 0, 1e-8)
    for accuracy in (1e-1, 1e-2, 1e-3):
        found = lower.solve(theta, 0, accuracy)
        assert np.linalg.norm(found.u - exact.u) <= found.certificate + exact.certificate
        assert found.certificate <= accuracy


def test_large_weights_give_the_mean() -> None:
    lower = problem(CASES["anisotropic"], 0.0).lower
    u = lower.solve(np.array([1.0, 1.0]), 0, 1e-8).u
    assert np.abs(u - lower.b[0].mean()).max() < 1e-8


def test_a_warm_start_changes_nothing_but_the_steps() -> None:
    lower = problem(CASES["isotropic"], 0.0).lower
    start = lower.solve(np.array([-1.0]), 0, 1e-7)
    cold, warm = lower.solve(np.array([-1.01]), 0, 1e-7), lower.solve(np.array([-1.01]), 0, 1e-7, start)
    assert np.linalg.norm(cold.u - warm.u) <= cold.certificate + warm.certificate
    assert warm.steps < cold.steps


# ---------------------------------------------------------------- hypergradients


@pytest.mark.parametrize("gamma", [0.0, 0.01])
@pytest.mark.parametrize("name", CASES)
def test_hypergradient_agrees_with_differences(name: str, gamma: float) -> None:
    p = problem(CASES[name], gamma)
    theta = np.linspace(-1.23, -1.1, len(p.lower.K))
    e, h = p.evaluator().derivatives(theta, 1e-9), 1e-5
    f = [[p.evaluator().evaluate(theta + s * h * v, 1e-9).f for s in (1, -1)] for v in np.eye(len(theta))]
    differences = np.array([(up - down) / (2 * h) for up, down in f])
    # f is exact to about 1e-12, which the differences divide by 2h; their own error is of order h²
    assert np.abs(e.z - differences).max() < 2e-6 * np.abs(e.z).max()


@pytest.mark.parametrize("gamma", [0.0, 0.01])
@pytest.mark.parametrize("name", ["anisotropic", "dct"])
def test_newton_derivative_agrees_with_differences_where_filters_are_single(name: str, gamma: float) -> None:
    p = problem(CASES[name], gamma)
    alpha = 10 ** np.linspace(-1.23, -1.1, len(p.lower.K))
    h = 1e-5 * alpha[0]

    def gradient(a: np.ndarray) -> np.ndarray:
        return p.evaluator().derivatives(np.log10(a), 1e-9).z / (LN10 * a)

    hessian = p.evaluator().derivatives(np.log10(alpha), 1e-9).hessian
    differences = np.array([(gradient(alpha + h * v) - gradient(alpha - h * v)) / (2 * h) for v in np.eye(len(alpha))])
    assert np.abs(hessian - differences).max() < 1e-4 * np.abs(hessian).max()


def test_closed_form_in_one_dimension() -> None:
    # four pixels in two plateaus at 0.05 and 0.95 for α = 0.1: f = 4 (α/2)², ∂f/∂α = 2α
    b, x = np.array([[[0.1, -0.1, 1.1, 0.9]]]), np.array([[[0.0, 0.0, 1.0, 1.0]]])
    p = AnalysisProblem(x, AnalysisLower(b, [np.array([[-1.0, 1.0]])]))
    for alpha in (0.1, 0.2, 0.3):
        e = p.evaluator().derivatives(np.log10([alpha]), 1e-9)
        assert abs(e.f - alpha**2) < 1e-12
        assert abs(e.z[0] - 2 * alpha**2 * LN10) < 1e-10
        assert abs(e.hessian[0, 0] - 2.0) < 1e-8


def test_conventions() -> None:
    mean, total = (problem(CASES["isotropic"], 0.0, c).evaluator().derivatives([-1.1], 1e-8) for c in ("mean", "sum"))
    assert abs(total.f - 2 * mean.f) < 1e-9
    assert np.abs(total.z - 2 * mean.z).max() < 1e-6


# ---------------------------------------------------------------- learning


@pytest.mark.parametrize("start", [-3.0, -1.5, 0.0])
def test_finds_the_optimum_of_a_scalar_search(start: float) -> None:
    p = problem(CASES["isotropic"], 0.0)
    best = ScalarSearch(tol=1e-5, accuracy=1e-7).minimise(p.evaluator(), bounds=(-3.0, 0.0))
    found = SemismoothNewton(tol=1e-10).minimise(p.evaluator(), [start], bounds=(-4.0, 1.0))
    assert found.f <= best.f * (1 + 1e-6)
    assert abs(found.theta[0] - best.theta[0]) < 1e-3
    assert len(found.history) < 25


def test_filters_learned_on_photographs_beat_tv() -> None:
    x = np.stack([photograph(name, 32).astype(np.float64) for name in ("camera", "astronaut", "coffee")])
    b = x + 0.1 * np.random.default_rng(0).standard_normal(x.shape)
    results = {}
    for name, filters in (("tv", gradient_filters(isotropic=True)), ("dct", dct_filters(3))):
        p = AnalysisProblem(x, AnalysisLower(b, filters, gamma=1e-2))
        results[name] = SemismoothNewton(tol=1e-4).minimise(p.evaluator(), np.full(len(p.lower.K), -2.0))
    assert results["dct"].f < 0.985 * results["tv"].f
    assert results["dct"].f < 0.5 * 32**2 * 0.01
    assert len(results["dct"].history) <= 10


def test_bounds_hold() -> None:
    p = problem(CASES["dct"], 0.01)
    found = SemismoothNewton().minimise(p.evaluator(), np.full(4, -1.5), bounds=(-1.6, -1.4), iterations=10)
    assert ((found.theta >= -1.6) & (found.theta <= -1.4)).all()
    assert all(((row["theta"] >= -1.6 - 1e-12) & (row["theta"] <= -1.4 + 1e-12)).all() for row in found.history)


def test_model_step_solves_the_boxed_model() -> None:
    rng = np.random.default_rng(3)
    for _ in range(10):
        G = rng.standard_normal((4, 4))
        G, g = G @ G.T, rng.standard_normal(4)
        low, high = -rng.random(4), rng.random(4)
        low[0] = high[0] = 0.0
        d, value = model_step(g, G, low, high)
        x = cp.Variable(4)
        expected = cp.Problem(cp.Minimize(g @ x + 0.5 * cp.quad_form(x, cp.psd_wrap(G))), [x >= low, x <= high]).solve(
            solver=cp.CLARABEL
        )
        assert ((d >= low) & (d <= high)).all()
        assert abs(value - expected) < 1e-6


class Killed(Exception):
    pass


def test_a_killed_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    p, path, method = problem(CASES["dct"], 0.01), tmp_path / "run.npz", SemismoothNewton()

    def kill(row: dict) -> None:
        if row["iteration"] == 2:
            raise Killed

    whole = method.minimise(p.evaluator(), np.full(4, -2.0))
    with pytest.raises(Killed):
        method.minimise(p.evaluator(), np.full(4, -2.0), checkpoint=path, callback=kill)
    rows: list[dict] = []
    resumed = method.minimise(p.evaluator(), np.full(4, -2.0), checkpoint=path, callback=rows.append)
    assert np.array_equal(resumed.theta, whole.theta)
    assert resumed.f == whole.f
    assert len(rows) == len(whole.history) - 3  # none of the three is evaluated again
    assert vars(resumed.cost) == vars(whole.cost)
    with pytest.raises(ValueError, match="of another run"):
        method.minimise(p.evaluator(), np.full(4, -1.0), checkpoint=path)
    other = problem(CASES["dct"], 0.02)
    with pytest.raises(ValueError, match="of another problem"):
        method.minimise(other.evaluator(), np.full(4, -2.0), checkpoint=path)


# ---------------------------------------------------------------- bad input


def test_bad_input() -> None:
    x, b = scene()
    filters = gradient_filters()
    with pytest.raises(TypeError, match="b is float32; expected a float64"):
        AnalysisLower(b.astype(np.float32), filters)
    with pytest.raises(ValueError, match="b has shape"):
        AnalysisLower(b[0], filters)
    with pytest.raises(ValueError, match="NaN"):
        AnalysisLower(b * np.nan, filters)
    with pytest.raises(ValueError, match="gamma is -1"):
        AnalysisLower(b, filters, -1)
    with pytest.raises(ValueError, match="filters is empty"):
        AnalysisLower(b, [])
    with pytest.raises(ValueError, match=r"filters\[1\]"):
        AnalysisLower(b, [filters[0], np.zeros((2, 2))])
    with pytest.raises(ValueError, match="size is 1"):
        dct_filters(1)
    lower = AnalysisLower(b, filters)
    with pytest.raises(ValueError, match=r"theta has shape \(1,\); expected \(2,\)"):
        lower.solve([0.0], 0)
    with pytest.raises(ValueError, match="accuracy is 0"):
        lower.solve([0.0, 0.0], 0, 0)
    with pytest.raises(ValueError, match="truths has shape"):
        AnalysisProblem(x[:1], lower)
    with pytest.raises(ValueError, match="truths has NaN"):
        AnalysisProblem(x * np.nan, lower)
    with pytest.raises(ValueError, match="convention is 'median'"):
        AnalysisProblem(x, lower, "median")
    with pytest.raises(TypeError, match="lower is int"):
        AnalysisProblem(x, 3)
    with pytest.raises(ValueError, match="tol is 0"):
        SemismoothNewton(tol=0)
    evaluator = AnalysisProblem(x, lower).evaluator()
    with pytest.raises(TypeError, match="evaluator is int"):
        SemismoothNewton().minimise(3, [-1.0, -1.0])
    with pytest.raises(ValueError, match="bounds cross"):
        SemismoothNewton().minimise(evaluator, [-1.0, -1.0], bounds=(0.0, -2.0))
    with pytest.raises(ValueError, match="outside its bounds"):
        SemismoothNewton().minimise(evaluator, [-1.0, -1.0], bounds=(-0.5, 0.0))
    with pytest.raises(ValueError, match="iterations is 0"):
        SemismoothNewton().minimise(evaluator, [-1.0, -1.0], iterations=0)
